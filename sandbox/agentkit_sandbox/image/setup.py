"""Runs inside `docker build`, without a network: makes the libraries importable and quick."""

import compileall
import os
import pathlib
import site
import sys

LIB = "/opt/agentkit/lib"
CACHE = pathlib.Path("/opt/agentkit/matplotlib")

# `python3 -I` ignores PYTHONPATH, so a .pth file in the interpreter's own folder names the libraries.
folder = pathlib.Path(site.getsitepackages()[0])
folder.mkdir(parents=True, exist_ok=True)
(folder / "agentkit.pth").write_text(LIB + "\n")
sys.path.append(LIB)

# Without the matplotlib font list each container would search all fonts at its start.
CACHE.mkdir(parents=True, exist_ok=True)
os.environ["MPLCONFIGDIR"] = str(CACHE)
import matplotlib.font_manager  # noqa: E402  (the folder must be set first)

names = {font.name for font in matplotlib.font_manager.fontManager.ttflist}
if "Noto Sans SC" not in names:
    raise SystemExit("The font for Chinese labels was not found by matplotlib.")
if not compileall.compile_dir(LIB, quiet=2, workers=0):
    sys.stderr.write("Some library files could not be compiled ahead; they still work.\n")

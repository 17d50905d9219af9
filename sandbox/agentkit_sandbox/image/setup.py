"""Runs inside `docker build`, without a network: makes the libraries importable and quick."""

import compileall
import importlib
import os
import pathlib
import site
import sys
from typing import Any

LIB = "/opt/agentkit/lib"
CACHE = pathlib.Path("/opt/agentkit/matplotlib")

# `python3 -I` ignores PYTHONPATH, so a .pth file in the interpreter's own folder names LIB.
folder = pathlib.Path(site.getsitepackages()[0])
folder.mkdir(parents=True, exist_ok=True)
(folder / "agentkit.pth").write_text(LIB + "\n")
sys.path.append(LIB)

# Without the matplotlib font list each container would search all fonts at its start.
CACHE.mkdir(parents=True, exist_ok=True)
os.environ["MPLCONFIGDIR"] = str(CACHE)  # noqa: TID251 (inside the image, for matplotlib)
fonts: Any = importlib.import_module("matplotlib.font_manager")  # now: the folder had to be set

names: set[str] = {font.name for font in fonts.fontManager.ttflist}
if "Noto Sans SC" not in names:
    raise SystemExit("The font for Chinese labels was not found by matplotlib.")
# Newer Pythons start the compiling workers by importing this file again.
if __name__ == "__main__" and not compileall.compile_dir(LIB, quiet=2, workers=0):
    sys.stderr.write("Some library files could not be compiled ahead; they still work.\n")

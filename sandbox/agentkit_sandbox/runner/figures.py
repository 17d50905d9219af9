"""Saves the matplotlib figures that are open when a call ends."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
import weakref
from pathlib import Path
from typing import Any

FONT_LIST = "/opt/agentkit/matplotlib"  # made when the image was built
FOLDER = "/tmp/.matplotlib"  # noqa: S108 (a tmpfs of this container alone)
DPI = 150

_saved: weakref.WeakSet[Any] = weakref.WeakSet()


def prepare() -> None:
    """Make matplotlib importable without a search for fonts, and never open a window."""
    os.environ["MPLBACKEND"] = "Agg"  # noqa: TID251 (inside the sandbox, for matplotlib)
    os.environ["MPLCONFIGDIR"] = FOLDER  # noqa: TID251 (the same)
    if Path(FONT_LIST).is_dir() and not Path(FOLDER).exists():
        shutil.copytree(FONT_LIST, FOLDER)
    warnings.filterwarnings("ignore", message=".*non-interactive.*")  # plt.show() is welcome


def watch() -> None:
    """Remember which figures a program saves itself, so that none is saved twice."""
    figure = sys.modules.get("matplotlib.figure")
    if figure is None or hasattr(figure.Figure, "_agentkit_savefig"):
        return
    original = figure.Figure.savefig

    def savefig(self: Any, fname: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, fname, *args, **kwargs)
        # One saved elsewhere would be lost: only the working directory is brought out.
        if isinstance(fname, (str, Path)) and Path(fname).absolute().parent == Path.cwd():
            _saved.add(self)
        return result

    figure.Figure._agentkit_savefig = original  # noqa: SLF001 (marks the class as watched)
    figure.Figure.savefig = savefig


def save_open(call: int, *, keep: bool) -> None:
    """Save open figures that were not saved yet as PNG in the working directory; close all.

    Args:
        call: number of the call; part of the file name.
        keep: False closes the figures without saving them.
    """
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return
    watch()  # a base without the preloaded libraries imports them late
    numbers: list[int] = list(pyplot.get_fignums())
    try:
        figures = [pyplot.figure(number) for number in numbers] if keep else []
        wanted = [each for each in figures if each not in _saved and _has_content(each)]
        for position, each in enumerate(wanted, 1):
            name = f"figure-{call}.png" if len(wanted) == 1 else f"figure-{call}-{position}.png"
            each.savefig(name, dpi=DPI)
    finally:
        if numbers:
            pyplot.close("all")


def _has_content(figure: Any) -> bool:
    return len(figure.get_children()) > 1  # the first is the background

"""Folders of other people's programs, installed once for all checkouts of this user.

Standard library only. A folder's name holds a digest of the versions, so that several checkouts
share it and other versions get another.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agentkit.cli.setup_host import Host, Problem

PIP = ("-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input")


def cached_folder(env: Mapping[str, str], name: str, versions: Sequence[str]) -> Path:
    """Where programs of these versions are, or will be."""
    cache = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(" ".join(versions).encode()).hexdigest()[:12]
    return cache / "agentkit" / f"{name}-{digest}"


def ensure_folder(host: Host, part: str, folder: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder unless it is there; one that exists is whole.

    Args:
        host: this machine.
        part: what `--with` calls it.
        folder: where it is to be.
        fill: installs into an empty folder, which is then moved to its place.

    Raises:
        Problem: it does not exist, and nothing may be installed; or what `fill` raised.
    """
    if folder.is_dir():
        return
    if host.no_install:
        raise Problem(
            f"{folder} does not exist, and AGENTKIT_NO_INSTALL is set",
            f"unset it, or run `agentkit setup --dev --with {part}` once",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        fill(fresh)
        fresh.chmod(0o755)
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another checkout was quicker
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)

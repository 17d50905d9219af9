"""The files of one folder: which are documents, and reading one without leaving the folder."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from agentkit_tools.search.decode import Unreadable
from agentkit_tools.search.policy import Policy

LEADS_OUT = "is a link that leads out of the folder"


class Stamp(NamedTuple):
    """What changes when a file is written: bytes, times in nanoseconds, and its inode.

    The change time is in it because nobody can set it back, unlike the modification time.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    def older_than(self, moment_ns: int) -> bool:
        """Whether a write after `moment_ns` is sure to give another stamp."""
        return max(self.mtime_ns, self.ctime_ns) < moment_ns


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or folder that is not in the index.

    Attributes:
        document: path relative to the folder.
        reason: words that follow the name, such as "is empty".
    """

    document: str
    reason: str


@dataclass(slots=True)
class Survey:
    """What a walk found.

    Attributes:
        files: stamp of each document by its id, the path relative to the folder with slashes.
        problems: what could not be looked at.
        ignored: number of files of each ending that is no document.
    """

    files: dict[str, Stamp] = field(default_factory=dict[str, Stamp])
    problems: list[Problem] = field(default_factory=list[Problem])
    ignored: Counter[str] = field(default_factory=Counter[str])


def survey(root: Path, policy: Policy) -> Survey:
    """Walk a resolved folder; symbolic links to folders or to anything outside are not followed.

    Raises:
        OSError: the folder itself cannot be listed.
    """
    found = Survey()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                listing = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if folder == root:
                raise
            reason = f"cannot be opened: {error.strerror}"
            found.problems.append(Problem(_shown(root, folder), reason))
            continue
        for entry in listing:
            if not entry.name.startswith("."):
                waiting.extend(_enter(root, entry, policy, found))
    return found


def read(root: Path, document: str, policy: Policy) -> tuple[bytes, Stamp]:
    """Return the bytes of a document and the stamp they had.

    Raises:
        Unreadable: too large, gone, not a plain file, outside of the folder, or not permitted.
    """
    path = Path(os.path.realpath(root / document))
    if not path.is_relative_to(root):
        raise Unreadable(LEADS_OUT)
    try:
        # Not following and not blocking: the file may have become a link or a pipe meanwhile.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("is not a plain file")
            if status.st_size > policy.max_bytes:
                raise TooLarge(_too_large(status.st_size, policy))
            return file.read(policy.max_bytes), _stamp(status)
    except OSError as error:
        raise Unreadable(f"cannot be opened: {error.strerror}") from error


class TooLarge(Unreadable):
    """More bytes than the policy allows; known without reading them."""


def _enter(root: Path, entry: os.DirEntry[str], policy: Policy, found: Survey) -> Iterator[Path]:
    """Enter one file into the survey, or yield a folder that is still to be walked."""
    prefix = os.path.join(root, "")  # noqa: PTH118 - the text to cut off, slash included
    try:
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in policy.ignored_folders:
                yield Path(entry.path)
            return
        suffix = os.path.splitext(entry.name)[1]  # noqa: PTH122 - a Path for each file is slow
        if policy.kind(suffix) is None:
            found.ignored[suffix.lower()] += 1
            return
        if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(root):
            found.problems.append(Problem(_shown(root, entry), LEADS_OUT))
            return
        status = entry.stat()
        if stat.S_ISREG(status.st_mode):
            document = entry.path[len(prefix) :]
            document.encode()
            found.files[document] = _stamp(status)
        elif not stat.S_ISDIR(status.st_mode):
            found.problems.append(Problem(_shown(root, entry), "is not a plain file"))
    except UnicodeEncodeError:
        reason = "has a name that is not UTF-8; rename it"
        found.problems.append(Problem(_shown(root, entry), reason))
    except OSError as error:
        reason = f"cannot be opened: {error.strerror}"
        found.problems.append(Problem(_shown(root, entry), reason))


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _too_large(size: int, policy: Policy) -> str:
    return (
        f"has {size / 1e6:.0f} MB, more than the limit of {policy.max_bytes / 1e6:.0f} MB; "
        "split it or raise Policy.max_bytes"
    )


def _shown(root: Path, path: Path | os.DirEntry[str]) -> str:
    """Return a path relative to the folder that can be printed whatever its bytes are."""
    return Path(path).relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode()

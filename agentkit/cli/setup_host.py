"""What every step of `agentkit setup` needs: words for a person, commands with a log, apt.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_HEARTBEAT = 30.0  # seconds between two signs of life of a long command
_TICK = 0.2  # seconds between two looks at a command
_GRACE = 60.0  # seconds in which an interrupted command ends by itself: apt must not be cut short
_LISTS_FRESH = 24 * 3600.0  # seconds for which apt's package lists are taken as they are
_LOG_LIMIT = 4_000_000  # bytes after which the log starts anew

# What went wrong, read from the output of pip or apt, most telling first.
_CAUSES = (
    (r"no space left|quota exceeded", "the disk is full", "free some space"),
    (
        r"certificate.verif",
        "the certificate of the package index is not trusted",
        "name your network's certificate authority in SSL_CERT_FILE and PIP_CERT",
    ),
    (
        r"temporary failure|not known|unreachable|refused|timed out|proxyerror|failed to fetch",
        "the package index cannot be reached",
        "check the network and its proxy settings (HTTPS_PROXY, PIP_INDEX_URL)",
    ),
    (
        r"(?:no matching distribution found for|unable to locate package) ([^\s;]+)",
        "the package index has no {}",
        "check which index is configured (PIP_NO_INDEX, PIP_INDEX_URL, apt's sources)",
    ),
    (
        r"read-only file system|permission denied",
        "a file there may not be written",
        "run it as the owner of the folder, or on a copy of your own",
    ),
)


class Problem(Exception):
    """Something is missing and setup cannot get it: the cause in a sentence, and a way forward."""

    def __init__(self, cause: str, way_forward: str) -> None:
        super().__init__(f"{cause}. Way forward: {way_forward}.")
        self.cause = cause
        self.way_forward = way_forward


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended: its exit code and all that it printed."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Host:
    """The machine as the steps see it.

    Attributes:
        env: environment of setup and of every command that it runs.
        root: whether system packages may be installed and daemons started.
        log: file that takes what the commands print.
        admin_path: folders searched after PATH, which for a user often lacks them.
        apt_lists: folder of apt's package lists.
    """

    env: Mapping[str, str]
    root: bool
    log: Path
    admin_path: str = "/usr/local/sbin:/usr/sbin:/sbin"
    apt_lists: Path = Path("/var/lib/apt/lists")

    @classmethod
    def here(cls) -> Host:
        """This machine, with its log in the user's state folder."""
        env = dict(os.environ)
        state = Path(env.get("XDG_STATE_HOME") or Path.home() / ".local/state", "agentkit")
        try:
            state.mkdir(parents=True, exist_ok=True)
        except OSError:  # a home that cannot be written, as in some containers
            state = Path(tempfile.gettempdir(), f"agentkit-{os.geteuid()}")
            state.mkdir(mode=0o700, exist_ok=True)
        return cls(env=env, root=os.geteuid() == 0, log=state / "setup.log")

    @property
    def no_install(self) -> bool:
        """Whether the user forbade every installation."""
        return self.env.get("AGENTKIT_NO_INSTALL", "").lower() not in ("", "0", "false", "no")

    def find(self, program: str) -> str | None:
        """Path of a program, the administrator's folders included."""
        return shutil.which(program, path=f"{self.env.get('PATH', '')}:{self.admin_path}")

    def say(self, step: str, text: str) -> None:
        """One line for the person, on stderr."""
        sys.stderr.write(f"setup: {step}: {text}\n")
        sys.stderr.flush()

    @contextmanager
    def timed(self, step: str, text: str) -> Generator[None]:
        """Say what is about to be done, and in the end how long it took."""
        self.say(step, text)
        started = time.monotonic()
        yield
        self.say(step, f"done in {time.monotonic() - started:.1f} s")

    def run(
        self,
        step: str,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        echo: bool = False,
    ) -> Done:
        """Run a command to its end; what it prints goes to the log, signs of life to stderr.

        Args:
            step: name of the step, for the signs of life.
            argv: program and arguments.
            cwd: folder to run in.
            env: variables on top of the host's own.
            echo: say each line that the command prints; of one that fails, all but the last,
                which is for the `Problem` to tell.
        """
        with self._opened_log() as log:
            log.write(f"\n$ {shlex.join(argv)}\n".encode())
            log.flush()
            begin = log.seek(0, os.SEEK_END)
            try:
                child = subprocess.Popen(
                    list(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=cwd,
                    env={**self.env, **(env or {})},
                )
            except OSError as error:
                return Done(127, f"{argv[0]}: {error.strerror}")
            printed = _Printed(log.fileno(), begin)
            try:
                code = self._wait(step, child, printed if echo else None)
            except KeyboardInterrupt:
                _let_end(child)
                raise
            return Done(code, printed.text())

    def failure(self, what: str, done: Done) -> Problem:
        """The problem behind a failed pip or apt, told in one sentence instead of its output."""
        lines = [line.strip() for line in done.text.splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"(?i)(error|e|fatal)\b", line)]
        cause = (errors or lines or [f"exit code {done.code}"])[-1][:200].rstrip(".")
        remedy = "mend what it names"
        for pattern, meaning, cure in _CAUSES:
            if found := re.search(pattern, done.text, re.IGNORECASE):
                cause, remedy = meaning.format(*found.groups()), cure
                break
        cause = re.sub(r"//[^/@\s]+@", "//***@", cause)  # an index address may carry a password
        return Problem(
            f"{what} failed: {cause}",
            f"{remedy}, then run the same command again; the whole output is in {self.log}",
        )

    def apt_install(self, step: str, packages: Sequence[str], why: str) -> None:
        """Install packages of Debian or Ubuntu.

        Args:
            step: name of the step.
            packages: names as apt knows them.
            why: what is missing without them, as the beginning of a sentence.

        Raises:
            Problem: forbidden, not root, no apt, or apt failed.
        """
        names = " ".join(packages)
        if not self.find("apt-get"):
            raise Problem(why, f"install {names} with this system's package manager")
        if self.no_install or not self.root:
            forbidden = "AGENTKIT_NO_INSTALL is set" if self.no_install else "you are not root"
            sudo = "" if self.root else "sudo "
            raise Problem(
                f"{why}, and {forbidden}, so that nothing is installed",
                f"run `{sudo}apt-get install --no-install-recommends {names}`, then this again",
            )
        with self.timed(step, f"apt-get installs {names}"):
            self._apt(step, packages)

    def _apt(self, step: str, packages: Sequence[str]) -> None:
        # --no-remove: on a machine with Docker's own packages apt would remove those for ours.
        install = ("install", "-y", "--no-install-recommends", "--no-remove", *packages)
        fresh = self._lists_are_fresh()
        if not fresh:
            self._apt_get(step, "update")
        done = self._apt_get(step, *install)
        if done.code and "dpkg --configure -a" in done.text:  # an earlier apt was interrupted
            self.run(step, ["dpkg", "--configure", "-a"], env=_UNATTENDED)
            done = self._apt_get(step, *install)
        if done.code and fresh:  # the lists may name versions that are gone
            updated = self._apt_get(step, "update")
            done = self._apt_get(step, *install)
            done = Done(done.code, updated.text + done.text)
        if done.code:
            raise self.failure(f"apt-get install {' '.join(packages)}", done)

    def _apt_get(self, step: str, *arguments: str) -> Done:
        wait = ("-o", "DPkg::Lock::Timeout=300")  # another apt may be at work, e.g. at boot
        return self.run(step, ["apt-get", *wait, *arguments], env=_UNATTENDED)

    def _lists_are_fresh(self) -> bool:
        lists = self.apt_lists.glob("*_Packages*")
        newest = max((file.stat().st_mtime for file in lists), default=0.0)
        return time.time() - newest < _LISTS_FRESH

    def _opened_log(self) -> BinaryIO:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            log = os.fdopen(os.open(self.log, flags, 0o600), "r+b")
        except OSError as error:
            raise Problem(
                f"the log {self.log} cannot be written ({error.strerror})",
                "remove it, or set XDG_STATE_HOME to a folder that can be written",
            ) from None
        if log.seek(0, os.SEEK_END) > _LOG_LIMIT:
            log.truncate(0)
        return log

    def _wait(self, step: str, child: subprocess.Popen[bytes], printed: _Printed | None) -> int:
        started = time.monotonic()
        heartbeat = started + _HEARTBEAT
        while True:
            try:
                code = child.wait(_TICK)
            except subprocess.TimeoutExpired:
                code = None
            for line in printed.fresh_lines(code) if printed else ():
                self.say(step, line)
            if code is not None:
                return code
            if time.monotonic() >= heartbeat:
                heartbeat += _HEARTBEAT
                self.say(step, f"still at it after {time.monotonic() - started:.0f} s")


class _Printed:
    """What a command has printed so far, read back from the log."""

    def __init__(self, log: int, begin: int) -> None:
        self._log = log
        self._begin = begin
        self._told = 0
        self._seen = 0

    def text(self) -> str:
        return os.pread(self._log, _LOG_LIMIT, self._begin).decode(errors="replace")

    def fresh_lines(self, code: int | None) -> list[str]:
        """Lines to tell now: each at the second look, when it is clear that it is not the last."""
        lines = self.text().splitlines()
        if code is None:
            until, self._seen = self._seen, len(lines)
        else:
            until = len(lines) if code == 0 else len(lines) - 1
        fresh = lines[self._told : until]
        self._told += len(fresh)
        return fresh


def _let_end(child: subprocess.Popen[bytes]) -> None:
    """Wait for a child that the terminal's Ctrl-C has reached as well; then insist."""
    try:
        child.wait(_GRACE)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        child.kill()
        child.wait()


_UNATTENDED = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "a", "LC_ALL": "C.UTF-8"}

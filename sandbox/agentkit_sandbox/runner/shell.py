"""The forked process that runs one shell command."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Final, NoReturn

from agentkit_sandbox.runner import confine, kernel

SHELLS: Final = ("/bin/bash", "/bin/sh")
STDOUT, STDERR, FIRST_FOREIGN = 1, 2, 3
NO_SHELL: Final = 127


def start(command: bytes, internet: bool, stdout: int, stderr: int) -> NoReturn:  # noqa: FBT001 (by partial)
    """Become the shell in a process that was just forked; never returns.

    Args:
        command: text of the command.
        internet: whether it may have sockets of the internet's families.
        stdout: pipe for what it prints.
        stderr: pipe for what it complains about.
    """
    try:
        confine.leave_supervisor()
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # as programs expect; Python ignores the last two
        os.dup2(stdout, STDOUT)
        os.dup2(stderr, STDERR)
        os.closerange(FIRST_FOREIGN, os.sysconf("SC_OPEN_MAX"))
        confine.lock(internet=internet)
        os.chdir(kernel.WORKSPACE)
        for shell in SHELLS:
            with suppress(FileNotFoundError):
                os.execv(shell, [shell, "-c", command])  # noqa: S606 (its job)
        os.write(STDERR, b"There is no shell in this image.\n")
    except BaseException as error:  # noqa: BLE001 (nothing may return into the supervisor's code)
        with suppress(BaseException):
            os.write(STDERR, f"shell: {error!r}\n".encode())
    finally:
        os._exit(NO_SHELL)

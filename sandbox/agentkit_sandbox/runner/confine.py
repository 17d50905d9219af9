"""What a process forked from the supervisor does before it runs code that is not ours."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from agentkit_sandbox.runner import seccomp


def leave_supervisor() -> None:
    """Give up what belongs to PID 1: its signal handlers, its session, its process group."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()


def lock(*, internet: bool) -> None:
    """Become the first victim when memory ends, and lose the system calls nobody needs.

    Only for a process that holds no control descriptor any more, because it can be looked into
    from here on.

    Args:
        internet: allow sockets of the internet's families, at least to the sandbox itself.
    """
    # oom_score_adj belongs to root while a process is not dumpable.
    seccomp.set_dumpable(dumpable=True)
    Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    seccomp.install(internet=internet)

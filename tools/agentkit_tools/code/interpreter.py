"""`CodeInterpreter`: a toolset whose sandbox lives as long as a run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from agentkit.tool import Tool
from agentkit_sandbox import (
    Backend,
    BubblewrapBackend,
    DockerBackend,
    LocalBackend,
    SandboxPolicy,
)
from agentkit_tools.code.inputs import Inputs
from agentkit_tools.code.session import CodeSession

DEFAULT_POLICY: Final = SandboxPolicy()

Isolation = Literal["docker", "bwrap"]


class CodeInterpreter:
    """Python and a shell in a sandbox of its own for each run: `execute_code` and `run_shell`.

    Where no sandbox can be had, the tools say so to the model and nothing is run: there is no
    way around the sandbox but the one that is asked for by its name.

    Args:
        packages: Python packages beyond numpy, pandas and matplotlib, such as ["polars"]; they
            are checked against an allow-list, and the image with them is built once.
        policy: what a sandbox may use: memory, time, network, image.
        isolation: "docker": a hardened container. "bwrap": namespaces by bubblewrap on this
            machine, without a limit on all memory together, without images and packages.
        unsafe_local: run code as this user, without any sandbox. It may read, change and send
            everything that the user may.
        backend: where sandboxes come from instead, such as a `Pool` that many runs share.
        documents: folder of files that the model may have put into the sandbox, each by its path
            below the folder: what `Documents` calls the document's id.
        prewarm: start the sandbox in the background when a run opens, while the model thinks;
            False starts it at the first call.

    Raises:
        ValueError: two of these contradict each other.
        NotADirectoryError: there is no such folder of documents.
    """

    def __init__(
        self,
        *,
        packages: Sequence[str] = (),
        policy: SandboxPolicy = DEFAULT_POLICY,
        isolation: Isolation = "docker",
        unsafe_local: bool = False,
        backend: Backend | None = None,
        documents: str | Path | None = None,
        prewarm: bool = True,
    ) -> None:
        if isolation not in ("docker", "bwrap"):
            raise ValueError(f'isolation={isolation!r}: give "docker" or "bwrap".')
        if (unsafe_local or isolation != "docker") and (backend is not None or packages):
            raise ValueError("packages and backend belong to Docker: leave them out.")
        if unsafe_local and isolation != "docker":
            raise ValueError("Give isolation or unsafe_local, not both.")
        self._policy = replace(policy, packages=tuple(packages)) if packages else policy
        self._isolation = isolation
        self._unsafe_local = unsafe_local
        self._backend = backend
        self._documents = None if documents is None else Path(documents).resolve()
        if self._documents is not None and not self._documents.is_dir():
            raise NotADirectoryError(f"CodeInterpreter: no folder at {str(self._documents)!r}.")
        self._prewarm = prewarm

    def open(self) -> AbstractAsyncContextManager[Sequence[Tool]]:
        """Return a context manager that yields the tools, with a session of their own."""
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[Sequence[Tool]]:
        # A back end for each run, because it belongs to the event loop it was used in.
        backend = self._backend or self._own_backend()
        session = CodeSession(backend, self._policy, Inputs(self._documents))
        try:
            if self._prewarm:
                session.begin()
            around = self._surroundings()
            yield [
                replace(one, description=f"{one.description}\n\n{around}")
                for one in (session.execute_code, session.run_shell)
            ]
        finally:
            await session.close()
            if backend is not self._backend:
                await backend.close()

    def _own_backend(self) -> Backend:
        if self._unsafe_local:
            return LocalBackend(unsafe_local=True)
        return BubblewrapBackend() if self._isolation == "bwrap" else DockerBackend()

    def _surroundings(self) -> str:
        """Return what the model has to know of the place where its programs run."""
        policy = self._policy
        parts: list[str] = []
        if self._unsafe_local:
            return "Programs run on the user's own machine, without a sandbox: be careful."
        if self._isolation == "docker" and policy.image is None:
            names = ["numpy", "pandas", "matplotlib", *policy.packages]
            parts.append(f"Installed: {', '.join(names)}.")
        if policy.runner is not None:
            parts.append(f"execute_code runs programs by `{' '.join(policy.runner.command)}`.")
        if policy.allowlist:
            parts.append(
                f"The network reaches {', '.join(policy.allowlist)} alone, by https through the "
                "proxy that the environment names."
            )
        elif policy.network == "none":
            parts.append("There is no network.")
        if self._documents is not None:
            parts.append("`files` takes the ids of documents.")
        return " ".join(parts)

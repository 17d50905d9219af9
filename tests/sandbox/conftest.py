"""A live sandbox for tests that are no coroutines."""

import asyncio

import pytest

from agentkit_sandbox import DockerBackend, SandboxPolicy


class Box:
    """Sandboxes on one event loop.

    Attributes:
        session: the one that `run` uses.
    """

    def __init__(self):
        self._runner = asyncio.Runner()
        self.backend = DockerBackend()
        self.session = self.start()

    def start(self, **policy):
        """Start a further sandbox."""
        return self.wait(self.backend.start(SandboxPolicy(**policy)))

    def wait(self, coroutine):
        """Run a coroutine to its end."""
        return self._runner.run(coroutine)

    def run(self, code, timeout=10.0, session=None):
        """Run a program and return its result."""
        return self.wait((session or self.session).execute(code, timeout))

    def close(self):
        self.wait(self.session.close())
        self._runner.close()


@pytest.fixture(scope="module")
def box(docker_ready):
    """One live sandbox for the tests of a module, in their order."""
    box = Box()
    yield box
    box.close()

"""Shared by all tests: what the marker `docker` needs."""

import os
import sys

import pytest

import postgres

IMAGE = pytest.StashKey[str]()


def pytest_collection_finish(session):
    """Build the sandbox image before the first test, whose time limit is shorter than a build."""
    if session.config.option.collectonly:
        return
    if any(item.get_closest_marker("docker") for item in session.items):
        from agentkit_sandbox import SandboxUnavailable
        from agentkit_sandbox.image.builder import build

        try:
            session.config.stash[IMAGE] = build(print)
        except SandboxUnavailable as error:
            session.config.stash[IMAGE] = f"!{error}"


@pytest.fixture(scope="session")
def docker_ready(request):
    """The name of the sandbox image, on a daemon that answers.

    Without one the test is skipped, except in CI (CI=true), where that is a failure.
    """
    found = request.config.stash[IMAGE]
    if not found.startswith("!"):
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have a Docker daemon and the image. {found[1:]}", pytrace=False)
    pytest.skip(f"THE SANDBOX IS NOT TESTED HERE. {found[1:]}")


@pytest.fixture(autouse=True)
def _docker_where_marked(request):
    if request.node.get_closest_marker("docker"):
        request.getfixturevalue("docker_ready")


@pytest.fixture(autouse=True)
def _log_unconfigured():
    """Undo what a command that ran in this process did to the operator's log."""
    yield
    if (structlog := sys.modules.get("structlog")) and structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL server of this session's own.

    Without the programs the test is skipped, except in CI (CI=true), where that is a failure.
    """
    programs = postgres.programs()
    if programs is None:
        why = "POSTGRESQL IS NOT TESTED HERE. `agentkit setup --with postgres` installs it."
        if os.environ.get("CI") == "true":
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    server = postgres.Postgres(programs)
    yield server
    server.remove()

"""Shared by all tests: what the marker `docker` needs."""

import os

import pytest


@pytest.fixture(scope="session")
def docker_ready():
    """The name of the sandbox image, on a daemon that answers.

    Without a daemon the test is skipped, except in CI (CI=true), where that is a failure.
    """
    from agentkit_sandbox import SandboxUnavailable
    from agentkit_sandbox.docker import connect
    from agentkit_sandbox.image.builder import build

    try:
        connect()
    except SandboxUnavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have a Docker daemon. {error}", pytrace=False)
        pytest.skip(f"NO DOCKER DAEMON, THE SANDBOX IS NOT TESTED. {error}")
    return build(print)


@pytest.fixture(autouse=True)
def _docker_where_marked(request):
    if request.node.get_closest_marker("docker"):
        request.getfixturevalue("docker_ready")

"""What the tests of families of agents share; see `families`."""

import pytest
from families import tools_on


@pytest.fixture
def done():
    """What a family's tools did, in order."""
    return []


@pytest.fixture
def tools(done):
    """The tools of a family."""
    return tools_on(done)

"""Hostile programs in real containers: what must hold after each of them, holds."""

import pytest
from arena import PROGRAMS, Arena, load

pytestmark = pytest.mark.docker
ATTACKS = {path.stem: load(path) for path in sorted(PROGRAMS.glob("*.py"))}


@pytest.fixture(scope="module")
def arena(request, docker_ready, tmp_path_factory):
    """All chosen attacks, running side by side."""
    chosen = [
        ATTACKS[item.callspec.params["name"]]
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_attack"
    ]
    arena = Arena(chosen, tmp_path_factory.mktemp("host") / "canary")
    yield arena
    arena.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(arena, name):
    assert arena.results[name].result(timeout=100) == []


def test_nothing_is_left_on_the_host(arena):
    assert arena.left.result(timeout=100) == []


def test_there_are_attacks_enough():
    assert len(ATTACKS) > 100

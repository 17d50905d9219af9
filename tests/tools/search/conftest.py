"""Folders of documents, with an index that lives beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agentkit_tools.search.index import Index

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for documents."""
    path = tmp_path / "documents"
    path.mkdir()
    return path


@pytest.fixture
def put(folder: Path) -> Callable[..., Path]:
    """Write a document, a long time ago unless told otherwise."""

    def write(name: str, content: str | bytes, age: float | None = None) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if age is not None:
            moment = path.stat().st_mtime - age
            os.utime(path, (moment, moment))
        return path

    return write


@pytest.fixture
def index(folder: Path, tmp_path: Path) -> Iterator[Index]:
    opened = Index(folder, tmp_path / "index.db")
    yield opened
    opened.close()


@pytest.fixture
def warnings() -> Iterator[list[dict[str, object]]]:
    """What was logged, as structlog's events."""
    with capture_logs() as logs:
        yield logs  # type: ignore[misc]


@pytest.fixture(scope="session")
def examples() -> Iterator[Index]:
    """The example documents that come with the project."""
    opened = Index(ROOT / "examples" / "documents", ":memory:")
    yield opened
    opened.close()

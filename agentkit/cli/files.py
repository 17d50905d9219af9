"""Files that commands write: where they go, and what is said when they cannot."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click

from agentkit.agent.result import save_artifact
from agentkit.errors import ConfigError
from agentkit.tool import Artifact


def artifacts_option(words: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option that says where artifacts go."""
    return click.option(
        "--artifacts",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("artifacts"),
        show_default=True,
        help=words,
    )


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: an older one stays until the new one is there.

    Raises:
        ConfigError: it cannot be written there.
    """
    draft = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        try:
            with draft.open("xb") as file:
                file.write(data)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}. Name another file."
        ) from error


def save(artifact: Artifact, folder: Path) -> Path:
    """Write an artifact into a folder under a name that is free, and return its path.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        return save_artifact(folder, artifact)
    except OSError as error:
        raise ConfigError(
            f"{artifact.name} cannot be saved in {folder}: {error.strerror}. Name another folder "
            "with --artifacts."
        ) from error

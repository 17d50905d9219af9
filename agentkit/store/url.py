"""Stores by URL, as AGENTKIT_STORE names them."""

from __future__ import annotations

from urllib.parse import urlsplit

from agentkit.config import Settings
from agentkit.errors import ConfigError
from agentkit.store.base import Store
from agentkit.store.sqlite import SQLiteStore


def open_store(url: str | None = None) -> Store:
    """Return the store at a URL; nothing is opened or connected before its first use.

    Args:
        url: `sqlite:///FOLDER` (three slashes and a relative folder, four and an absolute one; it
            holds runs.db and blobs/) or `postgresql://USER@HOST/DATABASE`. Default: AGENTKIT_STORE,
            else SQLite in AGENTKIT_HOME.

    Raises:
        ConfigError: another URL, or PostgreSQL without the extra.
    """
    settings = Settings.load()
    url = url or settings.store
    if url is None:
        return SQLiteStore(settings.home)
    scheme, colon, rest = url.partition("://")
    if colon and scheme == "sqlite" and len(rest) > 1 and rest.startswith("/"):
        return SQLiteStore(rest[1:])
    if colon and scheme in ("postgresql", "postgres"):
        # Late: most runs need no PostgreSQL, and psycopg is an extra.
        from agentkit.store.postgres import PostgresStore  # noqa: PLC0415

        return PostgresStore(url)
    raise ConfigError(
        f"{_without_password(url)!r} names no store. Expected sqlite:///FOLDER or "
        "postgresql://USER@HOST/DATABASE."
    )


def _without_password(url: str) -> str:
    return url.replace(urlsplit(url).netloc, "...", 1) if "@" in url else url

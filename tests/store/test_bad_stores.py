"""A store that is damaged, full, gone or unknown: a typed error, nothing acknowledged lost."""

from __future__ import annotations

import asyncio
import importlib
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from agentkit.config import Settings
from agentkit.errors import ConfigError, LogUnreadable, StoreError
from agentkit.events import now
from agentkit.store import SQLiteStore, open_store
from bodies import notes
from logs import read_log


def written(folder, count=2000):
    """Return the path of a closed log of one run."""

    async def main():
        store = SQLiteStore(folder)
        await store.append("run", notes("run", count), 0)
        await store.close()

    asyncio.run(main())
    return folder / "runs.db"


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_truncated_database_is_told(tmp_path, share):
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(LogUnreadable, match="damaged"):
        read_log(tmp_path, "run")


def test_pages_that_were_overwritten_are_told(tmp_path):
    path = written(tmp_path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8192] = b"\xff" * 8192
    path.write_bytes(data)
    with pytest.raises(LogUnreadable, match="damaged"):
        read_log(tmp_path, "run")


def test_an_event_that_vanished_from_the_middle_is_told(places):
    async def main():
        store = places()
        await store.append("run", notes("run", 5), 0)
        if isinstance(store, SQLiteStore):
            with sqlite3.connect(store._path) as db:
                db.execute("DELETE FROM events WHERE seq = 2")
            db.close()
        else:
            await store._count("DELETE FROM agentkit_events WHERE seq = %s", (2,))
        with pytest.raises(LogUnreadable, match="lost event 2"):
            await store.load("run")
        with pytest.raises(LogUnreadable, match="lost event 2"):
            await store.load("run", after=0)
        await store.close()

    asyncio.run(main())


FULL = textwrap.dedent(
    """
    import asyncio, resource, sys
    from agentkit.errors import StoreError
    from agentkit.events import Event, Noted, now
    from agentkit.store import SQLiteStore

    def allow(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    async def main():
        store = SQLiteStore(sys.argv[1])
        seq = 0
        async def append(count):
            body = Noted(topic="n", text="x" * 900)
            more = [Event("run", seq + index, now(), body) for index in range(count)]
            await store.append("run", more, seq)
        await append(1)
        seq = 1
        allow(300_000)
        errors = 0
        while errors < 3:
            try:
                await append(1 + seq % 3)
                seq += 1 + (seq % 3)
            except StoreError as error:
                errors += 1
                assert "cannot be used" in str(error), error
        full = seq
        try:
            await store.put_blob(b"x" * 400_000)
        except StoreError:
            print("blob refused")
        allow(resource.RLIM_INFINITY)
        for _ in range(5):
            await append(1)
            seq += 1
        print(full, seq)

    asyncio.run(main())
    """
)


def test_a_disk_that_is_full_in_the_middle_of_an_append_loses_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    refused, figures = done.stdout.splitlines()
    full, acknowledged = map(int, figures.split())
    assert refused == "blob refused"
    assert full > 20
    assert [event.seq for event in read_log(tmp_path, "run")] == list(range(acknowledged))
    assert not [path for path in (tmp_path / "blobs").rglob(".*") if path.is_file()]


def test_times_that_run_backwards_change_no_order(store):
    async def main():
        first, second = notes("run", 2)
        late = type(first)("run", 0, "2999-01-01T00:00:00.000000+00:00", first.body)
        await store.append("run", [late], 0)
        await store.append("run", [second], 1)
        assert await store.load("run") == [late, second]
        assert second.at < late.at <= (await store.runs())[0].started_at
        assert now() < late.at

    asyncio.run(main())


def test_a_missing_and_an_impossible_blob_are_told(store):
    async def main():
        for wrong in ("0" * 64, "../../etc/passwd", ""):
            with pytest.raises(StoreError):
                await store.get_blob(wrong)

    asyncio.run(main())


@pytest.mark.parametrize("url", ["mysql://me:secret@host/db", "sqlite:", "sqlite:///", "x"])
def test_a_url_that_names_no_store_is_refused_without_its_password(url):
    with pytest.raises(ConfigError, match="names no store") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_the_environment_names_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTKIT_STORE", f"sqlite:///{tmp_path}/own")
    asyncio.run(open_store().append("run", notes("run", 1), 0))
    assert len(read_log(tmp_path / "own", "run")) == 1
    settings = Settings.load({"AGENTKIT_STORE": "postgresql://me:secret@host/db"})
    assert settings.store
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("agentkit.store.postgres", "psycopg", "postgres"),
        ("agentkit.trace.otel", "opentelemetry", "otel"),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_its_extra(
    monkeypatch, module, library, extra
):
    monkeypatch.delitem(sys.modules, module, raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf"agentkit-glm\[{extra}\]"):
        importlib.import_module(module)

"""A PostgreSQL server of the tests' own, on a free loopback port, as an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from itertools import count
from pathlib import Path


def programs():
    """Return the folder of initdb and pg_ctl, the newest version's, or None."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    found = versions[-1] if versions else shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _version(path):
    name = path.parents[1].name
    return int(name) if name.isdigit() else 0


class Postgres:
    """One server: made, started, stopped and started again, and removed."""

    def __init__(self, folder, *, sync=False):
        self._bin = folder
        self._user = _unprivileged() if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="agentkit-pg-", dir="/tmp"))
        if self._user:
            shutil.chown(self._folder, self._user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._sync = sync
        self._numbers = count()
        self._run("initdb", "-D", self._data, "-U", "agentkit", "-A", "trust", "-N", "-E", "UTF8")
        self.start()

    @property
    def _data(self):
        return str(self._folder / "data")

    def url(self):
        """Return the URL of a fresh, empty schema."""
        import psycopg

        name = f"test{next(self._numbers)}"
        base = f"postgresql://agentkit@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(base, autocommit=True) as db:
            db.execute(f"CREATE SCHEMA {name}")
        return f"{base}?options=-csearch_path%3D{name}"

    def start(self):
        options = f"-p {self.port} -h 127.0.0.1 -k {self._folder}"
        if not self._sync:
            options += " -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", self._data, "-w", "-l", log, "-o", options, "start")

    def stop(self):
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def remove(self):
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program, *arguments):
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # no pipe: the server would inherit it and keep it open
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            user=self._user,
            group=pwd.getpwnam(self._user).pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed with {done.returncode}")


def _unprivileged():
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError("no unprivileged user for PostgreSQL")

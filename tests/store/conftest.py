"""A real PostgreSQL server for the session, and a place for a store of each kind."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .apsw_connection import connected_by_apsw
from .places import InDatabase, InFile, InMemory, Place

PORT = "5432"
"""Only part of a socket's name: the server listens on no network."""


def _programs() -> str | None:
    """The folder of PostgreSQL's programs."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return str(folder)
    found = shutil.which("initdb")
    return os.path.dirname(found) if found else None


class Database:
    """A server of its own in a temporary folder, reached by a unix socket."""

    def __init__(self, programs: str) -> None:
        self.programs = programs
        # It must not run as root, and its user must be able to reach the folder.
        self.folder = tempfile.mkdtemp(prefix="levada-postgres-", dir="/tmp")
        self.user = "postgres" if os.getuid() == 0 else getpass.getuser()
        if os.getuid() == 0:
            shutil.chown(self.folder, self.user)
        self.url = f"postgresql://levada@/postgres?host={self.folder}&port={PORT}"

    def run(self, program: str, *arguments: str) -> None:
        """One of PostgreSQL's programs, as its user; what it says is shown when it fails."""
        words = [os.path.join(self.programs, program), *arguments]
        if os.getuid() == 0:
            words = ["runuser", "-u", self.user, "--", *words]
        done = subprocess.run(words, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        self.run("initdb", "--no-sync", "--auth=trust", "--username=levada", "--encoding=UTF8", "--pgdata", f"{self.folder}/data")
        options = f"-p {PORT} -k {self.folder} -c listen_addresses= -c fsync=off -c max_connections=50"
        self.run("pg_ctl", "start", "-w", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-o", options)

    def restart(self) -> None:
        """As after a crash: every session is cut off."""
        self.run("pg_ctl", "restart", "-w", "-m", "immediate", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log")

    def stop(self) -> None:
        try:
            self.run("pg_ctl", "stop", "-m", "immediate", "-D", f"{self.folder}/data")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the server runs in one process, so that there is one."""
    here = f"{Path(__file__).parent}{os.sep}"
    for item in items:
        place = getattr(getattr(item, "callspec", None), "params", {}).get("place")
        if str(item.path).startswith(here) and (place == "postgresql" or "database" in getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("postgresql"))


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """The URL of a real PostgreSQL server; skipped where there is none, which fails a run of CI."""
    programs = _programs()
    if sys.platform == "win32" or programs is None:
        pytest.skip("there is no PostgreSQL (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    server = Database(programs)
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def file_place(tmp_path: Path) -> Iterator[InFile]:
    place = InFile(tmp_path)
    yield place
    place.close()


@pytest.fixture
def database_place(database: str) -> Iterator[InDatabase]:
    place = InDatabase(database)
    yield place
    place.close()


@pytest.fixture(params=["memory", "sqlite", "sqlite-by-apsw", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A new place of each kind in turn."""
    made: Place
    if request.param == "memory":
        made = InMemory()
    elif request.param == "sqlite":
        made = InFile(tmp_path)
    elif request.param == "sqlite-by-apsw":
        made = InFile(tmp_path, connected_by_apsw)
    else:
        made = InDatabase(request.getfixturevalue("database"))
    yield made
    made.close()

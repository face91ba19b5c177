"""A database of each kind for a test: PostgreSQL and MariaDB from servers of the session, SQLite and DuckDB in files."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from levada.contrib.sql import engines
from tests.store.conftest import database as database  # a PostgreSQL server for the session

from .servers import MariaDB


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A real MariaDB server; skipped where there is none, which fails a run of CI."""
    server = MariaDB()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def postgresql(database: str) -> Iterator[str]:
    """The URL of an empty database of PostgreSQL."""
    name = f"t{uuid.uuid4().hex}"
    admin = sa.create_engine(database.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name}")
    yield database.replace("@/postgres?", f"@/{name}?")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name} with (force)")
    admin.dispose()


@pytest.fixture
def mysql(mariadb: MariaDB) -> Iterator[str]:
    """The URL of an empty database of MariaDB."""
    name = f"t{uuid.uuid4().hex}"
    admin = sa.create_engine(mariadb.url("").replace("mariadb:", "mariadb+pymysql:"))
    with admin.connect() as connection:
        connection.exec_driver_sql(f"create database {name}")
    yield mariadb.url(name)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"drop database {name}")
    admin.dispose()


KINDS = ["sqlite", "postgresql", "mariadb", "duckdb"]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind in turn."""
    return url_of(request.param, request, tmp_path)


def url_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of an empty database of this kind."""
    if kind == "sqlite":
        return f"sqlite:///{folder}/data.db"
    if kind == "duckdb":
        pytest.importorskip("duckdb_engine", reason="duckdb-engine is not installed (levada[duckdb])")
        return f"duckdb:///{folder}/data.duckdb"
    found: str = request.getfixturevalue("mysql" if kind == "mariadb" else kind)
    return found


@pytest.fixture(autouse=True)
def _own_engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Engines that end with the test."""
    monkeypatch.setattr(engines, "_engines", {})
    yield
    for engine in engines._engines.values():
        engine.dispose()

"""Luigi's tasks of databases, on real ones: whole or absent, and with markers that count on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from threading import Barrier
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

import levada as lv
from levada.contrib.sql import SqlTarget, engines, query
from levada.errors import TargetExists, TargetUnreachable
from levada.luigi.contrib import mysqldb, postgres, rdbms, sqla
from tests.luigi.stores.late import refused_as_late

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("luigi-sql")]


@pytest.fixture(autouse=True)
def _own_engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Engines that end with the test."""
    monkeypatch.setattr(engines, "_engines", {})
    monkeypatch.setattr(sqla, "_engines", {})
    yield
    for engine in [*engines._engines.values(), *sqla._engines.values()]:
        engine.dispose()


@pytest.fixture
def server(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Host, port, database, user and password of an empty database of PostgreSQL."""
    parts = urlsplit(postgresql)
    options = parse_qs(parts.query)
    place = {
        "host": options["host"][0],
        "port": int(options["port"][0]),
        "database": parts.path[1:],
        "user": parts.username,
        "password": "",
    }
    for name in ("host", "port", "database", "user", "password"):
        monkeypatch.setattr(Cities, name, place[name])
        monkeypatch.setattr(Shout, name, place[name])
    return place


class Cities(postgres.CopyToTable):
    """Rows with all that COPY has to escape."""

    part = lv.Parameter(default="first")
    table = "cities"
    columns = [("name", "TEXT"), ("people", "INT"), ("note", "TEXT")]

    def rows(self) -> Iterable[Sequence[Any]]:
        yield "Zürich\t(ZH)", 443_037, "a\\b\nc"
        yield "Basel", None, None


class Shout(postgres.PostgresQuery):
    """A statement."""

    table = "cities"
    query = "update cities set name = upper(name)"


def test_rows_are_loaded_once_and_as_they_were(server: dict[str, Any], postgresql: str) -> None:
    """Tabs, line ends and NULLs come through; the table is made; a second run finds the update there."""
    task = Cities()
    assert not task.complete()
    assert lv.run(task).exit_code == 0
    assert task.complete()
    assert lv.run(task).exit_code == 0
    rows = list(query(postgresql, "select name, people, note from cities order by name"))
    assert rows == [("Basel", None, None), ("Zürich\t(ZH)", 443_037, "a\\b\nc")]
    assert list(query(postgresql, "select update_id, target_table from table_updates")) == [(task.task_id, "cities")]


class Odd(postgres.CopyToTable):
    """Texts that look like COPY's own words, and values of many types."""

    table = "odd"
    columns = [("id", "INT"), ("said", "TEXT"), ("many", "NUMERIC"), ("day", "DATE"), ("yes", "BOOLEAN")]
    null_values = (None, "n/a")
    texts = (r"\N", r"\\N", r"\.", "", "n/a", "'", '"', "%s", "a|b", "\v\b\f\r", "\u2028", "𝄞", "x" * 3_000_000)

    def rows(self) -> Iterable[Sequence[Any]]:
        for number, said in enumerate(self.texts):
            yield number, said, Decimal("1e20"), date(2024, 2, 29), True


@pytest.mark.parametrize("separator", ["\t", "|", ","])
def test_texts_that_look_like_words_of_copy_come_through(
    server: dict[str, Any], postgresql: str, monkeypatch: pytest.MonkeyPatch, separator: str
) -> None:
    """NULL is what null_values says, and nothing else."""
    for name in ("host", "port", "database", "user", "password"):
        monkeypatch.setattr(Odd, name, server[name])
    monkeypatch.setattr(Odd, "column_separator", separator)
    Odd().run()
    rows = list(query(postgresql, "select said, many, day, yes from odd order by id"))
    assert [said for said, *_ in rows] == [None if text == "n/a" else text for text in Odd.texts]
    assert {tuple(row[1:]) for row in rows} == {(Decimal("1e20"), date(2024, 2, 29), True)}


def test_an_update_that_luigi_marked_is_done_for_us_and_ours_for_the_house(server: dict[str, Any], postgresql: str) -> None:
    """The table of markers is the same for Luigi, for its spelling here, and for new programs."""
    target = Cities().output()
    connection = target.connect()
    connection.cursor().execute(
        "CREATE TABLE table_updates (update_id TEXT PRIMARY KEY, target_table TEXT, inserted TIMESTAMP DEFAULT NOW())"
    )
    connection.cursor().execute("INSERT INTO table_updates (update_id, target_table) VALUES (%s, 'cities')", (target.update_id,))
    connection.commit()
    connection.close()
    assert target.exists()
    assert SqlTarget(postgresql, "cities", target.update_id).exists()
    Cities(part="second").output().touch()
    assert SqlTarget(postgresql, "cities", Cities(part="second").task_id).exists()


def test_a_marker_is_added_once(server: dict[str, Any], postgresql: str) -> None:
    """The second of two loads of the same update is undone with its rows."""
    Cities().run()
    with pytest.raises(TargetExists):
        Cities().run()
    assert list(query(postgresql, "select count(*) from cities")) == [(2,)]


def test_loads_that_make_their_table_at_once_all_load(server: dict[str, Any], postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find no table; the one that comes second to make it finds it made."""
    both = Barrier(2)
    making = postgres.CopyToTable.create_table

    def make(task: Any, connection: Any) -> None:
        both.wait(20)
        making(task, connection)

    monkeypatch.setattr(Cities, "create_table", make)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(Cities(part=part).run) for part in ("one", "two")]:
            done.result()
    assert list(query(postgresql, "select count(*) from cities")) == [(4,)]


def test_who_may_make_no_table_may_mark_in_one_that_is_there(
    server: dict[str, Any], postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PostgreSQL 15 has it for all but a database's owner."""
    Cities(part="before").run()
    connection = Cities().output().connect()
    cursor = connection.cursor()
    cursor.execute("create role loader login")
    cursor.execute("grant select, insert on table_updates, cities to loader")
    connection.commit()
    monkeypatch.setattr(Cities, "user", "loader")
    try:
        Cities().run()
        assert Cities().complete()
    finally:
        cursor.execute("drop owned by loader")
        cursor.execute("drop role loader")
        connection.commit()
        connection.close()


def test_a_lease_that_was_lost_loads_nothing(server: dict[str, Any], postgresql: str) -> None:
    """The lease is asked before the commit, as in the house."""
    Cities(part="before").run()
    with refused_as_late():
        Cities().run()
    assert not Cities().complete()
    assert list(query(postgresql, "select count(*) from cities")) == [(2,)]


def test_a_query_and_its_marker_are_one_transaction(server: dict[str, Any], postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails leaves neither; what ends well leaves both."""
    assert lv.run(Shout()).exit_code != 0
    assert not Shout().complete()
    Cities().run()
    assert lv.run(Shout()).exit_code == 0
    assert Shout().complete()
    assert [name for (name,) in query(postgresql, "select name from cities order by name")] == ["BASEL", "ZÜRICH\t(ZH)"]


def test_a_database_that_is_away_is_not_an_absent_update() -> None:
    target = postgres.PostgresTarget("127.0.0.1:1", "none", "nobody", "", "cities", "first")
    with pytest.raises(TargetUnreachable, match="cities first"):
        target.exists()


def test_what_a_subclass_forgot_is_named() -> None:
    class Forgot(postgres.CopyToTable):
        table = "cities"

    with pytest.raises(NotImplementedError, match="Forgot: host is not said"):
        Forgot().output()


def test_a_port_may_stand_behind_the_host() -> None:
    assert rdbms.split_host("db:5433", 1, 5432) == ("db", "5433")
    assert rdbms.split_host("db", 1, 5432) == ("db", 1)


# -- MariaDB -----------------------------------------------------------------------------------


class Rivers(mysqldb.CopyToTable):
    """Rows that go in several pieces."""

    user = "root"
    password = ""
    table = "rivers"
    columns = [("name", "VARCHAR(50)"), ("length", "INT")]
    bulk_size = 2

    def rows(self) -> Iterable[Sequence[Any]]:
        return [("Aare", 288), ("Reuss", 164), ("Inn", None)]


def test_mariadb_takes_rows_once(mysql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = urlsplit(mysql)
    monkeypatch.setattr(Rivers, "host", f"{parts.hostname}:{parts.port}")
    monkeypatch.setattr(Rivers, "database", parts.path[1:])
    task = Rivers()
    assert lv.run(task).exit_code == 0
    assert lv.run(task).exit_code == 0
    assert list(query(mysql, "select name, length from rivers order by name")) == [("Aare", 288), ("Inn", None), ("Reuss", 164)]
    assert SqlTarget(mysql, "rivers", task.task_id).exists()
    task.output().touch()  # as with Luigi, a marker may be set again


# -- SQLAlchemy --------------------------------------------------------------------------------


class Lakes(sqla.CopyToTable):
    """As in Luigi's documentation."""

    connection_string = lv.Parameter()
    table = "lakes"
    columns = [(["name", sa.String(64)], {"primary_key": True}), (["depth", sa.Integer], {})]
    chunk_size = 2
    broken = False

    def rows(self) -> Iterable[Sequence[Any]]:
        yield from [("Thun", 217), ("Brienz", 260), ("Biel", 74)]
        if self.broken:
            raise ValueError("the user's own")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lakes.db"
    found: str = request.getfixturevalue("postgresql")
    return found.replace("postgresql://", "postgresql+psycopg://")


def test_sqla_loads_rows_and_marker_together(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that fails after two pieces leaves no row; the next run adds each once."""
    task = Lakes(connection_string=url)
    assert isinstance(task, lv.contrib.sql.CopyToTable)
    monkeypatch.setattr(Lakes, "broken", True)
    assert lv.run(task).exit_code != 0
    assert list(query(url, "select * from lakes")) == []
    monkeypatch.setattr(Lakes, "broken", False)
    assert lv.run(task).exit_code == 0
    assert sorted(query(url, "select name, depth from lakes")) == [("Biel", 74), ("Brienz", 260), ("Thun", 217)]
    assert task.output() == SqlTarget(url, "lakes", task.task_id)
    assert SqlTarget(url, "lakes", task.task_id).exists()


def test_sqla_targets_are_asked_together(url: str) -> None:
    """One question for all of a database, as for the house's own."""
    targets = [sqla.SQLAlchemyTarget(url, "lakes", f"update-{number}") for number in range(3)]
    targets[1].touch()
    assert sqla.SQLAlchemyTarget.exists_many(targets) == [False, True, False]
    targets[1].touch()
    assert targets[1].exists()


class Deeper(sqla.CopyToTable):
    """Changes rows of a table that is there."""

    connection_string = lv.Parameter()
    table = "lakes"
    reflect = True

    def rows(self) -> Iterable[Sequence[Any]]:
        return [("Biel", 75)]

    def copy(self, conn: Any, ins_rows: Any, table_bound: Any) -> None:
        change = table_bound.update().where(table_bound.c.name == sa.bindparam("_name"))
        conn.execute(change.values({table_bound.c.depth: sa.bindparam("_depth")}), ins_rows)


def test_sqla_tasks_may_change_rows(url: str) -> None:
    assert lv.run(Lakes(connection_string=url)).exit_code == 0
    assert lv.run(Deeper(connection_string=url)).exit_code == 0
    assert sorted(query(url, "select depth from lakes")) == [(75,), (217,), (260,)]

"""An update exists when its marker does; absent, there and not known are told apart."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from threading import Barrier, Thread

import pytest
import sqlalchemy as sa

from levada import config
from levada._plan.existence import Existence
from levada.config.settings import load
from levada.contrib.sql import SqlTarget, engines, query
from levada.errors import LeaseLost, TargetError, TargetExists, TargetUnreachable
from levada.targets import atomic
from tests.contrib.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sql")]


def make_numbers(url: str) -> None:
    with engines.engine_for(url).begin() as connection:
        connection.exec_driver_sql("create table numbers (number integer)")


def numbers(url: str) -> list[int]:
    return sorted(row[0] for row in query(url, "select number from numbers"))


def test_rows_and_marker_appear_together(url: str) -> None:
    make_numbers(url)
    target = SqlTarget(url, "numbers", "first")
    assert not target.exists()
    with target.writing() as connection:
        connection.exec_driver_sql("insert into numbers values (1)")
        if not url.startswith("duckdb"):  # one process, many readers: the others are asked from another connection
            assert not target.exists()
    assert target.exists()
    assert numbers(url) == [1]
    assert not SqlTarget(url, "numbers", "second").exists()
    assert not SqlTarget(url, "others", "first").exists()


def test_a_block_that_raises_leaves_nothing(url: str) -> None:
    make_numbers(url)
    target = SqlTarget(url, "numbers", "first")
    with pytest.raises(KeyError, match="the user's own"), target.writing() as connection:
        connection.exec_driver_sql("insert into numbers values (1)")
        raise KeyError("the user's own")
    assert not target.exists()
    assert numbers(url) == []


def test_what_is_there_is_not_written_again(url: str) -> None:
    make_numbers(url)
    target = SqlTarget(url, "numbers", "first")
    with target.writing():
        pass
    with pytest.raises(TargetExists, match="is there already"), target.writing() as connection:
        connection.exec_driver_sql("insert into numbers values (1)")
    assert numbers(url) == []


@pytest.mark.parametrize("url", ["postgresql", "mariadb"], indirect=True)
def test_of_writers_at_once_one_commits_and_the_rows_of_the_others_are_undone(url: str) -> None:
    make_numbers(url)
    target, start = SqlTarget(url, "numbers", "first"), Barrier(8)
    target.prepare()
    won: list[int] = []
    lost: list[int] = []

    def write(number: int) -> None:
        try:
            with target.writing() as connection:
                connection.exec_driver_sql(f"insert into numbers values ({number})")
                start.wait()
            won.append(number)
        except TargetExists:
            lost.append(number)

    threads = [Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert numbers(url) == won


def test_of_two_in_sqlite_the_second_waits_and_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/data.db"
    make_numbers(url)
    target, start = SqlTarget(url, "numbers", "first"), Barrier(2)
    target.prepare()
    told: list[str] = []

    def write(number: int) -> None:
        try:
            with target.writing() as connection:
                start.wait()
                connection.exec_driver_sql(f"insert into numbers values ({number})")
            told.append("won")
        except TargetExists:
            told.append("lost")

    threads = [Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["lost", "won"]
    assert len(numbers(url)) == 1


def test_the_marker_may_join_a_transaction_of_the_callers_own(url: str) -> None:
    make_numbers(url)
    target = SqlTarget(url, "numbers", "first")
    target.prepare()
    with target.engine.begin() as connection:
        connection.exec_driver_sql("insert into numbers values (1)")
        target.touch(connection)
    assert target.exists()
    with pytest.raises(TargetExists), target.engine.begin() as connection:
        connection.exec_driver_sql("insert into numbers values (2)")
        target.touch(connection)
    assert numbers(url) == [1]


def test_a_lease_that_was_lost_commits_nothing(url: str) -> None:
    make_numbers(url)

    def lost() -> None:
        raise LeaseLost("numbers", held="1.1", newest="1.2")

    target = SqlTarget(url, "numbers", "first")
    atomic.set_tag("0badcafe", "1.1", lost)
    try:
        with pytest.raises(LeaseLost), target.writing() as connection:
            connection.exec_driver_sql("insert into numbers values (1)")
    finally:
        atomic.clear_tag()
    assert not target.exists()
    assert numbers(url) == []


def test_a_marker_that_is_removed_is_absent(url: str) -> None:
    target = SqlTarget(url, "numbers", "first")
    target.remove()  # of what was never there
    with target.writing():
        pass
    target.remove()
    assert not target.exists()
    with target.writing():
        pass
    assert target.exists()


HOSTILE = ["with space", "ümläut-日本語-🌊", "quote'\"`$;&|", "100% :name", "back\\slash", "A", "a", "x" * 255, "new\nline", "' or 1=1 --"]


def test_names_are_taken_as_they_are(url: str) -> None:
    for name in HOSTILE:
        target = SqlTarget(url, f"table {name}"[:255], name)
        assert not target.exists(), name
        with target.writing():
            pass
        assert target.exists(), name
    assert all(SqlTarget.exists_many([SqlTarget(url, f"table {name}"[:255], name) for name in HOSTILE]))


def test_a_name_that_another_table_has_is_told(url: str) -> None:
    with SqlTarget(url, "numbers", "first").writing():
        pass
    with pytest.raises(TargetExists, match="is marked, of table 'numbers'"), SqlTarget(url, "letters", "first").writing():
        pass


# -- many ----------------------------------------------------------------------------------------


@pytest.fixture
def statements() -> list[str]:
    """What is asked of databases from here on, but for what is asked when connecting."""
    asked: list[str] = []

    @sa.event.listens_for(sa.engine.Engine, "before_cursor_execute")
    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    yield asked
    sa.event.remove(sa.engine.Engine, "before_cursor_execute", note)


def test_ten_thousand_updates_cost_ten_questions(url: str, statements: list[str]) -> None:
    target = SqlTarget(url, "numbers", "u0")
    target.prepare()
    markers = sa.table("table_updates", sa.column("update_id"), sa.column("target_table"))
    with target.engine.begin() as connection:
        connection.execute(markers.insert(), [{"update_id": f"u{number}", "target_table": "numbers"} for number in range(0, 10_000, 50)])
    targets = [SqlTarget(url, "numbers", f"u{number}") for number in range(10_000)]
    statements.clear()
    answers = Existence().ask(targets)
    assert [at for at, answer in enumerate(answers) if answer] == list(range(0, 10_000, 50))
    assert set(map(type, answers)) == {bool}
    assert len([one for one in statements if "update_id" in one]) == 10


def test_a_database_that_is_away_costs_its_own_targets_alone(tmp_path: Path) -> None:
    there = SqlTarget(f"sqlite:///{tmp_path}/data.db", "numbers", "first")
    with there.writing():
        pass
    away = SqlTarget(f"sqlite:///{tmp_path}/no/folder/data.db", "numbers", "first")
    absent = SqlTarget(there.url, "numbers", "second")
    answers = Existence().ask([away, there, absent])
    assert isinstance(answers[0], TargetUnreachable)
    assert answers[1:] == [True, False]


# -- not known -----------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["sqlite", "duckdb"], indirect=True)
def test_a_look_makes_no_file(url: str, tmp_path: Path) -> None:
    assert not SqlTarget(url, "numbers", "first").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_markers_has_no_updates_and_is_not_written_to(url: str) -> None:
    make_numbers(url)
    assert not SqlTarget(url, "numbers", "first").exists()
    assert not sa.inspect(engines.engine_for(url)).has_table("table_updates")


def unreachable(url: str) -> str:
    """What is said of a target there; the same in one question as in many."""
    target = SqlTarget(url, "numbers", "first")
    with pytest.raises(TargetUnreachable) as caught:
        target.exists()
    (answer,) = Existence().ask([target])
    assert str(answer) == str(caught.value)
    with pytest.raises(TargetError), target.writing():
        raise AssertionError("nothing is written where nobody listens")
    return str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "mariadb", "mysql"])
def test_no_server_is_unreachable(scheme: str) -> None:
    said = unreachable(f"{scheme}://levada:hush@127.0.0.1:{free_port()}/data")
    assert "Is the database up" in said
    assert "hush" not in said


def test_a_wrong_password_is_unreachable_and_not_shown(mysql: str) -> None:
    said = unreachable(mysql.replace("root@", "nobody:hush@"))
    assert "Look at user and password" in said
    assert "hush" not in said


def test_a_user_that_postgresql_does_not_know_is_unreachable(postgresql: str) -> None:
    assert "Look at user and password" in unreachable(postgresql.replace("levada@", "nobody:hush@"))


def test_a_database_that_is_not_there_is_unreachable(postgresql: str, mysql: str) -> None:
    assert "name of the database" in unreachable(postgresql.replace("@/t", "@/no"))
    assert "name of the database" in unreachable(mysql.rpartition("/")[0] + "/no")


def test_markers_that_may_not_be_read_are_not_absent(postgresql: str) -> None:
    SqlTarget(postgresql, "numbers", "first").prepare()
    with engines.engine_for(postgresql).begin() as connection:
        connection.exec_driver_sql("drop role if exists stranger")
        connection.exec_driver_sql("create role stranger login")
    with pytest.raises(TargetUnreachable, match="permission denied") as caught:
        SqlTarget(postgresql.replace("levada@", "stranger@"), "numbers", "first").exists()
    assert "lacks a right" in str(caught.value)


def test_a_table_that_holds_no_markers_is_not_absent(url: str) -> None:
    with engines.engine_for(url).begin() as connection:
        connection.exec_driver_sql("create table table_updates (something integer)")
    with pytest.raises(TargetUnreachable):
        SqlTarget(url, "numbers", "first").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nothing", "is no URL of a database"),
        ("postgresql://a:b:c/x", "is no URL of a database"),
        ("snowflake://account/database", 'pip install "snowflake-sqlalchemy"'),
        ("oracle+nothing://x", "docs/sql.md"),
        ("sqlite+nothing:///x", "docs/sql.md"),
    ],
)
def test_a_url_that_cannot_be_used_is_told(url: str, said: str) -> None:
    with pytest.raises(TargetError) as caught:
        SqlTarget(url, "numbers", "first").exists()
    assert said in str(caught.value)
    assert "b:c" not in str(caught.value)


def test_without_sqlalchemy_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(TargetError) as caught:
        SqlTarget("sqlite://", "numbers", "first").exists()
    assert 'pip install "levada[sql]"' in str(caught.value)


def test_without_the_driver_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(TargetError) as caught:
        SqlTarget("mariadb://127.0.0.1/x", "numbers", "first").exists()
    assert 'pip install "levada[mysql]"' in str(caught.value)


@pytest.mark.parametrize("arguments", [("", "t", "u"), ("sqlite://", "", "u"), ("sqlite://", "t", ""), ("sqlite://", "t", "x" * 256)])
def test_wrong_arguments_are_refused(arguments: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="SqlTarget"):
        SqlTarget(*arguments)


# -- markers of others ---------------------------------------------------------------------------


def test_markers_of_luigi_count(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    with sqlite3.connect(path) as old:
        old.execute(
            "create table table_updates"
            " (update_id varchar(128) not null, target_table varchar(128), inserted datetime, primary key (update_id))"
        )
        old.execute("insert into table_updates values ('Load_2013_01_05', 'flights', '2013-01-06 03:00:00.000000')")
    old.close()
    url = f"sqlite:///{path}"
    assert SqlTarget(url, "flights", "Load_2013_01_05").exists()
    with SqlTarget(url, "flights", "Load_2013_01_06").writing():
        pass
    assert SqlTarget(url, "flights", "Load_2013_01_06").exists()


def test_markers_of_luigi_in_mysql_count(mysql: str) -> None:
    """Made as luigi.contrib.mysqldb makes them: with a number, and folding case."""
    with engines.engine_for(mysql).begin() as connection:
        connection.exec_driver_sql(
            "create table table_updates (id bigint(20) not null auto_increment, update_id varchar(128) not null, target_table varchar(128),"
            " inserted timestamp default now(), primary key (update_id), key id (id))"
        )
        connection.exec_driver_sql("insert into table_updates (update_id, target_table) values ('Load_A', 'flights')")
    assert SqlTarget(mysql, "flights", "Load_A").exists()
    assert not SqlTarget(mysql, "flights", "load_a").exists()
    with pytest.raises(TargetExists), SqlTarget(mysql, "flights", "load_a").writing():  # the old table takes one for the other
        pass


def test_the_table_of_markers_can_have_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/data.db"
    with SqlTarget(url, "numbers", "first", marker_table="own marks").writing():
        pass
    assert SqlTarget(url, "numbers", "first", marker_table="own marks").exists()
    assert not SqlTarget(url, "numbers", "first").exists()
    monkeypatch.setattr(config, "_current", load({"LEVADA_SQL__MARKER_TABLE": "own marks"}, str(tmp_path)))
    assert SqlTarget(url, "numbers", "first").exists()
    assert sa.inspect(engines.engine_for(url)).get_table_names() == ["own marks"]


def test_targets_are_equal_by_what_they_name() -> None:
    one = SqlTarget("sqlite://", "numbers", "first")
    assert one == SqlTarget("sqlite://", "numbers", "first")
    assert len({one, SqlTarget("sqlite://", "numbers", "first"), SqlTarget("sqlite://", "numbers", "second")}) == 2
    shown = SqlTarget("postgresql://levada:hush@host/data", "numbers", "first")
    assert "hush" not in f"{shown} {shown!r}"

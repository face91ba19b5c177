"""Loads and statements: whole or absent, with the rows that were meant."""

from __future__ import annotations

import datetime
import decimal
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import levada as lv
from levada.contrib.sql import CopyToTable, SqlTarget, SqlTask, engines, query
from levada.contrib.sql.loading import RowError
from levada.errors import TargetError, TargetExists, TargetUnreachable, TargetWriteError

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sql")]


class Numbers(CopyToTable):
    url: str
    name: str = "first"

    table = "numbers"
    columns = [("number", sa.Integer), ("square", sa.BigInteger), ("name", sa.String(50))]

    def rows(self) -> Iterable[Sequence[Any]]:
        return ((number, number * number, f"n{number}" if number % 3 else None) for number in range(12_345))


def test_a_load_is_whole_and_done_once(url: str) -> None:
    task = Numbers(url=url)
    assert lv.run(task).exit_code == 0
    rows = sorted(query(url, "select number, square, name from numbers"))
    assert len(rows) == 12_345
    assert rows[0] == (0, 0, None)
    assert rows[-1] == (12_344, 12_344**2, "n12344")
    assert task.complete()
    assert lv.run(task).exit_code == 0
    with pytest.raises(TargetExists):
        task.run()
    assert len(list(query(url, "select number from numbers"))) == 12_345


def test_a_second_update_is_added_to_the_table(url: str) -> None:
    assert lv.run([Numbers(url=url), Numbers(url=url, name="second")]).exit_code == 0
    assert list(query(url, "select count(*) from numbers")) == [(24_690,)]


class Values(CopyToTable):
    url: str

    table = "values of all kinds"
    columns = [
        sa.Column("a whole", sa.Integer, primary_key=True, autoincrement=False),
        ("text \"'`%:", sa.Text()),
        ("größe", sa.Double),
        ("exact", sa.Numeric(12, 2)),
        ("day", sa.Date),
        ("moment", sa.DateTime),
        ("yes", sa.Boolean),
        ("bytes", sa.LargeBinary),
        ("order", sa.JSON),
    ]

    def rows(self) -> Iterator[Sequence[Any]]:
        yield from VALUES


VALUES: list[tuple[Any, ...]] = [
    (1, "tab\there\nand\\N there", 1.5, decimal.Decimal("1234567890.25"), datetime.date(2013, 1, 5),
     datetime.datetime(2013, 1, 5, 23, 59, 59), True, b"\x00\xff\\", {"a": [1, "ü"]}),
    (2, "", -0.0, decimal.Decimal("-0.01"), datetime.date(1970, 1, 1), datetime.datetime(1970, 1, 1), False, b"", []),
    (3, "日本語 🌊 'quoted' \"twice\"", 1e300, decimal.Decimal("0.00"), datetime.date(9999, 12, 31),
     datetime.datetime(2038, 1, 19, 3, 14, 8), None, None, {"k": None}),
    (4, None, None, None, None, None, None, None, {"only": "null"}),
]  # fmt: skip


@pytest.mark.parametrize("url", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_values_names_and_nulls_come_back_as_they_were(url: str) -> None:
    if url.startswith("mariadb"):  # its own default knows few letters
        with engines.engine_for(url).begin() as connection:
            connection.exec_driver_sql(f"alter database {url.rpartition('/')[2]} character set utf8mb4")
    task = Values(url=url)
    task.run()
    assert task.complete()
    table = task._table(engines.engine_for(url))
    assert sorted(query(url, sa.select(table)), key=lambda row: row[0]) == VALUES


def test_values_and_nulls_come_back_from_duckdb(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    from .conftest import url_of

    class Some(Values):
        columns = Values.columns[:-1]

        def rows(self) -> Iterator[Sequence[Any]]:
            return (row[:-1] for row in VALUES)

    task = Some(url=url_of("duckdb", request, tmp_path))
    task.run()
    table = task._table(engines.engine_for(task.url))
    assert sorted(query(task.url, sa.select(table)), key=lambda row: row[0]) == [row[:-1] for row in VALUES]


class Flights(lv.Task):
    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget("flights.tsv")

    def run(self) -> None:
        self.output().write_text("1545\t2013-01-05\t\n\t2013-01-06\t-2.5\n")


class Load(CopyToTable):
    url: str

    table = "flights"
    columns = [("number", "INTEGER"), ("day", "DATE"), ("delay", "DOUBLE PRECISION")]
    null_values = ("",)

    def requires(self) -> Flights:
        return Flights()


@pytest.mark.usefixtures("in_tmp")
def test_lines_of_the_input_are_rows_of_texts(url: str) -> None:
    assert lv.run(Load(url=url)).exit_code == 0
    rows = [(number, str(day), delay) for number, day, delay in query(url, "select number, day, delay from flights order by day")]
    assert rows == [(1545, "2013-01-05", None), (None, "2013-01-06", -2.5)]


@pytest.mark.parametrize("url", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_columns_may_be_those_that_the_database_knows(url: str) -> None:
    class Reflected(Numbers):
        columns = ()
        reflect = True

    task = Reflected(url=url)
    with pytest.raises(TargetError, match="there is no such table"):
        task.run()
    with engines.engine_for(url).begin() as connection:
        connection.exec_driver_sql("create table numbers (number integer, square bigint, name varchar(20))")
    task.run()
    assert list(query(url, "select count(*) from numbers")) == [(12_345,)]


def test_where_a_dialect_cannot_tell_columns_it_is_said(tmp_path: Path) -> None:
    pytest.importorskip("duckdb_engine", reason="duckdb-engine is not installed (levada[duckdb])")
    if sa.__version__.startswith("2.0."):
        pytest.skip("by design: the dialect can tell columns to SQLAlchemy 2.0")

    class Reflected(Numbers):
        columns = ()
        reflect = True

    task = Reflected(url=f"duckdb:///{tmp_path}/data.duckdb")
    with engines.engine_for(task.url).begin() as connection:
        connection.exec_driver_sql("create table numbers (number integer, square bigint, name varchar)")
    with pytest.raises(TargetError, match="cannot be learnt"):
        task.run()


def test_a_table_lives_in_its_schema(postgresql: str) -> None:
    class InSchema(Numbers):
        schema = "own schema"

    with engines.engine_for(postgresql).begin() as connection:
        connection.exec_driver_sql('create schema "own schema"')
    InSchema(url=postgresql).run()
    assert list(query(postgresql, 'select count(*) from "own schema".numbers')) == [(12_345,)]


def test_hooks_are_part_of_the_transaction(url: str) -> None:
    class Renewed(Numbers):
        def init_copy(self, connection: sa.Connection) -> None:
            connection.exec_driver_sql("delete from numbers")

        def post_copy(self, connection: sa.Connection) -> None:
            connection.exec_driver_sql("delete from numbers where number > 9")

    Renewed(url=url).run()
    Renewed(url=url, name="second").run()
    assert list(query(url, "select count(*) from numbers")) == [(10,)]

    class Failing(Renewed):
        def post_copy(self, connection: sa.Connection) -> None:
            connection.exec_driver_sql("delete from no_such_table")

    with pytest.raises(TargetError, match="no_such_table"):
        Failing(url=url, name="third").run()
    assert list(query(url, "select count(*) from numbers")) == [(10,)]


# -- wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((1, 2), r"numbers: row 7,001 has 2 values, the table takes 3 \(number, square, name\): \(1, 2\)"),
        ((1, 2, "x", 4), r"row 7,001 has 4 values, the table takes 3 \(number, square, name\): \(1, 2, 'x', 4\)"),
        ("abc", "row 7,001 is a str, not a list or tuple"),
        (None, "row 7,001 is a NoneType"),
        ({"number": 1, "square": 1, "name": "x"}, "row 7,001 is a dict"),
    ],
)
def test_a_row_that_does_not_fit_is_named_and_nothing_is_there(url: str, row: Any, said: str) -> None:
    class Wrong(Numbers):
        def rows(self) -> Iterator[Any]:
            yield from ((number, 0, "x") for number in range(7000))
            yield row

    task = Wrong(url=url)
    with pytest.raises(RowError, match=said) as caught:
        task.run()
    assert caught.value.row == 7001
    assert not task.complete()
    assert list(query(url, "select count(*) from numbers")) == [(0,)]


def test_a_value_that_the_database_refuses_is_named(url: str) -> None:
    class Wrong(CopyToTable):
        url: str

        table = "days"
        columns = [("day", sa.Integer)]

        def create_table(self, engine: sa.Engine) -> None:
            with engine.begin() as connection:
                connection.exec_driver_sql("create table if not exists days (day integer check (day < 400))")

        def rows(self) -> Iterator[Any]:
            yield from ((number % 366,) for number in range(6000))
            yield (401,)

    task = Wrong(url=url)
    with pytest.raises(TargetError) as caught:
        task.run()
    said = str(caught.value)
    assert "check" in said.lower() or "constraint" in said.lower(), said
    assert "6,00" in said or "line 6001" in said, said
    assert "Nothing of this transaction is there" in said
    assert list(query(url, "select count(*) from days")) == [(0,)]


def test_a_text_that_is_no_number_is_named_with_its_line(postgresql: str) -> None:
    class Wrong(Numbers):
        def rows(self) -> Iterator[Any]:
            yield from (("1", "1", "x") for _ in range(10))
            yield ("many", "1", "x")

    with pytest.raises(TargetError, match='line 11, column number: "many"'):
        Wrong(url=postgresql).run()


def test_a_value_that_the_columns_type_refuses_is_named(postgresql: str) -> None:
    class Wrong(Values):
        def rows(self) -> Iterator[Any]:
            yield VALUES[0]
            yield (*VALUES[1][:-1], {1, 2})

    with pytest.raises(RowError, match=r"row 2: TypeError: .*set"):
        Wrong(url=postgresql).run()


@pytest.mark.parametrize("columns", [(), [3], [("number", int)], [("a", "b", "c")]])
def test_columns_that_are_none_are_told(columns: Any, tmp_path: Path) -> None:
    wrong: Any = type("Wrong", (Numbers,), {"columns": columns, "__module__": __name__})
    with pytest.raises(ValueError, match=r"column"):
        wrong(url=f"sqlite:///{tmp_path}/data.db").run()


def test_columns_without_types_make_no_table(url: str) -> None:
    class Bare(Numbers):
        columns = ["number", ("square", sa.Integer), "name"]

    with pytest.raises(TargetError, match="these columns have no type: number, name"):
        Bare(url=url).run()
    with engines.engine_for(url).begin() as connection:
        connection.exec_driver_sql("create table numbers (name varchar(20), number integer, square bigint)")
    Bare(url=url).run()
    assert list(query(url, "select max(number) from numbers")) == [(12_344,)]


def test_a_column_may_be_declared_as_with_luigi(tmp_path: Path) -> None:
    class Old(Numbers):
        columns = [
            (["number", sa.Integer], {"primary_key": True}),
            (["square", sa.Integer], {}),
            (["name", sa.String(9)], {"nullable": True}),
        ]

    url = f"sqlite:///{tmp_path}/data.db"
    Old(url=url).run()
    assert sa.inspect(engines.engine_for(url)).get_pk_constraint("numbers")["constrained_columns"] == ["number"]


def test_a_task_without_a_table_or_an_input_of_lines_says_so(tmp_path: Path) -> None:
    class Nameless(CopyToTable):
        url = f"sqlite:///{tmp_path}/data.db"

    class Inputless(CopyToTable):
        url = f"sqlite:///{tmp_path}/data.db"
        table = "numbers"
        columns = [("number", sa.Integer)]

    with pytest.raises(ValueError, match="table names the table"):
        Nameless().run()
    with pytest.raises(TypeError, match=r"say in rows\(\) what the rows are"):
        Inputless().run()


# -- statements ----------------------------------------------------------------------------------


class Sums(SqlTask):
    url: str
    least: int = 2

    def ddl(self) -> Iterable[Any]:
        yield "create table if not exists sums (least integer, total integer)"
        yield "create table if not exists numbers (number integer)"

    def statements(self) -> Iterable[Any]:
        yield "insert into numbers values (1), (2), (3)"
        yield "insert into sums select :least, sum(number) from numbers where number >= :least", {"least": self.least}
        yield sa.update(sa.table("sums", sa.column("total"))).values(total=sa.column("total") + 100)


def test_statements_run_in_one_transaction(url: str) -> None:
    task = Sums(url=url)
    assert lv.run(task).exit_code == 0
    assert list(query(url, "select least, total from sums")) == [(2, 105)]
    assert task.output().table == "Sums"


def test_a_statement_that_fails_is_named_and_none_has_happened(url: str) -> None:
    class Failing(Sums):
        def statements(self) -> Iterable[Any]:
            yield from super().statements()
            yield "insert into\n   nowhere values (1)"

    task = Failing(url=url)
    with pytest.raises(TargetError, match=r"statement 4 \(insert into nowhere values \(1\)\)"):
        task.run()
    assert not task.complete()
    assert list(query(url, "select * from sums")) == []


# -- reading -------------------------------------------------------------------------------------


def test_a_query_reads_with_values(url: str) -> None:
    Numbers(url=url).run()
    assert list(query(url, "select number from numbers where square between :a and :b order by 1", {"a": 4, "b": 25})) == [
        (2,),
        (3,),
        (4,),
        (5,),
    ]
    reading = query(url, "select number from numbers order by number")
    assert next(reading) == (0,)
    reading.close()


def test_a_query_that_is_refused_is_told_from_a_database_that_is_away(url: str) -> None:
    with pytest.raises(TargetError, match="nowhere"):
        list(query(url, "select * from nowhere"))
    with pytest.raises(TargetUnreachable):
        list(query("postgresql://levada@127.0.0.1:1/x", "select 1"))
    with pytest.raises(KeyError, match="the reader's own"):
        for _ in query(url, "select 1"):
            raise KeyError("the reader's own")


# -- faults --------------------------------------------------------------------------------------


def cut_off(url: str) -> None:
    """End all other connections of this database, as an operator would."""
    engine = sa.create_engine(engines._parsed(url))
    with engine.connect() as connection:
        if engine.name == "postgresql":
            connection.exec_driver_sql(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            )
        else:
            others = "select id from information_schema.processlist where db = database() and id <> connection_id()"
            for (number,) in connection.exec_driver_sql(others).fetchall():
                connection.exec_driver_sql(f"kill {number}")
    engine.dispose()


@pytest.mark.parametrize("url", ["postgresql", "mariadb"], indirect=True)
def test_a_connection_that_is_cut_in_a_load_leaves_nothing_and_the_next_attempt_does_it(url: str) -> None:
    class Cut(Numbers):
        retry = lv.Retry(attempts=2, first=0.01)
        cuts = [1]

        def rows(self) -> Iterator[Any]:
            for number in range(60_000):
                if number == 30_000 and self.cuts:
                    self.cuts.pop()
                    cut_off(self.url)
                yield number, 0, "x" * 40

    task = Cut(url=url)
    with pytest.raises(TargetWriteError) as caught:
        task.run()
    assert "Nothing of this transaction is there" in str(caught.value)
    assert not task.complete()
    assert list(query(url, "select count(*) from numbers")) == [(0,)]
    Cut.cuts.append(1)
    assert lv.run(task).exit_code == 0
    assert list(query(url, "select count(*) from numbers")) == [(60_000,)]


@pytest.mark.parametrize("url", ["postgresql", "mariadb"], indirect=True)
def test_pooled_connections_that_the_server_closed_meanwhile_are_made_anew(url: str) -> None:
    target = SqlTarget(url, "numbers", "first")
    assert not target.exists()
    cut_off(url)
    assert not target.exists()


@pytest.mark.parametrize("url", ["postgresql", "mariadb"], indirect=True)
def test_where_the_answer_to_a_commit_is_lost_the_marker_tells(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database commits, and the connection dies before it can say so."""
    target = SqlTarget(url, "numbers", "first")
    target.prepare()
    commit = target.engine.dialect.do_commit

    def lost(connection: Any) -> None:
        commit(connection)
        if target_writes:
            cut_off(url)
            connection.cursor().execute("select 1")

    target_writes = [True]
    monkeypatch.setattr(target.engine.dialect, "do_commit", lost)
    with target.writing():
        pass
    target_writes.clear()
    assert target.exists()


@pytest.mark.parametrize("url", ["postgresql", "mariadb"], indirect=True)
def test_where_a_commit_did_not_happen_it_is_an_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = SqlTarget(url, "numbers", "first")
    target.prepare()

    def lost(connection: Any) -> None:
        cut_off(url)
        connection.cursor().execute("select 1")

    with monkeypatch.context() as patched:
        patched.setattr(target.engine.dialect, "do_commit", lost)
        with pytest.raises(TargetWriteError), target.writing():
            pass
    assert not target.exists()


def test_a_statement_that_takes_too_long_is_undone(postgresql: str) -> None:
    class Slow(Sums):
        def statements(self) -> Iterable[Any]:
            yield "insert into numbers values (1)"
            yield "select pg_sleep(30)"

    task = Slow(url=f"{postgresql}&options=-c%20statement_timeout%3D200")
    with pytest.raises(TargetWriteError, match="statement timeout"):
        task.run()
    assert not task.complete()
    assert list(query(postgresql, "select * from numbers")) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    class Full(Numbers):
        def init_copy(self, connection: sa.Connection) -> None:
            connection.exec_driver_sql("pragma max_page_count = 30")

    task = Full(url=f"sqlite:///{tmp_path}/data.db")
    with pytest.raises(TargetWriteError, match="full") as caught:
        task.run()
    assert "Make room" in str(caught.value)
    assert not task.complete()
    assert list(query(task.url, "select * from numbers")) == []


def program(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    environ = {**os.environ, "PYTHONPATH": f"{root}/src{os.pathsep}{root}"}
    return subprocess.run(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("programs.py")), *words],
        env=environ, capture_output=True, text=True, **more,
    )  # fmt: skip


def test_a_kill_in_the_middle_of_a_load_leaves_nothing(url: str) -> None:
    engines._engines.clear()
    killed = program("load", url, "100000", "60000")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(query(url, "select count(*) from numbers")) == [(0,)]
    assert not SqlTarget(url, "numbers", "first").exists()
    done = program("load", url, "100000", "-1")
    assert done.returncode == 0, done.stderr
    assert list(query(url, "select count(*) from numbers")) == [(100_000,)]
    assert SqlTarget(url, "numbers", "first").exists()


@pytest.mark.timeout(600)
def test_a_million_rows_need_no_more_memory_than_a_few(url: str) -> None:
    few = json.loads(program("load", url, "20000", "-1", "few").stdout)
    many = json.loads(program("load", url, "1000000", "-1", "many", timeout=580).stdout)
    assert list(query(url, "select count(*) from numbers")) == [(1_020_000,)]
    database = 100_000 if url.startswith("duckdb") else 0  # it lives in the same process, and keeps pages
    assert many["kilobytes"] < few["kilobytes"] + 30_000 + database


@pytest.mark.parametrize("url", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_forked_children_have_connections_of_their_own(url: str) -> None:
    forked = program("fork", url)
    assert (forked.returncode, forked.stdout) == (0, "ended\n"), forked.stderr


@pytest.mark.parametrize("url", ["sqlite", "postgresql", "mariadb"], indirect=True)
def test_tasks_in_a_pool_of_processes_load_into_one_table(url: str) -> None:
    pooled = program("pool", url)
    assert pooled.returncode == 0, pooled.stderr
    assert list(query(url, "select count(*) from numbers")) == [(8_000,)]


def test_after_a_database_with_threads_children_are_started_anew(tmp_path: Path) -> None:
    pytest.importorskip("duckdb_engine", reason="duckdb-engine is not installed (levada[duckdb])")
    pooled = program("pool", f"duckdb:///{tmp_path}/data.duckdb")
    assert pooled.returncode == 0, pooled.stderr
    assert list(query(f"duckdb:///{tmp_path}/data.duckdb", "select count(*) from numbers")) == [(8_000,)]

"""Luigi's `PostgresTarget`, `CopyToTable` and `PostgresQuery`, over psycopg2, psycopg or pg8000, whichever is installed.

LUIGI_PGSQL_DRIVER names the one to take. New programs say ``levada.contrib.sql``, where the two kinds of rows count alike.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import IO, Any

from levada.errors import TargetExists

from . import rdbms
from ._clients import FromConfig, client
from ._settings import configured

log = logging.getLogger("luigi-interface")

_DUPLICATE_TABLE, _UNDEFINED_TABLE, _TAKEN, _MAY_NOT = "42P07", "42P01", "23505", "42501"  # SQLSTATE
_MADE_MEANWHILE = (_DUPLICATE_TABLE, _TAKEN)  # the second where two make a table in the same moment
_NO_VALUE = r"\\N"


def driver() -> Any:
    """The driver's module. Raises TargetError when none is installed."""
    return _driver(os.environ.get("LUIGI_PGSQL_DRIVER", ""))


@cache
def _driver(first: str) -> Any:
    modules = {"psycopg2": "psycopg2", "psycopg": "psycopg", "pg8000": "pg8000.dbapi"}
    names = [modules[first]] if first in modules else []
    names += [module for module in modules.values() if module not in names]
    return client(*names, wanted="PostgreSQL", install="psycopg2-binary")


def __getattr__(name: str) -> Any:
    if name == "dbapi":
        return driver()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _state(error: BaseException) -> str:
    """The SQLSTATE of an error, however the driver calls it."""
    said: Any = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    if said is None and error.args and isinstance(error.args[0], dict):
        said = error.args[0].get("C")
    return str(said or "")


def _update_of(task: Any) -> PostgresTarget:
    """The marker of a task that says its connection, table and update."""
    return PostgresTarget(
        host=task.host,
        database=task.database,
        user=task.user,
        password=task.password,
        table=task.table,
        update_id=task.update_id,
        port=task.port,
    )


class MultiReplacer:
    """Replaces several texts in one pass: what was put in is not replaced again; of two that fit, the first given wins.

    >>> MultiReplacer([("a", "b"), ("b", "c")])("abcd")
    'bccd'
    """

    def __init__(self, replace_pairs: Iterable[tuple[str, str]]) -> None:
        pairs = list(replace_pairs)
        self._new = dict(pairs)
        self._old = re.compile("|".join(re.escape(old) for old, _ in pairs))

    def __call__(self, search_string: str) -> str:
        return self._old.sub(lambda match: self._new[match.group()], search_string)


default_escape = MultiReplacer(
    [("\\", "\\\\"), *((character, repr(character)[1:-1]) for character in "\t\n\r"), ("\v", "\\v"), ("\b", "\\b"), ("\f", "\\f")]
)


class PostgresTarget(rdbms.MarkedTarget):
    """An update of a table in PostgreSQL. use_db_timestamps: whether the database says when it was made, or this machine."""

    marker_table: Any = FromConfig("postgres", "marker-table", "table_updates")
    DEFAULT_DB_PORT = 5432
    use_db_timestamps = True

    def __init__(self, host: str, database: str, user: str, password: str, table: str, update_id: str, port: Any = None) -> None:
        super().__init__(host, database, user, password, table, update_id)
        self.host, self.port = rdbms.split_host(host, port, self.DEFAULT_DB_PORT)

    def connect(self) -> Any:
        """A connection of the driver. Raises what that raises, or TargetError when there is none."""
        dbapi = driver()
        told = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        if dbapi.__name__ == "psycopg":
            return dbapi.connect(dbname=self.database, client_encoding="utf-8", **told)
        if dbapi.__name__ == "pg8000.dbapi":
            told["port"] = int(self.port)
            if self.host.startswith("/"):  # a folder with the server's socket, as the other drivers take it
                told["unix_sock"] = f"{self.host}/.s.PGSQL.{self.port}"
            return dbapi.connect(database=self.database, **told)
        connection = dbapi.connect(database=self.database, **told)
        connection.set_client_encoding("utf-8")
        return connection

    def open(self, mode: str) -> Any:
        """Raises NotImplementedError: it is no file."""
        raise NotImplementedError(f"{self}: a table is not opened; connect() gives a connection")

    def _errors(self) -> type[Exception]:
        found: type[Exception] = driver().Error
        return found

    def _says_absent(self, error: Exception) -> bool:
        return _state(error) == _UNDEFINED_TABLE

    def _says_there(self, error: Exception) -> bool:
        return _state(error) in (*_MADE_MEANWHILE, _MAY_NOT)  # the last one is said first, and who may not make it may use it

    def _mark(self, connection: Any) -> None:
        names: list[str] = ["update_id", "target_table"]
        values: list[object] = [self.update_id, self.table]
        if not self.use_db_timestamps:
            names, values = [*names, "inserted"], [*values, datetime.now()]
        holes = ", ".join(["%s"] * len(values))
        try:
            connection.cursor().execute(f"INSERT INTO {self.marker_table} ({', '.join(names)}) VALUES ({holes})", tuple(values))  # noqa: S608
        except self._errors() as cause:
            if _state(cause) == _TAKEN:
                raise TargetExists(f"{self.table} {self.update_id}: is marked already", hint="Nothing was added.") from cause
            raise

    def _make_table(self, connection: Any) -> None:
        default = " DEFAULT NOW()" if self.use_db_timestamps else ""
        connection.cursor().execute(
            f"CREATE TABLE {self.marker_table} (update_id TEXT PRIMARY KEY, target_table TEXT, inserted TIMESTAMP{default})"
        )


class CopyToTable(rdbms.CopyToTable):
    """Rows into a table of PostgreSQL, by COPY, in one transaction with their marker; the table is made where it is not there."""

    def rows(self) -> Iterable[Sequence[Any]]:
        """The rows, a value a column; here the lines of the input, split at tabs."""
        with self.input().open("r") as lines:
            for line in lines:
                yield line.strip("\n").split("\t")

    def map_column(self, value: Any) -> str:
        """A value as COPY takes it."""
        if value in self.null_values:
            return _NO_VALUE
        text = default_escape(str(value))
        if text == _NO_VALUE:  # not that, but a backslash and an N
            return r"\x5cN"
        return text if self.column_separator == "\t" else text.replace(self.column_separator, f"\\{self.column_separator}")

    def output(self) -> Any:
        """The update."""
        return _update_of(self)

    def copy(self, cursor: Any, file: Any) -> None:
        """Load what is in the file."""
        names = [column if isinstance(column, str) else column[0] for column in self.columns]
        statement = (
            f"COPY {self.table} ({', '.join(names)}) FROM STDIN WITH (FORMAT text, NULL '{_NO_VALUE}', DELIMITER '{self.column_separator}')"
        )
        if hasattr(cursor, "copy_expert"):  # psycopg2
            cursor.copy_expert(statement, file)
        elif hasattr(cursor, "copy"):  # psycopg
            with cursor.copy(statement) as copy:
                while some := file.read(1 << 18):
                    copy.write(some)
        else:  # pg8000
            cursor.execute(statement, stream=file)

    def run(self) -> None:
        """Load the rows; all of them are there afterwards, or none."""
        if not (self.table and self.columns):
            raise ValueError(f"{type(self).__name__}: table and columns name where the rows go, and one is empty")
        with self._kept_rows() as file:
            connection = self.output().connect()
            try:
                self._load(connection, file)
                self.output().touch(connection)
                connection.commit()
            finally:
                connection.close()

    def _kept_rows(self) -> IO[bytes]:
        """The rows in a nameless file: no connection waits for them."""
        file = tempfile.TemporaryFile(dir=configured("postgres", "local-tmp-dir"))  # noqa: SIM115 - the caller closes it
        try:
            for row in self.rows():
                file.write((self.column_separator.join(map(self.map_column, row)) + "\n").encode())
        except BaseException:
            file.close()
            raise
        return file

    def _load(self, connection: Any, file: IO[bytes]) -> None:
        try:
            self._load_once(connection, file)
        except driver().DatabaseError as error:
            if _state(error) != _UNDEFINED_TABLE:
                raise
            log.info("table %s is made", self.table)
            connection.rollback()
            self._make_own_table(connection)
            self._load_once(connection, file)

    def _make_own_table(self, connection: Any) -> None:
        try:
            self.create_table(connection)
        except driver().DatabaseError as error:
            if _state(error) not in _MADE_MEANWHILE:
                raise
            connection.rollback()

    def _load_once(self, connection: Any, file: IO[bytes]) -> None:
        file.seek(0)
        cursor = connection.cursor()
        self.init_copy(connection)
        self.copy(cursor, file)
        self.post_copy(connection)
        if self.enable_metadata_columns:
            self.post_copy_metacolumns(cursor)


class PostgresQuery(rdbms.Query):
    """A statement for PostgreSQL, in one transaction with its marker (unless ``autocommit``)."""

    def run(self) -> None:
        """Run it, and mark it."""
        connection = self.output().connect()
        try:
            connection.autocommit = self.autocommit
            log.info("a query is run for %s", self.task_id)
            connection.cursor().execute(self.query)
            self.output().touch(connection)
            connection.commit()
        finally:
            connection.close()

    def output(self) -> Any:
        """The update."""
        return _update_of(self)

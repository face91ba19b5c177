"""What Luigi's modules of databases have in common: tasks over a driver's own connections, and markers that tell of updates.

The tables of markers are Luigi's, column by column, so rows count for both. Two laws are the house's: rows and their marker
are one transaction, before whose commit the lease is asked; a database that does not answer is not an absent update.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, cast

from levada.errors import TargetError, TargetUnreachable
from levada.luigi.target import Target
from levada.luigi.task import MixinNaiveBulkComplete
from levada.targets.atomic import before_commit
from levada.task import Task

from ._clients import Wanted

log = logging.getLogger("luigi-interface")


class MarkedTarget(Target):
    """An update of a table. It exists when a row of the table of markers has its ``update_id``.

    A subclass says how its driver connects, and the SQL. host: ``NAME`` or ``NAME:PORT``.
    """

    remote = True
    marker_table: Any = "table_updates"
    DEFAULT_DB_PORT = 0

    def __init__(self, host: str, database: str, user: str, password: str, table: str, update_id: str) -> None:
        self.host = host
        self.database, self.user, self.password, self.table, self.update_id = database, user, password, table, update_id

    def __str__(self) -> str:
        return str(self.table)

    def connect(self) -> Any:
        """A connection of the driver, in a transaction of its own."""
        raise NotImplementedError

    def exists(self, connection: Any = None) -> bool:
        """Whether the update is marked: one indexed read. Raises TargetUnreachable where the database gives no answer."""
        if connection is not None:
            return self._is_marked(connection)
        try:
            with self._own() as connection:
                return self._is_marked(connection)
        except TargetError:
            raise
        except self._errors() as cause:
            where = f"{self.host} {self.database} {self.table} {self.update_id}"
            raise TargetUnreachable(where, cause, hint="Is the database up, and may this user read the table of markers?") from cause

    def touch(self, connection: Any = None) -> None:
        """Mark the update, in the transaction of ``connection`` if given: let its commit be next. The table is made if need be."""
        self.create_marker_table()
        before_commit()
        if connection is not None:
            self._mark(connection)
            return
        with self._own() as connection:
            self._mark(connection)

    def create_marker_table(self) -> None:
        """Make the table of markers unless it is there, over a connection of its own."""
        with self._own() as connection:
            try:
                self._make_table(connection)
            except self._errors() as cause:
                if not self._says_there(cause):
                    raise

    # -- what a driver has to say ----------------------------------------------------------------

    def _errors(self) -> type[Exception]:
        """What the driver raises."""
        raise NotImplementedError

    def _says_absent(self, error: Exception) -> bool:
        """Whether an error means that there is no such table."""
        raise NotImplementedError

    def _says_there(self, error: Exception) -> bool:
        """Whether an error means that the table is there already."""
        raise NotImplementedError

    def _mark(self, connection: Any) -> None:
        raise NotImplementedError

    def _make_table(self, connection: Any) -> None:
        raise NotImplementedError

    def _is_marked(self, connection: Any) -> bool:
        cursor = connection.cursor()
        try:
            cursor.execute(f"SELECT 1 FROM {self.marker_table} WHERE update_id = %s LIMIT 1", (self.update_id,))  # noqa: S608 - the authors' table
            return cursor.fetchone() is not None
        except self._errors() as error:
            if self._says_absent(error):
                return False
            raise

    @contextmanager
    def _own(self) -> Iterator[Any]:
        """A connection for one statement, closed at the end."""
        connection = self._own_connection()
        try:
            yield connection
        finally:
            connection.close()

    def _own_connection(self) -> Any:
        connection = self.connect()
        connection.autocommit = True
        return connection


def split_host(host: str, port: Any, default: int) -> tuple[str, Any]:
    """Host and port of ``HOST`` or ``HOST:PORT``, whose port goes before the other.

    >>> split_host("db:5433", None, 5432), split_host("db", None, 5432)
    (('db', '5433'), ('db', 5432))
    """
    name, colon, inside = host.partition(":")
    return name, inside if colon else port or default


class _MetadataColumnsMixin:
    """Columns that a team wants in each of its tables, and the statements that fill them after a load."""

    table: ClassVar[Any]

    @property
    def metadata_columns(self) -> Sequence[Sequence[str]]:
        """The columns: ``(name, type)``, or ``(name, type, encoding)``."""
        return []

    @property
    def metadata_queries(self) -> Iterable[str]:
        """Statements that fill them."""
        return []

    @property
    def enable_metadata_columns(self) -> bool:
        """Whether they are wanted at all."""
        return False

    def _add_metadata_columns(self, connection: Any) -> None:
        cursor = connection.cursor()
        for column in self.metadata_columns:
            if len(column) == 0:
                raise ValueError(f"metadata_columns of table {self.table} has an empty entry: give (name, type)")
            if not self._column_exists(cursor, column[0]):
                log.info("a metadata column is added to %s: %s", self.table, column)
                self._add_column_to_table(cursor, column)

    def _column_exists(self, cursor: Any, column_name: str) -> bool:
        schema, _, table = str(self.table).rpartition(".")
        of_schema = f"table_schema = LOWER('{schema}') AND " if schema else ""
        cursor.execute(
            "SELECT 1 AS column_exists FROM information_schema.columns "  # noqa: S608 - names of the authors
            f"WHERE {of_schema}table_name = LOWER('{table}') AND column_name = LOWER('{column_name}') LIMIT 1;"
        )
        return bool(cursor.fetchone())

    def _add_column_to_table(self, cursor: Any, column: Sequence[str]) -> None:
        match list(column):
            case [name, kind]:
                cursor.execute(f"ALTER TABLE {self.table} ADD COLUMN {name} {kind};")
            case [name, kind, encoding]:
                cursor.execute(f"ALTER TABLE {self.table} ADD COLUMN {name} {kind} ENCODE {encoding};")
            case _:
                raise ValueError(f"a metadata column of table {self.table} is (name, type) or (name, type, encoding), got {column!r}")

    def post_copy_metacolumns(self, cursor: Any) -> None:
        """Run the statements that fill the metadata columns."""
        log.info("metadata columns of %s are filled", self.table)
        for query in self.metadata_queries:
            cursor.execute(query)


class CopyToTable(MixinNaiveBulkComplete, _MetadataColumnsMixin, Task):
    """Rows into a table. A subclass says host, database, user, password and table, and the columns.

    columns: names, or ``(name, type)`` where the table may have to be made. null_values: what becomes NULL.
    column_separator: between the values of a line on their way to the database.
    """

    host: ClassVar[Any] = Wanted()
    database: ClassVar[Any] = Wanted()
    user: ClassVar[Any] = Wanted()
    password: ClassVar[Any] = Wanted()
    table: ClassVar[Any] = Wanted()
    port: ClassVar[Any] = None
    columns: ClassVar[Any] = []
    null_values: ClassVar[Collection[Any]] = (None,)
    column_separator = "\t"

    def create_table(self, connection: Any) -> None:
        """Make the table of ``columns``, in the transaction of ``connection``. NotImplementedError where they have no types."""
        if len(self.columns[0]) == 1 or isinstance(self.columns[0], str):
            raise NotImplementedError(
                f"table {self.table} is not there, and its columns have no types: give (name, type), or define create_table()"
            )
        definitions = ",".join(f"{name} {kind}" for name, kind in self.columns)
        connection.cursor().execute(f"CREATE TABLE {self.table} ({definitions})")

    @property
    def update_id(self) -> str:
        """The name of the update, unique in the database."""
        return self.task_id

    def output(self) -> Any:
        """The update; a subclass says of which kind."""
        raise NotImplementedError(f"{type(self).__name__}: output() is not said")

    def init_copy(self, connection: Any) -> None:
        """Called in the transaction, before the rows: remove what an earlier update left, say."""
        if hasattr(self, "clear_table"):
            raise TypeError(f"{type(self).__name__}: clear_table does nothing: clear the table in init_copy()")
        if self.enable_metadata_columns:
            self._add_metadata_columns(connection)

    def post_copy(self, connection: Any) -> None:
        """Called in the transaction, after the rows."""

    def copy(self, cursor: Any, file: Any) -> None:
        """Load what is in the file; a subclass says how."""
        raise NotImplementedError(f"{type(self).__name__}: copy() is not said")


class Query(MixinNaiveBulkComplete, Task):
    """A statement that a database runs. A subclass says host, database, user, password, table and query, and run and output."""

    host = cast("Any", Wanted())
    port = cast("Any", None)
    database = cast("Any", Wanted())
    user = cast("Any", Wanted())
    password = cast("Any", Wanted())
    table = cast("Any", Wanted())
    query = cast("Any", Wanted())
    autocommit = cast("Any", False)

    @property
    def update_id(self) -> str:
        """The name of the update, unique in the database."""
        return self.task_id

    def run(self) -> None:
        """Run the query; a subclass says how."""
        raise NotImplementedError(f"{type(self).__name__}: run() is not said")

    def output(self) -> Any:
        """The update; a subclass says of which kind."""
        raise NotImplementedError(f"{type(self).__name__}: output() is not said")

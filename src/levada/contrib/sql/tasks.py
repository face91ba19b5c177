"""Tasks over tables: `SqlTask` runs statements, `CopyToTable` loads rows; each in one transaction with its marker."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from levada.task import Task

from . import engines
from .target import SqlTarget

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Executable, Table

    Statement = str | Executable | tuple[str, Mapping[str, object]]
    """SQL as it is, SQL with ``:name`` and the values of the names, or what SQLAlchemy builds."""

log = logging.getLogger(__name__)
SHOWN = 80  # characters of a statement in an error


class SqlTask(Task):
    """Statements that a database runs in one transaction, with the marker that tells of them.

    url: of the database (a class attribute, a parameter or a property). table: what the statements write, for people and for
    the marker; "" for the task's family. marker_table: see `SqlTarget`.
    """

    url = ""
    table = ""
    marker_table: ClassVar[str | None] = None

    def ddl(self) -> Iterable[Statement]:
        """Statements that make tables, each committed by itself before the others; run in every attempt: ``create table if not exists``."""
        return ()

    def statements(self) -> Iterable[Statement]:
        """What is run in the transaction, in order: SQL as it is, ``(SQL, {"name": value})``, or what SQLAlchemy builds."""
        return ()

    def update_id(self) -> str:
        """The name of the update, unique in the database; at most 255 characters."""
        return self.task_id

    def output(self) -> SqlTarget:
        """The update, which exists when its marker does."""
        return SqlTarget(self.url, self.table or type(self).get_task_family(), self.update_id(), marker_table=self.marker_table)

    def run(self) -> None:
        """Run the statements; all of it is there afterwards, or none."""
        target = self.output()
        self._make_tables(target)
        with target.writing() as connection:
            for number, statement in enumerate(self.statements(), 1):
                _execute(target, connection, number, statement)

    def _make_tables(self, target: SqlTarget) -> None:
        for number, statement in enumerate(self.ddl(), 1):
            with target._connected(target.engine) as connection:
                _execute(target, connection, number, statement)
                connection.commit()


class CopyToTable(SqlTask):
    """Rows into a table, all of them with the marker in one transaction.

    table, schema: where they go; the table is made unless it is there. columns: each a name with a type of SQLAlchemy, ``("day", Date)``,
    with SQL, ``("day", "DATE")``, a Column, or, of a table that is there, a name alone. reflect: take the columns
    that the database knows instead. column_separator: between the values of a line of the input. null_values: what stands for NULL;
    ``("", None)`` where texts are read. chunk_size: rows that are in memory together.
    """

    schema = ""
    columns: ClassVar[Sequence[object]] = ()
    reflect = False
    column_separator = "\t"
    null_values: ClassVar[Collection[object]] = (None,)
    chunk_size = 5000

    def rows(self) -> Iterable[Sequence[Any]]:
        """The rows, a value a column; here the lines of the input, split at ``column_separator``, as texts."""
        for line in self._lines():
            yield line.split(self.column_separator)

    def init_copy(self, connection: Connection) -> None:
        """Called in the transaction, before the rows: remove what an earlier update of the same rows left, say."""

    def post_copy(self, connection: Connection) -> None:
        """Called in the transaction, after the rows."""

    def create_table(self, engine: Engine) -> None:
        """Make the table unless it is there. Own ones may add indexes; they must bear repetition."""
        from . import columns

        if not self.reflect:
            columns.make(engine, self._table(engine))

    def run(self) -> None:
        """Load the rows; all of them are there afterwards, or none."""
        from .loading import load

        target = self.output()
        self._make_tables(target)
        with target.writing() as connection:
            self.init_copy(connection)
            count = load(connection, self._table(target.engine), self.rows(), null_values=self._nulls(), chunk=self.chunk_size)
            self.post_copy(connection)
        log.info("rows were loaded", extra={"table": self.table, "rows": count})

    def _make_tables(self, target: SqlTarget) -> None:
        if not self.table:
            raise ValueError(f"{type(self).get_task_family()}: table names the table that rows go to, and is empty")
        super()._make_tables(target)
        engine = target.engine
        try:
            self.create_table(engine)
        except Exception as error:
            if engines.is_foreign(error, engine):
                raise engines.write_error(target, error, engine) from error
            raise

    def _table(self, engine: Engine) -> Table:
        from . import columns

        if self.reflect:
            return columns.reflected(engine, self.table, self.schema)
        return columns.declared(self.table, self.schema, self.columns)

    def _nulls(self) -> Collection[object]:
        return (*self.null_values, None)

    def _lines(self) -> Iterator[str]:
        given = self.input()
        if not hasattr(given, "lines"):
            family = type(self).get_task_family()
            raise TypeError(f"{family}: its input is {type(given).__name__}, not one file of lines: say in rows() what the rows are")
        lines: Iterator[str] = given.lines()
        return lines


def _execute(target: SqlTarget, connection: Connection, number: int, statement: Statement) -> None:
    """Run one statement. Raises TargetWriteError that names it."""
    from sqlalchemy import text

    engine = connection.engine
    try:
        if isinstance(statement, str):
            connection.exec_driver_sql(statement)
        elif isinstance(statement, tuple):
            sql, values = statement
            connection.execute(text(sql), values)
        else:
            connection.execute(statement)
    except Exception as error:
        if not engines.is_foreign(error, engine):
            raise
        spelled = statement[0] if isinstance(statement, tuple) else str(statement)
        raise engines.write_error(f"{target}, statement {number} ({' '.join(spelled.split())[:SHOWN]})", error, engine) from error

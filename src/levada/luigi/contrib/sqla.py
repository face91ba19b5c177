"""Luigi's `SQLAlchemyTarget` and `CopyToTable`, over SQLAlchemy 1.4 or 2, whichever a program has.

They are the house's `SqlTarget` and `CopyToTable`, with Luigi's arguments. The rows and their marker are one transaction here, too:
Luigi marked in a second one, so what it had loaded before a crash was loaded once more.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from threading import Lock
from typing import Any, ClassVar, cast

from levada.contrib import sql
from levada.contrib.sql import engines

from ._clients import FromConfig, Wanted

log = logging.getLogger("luigi-interface")

_engines: dict[tuple[int, str, str, bool], Any] = {}
"""By process, URL and options; a forked child leaves those of its parent alone."""
_making = Lock()


class SQLAlchemyTarget(sql.SqlTarget):
    """An update of a table. It exists when a row of the table of markers has its id and its table.

    echo, connect_args: of the engine, as SQLAlchemy has them.
    """

    marker_table: Any = FromConfig("sqlalchemy", "marker-table", "table_updates")

    def __init__(
        self, connection_string: str, target_table: str, update_id: str, echo: bool = False, connect_args: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(connection_string, target_table, update_id)
        self.echo, self.connect_args = echo, dict(connect_args or {})

    def __str__(self) -> str:
        return self.table

    @property
    def connection_string(self) -> str:
        """The database's URL."""
        return self.url

    @property
    def target_table(self) -> str:
        """The table that it is an update of."""
        return self.table

    @property
    def engine(self) -> Any:
        """SQLAlchemy's engine, one for the process, URL and options. Raises TargetError: no driver, or no such URL."""
        place = os.getpid(), self.url, repr(sorted(self.connect_args.items())), self.echo
        with _making:
            if place not in _engines:
                _engines[place] = _engine(self.url, self.connect_args, self.echo)
            return _engines[place]

    @property
    def marker_table_bound(self) -> Any:
        """The table of markers, as SQLAlchemy has it."""
        from levada.contrib.sql import markers

        return markers.table(str(self.marker_table))

    def create_marker_table(self) -> None:
        """Make the table of markers unless it is there."""
        self.prepare()

    def touch(self, connection: Any = None) -> None:
        """Mark the update, in the transaction of ``connection`` if given: let its commit be next. A marker that is there is renewed."""
        from levada.contrib.sql import markers

        if connection is None:
            self.prepare()
            with self.engine.begin() as connection:
                self.touch(connection)
            return
        markers.unmark(connection, str(self.marker_table), self.update_id)
        super().touch(connection)

    def open(self, mode: str) -> Any:
        """Raises NotImplementedError: it is no file."""
        raise NotImplementedError(f"{self}: a table is not opened; engine gives connections")


def _forked() -> None:
    global _making
    _making = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _engine(url: str, connect_args: Mapping[str, Any], echo: bool) -> Any:
    """An engine as the program would make it: a URL without a driver is SQLAlchemy's affair."""
    from levada.errors import TargetError

    try:
        import sqlalchemy

        made = sqlalchemy.create_engine(url, connect_args=dict(connect_args), echo=echo)
    except ImportError as cause:
        hint = f"pip install {cause.name or 'sqlalchemy'}, or what brings it."
        raise TargetError(f"{engines.shown(url)}: what speaks to this database is not installed ({cause})", hint=hint) from cause
    engines.mind_forks(made)
    return made


class CopyToTable(sql.CopyToTable):
    """Rows into a table, in one transaction with their marker. A subclass says connection_string, table, and columns or ``reflect``.

    columns: ``([name, type], {options})`` each, for SQLAlchemy's Column. schema: of the table; it must be there.
    chunk_size: rows that are sent together.
    """

    connection_string: ClassVar[Any] = Wanted()
    table = cast("Any", Wanted())
    columns: ClassVar[Any] = []
    echo: ClassVar[Any] = False
    connect_args: ClassVar[Any] = {}
    table_bound = cast("Any", None)

    @property
    def url(self) -> str:  # type: ignore[override]  # a text, as the house's
        """The database's URL."""
        return str(self.connection_string)

    def update_id(self) -> str:
        """The name of the update, unique in the database."""
        return self.task_id

    def output(self) -> SQLAlchemyTarget:
        """The update."""
        return SQLAlchemyTarget(
            connection_string=self.connection_string,
            target_table=self.table,
            update_id=self.update_id(),
            connect_args=self.connect_args,
            echo=self.echo,
        )

    def create_table(self, engine: Any) -> None:
        """Make the table of ``columns``, or learn that which is there; it is ``table_bound`` then. Own ones set that, too."""
        import sqlalchemy

        if not self.reflect and (not self.columns or any(len(column) != 2 for column in self.columns)):
            raise NotImplementedError(
                f"table {self.table}: give columns as ([name, type], {{options}}), say reflect = True, or define create_table()"
            )
        inside = sqlalchemy.MetaData()
        if not sqlalchemy.inspect(engine).has_table(self.table, schema=self.schema or None):
            columns = [sqlalchemy.Column(*arguments, **options) for arguments, options in self.columns]
            self.table_bound = sqlalchemy.Table(self.table, inside, *columns, schema=self.schema or None)
            inside.create_all(engine)
        else:
            self.table_bound = sqlalchemy.Table(self.table, inside, schema=self.schema or None, autoload_with=engine)

    def rows(self) -> Iterable[Sequence[Any]]:
        """The rows, a value a column; here the lines of the input, split at ``column_separator``."""
        with self.input().open("r") as lines:
            for line in lines:
                yield line.strip("\n").split(self.column_separator)

    def run(self) -> None:
        """Load the rows; all of them are there afterwards, or none."""
        target = self.output()
        engine = target.engine
        self.create_table(engine)
        target.prepare()
        keys = [f"_{column.key}" for column in self.table_bound.c]
        rows = iter(self.rows())
        with engine.begin() as connection:
            while some := [dict(zip(keys, row, strict=False)) for row in islice(rows, self.chunk_size)]:
                self.copy(connection, some, self.table_bound)
                log.info("%s rows were sent to %s", len(some), self.table)
            target.touch(connection)

    def copy(self, conn: Any, ins_rows: Sequence[Mapping[str, Any]], table_bound: Any) -> None:
        """Add some rows; a task that changes rows instead defines its own. ins_rows: values by ``_`` and the column's name."""
        import sqlalchemy

        values: Any = {column: sqlalchemy.bindparam(f"_{column.key}") for column in table_bound.columns}
        conn.execute(table_bound.insert().values(values), ins_rows)

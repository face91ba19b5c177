"""Many rows into a table, in the connection's transaction: by COPY where psycopg speaks, by lists in DuckDB, else by many at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from levada.errors import TargetError

from . import engines

if TYPE_CHECKING:
    from sqlalchemy import Column, Connection, Table

Row = Sequence[Any]
Numbered = tuple[int, Row]
SHOWN = 200  # characters of a row in an error


class RowError(TargetError, ValueError):
    """A row that does not fit its table; ``row`` counts from 1. Nothing of its update is there."""

    code = "row"

    def __init__(self, message: str, *, row: int, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.row = row


def load(connection: Connection, table: Table, rows: Iterable[Row], *, null_values: Collection[object] = (None,), chunk: int = 5000) -> int:
    """Add the rows, of which no more than ``chunk`` are in memory; how many there were.

    null_values: what stands for NULL. Raises RowError with the row's number and values where one does not fit, TargetWriteError
    where the database refuses others.
    """
    columns = _filled(table)
    fitting = _fitting(table, columns, rows, null_values)
    dialect = connection.dialect
    if dialect.driver == "psycopg":
        return _copy(connection, table, columns, fitting)
    add = _add_lists if dialect.name == "duckdb" else _add_many
    count = 0
    while some := list(islice(fitting, chunk)):
        try:
            add(connection, table, columns, [row for _, row in some])
        except Exception as cause:
            if not engines.is_foreign(cause, connection.engine):
                raise
            raise _refused(connection, table, f"rows {some[0][0]:,} to {some[-1][0]:,}", cause) from cause
        count = some[-1][0]
    return count


def _filled(table: Table) -> list[Column[Any]]:
    """The columns that rows bring: not those that the database computes."""
    return [column for column in table.columns if column.computed is None]


def _fitting(table: Table, columns: Sequence[Column[Any]], rows: Iterable[Row], null_values: Collection[object]) -> Iterator[Numbered]:
    """The rows with their numbers, NULLs in their places. Raises RowError."""
    wanted, plain = len(columns), all(value is None for value in null_values)
    for number, row in enumerate(rows, 1):
        if not _is_row(row) or len(row) != wanted:
            raise _misfit(table, columns, number, row)
        yield number, row if plain else [None if value in null_values else value for value in row]


def _is_row(row: object) -> bool:
    return isinstance(row, Sequence) and not isinstance(row, (str, bytes))


def _misfit(table: Table, columns: Sequence[Column[Any]], number: int, row: Any) -> RowError:
    names = ", ".join(column.name for column in columns)
    what = f"has {len(row)} values" if _is_row(row) else f"is a {type(row).__name__}, not a list or tuple"
    return RowError(
        f"{table.name}: row {number:,} {what}, the table takes {len(columns)} ({names}): {repr(row)[:SHOWN]}",
        row=number,
        hint="Look at rows() of the task: one value a column, in their order.",
    )


def _refused(connection: Connection, table: Table, which: str, cause: Exception) -> TargetError:
    return engines.write_error(f"{table.fullname}, {which}", cause, connection.engine)


# -- psycopg -------------------------------------------------------------------------------------


def _copy(connection: Connection, table: Table, columns: Sequence[Column[Any]], rows: Iterable[Numbered]) -> int:
    """By COPY, which takes a row as it comes; the types of the columns have their say first, as in an INSERT."""
    quoted = connection.dialect.identifier_preparer
    names = ", ".join(quoted.quote(column.name) for column in columns)
    statement = f"COPY {quoted.format_table(table)} ({names}) FROM STDIN".replace("%%", "%")  # doubled for statements with values
    converters = [_converter(connection, column) for column in columns]
    count = 0
    connection.exec_driver_sql("SELECT 1")  # the transaction is SQLAlchemy's from here on
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for count, row in rows:
                try:
                    copy.write_row([value if convert is None else convert(value) for convert, value in zip(converters, row, strict=True)])
                except (TypeError, ValueError, AttributeError, LookupError) as cause:  # of a column's type, which may be the user's own
                    raise _unfit(table, count, row, cause) from cause
    except Exception as cause:
        if driver.closed:
            connection.invalidate(cause)
        if not engines.is_foreign(cause, connection.engine):
            raise
        raise _refused(connection, table, f"after {count:,} rows", cause) from cause
    return count


Converter = Callable[[Any], Any]


def _converter(connection: Connection, column: Column[Any]) -> Converter | None:
    """What turns a value of the column's type into one of the driver's; None: nothing has to be done."""
    kind = column.type.dialect_impl(connection.dialect)
    found: Converter | None = kind.bind_processor(connection.dialect)
    return found


def _unfit(table: Table, number: int, row: Row, cause: Exception) -> RowError:
    message = f"{table.name}: row {number:,}: {type(cause).__name__}: {cause}: {repr(row)[:SHOWN]}"
    return RowError(message, row=number, hint="Look at the types of the columns, and at what rows() gives.")


# -- others --------------------------------------------------------------------------------------


def _add_many(connection: Connection, table: Table, columns: Sequence[Column[Any]], rows: Sequence[Row]) -> None:
    """By the driver's executemany; several of them send one INSERT of many rows."""
    keys = [column.key for column in columns]
    connection.execute(table.insert(), [dict(zip(keys, row, strict=True)) for row in rows])


def _add_lists(connection: Connection, table: Table, columns: Sequence[Column[Any]], rows: Sequence[Row]) -> None:
    """By one list a column: DuckDB takes a millisecond for each row that comes alone."""
    quoted = connection.dialect.identifier_preparer
    names = ", ".join(quoted.quote(column.name) for column in columns)
    lists = ", ".join(f"unnest(?::{_spelled(connection, column)}[])" for column in columns)
    values = [list(of_column) for of_column in zip(*rows, strict=True)]
    connection.exec_driver_sql(f"INSERT INTO {quoted.format_table(table)} ({names}) SELECT {lists}", tuple(values))


def _spelled(connection: Connection, column: Column[Any]) -> str:
    return "VARCHAR" if column.type._isnull else str(column.type.compile(connection.dialect))

"""Rows of a query, as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import engines

if TYPE_CHECKING:
    from sqlalchemy import Executable

AT_ONCE = 5000  # rows that are here at the same time


def query(url: str, statement: str | Executable, parameters: Mapping[str, object] | None = None) -> Iterator[tuple[Any, ...]]:
    """The rows that a statement gives, some thousands in memory at a time.

    statement: SQL with ``:name`` for each of the parameters, or what SQLAlchemy builds. The connection is given back when
    the rows, or the iterator, are at their end. Raises TargetUnreachable where the database does not answer, TargetError where
    it refuses.
    """
    from sqlalchemy import text

    engine = engines.engine_for(url)
    try:
        with engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True, yield_per=AT_ONCE)
            with streaming.execute(text(statement) if isinstance(statement, str) else statement, parameters or {}) as rows:
                for row in rows:
                    yield tuple(row)
    except Exception as error:
        if not engines.is_foreign(error, engine):
            raise
        raise engines.read_error(url, error) from error

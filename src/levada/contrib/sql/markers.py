"""The table of markers: one row an update that is whole. Its form is Luigi's, so that old rows count.

    update_id    primary key
    target_table
    inserted     UTC, without a zone

Names are compared here, not by the database: many take "A" for "a".
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Column, DateTime, MetaData, String, Table, delete, insert, inspect, select
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

LONGEST_ID = 255
AT_ONCE = 1000  # names in one question


@cache
def table(name: str) -> Table:
    """The table of this name as we would make it; one that is there may be narrower."""
    # The default of these may know neither case nor all letters; that of MySQL before 8 pads with spaces.
    text = String(LONGEST_ID).with_variant(_exact("utf8mb4_bin"), "mysql").with_variant(_exact("utf8mb4_nopad_bin"), "mariadb")
    return Table(
        name,
        MetaData(),
        Column("update_id", text, primary_key=True),
        Column("target_table", text),
        Column("inserted", DateTime),
    )


def _exact(collation: str) -> mysql.VARCHAR:
    return mysql.VARCHAR(LONGEST_ID, charset="utf8mb4", collation=collation)


def prepare(engine: Engine, name: str) -> None:
    """Make the table unless it is there; of several that do so at once all go on. Raises SQLAlchemyError."""
    if is_there(engine, name):
        return
    try:
        table(name).create(engine)
    except SQLAlchemyError:
        if not is_there(engine, name):
            raise


def is_there(engine: Engine, name: str) -> bool:
    """Whether a table of this name is there. Raises SQLAlchemyError."""
    return inspect(engine).has_table(name)


def found(engine: Engine, name: str, ids: Sequence[str]) -> set[tuple[str, str]]:
    """Those of the updates that are marked, each with its table; a thousand a question. Raises SQLAlchemyError."""
    if _is_no_file_yet(engine):
        return set()
    try:
        with engine.connect() as connection:
            return {row for some in _parts(ids) for row in _find(connection, name, some)}
    except SQLAlchemyError:
        if is_there(engine, name):
            raise
        return set()  # nobody has marked anything yet


def _is_no_file_yet(engine: Engine) -> bool:
    """Whether the database is a file that is absent from its folder: connecting would make it, and a look makes nothing."""
    path = engine.url.database
    if engine.dialect.name not in ("sqlite", "duckdb") or not path or path.startswith((":", "file:", "md:")):
        return False
    return os.path.isdir(os.path.dirname(path) or ".") and not os.path.lexists(path)


def holder(connection: Connection, name: str, update_id: str) -> str | None:
    """The table that this update is marked for; None where it is not marked."""
    return dict(_find(connection, name, [update_id])).get(update_id)


def mark(connection: Connection, name: str, update_id: str, target_table: str) -> None:
    """Add the row, in the connection's transaction. Raises IntegrityError where it is taken."""
    now = datetime.now(UTC).replace(tzinfo=None)
    connection.execute(insert(table(name)), {"update_id": update_id, "target_table": target_table, "inserted": now})


def unmark(connection: Connection, name: str, update_id: str) -> None:
    """Remove the row, if it is there."""
    markers = table(name)
    connection.execute(delete(markers).where(markers.c.update_id == update_id))


def _find(connection: Connection, name: str, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    markers = table(name)
    asked = select(markers.c.update_id, markers.c.target_table).where(markers.c.update_id.in_(ids))
    return ((update_id, target_table or "") for update_id, target_table in connection.execute(asked))


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[at : at + AT_ONCE] for at in range(0, len(ids), AT_ONCE))

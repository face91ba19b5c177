"""The few verbs that a store needs of a database, and the steps of its schema taken through them.

Statements have ``?`` for values; a link to another kind of database spells them its way. What the database
says against a statement is translated here, at the edge, into a StoreError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..errors import StoreNewer
from .schema import Migration, newest

Row = tuple[Any, ...]
Values = Sequence[object]


class Link(Protocol):
    """A connection; for one thread at a time. Each verb raises StoreErrors only."""

    place: str  # for people, without passwords
    types: Mapping[str, str]  # of this dialect, see schema.py
    contains: str  # condition: the text params contains ?
    alive: str  # query for the epoch within a commit; notes that the holder lives where that is asked for

    def rows(self, query: str, values: Values = ()) -> list[Row]: ...

    def stream(self, query: str, values: Values = ()) -> Iterator[Row]:
        """Rows one by one, however many there are; nothing else may be asked meanwhile."""
        ...

    def run(self, statement: str, values: Values = ()) -> int:
        """How many rows it changed."""
        ...

    def many(self, statement: str, rows: Iterable[Values]) -> None: ...

    def has_table(self, name: str) -> bool: ...

    def transaction(self, *, durable: bool = True, flush: bool = False) -> AbstractContextManager[None]:
        """Commit at the end of the block, undo everything when it raises.

        durable=False: what a later durable commit covers; not flushed by itself. flush: to the disk, whatever the store was opened with.
        """
        ...

    def close(self) -> None: ...


def schema_of(link: Link) -> tuple[int, int]:
    """(schema, oldest step whose code can work with it); (0, 0) where there is none yet."""
    if not link.has_table("meta"):
        return 0, 0
    meta: dict[str, str] = dict(link.rows("select name, value from meta where name in ('schema', 'oldest_reader')"))
    return int(meta["schema"]), int(meta["oldest_reader"])


def check_schema(link: Link, migrations: Sequence[Migration]) -> int:
    """The step a store stands at. Raises StoreNewer when this code is too old for it."""
    schema, oldest = schema_of(link)
    known = newest(migrations)
    if schema > known and oldest > known:
        raise StoreNewer(link.place, schema=schema, known=known)
    return schema


def migrate(link: Link, migrations: Sequence[Migration], *, before: Callable[[int], None], first: Sequence[str] = ()) -> None:
    """Take the steps that are missing, each in a transaction.

    before: called once with the step a store with data stands at, when it is about to change.
    first: statements of the dialect that go with the first step of all.
    """
    schema = check_schema(link, migrations)
    steps = [step for step in migrations if step.number > schema]
    if steps and schema:
        before(schema)
    for step in steps:
        with link.transaction():
            for statement in first if step is migrations[0] else ():
                link.run(statement)
            for statement in step.statements_for(link.types):
                link.run(statement)

"""`SqlTarget`: an update of a table, which exists when its marker row does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from levada.config import setting
from levada.errors import TargetError, TargetExists
from levada.targets.atomic import before_commit

from . import engines

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

MARKERS = "table_updates"  # where markers are unless it is said otherwise, as with Luigi
LONGEST_ID = 255

Place = tuple[str, str]
"""A database by its URL, and its table of markers."""


class SqlTarget:
    """An update of a table: some rows that were written together. It exists when its marker does.

    url: of the database, as SQLAlchemy spells it. table: the table that the update is of, for people and for the marker.
    update_id: the name of the update, unique in the database, at most 255 characters; a task's ``task_id`` serves.
    marker_table: None for ``[sql] marker_table``, and without that ``table_updates``.
    """

    __slots__ = ("_marker_table", "table", "update_id", "url")

    remote = True

    def __init__(self, url: str, table: str, update_id: str, *, marker_table: str | None = None) -> None:
        given: dict[str, object] = {"url": url, "table": table, "update_id": update_id}
        for name, value in given.items():
            if not isinstance(value, str) or not value:
                raise ValueError(f"SqlTarget: {name} must be a text that is not empty, got {value!r}")
        if max(len(table), len(update_id)) > LONGEST_ID:
            long = max(table, update_id, key=len)
            raise ValueError(f"SqlTarget: table and update_id have at most {LONGEST_ID} characters, got {len(long)} ({long[:40]}...)")
        self.url, self.table, self.update_id, self._marker_table = url, table, update_id, marker_table

    @property
    def marker_table(self) -> str:
        """The name of the table that holds the marker."""
        return self._marker_table or str(setting("sql", "marker_table") or MARKERS)

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine for the database, shared by all of the process. Raises TargetError: no driver, or no such URL."""
        return engines.engine_for(self.url)

    def exists(self) -> bool:
        """Whether the update is there, whole: one indexed read. Raises TargetUnreachable rather than guess."""
        answer = SqlTarget.exists_many([self])[0]
        if isinstance(answer, TargetError):
            raise answer
        return answer

    @staticmethod
    def exists_many(targets: Sequence[SqlTarget]) -> list[bool | TargetError]:
        """An answer for each, in their order: a question for a thousand targets of a database; an error where it gave none."""
        places: dict[Place, list[int]] = {}
        for at, target in enumerate(targets):
            places.setdefault((target.url, target.marker_table), []).append(at)
        answers: list[bool | TargetError] = [False] * len(targets)
        for place, positions in places.items():
            for at, answer in zip(positions, _answers(place, [targets[at] for at in positions]), strict=True):
                answers[at] = answer
        return answers

    def prepare(self) -> None:
        """Make the table of markers unless it is there: on its own, since several databases commit where tables are made."""
        from . import markers

        engine = self.engine
        try:
            markers.prepare(engine, self.marker_table)
        except Exception as cause:
            raise engines.write_error(self, cause, engine) from cause

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction; if the block ends well, the marker is added and all of it committed at once.

        Raises TargetExists when the update is there, before the block or after it; then nothing of the block stays, nor if it
        raises. Tables are made before (`prepare` is called): MariaDB, MySQL and Oracle commit where that is done.
        """
        from . import markers

        self.prepare()
        engine = self.engine
        with self._connected(engine) as connection:
            holder = markers.holder(connection, self.marker_table, self.update_id)
            if holder is not None:
                raise self._taken(holder)
            yield connection
            self.touch(connection)
            self._commit(connection)

    def touch(self, connection: Connection) -> None:
        """Add the marker in the transaction of ``connection``, and see that the attempt may still commit: let that be next.

        Raises TargetExists where another has it; roll back then. The table of markers must be there: see `prepare`.
        """
        from sqlalchemy.exc import IntegrityError

        from . import markers

        name = self.marker_table
        holder = markers.holder(connection, name, self.update_id)
        if holder is not None:  # some databases take a key for a mere remark
            raise self._taken(holder)
        try:
            markers.mark(connection, name, self.update_id, self.table)
        except IntegrityError as cause:
            message = f"{self}: another has added it meanwhile, or has a name that the database takes for the same"
            raise TargetExists(message, hint="Nothing was added.") from cause
        before_commit()

    def remove(self) -> None:
        """Forget the marker, if it is there: the update is absent then. Its rows stay: remove them where they are made anew."""
        from . import markers

        engine = self.engine
        with self._connected(engine) as connection:
            if markers.is_there(engine, self.marker_table):
                markers.unmark(connection, self.marker_table, self.update_id)
                connection.commit()

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        """A connection; when the block raises, its transaction is undone, and what the database said is translated."""
        try:
            connection = engine.connect()
        except Exception as cause:
            raise engines.unreachable(self, cause) from cause
        try:
            yield connection
        except BaseException as error:
            engines.undo(connection, error)
            if engines.is_foreign(error, engine):
                raise engines.write_error(self, error, engine) from error
            raise
        finally:
            connection.close()

    def _commit(self, connection: Connection) -> None:
        """Commit; where no answer came, the marker tells whether it was done."""
        from sqlalchemy.exc import DBAPIError

        try:
            connection.commit()
        except DBAPIError as error:
            engines.undo(connection, error)
            if not self.exists():
                raise
            if not error.connection_invalidated:
                raise self._taken(self.table) from error

    def _taken(self, holder: str) -> TargetExists:
        if holder != self.table:
            return TargetExists(
                f"{self}: an update of this name is marked, of table {holder!r}",
                hint="Names of updates are unique in a database: choose another.",
            )
        return TargetExists(f"{self}: is there already", hint="Nothing was added.")

    def __str__(self) -> str:
        return f"{engines.shown(self.url)} {self.table} {self.update_id}"

    def __repr__(self) -> str:
        return f"SqlTarget({engines.shown(self.url)!r}, {self.table!r}, {self.update_id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SqlTarget) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str, str, str | None]:
        return self.url, self.table, self.update_id, self._marker_table


def _answers(place: Place, targets: Sequence[SqlTarget]) -> Sequence[bool | TargetError]:
    """What one database says of its targets."""
    _, marker_table = place
    try:
        engine = targets[0].engine
    except TargetError as error:
        return [error] * len(targets)
    from . import markers

    try:
        marked = markers.found(engine, marker_table, [target.update_id for target in targets])
    except Exception as cause:  # whatever a driver raises: it is not known
        return [_because(target, cause) for target in targets]
    return [(target.update_id, target.table) in marked for target in targets]


def _because(target: SqlTarget, cause: Exception) -> TargetError:
    error = engines.unreachable(target, cause)
    error.__cause__ = cause
    return error

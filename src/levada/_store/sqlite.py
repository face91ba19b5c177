"""A store in one SQLite file: the default, nothing to set up.

Laws: write-ahead log, ``synchronous=FULL`` unless told otherwise, one writing connection in one thread, which
also moves the log into the file; readers are read-only connections that never do. One process holds the file
(``filelock.py``), and the epoch is looked at inside each transaction besides. A file that is damaged, newer,
someone else's or read-only is refused as it is: nothing is written before all was looked at.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Protocol
from urllib.parse import quote

from ..errors import StoreBroken, StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreReadOnly
from .copying import copy_of_file
from .filelock import FileLock
from .link import Row, Values, check_schema, migrate
from .ports import KEPT, STALE, Batch, Retention
from .reading import SqlReading
from .schema import APPLICATION, MIGRATIONS, SQLITE_TYPES, Migration
from .writing import SqlWriting

LOOK = 0.1
"""Seconds between two looks at a lock that another process holds."""
BUSY = 5.0
"""Seconds to wait for a program that is not ours and has the file locked."""
LOG = 4 << 20
"""Bytes, about, that may wait in the log until a heartbeat moves them into the file."""
LOG_PAGES = 4000
"""Pages in the log at which a commit itself moves them."""
ROOM = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE})
"""I/O errors behind which may stand that there is no room (a quota, say)."""


class Connection(Protocol):
    """What is used of ``sqlite3.Connection``, in autocommit mode; errors are ``sqlite3.Error`` with an error code."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any: ...

    def executemany(self, sql: str, parameters: Any, /) -> Any: ...

    @property
    def in_transaction(self) -> bool: ...

    def close(self) -> None: ...


Connect = Callable[[str, bool], Connection]
"""(path, read-only) -> a connection. Another one can stand in to make faults."""


def connected(path: str, readonly: bool) -> Connection:
    """The standard library's connection to a file that is there."""
    where = f"file:{quote(os.path.abspath(path))}?mode={'ro' if readonly else 'rw'}"
    return sqlite3.connect(where, uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False)


class SqliteLink:
    """``Link`` over a connection."""

    types = SQLITE_TYPES
    contains = "instr(t.params, ?) > 0"
    alive = "select epoch from holder"

    def __init__(self, path: str, connect: Connect, *, readonly: bool, synchronous: str = "full") -> None:
        self.place = path
        self._full = synchronous == "full"
        self._is_full = self._full
        with self._translating():
            self._db = connect(path, readonly)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as cause:
            raise translated(self.place, cause) from cause

    def rows(self, query: str, values: Values = ()) -> list[Row]:
        try:
            return self._db.execute(query, values).fetchall()  # type: ignore[no-any-return]  # rows are tuples
        except sqlite3.Error as cause:
            raise translated(self.place, cause) from cause

    def stream(self, query: str, values: Values = ()) -> Iterator[Row]:
        with self._translating():
            yield from self._db.execute(query, values)

    def run(self, statement: str, values: Values = ()) -> int:
        try:
            return self._db.execute(statement, values).rowcount  # type: ignore[no-any-return]  # DB-API
        except sqlite3.Error as cause:
            raise translated(self.place, cause) from cause

    def many(self, statement: str, rows: Iterable[Values]) -> None:
        try:
            self._db.executemany(statement, rows)
        except sqlite3.Error as cause:
            raise translated(self.place, cause) from cause

    def has_table(self, name: str) -> bool:
        return bool(self.rows("select 1 from sqlite_master where type = 'table' and name = ?", (name,)))

    @contextmanager
    def transaction(self, *, durable: bool = True, flush: bool = False) -> Iterator[None]:
        full = flush or (durable and self._full)
        if full != self._is_full:
            self.rows(f"pragma synchronous = {'full' if full else 'normal'}")
            self._is_full = full
        self.run("begin immediate")
        try:
            yield
            self.run("commit")
        except BaseException:
            if self._db.in_transaction:  # a full disk may have undone it already
                self.run("rollback")
            raise

    def close(self) -> None:
        with self._translating():
            self._db.close()


class SqliteReader(SqlReading):
    """``Reading`` over a connection of its own that cannot write."""

    kind = "sqlite"

    def __init__(self, path: str, connect: Connect = connected) -> None:
        if not os.path.exists(path):
            raise StoreError(f"there is no store {path}", hint="A server makes it at its first start.")
        link = SqliteLink(path, connect, readonly=True)
        for setting in ("query_only = on", "wal_autocheckpoint = 0", "trusted_schema = off"):
            link.rows(f"pragma {setting}")
        super().__init__(link)
        _check_kind(link)


class SqliteStore(SqlWriting):
    """``Store`` in a file. synchronous: ``"normal"`` may lose the last commits at a power cut, and never damages the file."""

    kind = "sqlite"

    def __init__(
        self,
        path: str,
        *,
        synchronous: str = "full",
        connect: Connect = connected,
        retention: Retention = KEPT,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        super().__init__(retention)
        self._path, self._synchronous, self._connect, self._migrations = os.path.abspath(path), synchronous, connect, migrations
        self._lock = FileLock(self._path)
        self._file: os.stat_result | None = None
        self._waiting = 0  # bytes in the log, about

    # -- opening

    def take_over(self, owner: str, *, wait: float | None = 0.0, stale: float = STALE, stopped: Callable[[], bool] | None = None) -> int:
        if self._opened is not None:
            raise RuntimeError("the store was taken over before")
        self._take_lock(owner, wait, stopped)
        link: SqliteLink | None = None
        try:
            with _translating_os(self._path):
                _make_file(self._path)
                self._file = os.stat(self._path)
            # A first start that died may have left a rollback journal, which needs a writer.
            with closing(SqliteLink(self._path, self._connect, readonly=not _size(self._path + "-journal"))) as looking:
                self._look(looking)
            link = SqliteLink(self._path, self._connect, readonly=False, synchronous=self._synchronous)
            self._set(link)
            migrate(link, self._migrations, before=self._back_up_before, first=(f"pragma application_id = {APPLICATION}",))
            self._begin(link, owner)
            self._remember(link)
        except BaseException:
            if link is not None:
                link.close()
            self._lock.give()
            raise
        return self._epoch

    def _take_lock(self, owner: str, wait: float | None, stopped: Callable[[], bool] | None) -> None:
        end = None if wait is None else time.monotonic() + wait
        while True:
            with _translating_os(self._lock.path):
                if self._lock.take(owner):
                    return
            if (stopped and stopped()) or (end is not None and time.monotonic() >= end):
                raise StoreBusy(self._path, self._lock.holder())
            time.sleep(LOOK)

    def _look(self, link: SqliteLink) -> None:
        """Refuse what is not ours, too new, or damaged; by a connection that cannot write, not even when it is closed."""
        _check_kind(link)
        if not check_schema(link, self._migrations):
            return
        ((clean,),) = link.rows("select clean from holder")
        if not clean and (faults := [str(row[0]) for row in link.rows("pragma quick_check(5)")]) != ["ok"]:
            raise _corrupt(self._path, "; ".join(faults))

    def _set(self, link: SqliteLink) -> None:
        # The one commit without the log is this switch: flush the folder too, else a power cut could bring back its
        # rollback journal, and with it the empty file.
        link.rows("pragma synchronous = extra")
        mode = link.rows("pragma journal_mode = wal")
        if mode != [("wal",)]:
            raise StoreError(f"{self._path} can have no write-ahead log here: {mode}", hint="Put the store on a local disk.")
        for setting in (
            f"synchronous = {self._synchronous}",
            f"wal_autocheckpoint = {LOG_PAGES}",
            f"journal_size_limit = {16 * LOG}",
            "cache_size = -8000",
            "trusted_schema = off",
            "cell_size_check = on",
        ):
            link.rows(f"pragma {setting}")

    def _back_up_before(self, schema: int) -> None:
        copy_of_file(self._path, f"{self._path}.schema-{schema}.bak", replace=True)

    def _begin(self, link: SqliteLink, owner: str) -> None:
        with link.transaction(flush=True):  # two lives of one epoch would give the same fences
            link.run("update holder set epoch = epoch + 1, owner = ?, clean = 0, backend = ?", (owner, os.getpid()))
            ((self._epoch,),) = link.rows("select epoch from holder")

    # -- the rest of a store

    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        self._waiting += 20_000 + 200 * len(batch.tasks) + len(batch.changes or b"") + sum(len(answer) for _, _, answer in batch.answers)

    def heartbeat(self) -> None:
        """See that the file is still the one we opened, and move the log into it when it has grown."""
        link = self._link
        try:
            same = self._lock.intact() and os.path.samestat(os.stat(self._path), self._file or os.stat("/"))
        except OSError:
            same = False
        if not same:
            raise StoreBroken(
                f"{self._path} was moved, removed or replaced while this server used it",
                hint="Stop the server before you touch its files; `levada backup` copies a store in use.",
            )
        if self._waiting >= LOG:
            link.rows("pragma wal_checkpoint(passive)")
            self._waiting = 0

    def reader(self) -> SqliteReader:
        return SqliteReader(self._path, self._connect)

    def backup(self, path: str) -> None:
        copy_of_file(self._path, path)

    def facts(self) -> dict[str, str | int]:
        return super().facts() | {
            "engine": f"SQLite {sqlite3.sqlite_version}",
            "bytes": _size(self._path),
            "log": _size(self._path + "-wal"),
        }

    def close(self) -> None:
        try:
            if self._opened is not None:
                with self._committing() as link:
                    link.run("update holder set clean = 1")
                link.rows("pragma wal_checkpoint(truncate)")
        except StoreError:
            pass  # the next start looks through the file, as after a crash
        finally:
            try:
                super().close()
            finally:
                self._lock.give()


def _check_kind(link: SqliteLink) -> None:
    """Refuse a database that has tables and is none of ours."""
    ((application,),) = link.rows("pragma application_id")
    if application != APPLICATION and link.rows("select 1 from sqlite_master limit 1"):
        raise StoreCorrupt(f"{link.place} is an SQLite file, but no store of Levada", hint="Name another path; the file was left as it is.")


def _make_file(path: str) -> None:
    """A file of our own (mode 0600) where there is none; PermissionError where one is that we may not write beside or to."""
    folder = os.path.dirname(path)
    if not os.access(folder, os.W_OK) or (os.path.exists(path) and not os.access(path, os.W_OK)):
        raise PermissionError(errno.EACCES, "no permission to write", path)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass  # not opened: closing a file of SQLite's would drop the locks that this process has on it


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


# -- what the system says, in our words


def _corrupt(place: str, faults: object) -> StoreCorrupt:
    return StoreCorrupt(
        f"{place} is damaged: {faults}",
        hint="The file was left as it is. Restore the newest backup beside it; `sqlite3 FILE .recover` shows what can be read.",
    )


def _full(place: str, cause: object) -> StoreFull:
    return StoreFull(f"{place}: there is no room to write: {cause}", hint="Make room on the disk; the server goes on by itself.")


def _read_only(place: str, cause: object) -> StoreReadOnly:
    return StoreReadOnly(f"{place} cannot be written: {cause}", hint="Give this user the right to write there, or name another path.")


def translated(place: str, cause: sqlite3.Error) -> StoreError:
    """A StoreError for what SQLite said."""
    code: int = getattr(cause, "sqlite_errorcode", 0) or 0
    kind = code & 0xFF
    if kind == sqlite3.SQLITE_FULL or (code in ROOM and _no_room(os.path.dirname(place))):
        return _full(place, cause)
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _corrupt(place, cause)
    if kind in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return _read_only(place, cause)
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(place, "another program has the file locked")
    if kind in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return StoreBroken(f"{place} cannot be read or written: {cause}", hint="Look at the disk and its messages (`dmesg`); start again.")
    return StoreError(f"{place} refused a statement: {cause}", hint="This is a fault of Levada or of values that it let through.")


def _no_room(folder: str) -> bool:
    """Whether a small new file does not fit either."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 65536)
            file.flush()
            os.fsync(file.fileno())
    except OSError as cause:
        return cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return False


@contextmanager
def _translating_os(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        if cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise _read_only(place, cause.strerror) from cause
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(place, cause.strerror) from cause
        raise StoreError(f"{place} cannot be opened: {cause.strerror}", hint="Does its folder exist, on a local disk?") from cause

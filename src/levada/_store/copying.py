"""Backups: a whole store in one SQLite file, from any kind of store into any other.

Laws: a backup is whole or absent (temporary name, fsync, then the name), it is looked through before it gets
its name, and an existing file is never replaced unasked. What is restored begins with an epoch far above that
of the backup, so that no fence of the time since is ever given again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from urllib.parse import quote

from ..errors import StoreCorrupt, StoreError
from .link import Link
from .schema import APPLICATION, TABLES

STEP = 256
"""Pages, of 4 KiB, that are copied while others wait."""
ROWS = 1000
RESTORED = 1_000_000
"""Server lives that may have been since the backup: the epoch rises by so many at a restore."""


@contextmanager
def new_file(path: str, *, replace: bool = False) -> Iterator[str]:
    """A temporary path beside ``path``, for an SQLite file that gets its name when the block ends well.

    Raises StoreError when there is a file of that name (unless ``replace``), or when writing fails.
    """
    part = f"{path}.{os.getpid()}.part"
    try:
        if not replace and os.path.lexists(path):
            raise FileExistsError(17, "there is a file of that name", path)
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        yield part
        _check(part)
        _named(part, path, replace)
    except (OSError, sqlite3.Error) as cause:
        raise StoreError(f"{path} cannot be written: {cause}", hint="Name a new file in a folder with room.") from cause
    finally:
        for left in (part, f"{part}-journal", f"{part}-wal", f"{part}-shm"):
            if os.path.lexists(left):
                os.unlink(left)


def _named(part: str, path: str, replace: bool) -> None:
    _flush(part)
    if replace:
        os.replace(part, path)
    else:
        os.link(part, path)
        os.unlink(part)
    _flush(os.path.dirname(os.path.abspath(path)))


def _flush(path: str) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _check(path: str) -> None:
    """Refuse a file that is no whole store. Raises StoreCorrupt."""
    with closing(_read_only(path)) as db:
        faults = [str(row[0]) for row in db.execute("pragma quick_check(5)")]
        application = db.execute("pragma application_id").fetchone()
        if faults != ["ok"] or application != (APPLICATION,):
            raise StoreCorrupt(f"{path} is no whole store: {'; '.join(faults)}", hint="Take another backup; this file was not used.")


def _read_only(path: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(os.path.abspath(path))}?mode=ro", uri=True, timeout=5.0, isolation_level=None)


def copy_of_file(source: str, path: str, *, replace: bool = False) -> None:
    """Copy an SQLite store, in use or not, as of one moment; its server commits on meanwhile.

    One read transaction over all steps: the copy is of one moment, and never starts again however much is written.
    """
    with new_file(path, replace=replace) as part, closing(_read_only(source)) as old, closing(sqlite3.connect(part)) as new:
        old.execute("begin")
        old.execute("select count(*) from sqlite_master").fetchall()
        old.backup(new, pages=STEP)
        new.execute("pragma journal_mode = delete").fetchall()


def copy_rows(source: Link, target: Link) -> None:
    """All rows of all tables, into a store of today's schema without rows; within the transactions of the caller."""
    for table, columns in TABLES.items():
        where = " where name not in ('schema', 'oldest_reader')" if table == "meta" else ""  # each has its own
        target.run(f"delete from {table}{where}")  # noqa: S608 - ours
        put = f"insert into {table} ({columns}) values ({', '.join('?' * len(columns.split(', ')))})"  # noqa: S608 - ours
        rows = source.stream(f"select {columns} from {table}{where}")  # noqa: S608 - ours
        while some := list(islice(rows, ROWS)):
            target.many(put, some)


def raise_epoch(link: Link) -> None:
    """Begin the life of a restored store; within the caller's transaction."""
    link.run("update holder set epoch = epoch + ?, owner = 'restored from a backup', clean = 1, beat = 0, backend = 0", (RESTORED,))


def check_backup(path: str) -> None:
    """Refuse what is no whole store. Raises StoreCorrupt, StoreError."""
    try:
        _check(path)
    except (OSError, sqlite3.Error) as cause:
        raise StoreCorrupt(f"{path} cannot be read as a backup: {cause}", hint="Take another one; this file was not used.") from cause

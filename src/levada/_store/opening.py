"""From the text that a person gives to a store: a path, ``sqlite:PATH``, ``postgresql://...``, or ``memory:``.

Laws: opening reads nothing yet, ``Store.take_over`` does; what would connect to a database server is imported
only for its URL; passwords are never part of a message.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager

from ..errors import ConfigError, StoreError
from .copying import check_backup, copy_of_file, new_file, raise_epoch
from .link import migrate
from .memory import MemoryReader, MemoryStore
from .ports import KEPT, Reading, Retention, Store
from .schema import MIGRATIONS
from .sqlite import Connect, SqliteLink, SqliteReader, SqliteStore, connected

SYNCHRONOUS = ("full", "normal")


def open_store(
    url: str,
    *,
    synchronous: str = "full",
    retention: Retention = KEPT,
    connect: Connect = connected,
) -> Store:
    """The store of that name, not taken over yet. Raises ConfigError for a name that means none.

    synchronous: ``"full"``: what was acknowledged survives a power cut; ``"normal"``: the last moments may be
    lost then (never at a crash of the server alone). connect: another way to connections of SQLite, to make faults.
    """
    if synchronous not in SYNCHRONOUS:
        raise ConfigError(f"synchronous is full or normal, not {synchronous!r}")
    kind, place = _parsed(url)
    if kind == "memory":
        return MemoryStore(retention=retention)
    if kind == "postgresql":
        from .postgres import PostgresStore

        return PostgresStore(place, synchronous=synchronous, retention=retention)
    return SqliteStore(place, synchronous=synchronous, retention=retention, connect=connect)


def open_reader(url: str) -> Reading:
    """Questions to a store whose server may run elsewhere, or not at all. Raises StoreError where there is no store."""
    kind, place = _parsed(url)
    if kind == "memory":
        return MemoryReader(MemoryStore().disk)
    if kind == "postgresql":
        from .postgres import PostgresReader

        return PostgresReader(place)
    return SqliteReader(place)


def restore(backup: str, url: str) -> None:
    """Make a new store of a backup; no server may run on it. Raises StoreError where there is a store already.

    Its epoch is far above that of the backup: no fence given since the backup is given again. Tasks that were
    done since stand as they stood then; workers that add them find their outputs.
    """
    kind, place = _parsed(url)
    check_backup(backup)
    if kind == "sqlite":
        _restore_file(backup, place)
    elif kind == "postgresql":
        from .postgres import restored

        with _current(backup) as source:
            restored(source, place)
    else:
        raise ConfigError(f"{url}: a backup can be restored into a file or a database")


def _restore_file(backup: str, path: str) -> None:
    for left in (path, f"{path}-wal"):
        if os.path.lexists(left):
            raise StoreError(f"{left} is there already", hint="Move the old store away, with its -wal and -shm files, and keep it.")
    with new_file(path) as part:
        copy_of_file(backup, part, replace=True)
        with closing(SqliteLink(part, connected, readonly=False)) as link, link.transaction():
            raise_epoch(link)


@contextmanager
def _current(backup: str) -> Iterator[SqliteLink]:
    """A copy of a backup in a folder of its own, brought to today's schema."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "backup.db")
        copy_of_file(backup, path)
        with closing(SqliteLink(path, connected, readonly=False)) as link:
            migrate(link, MIGRATIONS, before=lambda _schema: None)
            yield link


def _parsed(url: str) -> tuple[str, str]:
    """(kind, place) of a store's name."""
    if url == "memory:":
        return "memory", ""
    if url.startswith(("postgresql://", "postgres://")):
        return "postgresql", url
    path = url.removeprefix("sqlite:///").removeprefix("sqlite:")  # as others write it: sqlite:///relative, sqlite:////absolute
    if not path or "://" in path or "\0" in path:
        shown = url.split("@")[-1]
        raise ConfigError(f"{shown!r} names no store", hint="Give a path, or postgresql://USER@HOST/DATABASE.")
    return "sqlite", path

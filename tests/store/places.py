"""Where a store can be: each kind opens stores on one durable place, and lets their servers die."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Protocol

from levada._store.memory import Disk, MemoryStore
from levada._store.ports import KEPT, Retention, Store
from levada._store.sqlite import Connect, SqliteStore, connected


class Place(Protocol):
    """A durable place for one store."""

    def store(self, retention: Retention = ...) -> Store:
        """One more server's hold on the place; not taken over."""
        ...

    def kill(self, store: Store) -> None:
        """The server is dead: nothing was said, nothing closed in order."""
        ...

    def depose(self, store: Store) -> None:
        """Another server, with epoch 9, took over, though this one's hold was never broken."""
        ...

    def close(self) -> None:
        """All servers are gone."""
        ...


class InMemory:
    def __init__(self) -> None:
        self.disk = Disk()

    def store(self, retention: Retention = KEPT) -> Store:
        return MemoryStore(self.disk, retention=retention)

    def kill(self, store: Store) -> None:
        self.disk.holder = None

    def depose(self, store: Store) -> None:
        self.disk.epoch = 9

    def close(self) -> None:
        pass


class InFile:
    def __init__(self, folder: Path, connect: Connect = connected) -> None:
        self.path, self.connect = str(folder / "levada.db"), connect
        self.opened: list[SqliteStore] = []

    def store(self, retention: Retention = KEPT) -> Store:
        self.opened.append(SqliteStore(self.path, synchronous="normal", retention=retention, connect=self.connect))
        return self.opened[-1]

    def kill(self, store: Store) -> None:
        assert isinstance(store, SqliteStore)
        if store._opened is not None:
            store._opened.close()
            store._opened = None
        store._lock.give()

    def depose(self, store: Store) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("update holder set epoch = 9")

    def close(self) -> None:
        for store in self.opened:
            self.kill(store)


class InDatabase:
    def __init__(self, url: str) -> None:
        self.url = f"{url.partition('&schema=')[0]}&schema=s{uuid.uuid4().hex}"
        self.opened: list[Store] = []

    def store(self, retention: Retention = KEPT) -> Store:
        from levada._store.postgres import PostgresStore

        self.opened.append(PostgresStore(self.url, retention=retention))
        return self.opened[-1]

    def kill(self, store: Store) -> None:
        if store._opened is not None:
            store._opened.close()

    def depose(self, store: Store) -> None:
        store._link.run("update holder set epoch = 9")

    def close(self) -> None:
        for store in self.opened:
            self.kill(store)

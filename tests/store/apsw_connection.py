"""apsw behind the few verbs that the store uses of ``sqlite3``: the way to put a file system of ours under SQLite."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw


@contextmanager
def translating() -> Iterator[None]:
    """apsw's errors as the standard library's, with the same codes."""
    try:
        yield
    except apsw.Error as cause:
        error = sqlite3.OperationalError(str(cause))
        error.sqlite_errorcode = getattr(cause, "extendedresult", 0)
        raise error from cause


class Rows:
    """The outcome of one statement."""

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows, self.rowcount = rows, rowcount

    def fetchall(self) -> list[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)


class ApswConnection:
    """``levada._store.sqlite.Connection`` over apsw."""

    def __init__(self, path: str, readonly: bool, *, vfs: str | None = None, first: str = "") -> None:
        flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE
        with translating():
            self._db = apsw.Connection(os.path.abspath(path), flags=flags, vfs=vfs)
            self._db.set_busy_timeout(5000)
            if first:
                self._db.execute(first).fetchall()

    def execute(self, sql: str, parameters: Any = (), /) -> Rows:
        with translating():
            rows = self._db.execute(sql, tuple(parameters)).fetchall()
            return Rows(rows, self._db.changes())

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> None:
        with translating():
            self._db.executemany(sql, parameters)

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    def close(self) -> None:
        with translating():
            self._db.close()


def connected_by_apsw(path: str, readonly: bool) -> ApswConnection:
    """The same as ``levada._store.sqlite.connected``, by the other library."""
    return ApswConnection(path, readonly)

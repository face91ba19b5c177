"""Attempts of runs without a server, in the state folder: one SQLite file, written in batches.

Rows are an audit trail, never what decides whether a task is done. Writers of several processes wait
for each other; a reader never blocks them. Kept: 30 days or ten million rows, whichever is less.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from .._model.ports import Attempt, AttemptRow
from .._model.values import NamedTuple
from ..errors import StateFolderError

VERSION = 1
KEPT_SECONDS = 30 * 86400.0
KEPT_ROWS = 10_000_000

SCHEMA = """
create table if not exists attempts (
  id integer primary key, run integer not null, key blob not null, family text not null, task text not null,
  number integer not null, started real not null, seconds real not null, exit text not null,
  error text, fingerprint text, cpu real, rss integer, worker text
) strict;
create index if not exists failures_by_key on attempts (key, id) where exit <> 'ok';
create table if not exists runs (
  id integer primary key, started real not null, seconds real, wanted text not null, status text, pid integer not null,
  done integer, failed integer
) strict;
"""
COLUMNS = "key, family, task, number, started, seconds, exit, error, fingerprint, cpu, rss, worker"


class RunRow(NamedTuple):
    """One run: what was wanted, how it ended (None: still running, or killed)."""

    id: int
    started: float  # seconds since 1970
    seconds: float | None
    wanted: str
    status: str | None
    pid: int
    done: int | None
    failed: int | None


class FamilyEstimate(NamedTuple):
    """How long attempts of a family took lately."""

    attempts: int
    mean: float  # seconds
    longest: float  # seconds


class History:
    """The attempts file of a state folder; opened on first use. Raises StateFolderError when it cannot be used."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, "history.db")
        self._connection: sqlite3.Connection | None = None
        self._run: int | None = None

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The open file, for one transaction; what the system or SQLite says against it becomes a StateFolderError."""
        try:
            if self._connection is None:
                self._connection = _connected(self.path)
            with self._connection as db:
                yield db
        except (sqlite3.Error, OSError) as cause:
            raise StateFolderError(f"the history {self.path} cannot be used: {cause}", hint=_next_step(cause)) from cause

    def begin(self, wanted: str) -> None:
        """Note that a run has started."""
        with self._open() as db:
            cursor = db.execute("insert into runs (started, wanted, pid) values (?, ?, ?)", (time.time(), wanted, os.getpid()))
            self._run = cursor.lastrowid

    def add(self, attempts: Iterable[Attempt | AttemptRow]) -> None:
        """Write attempts of the run that began, in one transaction."""
        with self._open() as db:
            values = f"{self._run or 0:d}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
            db.executemany(f"insert into attempts (run, {COLUMNS}) values ({values})", attempts)  # noqa: S608 - fixed names and a number

    def end(self, status: str, done: int, failed: int, seconds: float) -> None:
        """Note how the run ended, and let old rows go."""
        with self._open() as db:
            db.execute(
                "update runs set status = ?, seconds = ?, done = ?, failed = ? where id = ?", (status, seconds, done, failed, self._run)
            )
            oldest = time.time() - KEPT_SECONDS
            db.execute("delete from attempts where id <= (select max(id) from attempts) - ?", (KEPT_ROWS,))
            if self._run is not None and self._run % 50 == 0:
                db.execute("delete from attempts where started < ?", (oldest,))
                db.execute("delete from runs where started < ?", (oldest,))

    def close(self) -> None:
        """Close the file if it was opened."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- reading; a file that is not there has no rows

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        if not os.path.exists(self.path):
            return []
        with self._open() as db:
            return db.execute(query, values).fetchall()

    def recent(self, limit: int = 50, *, family: str | None = None, failed: bool = False) -> list[Attempt]:
        """The newest attempts first."""
        where = " where 1" + (" and family = ?" if family else "") + (" and exit <> 'ok'" if failed else "")
        values: tuple[object, ...] = (family, limit) if family else (limit,)
        return _attempts(self._rows(f"select {COLUMNS} from attempts{where} order by id desc limit ?", values))  # noqa: S608 - fixed names

    def of(self, key: bytes, limit: int = 20) -> list[Attempt]:
        """The newest attempts of one task first: those that failed, and those among the newest 100,000 of all that did not.

        Only failures have an index: one over all would cost each attempt of a run of a million more than the rest of its row.
        """
        query = (
            f"select {COLUMNS} from (select * from attempts where key = ? and exit <> 'ok' union "  # noqa: S608 - fixed names
            "select * from attempts where key = ? and id > (select max(id) from attempts) - 100000) order by id desc limit ?"
        )
        return _attempts(self._rows(query, (key, key, limit)))

    def runs(self, limit: int = 20) -> list[RunRow]:
        """The newest runs first."""
        query = "select id, started, seconds, wanted, status, pid, done, failed from runs order by id desc limit ?"
        return [RunRow(*row) for row in self._rows(query, (limit,))]  # type: ignore[arg-type]  # the schema is strict

    def estimates(self) -> dict[str, FamilyEstimate]:
        """Per family, from the newest ten thousand attempts that ended well."""
        query = (
            "select family, count(*), avg(seconds), max(seconds) from (select family, seconds from attempts where exit = 'ok' "
            "order by id desc limit 10000) group by family"
        )
        return {str(row[0]): FamilyEstimate(*row[1:]) for row in self._rows(query, ())}  # type: ignore[arg-type]


def _next_step(cause: Exception) -> str:
    if isinstance(cause, (sqlite3.OperationalError, OSError)):
        return "Is there room on the disk, and may this user write there? No task depends on this file."
    return "Move the file away to start a new one; no task depends on it."


def _attempts(rows: Iterable[tuple[object, ...]]) -> list[Attempt]:
    return [Attempt(*row) for row in rows]  # type: ignore[arg-type]  # the schema is strict


def _connected(path: str) -> sqlite3.Connection:
    """An open connection with today's schema; refuses a newer one."""
    if not os.path.exists(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(path, timeout=60.0)
    try:
        (version,) = db.execute("pragma user_version").fetchone()
        if version > VERSION:
            raise StateFolderError(
                f"{path} was written by a newer Levada (schema {version}, this one knows {VERSION})",
                hint="Use the newer Levada, or another LEVADA_STATE.",
            )
        db.execute("pragma synchronous = normal")
        if version < VERSION:
            _create(db)
    except BaseException:
        db.close()
        raise
    return db


def _create(db: sqlite3.Connection) -> None:
    with closing(db.cursor()) as cursor:
        cursor.execute("pragma journal_mode = wal").fetchall()
        cursor.executescript(f"begin immediate; {SCHEMA} pragma user_version = {VERSION}; commit;")


def attempts_of(path: str) -> Iterator[Attempt]:
    """Every attempt of a history file, oldest first."""
    with closing(_connected(path)) as db:
        for row in db.execute(f"select {COLUMNS} from attempts order by id"):  # noqa: S608 - fixed names
            yield Attempt(*row)

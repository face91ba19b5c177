"""Attempts of runs without a server, in the state folder: one SQLite file, written in batches.

They are an audit trail, never what decides whether a task is done. Writers of several processes wait
for each other; a reader never blocks them. Kept: 30 days or ten million attempts, whichever is less.

Neighbours that ended well share a row, a pack; each failure has a row of its own, found by its key. Attempts are
numbered over both tables in the order in which they were added; a pack bears the number of its last.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from .._model.ports import Attempt, AttemptRow
from .._model.values import NamedTuple
from ..errors import StateFolderError
from .packing import durations, packed, unpacked, with_key

if TYPE_CHECKING:
    import sqlite3
else:
    import _sqlite3 as sqlite3  # what Python adds (dates, rows by name) costs each run a quarter of a millisecond

VERSION = 2
KEPT_SECONDS = 30 * 86400.0
KEPT_ATTEMPTS = 10_000_000
LOOKED_AT = 100_000  # newest attempts, among which successes of one task are looked for
ESTIMATED_FROM = 10_000  # newest successes
PACK = 4_000  # attempts in a row, at most

FIRST = """
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
SECOND = """
create table if not exists packs (
  id integer primary key, run integer not null, at real not null, count integer not null, data blob not null
) strict;
"""
STEPS = (FIRST, SECOND)
"""What leads from each version to the next. Attempts of version 1 that ended well keep their rows and are read there."""

COLUMNS = "key, family, task, number, started, seconds, exit, error, fingerprint, cpu, rss, worker"
LAST = "max(coalesce((select max(id) from attempts), 0), coalesce((select max(id) from packs), 0))"  # number of the newest attempt

_exit = itemgetter(6)  # of an attempt


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
            for exit_class, neighbours in groupby(attempts, _exit):
                if exit_class == "ok":
                    while pack := list(islice(neighbours, PACK)):
                        self._add_pack(db, pack)
                else:
                    values = f"{LAST} + 1, {self._run or 0:d}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
                    db.executemany(f"insert into attempts (id, run, {COLUMNS}) values ({values})", neighbours)  # noqa: S608 - fixed names and a number

    def _add_pack(self, db: sqlite3.Connection, attempts: list[Attempt | AttemptRow]) -> None:
        count = len(attempts)
        query = f"insert into packs (id, run, at, count, data) values ({LAST} + ?, ?, ?, ?, ?)"  # noqa: S608 - fixed names
        db.execute(query, (count, self._run or 0, time.time(), count, packed(attempts)))

    def end(self, status: str, done: int, failed: int, seconds: float) -> None:
        """Note how the run ended, and let old rows go."""
        with self._open() as db:
            db.execute(
                "update runs set status = ?, seconds = ?, done = ?, failed = ? where id = ?", (status, seconds, done, failed, self._run)
            )
            self._prune(db)

    def _prune(self, db: sqlite3.Connection) -> None:
        """Let go what is too much, and now and then what is too old; a pack goes with its last attempt."""
        db.execute(f"delete from attempts where id <= {LAST} - ?", (KEPT_ATTEMPTS,))  # noqa: S608 - fixed names
        db.execute(f"delete from packs where id <= {LAST} - ?", (KEPT_ATTEMPTS,))  # noqa: S608 - fixed names
        if self._run is not None and self._run % 50 == 0:
            oldest = time.time() - KEPT_SECONDS
            db.execute("delete from attempts where started < ?", (oldest,))
            db.execute("delete from packs where at < ?", (oldest,))
            db.execute("delete from runs where started < ?", (oldest,))

    def close(self) -> None:
        """Close the file if it was opened."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- reading; a file that is not there has no rows

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The open file; None where there is none. Raises StateFolderError for a damaged pack, too."""
        if not os.path.exists(self.path):
            yield None
            return
        with self._open() as db:
            import struct

            try:
                yield db
            except (struct.error, ValueError) as cause:
                raise StateFolderError(f"the history {self.path} is damaged: {cause}", hint=_next_step(cause)) from cause

    def recent(self, limit: int = 50, *, family: str | None = None, failed: bool = False) -> list[Attempt]:
        """The newest attempts first."""
        where = " where 1" + (" and family = ?" if family else "") + (" and exit <> 'ok'" if failed else "")
        with self._reading() as db:
            if db is None:
                return []
            singles = _singles(db, f"select id, {COLUMNS} from attempts{where} order by id desc", (family,) if family else ())  # noqa: S608 - fixed names
            return _newest(limit, singles, iter(()) if failed else _packs(db, family))

    def of(self, key: bytes, limit: int = 20) -> list[Attempt]:
        """The newest attempts of one task first: those that failed, and those among the newest 100,000 of all that did not.

        Only failures have an index: one over all would cost each attempt of a run of a million more than the rest of it.
        """
        query = (
            f"select id, {COLUMNS} from (select * from attempts where key = ? and exit <> 'ok' union "  # noqa: S608 - fixed names
            "select * from attempts where key = ? and id > ?) order by id desc"
        )
        with self._reading() as db:
            if db is None:
                return []
            ((last,),) = db.execute(f"select {LAST}")
            after = last - LOOKED_AT
            return _newest(limit, _singles(db, query, (key, key, after)), _packs_with(db, key, after))

    def runs(self, limit: int = 20) -> list[RunRow]:
        """The newest runs first."""
        query = "select id, started, seconds, wanted, status, pid, done, failed from runs order by id desc limit ?"
        with self._reading() as db:
            return [RunRow(*row) for row in db.execute(query, (limit,))] if db is not None else []

    def estimates(self) -> dict[str, FamilyEstimate]:
        """Per family, from the newest ten thousand attempts that ended well."""
        with self._reading() as db:
            if db is None:
                return {}
            singles = db.execute("select id, family, seconds from attempts where exit = 'ok' order by id desc")
            newest = islice(_by_number(singles, _durations(db), reverse=True), ESTIMATED_FROM)
            times: dict[str, list[float]] = {}
            for _, family, seconds in newest:
                times.setdefault(family, []).append(seconds)
        return {family: FamilyEstimate(len(some), sum(some) / len(some), max(some)) for family, some in sorted(times.items())}


# -- attempts of both tables, each with its number -----------------------------------------------


def _singles(db: sqlite3.Connection, query: str, values: tuple[object, ...] = ()) -> Iterator[tuple[int, Attempt]]:
    """Attempts in rows of their own: (number, attempt) by a query for id and all columns."""
    return ((row[0], Attempt(*row[1:])) for row in db.execute(query, values))


def _packs(db: sqlite3.Connection, family: str | None) -> Iterator[tuple[int, Attempt]]:
    """Attempts in packs, the newest first; of one family, or of all."""
    text = family.encode() if family else b""
    for last, blob in db.execute("select id, data from packs order by id desc"):
        if text in blob:
            numbered = zip(range(last, 0, -1), reversed(unpacked(blob)), strict=False)
            yield from numbered if not family else (one for one in numbered if one[1].family == family)


def _packs_with(db: sqlite3.Connection, key: bytes, after: int) -> Iterator[tuple[int, Attempt]]:
    """Attempts of one task in packs, the newest first, down to a number."""
    for last, count, blob in db.execute("select id, count, data from packs where id > ? order by id desc", (after,)):
        for place, attempt in reversed(list(with_key(blob, key))):
            if (number := last - count + 1 + place) > after:
                yield number, attempt


def _durations(db: sqlite3.Connection) -> Iterator[tuple[int, str, float]]:
    """(number, family, seconds) of attempts in packs, the newest first."""
    for last, blob in db.execute("select id, data from packs order by id desc"):
        for number, (family, seconds) in zip(range(last, 0, -1), reversed(list(durations(blob))), strict=False):
            yield number, family, seconds


def _by_number(*ordered: Iterable[Any], reverse: bool = False) -> Iterator[Any]:
    """Both in one order. Without ``reverse`` the oldest come first."""
    from heapq import merge  # what only writes does not pay for it

    return merge(*ordered, key=itemgetter(0), reverse=reverse)


def _newest(limit: int, *numbered: Iterator[tuple[int, Attempt]]) -> list[Attempt]:
    return [attempt for _, attempt in islice(_by_number(*numbered, reverse=True), limit)]


# -- the file --------------------------------------------------------------------------------------


def _next_step(cause: Exception) -> str:
    if isinstance(cause, (sqlite3.OperationalError, OSError)):
        return "Is there room on the disk, and may this user write there? No task depends on this file."
    return "Move the file away to start a new one; no task depends on it."


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
        if not version:
            db.execute("pragma synchronous = off")  # there is nothing to lose yet, and a flush costs more than the tables
        if version < VERSION:
            _upgrade(db, version)
        db.execute("pragma synchronous = normal")
    except BaseException:
        db.close()
        raise
    return db


def _upgrade(db: sqlite3.Connection, version: int) -> None:
    """Bring the schema up to today's, in one transaction; another process may be at it too, so each step may come twice."""
    with closing(db.cursor()) as cursor:
        if not version:
            cursor.execute("pragma journal_mode = wal").fetchall()
        cursor.executescript(f"begin immediate; {' '.join(STEPS[version:])} pragma user_version = {VERSION}; commit;")


def attempts_of(path: str) -> Iterator[Attempt]:
    """Every attempt of a history file, oldest first."""
    with closing(_connected(path)) as db:
        singles = _singles(db, f"select id, {COLUMNS} from attempts order by id")  # noqa: S608 - fixed names
        for _, attempt in _by_number(singles, _packs_from_the_first(db)):
            yield attempt


def _packs_from_the_first(db: sqlite3.Connection) -> Iterator[tuple[int, Attempt]]:
    for last, count, blob in db.execute("select id, count, data from packs order by id"):
        yield from enumerate(unpacked(blob), last - count + 1)

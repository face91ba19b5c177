"""Questions to a store over a link: pages with bounds, so that no question can take long.

Law: whatever is asked, at most SCANNED rows are looked at; an answer that ends earlier says where to ask on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .._model.ports import Attempt
from .link import Link, schema_of
from .packing import unpacked, with_key
from .ports import (
    SCANNED,
    AttemptPage,
    AuditRow,
    GoalPage,
    GoalRow,
    LogChunk,
    LogSize,
    StoredAttempt,
    StoredAudit,
    TaskPage,
    TaskRow,
    TokenRow,
    TriggerRow,
)

FAILURE = "id, key, family, task, number, started, seconds, exit, error, fingerprint, cpu, rss, worker"
GOAL = "id, key, made, ended, trigger_name, family, params, state, data"
NEWEST = 1 << 62
"""Higher than any id."""
PACKS = 16
"""Packs that are read in one go."""


class SqlReading:
    """``Reading`` over a link."""

    kind = "sql"

    def __init__(self, link: Link | None = None) -> None:
        self._opened = link

    @property
    def _link(self) -> Link:
        if self._opened is None:
            raise RuntimeError("the store is not open: take_over comes first, and nothing comes after close")
        return self._opened

    def close(self) -> None:
        """Let the connection go."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    # -- tasks

    def tasks_at(self, indexes: Sequence[int]) -> list[TaskRow]:
        found: list[TaskRow] = []
        for at in range(0, len(indexes), 500):
            some = indexes[at : at + 500]
            found += map(TaskRow._make, self._link.rows(_tasks(f"select * from tasks where idx in ({', '.join('?' * len(some))})"), some))  # noqa: S608 - marks
        return sorted(found)

    def task_page(self, *, family: str | None = None, containing: str = "", after: int = -1, limit: int = 100) -> TaskPage:
        of_family = "" if family is None else "family = (select id from names where text = ?) and "
        inner = f"select * from tasks where {of_family}idx > ? order by idx limit {SCANNED if containing else limit:d}"  # noqa: S608 - numbers
        values: list[object] = [after] if family is None else [family, after]
        query = _tasks(inner, where=f"where {self._link.contains}" if containing else "") + f" limit {limit:d}"
        rows = [TaskRow(*row) for row in self._link.rows(query, [*values, containing] if containing else values)]
        if len(rows) == limit:
            return TaskPage(rows, rows[-1].index)
        return TaskPage(rows, self._bound(f"select count(*), max(idx) from ({inner}) as t", values) if containing else None)  # noqa: S608

    def _bound(self, query: str, values: Sequence[object]) -> int | None:
        """Where a scan stopped for having looked at enough; None when it came to the end."""
        count, bound = self._link.rows(query, values)[0]
        return int(bound) if count == SCANNED else None

    # -- attempts

    def attempts_of(self, key: bytes, limit: int = 20) -> list[StoredAttempt]:
        found = self._failures("key = ?", (key,), limit)
        looked = 0
        for last, count, blob in self._packs(NEWEST):
            found += [StoredAttempt(last - count + 1 + place, attempt) for place, attempt in with_key(blob, key)]
            looked += count
            if looked >= SCANNED:
                break
        return sorted(found, key=_by_id, reverse=True)[:limit]

    def attempts(self, *, family: str | None = None, failed: bool = False, before: int | None = None, limit: int = 50) -> AttemptPage:
        end = NEWEST if before is None else before
        if failed:
            return self._failed(family, end, limit)
        found, floor = self._succeeded(family, end, limit)
        found += self._failures_between(floor, end, family, limit)
        found = sorted(found, key=_by_id, reverse=True)[:limit]
        return AttemptPage(found, found[-1].id if len(found) == limit else floor if floor > 1 else None)

    def _succeeded(self, family: str | None, end: int, limit: int) -> tuple[list[StoredAttempt], int]:
        """What ended well before an id, at least ``limit`` where there are; and the id down to which all were seen, 0 for all."""
        found: list[StoredAttempt] = []
        looked = 0
        for last, count, blob in self._packs(end):
            first = last - count + 1
            stored = (StoredAttempt(first + place, attempt) for place, attempt in enumerate(unpacked(blob)))
            found += [one for one in stored if one.id < end and family in (None, one.attempt.family)]
            looked += count
            if len(found) >= limit or looked >= SCANNED:
                return found, first
        return found, 0

    def _packs(self, end: int) -> Iterator[tuple[int, int, bytes]]:
        """Packs with an id below ``end``, newest first, read a few at a time."""
        for last, count, blob in self._link.rows("select id, count, data from packs where id >= ? order by id limit 1", (end,)):
            if last - count + 1 < end:
                yield last, count, blob
        while rows := self._link.rows("select id, count, data from packs where id < ? order by id desc limit ?", (end, PACKS)):
            yield from ((row[0], row[1], row[2]) for row in rows)
            end = rows[-1][0]

    def _failed(self, family: str | None, end: int, limit: int) -> AttemptPage:
        if family is None:
            rows = self._failures("id < ?", (end,), limit)
            return AttemptPage(rows, rows[-1].id if len(rows) == limit else None)
        inner = f"select id, family from failures where id < ? order by id desc limit {SCANNED:d}"  # noqa: S608 - a number
        among = f"select id from ({inner}) as f where family = ? order by id desc limit {limit:d}"  # noqa: S608 - a number
        rows = self._failures(f"id in ({among})", (end, family), limit)
        if len(rows) == limit:
            return AttemptPage(rows, rows[-1].id)
        return AttemptPage(rows, self._bound(f"select count(*), min(id) from ({inner}) as f", (end,)))  # noqa: S608

    def _failures_between(self, floor: int, end: int, family: str | None, limit: int) -> list[StoredAttempt]:
        if family is None:
            return self._failures("id >= ? and id < ?", (floor, end), limit)
        return self._failures("id >= ? and id < ? and family = ?", (floor, end, family), limit)

    def _failures(self, where: str, values: Sequence[object], limit: int) -> list[StoredAttempt]:
        rows = self._link.rows(f"select {FAILURE} from failures where {where} order by id desc limit ?", [*values, limit])  # noqa: S608
        return [StoredAttempt(row[0], Attempt(*row[1:])) for row in rows]

    # -- logs, audit, operators, tokens

    def audit(self, *, before: int | None = None, limit: int = 50) -> list[StoredAudit]:
        query = "select id, at, who, address, action, subject, detail, chain from audit where id < ? order by id desc limit ?"
        rows = self._link.rows(query, (NEWEST if before is None else before, limit))
        return [StoredAudit(row[0], AuditRow(*row[1:])) for row in rows]

    def log(self, key: bytes, epoch: int, number: int, *, offset: int = 0, limit: int = 100) -> list[LogChunk]:
        query = (
            "select key, epoch, number, start, text, at from logs "
            "where key = ? and epoch = ? and number = ? and start >= ? order by start limit ?"
        )
        return [LogChunk(*row) for row in self._link.rows(query, (key, epoch, number, offset, limit))]

    def logs_of(self, key: bytes, limit: int = 20) -> list[LogSize]:
        query = (
            "select epoch, number, count(*), max(start), max(at) from logs where key = ? "
            "group by epoch, number order by epoch desc, number desc limit ?"
        )
        return [LogSize(*row) for row in self._link.rows(query, (key, limit))]

    def answer_of(self, key: str) -> bytes | None:
        rows = self._link.rows("select answer from idempotency where key = ?", (key,))
        return bytes(rows[0][0]) if rows else None

    def tokens(self) -> list[TokenRow]:
        query = "select id, digest, role, namespace, label, created, expires, used, revoked from tokens order by created, id"
        return [TokenRow(*row) for row in self._link.rows(query)]

    # -- triggers and goals

    def triggers(self) -> list[TriggerRow]:
        return [TriggerRow(*row) for row in self._link.rows("select name, spec, state from triggers order by name")]

    def live_goals(self) -> list[GoalRow]:
        return self._goals("ended = 0 order by id", ())

    def goals_at(self, keys: Sequence[bytes]) -> list[GoalRow]:
        found: list[GoalRow] = []
        wanted = list(dict.fromkeys(keys))
        for at in range(0, len(wanted), 500):
            some = wanted[at : at + 500]
            found += self._goals(f"key in ({', '.join('?' * len(some))})", some)
        return sorted(found)

    def goals(
        self, *, trigger: str | None = None, family: str | None = None, state: str | None = None, before: int | None = None, limit: int = 50
    ) -> GoalPage:
        end = NEWEST if before is None else before
        first = "" if trigger is None else " and trigger_name = ?"
        inner = f"select * from goals where id < ?{first} order by id desc limit {SCANNED:d}"  # noqa: S608 - ours
        values: list[object] = [end] if trigger is None else [end, trigger]
        asked = [(column, text) for column, text in (("family", family), ("state", state)) if text is not None]
        where = " and ".join(f"{column} = ?" for column, _ in asked) or "1 = 1"
        rows = [
            GoalRow(*row)
            for row in self._link.rows(
                f"select {GOAL} from ({inner}) as g where {where} order by id desc limit ?",  # noqa: S608 - ours
                [*values, *(text for _, text in asked), limit],
            )
        ]
        if len(rows) == limit:
            return GoalPage(rows, rows[-1].number)
        return GoalPage(rows, self._bound(f"select count(*), min(id) from ({inner}) as g", values))  # noqa: S608 - ours

    def last_goal(self) -> int:
        return int(self._link.rows("select max(id) from goals")[0][0] or 0)

    def _goals(self, where: str, values: Sequence[object]) -> list[GoalRow]:
        return [GoalRow(*row) for row in self._link.rows(f"select {GOAL} from goals where {where}", values)]  # noqa: S608 - ours

    def facts(self) -> dict[str, str | int]:
        schema, _ = schema_of(self._link)
        ((epoch, owner),) = self._link.rows("select epoch, owner from holder")
        return {"kind": self.kind, "place": self._link.place, "schema": schema, "epoch": epoch, "owner": owner}


def _tasks(inner: str, where: str = "") -> str:
    """A query for task rows with their names in place, of an inner one over ``tasks``."""
    return (
        f"select t.idx, t.key, f.text, t.params, m.text from ({inner}) as t join names as f on f.id = t.family "  # noqa: S608 - ours
        f"left join names as m on m.id = t.module {where} order by t.idx"
    )


def _by_id(stored: StoredAttempt) -> int:
    return stored.id


def snapshot_of(rows: Sequence[tuple[str, str]]) -> tuple[int, int]:
    """(id, seq) of the snapshot that counts, from the rows of ``meta``; zeros where there is none."""
    meta: dict[str, str] = dict(rows)
    return int(meta.get("snapshot", 0)), int(meta.get("snapshot_seq", 0))

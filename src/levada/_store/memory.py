"""A store without a disk: for seeded worlds and tests, where a thousand servers die in a second.

Law: it passes the suite of the durable ones. What a crash leaves is the ``Disk``; a ``MemoryStore`` is one
server's hold on it. A batch is looked at as a whole before anything of it is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from .._model.ports import Attempt
from ..errors import Deposed, StoreBusy, StoreError, StoreFull
from .ports import (
    KEPT,
    SCANNED,
    STALE,
    Answer,
    AttemptPage,
    Batch,
    GoalPage,
    GoalRow,
    Loaded,
    LogChunk,
    LogSize,
    Retention,
    SessionRow,
    StoredAttempt,
    StoredAudit,
    TaskPage,
    TaskRow,
    TokenRow,
    TriggerRow,
)
from .writing import CHUNKS, ROWS, pieced, without_nul


class Disk:
    """What is there when the server is not. holder: the store that has it; set it to None to let a server die."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.holder: MemoryStore | None = None
        self.owner = ""
        self.epoch = 0
        self.full = False  # commits raise StoreFull while set
        self.seq = self.snapshot = 0
        self.parts: dict[str, bytes] = {}
        self.journal: dict[int, bytes] = {}
        self.tasks: dict[int, TaskRow] = {}
        self.sessions: dict[bytes, SessionRow] = {}
        self.attempts: list[tuple[float, StoredAttempt]] = []
        self.logs: dict[tuple[bytes, int, int], dict[int, LogChunk]] = {}
        self.audit: list[StoredAudit] = []
        self.idempotency: dict[str, tuple[float, bytes]] = {}
        self.tokens: dict[str, TokenRow] = {}
        self.triggers: dict[str, TriggerRow] = {}
        self.goals: dict[int, GoalRow] = {}
        self.notes: dict[str, str] = {}
        self.marks: dict[int, str] = {}
        self.given = [0, 0]  # last ids of attempts and of audit lines


class MemoryReader:
    """``Reading`` over a disk."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def tasks_at(self, indexes: Sequence[int]) -> list[TaskRow]:
        return [self.disk.tasks[index] for index in sorted(set(indexes)) if index in self.disk.tasks]

    def task_page(self, *, family: str | None = None, containing: str = "", after: int = -1, limit: int = 100) -> TaskPage:
        rows: list[TaskRow] = []
        looked = 0
        for index in sorted(index for index in self.disk.tasks if index > after):
            row = self.disk.tasks[index]
            if family not in (None, row.family):
                continue
            looked += 1
            if containing in row.params:
                rows.append(row)
            if len(rows) == limit or looked == SCANNED:
                return TaskPage(rows, index)
        return TaskPage(rows, None)

    def attempts_of(self, key: bytes, limit: int = 20) -> list[StoredAttempt]:
        newest = self.disk.attempts[-SCANNED:]
        return [stored for _, stored in reversed(newest) if stored.attempt.key == key][:limit]

    def attempts(self, *, family: str | None = None, failed: bool = False, before: int | None = None, limit: int = 50) -> AttemptPage:
        end = before if before is not None else self.disk.given[0] + 1
        found = [
            stored
            for _, stored in reversed(self.disk.attempts)
            if stored.id < end and family in (None, stored.attempt.family) and not (failed and stored.attempt.exit == "ok")
        ][:limit]
        return AttemptPage(found, found[-1].id if len(found) == limit else None)

    def audit(self, *, before: int | None = None, limit: int = 50) -> list[StoredAudit]:
        return [line for line in reversed(self.disk.audit) if before is None or line.id < before][:limit]

    def log(self, key: bytes, epoch: int, number: int, *, offset: int = 0, limit: int = 100) -> list[LogChunk]:
        chunks = self.disk.logs.get((key, epoch, number), {})
        return [chunks[at] for at in sorted(chunks) if at >= offset][:limit]

    def logs_of(self, key: bytes, limit: int = 20) -> list[LogSize]:
        of_key = [(fence, chunks) for (owner, *fence), chunks in self.disk.logs.items() if owner == key and chunks]
        sizes = [LogSize(epoch, number, len(some), max(some), max(one.at for one in some.values())) for (epoch, number), some in of_key]
        return sorted(sizes, reverse=True)[:limit]

    def answer_of(self, key: str) -> bytes | None:
        found = self.disk.idempotency.get(key)
        return found[1] if found else None

    def tokens(self) -> list[TokenRow]:
        return sorted(self.disk.tokens.values(), key=lambda token: (token.created, token.id))

    def triggers(self) -> list[TriggerRow]:
        return [self.disk.triggers[name] for name in sorted(self.disk.triggers)]

    def live_goals(self) -> list[GoalRow]:
        return [row for _, row in sorted(self.disk.goals.items()) if not row.ended]

    def goals_at(self, keys: Sequence[bytes]) -> list[GoalRow]:
        return [row for _, row in sorted(self.disk.goals.items()) if row.key in keys]

    def goals(
        self, *, trigger: str | None = None, family: str | None = None, state: str | None = None, before: int | None = None, limit: int = 50
    ) -> GoalPage:
        end = before if before is not None else self.last_goal() + 1
        found = [
            row
            for _, row in sorted(self.disk.goals.items(), reverse=True)
            if row.number < end and trigger in (None, row.trigger) and family in (None, row.family) and state in (None, row.state)
        ][:limit]
        return GoalPage(found, found[-1].number if len(found) == limit else None)

    def last_goal(self) -> int:
        return max(self.disk.goals, default=0)

    def facts(self) -> dict[str, str | int]:
        return {"kind": "memory", "place": self.disk.name, "schema": 0, "epoch": self.disk.epoch, "owner": self.disk.owner}

    def close(self) -> None:
        pass


class MemoryStore(MemoryReader):
    """``Store`` over a disk that lives as long as this process."""

    def __init__(self, disk: Disk | None = None, *, retention: Retention = KEPT) -> None:
        super().__init__(disk or Disk())
        self._retention = retention
        self._epoch: int | None = None

    # -- whose it is

    def take_over(self, owner: str, *, wait: float | None = 0.0, stale: float = STALE, stopped: Callable[[], bool] | None = None) -> int:
        end = None if wait is None else time.monotonic() + wait
        while self.disk.holder is not None:
            if (stopped and stopped()) or (end is not None and time.monotonic() >= end):
                raise StoreBusy(self.disk.name, self.disk.owner)
            time.sleep(0.01)
        self.disk.holder, self.disk.owner = self, owner
        self.disk.epoch += 1
        self._epoch = self.disk.epoch
        return self._epoch

    def _ours(self) -> Disk:
        if self._epoch is None:
            raise RuntimeError("the store is not open: take_over comes first, and nothing comes after close")
        if self.disk.epoch != self._epoch:
            raise Deposed(self.disk.name, epoch=self._epoch, newest=self.disk.epoch)
        return self.disk

    def _writable(self) -> Disk:
        disk = self._ours()
        if disk.full:
            raise StoreFull(f"{disk.name}: there is no room", hint="Make room.")
        return disk

    def heartbeat(self) -> None:
        self._ours()

    def close(self) -> None:
        if self.disk.holder is self:
            self.disk.holder = None
        self._epoch = None

    # -- load and commit

    def load(self) -> Loaded:
        disk = self._ours()
        journal = [(seq, disk.journal[seq]) for seq in sorted(disk.journal) if seq > disk.snapshot]
        sessions = [disk.sessions[key] for key in sorted(disk.sessions)]
        tasks = [disk.tasks[index] for index in sorted(disk.tasks)]
        return Loaded(disk.seq, disk.snapshot, dict(disk.parts), sessions, iter(journal), iter(tasks))

    def commit(self, batch: Batch) -> None:
        disk = self._writable()
        if batch.changes is not None and batch.seq <= disk.seq:
            raise ValueError(f"seq {batch.seq} does not rise, the last one was {disk.seq}")
        if any(len(attempt[0]) != 16 for attempt in batch.attempts):
            raise ValueError("keys of attempts have 16 bytes")
        keys = {row.key: row.number for row in disk.goals.values()} if batch.goals else {}
        if any(keys.setdefault(row.key, row.number) != row.number for row in batch.goals):
            raise ValueError("a goal has the key of another")
        for index in batch.forgotten:
            disk.tasks.pop(index, None)
            disk.marks.pop(index, None)
        disk.tasks.update((row.index, row) for row in batch.tasks)
        disk.marks.update(batch.marks)
        if batch.changes is not None:
            disk.journal[batch.seq] = batch.changes
            disk.seq = batch.seq
        disk.sessions.update((row.id, row) for row in batch.sessions)
        for answer in batch.answers:
            disk.sessions[answer.session] = _answered(disk.sessions.get(answer.session), answer, batch.at)
        for session in batch.closed:
            disk.sessions.pop(session, None)
        _write_trails(disk, batch)

    def marks(self) -> Iterator[tuple[int, str]]:
        return iter(sorted(self._ours().marks.items()))

    # -- housekeeping

    def note(self, name: str, value: str) -> None:
        self._writable().notes[name] = value

    def noted(self, name: str) -> str | None:
        return self._ours().notes.get(name)

    def checkpoint(self, seq: int, parts: Iterable[tuple[str, bytes]]) -> Iterator[int]:
        disk = self._writable()
        if seq > disk.seq:
            raise ValueError(f"nothing was committed with seq {seq}, the last one was {disk.seq}")
        gathered: dict[str, bytes] = {}
        for pieces in pieced(parts):
            self._writable()
            for name, data in pieces:
                gathered[name] = gathered.get(name, b"") + data
            yield sum(map(len, gathered.values()))
        self._writable()
        disk.parts, disk.snapshot = gathered, seq
        for old in [number for number in disk.journal if number <= seq]:
            del disk.journal[old]

    def prune(self, now: float) -> bool:
        disk, kept = self._writable(), self._retention
        gone = _expired([(at, stored.id) for at, stored in disk.attempts], now - kept.attempts_age, disk.given[0] - kept.attempts, ROWS)
        del disk.attempts[:gone]
        lines = _expired([(line.row.at, line.id) for line in disk.audit], now - kept.audit_age, disk.given[1] - kept.audit, ROWS)
        del disk.audit[:lines]
        return bool(gone or lines or self._prune_logs(now) or self._prune_answers(now) or self._prune_goals(now))

    def _prune_goals(self, now: float) -> int:
        kept, last = self._retention, self.last_goal()
        ended = [row for row in self.disk.goals.values() if row.ended and row.number < last]
        old = [row for row in ended if row.ended < now - kept.goals_age or row.number <= last - kept.goals]
        for row in sorted(old, key=lambda one: (one.ended, one.number))[:ROWS]:
            del self.disk.goals[row.number]
        return len(old)

    def _prune_logs(self, now: float) -> int:
        chunks = [(one.at, number, fence, one.offset) for fence, some in self.disk.logs.items() for number, one in enumerate(some.values())]
        gone = _expired(
            [(at, place) for place, (at, *_) in enumerate(chunks, 1)],
            now - self._retention.logs_age,
            len(chunks) - self._retention.logs,
            CHUNKS,
        )
        for _, _, fence, offset in chunks[:gone]:
            del self.disk.logs[fence][offset]
        return gone

    def _prune_answers(self, now: float) -> int:
        answers = self.disk.idempotency
        rows = [(at, place) for place, (at, _) in enumerate(answers.values(), 1)]
        gone = _expired(rows, now - self._retention.idempotency_age, len(rows) - self._retention.idempotency, ROWS)
        for key in list(answers)[:gone]:
            del answers[key]
        return gone

    # -- tokens

    def put_token(self, token: TokenRow) -> None:
        self._writable().tokens[token.id] = token

    def revoke_token(self, token: str, at: float) -> bool:
        tokens = self._writable().tokens
        if token not in tokens or tokens[token].revoked is not None:
            return False
        tokens[token] = tokens[token]._replace(revoked=at)
        return True

    def touch_tokens(self, uses: Iterable[tuple[str, float]]) -> None:
        tokens = self._writable().tokens
        for token, at in uses:
            if token in tokens:
                tokens[token] = tokens[token]._replace(used=at)

    # -- copies

    def reader(self) -> MemoryReader:
        return MemoryReader(self.disk)

    def backup(self, path: str) -> None:
        raise StoreError(f"{path}: a store in memory has no backup", hint="Name a file or a database with --store.")


def _answered(row: SessionRow | None, answer: Answer, at: float) -> SessionRow:
    return SessionRow(answer.session, answer.number, answer.answer, at, row.about if row else "")


def _write_trails(disk: Disk, batch: Batch) -> None:
    well = [attempt for attempt in batch.attempts if attempt[6] == "ok"]
    failures = [attempt for attempt in batch.attempts if attempt[6] != "ok"]
    for attempt in [*well, *failures]:
        disk.given[0] += 1
        disk.attempts.append((batch.at, StoredAttempt(disk.given[0], Attempt(*map(without_nul, attempt)))))
    for chunk in batch.logs:
        disk.logs.setdefault((chunk.key, chunk.epoch, chunk.number), {}).setdefault(
            chunk.offset, chunk._replace(text=without_nul(chunk.text))
        )
    for key, epoch, number, start, stop in batch.cuts:
        chunks = disk.logs.get((key, epoch, number), {})
        for offset in [offset for offset in chunks if start <= offset < stop]:
            del chunks[offset]
    for row in batch.audit:
        disk.given[1] += 1
        disk.audit.append(StoredAudit(disk.given[1], row))
    for name, given in batch.idempotency:
        disk.idempotency.setdefault(name, (batch.at, given))
    disk.tokens.update((token.id, token) for token in batch.tokens)
    for name in batch.untriggered:
        disk.triggers.pop(name, None)
    disk.triggers.update((row.name, row) for row in batch.triggers)
    for goal in batch.goals:
        before = disk.goals.get(goal.number)
        disk.goals[goal.number] = before._replace(ended=goal.ended, state=goal.state, data=goal.data) if before else goal


def _expired(rows: Sequence[tuple[float, int]], oldest: float, floor: int, most: int) -> int:
    """How many first rows (at, id) are too old or too many; never the newest one, ``most`` at most."""
    for place, (at, number) in enumerate(rows[: most + 1]):
        if place == len(rows) - 1 or place == most or (at >= oldest and number > floor):
            return place
    return 0

"""The writing half of a store over a link: commits, checkpoints, pruning, tokens.

Laws: each transaction looks at the epoch first and undoes everything when it is another server's. What the
store remembers in this process (names, next ids) changes only after the transaction did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .._model.ports import Attempt, AttemptRow
from ..errors import Deposed
from .link import Link
from .packing import packed
from .ports import PIECE, Batch, Loaded, Retention, SessionRow, TaskRow, TokenRow
from .reading import SqlReading, snapshot_of

PUT_TASK = (
    "insert into tasks (idx, key, family, params, module) values (?, ?, ?, ?, ?) on conflict (idx) do update set "
    "key = excluded.key, family = excluded.family, params = excluded.params, module = excluded.module"
)
PUT_MARK = "insert into marks (idx, text) values (?, ?) on conflict (idx) do update set text = excluded.text"
PUT_SESSION = (
    "insert into sessions (id, number, answer, seen, about) values (?, ?, ?, ?, ?) on conflict (id) do update set "
    "number = excluded.number, answer = excluded.answer, seen = excluded.seen, about = excluded.about"
)
PUT_ANSWER = (
    "insert into sessions (id, number, answer, seen, about) values (?, ?, ?, ?, '') on conflict (id) do update set "
    "number = excluded.number, answer = excluded.answer, seen = excluded.seen"
)
PUT_FAILURE = (
    "insert into failures (id, at, key, family, task, number, started, seconds, exit, error, fingerprint, cpu, rss, worker) "
    "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
PUT_LOG = (
    "insert into logs (id, key, epoch, number, start, text, at) values (?, ?, ?, ?, ?, ?, ?) "
    "on conflict (key, epoch, number, start) do nothing"
)
CUT_LOG = "delete from logs where key = ? and epoch = ? and number = ? and start >= ? and start < ?"
PUT_AUDIT = "insert into audit (id, at, who, address, action, subject, detail, chain) values (?, ?, ?, ?, ?, ?, ?, ?)"
PUT_IDEMPOTENCY = "insert into idempotency (id, at, key, answer) values (?, ?, ?, ?) on conflict (key) do nothing"
PUT_PART = "insert into parts (id, snapshot, name, data) values (?, ?, ?, ?)"
PUT_META = "insert into meta (name, value) values (?, ?) on conflict (name) do update set value = excluded.value"
SAVE_CREDENTIAL = (
    "insert into tokens (id, digest, role, namespace, label, created, expires, used, revoked) values (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "on conflict (id) do update set digest = excluded.digest, role = excluded.role, namespace = excluded.namespace, "
    "label = excluded.label, created = excluded.created, expires = excluded.expires, used = excluded.used, revoked = excluded.revoked"
)
PUT_TRIGGER = (
    "insert into triggers (name, spec, state) values (?, ?, ?) "
    "on conflict (name) do update set spec = excluded.spec, state = excluded.state"
)
PUT_GOAL = (
    "insert into goals (id, key, made, ended, trigger_name, family, params, state, data) values (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "on conflict (id) do update set ended = excluded.ended, state = excluded.state, data = excluded.data"
)
SNAPSHOT = "select name, value from meta where name in ('snapshot', 'snapshot_seq')"

JOURNAL_ROWS, ROWS, CHUNKS = 64, 1000, 64
"""Rows that one transaction deletes at most: of the journal, of small rows, of log chunks."""
LOADED = 5000
"""Tasks that are read in one go."""
NO_INDEX = -(1 << 62)


class Counters:
    """The last ids given, by table."""

    __slots__ = ("answer", "attempt", "audit", "log")

    def __init__(self, attempt: int = 0, audit: int = 0, log: int = 0, answer: int = 0) -> None:
        self.attempt, self.audit, self.log, self.answer = attempt, audit, log, answer

    def copy(self) -> Counters:
        """Another one, to count on with until the commit."""
        return Counters(self.attempt, self.audit, self.log, self.answer)


class SqlWriting(SqlReading):
    """``Store`` over a link, but for how it is opened, locked and copied."""

    def __init__(self, retention: Retention) -> None:
        super().__init__()
        self._retention = retention
        self._epoch = 0
        self._seq = 0
        self._snapshot = (0, 0)  # id, seq
        self._names: dict[str | None, int | None] = {None: None}
        self._counters = Counters()

    @contextmanager
    def _committing(self, *, durable: bool = True, flush: bool = False) -> Iterator[Link]:
        """A transaction of the server that took over. Raises Deposed, with nothing written, when that is another by now."""
        link = self._link
        with link.transaction(durable=durable, flush=flush):
            ((epoch,),) = link.rows(link.alive)
            if epoch != self._epoch:
                raise Deposed(link.place, epoch=self._epoch, newest=epoch)
            yield link

    def _remember(self, link: Link) -> None:
        """Learn names, next ids and where the story stands, after a takeover."""
        self._opened = link
        self._names = {None: None, **{row[0]: row[1] for row in link.rows("select text, id from names")}}
        self._snapshot = snapshot_of(link.rows(SNAPSHOT))
        self._seq = max(self._snapshot[1], _max(link, "seq", "journal"))
        attempt = max(_max(link, "id", "packs"), _max(link, "id", "failures"))
        self._counters = Counters(attempt, _max(link, "id", "audit"), _max(link, "id", "logs"), _max(link, "id", "idempotency"))

    # -- load

    def load(self) -> Loaded:
        link, (snapshot, seq) = self._link, self._snapshot
        pieces: dict[str, list[bytes]] = {}
        for name, data in link.rows("select name, data from parts where snapshot = ? order by id", (snapshot,)):
            pieces.setdefault(name, []).append(data)
        parts = {name: data[0] if len(data) == 1 else b"".join(data) for name, data in pieces.items()}
        sessions = [SessionRow(*row) for row in link.rows("select id, number, answer, seen, about from sessions order by id")]
        return Loaded(self._seq, seq, parts, sessions, self._journal(seq), self._tasks())

    def _journal(self, after: int) -> Iterator[tuple[int, bytes]]:
        query = "select seq, changes from journal where seq > ? order by seq limit ?"
        while rows := self._link.rows(query, (after, JOURNAL_ROWS)):
            yield from rows
            after = rows[-1][0]
            self._loading()

    def _tasks(self) -> Iterator[TaskRow]:
        """All tasks; a name is one object however many tasks have it."""
        names: dict[int | None, str | None] = {number: text for text, number in self._names.items()}
        make, row_class, after = tuple.__new__, TaskRow, NO_INDEX
        query = "select idx, key, family, params, module from tasks where idx > ? order by idx limit ?"
        while rows := self._link.rows(query, (after, LOADED)):
            for index, key, family, params, module in rows:
                yield make(row_class, (index, key, names[family], params, names[module]))  # a third of the cost of TaskRow(...)
            after = rows[-1][0]
            self._loading()

    def marks(self) -> Iterator[tuple[int, str]]:
        after = NO_INDEX
        while rows := self._link.rows("select idx, text from marks where idx > ? order by idx limit ?", (after, LOADED)):
            yield from rows
            after = rows[-1][0]
            self._loading()

    def _loading(self) -> None:
        """Called now and then during a load."""

    # -- commit

    def commit(self, batch: Batch) -> None:
        if batch.changes is not None and batch.seq <= self._seq:
            raise ValueError(f"seq {batch.seq} does not rise, the last one was {self._seq}")
        counters = self._counters.copy()
        fresh = self._new_names(batch.tasks)
        try:
            with self._committing(flush=batch.flush) as link:
                self._write_tasks(link, batch, fresh)
                if batch.changes is not None:
                    link.run("insert into journal (seq, changes) values (?, ?)", (batch.seq, batch.changes))
                _write_sessions(link, batch)
                if batch.attempts:
                    _write_attempts(link, batch, counters)
                _write_trails(link, batch, counters)
        except BaseException:
            for name in fresh:
                del self._names[name]
            raise
        self._counters = counters
        if batch.changes is not None:
            self._seq = batch.seq

    def _new_names(self, tasks: Sequence[TaskRow]) -> list[str]:
        """Families and modules that were never seen; they have their numbers now."""
        names = self._names
        fresh = sorted(
            name for name in {row[2] for row in tasks}.union([row[4] for row in tasks]) if name is not None and name not in names
        )
        for name in fresh:
            names[name] = len(names)  # None is one of them: numbers begin with 1
        return fresh

    def _write_tasks(self, link: Link, batch: Batch, fresh: Sequence[str]) -> None:
        names = self._names
        if fresh:
            link.many("insert into names (id, text) values (?, ?)", [(names[name], name) for name in fresh])
        if batch.forgotten:
            link.many("delete from tasks where idx = ?", [(index,) for index in batch.forgotten])
            link.many("delete from marks where idx = ?", [(index,) for index in batch.forgotten])
        if batch.tasks:
            link.many(PUT_TASK, [(index, key, names[family], params, names[module]) for index, key, family, params, module in batch.tasks])
        if batch.marks:
            link.many(PUT_MARK, list(batch.marks))

    # -- checkpoint

    def checkpoint(self, seq: int, parts: Iterable[tuple[str, bytes]]) -> Iterator[int]:
        if seq > self._seq:
            raise ValueError(f"nothing was committed with seq {seq}, the last one was {self._seq}")
        yield from self._sweep(0)
        snapshot, number, written = self._snapshot[0] + 1, _max(self._link, "id", "parts"), 0
        for pieces in pieced(parts):
            with self._committing(durable=False) as link:
                link.many(PUT_PART, [(number + at, snapshot, name, data) for at, (name, data) in enumerate(pieces, 1)])
            number += len(pieces)
            written += sum(len(data) for _, data in pieces)
            yield written
        with self._committing() as link:
            link.many(PUT_META, [("snapshot", str(snapshot)), ("snapshot_seq", str(seq))])
        self._snapshot = (snapshot, seq)
        yield from self._sweep(written)

    def _sweep(self, written: int) -> Iterator[int]:
        """Let go, in steps, what the snapshot that counts has made superfluous."""
        parts = "delete from parts where id in (select id from parts where snapshot <> ? order by id limit 1)"
        journal = "delete from journal where seq in (select seq from journal where seq <= ? order by seq limit ?)"
        for statement, values in ((parts, (self._snapshot[0],)), (journal, (self._snapshot[1], JOURNAL_ROWS))):
            while self._delete(statement, values):
                yield written

    def _delete(self, statement: str, values: Sequence[object]) -> int:
        with self._committing(durable=False) as link:
            return link.run(statement, values)

    # -- housekeeping

    def note(self, name: str, value: str) -> None:
        with self._committing(flush=True) as link:
            link.many(PUT_META, [(f"host.{name}", value)])

    def noted(self, name: str) -> str | None:
        rows = self._link.rows("select value from meta where name = ?", (f"host.{name}",))
        return str(rows[0][0]) if rows else None

    def heartbeat(self) -> None:
        with self._committing():
            pass

    def prune(self, now: float) -> bool:
        kept = self._retention
        counters = self._counters
        return (
            self._prune("packs", ROWS // 10, now - kept.attempts_age, counters.attempt - kept.attempts)
            or self._prune("failures", ROWS, now - kept.attempts_age, counters.attempt - kept.attempts)
            or self._prune("logs", CHUNKS, now - kept.logs_age, counters.log - kept.logs)
            or self._prune("audit", ROWS, now - kept.audit_age, counters.audit - kept.audit)
            or self._prune("idempotency", ROWS, now - kept.idempotency_age, counters.answer - kept.idempotency)
            or self._prune_goals(now)
        )

    def _prune_goals(self, now: float) -> bool:
        """Ended goals that are too old or too many; the newest of all stays, so that its number is not given again."""
        kept, last = self._retention, self.last_goal()
        old = "id in (select id from goals where ended > 0 and (ended < ? or id <= ?) and id < ? order by ended, id limit ?)"
        return self._delete(f"delete from goals where {old}", (now - kept.goals_age, last - kept.goals, last, ROWS)) > 0  # noqa: S608 - ours

    def _prune(self, table: str, rows: int, oldest: float, floor: int) -> bool:
        """Delete the first rows of a table that are too old or too many; whether there were any. The newest row stays."""
        first = self._link.rows(f"select id, at from {table} order by id limit ?", (rows,))  # noqa: S608 - ours
        last = _max(self._link, "id", table)
        bound = 0
        for number, at in first:
            if number >= last or (at >= oldest and number > floor):
                break
            bound = number
        return bool(bound) and self._delete(f"delete from {table} where id <= ?", (bound,)) > 0  # noqa: S608 - ours

    # -- tokens

    def put_token(self, token: TokenRow) -> None:
        with self._committing() as link:
            link.run(SAVE_CREDENTIAL, token)

    def revoke_token(self, token: str, at: float) -> bool:
        with self._committing() as link:
            return link.run("update tokens set revoked = ? where id = ? and revoked is null", (at, token)) == 1

    def touch_tokens(self, uses: Iterable[tuple[str, float]]) -> None:
        with self._committing(durable=False) as link:  # each minute, in the thread that answers renewals
            link.many("update tokens set used = ? where id = ?", [(at, token) for token, at in uses])


def _max(link: Link, column: str, table: str) -> int:
    return link.rows(f"select max({column}) from {table}")[0][0] or 0  # noqa: S608 - ours


def _write_sessions(link: Link, batch: Batch) -> None:
    if batch.sessions:
        link.many(PUT_SESSION, batch.sessions)
    if batch.answers:
        at = batch.at
        link.many(PUT_ANSWER, [(session, number, answer, at) for session, number, answer in batch.answers])
    if batch.closed:
        link.many("delete from sessions where id = ?", [(session,) for session in batch.closed])


def _write_attempts(link: Link, batch: Batch, counters: Counters) -> None:
    well: list[Attempt | AttemptRow] = []
    failures: list[Attempt | AttemptRow] = []
    for attempt in batch.attempts:
        (well if attempt[6] == "ok" else failures).append(attempt)
    if well:
        counters.attempt += len(well)
        link.run("insert into packs (id, at, count, data) values (?, ?, ?, ?)", (counters.attempt, batch.at, len(well), packed(well)))
    if failures:
        link.many(PUT_FAILURE, [(number, batch.at, *map(without_nul, row)) for number, row in enumerate(failures, counters.attempt + 1)])
        counters.attempt += len(failures)


def without_nul(value: Any) -> Any:
    """What programs print may hold NUL, which PostgreSQL has no place for."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _write_trails(link: Link, batch: Batch, counters: Counters) -> None:
    """Logs, audit lines and answers to operators: what most commits have none of."""
    if batch.logs:
        link.many(PUT_LOG, [(number, *map(without_nul, chunk)) for number, chunk in enumerate(batch.logs, counters.log + 1)])
        counters.log += len(batch.logs)
    if batch.cuts:
        link.many(CUT_LOG, batch.cuts)
    if batch.audit:
        link.many(PUT_AUDIT, [(number, *row) for number, row in enumerate(batch.audit, counters.audit + 1)])
        counters.audit += len(batch.audit)
    if batch.idempotency:
        link.many(PUT_IDEMPOTENCY, [(number, batch.at, *pair) for number, pair in enumerate(batch.idempotency, counters.answer + 1)])
        counters.answer += len(batch.idempotency)
    if batch.tokens:
        link.many(SAVE_CREDENTIAL, batch.tokens)
    if batch.untriggered:
        link.many("delete from triggers where name = ?", [(name,) for name in batch.untriggered])
    if batch.triggers:
        link.many(PUT_TRIGGER, batch.triggers)
    if batch.goals:
        link.many(PUT_GOAL, batch.goals)


def pieced(parts: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    """Parts cut and gathered into lists of at most PIECE bytes; an empty part is one empty piece.

    >>> [[(name, len(data)) for name, data in pieces] for pieces in pieced([("a", b"x" * (PIECE + 2)), ("b", b"")])]
    [[('a', 1048576)], [('a', 2), ('b', 0)]]
    """
    gathered: list[tuple[str, bytes]] = []
    size = 0
    for name, data in parts:
        for at in range(0, len(data) or 1, PIECE):
            piece = data[at : at + PIECE]
            if gathered and size + len(piece) > PIECE:
                yield gathered
                gathered, size = [], 0
            gathered.append((name, piece))
            size += len(piece)
    if gathered:
        yield gathered

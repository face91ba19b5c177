"""What the server's memory takes in and gives out, and the protocol that every kind of store keeps.

Laws: a commit is whole or absent, and durable when it returns (with ``synchronous="full"``). It carries the
epoch of the one server that took over; one that was deposed since cannot commit. The store never decides and
never looks into what the host hands it as bytes. What is not a page of a reader is called by one thread.

The truth is a *snapshot* of the brain's state and the *journal* of what changed since: one opaque row per
commit, played again at load. Beside it stand rows that people and the host look up: tasks, sessions with
their last answers, attempts, logs, the audit trail, tokens. Times are seconds since 1970 (for people and
retention only); keys and session ids are 16 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from .._model.ports import Attempt, AttemptRow

PIECE = 1 << 20
"""Bytes of a snapshot, or of a backup, that are written at most in one go."""

SCANNED = 100_000
"""Rows that a question looks at, at most; pages say where to ask on."""

STALE = 3.0
"""Seconds of silence after which the holder of a database server's store may be deposed; its heart beats each second."""


class TaskRow(NamedTuple):
    """What a task is; how it stands is the brain's."""

    index: int  # type: ignore[assignment]  # the dense number that brain and host know it by
    key: bytes  # 16
    family: str
    params: str  # canonical text, secrets masked
    module: str | None  # where an assistant imports it from


class SessionRow(NamedTuple):
    """A worker process's life: the last numbered request and what was answered to it."""

    id: bytes  # 16
    number: int  # of the last numbered request; 0 before the first
    answer: bytes
    seen: float
    about: str  # the host's own text: host name, pid, labels, ...


class Answer(NamedTuple):
    """The answer to a session's numbered request; replaces the one before."""

    session: bytes
    number: int
    answer: bytes


class LogChunk(NamedTuple):
    """A piece of an attempt's log. Repeating an offset of the same attempt changes nothing."""

    key: bytes
    epoch: int
    number: int
    offset: int  # bytes before it
    text: str
    at: float


class LogCut(NamedTuple):
    """Chunks of an attempt's log that begin in ``[start, stop)`` go: the middle of a log over its limit."""

    key: bytes
    epoch: int
    number: int
    start: int
    stop: int


class AuditRow(NamedTuple):
    """Who changed what. ``chain``: the host's hash over this row and the chain of the row before."""

    at: float
    who: str
    address: str
    action: str
    subject: str
    detail: str  # JSON text: before, after
    chain: bytes


class TokenRow(NamedTuple):
    """A credential, of which only the SHA-256 is kept. A token is never deleted, only revoked."""

    id: str
    digest: bytes  # 32
    role: str
    namespace: str
    label: str
    created: float
    expires: float | None
    used: float | None  # last use
    revoked: float | None


class TriggerRow(NamedTuple):
    """What makes tasks wanted by itself: what was defined, and how far it has come. JSON texts, the host's own."""

    name: str
    spec: str
    state: str


class GoalRow(NamedTuple):
    """What somebody or something wanted. A row with a key that is there is never replaced by one with another number."""

    number: int  # rising, the order in which they were made
    key: bytes  # 16; equal for equal causes
    made: float
    ended: float  # 0.0: it is live
    trigger: str  # its name; "": somebody asked
    family: str
    params: str  # JSON
    state: str
    data: str  # JSON, the host's own


class Batch(NamedTuple):
    """Everything of one drain; written together or not at all.

    seq: the number of this drain; with ``changes`` it is higher than any before, without it is not looked at.
    tasks: new rows, or rows whose text changed (an index that is there is replaced). answers: kept with
    ``seen = at``; a session that is not there is made. closed: sessions to forget, after the answers.
    idempotency: (key, answer) of operators' commands; the first answer of a key stays. tokens: new ones, or ones that changed.
    flush: to the disk before it returns, also with ``synchronous="normal"``.
    """

    at: float
    seq: int = 0
    changes: bytes | None = None
    tasks: Sequence[TaskRow] = ()
    forgotten: Sequence[int] = ()  # indices of tasks whose rows and marks go
    marks: Sequence[tuple[int, str]] = ()  # (index of a task, text of the host's own); replaces the one before
    sessions: Sequence[SessionRow] = ()
    answers: Sequence[Answer] = ()
    closed: Sequence[bytes] = ()
    attempts: Sequence[Attempt | AttemptRow] = ()
    logs: Sequence[LogChunk] = ()
    cuts: Sequence[LogCut] = ()
    audit: Sequence[AuditRow] = ()
    idempotency: Sequence[tuple[str, bytes]] = ()
    tokens: Sequence[TokenRow] = ()
    triggers: Sequence[TriggerRow] = ()  # new ones, or ones that changed
    untriggered: Sequence[str] = ()  # names of triggers that go, before those are written
    goals: Sequence[GoalRow] = ()  # new ones, or ones that changed; by number
    flush: bool = False


class Loaded(NamedTuple):
    """All a server needs to go on. The iterators read the store: use them up, in this order, before the next call."""

    seq: int  # of the last commit with changes; 0 for a new store
    snapshot: int  # seq up to which ``parts`` tell the story; the journal begins after it
    parts: dict[str, bytes]  # empty for a store that was never checkpointed
    sessions: list[SessionRow]
    journal: Iterator[tuple[int, bytes]]  # (seq, changes), rising
    tasks: Iterator[TaskRow]  # by index, rising


class TaskPage(NamedTuple):
    """Tasks by index, and the index to ask on after (None: that was all)."""

    rows: list[TaskRow]
    next: int | None


class StoredAttempt(NamedTuple):
    """An attempt and its place in the order in which attempts ended."""

    id: int
    attempt: Attempt


class AttemptPage(NamedTuple):
    """Attempts, newest first, and the id to ask on before (None: that was all)."""

    rows: list[StoredAttempt]
    next: int | None


class StoredAudit(NamedTuple):
    """A line of the audit trail and its number."""

    id: int
    row: AuditRow


class LogSize(NamedTuple):
    """What is kept of one attempt's log."""

    epoch: int
    number: int
    chunks: int
    end: int  # offset of the last chunk
    at: float  # of the last chunk


class GoalPage(NamedTuple):
    """Goals, newest first, and the number to ask on before (None: that was all)."""

    rows: list[GoalRow]
    next: int | None


class Retention(NamedTuple):
    """What ``prune`` lets go, whichever limit comes first. Seconds and rows."""

    attempts_age: float = 30 * 86400.0
    attempts: int = 10_000_000
    audit_age: float = 30 * 86400.0
    audit: int = 10_000_000
    logs_age: float = 30 * 86400.0
    logs: int = 200_000  # chunks
    idempotency_age: float = 86400.0
    idempotency: int = 100_000
    goals_age: float = 30 * 86400.0  # after their end
    goals: int = 1_000_000  # ended ones


KEPT = Retention()
"""What is kept where nobody says otherwise."""


class Reading(Protocol):
    """Questions with bounded answers. A reader of its own connection sees what was committed before the question."""

    def tasks_at(self, indexes: Sequence[int]) -> list[TaskRow]:
        """Rows of these tasks that are there, by index."""
        ...

    def task_page(self, *, family: str | None = None, containing: str = "", after: int = -1, limit: int = 100) -> TaskPage:
        """Tasks by index, of one family, whose parameters contain a text; looks at SCANNED rows at most."""
        ...

    def attempts_of(self, key: bytes, limit: int = 20) -> list[StoredAttempt]:
        """The newest attempts of one task first: all failures, and what ended well among the newest SCANNED of all."""
        ...

    def attempts(self, *, family: str | None = None, failed: bool = False, before: int | None = None, limit: int = 50) -> AttemptPage:
        """The newest attempts first; looks at SCANNED attempts at most."""
        ...

    def audit(self, *, before: int | None = None, limit: int = 50) -> list[StoredAudit]:
        """The newest lines of the audit trail first."""
        ...

    def log(self, key: bytes, epoch: int, number: int, *, offset: int = 0, limit: int = 100) -> list[LogChunk]:
        """Chunks of an attempt's log that begin at ``offset`` or later, in order."""
        ...

    def logs_of(self, key: bytes, limit: int = 20) -> list[LogSize]:
        """The attempts of a task whose logs are kept, newest fence first."""
        ...

    def answer_of(self, key: str) -> bytes | None:
        """What was answered to the operator's command with this idempotency key."""
        ...

    def tokens(self) -> list[TokenRow]:
        """All tokens, the revoked ones included, oldest first."""
        ...

    def triggers(self) -> list[TriggerRow]:
        """All triggers, by name."""
        ...

    def live_goals(self) -> list[GoalRow]:
        """Goals that have not ended, oldest first."""
        ...

    def goals_at(self, keys: Sequence[bytes]) -> list[GoalRow]:
        """Those of these goals that are there, oldest first."""
        ...

    def goals(
        self, *, trigger: str | None = None, family: str | None = None, state: str | None = None, before: int | None = None, limit: int = 50
    ) -> GoalPage:
        """The newest goals first; looks at SCANNED rows at most. trigger: "" for those that somebody asked for."""
        ...

    def last_goal(self) -> int:
        """The number of the newest goal; 0 when there is none."""
        ...

    def facts(self) -> dict[str, str | int]:
        """For people: kind, place, engine version, schema, epoch, bytes."""
        ...

    def close(self) -> None:
        """Let the connection go. Harmless to repeat."""
        ...


class Store(Reading, Protocol):
    """The durable memory of one server at a time. Errors are ``StoreError``s of ``levada.errors``.

    ``take_over`` comes first: until then nothing is opened but what the lock needs, and every other call
    but ``close`` raises RuntimeError. What raised StoreFull changed nothing and may be tried again; after
    Deposed or StoreBroken the process ends, and its restart finds every commit that had returned.
    """

    def take_over(self, owner: str, *, wait: float | None = 0.0, stale: float = STALE, stopped: Callable[[], bool] | None = None) -> int:
        """Become the one server of this store: lock, check, migrate; the new epoch, committed.

        owner: who we are, for people (host, pid, address); StoreBusy of others names it. wait: seconds to
        wait for the lock, None without limit (a standby); ``stopped`` is asked between looks. stale: where
        the store is a database server, a holder without heartbeat or commit for that long is deposed.
        Raises StoreBusy, StoreNewer, StoreCorrupt, StoreReadOnly, StoreFull, StoreBroken.
        """
        ...

    def load(self) -> Loaded:
        """Snapshot, journal since, sessions and tasks."""
        ...

    def marks(self) -> Iterator[tuple[int, str]]:
        """Tasks that have a mark, by index, with its text. Use them up before the next call."""
        ...

    def commit(self, batch: Batch) -> None:
        """Write a batch in one transaction; durable on return. ValueError, with nothing written, for a seq that does not rise."""
        ...

    def checkpoint(self, seq: int, parts: Iterable[tuple[str, bytes]]) -> Iterator[int]:
        """Replace the snapshot, in steps: bytes written so far, after each transaction of at most PIECE bytes.

        Commits may come between steps. seq: the last commit the parts know of. The new snapshot counts from
        the step that wrote its last piece; the later steps let the old one and the journal up to seq go.
        Nothing happens unless iterated; stopping early leaves the old snapshot, and its leftovers to the next.
        """
        ...

    def note(self, name: str, value: str) -> None:
        """Keep a short text of the host's, on the disk when this returns."""
        ...

    def noted(self, name: str) -> str | None:
        """What was noted under that name; None: nothing."""
        ...

    def heartbeat(self) -> None:
        """Say that we are alive, about each second; housekeeping that must not delay an answer. Raises Deposed."""
        ...

    def prune(self, now: float) -> bool:
        """Let rows over their retention go, one bounded transaction; True when there is more."""
        ...

    def put_token(self, token: TokenRow) -> None:
        """Add a token, or replace the one with its id."""
        ...

    def revoke_token(self, token: str, at: float) -> bool:
        """Revoke by id; False when there is none that is not revoked."""
        ...

    def touch_tokens(self, uses: Iterable[tuple[str, float]]) -> None:
        """Note last uses: (id, at)."""
        ...

    def reader(self) -> Reading:
        """A read-only connection of its own, for one other thread at a time."""
        ...

    def backup(self, path: str) -> None:
        """Write all of the store as of now into a new SQLite file; may be called from any thread, commits go on meanwhile.

        Raises StoreError when the file exists or cannot be written; nothing half-written is left.
        """
        ...

    def close(self) -> None:
        """Note a clean end and let the lock go. Harmless to repeat."""
        ...

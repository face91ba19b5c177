"""One drain of the mailbox on its way through the brain: what it changed, what must be written, who is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core.changes import Change, Granted
from .._store import ports
from .._wire.kinds import Answer
from ..errors import LevadaError
from . import journal
from .http.port import Call
from .members import Member

if TYPE_CHECKING:
    from .host import Host

Reply = tuple[Call, Answer | bytes | LevadaError]


class Desk:
    """The papers of one drain. ``now``: the brain's time; ``wall``: seconds since 1970, for people."""

    def __init__(self, host: Host, now: float, wall: float) -> None:
        self.host, self.now, self.wall = host, now, wall
        self.changes: list[Change] = []
        self.replies: list[Reply] = []
        self.tasks: list[ports.TaskRow] = []
        self.attempts: list[Any] = []
        self.logs: list[ports.LogChunk] = []
        self.cuts: list[ports.LogCut] = []
        self.audit: list[ports.AuditRow] = []
        self.idempotency: dict[str, bytes] = {}
        self.tokens: list[ports.TokenRow] = []
        self.closed: list[bytes] = []
        self.forgotten: list[int] = []
        self.marks: dict[int, str] = {}  # of guests, by index of a task
        self._touched: dict[str, Member] = {}
        self.stirred = False  # somebody's wish may concern claims that wait

    def handle(self, command: Any) -> Any:
        """The brain's reply; what it changed is noted."""
        changes, reply = self.host.brain.handle(command, self.now)
        self.changes += changes
        return reply

    def touch(self, member: Member) -> None:
        """The member's number and answer must be written."""
        self._touched[member.id] = member

    def reply(self, call: Call, result: Answer | bytes | LevadaError) -> None:
        """Give an answer, after the commit."""
        self.replies.append((call, result))

    def batch(self, seq: int) -> ports.Batch | None:
        """What the store writes; None where there is nothing to write."""
        changes = journal.to_bytes(self.changes, self.now) if self.changes else None
        sessions = [member.row(self.wall) for member in self._touched.values()]
        rows = self.host.book.rows()
        if (
            changes is None
            and rows is None
            and not (sessions or self.marks or self.attempts or self.logs or self.audit or self.idempotency or self.closed)
        ):
            return None
        return ports.Batch(
            at=self.wall,
            seq=seq if changes is not None else 0,
            changes=changes,
            tasks=self.tasks,
            forgotten=self.forgotten,
            marks=list(self.marks.items()),
            sessions=sessions,
            closed=self.closed,
            attempts=self.attempts,
            logs=self.logs,
            cuts=self.cuts,
            audit=self.audit,
            idempotency=list(self.idempotency.items()),
            tokens=self.tokens,
            triggers=rows.triggers if rows else (),
            untriggered=rows.untriggered if rows else (),
            goals=rows.goals if rows else (),
            flush=self.host.may_lose and self._grants_again(),
        )

    def _grants_again(self) -> bool:
        """Is a task granted that was granted before? If that were lost, the attempt before it would come back to life."""
        state = self.host.brain.state
        granted = [change.tasks for change in self.changes if type(change) is Granted]
        if not state.next_floor:  # no place was ever used twice
            return any(max(map(state.number.__getitem__, tasks), default=0) > 1 for tasks in granted)
        return any(state.number[index] - state.floor[index] > 1 for tasks in granted for index in tasks)

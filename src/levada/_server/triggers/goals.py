"""A goal: what somebody or something wanted, from the wish to its end.

Laws: a goal is made once for each cause (its key is a hash of both), it has ended for good once it has ended, and while it is live
it says what it waits for. Moments are seconds since 1970; leases are judged by a clock that no one sets.
"""

from __future__ import annotations

from binascii import hexlify, unhexlify
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from msgspec.json import decode, encode

from ..._store.ports import GoalRow

WANTED, RUNNING, PARKED, DONE, FAILED, CANCELLED = "wanted", "running", "parked", "done", "failed", "cancelled"
STATES = (WANTED, RUNNING, PARKED, DONE, FAILED, CANCELLED)
LIVE = frozenset({WANTED, RUNNING, PARKED})
MOST_MISSING = 10_000  # places that a parked goal watches; of more, time alone brings it back


def key_of(trigger: str, cause: str) -> str:
    """The key of the goal that a trigger makes for a cause: 32 hex digits, equal on every server."""
    return blake2b(f"{trigger}\0{cause}".encode(), digest_size=16).hexdigest()


class Goal:
    """One goal. Written by the book alone."""

    __slots__ = (
        "again",
        "agent",
        "alarmed",
        "by",
        "cause",
        "counts",
        "deadline",
        "ended",
        "family",
        "key",
        "leased_until",
        "look_at",
        "made",
        "missing",
        "missing_more",
        "module",
        "not_before",
        "number",
        "on_deadline",
        "options",
        "params",
        "reason",
        "since",
        "state",
        "tries",
        "trigger",
        "wish",
    )

    def __init__(self, number: int, key: str, made: float, trigger: str, family: str, params: Mapping[str, str], *, cause: str, by: str):
        self.number, self.key, self.made, self.trigger, self.family, self.params = number, key, made, trigger, family, dict(params)
        self.cause, self.by = cause, by
        self.module: str | None = None  # where the family is defined, as far as the trigger knows
        self.options: dict[str, str] = {}  # of a backfill: how it is to be unfolded
        self.state, self.reason, self.since = WANTED, "", made
        self.ended = 0.0
        self.agent = ""  # who unfolds it, or did last
        self.leased_until = 0.0  # by the clock of the server
        self.deadline, self.on_deadline, self.alarmed = 0.0, "alert", False  # 0: none
        self.missing: list[tuple[str, bool]] = []  # (URL, whether it is a pattern) that it is parked for
        self.missing_more = 0  # what is missing besides, and cannot be watched
        self.look_at = 0.0  # parked: when it is unfolded anew in any case
        self.not_before = 0.0
        self.again = False  # something arrived while it ran
        self.wish = ""  # "cancel": its agent is to end it
        self.tries = 0  # unfoldings that ended without a result, in a row
        self.counts: dict[str, int] = {}

    def move(self, state: str, reason: str, wall: float) -> None:
        """Another state, and why."""
        if state != self.state:
            self.since = wall
        self.state, self.reason = state, reason

    def set_back(self, wall: float, leap: float) -> bool:
        """The clock shows an earlier time than it did: what is to come is so much earlier, too."""
        lag = self.since - wall
        if lag <= leap:
            return False
        self.since = wall
        self.deadline -= lag if self.deadline else 0.0
        self.look_at -= lag if self.look_at else 0.0
        self.not_before -= lag if self.not_before else 0.0
        return True

    def row(self) -> GoalRow:
        """As the store keeps it."""
        data = {name: value for name in _KEPT if (value := getattr(self, name)) not in ("", 0, 0.0, False, None, [], {})}
        return GoalRow(
            self.number,
            unhexlify(self.key),
            self.made,
            self.ended,
            self.trigger,
            self.family,
            encode(self.params).decode(),
            self.state,
            encode(data).decode(),
        )


_KEPT = (
    "cause", "by", "module", "options", "reason", "since", "agent", "deadline", "on_deadline", "alarmed", "missing", "missing_more",
    "look_at", "not_before", "again", "wish", "tries", "counts",
)  # fmt: skip


def goal_of(row: GoalRow) -> Goal:
    """From the store."""
    data: dict[str, Any] = decode(row.data)
    goal = Goal(
        row.number, hexlify(row.key).decode(), row.made, row.trigger, row.family, decode(row.params),
        cause=data.pop("cause", ""), by=data.pop("by", ""),
    )  # fmt: skip
    goal.state, goal.ended = row.state, row.ended
    goal.missing = [(str(url), bool(pattern)) for url, pattern in data.pop("missing", [])]
    for name, value in data.items():
        setattr(goal, name, value)
    return goal

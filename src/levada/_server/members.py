"""Sessions as the host knows them: the last number and answer of each, and whose claim is held open.

A session has one outstanding numbered request. Its last answer is kept, durably and with what it tells of, so that a
request that is repeated after a lost answer gets the first one and has no second effect.
"""

from __future__ import annotations

import json
from binascii import hexlify, unhexlify
from typing import Any

from .._model.messages import SessionId
from .._store.ports import SessionRow
from .._wire.problems import Refusal
from .http.port import Call

OPEN = b""
"""In place of an answer: the reports of that number count, its claim was not answered yet."""


class Member:
    """One session. ``fresh``: read from the store, so that numbers without effect may be missing."""

    __slots__ = (
        "about",
        "about_text",
        "answer",
        "call",
        "deadline",
        "draining",
        "fresh",
        "id",
        "number",
        "room",
        "seen",
        "token",
    )

    def __init__(self, id: SessionId, token: str) -> None:
        self.id = id
        self.token = token  # id of the token it came with: no other speaks for it
        self.number = 0
        self.answer = OPEN
        self.about: dict[str, Any] = {}
        self.about_text = ""  # as the store keeps it
        self.seen = 0.0  # monotonic seconds
        self.fresh = False
        self.draining = False
        self.call: Call | None = None  # a claim that waits
        self.room = 0
        self.deadline = 0.0

    @property
    def modules(self) -> list[str]:
        """What an assistant offers."""
        return list(self.about.get("modules", ()))

    @property
    def offered(self) -> int:
        """Characters of that."""
        return sum(map(len, self.about.get("modules", ())))

    def step(self, number: int) -> bytes | None:
        """The answer that a repeated number had; None for the next number. Raises Refusal ``out-of-step``."""
        if number == self.number:
            return self.answer
        if number == self.number + 1 or (self.fresh and number > self.number):
            return None
        raise Refusal(
            "out-of-step",
            f"the session's last number is {self.number}, got {number}",
            hint="Say Hello again: the answer tells the number, and what the session still holds.",
        )

    def row(self, now: float) -> SessionRow:
        """As the store keeps it. now: wall clock."""
        return SessionRow(unhexlify(self.id), self.number, self.answer, now, self.about_text)

    def tell(self, about: dict[str, Any]) -> None:
        """What the session said of itself."""
        self.about = about
        self.about_text = json.dumps({**about, "token": self.token}, ensure_ascii=False)


def member_of(row: SessionRow, now: float) -> Member:
    """From the store. now: monotonic clock."""
    about = json.loads(row.about or "{}")
    member = Member(SessionId(hexlify(row.id).decode()), about.pop("token", ""))
    member.tell(about)
    member.number, member.answer, member.seen, member.fresh = row.number, row.answer, now, True
    return member

"""A worker of Luigi as the server sees it: one of our sessions, with what its protocol leaves us to remember."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from ..._model.messages import Fence, SessionId
from ..._server.members import Member

Index = int
LUIGI = "luigi"
"""Under this name a session's own words (``Member.about``) say that it is a worker of Luigi, and what is kept of it."""


def session_of(token: str, worker: str) -> SessionId:
    """The session of a worker id that came with a token: the same for the same, and nobody else's."""
    return SessionId(blake2b(f"luigi\n{token}\n{worker}".encode(), digest_size=16).hexdigest())


class Guest:
    """One worker. ``held``: what it was granted and has not reported; ``first``: when it was first heard, on the host's clock."""

    __slots__ = ("batchers", "batches", "first", "held", "info", "member", "messages", "offers", "renewed", "started", "worker")

    def __init__(self, member: Member, worker: str, first: float) -> None:
        self.member, self.worker, self.first = member, worker, first
        self.renewed = first
        self.info: dict[str, Any] = {}
        self.held: dict[Index, Fence] = {}
        self.started: dict[Index, float] = {}  # wall clock
        self.batchers: dict[str, tuple[list[str], int]] = {}  # family -> parameters that it can take several of, and how many at once
        self.offers: dict[str, list[Index]] = {}  # batch id -> its tasks, before the worker has named the task that does their work
        self.batches: dict[str, list[Index]] = {}  # id of a task that does the work of several -> these
        self.messages: list[dict[str, Any]] = []

    @property
    def id(self) -> SessionId:
        """Its session."""
        return self.member.id

    def tell(self) -> None:
        """Put what must outlive the server among the session's words."""
        mine = {"worker": self.worker, "info": self.info, "batchers": self.batchers, "offers": self.offers, "batches": self.batches}
        about = {
            "host": str(self.info.get("host", "")),
            "pid": self.info.get("pid", 0) if isinstance(self.info.get("pid"), int) else 0,
            "levada": "Luigi",
            "code": "",
            "modules": self.member.about.get("modules", []),
            LUIGI: mine,
        }
        self.member.tell(about)

    @classmethod
    def of(cls, member: Member) -> Guest | None:
        """From a session that was kept; None for one of ours. What it was granted is the brain's to say."""
        mine = member.about.get(LUIGI)
        if not isinstance(mine, dict):
            return None
        guest = cls(member, mine["worker"], float("-inf"))
        guest.info, guest.offers, guest.batches = mine["info"], mine["offers"], mine["batches"]
        guest.batchers = {family: (names, size) for family, (names, size) in mine["batchers"].items()}
        return guest

    def members_of(self, task: str) -> list[Index]:
        """The tasks of a batch that are still held."""
        return [index for index in self.batches.get(task, ()) if index in self.held]

    def drop(self, index: Index) -> None:
        """It is not held any more."""
        self.held.pop(index, None)
        self.started.pop(index, None)

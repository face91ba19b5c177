"""Clients that wait until a log goes on: looked at when it grew, and a few times a second for what else may end the wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .._model.messages import Fence
from .._model.spec import Index
from .http.port import Call

LOOK = 0.25  # seconds between two looks at all of them


class Poll(NamedTuple):
    """One that waits. offset: it has what comes before. deadline: of the host's clock."""

    call: Call
    task: Index
    fence: Fence
    offset: int
    deadline: float


class Polls:
    """Polls by task."""

    def __init__(self) -> None:
        self._waiting: dict[Index, list[Poll]] = {}
        self._grown: set[Index] = set()
        self._next = 0.0

    def add(self, poll: Poll) -> None:
        """Let it wait."""
        self._waiting.setdefault(poll.task, []).append(poll)

    def grew(self, task: Index) -> None:
        """A log of the task goes on (from the next commit on)."""
        if task in self._waiting:
            self._grown.add(task)

    def due(self, now: float, is_over: Callable[[Poll], bool]) -> list[Poll]:
        """Those whose wait is over, taken out. Costs nothing while nobody waits."""
        if not self._waiting:
            return []
        tasks, self._grown = self._grown, set()
        if now >= self._next:
            self._next = now + LOOK
            tasks = set(self._waiting)
        found = [poll for task in tasks for poll in self._waiting.get(task, ()) if now >= poll.deadline or poll.call.gone or is_over(poll)]
        for poll in found:
            self._take(poll)
        return found

    def _take(self, poll: Poll) -> None:
        left = [one for one in self._waiting[poll.task] if one is not poll]
        if left:
            self._waiting[poll.task] = left
        else:
            del self._waiting[poll.task]

    def take_all(self) -> list[Poll]:
        """All of them, taken out."""
        found = [poll for polls in self._waiting.values() for poll in polls]
        self._waiting.clear()
        return found

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

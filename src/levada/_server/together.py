"""A brain for several workers that speak to it in one process, by a clock that people may set.

The host under Luigi's scheduler object: each of its calls is one command here. Nothing is stored but on wish.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import msgpack

from .._core import changes as ch
from .._core.brain import Brain
from .._model.spec import Index
from .._model.status import Status
from . import journal


def _tasks_of(change: Any) -> Iterable[Index]:
    """The tasks whose standing a change may have changed."""
    if type(change) is ch.TasksAdded:
        return [spec.index for spec in change.tasks]
    if type(change) is ch.Forgotten:  # they stand nowhere
        return ()
    return getattr(change, "tasks", None) or (() if (task := getattr(change, "task", None)) is None else (task,))


def _wall() -> float:
    """By name at each call: the process may set another clock."""
    return time.time()


def _nobody(tasks: Iterable[Index]) -> None:
    """Is told of nothing."""


class Forward:
    """Seconds that never go back, made of a clock that may."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._last, self._sum = clock, clock(), 0.0

    def __call__(self) -> float:
        """What has passed since this was made, as far as the clock went forward."""
        now = self._clock()
        self._sum += max(0.0, now - self._last)
        self._last = now
        return self._sum


class Together:
    """One brain, several sessions; urgent tasks are kept what they need.

    touched: called with the tasks that a command changed, before its answer is given.
    """

    def __init__(self, *, lease: float = math.inf, lock_delay: float = 0.0, clock: Callable[[], float] | None = None) -> None:
        self.lease = lease
        self._brain = Brain(lease=lease, lock_delay=lock_delay, reserve=True)
        self._clock = Forward(clock or _wall)
        self._free: list[Index] = []
        self.touched: Callable[[Iterable[Index]], None] = _nobody

    def handle(self, command: Any) -> Any:
        """Carry a command out; its reply."""
        changes, reply = self._brain.handle(command, self._clock())
        if changes:
            for change in changes:
                if type(change) is ch.Forgotten:
                    self._free += change.tasks
            self.touched(dict.fromkeys(self._touched(changes)))
        return reply

    def _touched(self, changes: Iterable[ch.Change]) -> Iterator[Index]:
        for change in changes:
            yield from _tasks_of(change)

    def place(self) -> Index:
        """The index of the next new task."""
        return self._free.pop() if self._free else len(self._brain.state.status)

    def status(self, index: Index) -> Status:
        """Where a task stands."""
        return Status(self._brain.state.status[index])

    def priority(self, index: Index) -> int:
        """With what passed upstream."""
        return self._brain.state.priority.get(index, 0)

    def is_disabled_for_a_time(self, index: Index) -> bool:
        """By its failures, and not by a word."""
        return index in self._brain.state.at

    def used(self) -> dict[str, int]:
        """Amounts in use by resource."""
        return dict(self._brain.state.used)

    def save(self) -> bytes:
        """Everything, as bytes."""
        return msgpack.encode(journal.parts_of(self._brain.save(), self._clock()))

    def load(self, saved: bytes) -> None:
        """Go on where another stopped, in a new epoch: what ran has a whole lease again. Only before anything was handled."""
        moment, state = journal.saved_of(dict(msgpack.decode(saved, type=list[tuple[str, bytes]])))
        self._clock._sum += moment
        self._brain.resume(state, ())
        self._brain.restart(self._brain.state.epoch + 1, self._clock())
        self._free = list(self._brain.state.free)

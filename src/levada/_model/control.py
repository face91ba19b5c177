"""How an attempt that waits in a thread hears that it is to end: nobody can interrupt a thread, so it asks.

Who waits for something far away waits by `Control.wait`. The executor that runs the attempt gives it one; where there is none
(the caller's own thread, a child of the pool) signals interrupt the wait.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from threading import Event


class Control:
    """The wish that one attempt may end, and the bell that wakes it.

    listens: whether the attempt waits by this, so that it can be ended. leave: what it has running elsewhere may go on, since the
    worker ends and not the task. late: what is raised when ``deadline`` (monotonic clock; None: never) has passed.
    """

    __slots__ = ("_deadline", "_error", "_late", "bell", "leave", "listens")

    def __init__(self, deadline: float | None = None, late: BaseException | None = None) -> None:
        self.bell = Event()
        self.listens = self.leave = False
        self._error: BaseException | None = None
        self._deadline, self._late = deadline, late

    def stop(self, error: BaseException, *, leave: bool = False) -> None:
        """Have ``error`` raised where the attempt waits. The first wish counts."""
        if self._error is None:
            self._error, self.leave = error, leave
            self.bell.set()

    def check(self) -> None:
        """Raise what ends the attempt, if anything does."""
        if self._error is not None:
            raise self._error
        if self._deadline is not None and self._late is not None and time.monotonic() >= self._deadline:
            raise self._late

    def wait(self, seconds: float) -> bool:
        """Wait so long at most, or until the bell is rung; whether it was. Raises what ends the attempt."""
        self.check()
        if self._deadline is not None:
            seconds = min(seconds, max(0.0, self._deadline - time.monotonic()))
        rung = self.bell.wait(seconds)
        self.bell.clear()
        self.check()
        return rung


here: ContextVar[Control | None] = ContextVar("levada_control", default=None)
"""The control of the attempt that runs in this thread, None where signals reach it."""


def listening() -> Control:
    """The control of this attempt, which listens from now on; outside of a thread of ours one that nobody rings."""
    control = here.get() or Control()
    control.listens = True
    return control

"""The port between the claim loop and the executors: what an executor is given, and what it gives back.

An executor knows nothing of schedulers, leases or plans. What it needs of the other rooms comes as
``Hooks``, so that the same attempt runs in this process, in a thread, or in a child.
"""

# No `from __future__ import annotations` here: each text would be compiled again when a NamedTuple is made.

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from .._model.status import ExitClass
from .._model.values import NamedTuple

LONGEST_ERROR = 64 * 1024
"""Characters of a traceback that are kept, head and tail."""

TARGET_BATCH = 0.02
"""Seconds of work that an executor wants at hand: short tasks travel many at a time, long ones alone."""


class Job(NamedTuple):
    """One attempt to be run.

    task: what runs. batch: the tasks it stands for, when it was merged from several; then they are asked
    for completeness in its place. timeout: seconds of working time, None for no limit.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    task: Any
    attempt: int = 1
    timeout: float | None = None
    fence: Any = ""  # prints as EPOCH.NUMBER
    key: bytes = b""
    batch: tuple[Any, ...] = ()


class Ended(NamedTuple):
    """How an attempt ended. Texts are valid UTF-8 with the task's secrets masked."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    exit: ExitClass
    error: str = ""  # traceback text without the engine's frames, no locals, at most LONGEST_ERROR
    errors: tuple[str, ...] = ()  # names of the exception's class and its bases, plain and dotted, most special first
    fingerprint: str = ""  # equal for equal causes: class and places, no line numbers
    started: float = 0.0  # seconds since 1970, for people
    seconds: float = 0.0  # of working time; waiting for yielded requirements does not count
    cpu: float = 0.0  # seconds; 0 when it took less than a millisecond
    rss: int = 0  # bytes, peak; 0 when not measured
    message: str = ""  # one line
    worker: str = ""  # the process that ran it


class Yielded(NamedTuple):
    """run() yielded requirements; the attempt stays suspended until ``resume`` or ``drop``."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    requires: list[Any]  # tasks, flat, in the order of the yielded structure


class Hooks(NamedTuple):
    """What executors need of other rooms; called in the process (and thread) that runs the task."""

    is_complete: Callable[[Any], bool]
    missing: Callable[[Any], list[str]]  # names of the outputs that are not there
    begin: Callable[[Job], None] | None = None  # before run() and before it goes on: fence and temporary names
    end: Callable[[Job], None] | None = None  # after run(), also when it raised
    event: Callable[[str, Any, object], None] | None = None  # ("start"|"success"|"failure"|"time", task, detail)
    heard: Mapping[str, object] = MappingProxyType({})  # handlers by event; empty: nobody listens, `event` need not be called


class Executor(Protocol):
    """Runs attempts. Not thread-safe: one loop calls it."""

    slots: int

    def free(self) -> int:
        """How many more jobs it wants now, so that no slot waits; more when tasks are short."""
        ...

    def start(self, jobs: Sequence[Job]) -> None: ...

    def resume(self, index: int) -> None:
        """What a suspended attempt yielded is complete: let it go on."""
        ...

    def collect(self, timeout: float | None) -> list[Ended | Yielded]:
        """What ended since; waits at most ``timeout`` seconds (None: as long as anything runs) for the first.

        Returns early, perhaps with nothing, when a signal arrives.
        """
        ...

    def unstarted(self) -> list[int]:
        """Take back what has not begun; those jobs are forgotten."""
        ...

    def cancel(self, index: int, *, kill: bool = False) -> bool:
        """Ask an attempt to stop; it is collected as cancelled. False where it cannot be stopped."""
        ...

    def drop(self, index: int) -> None:
        """Forget a suspended attempt; its generator is closed."""
        ...

    def close(self, grace: float) -> None:
        """End everything; what still runs after ``grace`` seconds is killed. Harmless to repeat."""
        ...

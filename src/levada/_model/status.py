"""Statuses of a task and the ways an attempt ends (the only lists; everything else refers here)."""

from __future__ import annotations

from enum import Enum, IntEnum


class Status(IntEnum):
    """Where a task stands. Why it stands there is explained, not stored."""

    WAITING = 0
    READY = 1
    RUNNING = 2
    RETRYING = 3
    DONE = 4
    FAILED = 5
    DISABLED = 6
    CANCELLED = 7

    def __str__(self) -> str:
        return self.name.lower()


class ExitClass(str, Enum):
    """How an attempt ended. ``infra`` never counts against the task."""

    OK = "ok"
    USER = "user"  # run() raised
    NO_OUTPUT = "no-output"  # run() ended well, the outputs are not there
    TIMEOUT = "timeout"
    OOM = "oom"
    SIGNAL = "signal"
    LOST_PROCESS = "lost-process"  # a child ended without a result frame
    LOST_WORKER = "lost-worker"  # the lease lapsed
    CANCELLED = "cancelled"
    INFRA = "infra"  # store, target or disk: not the task's fault

    def __str__(self) -> str:
        return self.value


POISON = frozenset({ExitClass.OOM, ExitClass.SIGNAL, ExitClass.LOST_PROCESS, ExitClass.LOST_WORKER})
"""Exit classes that cost a worker or a process; they have their own limit (3 in 24 h, then disabled)."""

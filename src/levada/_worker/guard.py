"""What stands before an attempt begins, goes on and commits: is the lease still ours?

Two reads of shared memory when all is well. When the lease may have lapsed the attempt waits until the keeper
has an answer: *ok* lets it go on, *lost* ends it (docs/promises.md, sections 3 and 4).
"""

from __future__ import annotations

import os
import signal
import time
from _thread import get_ident
from functools import partial
from types import FrameType
from typing import Any

from .._client.clock import boottime
from .._model.messages import Fence
from .._model.status import ExitClass
from .._plan.complete import is_complete, is_leftover, missing
from ..errors import LeaseLost, SchedulerError
from ..targets.atomic import Writing, write_as
from ..task import handlers, repr_of
from .attempt import Attempts, Stopped
from .executor import Hooks, Job
from .leases import GAVE_UP, Leases
from .marks import _MAIN, event

CALL = getattr(signal, "SIGURG", None)
"""The keeper's signal to a worker whose own thread runs a lost attempt. Nobody dies of it who does not know it."""

SHORT, LONG = 0.02, 0.25  # seconds between two looks at a lease that is waited for


class Taken(Stopped):
    """Raised inside run() in the worker's own thread: the lease is lost, or the server is away and ``cut_off`` is ``stop``."""

    exit = ExitClass.CANCELLED

    def words(self, seconds: float, allowed: float | None) -> str:
        """Why it ended."""
        return str(self.args[0])


class Guard:
    """The hooks of executors whose attempts run under leases.

    give_up_after: seconds that an attempt waits for an answer before it fails with SchedulerError; None: without limit.
    """

    def __init__(self, leases: Leases, *, give_up_after: float | None = None) -> None:
        self._leases = leases
        self._give_up_after = give_up_after
        self._attempts: Attempts | None = None
        self._running: tuple[int, int] | None = None  # slot and serial, of the worker's own thread

    def hooks(self) -> Hooks:
        """What to give to an executor in place of ``hooks.HOOKS``."""
        return Hooks(is_complete, missing, self.begin, self.end, event, handlers())

    def spawning(self) -> str:
        """The name by which a spawned child finds such hooks."""
        return f"{__name__}:{self._leases.path}"

    # -- the hooks

    def begin(self, job: Job) -> None:
        """Before run() and before it goes on. Raises LeaseLost."""
        leases = self._leases
        slot = leases.find(job.index, job.fence)
        if slot < 0:
            raise self._lost(job)
        serial = leases.serial(slot)
        self.check(job, slot, serial)
        job.task._fence = job.fence
        main = get_ident() == _MAIN
        write_as((self._writing, (job, slot, serial)), process_wide=main)
        self._running = (slot, serial) if main else None
        leases.begin(slot, os.getpid() if main else -os.getpid(), int.from_bytes(job.key[:4], "big"))

    def end(self, job: Job) -> None:
        """After run(), and when it yields."""
        self._running = None
        slot = self._leases.find(job.index, job.fence)
        if slot >= 0:
            self._leases.end(slot)
        job.task._fence = None

    def _writing(self, held: tuple[Job, int, int]) -> Writing:
        job, slot, serial = held
        return Writing(job.key[:4].hex(), job.fence, partial(self.check, job, slot, serial), partial(is_leftover, job.task))

    def check(self, job: Job, slot: int, serial: int) -> None:
        """Return when the lease is ours for certain. Raises LeaseLost, or SchedulerError after ``give_up_after``."""
        leases = self._leases
        if leases.serial(slot) != serial or leases.is_lost(slot):
            raise self._lost(job)
        if boottime() >= leases.valid_until(slot):
            self._wait(job, slot, serial)

    def _wait(self, job: Job, slot: int, serial: int) -> None:
        leases, pause = self._leases, SHORT
        began = time.monotonic()
        while boottime() >= leases.valid_until(slot):
            time.sleep(pause)
            pause = min(LONG, pause * 1.5)
            if leases.serial(slot) != serial or leases.is_lost(slot):
                raise self._lost(job)
            if self._give_up_after is not None and time.monotonic() - began > self._give_up_after:
                raise SchedulerError(
                    f"{repr_of(job.task)}: no answer from the server for {self._give_up_after:g} s, so it is not known whether "
                    "the lease still holds",
                    hint="Nothing was committed.",
                )
        if leases.serial(slot) != serial or leases.is_lost(slot):
            raise self._lost(job)

    def _lost(self, job: Job) -> LeaseLost:
        fence = job.fence if isinstance(job.fence, Fence) else str(job.fence)
        return LeaseLost(repr_of(job.task), held=fence, newest=None)

    # -- the keeper's call

    def listen(self, executor: Any) -> None:
        """Let the keeper interrupt the attempt that an executor runs in this very thread (inline). Main thread only."""
        attempts = getattr(executor, "_attempts", None)
        if CALL is not None and isinstance(attempts, Attempts):
            self._attempts = attempts
            signal.signal(CALL, self._called)

    def _called(self, number: int, frame: FrameType | None) -> None:
        running, attempts = self._running, self._attempts
        if running is None or attempts is None or attempts.running is None:
            return
        slot, serial = running
        if self._leases.serial(slot) != serial:
            return
        if self._leases.is_lost(slot):
            raise Taken("the lease was lost: the task was granted to another worker since")
        if self._leases.flags(slot) & GAVE_UP:
            raise Taken("the server was away for longer than the lease")


def __getattr__(name: str) -> Hooks:
    """Hooks over the table at a path: what a spawned child asks for (see ``Guard.spawning``)."""
    if name.startswith("/"):
        return Guard(Leases(path=name)).hooks()
    raise AttributeError(f"module {__name__} has no {name}")

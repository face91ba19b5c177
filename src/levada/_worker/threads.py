"""The executor for blocking user code: a few threads of this process."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .._model.control import Control, here
from .._model.status import ExitClass
from .attempt import Attempts, Stopped, TimeoutReached, _Run
from .executor import Ended, Hooks, Job, Yielded
from .waker import Deadline, Waker

LAST_WORDS = 2.0  # seconds that attempts which listen are waited for in any case


class Threads:
    """``slots`` threads. For code that waits (network, subprocesses): Python computes one thread at a time.

    Of what runs, ``cancel`` and timeouts reach those that listen, that is, wait by their `Control`: a thread cannot be stopped.
    """

    def __init__(self, slots: int, hooks: Hooks) -> None:
        self.slots = slots
        self._hooks = hooks
        self._suspended: dict[int, _Run] = {}
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(slots, "levada")
        self._lock = threading.Lock()
        self._waiting: deque[Job | int] = deque()  # guarded by the lock
        self._controls: dict[int, Control] = {}  # of what runs, by index; guarded by the lock
        self._ended: deque[Ended | Yielded] = deque()
        self._running = 0  # written by the loop's thread only
        self._waker = Waker()
        self._worker = str(os.getpid())

    def free(self) -> int:
        """Idle threads, less what waits for one."""
        return max(0, self.slots - self._running)

    def start(self, jobs: Sequence[Job]) -> None:
        """Hand jobs to the threads."""
        for job in jobs:
            self._submit(job)

    def resume(self, index: int) -> None:
        """Let a suspended attempt go on, in whichever thread is free first."""
        self._submit(index, first=True)

    def _submit(self, job: Job | int, first: bool = False) -> None:
        with self._lock:
            (self._waiting.appendleft if first else self._waiting.append)(job)
        self._running += 1
        self._pool.submit(self._run_next)

    def _run_next(self) -> None:
        """One job, in a thread of the pool; nothing when it was taken back meanwhile."""
        with self._lock:
            if not self._waiting:
                return
            job = self._waiting.popleft()
            index = job if isinstance(job, int) else job.index
            run = self._suspended.get(index) if isinstance(job, int) else None
            control = self._controls[index] = _control(job, run)
        attempts = self._attempts()
        here.set(control)
        try:
            result = attempts.go_on(job) if isinstance(job, int) else attempts.begin(job)
        except KeyboardInterrupt:  # raised by the task: no keyboard speaks to a thread
            result = Ended(index, ExitClass.USER, message="run() raised KeyboardInterrupt", errors=("KeyboardInterrupt",))
        with self._lock:
            del self._controls[index]
        self._ended.append(result)
        self._waker.ring()

    def _attempts(self) -> Attempts:
        found: Attempts | None = getattr(self._own, "attempts", None)
        if found is None:
            found = self._own.attempts = Attempts(self._hooks, suspended=self._suspended, threaded=True)
        return found

    def collect(self, timeout: float | None) -> list[Ended | Yielded]:
        """What ended, as soon as anything has."""
        deadline = Deadline(timeout)
        while not self._ended and not deadline.passed() and (self._running or timeout is not None):
            if self._waker.wait(deadline.left()) and not self._ended:
                break  # a signal
        ended = []
        while self._ended:
            ended.append(self._ended.popleft())
        self._running -= len(ended)
        return ended

    def unstarted(self) -> list[int]:
        """Take back what no thread has taken."""
        with self._lock:
            back = [job.index for job in self._waiting if not isinstance(job, int)]
            self._waiting = deque(job for job in self._waiting if isinstance(job, int))
        self._running -= len(back)
        return back

    def cancel(self, index: int, *, kill: bool = False) -> bool:
        """End what waits, is suspended or listens; another running thread cannot be stopped."""
        with self._lock:
            control = self._controls.get(index)
            if control is not None:
                control.stop(Stopped("stopped"))  # one that does not listen yet is told when it does
                return control.listens
            waiting = [job for job in self._waiting if (job if isinstance(job, int) else job.index) == index]
            self._waiting = deque(job for job in self._waiting if job not in waiting)
        if not waiting and index not in self._suspended:
            return False
        self.drop(index)
        if not waiting:
            self._running += 1  # collected below as one that ran
        self._ended.append(Ended(index, ExitClass.CANCELLED, message="cancelled", worker=self._worker))
        return True

    def leave(self) -> bool:
        """Have attempts that listen ended at once, but not what they have running elsewhere: the worker ends, not the tasks.

        Whether there were any.
        """
        with self._lock:
            listening = [control for control in self._controls.values() if control.listens]
            for control in listening:
                control.stop(Stopped("stopped"), leave=True)
        return bool(listening)

    def drop(self, index: int) -> None:
        """Forget a suspended attempt."""
        if (run := self._suspended.pop(index, None)) is not None:
            run.close()

    def close(self, grace: float) -> None:
        """Take no more; wait ``grace`` seconds for what runs. Threads that run longer end with the process."""
        self.unstarted()
        deadline = Deadline(max(grace, LAST_WORDS) if self.leave() else grace)
        while self._running and not deadline.passed():
            self.collect(deadline.left())
        self._pool.shutdown(wait=not self._running, cancel_futures=True)
        for index in list(self._suspended):
            self.drop(index)
        self._waker.close()


def _control(job: Job | int, run: _Run | None) -> Control:
    """How a job hears that it is to end. run: of a suspended attempt that goes on, with the time that it has worked."""
    timeout = run.job.timeout if run is not None else job.timeout if isinstance(job, Job) else None
    if timeout is None:
        return Control()
    left = timeout - (run.seconds if run is not None else 0.0)
    return Control(time.monotonic() + left, TimeoutReached(f"timeout after {timeout:g} s"))

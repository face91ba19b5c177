"""Two executors as one: tasks that hand their work over wait in threads, beside those that the worker runs itself.

Waiting costs no slot: hundreds of jobs elsewhere go on while the slots run what is at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..handover.task import JobTask
from .executor import Ended, Executor, Hooks, Job, Yielded
from .threads import Threads
from .waker import Deadline

GLANCE = 0.05  # seconds between two looks at the jobs while the slots are waited for


class Beside:
    """``main`` for what runs here, and ``job_slots`` threads for jobs that run elsewhere."""

    def __init__(self, main: Executor, job_slots: int, hooks: Hooks) -> None:
        self.main = main
        self.slots, self.job_slots = main.slots, job_slots
        self.forks = getattr(main, "forks", False)
        self._waits = Threads(job_slots, hooks)
        self._elsewhere: set[int] = set()  # indices of what the threads have
        self._here: set[int] = set()  # ... and of what main has to say something about
        self._asleep: set[int] = set()  # what main keeps suspended: a child that dies ends them, too
        self._jobs_seen = False

    @property
    def in_caller(self) -> bool:
        """Whether user code runs in the caller's thread now."""
        return bool(self._here) and getattr(self.main, "in_caller", False)

    @property
    def untidy(self) -> bool:
        """Whether a child died at its work."""
        return getattr(self.main, "untidy", False)

    @staticmethod
    def hands_over(task: Any) -> bool:
        """Whether a task waits in the threads."""
        return isinstance(task, JobTask) and not task.is_local()

    def free(self) -> int:
        """Room in the slots; with that for jobs, once there was one."""
        room = self.main.free()
        return room + self.free_for_jobs() if self._jobs_seen else room

    def free_for_jobs(self) -> int:
        """How many more jobs may be waited for."""
        return self._waits.free()

    def start(self, jobs: Sequence[Job]) -> None:
        """Jobs to the threads, the rest to the slots."""
        here = [job for job in jobs if not self.hands_over(job.task)]
        if len(here) < len(jobs):
            away = [job for job in jobs if self.hands_over(job.task)]
            self._elsewhere.update(job.index for job in away)
            self._jobs_seen = True
            self._waits.start(away)
        if here:
            self._here.update(job.index for job in here)
            self.main.start(here)

    def resume(self, index: int) -> None:
        """Let a suspended attempt go on where it is kept."""
        if index in self._elsewhere:
            self._waits.resume(index)
        else:
            self._asleep.discard(index)
            self._here.add(index)
            self.main.resume(index)

    def collect(self, timeout: float | None) -> list[Ended | Yielded]:
        """What ended in either."""
        deadline = Deadline(timeout)
        while True:
            found = self._from_threads(0.0)
            found += self._from_main(deadline, nothing_yet=not found)
            if found or deadline.passed() or (timeout is None and not self._here and not self._elsewhere):
                return found
            if not self._here and (found := self._from_threads(deadline.left())):
                return found
            if not self._here:
                return found  # a signal came, or the time is over

    def _from_threads(self, timeout: float | None) -> list[Ended | Yielded]:
        found = self._waits.collect(timeout) if self._elsewhere or timeout else []
        self._elsewhere.difference_update(item.index for item in found if isinstance(item, Ended))
        return found

    def _from_main(self, deadline: Deadline, *, nothing_yet: bool) -> list[Ended | Yielded]:
        if not self._here and not self._asleep:
            return []
        found = self.main.collect(self._patience(deadline) if nothing_yet and self._here else 0.0)
        ends = {item.index for item in found if isinstance(item, Ended)}
        self._here.difference_update(item.index for item in found)
        self._asleep = (self._asleep | {item.index for item in found}) - ends
        return found

    def _patience(self, deadline: Deadline) -> float | None:
        """Seconds to wait for main: no longer than a glance where jobs are waited for, too."""
        left = deadline.left()
        if not self._elsewhere:
            return left
        return GLANCE if left is None else min(GLANCE, left)

    def unstarted(self) -> list[int]:
        """Take back what has not begun."""
        back, main = self._waits.unstarted(), self.main.unstarted()
        self._elsewhere.difference_update(back)
        self._here.difference_update(main)
        return back + main

    def cancel(self, index: int, *, kill: bool = False) -> bool:
        """Where it is; of an attempt whose job runs elsewhere the job is ended, too."""
        if index in self._elsewhere:
            return self._waits.cancel(index, kill=kill)
        ends = self.main.cancel(index, kill=kill)
        if ends:
            self._here.add(index)  # one that was suspended has an end to be collected, too
        return ends

    def leave(self) -> bool:
        """Have those that wait for jobs ended, and the jobs go on."""
        return self._waits.leave()

    def drop(self, index: int) -> None:
        """Forget a suspended attempt."""
        (self._waits if index in self._elsewhere else self.main).drop(index)
        self._elsewhere.discard(index)
        self._asleep.discard(index)

    def close(self, grace: float) -> None:
        """End everything but the jobs."""
        self._waits.close(grace)
        self.main.close(grace)

"""The executor that runs tasks where it is called: same process, same thread, so Ctrl-C and pdb work."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from types import FrameType, TracebackType

from .._model.status import ExitClass
from .attempt import Attempts
from .executor import TARGET_BATCH, Ended, Hooks, Job, Yielded
from .pace import Pace

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Inline:
    """One slot in the caller's thread: ``collect`` runs what ``start`` took, for about 20 ms at a time.

    pdb: a debugger opens at the line that raised. Timeouts are kept by an alarm clock where this is the
    main thread, and are not kept elsewhere; ``cancel`` reaches only what is not running.
    """

    slots = 1
    in_caller = True  # run() can be interrupted by an exception in this thread

    def __init__(self, hooks: Hooks, *, pdb: bool = False) -> None:
        self.pdb = pdb
        self._attempts = Attempts(hooks, alarm=True, on_error=post_mortem if pdb else None)
        self._jobs: deque[Job | int] = deque()  # an int is a suspended attempt that may go on
        self._ended: list[Ended | Yielded] = []
        self._pace = Pace(256)
        self._worker = str(os.getpid())

    def free(self) -> int:
        """As many tasks as are expected to fill the next 20 ms, less those at hand."""
        room = self._pace.depth - len(self._jobs)
        if room < 0:  # max() is a call, and one task of a chain passes here at a time
            return 0
        return room

    def start(self, jobs: Sequence[Job]) -> None:
        """Take jobs; they run inside ``collect``."""
        self._jobs.extend(jobs)

    def resume(self, index: int) -> None:
        """Let a suspended attempt go on, before anything new begins."""
        self._jobs.appendleft(index)

    def collect(self, timeout: float | None) -> list[Ended | Yielded]:
        """Run for about 20 ms and give back what ended. With nothing to run: wait, as there may be timers."""
        ended, self._ended = self._ended, []
        if self._jobs:
            self._run(ended)
        elif not ended and timeout:
            _sleep(timeout)
        return ended

    def _run(self, ended: list[Ended | Yielded]) -> None:
        attempts, jobs = self._attempts, self._jobs
        until = time.monotonic() + TARGET_BATCH
        before = len(ended)
        seconds = 0.0
        try:
            while jobs:
                job = jobs.popleft()
                result = attempts.begin(job) if type(job) is Job else attempts.go_on(job)  # type: ignore[arg-type]  # else it is an int
                ended.append(result)
                if type(result) is Ended:
                    seconds += result.seconds
                if attempts.ended_at >= until:
                    break
        except BaseException:  # Ctrl-C: what ended before it is not lost
            self._ended = ended
            raise
        self._pace.note(len(ended) - before, seconds)

    def unstarted(self) -> list[int]:
        """Take back what has not begun."""
        back = [job.index for job in self._jobs if not isinstance(job, int)]
        self._jobs = deque(job for job in self._jobs if isinstance(job, int))
        return back

    def cancel(self, index: int, *, kill: bool = False) -> bool:
        """End what waits or is suspended; what runs here cannot be stopped by us."""
        waiting = [job for job in self._jobs if (job if isinstance(job, int) else job.index) == index]
        if not waiting and index not in self._attempts.suspended:
            return False
        self._jobs = deque(job for job in self._jobs if job not in waiting)
        self._attempts.drop(index)
        self._ended.append(Ended(index, ExitClass.CANCELLED, message="cancelled", worker=self._worker))
        return True

    def drop(self, index: int) -> None:
        """Forget a suspended attempt."""
        self._attempts.drop(index)

    def close(self, grace: float) -> None:
        """Forget everything; suspended generators are closed."""
        self._jobs.clear()
        for index in list(self._attempts.suspended):
            self._attempts.drop(index)


def _sleep(seconds: float) -> None:
    """Sleep, or less: until a signal comes. The pipe is taken for the time of the sleep only."""
    from .waker import Waker

    waker = Waker()
    try:
        waker.wait(seconds)
    finally:
        waker.close()


def post_mortem(error: BaseException) -> None:
    """Open the debugger at the line of the user's that raised, also where that was below, in Levada (``up`` and ``down`` go on)."""
    import pdb  # noqa: T100 - what the user asked for
    import traceback

    from .report import own_frames

    class Debugger(pdb.Pdb):
        """Begins at the last frame that is not ours."""

        def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
            """The frames, and at which of them to begin."""
            stack, at = super().get_stack(f, t)
            theirs = [number for number, (frame, _) in enumerate(stack) if not frame.f_code.co_filename.startswith(_PACKAGE)]
            return stack, theirs[-1] if theirs and t is not None else at

    traceback.print_exception(error)
    trace = own_frames(error.__traceback__) or error.__traceback__
    if trace is not None:
        debugger = Debugger()
        debugger.reset()
        debugger.interaction(None, trace)

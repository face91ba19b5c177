"""Runs one attempt in this process: begin, perhaps suspend and go on, end.

The laws kept here: an attempt is OK only when its outputs are seen after ``run()``; whatever the task
raises, ``sys.exit()`` included, becomes an ``Ended``; only KeyboardInterrupt passes (the person at the
keyboard means the run, not the task). A no-op costs about a microsecond: clocks of CPU and memory are
read only for attempts of a millisecond or more, and words are made only for failures.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from time import monotonic, process_time, time
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from .._model.status import ExitClass
from ..errors import FROM_USERS, TargetExists
from .executor import Ended, Hooks, Job, Yielded

if TYPE_CHECKING:
    import asyncio

WORTH_MEASURING = 0.001
"""Seconds; shorter attempts report no CPU time and no memory."""

_OK = ExitClass.OK
_new = tuple.__new__  # builds a NamedTuple in half the time

_forks = [0]
"""How many forks lie between the first process and this one (asking for the process id costs more)."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _forks.__setitem__(0, _forks[0] + 1))


class Stopped(BaseException):
    """Raised inside run() when the attempt is to end. Not an Exception: ``except Exception`` must not keep it."""

    exit = ExitClass.CANCELLED

    def words(self, seconds: float, allowed: float | None) -> str:
        """Why the attempt ended, for people, after so many seconds of work."""
        return "cancelled"


class TimeoutReached(Stopped):
    """Raised inside run() by the alarm clock of this process."""

    exit = ExitClass.TIMEOUT

    def words(self, seconds: float, allowed: float | None) -> str:
        """How long it worked, and how long it was allowed to."""
        return timed_out(seconds, allowed or 0.0)


def timed_out(seconds: float, allowed: float) -> str:
    """What is said of an attempt that was stopped for its timeout.

    >>> timed_out(1.234, 1)
    'timeout: worked for 1.2 s, allowed 1 s'
    """
    return f"timeout: worked for {seconds:.1f} s, allowed {allowed:g} s"


class _Run:
    """An attempt between its begin and its end."""

    __slots__ = ("body", "cpu", "job", "loop", "seconds", "started", "waits_for")

    def __init__(self, job: Job, body: Any = None) -> None:
        self.job = job
        self.started = time()
        self.seconds = 0.0
        self.cpu = 0.0
        self.body = body  # the generator, once run() has given one
        self.waits_for: Any = None  # the structure that it yielded last
        self.loop: asyncio.Runner | None = None

    def close(self) -> None:
        """End the generator; what it raises while it is closed is of no interest to anybody."""
        try:
            if isinstance(self.body, GeneratorType):
                self.body.close()
            elif self.loop is not None and isinstance(self.body, AsyncGeneratorType):
                _awaited(self, _closing(self.body))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            if self.loop is not None:
                _where_no_loop_runs(self.loop.close)
            self.body = self.loop = None


class Attempts:
    """Runs attempts one after the other in this process, and keeps the suspended ones.

    threaded: CPU is that of the thread. alarm: enforce ``Job.timeout`` with SIGALRM (main thread only;
    elsewhere a timeout is cooperative, that is, not enforced). on_error: called with what run() raised,
    while its frames are alive. fresh_peak: measure each attempt's own peak of memory (Linux, own process).
    """

    def __init__(
        self,
        hooks: Hooks,
        *,
        suspended: dict[int, _Run] | None = None,
        threaded: bool = False,
        alarm: bool = False,
        fresh_peak: bool = False,
        on_error: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.hooks = hooks
        self._is_complete, self._on_begin, self._on_end, self._heard = hooks.is_complete, hooks.begin, hooks.end, hooks.heard  # for all
        self.suspended: dict[int, _Run] = {} if suspended is None else suspended
        self.running: int | None = None  # index; a signal may stop it as long as this is set
        self.ended_at = 0.0  # monotonic clock, end of the last stretch
        self.pid = os.getpid()
        self._forks = _forks[0]
        self._worker = str(self.pid)
        self._alarm = alarm
        self._on_error = on_error
        self._usage: Callable[[], tuple[float, int]] = _thread_usage if threaded else _process_usage
        self._fresh_peak = fresh_peak
        self._cpu, self._cpu_at = 0.0, -1.0

    def begin(self, job: Job) -> Ended | Yielded:
        """Run a task until it ends or yields requirements that are not complete.

        Most attempts need no alarm, nobody listens, and run() gives back nothing. For them, this says
        what ``_stretch`` says, in one function: a million no-ops pass here.
        """
        index, task, _, timeout, _, _, batch = job
        if timeout is not None or self._heard:
            return self._stretch(_Run(job))
        since = monotonic()
        if since - self._cpu_at > WORTH_MEASURING:
            self._cpu, self._cpu_at = self._usage()[0], since
        try:
            try:
                self.running = index
                started = time()
                if self._on_begin is not None:
                    self._on_begin(job)
                body = task.run()
                if body is not None:
                    return self._guarded(_Run(job, body), since, begun=True)
                if _forks[0] != self._forks:
                    self._leave_if_forked(0)
                if batch or not self._is_complete(task):
                    return self._seen(_Run(job), since)
                self.running = None
                _call_on_success(task)
                now = self.ended_at = monotonic()
                seconds, cpu, rss = (now - since, 0.0, 0) if now - since < WORTH_MEASURING else self._used(since)
                return _new(Ended, (index, _OK, "", (), "", started, seconds, cpu, rss, "", self._worker))
            except KeyboardInterrupt:
                self._leave_if_forked(1)
                raise
            except BaseException as error:
                self.running = None
                return self._failed(_Run(job), since, error)
        except Stopped as late:
            return self._failed(_Run(job), since, late)
        finally:
            self.running = None
            if self._on_end is not None:
                self._on_end(job)

    def go_on(self, index: int) -> Ended | Yielded:
        """Let a suspended attempt go on; the yield expression gives the outputs of what it asked for."""
        return self._stretch(self.suspended.pop(index))

    def drop(self, index: int) -> None:
        """Forget a suspended attempt, if there is one."""
        if (run := self.suspended.pop(index, None)) is not None:
            run.close()

    # -- one stretch of work, between a begin or resume and an end or yield

    def _stretch(self, run: _Run) -> Ended | Yielded:
        since = monotonic()
        if since - self._cpu_at > WORTH_MEASURING:
            self._cpu, self._cpu_at = self._usage()[0], since
        try:
            return self._guarded(run, since)
        except Stopped as late:  # arrived while we were wording the end of the attempt
            return self._failed(run, since, late)
        finally:
            if self.hooks.end is not None:
                self.hooks.end(run.job)

    def _guarded(self, run: _Run, since: float, begun: bool = False) -> Ended | Yielded:
        job, disarm = run.job, None
        try:
            if job.timeout is not None and self._alarm:
                disarm = _armed(job.timeout - run.seconds, self)
            self.running = job.index
            waits_for = self._work(run, begun)
            if waits_for is not None:
                return self._suspend(run, since, waits_for)
            return self._seen(run, since)
        except KeyboardInterrupt:
            self._leave_if_forked(1)
            run.close()
            raise
        except BaseException as error:
            self.running = None
            return self._failed(run, since, error)
        finally:
            self.running = None
            if disarm is not None:
                disarm()

    def _work(self, run: _Run, begun: bool) -> list[Any] | None:
        """User code runs here. What it waits for, or None when run() has ended."""
        hooks, job = self.hooks, run.job
        if hooks.begin is not None and not begun:
            hooks.begin(job)
        if run.body is None:
            if hooks.event is not None:
                hooks.event("start", job.task, None)
            run.body = job.task.run()
        waits_for = None if run.body is None else self._advance(run)
        if _forks[0] != self._forks:
            self._leave_if_forked(0)
        return waits_for

    def _advance(self, run: _Run) -> list[Any] | None:
        """Drive a generator or coroutine until it ends or needs what is not there."""
        step = _stepper(run)
        if step is None:
            return None  # run() gave back a plain value, which means nothing
        from .yields import frozen, outputs_of, tasks_of

        while True:
            answer = None if run.waits_for is None else outputs_of(run.waits_for)
            try:
                value = step(answer)
            except StopIteration:
                return None
            if value is _END:
                return None
            run.waits_for = frozen(value)
            tasks = tasks_of(run.waits_for)
            if not all(task.complete() for task in tasks):
                return tasks

    def _suspend(self, run: _Run, since: float, waits_for: list[Any]) -> Yielded:
        seconds, cpu, _ = self._used(since)
        run.seconds += seconds
        run.cpu += cpu
        self.suspended[run.job.index] = run
        return Yielded(run.job.index, waits_for)

    def _seen(self, run: _Run, since: float, message: str = "") -> Ended:
        """run() has ended well: OK if the outputs are there."""
        job, hooks = run.job, self.hooks
        if not (hooks.is_complete(job.task) if not job.batch else all(hooks.is_complete(task) for task in job.batch)):
            return self._without_output(run, since)
        self.running = None
        if run.body is not None:
            run.close()
        _call_on_success(job.task)
        now = self.ended_at = monotonic()
        seconds, cpu, rss = (now - since, 0.0, 0) if now - since < WORTH_MEASURING else self._used(since)
        if hooks.event is not None:
            hooks.event("success", job.task, None)
            hooks.event("time", job.task, run.seconds + seconds)
        return Ended(job.index, _OK, "", (), "", run.started, run.seconds + seconds, run.cpu + cpu, rss, message, self._worker)

    # -- the other ends

    def _without_output(self, run: _Run, since: float) -> Ended:
        job = run.job
        names = [name for task in job.batch or (job.task,) for name in self.hooks.missing(task)]
        self.running = None
        run.close()
        seconds, cpu, rss = self._used(since)
        message = f"run() ended, but missing: {', '.join(names[:10])}" if names else "run() ended, but complete() says no"
        if len(names) > 10:
            message += f" and {len(names) - 10} more"
        if self.hooks.event is not None:
            self.hooks.event("failure", job.task, RuntimeError(message))
        text = f"{message}\n  The task declares these outputs and did not make them.\n"
        if said := getattr(job.task, "_last_words", ""):
            from .report import told

            text = told(f"{text}  The end of what its job said:\n{said}\n", job.task)
        return Ended(
            job.index, ExitClass.NO_OUTPUT, text, (), "no-output",
            run.started, run.seconds + seconds, run.cpu + cpu, rss, message, self._worker,
        )  # fmt: skip

    def _failed(self, run: _Run, since: float, error: BaseException) -> Ended:
        self._leave_if_forked(1)
        seconds, cpu, rss = self._used(since)
        job = run.job
        if isinstance(error, TargetExists) and self._is_there(job):
            run.close()
            return Ended(job.index, _OK, "", (), "", run.started, run.seconds + seconds, run.cpu + cpu, rss, "already there", self._worker)
        if self._on_error is not None and not isinstance(error, Stopped):
            self._on_error(error)
        from .report import describe, exit_of, stopped

        said = self._said(job.task, error)
        run.close()
        if isinstance(error, Stopped):
            exit_class, words = error.exit, stopped(error, error.words(run.seconds + seconds, job.timeout), job.task)
        else:
            exit_class, words = exit_of(error), describe(error, job.task, said)
        return Ended(
            job.index, exit_class, words.error, words.errors, words.fingerprint,
            run.started, run.seconds + seconds, run.cpu + cpu, rss, words.message, self._worker,
        )  # fmt: skip

    def _is_there(self, job: Job) -> bool:
        try:
            return all(self.hooks.is_complete(task) for task in job.batch or (job.task,))
        except FROM_USERS:
            return False

    def _said(self, task: Any, error: BaseException) -> object:
        """What the task's own ``on_failure`` has to add; its own faults are told in its place."""
        try:
            if self.hooks.event is not None:
                self.hooks.event("failure", task, error)
            answer = getattr(task, "on_failure", None)
            return None if answer is None or isinstance(error, Stopped) else answer(error)
        except FROM_USERS as second:
            from .report import describe

            return f"on_failure raised, too:\n{describe(second, task).error}"

    # -- measuring

    def _used(self, since: float) -> tuple[float, float, int]:
        """Seconds, CPU seconds and peak memory of the stretch that ends now."""
        now = self.ended_at = monotonic()
        seconds = now - since
        if seconds < WORTH_MEASURING:
            return seconds, 0.0, 0
        before = self._cpu
        self._cpu, rss = self._usage()
        self._cpu_at = now
        if self._fresh_peak:
            _forget_peak()
        return seconds, max(0.0, self._cpu - before), rss

    def _leave_if_forked(self, status: int) -> None:
        """A task that forked, and came back to us in its child: the child must not go on as a second worker."""
        if _forks[0] != self._forks:
            _flush()
            os._exit(status)


# -- generators, coroutines ----------------------------------------------------------------------


def _stepper(run: _Run) -> Callable[[Any], Any] | None:
    """A function that sends a value into what run() returned and gives what it yields."""
    body = run.body
    if isinstance(body, GeneratorType):
        return body.send
    if isinstance(body, CoroutineType):
        return lambda _: _finished(run, body)
    if isinstance(body, AsyncGeneratorType):
        return lambda value: _awaited(run, _sent(body, value))
    return None


def _finished(run: _Run, body: CoroutineType[Any, Any, Any]) -> Any:
    _awaited(run, body)
    return _END


def _awaited(run: _Run, awaitable: Any) -> Any:
    """The result of a coroutine, run in the attempt's own event loop (it lives until the attempt ends)."""
    import asyncio

    if run.loop is None:
        run.loop = asyncio.Runner()
    return _where_no_loop_runs(run.loop.run, awaitable)


def _where_no_loop_runs(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it here, or in a thread of its own where this one runs an event loop already (a notebook)."""

    if not _loop_runs_here():  # asked outside: an error of the coroutine must not get ours as its context
        return function(*arguments)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, *arguments).result()


def _loop_runs_here() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_END = object()  # in place of StopIteration, which cannot leave a coroutine as what it is


async def _sent(body: AsyncGeneratorType[Any, Any], value: Any) -> Any:
    try:
        return await body.asend(value)
    except StopAsyncIteration:
        return _END


async def _closing(body: AsyncGeneratorType[Any, Any]) -> None:
    await body.aclose()


def failure_of(index: int, task: Any, error: BaseException) -> Ended:
    """The ``Ended`` of an attempt that could not even begin."""
    from .report import describe, exit_of

    words = describe(error, task)
    return Ended(index, exit_of(error), *words[:3], started=time(), message=words.message, worker=str(os.getpid()))


# -- small things --------------------------------------------------------------------------------


def _call_on_success(task: Any) -> None:
    """The outputs are there, so the task is done, whatever its ``on_success`` thinks of it."""
    try:
        task.on_success()
    except FROM_USERS:
        import logging

        logging.getLogger("levada").exception("on_success raised", extra={"task": repr(task)})


def _armed(seconds: float, attempts: Attempts) -> Callable[[], None] | None:
    """Set the alarm; the answer switches it off again. None where no alarm can be set (not the main thread)."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return None

    def ring(number: int, frame: object) -> None:
        if attempts.running is not None:
            raise TimeoutReached(f"timeout after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6), 1.0)  # again each second: code may have swallowed it

    def disarm() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    return disarm


def _process_usage() -> tuple[float, int]:
    """CPU seconds of this process and of the children it waited for; peak memory in bytes."""
    try:
        from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
    except ImportError:
        return process_time(), 0
    own, children = getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return cpu, own.ru_maxrss if sys.platform == "darwin" else own.ru_maxrss * 1024


def _thread_usage() -> tuple[float, int]:
    """CPU seconds of this thread; peak memory of the process, in bytes."""
    from time import thread_time

    return thread_time(), _process_usage()[1]


def _forget_peak() -> None:
    """Let the peak of memory start from what is used now, where the kernel can (Linux)."""
    try:
        with open("/proc/self/clear_refs", "w") as peak:
            peak.write("5")
    except OSError:
        pass


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass

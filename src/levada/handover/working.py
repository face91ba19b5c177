"""Hands one task's work to an engine and follows it to its end; the job runs once, whatever becomes of the worker.

The laws (hand-over in docs/jobs.md): the intent is on disk before a job is submitted, the handle before it is followed; who finds an
entry in the book looks for its job before it submits another; no answer is never taken for an end.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from levada._model.control import listening
from levada._model.engines import Engine, JobSpec, JobState, JobStatus
from levada.errors import EngineError, EngineUnreachable, JobFailed, JobRefused, LeaseLost, LevadaError, TargetExists
from levada.task import repr_of

from .book import Book, Entry, here
from .engines import open_engine
from .polling import poller_of

if TYPE_CHECKING:
    from .task import JobTask

T = TypeVar("T")
LOG = 256 * 1024  # bytes of a job's log that are copied into that of the attempt
TAIL = 4000  # characters of them that an error shows
PATIENCE = (0.2, 30.0)  # seconds between two tries while an engine is away: the first, and at most
ENDING = 15.0  # seconds that a cancelled job is waited for
log = logging.getLogger("levada.jobs")


class HandOver:
    """One attempt of a task, as it hands over. ``go`` may be called once."""

    def __init__(self, task: JobTask, book: Book | None = None) -> None:
        self._task: Any = task  # the submission is set on the instance, as the fence is
        self._book = book or Book()
        self._key = task.key.hex()
        self._fence = str(task.fence or "")
        self._control = listening()
        self._address = task.engine_address()

    def go(self) -> JobStatus:
        """Start the job, or go on with the one that was started before; how it ended, which is well. Raises JobFailed and others."""
        entry = self._book.read(self._key)
        if entry is not None and (done := self._go_on(entry)) is not None:
            return done
        return self._follow(*self._submit())

    # -- a job that somebody started before us

    def _go_on(self, entry: Entry) -> JobStatus | None:
        """Follow the job of an entry; None when there is none to follow, or one that left no output: then the task needs another."""
        engine = open_engine(entry.engine)
        if not entry.handle and getattr(engine, "of_one_host", False) and entry.host != here():
            raise EngineError(
                f"{entry.title}: {entry.host} (host and state folder) was about to start job {entry.submission}: it is known there only",
                hint=f"Start a worker there. If that host is gone for good: `levada jobs forget {entry.submission}`.",
            )
        handle = entry.handle or self._patiently(engine, lambda: engine.find(entry.submission))
        status = JobStatus(JobState.FORGOTTEN) if handle is None else self._patiently(engine, lambda: engine.poll([handle])[0])
        if handle is None or status.state is JobState.FORGOTTEN:
            self._book.strike(self._key, entry.submission)
            return None
        entry = entry._replace(handle=handle, fence=self._fence)
        self._book.write(self._key, entry)
        self._say(f"goes on with {entry.engine} job {handle}, handed over {_ago(entry.since)}")
        self._task.submission = entry.submission
        if status.state is not JobState.SUCCEEDED:
            return self._follow(entry, engine)
        self._end(entry, engine, status)
        return status if self._task.complete() else None

    # -- a new one

    def _submit(self) -> tuple[Entry, Engine]:
        engine = open_engine(self._address)
        submission = submission_of(self._key, self._fence)
        self._task.submission = submission
        spec = _checked(self._task.job(submission), self._task)
        entry = Entry(submission, self._address, "", self._fence, repr_of(self._task), time.time(), here())
        self._book.write(self._key, entry)
        try:
            handle = self._started(engine, spec)
        except JobRefused:
            self._book.strike(self._key, submission)
            raise
        entry = entry._replace(handle=handle)
        try:
            self._book.write(self._key, entry)
        except LeaseLost:
            self._cancel_unwanted(entry, engine)
            raise
        self._say(f"handed over: {self._address} job {handle}")
        return entry, engine

    def _started(self, engine: Engine, spec: JobSpec) -> str:
        """The handle. An answer that was lost is looked for, not asked for a second time."""
        pause, longest = PATIENCE
        while True:
            try:
                return engine.submit(spec)
            except EngineUnreachable as away:
                log.warning("%s does not answer; looking whether it took %s: %s", engine.name, spec.title, away.message)
                self._control.wait(pause)
                pause = min(pause * 2, longest)
                found = self._patiently(engine, lambda: engine.find(spec.submission))
                if found is not None:
                    return found

    def _patiently(self, engine: Engine, ask: Callable[[], T]) -> T:
        """The answer, however long the engine is away; the attempt's own timeout is the limit."""
        pause, longest = PATIENCE
        while True:
            try:
                return ask()
            except EngineUnreachable as away:
                log.warning("%s does not answer, asked again in %.1f s: %s", engine.name, pause, away.message)
                self._control.wait(pause)
                pause = min(pause * 2, longest)

    # -- following

    def _follow(self, entry: Entry, engine: Engine) -> JobStatus:
        try:
            status = self._ended(entry, engine)
        except LevadaError:
            raise  # nothing is known of the job: the next attempt goes on with it
        except BaseException:
            if self._control.leave:
                log.warning("%s: %s job %s goes on; the next run of this task goes on with it", entry.title, entry.engine, entry.handle)
            else:
                self._cancel(entry, engine)
            raise
        self._end(entry, engine, status)
        return status

    def _ended(self, entry: Entry, engine: Engine) -> JobStatus:
        """What the job ended with. Raises what ends the attempt before."""
        poller = poller_of(engine)
        watch = poller.watch(entry.handle, self._control.bell.set)
        try:
            while True:
                self._control.wait(60.0)
                if watch.error is not None:
                    raise watch.error
                if watch.status is not None:
                    self._show(watch.status)
                    if watch.status.state.is_ended:
                        return watch.status
        finally:
            poller.forget(watch)

    def _show(self, status: JobStatus) -> None:
        if status.url:
            self._task.set_tracking_url(status.url)
        if status.progress is not None:
            self._task.set_progress_percentage(100 * status.progress)
        self._task.set_status_message(status.message or str(status.state))

    def _end(self, entry: Entry, engine: Engine, status: JobStatus) -> None:
        """Take the log over, let the task finish, and strike the job off the book. Raises JobFailed."""
        said = self._log_of(entry, engine)
        if status.state is JobState.SUCCEEDED:
            self._task._last_words = said[-TAIL:].strip("\n")
            self._finish(entry, engine, status)
        else:
            self._task.give_up(status)
        self._book.strike(self._key, entry.submission)
        self._forget(entry, engine)
        if status.state is not JobState.SUCCEEDED:
            raise _failure(entry, status, said)

    def _finish(self, entry: Entry, engine: Engine, status: JobStatus) -> None:
        """Let the task finish. Where its own words raise, the next attempt hands over anew; other troubles leave it the result."""
        try:
            self._task.finish(status)
        except Exception as error:
            if isinstance(error, TargetExists) or not isinstance(error, (LevadaError, OSError)):
                self._task.give_up(status)
                self._book.strike(self._key, entry.submission)
                self._forget(entry, engine)
            raise

    def _log_of(self, entry: Entry, engine: Engine) -> str:
        try:
            said = engine.logs(entry.handle, most=LOG)
        except LevadaError as cause:
            log.warning("the log of %s job %s cannot be read: %s", entry.engine, entry.handle, cause.message)
            return ""
        if said:
            sys.stderr.write(said if said.endswith("\n") else f"{said}\n")
        return said

    def _forget(self, entry: Entry, engine: Engine) -> None:
        try:
            engine.forget(entry.handle)
        except LevadaError as cause:
            log.warning("what %s keeps of job %s could not be cleared away: %s", entry.engine, entry.handle, cause.message)

    def _cancel(self, entry: Entry, engine: Engine) -> None:
        """End the job, unless another attempt follows it by now."""
        try:
            now = self._book.read(self._key)
            if now is None or now.submission != entry.submission or now.fence != self._fence:
                log.warning("%s: another attempt goes on with %s job %s", entry.title, entry.engine, entry.handle)
                return
            engine.cancel(entry.handle)
            if _has_ended(engine, entry.handle):
                self._task.give_up(JobStatus(JobState.KILLED))
                self._book.strike(self._key, entry.submission)
                self._forget(entry, engine)
        except LevadaError as cause:
            log.error("%s: %s job %s could not be cancelled and may go on: %s", entry.title, entry.engine, entry.handle, cause.message)

    def _cancel_unwanted(self, entry: Entry, engine: Engine) -> None:
        """The lease was lost while the job was submitted: end it, unless another attempt has found it by its name."""
        try:
            now = self._book.read(self._key)
            if now is None or now.submission != entry.submission:
                engine.cancel(entry.handle)
        except LevadaError as cause:
            log.error("%s: %s job %s could not be cancelled and may go on: %s", entry.title, entry.engine, entry.handle, cause.message)

    def _say(self, text: str) -> None:
        sys.stderr.write(f"{repr_of(self._task)}: {text}\n")
        log.info("%s: %s", repr_of(self._task), text)


def submission_of(key: str, fence: str) -> str:
    """A name for one submission of a task, new each time: `JobSpec.submission`. key: hex; fence: EPOCH.NUMBER, "" for none.

    >>> submission_of("0123456789abcdef0123456789abcdef", "1.17")[:-6]
    'lv-0123456789abcdef-1-17-'
    """
    return f"lv-{key[:16]}-{fence.replace('.', '-') or '0'}-{os.urandom(3).hex()}"


def _has_ended(engine: Engine, handle: str) -> bool:
    until, pause = time.monotonic() + ENDING, 0.1
    while not engine.poll([handle])[0].state.is_ended:
        if time.monotonic() > until:
            return False
        time.sleep(pause)
        pause = min(pause * 2, max(0.1, engine.poll_seconds / 2))
    return True


def _failure(entry: Entry, status: JobStatus, said: str) -> JobFailed:
    what = f"exit status {status.exit}" if status.exit is not None else str(status.state)
    because = f": {status.message}" if status.message else ""
    seen = f"; see {status.url}" if status.url else ""
    tail = said[-TAIL:].strip("\n")
    hint = f"The end of what it said:\n{tail}" if tail else "It said nothing."
    return JobFailed(f"{entry.engine} job {entry.handle} ended with {what}{because}{seen}", hint=hint, state=status.state, exit=status.exit)


def _checked(spec: JobSpec, task: Any) -> JobSpec:
    """The spec, if an engine can read it. Raises EngineError."""
    argv: Any = spec.argv
    env: Any = spec.env
    if isinstance(argv, str) or not all(isinstance(word, str) for word in argv):
        raise EngineError(
            f"{repr_of(task)}: command() gave {argv!r}, expected program and arguments, each a text",
            hint='As ["sort", "-u", path]; a line for a shell is ["sh", "-c", line].',
        )
    if any("\0" in word for word in argv):
        raise EngineError(f"{repr_of(task)}: command() has a zero byte in {argv!r}")
    wrong = {name: value for name, value in env.items() if not (isinstance(name, str) and isinstance(value, str))}
    if wrong:
        raise EngineError(f"{repr_of(task)}: environment() gave {wrong!r}, expected texts for texts")
    return spec._replace(argv=tuple(argv))


def _ago(since: float) -> str:
    seconds = max(0.0, time.time() - since)
    return f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago"

"""One question for all jobs of an engine that this process waits for: a thread an engine, as long as anything waits."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from levada._model.engines import Engine, JobStatus
from levada.errors import EngineUnreachable, LevadaError

FIRST, LONGEST = 0.05, 30.0  # seconds between two questions: at least, when a job began, and while the engine is away
SOON = 10  # so many times sooner than at rest an engine is asked after a job began, and not more often: it is not there for us alone
log = logging.getLogger("levada.jobs")


class Watch:
    """One job that somebody waits for. status: what was heard last; error: why nothing more will be heard."""

    def __init__(self, handle: str, ring: Callable[[], None]) -> None:
        self.handle, self.ring = handle, ring
        self.status: JobStatus | None = None
        self.error: LevadaError | None = None


class Poller:
    """Asks one engine for all that is watched; its thread ends when nothing is."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._watches: list[Watch] = []
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._away_since: float | None = None

    def watch(self, handle: str, ring: Callable[[], None]) -> Watch:
        """Ring whenever something is heard of the job, until `forget`."""
        watch = Watch(handle, ring)
        with self._lock:
            self._watches.append(watch)
            if self._thread is None:
                thread = threading.Thread(target=self._ask_on, name=f"levada-jobs-{self._engine.name}", daemon=True)
                try:
                    thread.start()
                except RuntimeError as cause:  # no thread is to be had
                    self._watches.remove(watch)
                    raise EngineUnreachable(f"{self._engine.name} cannot be asked for its jobs: {cause}") from cause
                self._thread = thread
        self._news.set()
        return watch

    def forget(self, watch: Watch) -> None:
        """Ask for it no more."""
        with self._lock:
            self._watches.remove(watch)
        self._news.set()

    def _ask_on(self) -> None:
        pause = soon = max(FIRST, self._engine.poll_seconds / SOON)
        while True:
            with self._lock:
                watches = [watch for watch in self._watches if watch.status is None or not watch.status.state.is_ended]
                if not self._watches:
                    self._thread = None
                    return
            if watches:
                pause = self._ask(watches, pause)
            if self._news.wait(pause if watches else None):
                time.sleep(soon)  # what is handed over meanwhile is asked for by the same question
                self._news.clear()
                pause = soon

    def _ask(self, watches: list[Watch], pause: float) -> float:
        """One question; seconds until the next."""
        try:
            statuses = list(zip(watches, self._engine.poll([watch.handle for watch in watches]), strict=True))
        except EngineUnreachable as away:
            if self._away_since is None:
                self._away_since = time.monotonic()
                log.warning("%s does not answer; its jobs are waited for: %s", self._engine.name, away.message)
            return min(LONGEST, max(pause, self._engine.poll_seconds) * 2)
        except Exception as error:
            return self._failed(watches, pause, error if isinstance(error, LevadaError) else _unexpected(self._engine, error))
        if self._away_since is not None:
            log.warning("%s answers again, after %.0f s", self._engine.name, time.monotonic() - self._away_since)
            self._away_since = None
        for watch, status in statuses:
            if status != watch.status:
                watch.status = status
                watch.ring()
        return min(pause * 1.5, self._engine.poll_seconds)

    def _failed(self, watches: list[Watch], pause: float, error: LevadaError) -> float:
        """One job, or a fault of the engine, must not leave the others waiting for ever: each is asked for alone."""
        if len(watches) > 1:
            return max([self._ask([watch], pause) for watch in watches])
        watches[0].error = error
        watches[0].ring()
        return self._engine.poll_seconds


def _unexpected(engine: Engine, error: Exception) -> LevadaError:
    from levada.errors import EngineError, told

    found = EngineError(f"engine {engine.name}: {told(error)}", hint="This is a fault of the engine's adapter.")
    found.__cause__ = error
    return found


_pollers: dict[int, tuple[Engine, Poller]] = {}
_lock = threading.Lock()


def poller_of(engine: Engine) -> Poller:
    """The one of this process for an engine."""
    with _lock:
        found = _pollers.get(id(engine))
        if found is None:
            found = _pollers[id(engine)] = (engine, Poller(engine))
        return found[1]


def _forked() -> None:
    global _lock
    _lock = threading.Lock()
    _pollers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)

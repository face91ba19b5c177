"""What is shown while a run goes on: a bar on a terminal, now and then a line elsewhere.

Nothing is loaded or printed before there is work: a run that finds everything complete only pays for
this module. Failures are told at once, so many at most; the rest is in the summary and the history.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..config.settings import Settings
from .options import Parsed

if TYPE_CHECKING:
    from .._model.ports import Attempt
    from .bar import Bar

FIRST_LINE = 2.0
"""Seconds until the first progress line; shorter runs have a summary only."""

BETWEEN_LINES = 5.0
"""Seconds between progress lines where nobody watches a terminal."""

FAILURES_SHOWN = 20
AWAY = 2.0  # seconds without a server from which on it is worth a word


class Console:
    """The observer of ``levada run``. ``close`` gives the terminal back; harmless to repeat."""

    def __init__(self, parsed: Parsed, settings: Settings, estimates: Callable[[], Mapping[str, Any]] = dict) -> None:
        """Estimates: family -> how long its attempts took lately; asked once, when something is to be shown."""
        self._settings = settings
        self._estimates: Callable[[], Mapping[str, Any]] | None = estimates
        self._as_json = parsed.flag("log_json")
        self._silent = parsed.flag("quiet") or parsed.flag("no_console") or settings.get("run", "console", True) is False
        self._on_terminal = not parsed.flag("pdb") and sys.stderr.isatty()
        self._bar: Bar | None = None
        self._tally = Tally()
        self._next_line = 0.0
        self._failures = 0
        self._said_paused = False
        if "logging" in sys.modules or self._as_json or settings.find("run", "log_level") is not None:
            self._set_up_logs()

    def _set_up_logs(self) -> None:
        from .logs import set_up

        set_up(str(self._settings.get("run", "log_level", "warning")), as_json=self._as_json)

    # -- what the run tells us

    def started(self, runner: Any) -> None:
        """There is work."""
        self._set_up_logs()
        self._next_line = time.monotonic() + FIRST_LINE

    def progress(self, runner: Any) -> None:
        """A look at the counters, a few times a second."""
        if self._silent:
            return
        if self._bar is not None:
            self._learn()
            self._bar.show(runner)
            self._tell_pause(runner)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + BETWEEN_LINES
            self._learn()
            line = self._tally.line(Counts(runner))
            self._tell_pause(runner)
            if not self._on_terminal:
                self._say(line)

    def _tell_pause(self, runner: Any) -> None:
        """Once, that the server grants nothing."""
        if not self._said_paused and getattr(runner.scheduler, "paused", False):
            self._said_paused = True
            self._say("the server is paused and grants nothing until `levada resume`")

    def _learn(self) -> None:
        if self._estimates is not None:
            for family, estimate in self._estimates().items():
                self._tally.learn(family, estimate.attempts, estimate.mean)
            self._estimates = None

    def task_started(self, task: Any) -> None:
        """The first one brings the bar, if somebody watches."""
        if self._silent:
            return
        if self._bar is None and self._on_terminal:
            from .bar import Bar

            self._bar = Bar(self._tally)
        self._tally.begin(task)

    def task_ended(self, task: Any, attempt: Attempt) -> None:
        """Count it; say at once that it failed."""
        if not self._silent:
            self._tally.end(task, attempt)
            if attempt.exit != "ok":
                self._tell_failure(attempt)

    def ended(self, runner: Any) -> None:
        """Of no interest."""

    def draining(self, signum: int, running: int) -> None:
        """The run was asked to stop."""
        from .text import count

        self._say(f"stopping: {count(running, 'attempt')} may finish first; once more to cancel")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _tell_failure(self, attempt: Attempt) -> None:
        from .names import name_of
        from .summary import reason
        from .text import ending, one_line

        self._failures += 1
        if self._failures <= FAILURES_SHOWN:
            self._say(f"attempt {attempt.number} of {one_line(name_of(attempt))} {ending(attempt.exit)}: {reason(attempt.error)}")
        elif self._failures == FAILURES_SHOWN + 1:
            self._say("more attempts failed; they are not shown here (`levada history --failed` has them)")

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.say(text)
        else:
            from .text import say

            say(f"levada: {text}")


class Tally:
    """What happened so far: running tasks with their start, mean seconds by family."""

    def __init__(self) -> None:
        self.running: dict[Any, float] = {}
        self._took: dict[str, tuple[int, float]] = {}

    def begin(self, task: Any) -> None:
        """Note that a task was started."""
        self.running[task] = time.monotonic()

    def end(self, task: Any, attempt: Attempt) -> None:
        """Note that an attempt ended."""
        self.running.pop(task, None)
        if attempt.exit == "ok":
            number, seconds = self._took.get(attempt.family, (0, 0.0))
            self._took[attempt.family] = number + 1, seconds + attempt.seconds

    def learn(self, family: str, attempts: int, mean: float) -> None:
        """What earlier runs know; counts like ``attempts`` tasks of this run."""
        self._took.setdefault(family, (attempts, attempts * mean))

    def slowest(self, most: int) -> list[tuple[Any, float]]:
        """(task, seconds so far) of what runs longest."""
        now = time.monotonic()
        return [(task, now - since) for task, since in sorted(self.running.items(), key=lambda pair: pair[1])[:most]]

    def left(self, to_do: dict[str, int], slots: int) -> float | None:
        """Seconds that the known tasks will take, by the means of their families; None when too little is known."""
        known = sum(number for family, number in to_do.items() if family in self._took)
        if not known or known * 2 < sum(to_do.values()):
            return None
        seconds = sum(number * self._took[family][1] / self._took[family][0] for family, number in to_do.items() if family in self._took)
        return seconds * sum(to_do.values()) / known / max(1, slots)

    def line(self, counts: Counts) -> str:
        """Progress in one line."""
        from .text import duration

        parts = [f"{counts.done:,} done", self._running(counts), f"{counts.to_do:,} to do"]
        if counts.failed:
            parts.insert(1, f"{counts.failed:,} failed")
        if counts.complete:
            parts.append(f"{counts.complete:,} were complete")
        if counts.unknown:
            parts.append("more are being found")
        elif (left := self.left(counts.families_to_do, len(self.running))) is not None:
            parts.append(f"about {duration(left)} left")
        if counts.paused:
            parts.append("the server is paused")
        if counts.away >= AWAY:
            parts.append(f"the server has been away for {duration(counts.away)}")
        return ", ".join(parts)

    def _running(self, counts: Counts) -> str:
        """What runs; of tasks that are shared with other workers, how many here and how many elsewhere."""
        if counts.elsewhere:
            return f"{len(self.running):,} running here, {counts.elsewhere:,} elsewhere"
        return f"{len(self.running) if counts.shared else counts.running:,} running"


class Counts:
    """The scheduler's counters, in the words of the console."""

    def __init__(self, runner: Any) -> None:
        from .._model.status import Status

        progress = runner.scheduler.progress()
        by_status = progress.counts
        self.done = by_status[Status.DONE]
        self.running = by_status[Status.RUNNING]
        self.failed = by_status[Status.FAILED] + by_status[Status.DISABLED] + by_status[Status.CANCELLED]
        self.to_do = by_status[Status.WAITING] + by_status[Status.READY] + by_status[Status.RETRYING]
        self.complete = progress.complete
        self.unknown = not runner.discovery.finished
        self.shared = hasattr(runner.scheduler, "away")
        self.away: float = runner.scheduler.away if self.shared else 0.0
        self.elsewhere: int = runner.scheduler.elsewhere if self.shared else 0
        self.paused: bool = getattr(runner.scheduler, "paused", False)
        self.by_family = progress.by_family
        self._done = Status.DONE
        self._waiting = (Status.WAITING, Status.READY, Status.RETRYING)

    @property
    def families_to_do(self) -> dict[str, int]:
        """Family -> tasks that were not started yet."""
        return {family: number for family, counts in self.by_family.items() if (number := sum(counts[each] for each in self._waiting))}

    def families(self) -> list[tuple[str, int, int]]:
        """(family, done, all) of each family that is to be run."""
        return [(family, counts[self._done], sum(counts)) for family, counts in self.by_family.items()]

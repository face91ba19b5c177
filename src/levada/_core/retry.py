"""What becomes of a task after an attempt that failed: tried again, failed for good, or disabled.

* ``infra`` and an unwished ``cancelled`` count nothing; they are tried again with growing delays, at
  most ``excused_limit`` times in a row (a rule of the host's), since nothing here goes on for ever.
* ``lost-worker`` counts as poison only: the worker was at fault as likely as the task.
* Everything else counts against the attempts of the policy; what costs a process is poison besides.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._model.spec import Retry
from .._model.status import POISON, ExitClass, Status
from .._model.values import NamedTuple
from .changes import Trouble
from .state import EXCUSED_LIMIT

EXCUSED = frozenset({ExitClass.INFRA, ExitClass.CANCELLED})
POISON_LIMIT = 3
POISON_WINDOW = 86_400.0  # seconds


class Verdict(NamedTuple):
    """at: when a retrying task may become ready, or when a disabled one's window is over."""

    status: Status
    reason: str
    trouble: Trouble
    at: float | None


def retry_delay(failures: int, retry: Retry, draw: float) -> float:
    """Seconds until the next attempt after so many failures (1 or more).

    Between half and all of ``retry.first``, doubled with each failure, at most ``retry.longest``.
    draw: in [0, 1), from (key, attempt), so that a thousand tasks do not come back in one second.

    >>> [retry_delay(n, Retry(first=10, longest=60), draw=0.5) for n in range(1, 5)]
    [7.5, 15.0, 30.0, 45.0]
    """
    doubled = retry.first * 2.0 ** min(failures - 1, 64)  # 64: past any sense, before any overflow
    return min(retry.longest, doubled) * (0.5 + draw / 2)


def attempts_allowed(retry: Retry, errors: Sequence[str]) -> int:
    """Attempts in all for an error; errors: names of its class and bases.

    >>> attempts_allowed(Retry(exceptions=(("OSError", 9), ("ValueError", 1))), ["json.JSONDecodeError", "ValueError"])
    1
    """
    names = {name for error in errors for name in (error, error.rpartition(".")[2])}
    for name, attempts in retry.exceptions:
        if name in names:
            return attempts
    return retry.attempts


def after_failure(
    retry: Retry,
    before: Trouble | None,
    exit_class: ExitClass,
    errors: Sequence[str],
    draw: float,
    now: float,
    excused_limit: int = EXCUSED_LIMIT,
) -> Verdict:
    """Judge one more failure. now: the server's monotonic clock, seconds."""
    trouble = _record(retry, before or Trouble(), exit_class, now)
    if exit_class in EXCUSED:
        return _excused(retry, trouble, exit_class, draw, now, excused_limit)
    if exit_class in POISON and len(trouble.poison) >= POISON_LIMIT:
        reason = f"{exit_class}: {POISON_LIMIT} attempts cost a worker or process within 24 h"
        return Verdict(Status.DISABLED, reason, trouble, now + _or(retry.disabled_for, POISON_WINDOW))
    if exit_class is ExitClass.LOST_WORKER:
        return Verdict(Status.RETRYING, "its worker was silent for longer than the lease", trouble, now)
    if retry.disable_after is not None and len(trouble.recent) >= retry.disable_after:
        reason = f"{exit_class}: {len(trouble.recent)} failures within {retry.window:g} s"
        return Verdict(Status.DISABLED, reason, trouble, now + _or(retry.disabled_for, retry.window))
    if retry.give_up_after is not None and trouble.first is not None and now >= trouble.first + retry.give_up_after:
        reason = f"{exit_class}: still fails {now - trouble.first:g} s after its first failure"
        return Verdict(Status.DISABLED, reason, trouble, now + _or(retry.disabled_for, retry.window))
    allowed = attempts_allowed(retry, errors)
    if trouble.failures >= allowed:
        return Verdict(Status.FAILED, f"{exit_class}: failed {trouble.failures} of {allowed} times", trouble, None)
    at = now + retry_delay(trouble.failures, retry, draw)
    return Verdict(Status.RETRYING, f"{exit_class}: failed {trouble.failures} of {allowed} times", trouble, at)


def _or(seconds: float | None, otherwise: float) -> float:
    return otherwise if seconds is None else seconds


def _excused(retry: Retry, trouble: Trouble, exit_class: ExitClass, draw: float, now: float, limit: int) -> Verdict:
    if trouble.excused >= limit:
        return Verdict(Status.FAILED, f"{exit_class}: {trouble.excused} times in a row", trouble, None)
    return Verdict(Status.RETRYING, f"{exit_class}: counts nothing", trouble, now + retry_delay(trouble.excused, retry, draw))


def _record(retry: Retry, before: Trouble, exit_class: ExitClass, now: float) -> Trouble:
    """The failures so far, this one included; old ones are forgotten where a window allows it."""
    if exit_class in EXCUSED:
        return before._replace(excused=before.excused + 1)
    counts = exit_class is not ExitClass.LOST_WORKER
    recent, poison = before.recent, before.poison
    if counts and retry.disable_after is not None:
        recent = (*(moment for moment in recent if moment > now - retry.window), now)[-retry.disable_after :]
    if exit_class in POISON:
        poison = (*(moment for moment in poison if moment > now - POISON_WINDOW), now)[-POISON_LIMIT:]
    first = before.first
    if counts and first is None and retry.give_up_after is not None:
        first = now
    return Trouble(before.failures + counts, 0, recent, poison, first)

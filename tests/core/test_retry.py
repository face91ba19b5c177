"""When a failed task is tried again, and when it is not."""

from __future__ import annotations

import pytest

from levada._core.changes import Trouble
from levada._core.retry import EXCUSED_LIMIT, POISON_WINDOW, Verdict, after_failure, attempts_allowed, retry_delay
from levada._model.spec import Retry
from levada._model.status import ExitClass, Status

RETRY = Retry(attempts=3, first=10.0, longest=60.0)


def after(retry: Retry, *ends: ExitClass, at: tuple[float, ...] | None = None, errors: tuple[str, ...] = ()) -> Verdict:
    """The verdict on the last of these ends."""
    verdict = None
    for number, end in enumerate(ends):
        verdict = after_failure(retry, verdict and verdict.trouble, end, errors, 0.5, at[number] if at else 100.0)
    assert verdict is not None
    return verdict


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_a_delay_lies_between_half_and_all_of_the_doubled_first(draw: float) -> None:
    for failures in range(1, 200):
        whole = min(60.0, 10.0 * 2 ** (failures - 1))
        assert whole / 2 <= retry_delay(failures, RETRY, draw) < whole


def test_a_task_fails_for_good_when_its_attempts_are_used_up() -> None:
    assert after(RETRY, ExitClass.USER, ExitClass.TIMEOUT).status is Status.RETRYING
    assert after(RETRY, ExitClass.USER, ExitClass.TIMEOUT, ExitClass.NO_OUTPUT).status is Status.FAILED
    assert after(Retry(attempts=1), ExitClass.USER).status is Status.FAILED


def test_infra_counts_nothing_but_has_an_end() -> None:
    verdict = after(RETRY, ExitClass.USER, *[ExitClass.INFRA] * (EXCUSED_LIMIT - 1), ExitClass.USER)
    assert verdict.status is Status.RETRYING
    assert verdict.trouble == Trouble(failures=2)
    assert after(RETRY, *[ExitClass.INFRA] * EXCUSED_LIMIT).status is Status.FAILED


def test_poison_disables_after_three_within_a_day() -> None:
    many = Retry(attempts=99)
    poison = (ExitClass.OOM, ExitClass.LOST_WORKER, ExitClass.SIGNAL)
    verdict = after(many, *poison)
    assert (verdict.status, verdict.at) == (Status.DISABLED, 100.0 + POISON_WINDOW)
    assert after(many, *poison, at=(0.0, 10.0, POISON_WINDOW + 1.0)).status is Status.RETRYING


def test_a_lost_worker_is_no_failure_of_the_task() -> None:
    verdict = after(Retry(attempts=1), ExitClass.LOST_WORKER)
    assert (verdict.status, verdict.at, verdict.trouble.failures) == (Status.RETRYING, 100.0, 0)
    assert after(Retry(attempts=1), ExitClass.OOM).status is Status.FAILED


def test_failures_within_the_window_disable() -> None:
    touchy = Retry(attempts=99, disable_after=2, window=50.0)
    assert after(touchy, ExitClass.USER, ExitClass.USER).status is Status.DISABLED
    assert after(touchy, ExitClass.USER, ExitClass.USER, at=(0.0, 51.0)).status is Status.RETRYING


def test_the_first_exception_that_matches_sets_the_attempts() -> None:
    retry = Retry(attempts=5, exceptions=(("requests.Timeout", 9), ("OSError", 1)))
    assert attempts_allowed(retry, ("socket.gaierror", "builtins.OSError")) == 1
    assert attempts_allowed(retry, ("requests.Timeout", "OSError")) == 9
    assert attempts_allowed(retry, ("ValueError",)) == 5
    assert after(retry, ExitClass.USER, errors=("OSError",)).status is Status.FAILED

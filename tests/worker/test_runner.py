"""What the loop of a worker reports, beyond what whole runs show (tests/run, tests/served)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from levada._model.messages import Fence, Grant
from levada._model.status import ExitClass
from levada._plan.walk import RUN
from levada._worker.executor import Ended
from levada._worker.runner import Runner, Running
from levada.task import policy_of

from .odd import Noop


def test_what_no_further_attempt_mends_is_final_once_and_not_when_somebody_sets_it_going_again() -> None:
    runner: Any = Runner.__new__(Runner)
    runner.discovery, runner.failures, runner._failed, runner._hopeless = SimpleNamespace(kinds=bytearray([RUN])), {}, [], {0}
    task = Noop(number=1)
    for attempt in (1, 2):
        held = Running(Grant(0, Fence(1, attempt), attempt, 60.0, ()), task, policy_of(task), b"k" * 16, "")
        runner._fail(held, Ended(0, ExitClass.INFRA, "not there"))
    assert [one.final for one in runner._failed] == [True, False]

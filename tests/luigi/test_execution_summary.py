"""What is said of a worker's tasks in the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import levada.luigi as luigi
from levada.luigi.execution_summary import LuigiRunResult, LuigiStatusCode, _summary_dict, summary


class Step(luigi.Task):
    n = luigi.IntParameter()

    def requires(self) -> Any:
        return [Step(self.n - 1)] if self.n else []


class Pair(luigi.Task):
    n = luigi.IntParameter()
    name = luigi.Parameter(default="x")


def after(*history: tuple[Any, str, bool], replies: Any = ()) -> Any:
    """What a worker looks like that told its scheduler this."""
    tasks = {task.task_id: task for task, _, _ in history}
    return SimpleNamespace(_id="me", _add_task_history=list(history), _get_work_response_history=list(replies), _scheduled_tasks=tasks)


def text(worker: Any) -> list[str]:
    """The lines between the frames."""
    return summary(worker).split("\n")[3:-3]


def test_nothing_scheduled_is_said_so() -> None:
    assert text(after()) == ["Did not schedule any tasks"]


def test_values_without_gaps_are_told_as_a_range() -> None:
    made = after(*[(Step(n), status, True) for n in range(6) for status in ("PENDING", "DONE")])

    assert text(made) == [
        "Scheduled 6 tasks of which:",
        "* 6 ran successfully:",
        "    - 6 Step(n=0...5)",
        "",
        "This progress looks :) because there were no failed tasks or missing dependencies",
    ]


def test_the_only_parameter_that_differs_is_told_as_a_range() -> None:
    made = after(*[(Pair(n), "DONE", False) for n in range(3)])

    assert "    - 3 Pair(n=0...2, name=x)" in text(made)
    assert text(made)[-2] == "Did not run any tasks"


def test_a_chain_is_pending_for_what_failed_at_its_start_however_long_it_is() -> None:
    """A walk that recursed would end at a thousand."""
    chain = [Step(n) for n in range(3000)]
    broken = after(*[(task, "PENDING", True) for task in chain], (chain[0], "FAILED", True))

    found = _summary_dict(broken)

    assert found["upstream_failure"] == set(chain[1:])
    assert not found["not_run"]


def test_what_another_worker_runs_is_told_with_its_name() -> None:
    first: Any = Step(0)
    running = {"task_id": first.task_id, "worker": "you"}
    waited = after((first, "PENDING", True), replies=[{"task_id": None, "running_tasks": [running]}])

    assert "    * 1 were being run by another worker:" in text(waited)
    assert "    - you ran 1 tasks" in text(waited)


def test_a_retry_that_went_well_is_a_success() -> None:
    worker = after((Step(0), "PENDING", True), (Step(0), "FAILED", True), (Step(0), "DONE", True))

    result = LuigiRunResult(worker)

    assert result.status is LuigiStatusCode.SUCCESS_WITH_RETRY
    assert result.one_line_summary == "This progress looks :) because there were failed tasks but they all succeeded in a retry"
    assert str(result) == "LuigiRunResult with status LuigiStatusCode.SUCCESS_WITH_RETRY"

"""What only Luigi's tasks have, and its decorators."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

import levada as lv
import levada.luigi as luigi
from levada.luigi import task as tasks
from levada.luigi.util import common_params, delegates, get_previous_completed, previous
from levada.params import ParameterVisibility


class DayReport(luigi.Task):
    day = luigi.DateParameter()
    shop = luigi.Parameter(default="n", significant=False)
    door = luigi.Parameter(default="d", visibility=ParameterVisibility.HIDDEN)
    key = luigi.Parameter(default="k", visibility=ParameterVisibility.PRIVATE)

    def output(self) -> Any:
        return lv.MemoryTarget(f"report-{self.day}")

    def complete(self) -> bool:
        return bool(self.day.day % 7 == 0)  # type: ignore[attr-defined]  # a date


DAY = datetime.date(2013, 1, 5)


def test_task_is_levadas() -> None:
    assert luigi.Task is lv.Task is tasks.Task
    assert luigi.task.Register is lv.Register
    assert luigi.Event is lv.Event


def test_values_go_to_texts_and_back() -> None:
    task: Any = DayReport(DAY, "s")
    assert task.to_str_params() == {"day": "2013-01-05", "shop": "s", "door": "d"}
    assert task.to_str_params(only_significant=True, only_public=True) == {"day": "2013-01-05"}
    assert DayReport.from_str_params({"day": "2013-01-05", "shop": "s", "unknown": "x"}) is task
    assert DayReport.get_param_names() == ["day", "door", "key"]
    assert DayReport.get_param_names(include_significant=True) == ["day", "shop", "door", "key"]
    assert dict(DayReport.get_param_values(DayReport.get_params(), [DAY], {"door": "e"}))["door"] == "e"
    with pytest.raises(luigi.parameter.MissingParameterException, match="day"):
        DayReport.get_param_values(DayReport.get_params(), [], {})


def test_what_luigi_asks_of_a_task_is_answered() -> None:
    task: Any = DayReport(DAY)
    assert not task.batchable
    assert task.task_module == __name__
    assert task.initialized()
    with pytest.raises(NotImplementedError):
        DayReport.bulk_complete([DAY])
    with pytest.warns(DeprecationWarning, match="disable_window"):
        assert task.disable_window_seconds is None


def test_outputs_of_wrappers_are_those_of_what_they_group() -> None:
    class Both(luigi.WrapperTask):
        def requires(self) -> Any:
            yield DayReport(DAY)
            yield DayReport(DAY)

    assert [target.path for target in tasks.flatten_output(Both())] == [f"/report-{DAY}"]


def test_wrapped_requirements_are_asked_for_together() -> None:
    asked: list[Any] = []

    def all_at_once(ask: Any) -> bool:
        asked.append(ask)
        return True

    wanted = tasks.DynamicRequirements({"a": DayReport(DAY)}, all_at_once)
    assert wanted.complete()
    assert len(asked) == 1
    assert wanted.paths["a"].path == f"/report-{DAY}"
    assert not tasks.DynamicRequirements([DayReport(DAY)]).complete()


def test_the_task_before_and_the_newest_that_is_complete() -> None:
    assert previous(DayReport(DAY)) is DayReport(DAY - datetime.timedelta(1))
    assert get_previous_completed(DayReport(datetime.date(2013, 1, 10))).day.day == 7
    assert get_previous_completed(DayReport(datetime.date(2013, 1, 10)), max_steps=2) is None

    class Timeless(luigi.Task):
        shop = luigi.Parameter()

    with pytest.raises(NotImplementedError, match="0 of its parameters"):
        previous(Timeless("n"))


def test_subtasks_run_in_the_task_and_their_requirements_are_its_own() -> None:
    ran: list[str] = []

    class Part(luigi.Task):
        def requires(self) -> Any:
            return DayReport(DAY)

        def run(self) -> None:
            ran.append("part")

    @delegates
    class Whole(luigi.Task):
        def subtasks(self) -> Any:
            return [Part()]

        def run(self) -> None:
            ran.append("whole")

    whole: Any = Whole()
    assert whole.deps() == [DayReport(DAY)]
    whole.run()
    assert ran == ["part", "whole"]
    with pytest.raises(AttributeError, match="subtasks"):
        delegates(Part)


def test_values_that_two_classes_share() -> None:
    class Other(luigi.Task):
        day = luigi.DateParameter()
        n = luigi.IntParameter(default=1)

    assert common_params(DayReport(DAY), Other) == {"day": DAY}
    with pytest.raises(TypeError, match="common_params"):
        common_params(Other, DayReport(DAY))  # type: ignore[arg-type]

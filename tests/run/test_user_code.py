"""Code of users at its worst, outside of run(): the run goes on without it, says so, and never ends as if all were well."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

import levada as lv
from levada.errors import DefinitionError

POOL: dict[str, Any] = {"workers": 2, "executor": "processes"}
BOTH = pytest.mark.parametrize("options", [{}, POOL], ids=["inline", "a pool"])


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class File(lv.Task):
    name: str
    retry = lv.Retry(attempts=1)

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(self.name)

    def run(self) -> Any:
        self.output().write_text(self.name)


def leave() -> NoReturn:
    sys.exit(0)


class LeavesInRequires(File):
    def requires(self) -> Any:
        leave()


class LeavesInRequiresLate(File):
    def requires(self) -> Any:
        yield File(name="before")
        leave()


class LeavesInOutput(File):
    def output(self) -> lv.LocalTarget:
        leave()


class LeavesInComplete(File):
    def complete(self) -> bool:
        leave()


class LeavesInPriority(File):
    @property
    def priority(self) -> int:  # type: ignore[override]  # as users write it
        leave()


class Gone:
    def exists(self) -> bool:
        leave()


class LeavesInExists(File):
    def output(self) -> Any:
        return Gone()


@pytest.mark.parametrize(
    "cls", [LeavesInRequires, LeavesInRequiresLate, LeavesInOutput, LeavesInComplete, LeavesInPriority, LeavesInExists]
)
def test_sys_exit_while_the_plan_is_made_is_a_fault_of_the_plan_and_the_rest_is_made(cls: type[File]) -> None:
    """It would end the process with 0: cron would take the wanted task for complete (law 3)."""
    result = lv.run([cls(name="a"), File(name="healthy")])
    assert (result.status, result.faulty) == ("faults", 1)
    assert result.exit_code != 0
    assert "SystemExit: 0" in result.faults[0].message
    assert Path("healthy").exists()


class LeavesAtTheSecondLook(File):
    def complete(self) -> bool:
        if Path("looked").exists():
            leave()
        Path("looked").touch()
        return False


class LeavesInOnFailure(File):
    def run(self) -> None:
        raise ValueError("first")

    def on_failure(self, exception: BaseException) -> None:
        leave()


@BOTH
@pytest.mark.parametrize("cls", [LeavesAtTheSecondLook, LeavesInOnFailure])
def test_sys_exit_around_an_attempt_fails_that_attempt_alone(cls: type[File], options: dict[str, Any]) -> None:
    result = lv.run([cls(name="a"), File(name="healthy")], **options)
    assert (result.status, result.failed, result.done) == ("failed", 1, 1)


class LeavesInOnSuccess(File):
    def on_success(self) -> None:
        leave()


@BOTH
def test_sys_exit_in_on_success_changes_nothing_as_the_outputs_are_there(options: dict[str, Any]) -> None:
    assert lv.run(LeavesInOnSuccess(name="a"), **options).status == "ok"


# -- circles of one, and many at once ----------------------------------------------------------


class NeedsItself(File):
    def requires(self) -> Any:
        return [File(name="other"), self]


def test_a_task_that_requires_itself_is_a_circle_and_the_rest_is_made() -> None:
    result = lv.run([NeedsItself(name="a"), File(name="healthy")])
    assert (result.exit_code, [fault.kind for fault in result.faults]) == (4, ["cycle"])
    assert "NeedsItself(name=a) > NeedsItself(name=a)" in result.faults[0].message
    assert Path("healthy").exists()
    assert Path("other").exists()


class YieldsItself(File):
    def run(self) -> Any:
        yield YieldsItself(name=self.name)


@BOTH
def test_a_task_that_yields_itself_fails_and_the_rest_is_made(options: dict[str, Any]) -> None:
    result = lv.run([YieldsItself(name="a"), File(name="healthy")], **options)
    assert (result.status, result.failed, result.done) == ("failed", 1, 1)
    assert "yielded the task itself" in result.failures[0].error


class YieldsMany(lv.Task):
    def output(self) -> lv.MemoryTarget:
        return lv.MemoryTarget("yields-many")

    def run(self) -> Any:
        outputs = yield [Small(number=number) for number in range(4097)]
        assert len(outputs) == 4097
        self.output().write_text("")


class Small(lv.Task):
    number: int

    def output(self) -> lv.MemoryTarget:
        return lv.MemoryTarget(f"small/{self.number}")

    def run(self) -> None:
        self.output().write_text("")


def test_more_tasks_may_be_yielded_at_once_than_fit_into_one_message() -> None:
    assert lv.run(YieldsMany(), exclusive=False, history=False).done == 4098


class YieldsTooMany(File):
    def run(self) -> Any:
        yield [Small(number=-1)] * 100_001


@BOTH
def test_a_task_that_yields_more_than_the_scheduler_takes_fails_and_the_rest_is_made(options: dict[str, Any]) -> None:
    result = lv.run([YieldsTooMany(name="a"), File(name="healthy")], **options)
    assert (result.status, result.failed, result.done) == ("failed", 1, 1)
    assert "limit" in result.failures[0].error or "more than fit" in result.failures[0].error


# -- what the scheduler is told of a task --------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("resources", {"r": "many"}),
        ("resources", {"r": -1}),
        ("resources", {"r": 0.5}),
        ("resources", {3: 1}),
        ("resources", ["r"]),
        ("priority", float("nan")),
        ("priority", 2**21),
        ("priority", "high"),
        ("timeout", "3 s"),
        ("timeout", -1),
        ("retry", "twice"),
        ("retry", lv.Retry(attempts=0)),
        ("retry", lv.Retry(first=-1)),
        ("retry", lv.Retry(exceptions=("ValueError",))),  # type: ignore[arg-type]  # as users write it
        ("batch_limit", 0),
    ],
)
def test_an_attribute_that_the_scheduler_would_not_take_is_an_error_of_the_definition(name: str, value: object) -> None:
    class Odd(File):
        pass

    setattr(Odd, name, value)
    with pytest.raises(DefinitionError, match=f"Odd: {name} is"):
        lv.run(Odd(name="a"))


class RaisesInPriority(File):
    @property
    def priority(self) -> int:  # type: ignore[override]  # as users write it
        raise ValueError("none yet")


class WantsTooMuch(File):
    def process_resources(self) -> Any:
        return {"r": "many"}


@pytest.mark.parametrize(("cls", "says"), [(RaisesInPriority, "ValueError: none yet"), (WantsTooMuch, "resources is {'r': 'many'}")])
def test_a_property_that_fails_is_a_fault_of_that_task_and_the_rest_is_made(cls: type[File], says: str) -> None:
    result = lv.run([cls(name="a"), File(name="healthy")])
    assert (result.exit_code, [fault.kind for fault in result.faults]) == (4, ["attributes"])
    assert says in result.faults[0].message
    assert Path("healthy").exists()


def no_one(values: Any) -> Any:
    raise ValueError("cannot put them together")


class Together(File):
    number: int = lv.param(batch=no_one)
    batch_limit = 10

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{self.name}-{self.number}")


def test_a_batch_function_that_raises_fails_the_tasks_of_its_batch_and_the_rest_is_made() -> None:
    result = lv.run([*(Together(name="a", number=number) for number in range(3)), File(name="healthy")])
    assert (result.status, result.failed, result.done) == ("failed", 3, 1)
    assert "cannot put them together" in result.failures[0].error


# -- time ---------------------------------------------------------------------------------------


class WorksInTwoStretches(File):
    timeout = 0.5

    def run(self) -> Any:
        time.sleep(0.35)
        yield File(name="between")
        time.sleep(0.35)
        self.output().write_text("")


@BOTH
def test_a_timeout_counts_the_work_before_and_after_a_wait(options: dict[str, Any]) -> None:
    result = lv.run(WorksInTwoStretches(name="a"), **options)
    assert [failure.exit for failure in result.failures] == ["timeout"]

"""A run end to end, in process: what is made, what is left alone, what is told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import levada as lv
from levada.cli.summary import summary
from levada.errors import RunError

LOG: list[str] = []


@pytest.fixture(autouse=True)
def fresh_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    LOG.clear()
    monkeypatch.chdir(tmp_path)
    yield


class File(lv.Task):
    """Writes one small file and notes that it ran."""

    name: str

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(self.name)

    def run(self) -> None:
        LOG.append(self.name)
        with self.output().open("w") as out:
            out.write(self.name)


class Tree(lv.Task):
    """A binary tree of files."""

    depth: int
    at: str = "r"

    def requires(self) -> Any:
        return [Tree(self.depth - 1, self.at + side) for side in "ab"] if self.depth else []

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{self.at}.txt")

    def run(self) -> None:
        LOG.append(self.at)
        self.output().write_text("".join(target.read_text() for target in flat(self.input())) + self.at)


def flat(structure: Any) -> list[Any]:
    return lv.flatten(structure)


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_requirements_come_first_and_a_second_run_does_nothing(executor: str) -> None:
    first = lv.run(Tree(3), executor=executor, workers=1 if executor == "inline" else 2)
    assert first.status == "ok"
    assert first.done == 15
    assert Path("r.txt").read_text().endswith("r")
    again = lv.run(Tree(3))
    assert (again.done, again.already, again.exit_code) == (0, 1, 0)


def test_only_what_is_missing_is_made_again() -> None:
    lv.run(Tree(2))
    LOG.clear()
    Path("r.txt").unlink()
    Path("ra.txt").unlink()
    assert lv.run(Tree(2)).done == 2
    assert LOG == ["ra", "r"]


class Bad(lv.Task):
    retry = lv.Retry(attempts=2, first=0.01)
    name: str = "bad"

    def run(self) -> None:
        LOG.append("bad")
        raise ValueError("no good")


class Both(lv.WrapperTask):
    def requires(self) -> Any:
        return [Needs(), File("healthy")]


class Needs(lv.Task):
    def requires(self) -> Any:
        return Bad()

    def run(self) -> None:
        LOG.append("never")


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_failure_stops_what_needs_it_and_nothing_else(executor: str) -> None:
    result = lv.run(Both(), executor=executor)
    assert (result.status, result.exit_code, result.failed, result.blocked) == ("failed", 1, 1, 2)
    assert Path("healthy").exists()
    assert "no good" in result.failures[0].error
    assert result.failures[0].attempt == 2
    assert result.blocked_by[0].by.startswith("Bad(")
    assert "never" not in LOG


class Lies(lv.Task):
    retry = lv.Retry(attempts=1)

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget("not-made")

    def run(self) -> None:
        pass


def test_success_without_output_is_a_failure_that_names_the_target() -> None:
    result = lv.run(Lies())
    assert result.failures[0].exit.value == "no-output"
    assert "not-made" in result.failures[0].error


class Raises(lv.Task):
    """Makes its output, then fails."""

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget("raised")

    def run(self) -> None:
        self.output().write_text("0 rows")
        raise ValueError("0 rows loaded")


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_run_that_raised_after_its_output_is_no_success_and_not_tried_again(executor: str) -> None:
    result = lv.run(Raises(), executor=executor)
    assert (result.exit_code, result.failed, result.attempts) == (1, 1, 1)
    assert "0 rows loaded" in result.failures[0].error
    assert "Remove them if they are wrong" in result.failures[0].error


class TwoFiles(lv.Task):
    """Two outputs; fails between them as long as ``stop`` is there."""

    retry = lv.Retry(attempts=1)

    def output(self) -> list[lv.LocalTarget]:
        return [lv.LocalTarget("two-a"), lv.LocalTarget("two-b")]

    def run(self) -> None:
        first, second = self.output()
        first.write_text("old" if Path("stop").exists() else "new")
        if Path("stop").exists():
            raise ValueError("stopped")
        second.write_text("new")


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_what_a_failed_attempt_left_of_several_outputs_is_replaced(executor: str) -> None:
    Path("stop").touch()
    assert lv.run(TwoFiles(), executor=executor).exit_code == 1
    assert Path("two-a").read_text() == "old"
    Path("stop").unlink()
    assert lv.run(TwoFiles(), executor=executor).exit_code == 0
    assert Path("two-a").read_text() == "new"
    Path("two-a").write_text("mine")
    assert lv.run(TwoFiles()).done == 0
    assert Path("two-a").read_text() == "mine"


def test_an_output_that_is_no_target_is_a_fault_that_says_so() -> None:
    class Text(lv.Task):
        def output(self) -> str:
            return "out/os"

        def run(self) -> None: ...

    result = lv.run(Text())
    assert result.exit_code == 4
    assert "output() gave 'out/os', a str; expected targets" in result.faults[0].message


def test_an_output_that_forgets_to_return_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    class Forgets(lv.Task):
        n: int

        def output(self) -> Any:
            lv.LocalTarget("x")

        def run(self) -> None: ...

    lv.run([Forgets(1), Forgets(2)])
    assert len([line for line in caplog.messages if "output() gave None" in line]) == 1


def test_a_failure_that_nobody_watches_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    lv.run(Bad("logged"))
    assert "Bad(name=logged): ValueError: no good" in caplog.text


def test_luigis_ways_to_start_from_code_are_understood() -> None:
    assert lv.build([File("built")], local_scheduler=True, workers=1) is True
    assert lv.build([File("built")], detailed_summary=True).status == "ok"


class Delivery(lv.ExternalTask):
    name: str

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(self.name)


class UsesDrops(lv.Task):
    def requires(self) -> Any:
        return {"a": Delivery("a"), "b": Delivery("b")}

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget("used")

    def run(self) -> None:
        self.output().write_text(self.input()["a"].read_text())


def test_missing_external_data_is_waited_for_not_failed() -> None:
    Path("a").write_text("x")
    result = lv.run([UsesDrops(), File("other")])
    assert (result.status, result.exit_code, result.missing, result.blocked) == ("waiting", 3, 1, 1)
    assert result.external == ("Delivery(name=b)",)
    assert Path("other").exists()
    Path("b").write_text("y")
    assert lv.run(UsesDrops()).exit_code == 0


class Circle(lv.Task):
    n: int

    def requires(self) -> Any:
        return Circle((self.n + 1) % 3)

    def run(self) -> None: ...


def test_a_circle_is_named_and_healthy_branches_run() -> None:
    result = lv.run([Circle(0), File("healthy")])
    assert result.exit_code == 4
    (fault,) = result.faults
    assert fault.kind == "cycle"
    assert all(f"Circle(n={n})" in fault.message for n in range(3))
    assert Path("healthy").exists()


class Nonsense(lv.Task):
    what: str

    def requires(self) -> Any:
        if self.what == "raises":
            raise KeyError("oops")
        if self.what == "class":
            return File
        if self.what == "generator":
            return self._some()
        return [File("one"), 3]

    def _some(self) -> Iterator[Any]:
        yield File("two")
        raise KeyError("later")

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget("nonsense-" + self.what)

    def run(self) -> None:
        LOG.append("nonsense ran")


def test_all_faults_of_a_plan_are_told_together_with_the_way_to_them() -> None:
    class Top(lv.WrapperTask):
        def requires(self) -> Any:
            return [Nonsense(what) for what in ("raises", "class", "generator", "leaf")]

    result = lv.run(Top())
    assert result.exit_code == 4
    assert len(result.faults) == 4
    assert all(fault.path[0] == "Top()" for fault in result.faults)
    assert "nonsense ran" not in LOG
    assert any("expected an instance" in fault.message for fault in result.faults)


@pytest.mark.slow
def test_two_tasks_that_write_one_target_are_a_fault() -> None:
    class Same(lv.Task):
        n: int

        def output(self) -> lv.LocalTarget:
            return lv.LocalTarget("same")

        def run(self) -> None: ...

    result = lv.run([Same(1), Same(2)])
    assert any(fault.kind == "collision" for fault in result.faults)


class Dynamic(lv.Task):
    n: int

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"dynamic-{self.n}")

    def run(self) -> Any:
        LOG.append("started")
        targets = yield [File(f"leaf-{i}") for i in range(self.n)]
        text = "".join(target.read_text() for target in targets)
        more = yield File("last")
        self.output().write_text(text + more.read_text())


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_a_generator_run_stays_suspended_and_goes_on_where_it_was(executor: str) -> None:
    assert lv.run(Dynamic(3), executor=executor).exit_code == 0
    assert Path("dynamic-3").read_text() == "leaf-0leaf-1leaf-2last"
    if executor != "processes":
        assert LOG.count("started") == 1


class DynamicOnBad(lv.Task):
    def run(self) -> Any:
        yield Bad("other")


def test_a_suspended_task_whose_requirement_fails_is_blocked_not_done() -> None:
    result = lv.run(DynamicOnBad())
    assert (result.exit_code, result.failed, result.blocked) == (1, 1, 1)


class Licensed(lv.Task):
    resources: ClassVar = {"licence": 1}

    def run(self) -> None:
        raise AssertionError("there is no licence")


def test_a_task_for_which_there_is_not_enough_of_a_resource_is_named_though_nothing_stands_behind_it() -> None:
    result = lv.run(Licensed(), resources={"licence": 0})
    assert (result.exit_code, result.blocked) == (1, 1)
    assert [each.to_json() for each in result.blocked_by] == [
        {"by": "Licensed()", "why": "asks for more licence than there is", "tasks": 0}
    ]
    assert summary(result)[-1] == "    Licensed() asks for more licence than there is"


class YieldsNonsense(lv.Task):
    retry = lv.Retry(attempts=1)

    def run(self) -> Any:
        yield 3


def test_a_run_that_yields_what_is_no_task_fails() -> None:
    result = lv.run(YieldsNonsense())
    assert result.exit_code == 1


class Async(lv.Task):
    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget("async")

    async def run(self) -> None:
        await asyncio.sleep(0)
        self.output().write_text("x")


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_an_async_run_is_awaited(executor: str) -> None:
    assert lv.run(Async(), executor=executor).exit_code == 0


def test_priorities_pass_upstream() -> None:
    class Low(File):
        pass

    class Urgent(lv.Task):
        priority: ClassVar[int] = 10

        def requires(self) -> Any:
            return File("urgent-needs-me")

        def run(self) -> None:
            LOG.append("urgent")

    lv.run([*(Low(f"low-{n}") for n in range(5)), Urgent()])
    assert LOG[:2] == ["urgent-needs-me", "urgent"]


def test_tasks_of_one_batch_group_run_as_one() -> None:
    class Load(lv.Task):
        day = lv.IntParameter(batch_method=lambda days: max(days))

        def complete(self) -> bool:
            return f"day {self.day}" in LOG

        def run(self) -> None:
            LOG.append(f"run {self.day}")
            LOG.extend(f"day {n}" for n in range(self.day + 1))

    assert lv.run([Load(n) for n in range(5)]).done == 5
    assert [line for line in LOG if line.startswith("run")] == ["run 4"]


def test_insignificant_parameters_make_no_second_task() -> None:
    class Noted(lv.Task):
        name: str
        note: str = lv.param(default="", significant=False)

        def output(self) -> lv.LocalTarget:
            return lv.LocalTarget(self.name)

        def run(self) -> None:
            LOG.append(self.name)
            self.output().write_text("")

    lv.run([Noted("a", "1"), Noted("a", "2")])
    assert LOG == ["a"]


def test_only_tasks_can_be_run() -> None:
    with pytest.raises(RunError, match="instances"):
        lv.run(File)
    for workers in (0, 99_999_999_999):
        with pytest.raises(RunError, match="from 1 to 1,024"):
            lv.run(File("x"), workers=workers)
    with pytest.raises(RunError):
        lv.run(File("x"), executor="magic")


def test_a_generator_of_many_requirements_starts_before_it_ends() -> None:
    class Leaf(lv.Task):
        n: int

        def complete(self) -> bool:
            return f"leaf {self.n}" in LOG

        def run(self) -> None:
            LOG.append(f"leaf {self.n}")

    class Fan(lv.WrapperTask):
        def requires(self) -> Any:
            for n in range(5000):
                LOG.append(f"asked {n}") if n in (0, 4999) else None
                yield Leaf(n)

    assert lv.run(Fan()).done == 5000
    assert LOG.index("leaf 0") < LOG.index("asked 4999")


def test_a_deep_chain_needs_no_recursion() -> None:
    class Link(lv.Task):
        n: int

        def requires(self) -> Any:
            return Link(self.n - 1) if self.n else []

        def complete(self) -> bool:
            return f"link {self.n}" in LOG

        def run(self) -> None:
            LOG.append(f"link {self.n}")

        def output(self) -> Any:
            return []

    assert lv.run(Link(3000)).done == 3001


def test_attempts_are_remembered_with_how_they_ended() -> None:
    from levada._store.history import History

    lv.run([Bad(), File("a")], attempts=None)
    history = History(os.environ["LEVADA_STATE"])
    exits = [attempt.exit for attempt in history.recent()]
    assert sorted(exits) == ["ok", "user", "user"]
    assert history.runs()[0].status == "failed"


PROGRAM = """
import sys, time, levada as lv
from levada import LocalTarget
class Slow(lv.Task):
    n: int
    def output(self): return LocalTarget(f"slow-{self.n}")
    def run(self):
        print("started", self.n, flush=True)
        time.sleep(SECONDS)
        self.output().write_text("x")
class All(lv.WrapperTask):
    def requires(self): return [Slow(n) for n in range(4)]
if __name__ == "__main__":
    result = lv.run(All(), workers=int(sys.argv[1]))
    print(result.status, result.done, flush=True)
    sys.exit(result.exit_code)
"""


def _program(tmp_path: Path, seconds: float, workers: int) -> subprocess.Popen[str]:
    script = tmp_path / "slow.py"
    script.write_text(textwrap.dedent(PROGRAM).replace("SECONDS", str(seconds)))
    environment = {**os.environ, "PYTHONPATH": str(Path(lv.__file__).parent.parent)}
    return subprocess.Popen([sys.executable, str(script), str(workers)], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_interrupt_lets_running_tasks_finish(tmp_path: Path, workers: int) -> None:
    process = _program(tmp_path, 0.5, workers)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in out
    made = len(list(tmp_path.glob("slow-*")))
    assert 1 <= made <= workers


@pytest.mark.parametrize("workers", [1, 2])
def test_the_second_interrupt_stops_them(tmp_path: Path, workers: int) -> None:
    process = _program(tmp_path, 60, workers)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    import time

    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not list(tmp_path.glob("slow-*"))
    assert not list(tmp_path.glob(".slow-*"))


def test_two_runs_at_once_make_each_task_once(tmp_path: Path) -> None:
    processes = [_program(tmp_path, 0.2, 1) for _ in range(3)]
    outs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum(out.count("started") for out in outs) == 4

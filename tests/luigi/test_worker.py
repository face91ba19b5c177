"""Luigi's worker: its verbs to a scheduler, and its contract for an attempt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import levada.luigi as luigi
from levada.luigi.worker import TaskException, TaskProcess, Worker, WrongRequirement, worker


class Queue:
    """A scheduler of Luigi's verbs that gives out what is pending, in the order in which it was told, when its needs are done."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.tasks: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def verb(*args: Any, **kwargs: Any) -> None:
            self.calls.append(name)

        return verb

    def add_task(self, *, task_id: str, status: str, **more: Any) -> None:
        self.told.append((task_id.split("_")[0], status))
        task = self.tasks.setdefault(task_id, {"needs": [], "runnable": False})
        task.update(status=status, expl=more.get("expl"), runnable=more.get("runnable") or task["runnable"])
        task["needs"] += [*(more.get("deps") or ()), *(more.get("new_deps") or ())]

    def get_work(self, **_: Any) -> dict[str, Any]:
        free = next((name for name, task in self.tasks.items() if self._is_free(task)), None)
        if free:
            self.tasks[free]["status"] = "RUNNING"
        return {"task_id": free, "running_tasks": [], "n_pending_tasks": 0, "n_unique_pending": 0}

    def _is_free(self, task: dict[str, Any]) -> bool:
        done = all(self.tasks.get(need, {}).get("status") == "DONE" for need in task["needs"])
        return bool(task["status"] == "PENDING" and task["runnable"] and done)

    def status(self, task: Any) -> Any:
        return self.tasks[task.task_id]["status"]

    def expl(self, task: Any) -> Any:
        return json.loads(self.tasks[task.task_id]["expl"])


@pytest.fixture
def queue() -> Queue:
    return Queue()


def worked(queue: Queue, *tasks: Any, **settings: Any) -> bool:
    one = Worker(scheduler=queue, no_install_shutdown_handler=True, wait_interval=0.02, **settings)
    added = min(list(map(one.add, tasks)))  # all of them, whatever the first one says
    return one.run() and added


class Leaf(luigi.Task):
    path = luigi.Parameter()

    def output(self) -> Any:
        return luigi.LocalTarget(self.path)

    def run(self) -> None:
        Path(self.path).write_text("x")


class Tree(luigi.WrapperTask):
    folder = luigi.Parameter()

    def requires(self) -> Any:
        return [Leaf(os.path.join(self.folder, name)) for name in ("a", "b")]


def test_every_task_is_told_complete_ones_too_and_then_what_became_of_it(queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "a").touch()

    assert worked(queue, Tree(str(tmp_path)))

    assert queue.told == [("Tree", "PENDING"), ("Leaf", "PENDING"), ("Leaf", "DONE"), ("Leaf", "DONE"), ("Tree", "DONE")]
    assert "add_worker" in queue.calls


def test_a_task_without_outputs_runs_and_is_done(queue: Queue) -> None:
    """Nothing shows that it ran; Luigi calls it done all the same, and so do its programs."""
    ran: list[int] = []

    class Bare(luigi.Task):
        def run(self) -> None:
            ran.append(1)

    assert worked(queue, Bare())
    assert ran == [1]
    assert queue.status(Bare()) == "DONE"


def test_a_parameter_may_have_the_name_task_id(queue: Queue, tmp_path: Path) -> None:
    """Its value is not what a scheduler knows the task by: two tasks with one value would be one there."""

    class Numbered(Leaf):
        task_id = luigi.IntParameter()

    class Lettered(Numbered):
        pass

    tasks = [Numbered(str(tmp_path / "one"), 7), Lettered(str(tmp_path / "two"), 7)]

    assert worked(queue, *tasks)
    assert sorted(name.split("_")[0] for name in queue.tasks) == ["Lettered", "Numbered"]
    assert {task["status"] for task in queue.tasks.values()} == {"DONE"}


def test_the_module_of_workers_stands_alone(tmp_path: Path) -> None:
    """Who imports nothing else of Luigi has tasks that answer to its words all the same."""
    program = """
import levada
from levada.luigi.worker import Worker

class Told(levada.Task):
    ran = []
    def run(self):
        self.ran.append(1)

worker = Worker(no_install_shutdown_handler=True, wait_interval=0.01)
assert worker.add(Told()) and worker.run() and Told.ran == [1]
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, timeout=60)


def test_success_without_output_is_done_unless_the_setting_says_otherwise(queue: Queue, tmp_path: Path) -> None:
    class Lazy(Leaf):
        def run(self) -> None:
            pass

    assert worked(queue, Lazy(str(tmp_path / "one")))
    assert not worked(queue, Lazy(str(tmp_path / "two")), check_complete_on_run=True)
    assert "complete() is still returning false" in queue.expl(Lazy(str(tmp_path / "two")))


def test_what_on_success_says_goes_to_the_scheduler(queue: Queue) -> None:
    class Proud(luigi.Task):
        def on_success(self) -> Any:
            return {"rows": 3}

    assert worked(queue, Proud())
    assert queue.expl(Proud()) == {"rows": 3}


def test_on_success_that_raises_fails_the_task(queue: Queue) -> None:
    class Late(luigi.Task):
        def on_success(self) -> Any:
            raise ValueError("after all")

    assert not worked(queue, Late())
    assert "after all" in queue.expl(Late())


def test_events_come_in_luigis_order(queue: Queue) -> None:
    heard: list[str] = []

    class Loud(luigi.Task):
        def on_success(self) -> None:
            heard.append("on_success")

        def run(self) -> None:
            heard.append("run")

    loud: Any = Loud
    for name in ("START", "PROCESSING_TIME", "SUCCESS", "FAILURE"):
        loud.event_handler(getattr(luigi.Event, name))(lambda *args, name=name: heard.append(name))

    assert worked(queue, Loud())
    assert heard == ["START", "run", "PROCESSING_TIME", "on_success", "SUCCESS"]


def test_a_yield_ends_the_attempt_and_run_starts_again(queue: Queue, tmp_path: Path) -> None:
    starts: list[int] = []

    class Dynamic(luigi.Task):
        def run(self) -> Any:
            starts.append(1)
            first = yield Leaf(str(tmp_path / "first"))
            second = yield [Leaf(first.path), Leaf(str(tmp_path / "second"))]
            assert [target.path for target in second] == [str(tmp_path / "first"), str(tmp_path / "second")]

    assert worked(queue, Dynamic())
    assert len(starts) == 3
    assert queue.told.count(("Dynamic", "PENDING")) == 3


def test_a_coroutine_runs_too(queue: Queue, tmp_path: Path) -> None:
    class Later(Leaf):
        async def run(self) -> None:  # type: ignore[override]
            Path(self.path).write_text("x")

    assert worked(queue, Later(str(tmp_path / "late")), check_complete_on_run=True)


def test_requirements_that_were_lost_are_made_again(queue: Queue, tmp_path: Path) -> None:
    class Needy(luigi.Task):
        def requires(self) -> Any:
            return Leaf(str(tmp_path / "need"))

    one = Worker(scheduler=queue, no_install_shutdown_handler=True, wait_interval=0.02)
    need = Path(tmp_path / "need")
    need.touch()
    one.add(Needy())
    need.unlink()

    assert not one.run()  # the first attempt found it missing
    assert need.exists()
    assert queue.status(Needy()) == "DONE"


def test_what_cannot_be_asked_is_told_as_unknown_and_the_rest_runs(queue: Queue, tmp_path: Path) -> None:
    class Odd(luigi.Task):
        def complete(self) -> bool:
            raise OSError("no answer")

    class Both(luigi.WrapperTask):
        def requires(self) -> Any:
            return [Odd(), Leaf(str(tmp_path / "healthy"))]

        def complete(self) -> bool:
            return False

    assert not worked(queue, Both())
    assert queue.status(Odd()) == "UNKNOWN"
    assert (tmp_path / "healthy").exists()
    assert "announce_scheduling_failure" in queue.calls


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(TaskException, match="None"):
        Worker(scheduler=Queue(), no_install_shutdown_handler=True).add(None)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (3, r"Careless\(\): requires\(\) gave 3, a int; expected tasks"),
        ([Leaf("x"), "y"], r"Careless\(\): requires\(\) gave 'y', a str"),
        ({"a": [None, Leaf]}, r"Careless\(\): requires\(\) gave the class Leaf; expected an instance"),
        (luigi.LocalTarget("x"), r"(?s)Careless\(\): requires\(\) gave .*Wrap the target in an ExternalTask"),
    ],
)
def test_requirements_that_are_no_tasks_are_told_with_the_task(queue: Queue, given: Any, told: str) -> None:
    class Careless(luigi.Task):
        def requires(self) -> Any:
            return given

    class Above(luigi.Task):
        def requires(self) -> Any:
            return Careless()

    with pytest.raises(WrongRequirement, match=told):
        worked(queue, Above())


def test_a_yield_that_is_no_task_fails_its_task_alone(queue: Queue, tmp_path: Path) -> None:
    failed = []

    class Careless(luigi.Task):
        def run(self) -> Any:
            yield 3

        def on_failure(self, exception: BaseException) -> Any:
            failed.append(str(exception))

    class Both(luigi.WrapperTask):
        def requires(self) -> Any:
            return [Careless(), Leaf(str(tmp_path / "healthy"))]

    assert not worked(queue, Both())
    assert failed == ["Careless(): run() yielded 3, a int; expected tasks"]
    assert (tmp_path / "healthy").exists()


def test_a_child_that_ends_without_a_word_has_failed(queue: Queue) -> None:
    """With status 0, too: Luigi waits for its result for ever."""

    class Silent(luigi.Task):
        def run(self) -> None:
            os._exit(0)

    assert not worked(queue, Silent(), force_multiprocessing=True)
    assert "died unexpectedly with exit code 0" in queue.expl(Silent())


def test_a_child_that_takes_too_long_is_ended(queue: Queue) -> None:
    class Endless(luigi.Task):
        worker_timeout = 0.05

        def run(self) -> None:
            while True:
                os.times()

    assert not worked(queue, Endless())
    assert "timed out after 0.05 seconds" in queue.expl(Endless())


def test_a_class_that_stands_in_no_module_reaches_a_child(queue: Queue, tmp_path: Path) -> None:
    class Local(Leaf):
        pass

    assert worked(queue, Local(str(tmp_path / "made")), worker_processes=2)
    assert (tmp_path / "made").exists()


def test_an_attempt_of_its_own_tells_its_queue() -> None:
    class Ends:
        results: list[Any] = []

        def put(self, result: Any) -> None:
            self.results.append(result)

    class Fails(luigi.Task):
        def run(self) -> None:
            raise ValueError("no")

        def on_failure(self, exception: BaseException) -> str:
            return f"it said {exception}"

    task: Any = Fails()
    TaskProcess(task, "w", Ends(), Reporter()).run()

    assert Ends.results == [(task.task_id, "FAILED", "it said no", [], [])]


class Reporter:
    """As much of a status reporter as a task process asks for."""

    scheduler_messages = None

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None


def test_ending_one_worker_leaves_the_settings_of_others_alone() -> None:
    first = Worker(scheduler=Queue(), no_install_shutdown_handler=True, keep_alive=True)
    first._start_phasing_out()

    assert Worker(scheduler=Queue(), no_install_shutdown_handler=True, keep_alive=True)._config.keep_alive
    settings: Any = worker
    assert settings(keep_alive=True).keep_alive


def test_a_message_reaches_a_task_in_a_child_whatever_its_scheduler_is_made_of(queue: Queue, tmp_path: Path) -> None:
    """A lock, for one, cannot be sent to another process."""

    class Listens(Leaf):
        accepts_messages = True

        def run(self) -> None:
            message = self.scheduler_messages.get(timeout=10)  # type: ignore[attr-defined]  # while it runs
            Path(self.path).write_text(f"{message} {message.payload}")

    class Tells(Worker):
        def _run_task(self, task_id: str) -> None:
            super()._run_task(task_id)
            self._handle_rpc_message(
                {"name": "dispatch_scheduler_message", "kwargs": {"task_id": task_id, "message_id": "1", "content": "hello", "loud": 1}}
            )

    queue.lock = threading.Lock()  # type: ignore[attr-defined]  # any attribute will do
    one = Tells(scheduler=queue, no_install_shutdown_handler=True, wait_interval=0.02, force_multiprocessing=True)
    one.add(Listens(str(tmp_path / "heard")))

    assert one.run()
    assert (tmp_path / "heard").read_text() == "hello {'loud': 1}"

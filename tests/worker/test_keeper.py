"""Workers that are paused, cut off, robbed and killed: at most one attempt works, and nothing is lost that need not be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from levada._model.status import Status
from levada._worker import procfs
from tests.client.server import Problem, Server

pytestmark = pytest.mark.slow  # real leases and their waits: CI plays them

LEASE = 1.0
SCRIPT = Path(__file__).with_name("served.py")


class Worker:
    """A worker process, and what its tasks noted."""

    def __init__(self, server: Server, folder: Path, tasks: list[tuple[str, int]], **options: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2] / "src"), "FOLDER_OF_TEST": str(folder)}
        command = [sys.executable, str(SCRIPT), options.pop("url", server.url), json.dumps({"tasks": tasks, **options})]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.pid = self.process.pid

    def notes(self, word: str = "") -> list[tuple[float, str, str, int]]:
        try:
            lines = (self.folder / "log").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [tuple(one) for one in map(json.loads, lines) if one[1].startswith(word)]  # type: ignore[misc]

    def wait_for(self, word: str, count: int = 1, seconds: float = 10.0) -> list[tuple[float, str, str, int]]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.notes(word)
            if len(found) >= count:
                return found
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.01)
        raise AssertionError(f"{word} was noted {len(self.notes(word))} times, not {count}")

    @property
    def keeper(self) -> int:
        return int(self.wait_for("keeper")[0][1].split()[1])

    def ended(self, seconds: float = 20.0) -> tuple[int, dict[str, Any], str]:
        out, error = self.process.communicate(timeout=seconds)
        return self.process.returncode, json.loads(out) if out.strip() else {}, error

    def kill(self) -> None:
        for one in [*procfs.descendants(self.pid)]:
            try:
                os.kill(one.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(LEASE)
    yield found
    found.close()


@pytest.fixture
def work(server: Server, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def start(*tasks: tuple[str, int], folder: str = "work", **options: Any) -> Worker:
        made.append(Worker(server, tmp_path / folder, list(tasks), **options))
        return made[-1]

    yield start
    for each in made:
        each.kill()


def soon(what: Callable[[], bool], seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.01)
    return False


def leftovers(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if one.name.endswith(".part"))


AT_LENGTH = pytest.mark.ci  # each waits for leases to end: some seconds
POOLED = pytest.param("processes", marks=AT_LENGTH)
EXECUTORS = pytest.mark.parametrize("executor", ["inline", POOLED, pytest.param("spawned", marks=AT_LENGTH)])


@EXECUTORS
def test_a_long_task_keeps_its_lease(server: Server, work: Callable[..., Worker], executor: str) -> None:
    worker = work(("Steps", 30), executor=executor)
    code, said, error = worker.ended()
    assert code == 0, error
    assert said["counts"][Status.DONE] == 1
    assert server.brain.state.number[0] == 1
    assert len(server.requests("/v1/renew")) >= 5


def test_a_lease_is_kept_though_the_first_address_is_that_of_a_standby(server: Server, tmp_path: Path) -> None:
    standby = Server(LEASE)
    standby.say_no = Problem(503, "not-ready", "the server stands by", retry_after=1.0)
    worker = Worker(server, tmp_path / "work", [("Steps", 20)], url=f"{standby.url},{server.url}")
    try:
        code, _, error = worker.ended()
        assert code == 0, error
        assert "stopped until" not in error, "it was frozen"
        assert server.brain.state.number[0] == 1
        assert len(server.requests("/v1/renew")) >= 3
    finally:
        worker.kill()
        standby.close()


def test_leases_are_renewed_while_a_call_into_c_holds_the_interpreter(server: Server, work: Callable[..., Worker]) -> None:
    worker = work(("Holder", 60))
    code, said, error = worker.ended()
    assert code == 0, error
    assert said["counts"][Status.DONE] == 1
    assert server.brain.state.number[0] == 1, "it was granted once in six leases"
    assert len(worker.notes("begin")) == 1


@EXECUTORS
def test_an_attempt_is_frozen_while_the_server_is_away_and_goes_on_after(
    server: Server, work: Callable[..., Worker], executor: str
) -> None:
    worker = work(("Steps", 10), executor=executor)
    pid = worker.wait_for("step", 3)[0][3]
    server.stop()
    assert soon(lambda: procfs.is_stopped(pid), 3)
    time.sleep(0.1)
    count = len(worker.notes("step"))
    time.sleep(2 * LEASE)
    assert len(worker.notes("step")) == count, "it worked although its lease may have lapsed"
    server.start()
    code, said, error = worker.ended()
    assert code == 0, error
    assert said["counts"][Status.DONE] == 1
    assert len(worker.notes("begin")) == 1, "nothing was lost"
    assert server.brain.state.number[0] == 1 or server.status(0) is Status.DONE
    if executor == "inline":
        assert "stopped until it does" in error
        assert "going on" in error


@EXECUTORS
def test_what_is_told_lost_while_it_is_frozen_ends_without_a_trace(server: Server, work: Callable[..., Worker], executor: str) -> None:
    worker = work(("Steps", 10), ("Steps", 4), executor=executor)
    (_, _, task, pid), *_ = worker.wait_for("step", 3)
    number = 0 if "10" in task else 1
    assert leftovers(worker.folder), "its output is being written"
    server.stop()
    assert soon(lambda: procfs.is_stopped(pid), 3)
    steps = len([one for one in worker.notes("step") if one[2] == task])
    server.steal(number)
    server.start()
    assert soon(lambda: not leftovers(worker.folder) or any(one[2] != task for one in worker.notes("begin")))
    time.sleep(0.3)
    assert len([one for one in worker.notes("step") if one[2] == task]) <= steps + 1
    reported = [one for body in server.requests("/v1/sync") for kind in ("done", "failed") for one in body.get(kind, [])]
    assert not any(server.keys[number] in str(one) for one in reported)
    assert not (worker.folder / f"Steps-{10 if number == 0 else 4}").exists()
    thief = "f" * 32
    from levada._model import messages as m

    with server.lock:
        fence = server.brain.state.fence(number)
        assert fence is not None
        server.brain.handle(m.Sync(m.SessionId(thief), done=[(number, fence)]), time.monotonic())
        server._wake()
    code, said, error = worker.ended()
    assert code == 0, error
    assert "void" in error
    assert said["counts"][Status.DONE] == 2
    assert not leftovers(worker.folder)


@AT_LENGTH
def test_a_lost_call_into_c_is_killed_with_its_worker(server: Server, work: Callable[..., Worker]) -> None:
    worker = work(("Sum", 3), last_breath=0.3)
    worker.wait_for("begin")
    server.steal(0)
    code, _, error = worker.ended(10)
    assert code == -signal.SIGKILL
    assert "a lease was lost" in error


@pytest.mark.parametrize("executor", ["inline", POOLED])
def test_with_continue_it_works_on_and_commits_when_the_server_has_confirmed(
    server: Server, work: Callable[..., Worker], executor: str
) -> None:
    worker = work(("Steps", 15), executor=executor, cut_off="continue")
    worker.wait_for("step", 3)
    server.stop()
    until = time.monotonic() + 2.5 * LEASE
    time.sleep(1.8)
    count = len(worker.notes("step"))
    assert count > 60
    time.sleep(max(0.0, until - time.monotonic()))
    assert not (worker.folder / "Steps-15").exists(), "it was committed before the server confirmed"
    server.start()
    code, said, error = worker.ended()
    assert code == 0, error
    assert said["counts"][Status.DONE] == 1
    assert len(worker.notes("begin")) == 1


@pytest.mark.parametrize("executor", ["inline", POOLED])
def test_with_stop_it_ends_and_is_tried_again_later(server: Server, work: Callable[..., Worker], executor: str) -> None:
    worker = work(("Steps", 10), executor=executor, cut_off="stop", kill_after=0.5)
    worker.wait_for("step", 3)
    server.stop()
    time.sleep(1.5 * LEASE)
    count = len(worker.notes("step"))
    time.sleep(0.3)
    assert len(worker.notes("step")) == count
    server.start()
    code, said, error = worker.ended()
    assert code == 0, error
    assert said["counts"][Status.DONE] == 1
    assert len(worker.notes("begin")) == 2
    failed = [one for body in server.requests("/v1/sync") for one in body.get("failed", [])]
    assert [one["exit"] for one in failed] == ["infra"], "no fault of the task's"


@pytest.mark.parametrize("executor", ["inline", POOLED])
def test_a_worker_that_is_killed_takes_its_keeper_and_its_children_along(
    server: Server, work: Callable[..., Worker], executor: str
) -> None:
    worker = work(("Steps", 100), executor=executor)
    pid = worker.wait_for("step", 3)[0][3]
    keeper = worker.keeper
    os.kill(worker.pid, signal.SIGKILL)
    assert soon(lambda: procfs.is_gone(keeper) and procfs.is_gone(pid), 2)
    assert soon(lambda: server.status(0) in (Status.READY, Status.RETRYING), 3 * LEASE + 1)


def test_a_worker_that_is_killed_while_it_is_frozen_leaves_nothing_stopped(server: Server, work: Callable[..., Worker]) -> None:
    worker = work(("Steps", 100), executor="processes", slots=2)
    pid = worker.wait_for("step", 3)[0][3]
    keeper = worker.keeper
    server.stop()
    assert soon(lambda: procfs.is_stopped(pid), 3)
    os.kill(worker.pid, signal.SIGKILL)
    assert soon(lambda: procfs.is_gone(keeper) and procfs.is_gone(pid), 2)


@pytest.mark.parametrize("executor", ["inline", POOLED])
def test_a_short_pause_of_the_worker_costs_nothing(server: Server, work: Callable[..., Worker], executor: str) -> None:
    worker = work(("Steps", 10), executor=executor)
    worker.wait_for("step", 3)
    os.kill(worker.pid, signal.SIGSTOP)
    time.sleep(0.7 * LEASE)
    os.kill(worker.pid, signal.SIGCONT)
    code, said, error = worker.ended()
    assert code == 0, error
    assert said["counts"][Status.DONE] == 1
    assert server.brain.state.number[0] == 1


@pytest.mark.parametrize("executor", ["inline", POOLED])
def test_a_worker_that_is_stopped_for_longer_than_a_lease_does_not_hold_its_task(
    server: Server, work: Callable[..., Worker], executor: str
) -> None:
    worker = work(("Steps", 20), executor=executor)
    pid = worker.wait_for("step", 3)[0][3]
    os.kill(worker.pid, signal.SIGSTOP)
    assert soon(lambda: server.status(0) in (Status.READY, Status.RETRYING), 5 * LEASE)
    assert soon(lambda: procfs.is_stopped(pid), 1), "nor does it work on"
    server.steal(0)
    steps = len(worker.notes("step"))
    os.kill(worker.pid, signal.SIGCONT)
    time.sleep(1.0)
    assert len(worker.notes("step")) <= steps + 15
    assert not (worker.folder / "Steps-20").exists()
    assert soon(lambda: not leftovers(worker.folder))
    reported = [one for body in server.requests("/v1/sync") for kind in ("done", "failed") for one in body.get(kind, [])]
    assert not reported


@AT_LENGTH
def test_an_attempt_beyond_its_timeout_is_not_renewed(server: Server, work: Callable[..., Worker]) -> None:
    worker = work(("Overlong", 40), overtime=0.3)
    worker.wait_for("begin")
    assert soon(lambda: server.status(0) in (Status.READY, Status.RETRYING), 4 * LEASE)


@AT_LENGTH
def test_time_that_an_attempt_is_frozen_counts_for_no_timeout(server: Server, work: Callable[..., Worker]) -> None:
    worker = work(("Timed", 12), executor="processes")
    pid = worker.wait_for("step", 3)[0][3]
    server.stop()
    assert soon(lambda: procfs.is_stopped(pid), 3)
    time.sleep(2.0)
    server.start()
    code, said, error = worker.ended()
    assert code == 0, error
    assert said["counts"][Status.DONE] == 1, said
    assert len(worker.notes("begin")) == 1


@AT_LENGTH
def test_a_suspended_attempt_keeps_its_lease(server: Server, work: Callable[..., Worker]) -> None:
    worker = work(("Nap", 20), executor="processes")
    code, said, error = worker.ended()
    assert code == 0, error
    assert said["counts"][Status.DONE] == 2, (said, error)
    assert max(server.brain.state.number) == 1
    assert len([one for one in worker.notes("begin") if "Nap" in one[2]]) == 1


@AT_LENGTH
def test_another_keeper_takes_over_when_the_first_is_killed(server: Server, work: Callable[..., Worker]) -> None:
    worker = work(("Steps", 30), executor="processes")
    os.kill(worker.keeper, signal.SIGKILL)
    code, said, error = worker.ended()
    assert code == 0, error
    assert said["counts"][Status.DONE] == 1
    assert server.brain.state.number[0] == 1


@AT_LENGTH
def test_many_short_tasks_run_under_short_leases(server: Server, work: Callable[..., Worker]) -> None:
    worker = work(*[("Quick", number) for number in range(300)], executor="processes", slots=2)
    code, said, error = worker.ended()
    assert code == 0, error
    assert said["counts"][Status.DONE] == 300, (said, error)
    assert max(server.brain.state.number) == 1


@AT_LENGTH
def test_a_flapping_server_costs_no_attempt(server: Server, work: Callable[..., Worker]) -> None:
    worker = work(("Steps", 30), ("Steps", 31), executor="processes", slots=2)
    worker.wait_for("step", 3)
    for _ in range(4):
        server.stop()
        time.sleep(0.5)
        server.start()
        time.sleep(0.5)
    code, said, error = worker.ended()
    assert code == 0, error
    assert said["counts"][Status.DONE] == 2
    assert len(worker.notes("begin")) == 2

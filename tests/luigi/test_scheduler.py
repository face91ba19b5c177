"""Luigi's scheduler verbs over our brain: what a worker says, what it is given, what stands where."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest

from levada._core import laws
from levada.luigi import scheduler as scheduler_module
from levada.luigi.desk import LEFT, UNKNOWN, UPSTREAM_DISABLED
from levada.luigi.scheduler import DONE, FAILED, PENDING, RUNNING, Scheduler

SETTINGS: dict[str, Any] = {
    "retry_delay": 100,
    "remove_delay": 1000,
    "worker_disconnect_delay": 10,
    "disable_persist": 50,
    "disable_window": 500,
    "retry_count": 3,
    "stable_done_cooldown_secs": 0,
    "state_path": "",
}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("time.time", made)
    return made


@pytest.fixture
def desk(clock: Clock) -> Iterator[Scheduler]:
    made = Scheduler(**SETTINGS)
    yield made
    sound(made)


def sound(desk: Scheduler) -> None:
    """The laws of the brain, and that the desk shows what the brain says."""
    assert laws.check(desk._port._brain) == []  # type: ignore[attr-defined]
    for task in desk._tasks.values():
        assert task.status == desk._standing(task)
        assert desk._by_status[task.status][task.id] is task
        missing = {dep for dep in task.deps if dep == task.id or dep not in desk._tasks or desk._tasks[dep].index is None}
        assert task.index is None or task.missing == missing
        assert (task.id in desk._lonely) == (not task.stakeholders)
    assert sum(map(len, desk._by_status.values())) == len(desk._tasks)
    for worker in desk._workers.values():
        assert set(worker.held) == {
            task.id
            for task in desk._tasks.values()
            if task.index is not None and task.worker_running == worker.id and desk._is_running(task)
        }
        left = [list(task.workers) for task in desk._tasks.values() if task.status in LEFT and worker.id in task.workers]
        counts = len(left), left.count([worker.id]), sum(names[-1] == worker.id for names in left)
        assert (worker.left, worker.left_unique, worker.left_last) == counts
    hopeless = {
        task.id
        for task in desk._tasks.values()
        if task.status == PENDING and task.deps and desk._upstream_status(task.id, {}) == UPSTREAM_DISABLED
    }
    assert {task.id for task in desk._hopeless()} == hopeless


def status(desk: Scheduler, task: str) -> str:
    return str(desk._tasks[task].status)


def claim(desk: Scheduler, worker: str = "w", **said: Any) -> Any:
    return desk.get_work(worker=worker, **said)["task_id"]


# -- the graph


def test_a_task_waits_for_requirements_that_nobody_has_spoken_of_yet(desk: Scheduler) -> None:
    desk.add_task(worker="w", task_id="b", deps=["a"])
    assert (claim(desk), status(desk, "a")) == (None, UNKNOWN)
    desk.add_task(worker="w", task_id="a")
    assert claim(desk) == "a"
    desk.add_task(worker="w", task_id="a", status=DONE)
    assert claim(desk) == "b"


def test_requirements_that_are_told_anew_replace_the_old_ones(desk: Scheduler) -> None:
    desk.add_task(worker="w", task_id="a", runnable=False)
    desk.add_task(worker="w", task_id="b", deps=["a"])
    desk.add_task(worker="v", task_id="b", deps=["c"])
    assert claim(desk, "v") is None
    desk.add_task(worker="v", task_id="c", status=DONE)
    assert claim(desk, "v") == "b"


def test_a_running_task_that_requires_more_is_given_again_when_that_is_done(desk: Scheduler) -> None:
    desk.add_task(worker="w", task_id="a")
    assert claim(desk) == "a"
    desk.add_task(worker="w", task_id="late")
    desk.add_task(worker="w", task_id="a", status="SUSPENDED", new_deps=["late"])
    assert claim(desk, current_tasks=[]) == "late"
    desk.add_task(worker="w", task_id="late", status=DONE)
    assert claim(desk) == "a"


def test_a_task_whose_complete_raised_runs_for_nobody_and_comes_back(desk: Scheduler) -> None:
    desk.add_task(worker="w", task_id="a")
    desk.add_task(worker="w", task_id="a", status=UNKNOWN, runnable=False)
    assert (claim(desk), status(desk, "a")) == (None, UNKNOWN)
    desk.add_task(worker="w", task_id="a")
    assert claim(desk) == "a"


def test_a_done_task_that_is_wanted_again_runs_again_but_not_at_once(clock: Clock) -> None:
    desk = Scheduler(**{**SETTINGS, "stable_done_cooldown_secs": 5})
    desk.add_task(worker="w", task_id="a", status=DONE)
    desk.add_task(worker="w", task_id="a")
    assert status(desk, "a") == DONE
    clock.now += 6
    desk.add_task(worker="w", task_id="a")
    assert claim(desk) == "a"


# -- workers and their silence


def test_a_task_that_its_worker_does_not_know_of_is_given_to_it_again(desk: Scheduler) -> None:
    desk.add_task(worker="w", task_id="a")
    desk.add_task(worker="w", task_id="b")
    assert [claim(desk, current_tasks=[]), claim(desk, current_tasks=[]), claim(desk, current_tasks=["a"])] == ["a", "a", "b"]


def test_the_tasks_of_a_silent_worker_fail_and_go_to_another(desk: Scheduler, clock: Clock) -> None:
    for worker in ("w", "v"):
        desk.add_task(worker=worker, task_id="a")
    assert claim(desk) == "a"
    for _ in range(3):
        clock.now += 5
        desk.ping(worker="v")
        desk.prune()
    assert (status(desk, "a"), claim(desk, "v")) == (FAILED, None)
    clock.now += 101
    desk.ping(worker="v")
    desk.prune()
    assert claim(desk, "v") == "a"


def test_a_worker_that_speaks_keeps_what_it_runs(desk: Scheduler, clock: Clock) -> None:
    desk.add_task(worker="w", task_id="a")
    assert claim(desk) == "a"
    for _ in range(100):
        clock.now += 4
        desk.ping(worker="w")
        desk.prune()
    assert status(desk, "a") == RUNNING


def test_a_clock_that_is_set_back_ends_no_lease_and_no_pause(desk: Scheduler, clock: Clock) -> None:
    desk.add_task(worker="w", task_id="a")
    assert claim(desk) == "a"
    clock.now = 3.0
    desk.prune()
    assert status(desk, "a") == RUNNING
    desk.add_task(worker="w", task_id="a", status=FAILED)
    clock.now = 50.0
    assert claim(desk) is None
    clock.now = 104.0
    assert claim(desk) == "a"


def test_a_word_about_a_task_that_another_runs_by_now_changes_nothing(desk: Scheduler, clock: Clock) -> None:
    for worker in ("w", "v"):
        desk.add_task(worker=worker, task_id="a")
    assert claim(desk) == "a"
    clock.now += 200
    desk.ping(worker="v")
    desk.prune()
    clock.now += 101
    assert claim(desk, "v") == "a"
    desk.add_task(worker="w", task_id="a", status=FAILED)
    assert status(desk, "a") == RUNNING


def test_tasks_that_nobody_is_here_for_are_forgotten_with_all_that_need_them(desk: Scheduler, clock: Clock) -> None:
    desk.add_task(worker="w", task_id="a")
    desk.add_task(worker="w", task_id="b", deps=["a", "never told"])
    clock.now += 20
    desk.add_task(worker="v", task_id="c", deps=["a"])
    clock.now += 900
    desk.ping(worker="v")
    desk.prune()
    clock.now += 200
    desk.prune()
    assert set(desk._tasks) == {"a", "b", "c", "never told"}  # c was left later than the others, and needs a
    clock.now += 1200
    desk.prune()
    assert not desk._tasks
    desk.add_task(worker="w", task_id="a")
    assert claim(desk) == "a"


def test_an_assistant_runs_what_others_can_and_nobody_runs_what_none_can(desk: Scheduler) -> None:
    desk.add_task(worker="w", task_id="others make it", runnable=False)
    desk.add_task(worker="w", task_id="a")
    assert claim(desk, "helper", assistant=True) == "a"
    assert claim(desk, "helper", assistant=True) is None
    desk.add_task(worker="w", task_id="others make it")
    assert claim(desk, "helper", assistant=True) == "others make it"


def test_a_disabled_worker_ends_what_it_runs_and_gets_nothing(desk: Scheduler) -> None:
    for task in "ab":
        desk.add_task(worker="w", task_id=task)
    assert claim(desk) == "a"
    desk.disable_worker("w")
    assert claim(desk) is None
    desk.add_task(worker="w", task_id="a", status=DONE)
    assert (status(desk, "a"), status(desk, "b"), desk.count_pending("w")["n_pending_tasks"]) == (DONE, PENDING, 0)


# -- failures


def test_a_failed_task_waits_for_its_delay_unless_somebody_wants_it_now(desk: Scheduler, clock: Clock) -> None:
    desk.add_task(worker="w", task_id="a")
    desk.add_task(worker="w", task_id="a", status=FAILED, expl="broken")
    assert (claim(desk), desk.fetch_error("a")["error"]) == (None, "broken")
    clock.now += 99
    assert claim(desk) is None
    desk.forgive_failures("a")
    assert claim(desk) == "a"
    desk.add_task(worker="w", task_id="a", status=FAILED)
    desk.add_task(worker="w", task_id="a")
    assert claim(desk) == "a"
    desk.add_task(worker="w", task_id="a", status=FAILED)  # the third: what was forgiven is not forgotten
    assert desk.task_list("", "")["a"]["re_enable_able"]


def test_a_task_that_fails_too_often_is_disabled_told_of_and_enabled_again(
    desk: Scheduler, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(scheduler_module.notifications, "send_error_email", lambda subject, message: told.append(subject + message))
    desk.add_task(worker="w", task_id="a")
    for _ in range(3):
        desk.add_task(worker="w", task_id="a", status=FAILED)
    assert (status(desk, "a"), len(told)) == ("DISABLED", 1)
    assert "3 times" in told[0]
    desk.add_task(worker="w", task_id="a")
    assert claim(desk) is None
    clock.now += 51
    desk.ping(worker="w")
    desk.prune()
    assert status(desk, "a") == FAILED
    clock.now += 101
    assert claim(desk) == "a"


def test_a_task_may_have_a_retry_policy_of_its_own(desk: Scheduler) -> None:
    desk.add_task(worker="w", task_id="a", retry_policy_dict={"retry_count": 1, "disable_window": None})
    desk.add_task(worker="w", task_id="a", status=FAILED, retry_policy_dict={"retry_count": 1})
    assert status(desk, "a") == "DISABLED"
    with pytest.raises(TypeError, match="tries"):
        desk.add_task(worker="w", task_id="a", retry_policy_dict={"tries": 1})


# -- batches


def batch(desk: Scheduler, count: int = 3, **fields: Any) -> dict[str, Any]:
    desk.add_task_batcher(worker="w", task_family="F", batched_args=["day"])
    for day in range(count):
        params = {"day": str(day), "shop": "x"}
        desk.add_task(worker="w", task_id=f"F{day}", family="F", params=params, batchable=True, **fields)
    return desk.get_work(worker="w")


def test_tasks_that_differ_in_batched_arguments_are_given_as_one(desk: Scheduler) -> None:
    desk.add_task(worker="w", task_id="other shop", family="F", params={"day": "0", "shop": "y"}, batchable=True)
    assert claim(desk) == "other shop"
    given = batch(desk)
    assert given["task_params"] == {"day": ["0", "1", "2"], "shop": "x"}
    assert given["batch_task_ids"] == ["F0", "F1", "F2"]
    desk.add_task(worker="w", task_id="F0-2", batch_id=given["batch_id"], status=RUNNING)
    assert {task: status(desk, task) for task in ("F0", "F1", "F2", "F0-2")} == {
        **dict.fromkeys(("F0", "F1", "F2"), "BATCH_RUNNING"), "F0-2": RUNNING,
    }  # fmt: skip
    desk.add_task(worker="w", task_id="F0-2", status=DONE)
    assert {status(desk, task) for task in ("F0", "F1", "F2", "F0-2")} == {DONE}


def test_what_ran_a_batch_that_failed_goes_and_its_tasks_stay(desk: Scheduler) -> None:
    given = batch(desk)
    desk.add_task(worker="w", task_id="F0-2", batch_id=given["batch_id"], status=RUNNING)
    desk.add_task(worker="w", task_id="F0-2", status=FAILED, expl="no disk")
    assert set(desk.task_list(FAILED, "")) == {"F0", "F1", "F2"}
    assert desk.fetch_error("F1")["error"] == "no disk"


def test_a_batch_that_nobody_began_to_run_goes_back(desk: Scheduler) -> None:
    given = batch(desk)
    assert desk.get_work(worker="w", current_tasks=[])["batch_id"] == given["batch_id"]
    assert not desk._by_status[RUNNING]


def test_a_worker_without_a_batcher_gets_one_task_of_a_batch(desk: Scheduler) -> None:
    batch(desk, 0)
    for worker in ("w", "v"):
        for day in range(3):
            desk.add_task(worker=worker, task_id=f"F{day}", family="F", params={"day": str(day)}, batchable=True)
    assert claim(desk, "v") == "F0"
    assert desk.get_work(worker="w")["batch_task_ids"] == ["F1", "F2"]


def test_the_batch_of_a_silent_worker_fails(desk: Scheduler, clock: Clock) -> None:
    given = batch(desk)
    desk.add_task(worker="w", task_id="F0-2", batch_id=given["batch_id"], status=RUNNING)
    clock.now += 50
    desk.prune()
    assert set(desk.task_list(FAILED, "")) == {"F0", "F1", "F2"}
    assert "F0-2" not in desk._tasks


# -- resources


def test_what_a_running_task_gives_back_is_used_by_others(desk: Scheduler) -> None:
    desk.update_resources(disk=3)
    desk.add_task(worker="w", task_id="a", resources={"disk": 3})
    desk.add_task(worker="w", task_id="b", resources={"disk": 1})
    assert (claim(desk), claim(desk)) == ("a", None)
    desk.decrease_running_task_resources("a", {"disk": 2})
    assert desk.get_running_task_resources("a")["resources"] == {"disk": 1}
    assert claim(desk) == "b"
    (shown,) = desk.resource_list()
    assert (shown["num_total"], shown["num_used"], set(shown["running"])) == (3, 2, {"a", "b"})


# -- from one life to the next


def test_a_scheduler_goes_on_where_its_state_file_says(desk: Scheduler, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"\x80 what luigid left")
    desk._config = scheduler_module.scheduler(**{**SETTINGS, "state_path": str(path)})
    desk.add_task(worker="w", task_id="late", deps=["unknown"])
    desk.add_task(worker="w", task_id="failed", status=FAILED)
    given = batch(desk)
    desk.add_task(worker="w", task_id="F0-2", batch_id=given["batch_id"], status=RUNNING)
    desk.dump()
    assert (tmp_path / "state.luigi").read_bytes() == b"\x80 what luigid left"

    clock.now += 5
    after = Scheduler(config=desk._config)
    after.load()
    sound(after)
    assert after.task_list("", "") == desk.task_list("", "")
    after.add_task(worker="w", task_id="unknown")
    assert claim(after, current_tasks=["F0-2"]) == "unknown"
    after.add_task(worker="w", task_id="F0-2", status=DONE)
    after.add_task(worker="w", task_id="unknown", status=DONE)
    assert claim(after) == "late"
    sound(after)


def test_a_state_file_of_another_program_is_not_read(desk: Scheduler, tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"\x80\x04 anything")
    after = Scheduler(**{**SETTINGS, "state_path": str(path)})
    after.load()
    assert not after._tasks


# -- who is told


def test_a_history_that_fails_stops_nothing(clock: Clock) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            def fail(*args: Any) -> None:
                raise OSError("the database is away")

            return fail

    desk = Scheduler(**SETTINGS, task_history_impl=Broken())
    desk.add_task(worker="w", task_id="a")
    assert claim(desk) == "a"


def test_a_worker_may_ping_from_another_thread_while_it_claims(clock: Clock) -> None:
    desk = Scheduler(**{**SETTINGS, "worker_disconnect_delay": 0.001})  # each word renews
    over = threading.Event()
    faults: list[BaseException] = []

    def ping() -> None:
        try:
            while not over.is_set():
                desk.ping(worker="w")
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=ping)
    thread.start()
    for number in range(300):
        desk.add_task(worker="w", task_id=str(number))
        assert claim(desk) == str(number)
        clock.now += 0.0005
        desk.add_task(worker="w", task_id=str(number), status=DONE)
    over.set()
    thread.join()
    assert not faults
    sound(desk)


def test_a_copy_for_another_process_knows_what_the_original_knew(desk: Scheduler) -> None:
    desk.add_task(worker="w", task_id="a")
    copy = ForkingPickler.loads(ForkingPickler.dumps(desk))
    assert claim(copy) == "a"
    assert status(desk, "a") == PENDING


# -- at random


def turn(desk: Scheduler, dice: random.Random, names: list[str]) -> None:
    """A worker says something, or a person does."""
    worker, task = dice.choice("uvw"), dice.choice(names)
    below = [name for name in dice.sample(names, 2) if name < task]
    words: list[Callable[[], Any]] = [
        lambda: desk.add_task(
            worker=worker, task_id=task, family="F", params={"day": task}, deps=below, priority=dice.randint(-1, 2),
            resources={"disk": dice.randint(1, 2)} if dice.random() < 0.3 else None, batchable=dice.random() < 0.5,
            runnable=dice.random() < 0.9, assistant=dice.random() < 0.1,
            status=dice.choice([PENDING] * 4 + [RUNNING, DONE, FAILED, "DISABLED", UNKNOWN]),
        ),
        lambda: desk.add_task(worker=worker, task_id=task, status=dice.choice([DONE, DONE, FAILED])),
        lambda: desk.add_task(worker=worker, task_id=task, status="SUSPENDED", new_deps=below),
        lambda: desk.add_task_batcher(worker, "F", ["day"], dice.choice([2, 3])),
        lambda: work(desk, dice, worker, desk.get_work(worker=worker, current_tasks=dice.choice([None, [], names]))),
        lambda: work(desk, dice, worker, desk.get_work(worker=worker, assistant=True)),
        lambda: desk.ping(worker=worker), desk.prune, lambda: desk.forgive_failures(task), lambda: desk.mark_as_done(task),
        lambda: desk.re_enable_task(task), lambda: desk.update_resource("disk", dice.randint(1, 3)),
        lambda: desk.decrease_running_task_resources(task, {"disk": 1}),
    ]  # fmt: skip
    dice.choice(words)()


def work(desk: Scheduler, dice: random.Random, worker: str, given: dict[str, Any]) -> None:
    """A batch that was given is run, by one of it or by a task made for it."""
    if "batch_id" in given and dice.random() < 0.8:
        runner = dice.choice([*given["batch_task_ids"], "made for it"])
        desk.add_task(worker=worker, task_id=runner, status=RUNNING, batch_id=given["batch_id"])
        if dice.random() < 0.7:
            desk.add_task(worker=worker, task_id=runner, status=dice.choice([DONE, FAILED]))


@pytest.mark.parametrize("seed", range(25))
def test_no_conversation_leaves_the_desk_and_the_brain_in_two_minds(seed: int, clock: Clock) -> None:
    dice = random.Random(seed)
    desk = Scheduler(**{**SETTINGS, "disable_persist": 30})
    desk.update_resources(disk=2)
    for _ in range(250):
        turn(desk, dice, [f"F{number}" for number in range(7)])
        sound(desk)
        clock.now += dice.choice([0.5, 0.5, 4.0, 120.0])
    desk.task_list("", "")
    desk.worker_list()


# -- what it costs


def steps(call: Callable[[], object]) -> int:
    """Lines of Python that a call runs through."""
    count = 0

    def see(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return see

    before = sys.gettrace()
    sys.settrace(see)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def test_a_task_is_given_without_a_look_at_all_that_wait() -> None:
    """Or a run of n tasks would cost n times n; the counts in the reply are kept up to date instead."""
    costs = []
    for size in (20, 400):
        desk = Scheduler(**SETTINGS)
        for number in range(size):
            desk.add_task(worker="w", task_id=f"t{number}")
        said: dict[str, Any] = {}
        costs.append(steps(lambda desk=desk, said=said: said.update(desk.get_work(worker="w"))))  # type: ignore[misc]  # bound here
        assert (said["n_pending_tasks"], said["n_unique_pending"], said["n_pending_last_scheduled"]) == (size, size, size)
    assert costs[1] < costs[0] * 1.5


def test_what_waits_for_a_disabled_task_is_not_left_for_anybody(desk: Scheduler) -> None:
    desk.add_task(worker="w", task_id="broken", status="DISABLED")
    desk.add_task(worker="w", task_id="next", deps=["broken"])
    desk.add_task(worker="w", task_id="last", deps=["next"])
    desk.add_task(worker="w", task_id="other", deps=["free"])
    assert desk.count_pending(worker="w")["n_pending_tasks"] == 1
    desk.add_task(worker="v", task_id="other")
    told = desk.count_pending(worker="w")
    assert (told["n_pending_tasks"], told["n_unique_pending"], told["n_pending_last_scheduled"]) == (1, 0, 0)

"""The pool of persistent children: whatever a task does to its process hurts that attempt only."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from levada._model.messages import Fence
from levada._model.status import ExitClass
from levada._worker import pool as pool_module
from levada._worker.executor import Ended, Yielded
from levada._worker.pool import Processes
from levada._worker.process import Spawning
from levada.errors import RunError, headline
from levada.task import key_of

from .odd import (
    HOOKS,
    Flag,
    Forgets,
    Grows,
    Leaves,
    Nap,
    Noop,
    Odd,
    Tells,
    Waits,
    Writes,
    YieldsNonsense,
    alive,
    collect,
    jobs,
    run_all,
    wait_until,
)

Make = Callable[..., Processes]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Pools that fork, also where the test runner has threads; closed at the end."""
    made: list[Processes] = []
    monkeypatch.setattr(pool_module, "may_fork", lambda: True)

    def new(slots: int, tasks: list[Any], **options: Any) -> Processes:
        held = options.pop("held", len(tasks))
        made.append(Processes(slots, HOOKS, lambda index: tasks[index], lambda: held, **options))
        return made[-1]

    yield new
    for one in made:
        one.close(0.0)


U, OK, SIG, LOST, INFRA, OUT = ExitClass.USER, ExitClass.OK, ExitClass.SIGNAL, ExitClass.LOST_PROCESS, ExitClass.INFRA, ExitClass.TIMEOUT

ODD_ENDS = [
    ("returns a value", OK, ""),
    ("raises", U, "ValueError: no such shop"),
    ("a chain of causes", U, "first cause"),
    ("sys.exit(0)", U, r"run\(\) called sys.exit\(0\)"),
    ("sys.exit(3)", U, r"sys.exit\(3\)"),
    ("sys.exit(text)", U, "wrong day"),
    ("os._exit(0)", LOST, "ended with status 0"),
    ("os._exit(1)", LOST, "ended with status 1"),
    ("SIGKILL", SIG, "SIGKILL"),
    ("SIGTERM", SIG, "SIGTERM"),
    ("abort", SIG, "SIGABRT"),
    ("segfault", SIG, "SIGSEGV"),
    ("deep recursion", U, "RecursionError"),
    ("unpicklable exception", U, "has a lambda"),
    ("unspeakable exception", U, "Unspeakable"),
    ("unprintable message", U, "a lone"),
    ("a message of 10 MB", U, "characters left out"),
    ("KeyboardInterrupt", U, "KeyboardInterrupt"),
    ("GeneratorExit", U, "GeneratorExit"),
    ("closes all descriptors", OK, ""),  # its process is of no use any more; its result lies in shared memory
    ("closes all descriptors and raises", LOST, "file descriptors"),
    ("closes low descriptors", OK, ""),
    ("closes stdout", OK, ""),
    ("forks and comes back", OK, ""),
    ("forks and dies", LOST, "ended with status 0"),
    ("replaces signal handlers", OK, ""),
    ("a daemon thread", OK, ""),
    ("a thread that stays", OK, ""),
    ("os.setsid", U, "PermissionError"),
    ("10 MB of stderr", OK, ""),
    ("store away", INFRA, "s3://x"),
    ("disk full", INFRA, "No space left"),
    ("target write error", INFRA, "disk full"),
    ("memory error", U, "MemoryError"),
]


@pytest.mark.parametrize(("kind", "exit_class", "words"), ODD_ENDS, ids=[kind for kind, _, _ in ODD_ENDS])
def test_an_odd_end_gets_its_class_and_the_pool_goes_on(make: Make, kind: str, exit_class: ExitClass, words: str, capfd: Any) -> None:
    tasks = [Odd(kind=kind), Noop(number=1)]
    pool = make(1, tasks)
    ended = run_all(pool, tasks)
    assert ended[0].exit is exit_class, ended[0]
    assert pytest.approx(0, abs=70_000) == len(ended[0].error)
    assert not words or _has(words, ended[0].error), ended[0].error
    assert "levada/_worker" not in ended[0].error
    assert ended[1].exit is OK


def _has(words: str, text: str) -> bool:
    import re

    return re.search(words, text) is not None


STUBBORN = [
    ("sleeps", "time.sleep", 10.0),  # the traceback says where it stood
    ("waits for a program", "subprocess", 10.0),
    ("ignores SIGTERM", "", 0.3),
    ("swallows everything", "", 0.3),
]


@pytest.mark.parametrize(("kind", "words", "patience"), STUBBORN)
def test_a_task_over_its_time_is_stopped_and_then_killed(make: Make, kind: str, words: str, patience: float) -> None:
    tasks = [Odd(kind=kind), Noop(number=1)]
    pool = make(1, tasks, kill_after=patience)
    ended = run_all(pool, tasks, timeout=0.1)
    assert ended[0].exit is OUT, ended[0]
    assert words in ended[0].error
    assert re.fullmatch(r"timeout: worked for \d+\.\d s, allowed 0\.1 s", headline(ended[0].error))
    assert "Stopped" not in ended[0].error
    assert ended[1].exit is OK


def test_one_that_is_stopped_in_time_keeps_its_process(make: Make) -> None:
    """So that suspended attempts of the same child survive it."""
    tasks = [Odd(kind="sleeps"), Noop(number=1)]
    pool = make(1, tasks)
    ended = run_all(pool, tasks, timeout=0.1)
    assert ended[0].exit is OUT
    assert ended[0].worker == ended[1].worker


def test_a_task_within_its_time_is_left_alone(make: Make) -> None:
    tasks = [Nap(seconds=0.02, number=n) for n in range(5)]
    assert all(ended.exit is OK for ended in run_all(make(2, tasks), tasks, timeout=5.0).values())


def test_output_that_was_not_made_is_named(make: Make, tmp_path: Path) -> None:
    tasks = [Forgets(path=str(tmp_path / "never"))]
    ended = run_all(make(1, tasks), tasks)[0]
    assert ended.exit is ExitClass.NO_OUTPUT
    assert str(tmp_path / "never") in ended.message


def test_a_thousand_short_jobs_come_back_once_each(make: Make) -> None:
    tasks = [Noop(number=n) for n in range(1000)]
    pool = make(2, tasks)
    pool.start(jobs(tasks))
    seen = sorted(item.index for item in collect(pool, 1000))
    assert seen == list(range(1000))
    assert pool.collect(0) == []


def test_short_jobs_make_it_ask_for_many(make: Make) -> None:
    tasks = [Noop(number=n) for n in range(200)]
    pool = make(2, tasks)
    assert pool.free() == 2
    run_all(pool, tasks)
    assert pool.free() > 20


def test_jobs_do_not_wait_behind_a_long_one_while_a_child_is_idle(make: Make) -> None:
    """A child that was given many short jobs begins a long one: the others go elsewhere, once each."""
    tasks: list[Any] = [Noop(number=n) for n in range(500)]
    pool = make(2, tasks + [Nap(seconds=30.0)] + [Noop(number=n) for n in range(1000, 1100)])
    run_all(pool, tasks)
    more = [Nap(seconds=30.0), *[Noop(number=n) for n in range(1000, 1100)]]
    pool.start(jobs(more, first=500))
    ended = collect(pool, 100, seconds=10)
    assert sorted(item.index for item in ended) == list(range(501, 601))


def test_a_child_that_dies_among_many_jobs_costs_one_attempt(make: Make) -> None:
    tasks: list[Any] = [Noop(number=n) for n in range(300)]
    tasks[150] = Odd(kind="SIGKILL")
    pool = make(2, tasks)
    pool._pace.depth = 200
    ended = run_all(pool, tasks)
    assert [index for index, item in ended.items() if item.exit is not OK] == [150]
    assert len(ended) == 300


def test_what_has_not_begun_is_handed_back_and_forgotten(make: Make, tmp_path: Path) -> None:
    notes = [str(tmp_path / str(n)) for n in range(1, 6)]
    tasks = [Waits(path=str(tmp_path / "go")), *[Nap(note=note) for note in notes]]
    pool = make(1, tasks)
    pool._pace.depth = 4
    pool.start(jobs(tasks))
    assert wait_until(lambda: pool._children[0].running())
    back = pool.unstarted()
    assert sorted(back) == [1, 2, 3, 4, 5]
    Flag(str(tmp_path / "go")).touch()
    assert [item.index for item in collect(pool, 1)] == [0]
    assert pool.collect(0.1) == []
    assert not any(os.path.exists(note) for note in notes)


def test_a_task_that_the_child_does_not_hold_is_rebuilt_from_its_texts(make: Make, tmp_path: Path) -> None:
    tasks = [Writes(path=str(tmp_path / name)) for name in ("plain", 'with "quotes" and ü')]
    ended = run_all(make(1, tasks, held=0), tasks)
    assert [item.exit for item in ended.values()] == [OK, OK]
    assert all(task.complete() for task in tasks)


@pytest.mark.parametrize("held", [0, 1])
def test_the_child_is_told_fence_and_key(make: Make, tmp_path: Path, held: int) -> None:
    tasks = [Tells(path=str(tmp_path / "told"))]
    run_all(make(1, tasks, held=held), tasks)
    assert Path(tasks[0].path).read_text() == repr((Fence(1, 1), key_of(tasks[0])))


def test_children_are_replaced_by_ones_that_hold_what_was_found_meanwhile(make: Make) -> None:
    tasks = [Noop(number=n) for n in range(3000)]
    pool = make(1, tasks, held=100)
    first = run_all(pool, tasks[:1])[0].worker
    pool._held = lambda: len(tasks)
    run_all(pool, tasks)
    assert pool._children[-1].name != first
    assert pool._children[-1].held == 3000
    assert pool._children[-1].texts == 0


def test_a_parameter_that_does_not_survive_its_text_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Nap(note="right")
    monkeypatch.setattr(type(task).parameters()[2][1], "serialize", lambda value: "wrong" if value == "right" else value, raising=False)
    monkeypatch.setattr("levada._worker.texts.key_of", lambda task: task.note.encode())
    ended = run_all(make(1, [task], held=0), [task])[0]
    assert ended.exit is U
    assert "Nap" in ended.error


def test_merged_tasks_are_complete_when_their_members_are(make: Make, tmp_path: Path) -> None:
    members = (Writes(path=str(tmp_path / "a")), Writes(path=str(tmp_path / "b")))
    job = jobs([members[0]])[0]._replace(batch=members)
    pool = make(1, [])
    pool.start([job])
    (ended,) = collect(pool, 1)
    assert isinstance(ended, Ended)
    assert ended.exit is ExitClass.NO_OUTPUT
    assert str(tmp_path / "b") in ended.message


def test_a_suspended_attempt_goes_on_where_it_was(make: Make, tmp_path: Path) -> None:
    path = str(tmp_path / "grown")
    tasks: list[Any] = [Grows(path=path), *[Noop(number=n) for n in range(20)]]
    pool = make(1, tasks)
    pool.start(jobs(tasks))
    items = collect(pool, 21)
    (first,) = [item for item in items if isinstance(item, Yielded)]
    assert [task.path[-1] for task in first.requires] == ["a", "b"]
    pool.start(jobs(first.requires, first=100))
    assert {item.exit for item in collect(pool, 2) if isinstance(item, Ended)} == {OK}
    pool.resume(0)
    (second,) = collect(pool, 1)
    assert isinstance(second, Yielded)
    Flag(path + ".c").touch()
    pool.resume(0)
    (ended,) = collect(pool, 1)
    assert isinstance(ended, Ended)
    assert ended.exit is OK
    assert Path(path).read_text() == f"['a', 'b'] c {ended.worker}"


def test_yielded_requirements_that_are_there_do_not_suspend(make: Make, tmp_path: Path) -> None:
    path = str(tmp_path / "grown")
    for letter in "abc":
        Flag(f"{path}.{letter}").touch()
    tasks = [Grows(path=path)]
    assert run_all(make(1, tasks), tasks)[0].exit is OK


def test_a_dropped_attempt_is_closed(make: Make, tmp_path: Path) -> None:
    tasks = [Grows(path=str(tmp_path / "x")), Noop(number=1)]
    pool = make(1, tasks)
    pool.start(jobs(tasks[:1]))
    collect(pool, 1)
    pool.drop(0)
    pool.start(jobs(tasks[1:], first=1))
    assert [item.index for item in collect(pool, 1)] == [1]


def test_yielding_nonsense_is_the_tasks_fault(make: Make) -> None:
    tasks = [YieldsNonsense()]
    ended = run_all(make(1, tasks), tasks)[0]
    assert ended.exit is U
    assert "3, which is not a task" in ended.error


def test_suspended_attempts_of_a_dead_child_are_not_blamed(make: Make, tmp_path: Path) -> None:
    tasks = [Grows(path=str(tmp_path / "x")), Odd(kind="os._exit(0)")]
    pool = make(1, tasks)
    pool.start(jobs(tasks[:1]))
    collect(pool, 1)
    pool.start(jobs(tasks[1:], first=1))
    ends = {item.index: item.exit for item in collect(pool, 2) if isinstance(item, Ended)}
    assert ends == {0: INFRA, 1: LOST}


def test_a_child_is_replaced_after_so_many_tasks(make: Make) -> None:
    tasks = [Noop(number=n) for n in range(9)]
    ended = run_all(make(1, tasks, max_tasks=3), tasks)
    workers = [item.worker for item in ended.values()]
    assert [workers.count(worker) for worker in dict.fromkeys(workers)] == [3, 3, 3]


def test_a_child_is_not_replaced_while_it_keeps_a_suspended_attempt(make: Make, tmp_path: Path) -> None:
    path = str(tmp_path / "grown")
    tasks: list[Any] = [Grows(path=path), *[Noop(number=n) for n in range(5)]]
    pool = make(1, tasks, max_tasks=1)
    pool.start(jobs(tasks))
    collect(pool, 6)
    for letter in "abc":
        Flag(f"{path}.{letter}").touch()
    pool.resume(0)
    (ended,) = collect(pool, 1)
    assert isinstance(ended, Ended)
    assert ended.exit is OK


@pytest.mark.parametrize("kill", [False, True])
def test_a_running_attempt_is_cancelled(make: Make, kill: bool) -> None:
    tasks = [Odd(kind="sleeps"), Noop(number=1)]
    pool = make(1, tasks)
    pool.start(jobs(tasks))
    assert wait_until(lambda: pool._children[0].running())
    assert pool.cancel(0, kill=kill)
    ends = {item.index: item.exit for item in collect(pool, 2) if isinstance(item, Ended)}
    assert ends == {0: ExitClass.CANCELLED, 1: OK}
    assert not pool.cancel(0)


def test_a_waiting_attempt_is_cancelled(make: Make, tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    tasks = [Waits(path=go), *[Noop(number=n) for n in range(3)]]
    pool = make(1, tasks)
    pool._pace.depth = 3
    pool.start(jobs(tasks))
    assert pool.cancel(2)
    assert pool.cancel(3)
    Flag(go).touch()
    ends = {item.index: item.exit for item in collect(pool, 4) if isinstance(item, Ended)}
    assert ends == {0: OK, 1: OK, 2: ExitClass.CANCELLED, 3: ExitClass.CANCELLED}


def test_time_and_memory_are_measured_for_what_is_worth_it(make: Make) -> None:
    tasks = [Nap(seconds=0.01), Noop(number=1)]
    ended = run_all(make(1, tasks), tasks)
    assert ended[0].seconds >= 0.01
    assert ended[0].rss > 1_000_000
    assert 0 <= ended[0].cpu < 1
    assert abs(ended[0].started - time.time()) < 60
    assert ended[1].rss == 0


def test_close_leaves_no_process(make: Make) -> None:
    tasks = [Odd(kind="sleeps"), Odd(kind="ignores SIGTERM"), Noop(number=1)]
    pool = make(3, tasks, kill_after=0.2)
    pool.start(jobs(tasks))
    collect(pool, 1)
    assert pool._reaper is not None
    pids = [pool._reaper._pid, *[child.pid for child in pool._children]]
    pool.close(0.0)
    assert not any(alive(pid) for pid in pids)
    pool.close(0.0)


def test_who_is_told_again_and_again_to_stop_and_does_not_is_killed_at_its_time(make: Make) -> None:
    """A run that drains says it each round, a server with each answer."""
    tasks = [Odd(kind="ignores SIGTERM")]
    pool = make(1, tasks, kill_after=0.3)
    pool.start(jobs(tasks))
    collected: list[Any] = pool.collect(0.3)
    until = time.monotonic() + 10.0
    while not collected and time.monotonic() < until:
        assert pool.cancel(0) or collected
        collected = pool.collect(0.05)
    assert [one.exit for one in collected] == [ExitClass.CANCELLED]


@pytest.mark.parametrize("kind", ["leaves a program", "leaves a daemon"])
def test_what_a_task_left_running_is_left_alone_and_not_waited_for(make: Make, kind: str, tmp_path: Path) -> None:
    """It may be a daemon. Our own processes are gone all the same, though the daemon holds their descriptors."""
    task = Leaves(path=str(tmp_path / "pid"), kind=kind)
    pool = make(1, [task])
    assert run_all(pool, [task])[0].exit is OK
    assert pool._reaper is not None
    ours = [pool._reaper._pid, *[child.pid for child in pool._children]]
    left = int((tmp_path / "pid").read_text())
    try:
        began = time.monotonic()
        pool.close(20.0)
        assert time.monotonic() - began < 10.0
        assert alive(left)
        assert not any(alive(pid) for pid in ours)
    finally:
        os.kill(left, signal.SIGKILL)


def test_spawned_children_work_where_a_fork_is_not_safe(tmp_path: Path) -> None:
    tasks = [Writes(path=str(tmp_path / "a")), Odd(kind="os._exit(0)"), Odd(kind="raises"), Writes(path=str(tmp_path / "b"))]
    spawning = Spawning("tests.worker.odd:HOOKS", ("tests.worker.odd",))
    pool = Processes(1, HOOKS, tasks.__getitem__, lambda: len(tasks), spawn=True, spawning=spawning)
    try:
        ended = run_all(pool, tasks)
    finally:
        pool.close(1.0)
    assert [ended[n].exit for n in range(4)] == [OK, LOST, U, OK]


def test_a_spawned_child_that_cannot_begin_says_why() -> None:
    pool = Processes(1, HOOKS, lambda index: None, lambda: 0, spawn=True, spawning=Spawning("tests.worker.odd:HOOKS", ("no_such_module",)))
    try:
        pool.start(jobs([Noop()]))
        with pytest.raises(RunError, match="no_such_module"):
            collect(pool, 1)
    finally:
        pool.close(0.0)


UNGUARDED = """
import threading, time
from levada._worker.pool import Processes
from levada._worker.process import Spawning
from tests.worker.odd import HOOKS, Noop, collect, jobs
threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
pool = Processes(1, HOOKS, lambda index: None, lambda: 0, spawning=Spawning("tests.worker.odd:HOOKS"))
try:
    pool.start(jobs([Noop()]))
    collect(pool, 1)
finally:
    pool.close(0.0)
"""


def test_a_program_that_runs_when_it_is_imported_is_told_so(tmp_path: Path) -> None:
    """With threads about, children are spawned and import the program's file."""
    (tmp_path / "program.py").write_text(UNGUARDED)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, env=env, timeout=50, check=False)
    assert done.returncode == 1
    assert "__main__" in done.stderr
    assert "starts its run while it is imported" in done.stderr


PARENT = """
import os, sys, time
from levada._worker.pool import Processes
from tests.worker.odd import HOOKS, Odd, jobs
tasks = [Odd(kind="ignores SIGTERM"), Odd(kind="sleeps", number=1), Odd(kind="waits for a program and tells", number=2)]
pool = Processes(3, HOOKS, tasks.__getitem__, lambda: 3)
pool.start(jobs(tasks))
while not all(child.running() for child in pool._children):
    time.sleep(0.01)
os.write(1, (" ".join(map(str, [*[child.pid for child in pool._children], pool._reaper._pid])) + chr(10)).encode())
time.sleep(20)
"""


def test_children_and_their_programs_die_with_their_parent() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=env)
    assert parent.stdout is not None
    with parent:
        try:
            pids = [int(word) for line in range(2) for word in parent.stdout.readline().split()]
        finally:
            parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert len(pids) == 5  # three children, the program of one of them, the reaper
        assert wait_until(lambda: not any(alive(pid) for pid in pids), 2.0)

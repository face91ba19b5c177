"""The executors of this process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from levada._model.status import ExitClass
from levada._worker.executor import Ended, Executor, Yielded
from levada._worker.inline import Inline
from levada._worker.pool import Processes
from levada._worker.threads import Threads

from .odd import HOOKS, Flag, Grows, Nap, Noop, Odd, Waits, Writes, collect, jobs, run_all

EXECUTORS: list[Any] = [
    pytest.param(lambda tasks: Inline(HOOKS), id="inline"),
    pytest.param(lambda tasks: Threads(2, HOOKS), id="threads"),
    pytest.param(lambda tasks: Processes(2, HOOKS, tasks.__getitem__, lambda: len(tasks)), id="processes"),
]
Make = Callable[[list[Any]], Executor]


@pytest.fixture(autouse=True)
def _forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("levada._worker.pool.may_fork", lambda: True)


@pytest.mark.parametrize("make", EXECUTORS)
def test_each_job_ends_once(make: Make, tmp_path: Path) -> None:
    tasks: list[Any] = [Noop(number=n) for n in range(60)]
    tasks += [Odd(kind="raises"), Writes(path=str(tmp_path / "x")), Odd(kind="sys.exit(0)")]
    executor = make(tasks)
    try:
        ended = run_all(executor, tasks)
        assert executor.collect(0.0) == []
        assert executor.collect(None) == []
    finally:
        executor.close(1.0)
    assert [index for index, item in sorted(ended.items()) if item.exit is not ExitClass.OK] == [60, 62]


@pytest.mark.parametrize("make", EXECUTORS)
def test_attempts_suspend_and_go_on(make: Make, tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    tasks = [Grows(path=path)]
    executor = make(tasks)
    try:
        executor.start(jobs(tasks))
        (item,) = collect(executor, 1)
        while isinstance(item, Yielded):
            for task in item.requires:
                Flag(task.path).touch()
            executor.resume(0)
            (item,) = collect(executor, 1)
        assert item.exit is ExitClass.OK
    finally:
        executor.close(1.0)


@pytest.mark.parametrize("make", EXECUTORS)
def test_a_suspended_attempt_can_be_cancelled(make: Make, tmp_path: Path) -> None:
    tasks = [Grows(path=str(tmp_path / "x"))]
    executor = make(tasks)
    try:
        executor.start(jobs(tasks))
        collect(executor, 1)
        assert executor.cancel(0)
        (item,) = collect(executor, 1)
        assert isinstance(item, Ended)
        assert item.exit is ExitClass.CANCELLED
    finally:
        executor.close(1.0)


@pytest.mark.parametrize("make", EXECUTORS)
def test_a_suspended_attempt_takes_no_room(make: Make, tmp_path: Path) -> None:
    tasks = [Grows(path=str(tmp_path / "x"))]
    executor = make(tasks)
    try:
        executor.start(jobs(tasks))
        collect(executor, 1)
        assert executor.free() >= executor.slots
    finally:
        executor.close(1.0)


@pytest.mark.parametrize("make", EXECUTORS)
def test_a_signal_ends_the_waiting_early(make: Make, tmp_path: Path) -> None:
    """The handler runs, and the loop sees it at once, not at the end of its wait."""
    tasks = [Waits(path=str(tmp_path / "go"))]
    executor = make(tasks)
    if executor.slots > 1:
        executor.start(jobs(tasks))
    before = signal.signal(signal.SIGUSR2, lambda number, frame: None)
    pid = os.fork()
    if pid == 0:
        time.sleep(0.2)
        os.kill(os.getppid(), signal.SIGUSR2)
        os._exit(0)
    try:
        started = time.monotonic()
        assert executor.collect(30.0) == []
        assert time.monotonic() - started < 20
    finally:
        os.waitpid(pid, 0)
        signal.signal(signal.SIGUSR2, before)
        Flag(str(tmp_path / "go")).touch()
        executor.close(5.0)


def test_a_task_that_forks_inline_does_not_become_a_second_worker() -> None:
    pid = os.getpid()
    tasks = [Odd(kind="forks and comes back"), Noop(number=1)]
    ended = run_all(Inline(HOOKS), tasks)
    assert os.getpid() == pid
    assert {item.exit for item in ended.values()} == {ExitClass.OK}


def test_an_interrupt_inline_keeps_what_has_ended() -> None:
    tasks = [Noop(), Odd(kind="KeyboardInterrupt"), Noop(number=1)]
    executor = Inline(HOOKS)
    executor.start(jobs(tasks))
    with pytest.raises(KeyboardInterrupt):
        executor.collect(1.0)
    assert executor.unstarted() == [2]
    assert [item.index for item in executor.collect(0.0)] == [0]


def test_inline_takes_few_long_tasks_and_many_short_ones() -> None:
    executor = Inline(HOOKS)
    assert executor.free() == 1
    for first in range(0, 100, 10):
        executor.start(jobs([Noop(number=n) for n in range(10)], first=first))
        collect(executor, 10)
    assert executor.free() > 50
    executor.start(jobs([Nap(seconds=0.05)]))
    collect(executor, 1)
    assert executor.free() == 1


def test_threads_run_at_the_same_time(tmp_path: Path) -> None:
    go = str(tmp_path / "go")

    class Opens(Noop):
        def run(self) -> None:
            Flag(go).touch()

    ended = run_all(Threads(2, HOOKS), [Waits(path=go), Opens()])
    assert {item.exit for item in ended.values()} == {ExitClass.OK}


def test_what_no_thread_has_taken_is_handed_back(tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    executor = Threads(1, HOOKS)
    executor.start(jobs([Waits(path=go), Noop(number=1), Noop(number=2)]))
    time.sleep(0.05)
    back = executor.unstarted()
    Flag(go).touch()
    ended = [item.index for item in collect(executor, 3 - len(back))]
    executor.close(1.0)
    assert sorted(back + ended) == [0, 1, 2]
    assert executor.free() == 1

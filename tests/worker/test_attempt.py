"""One attempt in this process: how it begins, suspends and ends, and what is said of it."""

from __future__ import annotations

import bdb
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from levada._model.status import ExitClass
from levada._worker.attempt import Attempts, failure_of
from levada._worker.executor import LONGEST_ERROR, Ended, Hooks, Job, Yielded
from levada._worker.report import cut, describe, mask, names
from levada.errors import TargetExists, headline
from levada.task import Task

from .odd import HOOKS, Async, Flag, Forgets, Grows, GrowsAsync, Noop, Odd, Writes, missing


def run(task: Any, hooks: Hooks = HOOKS, timeout: float | None = None, **options: Any) -> Ended:
    ended = Attempts(hooks, **options).begin(Job(0, task, timeout=timeout))
    assert isinstance(ended, Ended)
    return ended


def test_a_plain_run_is_ok() -> None:
    ended = run(Noop())
    assert ended.exit is ExitClass.OK
    assert ended.worker == str(os.getpid())
    assert ended.seconds >= 0.001 or (ended.cpu, ended.rss) == (0.0, 0)


def test_ok_needs_the_output(tmp_path: Path) -> None:
    ended = run(Forgets(path=str(tmp_path / "x")))
    assert ended.exit is ExitClass.NO_OUTPUT
    assert str(tmp_path / "x") in ended.message


def test_a_coroutine_runs_to_its_end(tmp_path: Path) -> None:
    assert run(Async(path=str(tmp_path / "x"))).exit is ExitClass.OK


def test_a_coroutine_runs_where_a_loop_runs_already(tmp_path: Path) -> None:
    import asyncio

    async def notebook() -> Ended:
        return run(Async(path=str(tmp_path / "x")))

    assert asyncio.run(notebook()).exit is ExitClass.OK


@pytest.mark.parametrize("cls", [Grows, GrowsAsync])
def test_a_generator_is_answered_with_the_outputs_of_what_it_yields(cls: type[Task], tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    attempts = Attempts(HOOKS)
    result = attempts.begin(Job(0, cls(path=path)))
    while isinstance(result, Yielded):
        for task in result.requires:
            task.run()
        result = attempts.go_on(0)
    assert result.exit is ExitClass.OK, result
    assert "a" in Path(path).read_text()
    assert not attempts.suspended


@pytest.mark.parametrize("cls", [Grows, GrowsAsync])
def test_a_dropped_generator_is_closed(cls: type[Task], tmp_path: Path) -> None:
    attempts = Attempts(HOOKS)
    assert isinstance(attempts.begin(Job(0, cls(path=str(tmp_path / "x")))), Yielded)
    attempts.drop(0)
    attempts.drop(0)
    assert not attempts.suspended


def test_an_interrupt_is_not_the_tasks() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Odd(kind="KeyboardInterrupt"))


def test_a_traceback_shows_the_cause_and_none_of_our_frames() -> None:
    ended = run(Odd(kind="a chain of causes"))
    assert "KeyError: 'first cause'" in ended.error
    assert "direct cause" in ended.error
    assert "levada/_worker" not in ended.error
    assert ended.message == "ValueError: second"
    assert ended.errors == ("ValueError", "Exception", "BaseException")


def test_names_are_plain_and_dotted() -> None:
    assert names(TargetExists)[:2] == ("TargetExists", "levada.errors.TargetExists")


def test_equal_causes_have_equal_fingerprints() -> None:
    first, second, other = (run(Odd(kind=kind)).fingerprint for kind in ("a chain of causes", "a chain of causes", "deep recursion"))
    assert first == second != other


def test_the_work_of_another_attempt_is_enough(tmp_path: Path) -> None:
    class Late(Writes):
        def run(self) -> None:
            Flag(self.path).touch()
            raise TargetExists(f"{self.path} is there")

    ended = run(Late(path=str(tmp_path / "x")))
    assert (ended.exit, ended.message) == (ExitClass.OK, "already there")


def test_a_timeout_in_the_main_thread_ends_the_run() -> None:
    before = signal.getsignal(signal.SIGALRM)
    ended = run(Odd(kind="sleeps"), timeout=0.05, alarm=True)
    assert ended.exit is ExitClass.TIMEOUT
    assert re.fullmatch(r"timeout: worked for \d+\.\d s, allowed 0\.05 s", ended.message)
    assert ended.error.startswith(ended.message)
    assert "time.sleep(60)" in ended.error.splitlines()[-2]  # where it stood, and none of our words
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_breakpoint_that_nobody_can_answer_is_told_with_the_way_to_use_it() -> None:
    class Stops(Odd):
        def run(self) -> None:
            raise bdb.BdbQuit

    ended = run(Stops(kind="stops"))

    assert headline(ended.error).startswith("run() met a breakpoint")
    assert "--pdb" in headline(ended.error)


def test_on_failure_may_add_to_the_report() -> None:
    class Explains(Odd):
        def on_failure(self, exception: BaseException) -> str:
            return f"ask the shop: {exception}"

    assert run(Explains(kind="raises")).error.endswith("ask the shop: no such shop")


def test_a_broken_on_success_does_not_undo_the_work(caplog: pytest.LogCaptureFixture) -> None:
    class Sad(Noop):
        def on_success(self) -> None:
            raise ValueError("no")

    assert run(Sad()).exit is ExitClass.OK
    assert "on_success raised" in caplog.text


def test_hooks_surround_each_stretch(tmp_path: Path) -> None:
    said: list[Any] = []
    hooks = Hooks(
        HOOKS.is_complete,
        missing,
        lambda job: said.append("begin"),
        lambda job: said.append("end"),
        lambda name, task, detail: said.append(name),
        {"somebody": "listens"},
    )
    attempts = Attempts(hooks)
    path = str(tmp_path / "x")
    attempts.begin(Job(0, Grows(path=path)))
    for letter in "abc":
        Flag(f"{path}.{letter}").touch()
    attempts.go_on(0)
    assert said == ["begin", "start", "end", "begin", "success", "time", "end"]


def test_hooks_surround_each_stretch_also_when_nobody_listens(tmp_path: Path) -> None:
    said: list[Any] = []
    attempts = Attempts(Hooks(HOOKS.is_complete, missing, lambda job: said.append("begin"), lambda job: said.append("end")))
    path = str(tmp_path / "x")
    assert isinstance(attempts.begin(Job(0, Grows(path=path))), Yielded)
    for letter in "abc":
        Flag(f"{path}.{letter}").touch()
    assert isinstance(attempts.go_on(0), Ended)
    attempts.begin(Job(1, Noop()))
    assert said == ["begin", "end"] * 3


def test_secrets_are_masked_also_in_reprs() -> None:
    secret = "pass'word\n"
    assert mask(f"a {secret!r} b {secret}", [secret]) == 'a "***" b ***'


def test_a_long_text_keeps_head_and_tail() -> None:
    text = "".join(chr(97 + n % 26) for n in range(200_000))
    short = cut(text)
    assert len(short) <= LONGEST_ERROR
    assert (short[:1000], short[-1000:]) == (text[:1000], text[-1000:])


def test_whatever_an_exception_does_it_can_be_told() -> None:
    class Hostile(Exception):
        __notes__ = 5

        def __str__(self) -> str:
            raise RuntimeError("no")

        __repr__ = __str__

    assert "Hostile" in describe(Hostile()).error
    assert failure_of(3, None, Hostile()).exit is ExitClass.USER


def test_cpu_and_memory_are_measured_from_a_millisecond_on() -> None:
    class Burns(Noop):
        def run(self) -> None:
            until = time.process_time() + 0.02
            while time.process_time() < until:
                pass

    ended = run(Burns())
    assert 0.02 <= ended.cpu < 5
    assert ended.rss > 1_000_000


def test_a_timeout_elsewhere_than_in_the_main_thread_is_not_enforced() -> None:
    found: list[Ended] = []
    thread = threading.Thread(target=lambda: found.append(run(Noop(), timeout=0.5, alarm=True)))
    thread.start()
    thread.join()
    assert found[0].exit is ExitClass.OK

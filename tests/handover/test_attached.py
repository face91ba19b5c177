"""Programs that end with the attempt that started them."""

from __future__ import annotations

import sys
import tempfile
import time
from contextvars import copy_context
from threading import Thread

import psutil
import pytest

from levada._model import control
from levada.handover import attached

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)",
]


def test_a_program_ends_with_the_block_that_an_error_leaves() -> None:
    with pytest.raises(ZeroDivisionError), attached.program(SLEEPER) as process:
        raise ZeroDivisionError
    process.wait(5)
    assert process.returncode is not None


def test_what_it_has_started_ends_with_it() -> None:
    seen: list[str] = []
    with pytest.raises(ZeroDivisionError), attached.program(["sh", "-c", "sleep 60 & echo $!; wait"], look=seen.append):
        while not seen:
            time.sleep(0.01)
        raise ZeroDivisionError
    grandchild, until = int(seen[0]), time.monotonic() + 5
    while psutil.pid_exists(grandchild) and psutil.Process(grandchild).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_one_that_ignores_the_wish_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached, "GRACE", 0.2)
    lines: list[str] = []
    with pytest.raises(ZeroDivisionError), attached.program(STUBBORN, look=lines.append) as process:
        while not lines:
            time.sleep(0.01)
        raise ZeroDivisionError
    assert process.wait(5) == -9


def test_what_it_says_is_looked_through_while_it_runs_and_kept_all_the_same() -> None:
    seen: list[str] = []
    with tempfile.TemporaryFile() as kept:
        with attached.program(["sh", "-c", "echo one; echo two"], look=seen.append, stdout=kept) as process:
            assert attached.wait_for(process) == 0
        kept.seek(0)
        assert (seen, kept.read()) == (["one\n", "two\n"], b"one\ntwo\n")


def test_a_look_that_fails_stops_no_program(caplog: pytest.LogCaptureFixture) -> None:
    """What it says is read on: nobody waits for a pipe that is full."""
    seen: dict[str, str] = {}
    with tempfile.TemporaryFile() as kept:
        words = ["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' '\\n'"]
        with attached.program(words, look=lambda line: seen[line], stdout=kept) as process:
            assert attached.wait_for(process) == 0
        assert kept.tell() == 300_000
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [KeyError]


def test_who_waits_in_a_thread_hears_that_the_attempt_is_to_end() -> None:
    wish, caught = control.Control(), []

    def attempt() -> None:
        control.here.set(wish)
        try:
            with attached.program(SLEEPER) as process:
                attached.wait_for(process)
        except KeyboardInterrupt:
            caught.append(process)

    thread = Thread(target=copy_context().run, args=(attempt,))
    thread.start()
    while not wish.listens:
        time.sleep(0.01)
    wish.stop(KeyboardInterrupt())
    thread.join(5)
    assert caught
    assert caught[0].wait(5) != 0

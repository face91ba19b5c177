"""What a run shows while it goes on, and what it leaves behind."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada._model.messages import Progress
from levada._model.ports import Attempt
from levada._model.status import Status
from levada._run import Blocked, RunResult
from levada.cli import console as console_module
from levada.cli import summary as summary_module
from levada.cli import text as text_module
from levada.cli.app import report
from levada.cli.bar import Bar
from levada.cli.console import Console, Counts, Tally
from levada.cli.logs import JsonLines, PlainLines, set_up
from levada.cli.options import Parsed
from levada.cli.summary import in_full, summary
from levada.cli.text import count, escape, json_text, table
from levada.config.settings import Settings
from levada.errors import LevadaError


class Screen(io.StringIO):
    """Stands for a terminal."""

    def isatty(self) -> bool:
        return True


def runner(finished: bool = True, **numbers: int) -> Any:
    """A run of one family ``Delays`` with so many tasks of each status."""
    counts = tuple(numbers.get(str(status), 0) for status in Status)
    progress = Progress(counts, {"Delays": counts}, numbers.get("complete", 0))
    return SimpleNamespace(scheduler=SimpleNamespace(progress=lambda: progress), discovery=SimpleNamespace(finished=finished))


def attempt(name: str = "Delays(day=2013-01-05)", seconds: float = 1.0, error: str = "") -> Attempt:
    return Attempt(b"k", "Delays", name, 1, 0.0, seconds, "user" if error else "ok", error)


def result(status: str = "ok", **fields: Any) -> RunResult:
    plain = dict.fromkeys(("exit_code", "done", "already", "failed", "blocked", "missing"), 0)
    lists: dict[str, Any] = {"failures": (), "blocked_by": (), "external": (), "faults": (), "done_by_family": {}}
    return RunResult(**{"status": status, "seconds": 1.5, "wanted": "All()", **plain, **lists, **fields})


def quiet_console(*flags: str) -> Console:
    parsed = Parsed()
    parsed.values.update(dict.fromkeys(flags, True))
    return Console(parsed, Settings({}))


# -- counting


def test_a_line_tells_what_is_not_known_yet() -> None:
    line = Tally().line(Counts(runner(finished=False, done=3, running=1, waiting=1200, failed=2, complete=7)))

    assert line == "3 done, 2 failed, 1 running, 1,200 to do, 7 were complete, more are being found"


def test_what_other_workers_run_is_told_and_that_the_server_is_away() -> None:
    tally = Tally()
    tally.begin("a")
    shared = runner(done=3, running=5, waiting=2)
    shared.scheduler.away, shared.scheduler.elsewhere = 12.0, 4

    assert tally.line(Counts(shared)) == "3 done, 1 running here, 4 elsewhere, 2 to do, the server has been away for 12.0 s"


def test_a_pause_of_the_server_is_told_once_and_then_in_each_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(console_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    console, paused = quiet_console(), runner(done=3, ready=2)
    paused.scheduler.paused = True
    console.started(paused)
    for tenth in range(120):
        now[0] = tenth / 10
        console.progress(paused)

    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "levada: the server is paused and grants nothing until `levada resume`"
    assert lines[1:] == ["levada: 3 done, 0 running, 2 to do, the server is paused"] * 2


def test_the_end_of_a_run_names_what_an_operator_cancelled_and_that_the_server_is_paused() -> None:
    lines = summary(result("failed", cancelled=2, cancelled_tasks=("A(n=1)", "A(n=2)"), blocked=1, paused=True))

    assert lines[1] == "  cancelled 2 tasks, by an operator; `levada retry TASK` sets each of them going again"
    assert lines[2:4] == ["    A(n=1)", "    A(n=2)"]
    assert lines[-1] == "  paused    the server grants nothing until `levada resume`"


def test_time_left_is_told_by_the_means_of_families() -> None:
    tally = Tally()
    tally.begin("a")
    tally.end("a", attempt(seconds=2.0))
    tally.running = {"b": 0.0, "c": 0.0}

    assert tally.left({"Delays": 10}, slots=2) == 10.0
    assert "about 10.0 s left" in tally.line(Counts(runner(done=1, running=2, ready=10)))


def test_no_time_is_told_where_most_families_are_new() -> None:
    tally = Tally()
    tally.end("a", attempt())

    assert tally.left({"Delays": 1, "Reports": 9}, slots=1) is None
    assert tally.left({}, slots=1) is None


def test_earlier_runs_lend_their_means() -> None:
    tally = Tally()
    tally.learn("Delays", 10, 3.0)

    assert tally.left({"Delays": 4}, slots=1) == 12.0


# -- lines and bar


def test_elsewhere_than_on_a_terminal_lines_come_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr(console_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    console = quiet_console()
    console.started(runner())
    for tenth in range(120):
        now[0] = tenth / 10
        console.progress(runner(done=tenth, ready=5))

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # at 2 s and at 7 s
    assert lines[0].startswith("levada: 20 done, 0 running, 5 to do")


def test_failures_are_told_at_once_but_not_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    console = quiet_console()
    for number in range(50):
        console.task_ended(number, attempt(error=f'  File "flows.py", line {number}, in run\nValueError: no\n'))

    lines = capsys.readouterr().err.splitlines()
    assert lines[3] == "levada: attempt 1 of Delays(day=2013-01-05) raised: ValueError: no (flows.py:3)"
    assert len(lines) == console_module.FAILURES_SHOWN + 1


@pytest.mark.parametrize("flag", ["quiet", "no_console"])
def test_a_silent_console_says_nothing(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = quiet_console(flag)
    console.task_started("a")
    console.task_ended("a", attempt(error="ValueError: no"))
    console.progress(runner(done=1))

    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_when_the_first_task_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    console = quiet_console()
    console.started(runner())
    console.progress(runner(ready=4))
    assert screen.getvalue() == ""

    console.task_started("Delays(day=2013-01-05)")
    console.progress(runner(finished=False, done=1, running=1, ready=2))
    console.task_ended("x", attempt(error="ValueError: no\n"))
    console.close()
    console.close()

    text = screen.getvalue()
    assert "1 done, 1 running, 2 to do, more are being found" in text
    assert "Delays: 1 of 4" in text
    assert "raised: ValueError: no" in text


def test_a_breakpoint_has_the_terminal_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Screen())
    met: list[bool] = []
    monkeypatch.setattr("sys.breakpointhook", lambda: met.append(bar._live.is_started))
    theirs = sys.breakpointhook
    bar = Bar(Tally())
    sys.breakpointhook()  # noqa: T100 - what is tested
    bar.show(runner(ready=1))
    assert (met, bar._live.is_started) == ([False], True)
    bar.close()
    assert sys.breakpointhook is theirs


@pytest.mark.parametrize("numbers", [{}, {"done": 1_000_000}, {"failed": 1, "done": 1}, {"running": 3, "ready": 1_000_000}, {"running": 1}])
def test_the_bar_is_as_wide_as_it_says(monkeypatch: pytest.MonkeyPatch, numbers: dict[str, int]) -> None:
    monkeypatch.setattr("sys.stderr", Screen())
    bar = Bar(Tally())
    try:
        assert len(bar._bar(Counts(runner(**numbers))).plain) == 40
    finally:
        bar.close()


# -- the summary


def test_the_summary_names_families_before_tasks() -> None:
    failure = SimpleNamespace(
        task="Delays(day=2013-01-05)", exit="user", attempt=3, error='Traceback\n  File "f.py", line 7, in run\nKeyError: 1\n'
    )
    lines = summary(
        result(
            "failed",
            done=30,
            already=4,
            failed=7,
            blocked=9,
            missing=1,
            done_by_family={"Delays": 27, "Report": 3},
            failures=(failure,),
            blocked_by=(Blocked("Delays(day=2013-01-05)", "failed", 9),),
            external=("Drop(day=2013-01-06)",),
        )
    )

    assert lines == [
        "levada: All(): failed (1.5 s)",
        "  made      30 tasks: Delays 27, Report 3",
        "  complete  4 tasks before",
        "  failed    7 tasks",
        "    Delays(day=2013-01-05): KeyError: 1 (f.py:7) (attempt 3)",
        "      Traceback",
        '        File "f.py", line 7, in run',
        "      KeyError: 1",
        "      The whole error: levada log 'Delays(day=2013-01-05)'",
        "    and 6 more tasks",
        "    The errors of others: levada log TASK, with a name as it stands here or in `levada history --failed`",
        "  blocked   9 tasks",
        "    9 tasks behind Delays(day=2013-01-05) (failed)",
        "  missing   1 task that others make",
        "    Drop(day=2013-01-06)",
    ]


FRAME = '  File "{}", line {}, in run\n    line {}\n'


def test_the_errors_of_three_failures_stand_in_full_without_frames_of_ours() -> None:
    ours = FRAME.format(summary_module.__file__, 1, 1)
    error = "Traceback (most recent call last):\n" + FRAME.format("flows.py", 7, 7) + ours + "levada.errors.TargetExists: x\n  a hint\n"
    failures = tuple(SimpleNamespace(task=f"A(n={n})", exit="user", attempt=1, error=error) for n in range(5))

    lines = summary(result("failed", failed=5, failures=failures))

    assert lines.count("      TargetExists: x") == 0
    assert lines.count("      levada.errors.TargetExists: x") == 3
    assert not [line for line in lines if summary_module.__file__ in line]
    assert lines[2] == "    A(n=0): TargetExists: x (flows.py:7) (attempt 1)"
    assert "        a hint" in lines


def test_a_long_error_is_cut_to_its_end() -> None:
    error = "Traceback (most recent call last):\n" + "".join(FRAME.format("f.py", n, n) for n in range(90)) + "ValueError: deep\n"

    lines = in_full(error)

    assert len(lines) == 30
    assert lines[0] == "... 153 lines left out"
    assert lines[-1] == "ValueError: deep"


def test_a_run_without_work_is_one_line() -> None:
    assert summary(result(already=31)) == ["levada: All(): nothing to do, 31 tasks complete (1.5 s)"]


# -- text from outside


def test_text_from_outside_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report(LevadaError("a file named \x1b]0;owned\x07"))

    assert "\x1b" not in capsys.readouterr().err
    assert escape("é ü 漢\n\tx") == "é ü 漢\n\tx"
    assert escape("\x9b2J\u202e") == "\\x9b2J\\u202e"
    assert table([("a\nb", 1)]) == ["a  1"]
    assert count(2, "task") == "2 tasks"


@given(st.text() | st.lists(st.text(), max_size=2) | st.dictionaries(st.text(max_size=3), st.text(), max_size=2))
def test_json_says_the_same_to_its_reader_and_steers_no_terminal(value: object) -> None:
    for indent in (2, None):
        text = json_text(value, indent)
        assert json.loads(text) == value
        assert text.replace("\n", "").isprintable()


def test_all_json_of_commands_is_made_safe() -> None:
    """One that is written with ``ensure_ascii=False`` would pass a task's parameters on to the terminal as they are."""
    folder = Path(text_module.__file__).parent
    raw = [file.name for file in folder.glob("*.py") if "ensure_ascii=False" in file.read_text()]
    assert raw == ["text.py"]


# -- log lines


def record(message: str, **fields: object) -> logging.LogRecord:
    return logging.getLogger("levada.t").makeRecord("levada.t", logging.WARNING, "f", 1, message, (), None, extra=fields)


def test_plain_log_lines_carry_their_fields_and_no_control_characters() -> None:
    line = PlainLines().format(record("lease \x1b[2J granted\nLevel ERROR", task="A(x=1)", fence="1.7"))

    assert line.endswith("WARNING levada.t: lease \\x1b[2J granted task=A(x=1) fence=1.7\nLevel ERROR")
    assert "\x1b" not in line


def test_json_log_lines_carry_their_fields() -> None:
    line = json.loads(JsonLines().format(record("lease granted", task="A(x=1)", seconds=3.5, odd=object)))

    assert (line["level"], line["message"], line["task"], line["seconds"]) == ("warning", "lease granted", "A(x=1)", 3.5)
    assert line["time"].endswith("+00:00")


def test_estimates_are_asked_once_and_only_when_something_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    now = [0.0]
    monkeypatch.setattr(console_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    console = Console(Parsed(), Settings({}), lambda: asked.append(1) or {"Delays": SimpleNamespace(attempts=3, mean=2.0)})
    console.started(runner())
    console.progress(runner(ready=1))
    assert asked == []

    now[0] = 10.0
    console.progress(runner(ready=1))
    now[0] = 20.0
    console.progress(runner(ready=1))
    assert asked == [1]


def test_log_lines_go_to_what_stderr_is_by_then(here: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    assert set_up("info") is not None
    assert set_up("info") is None  # who came first keeps what he set up
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)

    logging.getLogger("levada.t").info("lease granted", extra={"task": "A"})

    assert screen.getvalue().endswith("INFO levada.t: lease granted task=A\n")


def test_an_interrupted_run_blames_nobody_for_what_is_left() -> None:
    assert (
        summary(result("interrupted", done=1, blocked=9, done_by_family={"Delays": 1}))[-1]
        == "  left      9 tasks that had not started or not ended"
    )

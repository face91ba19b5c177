"""Runs that share their tasks through a real server."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter

import pytest

from tests.faults.command import ended, soon
from tests.served.conftest import Served

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("executor", [[], ["--workers", "2"], ["--workers", "2", "--executor", "threads"]])
def test_a_run_makes_what_is_missing_and_the_next_has_nothing_to_do(served: Served, executor: list[str]) -> None:
    first = served.run_task(*executor, "RunAll", "--pause", "0")
    assert first.returncode == 0, first.stderr
    assert "made      30 tasks" in first.stderr
    again = served.run_task("RunAll", "--pause", "0")
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert len(served.ran()) == 30


def test_eight_runs_at_once_make_each_aggregation_once_and_all_end_well(served: Served) -> None:
    runs = [served.start_task("--json", "RunAll") for _ in range(8)]
    results = [ended(run) for run in runs]
    assert [each.returncode for each in results] == [0] * 8, [each.stderr for each in results]
    assert set(Counter(name for name, _ in served.ran()).values()) == {1}
    assert len(served.ran()) == 30
    told = [json.loads(each.stdout) for each in results]
    assert sum(each["done"] for each in told) == 30
    assert all(each["done"] + each["elsewhere"] <= 30 <= each["done"] + each["elsewhere"] + each["already"] for each in told)


def test_a_task_that_another_run_makes_is_waited_for(served: Served) -> None:
    first = served.start_task("Slow", "--name", "one")
    assert soon(lambda: served.ran(), 20)
    second = served.start_task("--json", "After")
    assert not soon(lambda: second.poll() is not None, 1.5)
    served.go()
    result = json.loads(ended(second).stdout)
    assert ended(first).returncode == 0
    assert (result["exit_code"], result["done"], result["elsewhere"]) == (0, 1, 1)
    assert Counter(name for name, _ in served.ran()) == {"one": 1, "after": 1}


def test_quick_tasks_do_not_wait_behind_a_slow_one_while_another_worker_is_idle(served: Served) -> None:
    runs = [served.start_task("--json", "Mixed") for _ in range(2)]
    assert soon(lambda: len(served.ran()) == 91, 30), len(served.ran())
    assert not (served.folder / "go").exists()
    served.go()
    assert [ended(run).returncode for run in runs] == [0, 0]


def test_a_requirement_that_others_made_and_that_is_not_there_is_made_again(served: Served) -> None:
    """Its worker wrote to a disk that this one does not see, or somebody removed it: what stands on it must not begin."""
    first = served.start_task("Slow", "--name", "one")
    assert soon(lambda: served.ran(), 20)
    second = served.start_task("After", "--json")
    assert not soon(lambda: second.poll() is not None, 1)
    os.kill(second.pid, signal.SIGSTOP)
    served.go()
    assert ended(first).returncode == 0
    (served.folder / "slow-one.txt").unlink()
    os.kill(second.pid, signal.SIGCONT)
    told = ended(second)
    assert told.returncode == 0, told.stderr
    assert Counter(name for name, _ in served.ran()) == {"one": 2, "after": 1}


def test_failures_are_told_with_what_they_hold_up_here_and_in_the_next_run(served: Served) -> None:
    first = served.run_task("--json", "Behind")
    result = json.loads(first.stdout)
    assert (first.returncode, result["failed"], result["blocked"], result["attempts"]) == (1, 1, 1, 3)
    assert "no such table" in result["failures"][0]["error"]
    assert result["blocked_by"] == [{"by": "Broken()", "why": "failed", "tasks": 1}]
    again = served.run_task("--json", "Behind")
    result = json.loads(again.stdout)
    assert (again.returncode, result["failed"], result["attempts"]) == (1, 1, 0)
    assert re.fullmatch(
        r"ValueError: no such table \(user: failed 2 of 2 times; it may run again in \d+ s, or after `levada retry`\)",
        result["failures"][0]["error"],
    )
    assert "Broken(): ValueError: no such table (user: failed 2 of 2 times; it may" in again.stderr
    assert Counter(name for name, _ in served.ran())["broken"] == 2


def test_two_runs_whose_attempts_sleep_for_what_cannot_be_made_do_not_wait_for_each_other(served: Served) -> None:
    runs = [served.start_task("--json", "TwoDoomed") for _ in range(2)]
    results = [ended(run) for run in runs]
    assert [each.returncode for each in results] == [1, 1], [each.stderr for each in results]


def test_why_believes_the_files_where_the_server_has_a_task_as_done(served: Served) -> None:
    assert served.run_task("Counted", "--day", "2013-01-20", "--window", "3").returncode == 0
    words = ("why", "--module", "flow", "--scheduler", served.url, "Counted", "--day", "2013-01-20", "--window", "3")
    assert "It was done." in served.run(*words).stdout
    (served.folder / "counts" / "2013-01-20-3.txt").unlink()
    said = served.run(*words).stdout
    assert "a run makes it again" in said
    assert "It was done." not in said


def test_data_that_came_after_a_run_had_missed_it_is_not_missing_for_the_next(served: Served) -> None:
    """The server still waits for it, as the first run said; the second finds it there and says so."""
    wanted, data = ("--json", "Counted", "--day", "2013-01-20", "--window", "3"), served.folder / "drop" / "2013-01-20.txt"
    data.rename(served.folder / "late.txt")
    first = served.run_task(*wanted)
    assert (first.returncode, json.loads(first.stdout)["missing"]) == (3, 1), first.stderr
    (served.folder / "late.txt").rename(data)
    again = served.run_task(*wanted)
    result = json.loads(again.stdout)
    assert (again.returncode, result["status"], result["done"]) == (0, "ok", 1), again.stderr
    assert (result["missing"], result["external"]) == (0, [])
    assert "missing" not in again.stderr


def test_missing_data_of_others_ends_a_run_with_3(served: Served) -> None:
    (served.folder / "drop" / "2013-01-20.txt").unlink()
    result = served.run_task("RunAll", "--pause", "0")
    assert result.returncode == 3, result.stderr
    assert "Drop(day=2013-01-20)" in result.stderr
    assert len(served.ran()) == 27


def test_yielded_requirements_are_made_and_waited_for(served: Served) -> None:
    served.go()
    result = served.run_task("Ours")
    assert result.returncode == 0, result.stderr
    assert (served.folder / "ours.txt").read_text() == "14"


def test_attempts_go_to_the_server_and_not_to_the_state_folder(served: Served) -> None:
    assert served.run_task("RunAll", "--pause", "0").returncode == 0
    assert not (served.state / "history.db").exists()
    listed = served.run("history", "--scheduler", served.url, "--json", "--limit", "100")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("Counted") == 30


def test_a_wrong_token_is_told_clearly_and_nothing_is_started(served: Served) -> None:
    result = served.run_task("RunAll", environ={"LEVADA_TOKEN": "lvd_" + "x" * 43})
    assert result.returncode == 2
    assert "the token is not accepted" in result.stderr
    assert "x" * 43 not in result.stderr
    assert served.ran() == []


def test_the_token_of_the_state_folder_is_not_sent_to_another_server(served: Served) -> None:
    """Another user's process may listen at a port of this machine."""
    result = served.run_task("RunAll", url=f"http://localhost:{served.port}")
    assert result.returncode == 2
    assert "a token is needed" in result.stderr
    assert f"says that it is at {served.url}" in result.stderr, "how to write it so that the token is sent"
    asked = served.run("tasks", "--scheduler", f"http://localhost:{served.port}")
    assert (asked.returncode, f"says that it is at {served.url}" in asked.stderr) == (2, True)


def test_a_run_says_that_an_operator_cancelled_what_it_needs(served: Served) -> None:
    """Waiting or running, the run ends as failed: the summary must say why, and what sets it going again."""
    run = served.start_task("After")
    assert soon(lambda: served.ran(), 20)
    assert served.run("cancel", "--scheduler", served.url, "After()").returncode == 0
    served.go()
    said = ended(run)
    assert said.returncode == 1
    assert "cancelled 1 task, by an operator; `levada retry TASK` sets it going again\n    After()" in said.stderr
    assert "blocked" not in said.stderr


def test_a_run_that_waits_for_a_paused_server_says_so(served: Served) -> None:
    assert served.run("pause", "--scheduler", served.url).returncode == 0
    run = served.start("run", "--scheduler", served.url, "flow.py", "Counted", "--day", "2013-01-20", "--window", "5")
    assert run.stderr is not None
    first = run.stderr.readline()
    assert first == "levada: the server is paused and grants nothing until `levada resume`\n"
    run.send_signal(signal.SIGINT)
    said = ended(run)
    assert said.returncode == 130
    assert "paused    the server grants nothing until `levada resume`" in said.stderr
    assert served.run("resume", "--scheduler", served.url).returncode == 0
    assert served.run_task("Counted", "--day", "2013-01-20", "--window", "5").returncode == 0


def test_without_a_server_all_the_time_a_run_ends_with_69(served: Served) -> None:
    served.kill_server()
    result = served.run_task("--patience", "1", "RunAll")
    served.start_server()
    assert result.returncode == 69
    assert "Is `levada server` running there?" in result.stderr
    assert served.ran() == []


def test_secrets_reach_the_server_nowhere(served: Served) -> None:
    secret = "hunter2-and-more"
    result = served.run_task("Secret", environ={"LEVADA_PARAM__Secret__password": secret})
    assert result.returncode == 0, result.stderr
    served.server.send_signal(signal.SIGTERM)
    served.server.wait()
    kept = [path for path in served.state.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert kept == []
    assert secret not in (served.folder / "server.log").read_text()


def test_a_run_with_nothing_to_do_asks_no_server(served: Served) -> None:
    assert served.run_task("RunAll", "--pause", "0").returncode == 0
    served.kill_server()
    result = served.run_task("RunAll", "--pause", "0")
    served.start_server()
    assert result.returncode == 0
    assert "nothing to do" in result.stderr


def test_sigterm_drains_and_hands_back(served: Served) -> None:
    first = served.start_task("--grace", "0.2", "Slow", "--name", "one")
    assert soon(lambda: served.ran(), 20)
    first.terminate()
    assert ended(first).returncode == 143
    served.go()
    second = served.run_task("Slow", "--name", "one")
    assert second.returncode == 0, second.stderr
    assert len(served.ran()) == 2


def test_a_program_finds_the_server_in_the_environment(served: Served) -> None:
    (served.folder / "program.py").write_text(
        "import levada as lv, flow\n"
        "if __name__ == '__main__':\n"
        "    result = lv.run(flow.RunAll(pause=0))\n"
        "    print(result.exit_code, result.done)\n"
    )
    said = ended(served.python("program.py", environ={"LEVADA_SCHEDULER": served.socket}))
    assert said.stdout.split() == ["0", "30"], said.stderr
    assert "Counted" in served.run("history", "--scheduler", served.url, "--json").stdout


def test_children_that_are_spawned_run_tasks_with_secrets_and_say_what_they_print(served: Served) -> None:
    """Where the program has threads nothing is forked: a child begins anew, and knows neither tasks nor keys."""
    (served.folder / "program.py").write_text(
        "import threading, time\n"
        "import levada as lv, flow\n"
        "if __name__ == '__main__':\n"
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "    result = lv.run(flow.Secret(password='open sesame'), workers=2)\n"
        "    print(result.exit_code, result.done, result.attempts)\n"
    )
    said = ended(served.python("program.py", environ={"LEVADA_SCHEDULER": served.socket}))
    assert said.stdout.splitlines()[-1] == "0 1 2", said.stderr
    assert "the password is ***" in served.run("log", "--scheduler", served.url, "Secret(password=***)").stdout


def test_no_server_is_asked_where_none_is_said_to_be(served: Served) -> None:
    served.kill_server()
    result = served.run_task("RunAll", "--pause", "0", url="none", environ={"LEVADA_SCHEDULER": served.url})
    served.start_server()
    assert result.returncode == 0, result.stderr


def test_a_group_is_seen_complete_by_each_run_that_ends_with_0(served: Served) -> None:
    """P9: what another run made behind the wanted group is looked at here."""
    first = served.start_task("RunAll", "--pause", "0.1")
    assert soon(lambda: len(served.ran()) > 2, 20)
    second = served.run_task("--json", "RunAll", "--pause", "0.1")
    assert ended(first).returncode == 0
    assert second.returncode == 0, second.stderr
    assert len(list((served.folder / "counts").iterdir())) == 30

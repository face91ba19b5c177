"""What each command says and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from levada._model import exit_codes
from levada.cli.history import zone

from .conftest import Call

DAY = ("--day", "2013-01-05")


def test_help_lists_every_command_and_exit_code(here: Path, call: Call) -> None:
    said = call("--help")

    assert said.code == 0
    for word in ("run ", "plan ", "why ", "config ", "75 ", "130 "):
        assert word in said.out


def test_help_behind_a_family_shows_its_parameters(flows: Path, call: Call) -> None:
    said = call("run", "flows.py", "Delays", "--help")

    assert said.code == 0
    assert "Minutes of delay by carrier." in said.out
    assert "--day DATE    last day, UTC (required)" in said.out
    assert "--window INT  days (default: 7)" in said.out
    assert "--workers" in said.out


@pytest.mark.parametrize("command", ["run", "plan", "why", "list", "show", "check", "status", "history", "log", "config"])
def test_each_command_has_help(here: Path, call: Call, command: str) -> None:
    said = call(command, "--help")

    assert said.code == 0
    assert said.out.startswith(f"Usage: levada {command}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rnu"], "there is no command 'rnu'\n  Did you mean `levada run`?"),
        (["Delays"], "To run a task write `levada run Delays`"),
        (["--workers", "2"], "the command comes first"),
        (["config", "expalin"], "Write `levada config explain"),
        (["complete"], "which shell?"),
        (["log"], "which task?"),
        (["show"], "which family?"),
        (["check"], "there is nothing to check"),
        (["history", "--limit", "many"], "--limit: got 'many', expected N"),
    ],
)
def test_a_wrong_command_is_answered_with_the_right_one(here: Path, call: Call, words: list[str], says: str) -> None:
    said = call(*words)

    assert said.code == 2
    assert says in said.err


def test_no_command_is_answered_with_help(here: Path, call: Call) -> None:
    said = call()

    assert said.code == 2
    assert said.out.startswith("levada: make tasks complete")


# -- run


def test_a_second_run_has_nothing_to_do(flows: Path, call: Call) -> None:
    call("run", "flows.py", "Delays", *DAY)
    said = call("run", "flows.py", "Delays", *DAY)

    assert said.code == 0
    assert "nothing to do" in said.err


def test_a_failure_is_told_with_its_line_and_ends_with_1(flows: Path, call: Call) -> None:
    said = call("run", "flows.py", "Broken", "--attempts", "1")

    assert said.code == 1
    assert "Broken(): ValueError: no flights today (" in said.err
    assert "flows.py:" in said.err


def test_missing_data_ends_with_3_and_is_named(flows: Path, call: Call) -> None:
    said = call("run", "flows.py", "Delays", "--day", "2013-01-06")

    assert said.code == 3
    assert "Drop(day=2013-01-06)" in said.err


def test_a_fault_of_the_plan_ends_with_4(flows: Path, call: Call) -> None:
    said = call("run", "flows.py", "Odd")

    assert said.code == 4
    assert "cannot say what I need" in said.err


def test_the_result_is_json_on_request(flows: Path, call: Call) -> None:
    result = json.loads(call("run", "flows.py", "Delays", *DAY, "--json").out)

    assert (result["status"], result["done"], result["done_by_family"]) == ("ok", 1, {"Delays": 1})


def test_quiet_still_tells_what_went_wrong(flows: Path, call: Call) -> None:
    said = call("run", "-q", "flows.py", "Broken", "--attempts", "1")

    assert said.code == 1
    assert "ValueError: no flights today" in said.err


def test_quiet_says_nothing_of_data_that_has_not_come_yet(flows: Path, call: Call) -> None:
    """Cron would mail it each minute."""
    assert call("run", "-q", "flows.py", "Delays", "--day", "2013-01-06") == (3, "", "")
    assert "waiting for data" in call("run", "flows.py", "Delays", "--day", "2013-01-06").err


def test_options_are_stronger_than_the_configuration(flows: Path, call: Call) -> None:
    (flows / "levada.toml").write_text("[run]\nworkers = 2\nexecutor = 'processes'\n")
    (flows / "levada.toml").chmod(0o644)

    said = call("run", "flows.py", "Delays", *DAY, "--workers", "1", "--executor", "inline")

    assert said.code == 0, said.err


# -- plan, why


def test_plan_says_whether_there_is_work(flows: Path, call: Call) -> None:
    said = call("plan", "flows.py", "Delays", *DAY)
    assert said.code == exit_codes.WORK
    assert said.out.splitlines()[0].split()[:3] == ["family", "to", "do"]
    assert "1 task to do." in said.out

    call("run", "flows.py", "Delays", *DAY)
    assert call("plan", "flows.py", "Delays", *DAY).code == exit_codes.OK
    assert call("plan", "flows.py", "Delays", "--day", "2013-01-06").code == exit_codes.WAITING


def test_a_plan_has_a_tree_json_and_dot(flows: Path, call: Call) -> None:
    wanted = ("flows.py", "Delays", "--day", "2013-01-06")

    assert "  ? Drop(day=2013-01-06)" in call("plan", *wanted, "--tree").out
    assert "Drop" not in call("plan", *wanted, "--depth", "0").out
    assert json.loads(call("plan", *wanted, "--json").out)["counts"]["missing"] == 1
    assert call("plan", *wanted, "--dot").out.startswith("digraph")


def test_faults_of_a_plan_go_to_stderr(flows: Path, call: Call) -> None:
    said = call("plan", "flows.py", "Odd")

    assert said.code == exit_codes.PLAN_FAULT
    assert "fault: Odd(): requires() raised RuntimeError: cannot say what I need" in said.err


def test_why_names_what_would_end_the_wait(flows: Path, call: Call) -> None:
    said = call("why", "flows.py", "Delays", "--day", "2013-01-06")

    assert said.code == 0
    assert "external, and not there: " in said.out
    assert "drop/2013-01-06.csv" in said.out
    assert json.loads(call("why", "flows.py", "Delays", "--day", "2013-01-06", "--json").out)["verdict"] == "waiting"


def test_why_remembers_the_last_failure(flows: Path, call: Call) -> None:
    call("run", "flows.py", "Broken", "--attempts", "1")

    assert "ValueError: no flights today" in call("why", "flows.py", "Broken").out


# -- what the modules define


def test_list_names_families_and_what_they_say(flows: Path, call: Call) -> None:
    lines = call("list", "flows.py").out.splitlines()
    assert any(line.split() == ["Delays", "flows", "Minutes", "of", "delay", "by", "carrier."] for line in lines)

    found = {row["family"]: row for row in json.loads(call("list", "flows.py", "--json").out)}
    assert found["Drop"]["module"] == "flows"


def test_show_tells_where_each_value_comes_from(flows: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVADA_PARAM__Delays__window", "14")

    rows = {row["name"]: row for row in json.loads(call("show", "flows.py", "Delays", "--json").out)["parameters"]}

    assert (rows["window"]["value"], rows["window"]["where"]) == ("14", "environment LEVADA_PARAM__Delays__window")
    assert (rows["loud"]["value"], rows["loud"]["where"]) == ("False", "default")
    assert rows["day"]["value"] is None
    assert "(required)" in call("show", "flows.py", "Delays").out


def test_check_reports_all_that_is_wrong(flows: Path, call: Call) -> None:
    (flows / "wrong1.py").write_text("1 / 0\n")
    (flows / "wrong2.py").write_text("import levada as lv\nclass T(lv.Task):\n    run = lv.Parameter()\n")
    (flows / "levada.toml").write_text("[params.Delays]\nday = 'never'\n[params.Elsewhere]\nx = 1\n")
    (flows / "levada.toml").chmod(0o644)

    said = call("check", "wrong1.py", "wrong2", "flows.py")

    assert said.code == 2
    for words in (
        "ZeroDivisionError",
        "a parameter cannot have this name",
        "'never' is not a date",
        "3 faults found",
        "values are set for Elsewhere",
    ):
        assert words in said.err


def test_check_reads_a_task_that_has_parameters_of_its_own(flows: Path, call: Call) -> None:
    """Jobs of AWS Batch have them, in Luigi's spelling."""
    (flows / "batch.py").write_text(
        "import levada as lv\nclass Batch(lv.Task):\n    n: int = 3\n    @property\n    def parameters(self):\n        return {}\n"
    )
    said = call("check", "batch.py")
    assert (said.code, said.err) == (0, "")


def test_check_is_content_with_what_is_right(flows: Path, call: Call) -> None:
    said = call("check", "flows")

    assert (said.code, said.err) == (0, "")
    assert "nothing wrong" in said.out


# -- the past


def test_the_past_is_remembered_in_the_state_folder(flows: Path, call: Call) -> None:
    call("run", "flows.py", "Delays", *DAY)
    call("run", "flows.py", "Broken", "--attempts", "1")

    status = call("status").out
    assert "Delays(day=2013-01-05, window=7, loud=False)" in status
    assert "ValueError: no flights today" in status

    history = call("history").out
    assert history.splitlines()[0].split()[:2] == ["started", f"({zone()})"]
    assert history.splitlines()[1].split()[2].startswith("Broken()")
    assert "Delays" not in call("history", "--failed").out
    assert [row["exit"] for row in json.loads(call("history", "Delays", "--json").out)] == ["ok"]

    log = call("log", "Broken").out
    assert "Broken(): attempt 1 raised after" in log
    assert 'raise ValueError("no flights today")' in log


def test_without_a_past_that_is_said(here: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVADA_STATE", str(here / "none"))

    where = f"(state folder {here / 'none'})\n"
    assert call("status").out == f"no run was recorded yet {where}"
    assert call("history").out == f"no attempt was recorded yet {where}"
    assert call("log", "Delays").out == f"no failed attempt was recorded of Delays {where}"
    assert not (here / "none").exists()


@pytest.fixture
def past(flows: Path, call: Call) -> Path:
    """Two runs of a family with two parameters that failed, and one that ended well."""
    more = FLOWS_WITH_TWO + "\n"
    (flows / "two.py").write_text(more)
    call("run", "two.py", "Sessions", *DAY, "--country", "PT", "--attempts", "1")
    call("run", "two.py", "Sessions", *DAY, "--country", "ES, FR", "--attempts", "1")
    call("run", "flows.py", "Delays", *DAY)
    return flows


FLOWS_WITH_TWO = """
import levada as lv

class Sessions(lv.Task):
    day = lv.DateParameter()
    country = lv.Parameter()
    def output(self):
        return lv.LocalTarget("never.txt")
    def run(self):
        raise lv.errors.TargetError(f"no sessions of {self.country}", hint="Look at the door.")
"""


@pytest.mark.parametrize(
    "name",
    [
        "Sessions(day=2013-01-05, country=PT)",
        "Sessions(country=PT, day=2013-01-05)",
        "Sessions(country=PT,day=2013-01-05)",
        "Sessions(country=PT)",
        "country=PT",
    ],
)
def test_a_task_of_the_past_is_found_by_its_name_in_any_order(past: Path, call: Call, name: str) -> None:
    assert "no sessions of PT" in call("log", name).out
    assert call("history", name).out.count("no sessions of PT") == 1
    assert "no sessions of PT" in call("why", "two.py", name).out


def test_a_task_of_the_past_is_found_by_its_id_and_key(past: Path, call: Call) -> None:
    row = json.loads(call("history", "Sessions(country=ES, FR, day=2013-01-05)", "--json").out)[0]
    two = sys.modules["two"]
    task_id = two.Sessions(day=two.lv.DateParameter().parse("2013-01-05"), country="ES, FR").task_id

    assert "ES, FR" in call("log", task_id).out
    assert "ES, FR" in call("log", row["key"][:8]).out
    assert "ES, FR" in call("why", "two.py", task_id).out


def test_a_name_that_may_mean_several_lists_them(past: Path, call: Call) -> None:
    for command in (("log",), ("history",), ("why", "two.py")):
        said = call(*command, "Sessions(day=2013-01-05)")
        assert said.code == 2
        assert "may mean 2 tasks" in said.err
        assert "Sessions(day=2013-01-05, country=PT)" in said.err


@pytest.mark.parametrize("command", ["log", "history"])
def test_a_name_that_nobody_ran_is_answered_with_the_nearest(past: Path, call: Call, command: str) -> None:
    said = call(command, "Sesions")

    assert said.code == 2
    assert "Did you mean Sessions?" in said.err


def test_a_family_without_failures_is_no_error(past: Path, call: Call) -> None:
    assert call("log", "Delays").out.startswith("no failed attempt was recorded of Delays")
    assert call("log", "Delays").code == 0


def test_an_error_is_told_by_its_own_line_never_by_its_hint(past: Path, call: Call) -> None:
    for said in (call("history"), call("status"), call("why", "two.py", "Sessions", *DAY, "--country", "PT")):
        assert "TargetError: no sessions of" in said.out
        assert "Look at the door." not in said.out


def test_a_name_as_screens_show_it_names_the_task_of_a_run(past: Path, call: Call) -> None:
    assert call("plan", "flows.py", "Delays(window=7, loud=False, day=2013-01-05)").code == 0
    assert call("plan", "flows:Delays(day=2013-01-05)").code == 0
    said = call("plan", "flows.py", "Delays(dya=2013-01-05)")
    assert said.code == 2
    assert "--day" in said.err


def test_a_failure_ends_with_its_error_and_the_command_that_works(flows: Path, call: Call) -> None:
    said = call("run", "-q", "flows.py", "Broken", "--attempts", "1", "--state", "elsewhere")

    assert 'raise ValueError("no flights today")' in said.err
    assert "The whole error: levada log --state elsewhere 'Broken()'" in said.err
    assert "no flights today" in call("log", "--state", "elsewhere", "Broken()").out


def test_a_state_folder_that_others_may_write_ends_with_75(flows: Path, call: Call) -> None:
    (flows / "state").mkdir(mode=0o777)
    (flows / "state").chmod(0o777)

    said = call("run", "flows.py", "Delays", *DAY, "--state", "state")

    assert said.code == exit_codes.BUSY
    assert "chmod 700" in said.err


# -- the configuration


def test_config_explain_shows_values_and_origins_and_no_secret(flows: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    (flows / "levada.toml").write_text("[levada]\nmodules = ['flows']\n[run]\nworkers = 3\n[params.Drop]\ntoken = 'hush'\n")
    (flows / "levada.toml").chmod(0o644)
    monkeypatch.setenv("LEVADA_RUN__EXECUTOR", "threads")
    monkeypatch.setenv("LEVADA_WORKERS", "9")

    said = call("config", "explain")

    rows = {line.split()[0]: line for line in said.out.splitlines()}
    assert "[run] workers" in rows["run.workers"]
    assert "environment LEVADA_RUN__EXECUTOR" in rows["run.executor"]
    assert "***" in rows["Drop.token"]
    assert "hush" not in said.out + said.err
    assert "LEVADA_WORKERS is not a setting" in said.err
    assert "must be given" in call("config", "explain", "Drop").out


def test_config_path_names_the_files(flows: Path, call: Call) -> None:
    (flows / "levada.toml").write_text("")

    lines = call("config", "path").out.splitlines()

    assert lines[0] == str(flows / "levada.toml")
    assert lines[1].endswith(".config/levada/levada.toml (not there)")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_learn_the_commands(here: Path, call: Call, shell: str) -> None:
    assert "run plan why" in call("complete", shell).out


# -- the process


def test_it_is_a_program(flows: Path) -> None:
    """Exit code, streams, and no rich on the way, where nobody watches a terminal."""
    command = [sys.executable, "-X", "importtime", "-m", "levada", "run", "flows.py", "Delays", *DAY]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=flows, env=environ, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
    assert "| rich" not in done.stderr
    assert done.stdout == ""


def in_shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A command of bash in which ``levada`` is ours and buffers its output, as in a crontab."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environ.pop("PYTHONUNBUFFERED", None)
    script = f"levada() {{ '{sys.executable}' -m levada \"$@\"; }}; {command}"
    return subprocess.run(["bash", "-c", script], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("command", ["--help", "plan flows.py Drop --day 2013-01-05", "list flows.py"])
def test_a_reader_that_leaves_is_no_error(flows: Path, command: str) -> None:
    done = in_shell(flows, f"levada {command} | true; exit ${{PIPESTATUS[0]}}")

    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_goes_on_when_nobody_reads_what_it_says(flows: Path) -> None:
    done = in_shell(flows, "(sleep 0.5; levada run flows.py Broken --attempts 2 --json) 2>&1 | true; exit ${PIPESTATUS[0]}")

    assert done.returncode == 1
    assert "attempt 2 raised" in in_shell(flows, "levada log Broken").stdout


def test_output_that_finds_no_room_is_not_called_a_success(flows: Path) -> None:
    done = in_shell(flows, "levada list flows.py > /dev/full")

    assert done.returncode == exit_codes.UNAVAILABLE
    assert "No space left" in done.stderr


def test_a_level_of_logs_may_be_spelled_in_capitals(flows: Path, call: Call) -> None:
    """Luigi's command lines say ``--log-level INFO``."""
    assert call("run", "flows.py", "Delays", *DAY, "--log-level", "INFO").code == 0
    assert call("run", "flows.py", "Delays", *DAY, "--log-level", "LOUD").code == 2


def test_the_debugger_lands_on_the_line_of_the_user(flows: Path) -> None:
    """Also where the error arose below it, in Levada."""
    (flows / "twice.py").write_text(
        "import levada as lv\n\nclass Twice(lv.Task):\n    def output(self):\n        return lv.LocalTarget('no/../x.txt')\n"
        "    def run(self):\n        mine = 'here I am'\n        lv.LocalTarget('flows.py').write_text('x')\n"
    )
    done = in_shell(flows, "echo 'p mine' | levada run twice.py Twice --attempts 1 --pdb")

    assert "TargetExists" in done.stderr
    assert "'here I am'" in done.stdout


def test_a_breakpoint_in_a_pool_is_answered_with_the_way_to_use_it(flows: Path) -> None:
    (flows / "stops.py").write_text("import levada as lv\n\nclass Stops(lv.Task):\n    def run(self):\n        breakpoint()\n")
    done = in_shell(flows, "levada run stops.py Stops --attempts 1 --workers 2")

    assert done.returncode == 1
    assert "run() met a breakpoint where nobody can be asked; use --workers 1 --executor inline, or --pdb" in done.stderr

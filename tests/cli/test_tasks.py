"""From arguments to a task, and what is said when they are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Call


def toml(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)


def test_a_task_is_run_from_a_module(flows: Path, call: Call) -> None:
    said = call("run", "--module", "flows", "Delays", "--day", "2013-01-05")

    assert said.code == 0, said.err
    assert (flows / "delays" / "2013-01-05-7.txt").read_text() == "False"
    assert "made      1 task: Delays 1" in said.err
    assert said.out == ""


@pytest.mark.parametrize("first", [["flows.py", "Delays"], ["flows:Delays"], ["-mflows", "Delays"], ["Delays", "-m", "flows.py"]])
def test_a_module_can_be_named_in_several_ways(flows: Path, call: Call, first: list[str]) -> None:
    assert call("plan", *first, "--day=2013-01-05").code == 10


def test_modules_come_from_the_configuration(flows: Path, call: Call) -> None:
    toml(flows / "levada.toml", "[levada]\nmodules = ['flows']\n")

    assert call("plan", "Delays", "--day", "2013-01-05").code == 10


def test_options_of_command_and_task_may_be_mixed_after_the_family(flows: Path, call: Call) -> None:
    said = call("run", "flows.py", "Delays", "--window", "3", "--quiet", "--loud", "--day", "2013-01-05")

    assert (said.code, said.err) == (0, "")
    assert (flows / "delays" / "2013-01-05-3.txt").read_text() == "True"


@pytest.mark.parametrize(
    ("words", "loud"), [(["--loud"], "True"), (["--loud", "false"], "False"), (["--no-loud"], "False"), (["--loud=true"], "True")]
)
def test_a_flag_needs_no_value(flows: Path, call: Call, words: list[str], loud: str) -> None:
    assert call("run", "flows.py", "Delays", *words, "--day", "2013-01-05").code == 0
    assert (flows / "delays" / "2013-01-05-7.txt").read_text() == loud


def test_a_value_may_begin_with_one_dash(flows: Path, call: Call) -> None:
    assert "window=-3" in call("why", "flows.py", "Delays", "--day", "2013-01-05", "--window", "-3").out


def test_an_option_can_set_the_parameter_of_another_family(flows: Path, call: Call) -> None:
    (flows / "more.py").write_text(
        "import levada as lv\nfrom flows import Delays\n"
        "class Report(lv.Task):\n def requires(self):\n  return Delays()\n def output(self):\n  return lv.LocalTarget('report')\n"
    )
    said = call("plan", "more.py", "Report", "--Delays-day", "2013-01-05", "--Delays_window", "14", "--tree")

    assert said.code == 10, said.err
    assert "Delays(day=2013-01-05, window=14, loud=False)" in said.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["flows.py", "Delay"], "no task Delay was imported\n  Did you mean Delays"),
        (["-m", "flws", "Delays"], "there is no module 'flws'\n  Did you mean flows?"),
        (["flws.py", "Delays"], "there is no file flws.py"),
        (["flows.py", "Delays", "--dya", "2013-01-05"], "there is no option --dya\n  Did you mean --day?"),
        (["flows.py", "Delays", "--Delays-dya", "x"], "there is no option --Delays-dya\n  Did you mean --Delays-day"),
        (["--wrokers", "2", "flows.py", "Delays"], "there is no option --wrokers\n  Did you mean --workers?"),
        (["flows.py", "Delays"], "Delays: no value for day\n  Give:\n  --day DATE   last day, UTC"),
        (["flows.py", "Delays", "--day", "tomorrow"], "'tomorrow' is not a date; expected YYYY-MM-DD"),
        (["flows.py", "Delays", "--day"], "--day needs a value\n  Write --day DATE"),
        (["flows.py", "Delays", "--day", "--loud"], "--day needs a value"),
        (["flows.py", "Delays", "2013-01-05"], "unexpected word '2013-01-05'\n  One task a command"),
        (["flows.py", "Drop", "--day", "2013-01-05", "--token", "hush"], "--token is secret and must not stand on a command line"),
        (["flows.py", "Delays", "--workers", "none", "--day", "2013-01-05"], "--workers: got 'none', expected a whole number of 1 or more"),
        (["flows.py", "Delays", "--quiet=yes", "--day", "2013-01-05"], "--quiet takes no value"),
        (["flows.py"], "which task?"),
        ([], "which task?"),
    ],
)
def test_wrong_input_is_answered_with_the_remedy(flows: Path, call: Call, words: list[str], says: str) -> None:
    said = call("run", *words)

    assert said.code == 2
    assert says in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_all_wrong_parameters_are_told_at_once(flows: Path, call: Call) -> None:
    said = call("run", "flows.py", "Delays", "--window", "few")

    assert "'few' is not a whole number" in said.err
    assert "no value for day" in said.err


def test_a_task_without_a_module_says_how_to_name_one(here: Path, call: Call) -> None:
    said = call("run", "NoSuchTaskAnywhere")

    assert said.code == 2
    assert "use --module, or modules = [...] in levada.toml" in said.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import levada\n1 / 0\n", "importing wrong failed: ZeroDivisionError: division by zero ("),
        ("def x(:\n", "wrong.py:1"),
        ("import no_such_thing\n", "No module named 'no_such_thing'"),
        ("import sys\nsys.exit(3)\n", "importing wrong failed: SystemExit: 3"),
    ],
)
def test_a_module_that_fails_is_told_with_its_line(here: Path, call: Call, text: str, says: str) -> None:
    (here / "wrong.py").write_text(text)

    said = call("run", "-m", "wrong", "Delays")

    assert said.code == 2
    assert says in said.err
    assert "levada/cli" not in said.err  # the way through the user's code, none of ours


def test_a_file_may_not_hide_a_module_that_is_loaded(here: Path, call: Call) -> None:
    (here / "json.py").write_text("")

    said = call("run", "json.py", "Delays")

    assert said.code == 2
    assert "a module named json is loaded already" in said.err


def test_a_param_file_carries_secrets_and_other_families(flows: Path, call: Call) -> None:
    toml(flows / "p.toml", "day = 2013-01-05\n[Drop]\ntoken = 'hush'\n")
    said = call("run", "flows.py", "Delays", "--param-file", "p.toml", "--json")
    assert said.code == 0, said.err
    assert "hush" not in said.out + said.err

    toml(flows / "p.json", json.dumps({"day": "2013-01-05", "window": 3}))
    said = call("plan", "flows.py", "Delays", "--param-file", "p.json", "--window", "4", "--tree")
    assert "window=4" in said.out


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.toml", "dya = 1\n", "'dya' is neither a parameter of Delays nor a task family\n  Did you mean day"),
        ("p.json", "[1]", "expected an object of parameter values, got list"),
        ("p.json", "{", "is not JSON"),
        ("p.toml", "window = 'few'\nday = 2013-01-05\n", "'few' is not a whole number"),
    ],
)
def test_a_wrong_param_file_is_told(flows: Path, call: Call, name: str, text: str, says: str) -> None:
    toml(flows / name, text)

    said = call("run", "flows.py", "Delays", "--param-file", name)

    assert said.code == 2
    assert says in said.err


def test_a_misspelt_parameter_in_the_configuration_stops_the_run(flows: Path, call: Call) -> None:
    toml(flows / "levada.toml", "[params.Delays]\ndya = 2013-01-05\n")

    said = call("run", "flows.py", "Delays", "--day", "2013-01-05")

    assert said.code == 2
    assert "Delays has no parameter 'dya'" in said.err


def test_debug_shows_where_an_error_came_from(flows: Path, call: Call) -> None:
    said = call("run", "flows.py", "Delay", "--debug")

    assert said.code == 2
    assert "Traceback" in said.err
    assert "raise " in said.err

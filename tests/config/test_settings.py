from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

import levada as lv
from levada.config import schema
from levada.config.settings import Settings, load
from levada.errors import ConfigError, ParameterError, UnknownParameter


class Flights(lv.Task):
    day = lv.DateParameter()
    window = lv.IntParameter(default=7)
    carriers = lv.ListParameter(default=())
    token = lv.Parameter(default="", secret=True, significant=False)


def settings_of(tmp_path: Path, text: str = "", **environ: str) -> Settings:
    (tmp_path / "levada.toml").write_text(text)
    (tmp_path / "levada.toml").chmod(0o644)
    return load(environ, str(tmp_path))


def look_up(settings: Settings, name: str) -> tuple[object, str] | None:
    return settings.parameter(Flights, name, dict(Flights.parameters())[name])


# -- settings


def test_the_environment_is_stronger_than_a_file(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "[run]\nworkers = 2\nexecutor = 'threads'\n", LEVADA_RUN__WORKERS="8")

    assert settings.find("run", "workers") == (8, "environment LEVADA_RUN__WORKERS")
    found = settings.find("run", "executor")
    assert found is not None
    assert found.where.endswith("levada.toml: [run] executor")


def test_what_is_set_nowhere_has_the_callers_default(tmp_path: Path) -> None:
    assert settings_of(tmp_path).get("run", "workers", 1) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[rnu]\n", r"there is no section \[rnu\]\n  Did you mean \[run\]\?"),
        ("[run]\nwrokers = 2\n", r"\[run\] has no key 'wrokers'\n  Did you mean workers\?"),
        ("[run]\nworkers = 0\n", r"levada\.toml: \[run\] workers: got 0, expected a whole number of 1 or more"),
        ("[run]\nworkers = '3'\n", r"got '3', expected a whole number"),
        ("[run]\nworkers = true\n", r"got True, expected a whole number"),
        ("[run]\nexecutor = 'process'\n", r"expected one of inline, threads, processes"),
        ("[run]\ngrace = -1\n", r"expected seconds, 0 or more"),
        ("[run]\nconsole = 'maybe'\n", r"expected true or false"),
        ("[levada]\nmodules = 'flights'\n", r"expected a list of texts"),
        (
            "[jobs]\nbook = 'memory://jobs'\n",
            r"\[jobs\] book: got 'memory://jobs', expected a folder, or a URL that other processes can see",
        ),
        ("[levada]\nstate = ''\n", r"expected a text that is not empty"),
        ("[resources]\nhdfs = 'many'\n", r"\[resources\] hdfs: got 'many', expected a whole number"),
        ("[params]\nday = 2013-01-05\n", r"\[params\] day: a value without a family"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_place_and_remedy(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        settings_of(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LEVADA_RUN__WORKERS", "many", "environment LEVADA_RUN__WORKERS: got 'many'"),
        ("LEVADA_RUN__WRKERS", "2", "Did you mean workers"),
        ("LEVADA_RNU__WORKERS", "2", r"Did you mean \[run\]"),
        ("LEVADA_PARAM__day", "2013-01-05", "names no parameter"),
    ],
)
def test_what_is_wrong_in_the_environment_is_told(tmp_path: Path, name: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        settings_of(tmp_path, **{name: value})


def test_text_of_the_environment_is_read_by_kind(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path, LEVADA_LEVADA__MODULES="flights, reports", LEVADA_RUN__CONSOLE="off", LEVADA_RUN__GRACE="2.5", LEVADA_RESOURCES__hdfs="4"
    )

    assert settings.get("levada", "modules") == ("flights", "reports")
    assert settings.get("run", "console") is False
    assert settings.get("run", "grace") == 2.5
    assert settings.section("resources") == {"hdfs": 4}


def test_a_path_in_a_file_is_meant_from_its_folder(tmp_path: Path) -> None:
    assert settings_of(tmp_path, "[levada]\nstate = 'state'\n").get("levada", "state") == str(tmp_path / "state")


def test_every_setting_has_a_help_text() -> None:
    assert all(key.help for keys in schema.SECTIONS.values() for key in keys.values())


# -- parameters


def test_command_line_environment_file_in_that_order(tmp_path: Path) -> None:
    text = "[params.Flights]\nday = 2013-01-05\nwindow = 3\ncarriers = ['UA']\n"
    settings = settings_of(tmp_path, text, LEVADA_PARAM__Flights__window="14", LEVADA_PARAM__Flights__day="2013-01-06")
    settings.give("Flights", "day", "2013-01-07", "command line, --Flights-day")

    assert look_up(settings, "day") == ("2013-01-07", "command line, --Flights-day")
    assert look_up(settings, "window") == ("14", "environment LEVADA_PARAM__Flights__window")
    found = look_up(settings, "carriers")
    assert found is not None
    assert found[0] == ["UA"]
    assert found[1].endswith("levada.toml: [params.Flights] carriers")
    assert look_up(settings, "token") is None


def test_values_of_toml_arrive_as_values_of_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from levada import task

    settings = settings_of(tmp_path, "[params.Flights]\nday = 2013-01-05\ncarriers = ['UA', 'B6']\n")
    task.set_value_source(settings.parameter)
    try:
        made: Any = Flights()
        assert made is Flights(date(2013, 1, 5), 7, ("UA", "B6"))
    finally:
        task.set_value_source(None)


def test_a_value_of_the_wrong_type_is_told_with_its_place(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "[params.Flights]\nwindow = 1.5\n")

    with pytest.raises(ParameterError, match=r"1\.5.*\(from .*levada\.toml: \[params\.Flights\] window\)"):
        look_up(settings, "window")


@pytest.mark.parametrize("name", ["LEVADA_PARAM__air_Legs__day", "LEVADA_PARAM__AIR_LEGS__DAY", "LEVADA_PARAM__air.Legs__day"])
def test_a_namespace_can_be_spelled_as_a_shell_can(tmp_path: Path, name: str) -> None:
    class Legs(lv.Task):
        task_namespace = "air"
        day = lv.DateParameter()

    settings = settings_of(tmp_path, **{name: "2013-01-05"})

    assert settings.parameter(Legs, "day", dict(Legs.parameters())["day"]) == ("2013-01-05", f"environment {name}")
    assert settings.check_parameters({"air.Legs": Legs}) == []


@pytest.mark.parametrize("head", ["[params.air.Legs]", '[params."air.Legs"]'])
def test_a_namespace_in_a_file_may_be_quoted_or_not(tmp_path: Path, head: str) -> None:
    class Legs(lv.Task):
        task_namespace = "air"
        day = lv.DateParameter()

    settings = settings_of(tmp_path, f"{head}\nday = 2013-01-05\n")

    found = settings.parameter(Legs, "day", dict(Legs.parameters())["day"])
    assert found is not None
    assert found.value == date(2013, 1, 5)
    assert settings.check_parameters({"air.Legs": Legs}) == []


def test_the_older_place_of_a_parameter_counts_when_its_own_has_nothing(tmp_path: Path) -> None:
    class Moved(lv.Task):
        day = lv.DateParameter(config_path={"section": "Before", "name": "date"})

    settings = settings_of(tmp_path, "[params.Before]\ndate = 2013-01-05\n")
    found = settings.parameter(Moved, "day", dict(Moved.parameters())["day"])
    assert found is not None
    assert found.value == date(2013, 1, 5)


def test_a_secret_may_be_named_instead_of_written(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "[params.Flights]\ntoken = 'secret://env/API_TOKEN'\n", API_TOKEN="hush")

    found = look_up(settings, "token")
    assert found is not None
    assert found[0] == "hush"
    assert "hush" not in found[1]


def test_a_secret_that_is_named_and_not_there_is_told(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "[params.Flights]\ntoken = 'secret://env/API_TOKEN'\n")

    with pytest.raises(ConfigError, match="API_TOKEN, which is not set"):
        look_up(settings, "token")


def test_a_misspelt_parameter_of_a_known_family_is_an_error(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "[params.Flights]\nwindw = 3\n")

    with pytest.raises(UnknownParameter, match="Flights has no parameter 'windw'\n  Did you mean window"):
        settings.check_parameters({"Flights": Flights})


def test_a_family_that_was_not_imported_is_only_named(tmp_path: Path) -> None:
    """A configuration is shared by programs that import different modules."""
    settings = settings_of(tmp_path, "[params.Other]\nx = 3\n", LEVADA_PARAM__Third__y="1")

    assert settings.check_parameters({"Flights": Flights}) == ["Other", "Third"]


def test_nothing_is_looked_up_where_nothing_is_set(tmp_path: Path) -> None:
    assert not settings_of(tmp_path, "[run]\nworkers = 2\n").has_parameters

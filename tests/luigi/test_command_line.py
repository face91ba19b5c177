"""Command lines in Luigi's spelling: which task, which parameters, of whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import levada as lv
import levada.luigi as luigi
from levada.luigi.cmdline_parser import CmdlineParser
from levada.luigi.task_register import Register, TaskClassAmbigiousException, TaskClassNotFoundException


@pytest.fixture(autouse=True)
def _families() -> Iterator[None]:
    before = Register._get_reg()
    yield
    Register._set_reg(before)


@pytest.fixture
def classes() -> dict[str, type]:
    class Source(luigi.Task):  # type: ignore[misc]
        folder = lv.Parameter(default="in")

    class Report(luigi.Task):  # type: ignore[misc]
        day = lv.DateParameter()
        dry = lv.BoolParameter()
        loud = lv.BoolParameter(parsing=lv.BoolParameter.EXPLICIT_PARSING)

    class house(luigi.Config):
        use_cmdline_section = False
        colour = lv.Parameter(default="white")

    return {"Source": Source, "Report": Report, "house": house}


def test_parameters_of_the_wanted_task_are_plain_those_of_others_have_its_name(classes: dict[str, type]) -> None:
    words = ["Report", "--day", "2013-01-31", "--dry", "--loud", "false", "--Source-folder", "out", "--colour", "red"]

    with CmdlineParser.global_instance(words) as line:
        task = line.get_task_obj()
        assert (str(task.day), task.dry, task.loud) == ("2013-01-31", True, False)
        assert classes["Source"]().folder == "out"
        assert classes["Source"](folder="code").folder == "code"
        assert classes["house"]().colour == "red"
    assert classes["Source"]().folder == "in"


def test_the_command_line_counts_more_than_the_configuration(classes: dict[str, type]) -> None:
    luigi.configuration.get_config().set("Source", "folder", "file")
    try:
        with CmdlineParser.global_instance(["Report", "--day", "2013-01-31", "--Source-folder", "line"]):
            assert classes["Source"]().folder == "line"
        assert classes["Source"]().folder == "file"
    finally:
        luigi.configuration.get_config().remove_section("Source")


def test_a_misspelt_task_is_told_with_the_nearest_name(classes: dict[str, type]) -> None:
    with pytest.raises(TaskClassNotFoundException, match=r"(?s)No task Raport.*Report"):
        CmdlineParser(["Raport", "--day", "2013-01-31"])


@pytest.mark.parametrize("words", [["Report", "--day", "2013-01-31", "--colours", "red"], ["Report", "--dry", "true", "more"]])
def test_what_is_not_known_ends_the_program(classes: dict[str, type], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        CmdlineParser(words)

    assert "unrecognized arguments" in capsys.readouterr().err


def test_without_a_task_the_program_ends_with_a_sentence() -> None:
    with pytest.raises(SystemExit, match="No task specified"):
        CmdlineParser([])


def test_one_command_line_is_in_use_at_a_time(classes: dict[str, type]) -> None:
    with CmdlineParser.global_instance(["Source"]) as outer:
        with pytest.raises(AssertionError, match="allow_override"), CmdlineParser.global_instance(["Source"]):
            pass
        with CmdlineParser.global_instance(["Source", "--folder", "x"], allow_override=True) as inner:
            assert CmdlineParser.get_instance() is inner
        assert CmdlineParser.get_instance() is outer
    assert CmdlineParser.get_instance() is None


def test_two_tasks_of_one_name_are_told() -> None:
    def made() -> type:
        class Twin(luigi.Task):  # type: ignore[misc]
            pass

        return Twin

    def other() -> type:
        class Twin(luigi.Task):  # type: ignore[misc]
            pass

        return Twin

    both = made(), other()

    with pytest.raises(TaskClassAmbigiousException):
        Register.get_task_cls("Twin")
    assert len(both) == 2


def test_tests_can_put_the_registry_back(classes: dict[str, type]) -> None:
    before = Register._get_reg()

    class Late(luigi.Task):  # type: ignore[misc]
        pass

    assert Late in Register._get_reg().values()
    Register._set_reg(before)
    assert "Late" not in Register.task_names()
    assert Register.get_task_cls("Report") is classes["Report"]


def test_a_class_that_nobody_holds_is_found_by_the_name_that_it_has_now() -> None:
    import gc

    def make(name: str) -> None:
        class Made(luigi.Task):  # type: ignore[misc]
            pass

        Made.__name__ = name

    make("Monthly")
    gc.collect()

    assert Register.get_task_cls("Monthly").__name__ == "Monthly"

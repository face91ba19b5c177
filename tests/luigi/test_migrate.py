"""`levada migrate check`: how a project of Luigi would fare, read and never run."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from levada.cli import main
from levada.luigi.migrate import AS_IS, DIFFERS, UNSUPPORTED, annex, check, knowledge, sources

PROGRAM = """
import luigi
import luigi as l
from luigi import LocalTarget as Out, Parameter

raise SystemExit("this file must never be run")

class Base(luigi.Task):
    day = luigi.DateParameter()
    def output(self):
        return Out(f"{self.day}.txt")

class Report(Base):
    task_namespace = "shop"
    size = l.IntParameter()
    def run(self):
        yield Base(day=self.day)
"""


def written(folder: Path, **files: str | bytes) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def subjects(folder: Path, kind: str) -> dict[str, list[tuple[str, int]]]:
    return {each.subject: [(Path(place.path).name, place.line) for place in each.places] for each in check([str(folder)]).of(kind)}


def names(folder: Path, kind: str) -> set[str]:
    return {place.name or each.subject for each in check([str(folder)]).of(kind) for place in each.places}


def test_a_plain_program_runs_as_it_is_and_is_not_run_to_find_out(tmp_path: Path) -> None:
    written(tmp_path, flows_DOT_py=PROGRAM)

    report = check([str(tmp_path)])

    assert report.of(UNSUPPORTED) == []
    assert {"luigi.Task", "luigi.LocalTarget", "luigi.DateParameter", "luigi.IntParameter"} <= {each.subject for each in report.of(AS_IS)}
    assert (report.python_files, report.luigi_files, report.unread) == (1, 1, [])


def test_a_name_that_is_not_there_is_told_with_all_its_places(tmp_path: Path) -> None:
    written(
        tmp_path,
        a_DOT_py="import luigi\nclass T(luigi.NoSuchTask):\n    x = luigi.NoSuchTask\n",
        sub__b_DOT_py="from luigi.contrib.nothing import Such\nfrom luigi import no_such_module\n",
    )

    found = subjects(tmp_path, UNSUPPORTED)

    assert found["luigi.NoSuchTask"] == [("a.py", 2), ("a.py", 3)]
    assert found["luigi.contrib.nothing"] == [("b.py", 1)]
    assert found["luigi.no_such_module"] == [("b.py", 2)]


def test_what_the_program_can_do_without_is_no_obstacle(tmp_path: Path) -> None:
    guarded = "try:\n    from luigi.contrib.nothing import Such\nexcept ImportError:\n    Such = None\n"
    written(tmp_path, a_DOT_py=f"import luigi\n{guarded}x = Such\nhasattr(luigi, 'nothing')\n")

    assert subjects(tmp_path, UNSUPPORTED) == {}
    assert "luigi.contrib.nothing is not there" in subjects(tmp_path, DIFFERS)


def test_a_failing_task_inside_of_try_guards_no_name(tmp_path: Path) -> None:
    written(tmp_path, a_DOT_py="import luigi\ntry:\n    luigi.nothing()\nexcept Exception:\n    pass\n")

    assert list(subjects(tmp_path, UNSUPPORTED)) == ["luigi.nothing"]


@pytest.mark.parametrize(
    "line",
    [
        "luigi.interface.build = print",
        "setattr(luigi.interface, 'build', print)",
        "patch('luigi.interface.build')",
        "patch.object(luigi.interface, 'build')",
        "monkeypatch.setattr('luigi.interface', 'build', print)",
    ],
)
def test_patches_of_luigi_are_found_however_they_are_written(tmp_path: Path, line: str) -> None:
    written(tmp_path, a_DOT_py=f"import luigi.interface\n{line}\n")

    patched = [each for each in check([str(tmp_path)]).of(DIFFERS) if each.see.endswith("#patched-names")]

    assert [(place.name, place.line) for each in patched for place in each.places] == [("luigi.interface.build", 2)]


def test_a_patch_of_what_is_not_there_is_not_supported(tmp_path: Path) -> None:
    text = "import luigi.interface\nfrom unittest import mock\nmock.patch('luigi.interface._nothing')\ndel luigi.interface._none\n"
    written(tmp_path, a_DOT_py=text)

    assert subjects(tmp_path, UNSUPPORTED) == {"luigi.interface._none": [("a.py", 4)], "luigi.interface._nothing": [("a.py", 3)]}


@pytest.mark.parametrize("line", ["luigi.parameter.Parameter.copy = print", "setattr(luigi.parameter.Parameter, 'copy', print)"])
def test_a_name_that_the_program_adds_itself_is_there(tmp_path: Path, line: str) -> None:
    """It asks nobody whether it was there before; but what only Luigi would have asked changes nothing."""
    written(tmp_path, a_DOT_py=f"import luigi\n{line}\n")

    report = check([str(tmp_path)])

    assert report.of(UNSUPPORTED) == []
    assert [each.see for each in report.of(DIFFERS)] == ["docs/luigi.md#set-names"]


def test_what_was_left_out_is_told_with_what_to_use(tmp_path: Path) -> None:
    text = "from luigi.contrib.dropbox import DropboxTarget\nfrom luigi.contrib.batch import BatchClient\n"
    found = check([str(written(tmp_path, a_DOT_py=text))]).of(UNSUPPORTED)
    assert [each.subject for each in found] == ["luigi.contrib.batch.BatchClient", "luigi.contrib.dropbox"]
    assert "BatchTask speaks to AWS" in found[0].what
    assert "use LocalTarget" in found[1].what


def test_jobs_that_are_handed_over_or_fail_otherwise_are_told(tmp_path: Path) -> None:
    text = "from luigi.contrib.ecs import ECSTask\nfrom luigi.contrib import sge\nsge.SGEJobTask\n"
    told = {each.see.partition("#")[2] for each in check([str(written(tmp_path, a_DOT_py=text))]).of(DIFFERS)}
    assert told == {"jobs", "failed-jobs"}


def test_scripts_without_a_suffix_are_read_and_notebooks_are_told(tmp_path: Path) -> None:
    written(
        tmp_path,
        bin__nightly="#!/usr/bin/env python3\nimport luigi\nluigi.nothing\n",
        bin__other="#!/bin/sh\necho luigi.nothing\n",
        book_DOT_ipynb='{"cells": [{"source": ["import luigi"]}]}',
        plain_DOT_ipynb='{"cells": []}',
    )
    assert subjects(tmp_path, UNSUPPORTED) == {"luigi.nothing": [("nightly", 3)]}
    report = check([str(tmp_path)])
    assert (report.python_files, report.luigi_files) == (1, 1)
    assert [(Path(place.path).name, "nbconvert" in why) for place, why in report.unread] == [("book.ipynb", True)]


def test_shapes_that_behave_differently_are_found_in_tasks_alone(tmp_path: Path) -> None:
    text = """
import luigi

class Loud(luigi.Task):
    def run(self):
        print("done")

class Asks(luigi.Task):
    def complete(self):
        return False
    def run(self):
        def inner():
            yield 1
        got = yield Loud()

class Plain:
    def run(self):
        yield 1
"""
    written(tmp_path, a_DOT_py=text)

    rows = {each.see.partition("#")[2]: [(place.name, place.line) for place in each.places] for each in check([str(tmp_path)]).of(DIFFERS)}

    assert rows == {"dynamic-requirements": [("Asks.run", 14)], "no-output": [("Loud", 4)]}


def test_tasks_that_stand_on_tasks_of_other_files_are_tasks(tmp_path: Path) -> None:
    """The second file does not name the engine at all."""
    written(
        tmp_path,
        base_DOT_py="import luigi\nclass Base(luigi.Task):\n    pass\n",
        flow_DOT_py="from base import Base\nclass Flow(Base):\n    def run(self):\n        yield Base()\n",
        other_DOT_py="class Flow2(list):\n    pass\n",
    )

    report = check([str(tmp_path)])

    assert [place.name for each in report.of(DIFFERS) for place in each.places] == ["Flow.run"]
    assert report.luigi_files == 2


def test_options_of_a_run_that_nobody_knows_are_told(tmp_path: Path) -> None:
    written(tmp_path, a_DOT_py="import luigi\nluigi.build([], local_scheduler=True, workers=2, log_level='INFO', wrokers=3)\n")

    assert list(subjects(tmp_path, UNSUPPORTED)) == ["luigi.build(wrokers=...)"]


def test_sections_of_tasks_and_of_nobody(tmp_path: Path) -> None:
    config = "[shop.Report]\nsize = 3\n\n[Base]\nday=2024-01-01\n[elsewhere]\nkey: 1\n[mine]\na = 1\n"
    program = PROGRAM + "\nimport luigi.configuration\nx = luigi.configuration.get_config().get('mine', 'a')\n"
    written(tmp_path, flows_DOT_py=program, luigi_DOT_cfg=config)

    as_it_is = subjects(tmp_path, AS_IS)

    assert as_it_is["[shop.Report] size"] == [("luigi.cfg", 2)]
    assert as_it_is["[Base] day"] == [("luigi.cfg", 5)]
    assert "[elsewhere]" in names(tmp_path, DIFFERS)
    assert "[mine]" not in names(tmp_path, DIFFERS)


@pytest.mark.parametrize(
    "setting",
    [
        "[spark]\nmaster = yarn", "[postgres]\nmarker-table = x", "[s3]\naws_access_key_id = x", "[hive]\ncommand = x", "[pig]\nhome = x",
        "[redshift]\nmarker-table = x",
        "[logging]\nversion = 1", "[sqlalchemy]\nmarker-table = x", "[pyspark_runner]\nuse_spark_session = x",
        "[hadoop]\npython-executable = x", "[elasticsearch]\nmarker-index = x", "[redis]\nmarker-prefix = x", "[hadoopcli]\ncommand = x",
    ],
)  # fmt: skip
def test_keys_that_modules_look_up_by_themselves_are_read(tmp_path: Path, setting: str) -> None:
    report = check([str(written(tmp_path, luigi_DOT_cfg=setting + "\n"))])
    assert (report.of(UNSUPPORTED), report.of(DIFFERS)) == ([], [])
    assert len(report.of(AS_IS)) == 2


def test_a_section_of_a_namespace_that_a_call_sets_is_that_of_its_task(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text('import luigi\n\nluigi.namespace("sales", scope="sales")\n')
    (tmp_path / "jobs.py").write_text("import luigi\n\n\nclass Report(luigi.Task):\n    n = luigi.IntParameter()\n")
    (tmp_path / "luigi.cfg").write_text("[sales.Report]\nn = 3\n")
    assert names(tmp_path, DIFFERS) == set()


def test_sections_and_keys_of_toml_have_lines_too(tmp_path: Path) -> None:
    written(tmp_path, flows_DOT_py=PROGRAM, luigi_DOT_toml='# c\n["shop.Report"]\n\nsize = 3\n[Base]\nday = 2024-01-01\n')

    as_it_is = subjects(tmp_path, AS_IS)

    assert as_it_is["[shop.Report] size"] == [("luigi.toml", 4)]
    assert as_it_is["[Base] day"] == [("luigi.toml", 6)]


def test_configuration_that_the_program_adds_itself_is_read(tmp_path: Path) -> None:
    written(
        tmp_path,
        flows_DOT_py=PROGRAM + "\nimport luigi.configuration\nluigi.configuration.add_config_path('conf/param.ini')\n",
        conf__param_DOT_ini="[Base]\nday=1\n",
        tox_DOT_ini="[tox]\na=1\n",
    )

    assert [Path(path).name for path in check([str(tmp_path)]).config_files] == ["param.ini"]


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    written(
        tmp_path,
        a_DOT_py=PROGRAM,
        broken_DOT_py="import luigi\n\nprint 'two'\n",
        deep_DOT_py="import luigi\nx = " + "+".join(["1"] * 20_000) + "\n",
        chain_DOT_py="import luigi\nx = luigi" + ".a" * 20_000 + "\n",
        zero_DOT_py=b"import luigi\n\0",
        luigi_DOT_cfg="[core]\nworkers\n  x\n[core]\n",
    )

    report = check([str(tmp_path)])

    unread = {Path(place.path).name: place.line for place, _ in report.unread}
    assert unread["broken.py"] == 3
    assert unread["luigi.cfg"] == 4
    assert set(unread) == {"broken.py", "deep.py", "chain.py", "zero.py", "luigi.cfg"}
    assert "luigi.DateParameter" in {each.subject for each in report.of(AS_IS)}


def test_environments_and_caches_are_no_part_of_the_program(tmp_path: Path) -> None:
    bad = "import luigi\nluigi.nothing\n"
    written(tmp_path, flows_DOT_py=PROGRAM, venv__pyvenv_DOT_cfg="", venv__lib__a_DOT_py=bad, _DOT_git__a_DOT_py=bad, build__a_DOT_py=bad)

    assert check([str(tmp_path)]).python_files == 1


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("requirements.txt", "luigi[toml]>=3.5  # engine"),
        ("pyproject.toml", '    "luigi>=3",'),
        ("pyproject.toml", 'luigi = "^3.0"'),
        ("setup.py", "    install_requires=['luigi==3.1.1',"),
        ("requirements-dev.txt", "luigi"),
    ],
)
def test_the_dependency_on_luigi_is_found(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / name).write_text(f"# luigi is nice\nsciluigi>=1\n{line}\n")

    assert [place.line for place, _ in check([str(tmp_path)]).dependencies] == [3]


def test_each_difference_that_is_told_has_its_row_in_the_page() -> None:
    page = (Path(__file__).parents[2] / knowledge.PAGE).read_text(encoding="utf-8")

    assert [row for row in knowledge.DIFFERENCES if f'id="{row}"' not in page] == []


def test_each_difference_that_is_told_of_a_name_is_a_row() -> None:
    assert set(knowledge.NAMES.values()) <= set(knowledge.DIFFERENCES)


def test_reading_a_class_of_modules_goes_on_to_its_attributes() -> None:
    assert annex.find("luigi.Task.clone").missing == ""
    assert annex.find("luigi.LocalTarget.nothing").missing == "luigi.LocalTarget.nothing"


def test_relative_imports_and_names_alike_are_not_luigis() -> None:
    found = sources.read(b"from .luigi import Task\nfrom luigipro import X\nimport b2luigi\nfrom . import luigi\n")

    assert found.uses == []


# -- the command ---------------------------------------------------------------------------------


def test_the_exit_code_says_whether_the_program_can_switch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, a_DOT_py=PROGRAM)
    assert main(["migrate", "check", str(tmp_path)]) == 0
    assert "levada luigi --module" in capsys.readouterr().out

    written(tmp_path, b_DOT_py="import luigi\nprint 1\n")
    assert main(["migrate", "check", str(tmp_path)]) == 2
    assert "b.py:2: not read" in capsys.readouterr().err

    written(tmp_path, b_DOT_py="import luigi\nluigi.nothing\n")
    assert main(["migrate", "check", str(tmp_path)]) == 1
    assert "b.py:2" in capsys.readouterr().out


def test_a_place_is_one_line_whatever_the_file_is_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "two\nlines.py").write_text("import luigi\nluigi.nothing\n")
    assert main(["migrate", "check", str(tmp_path)]) == 1
    assert r"two\nlines.py:2" in capsys.readouterr().out


def test_a_folder_without_luigi_is_told_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "check", str(written(tmp_path, a_DOT_py="print(1)\n"))]) == 0
    said = capsys.readouterr().out
    assert "Nothing here takes anything from Luigi." in said
    assert "Next:" not in said


@pytest.mark.parametrize("words", [["migrate"], ["migrate", "chekc", "."], ["migrate", "check"], ["migrate", "check", "not-there"]])
def test_wrong_words_are_answered_with_the_right_ones(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "levada" in capsys.readouterr().err


def test_a_folder_without_sources_is_no_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "check", str(tmp_path)]) == 2
    assert "no Python source" in capsys.readouterr().err


def test_the_report_as_json_has_every_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, a_DOT_py=PROGRAM + "luigi.nothing\n" * 9)
    assert main(["migrate", "check", str(tmp_path), "--json"]) == 1

    said: dict[str, Any] = json.loads(capsys.readouterr().out)

    assert len(said["not_supported"][0]["places"]) == 9
    assert said["differs"][0]["see"] == "docs/luigi.md#dynamic-requirements"
    assert {each["subject"] for each in said["as_it_is"]} >= {"luigi.Task"}


@pytest.mark.timeout(20)
def test_pipes_devices_and_endless_files_are_told_and_not_waited_for(tmp_path: Path) -> None:
    """A pipe named like a source, which nobody writes to, would hold the check for ever; /dev/zero would fill the memory."""
    written(tmp_path, flows_DOT_py="import luigi\n")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    with (tmp_path / "hole.py").open("wb") as hole:
        hole.truncate(1 << 40)

    report = check([str(tmp_path)])

    assert report.python_files == 1
    assert {(Path(place.path).name, why.split(";")[0]) for place, why in report.unread} == {
        ("pipe.py", "not a regular file"),
        ("zero.py", "not a regular file"),
        ("hole.py", "1,099,511,627,776 bytes"),
    }


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in it is unknown, so "nothing unsupported" would be a guess."""
    written(tmp_path, flows_DOT_py="import luigi\n", closed__more_DOT_py="import luigi\n")
    real = os.scandir

    def scandir(path: str) -> Any:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert [(Path(place.path).name, why) for place, why in check([str(tmp_path)]).unread] == [("closed", "Permission denied")]


@pytest.mark.timeout(20)
def test_a_long_chain_of_classes_takes_no_square_of_its_length(tmp_path: Path) -> None:
    """Sources that a generator wrote: ten thousand classes, each before its base."""
    chain = "".join(f"class T{number}(T{number - 1}): ...\n" for number in range(10_000, 0, -1))
    written(tmp_path, flows_DOT_py=f"import luigi\nclass T0(luigi.Task): ...\n{chain}")
    begin = time.process_time()
    assert check([str(tmp_path)]).luigi_files == 1
    assert time.process_time() - begin < 10


def test_what_is_wrong_with_settings_is_told_in_a_line_that_a_terminal_bears(tmp_path: Path) -> None:
    (((_, why),)) = check([str(written(tmp_path, luigi_DOT_cfg="[core]\n" + "a" * 1_000_000))]).unread
    assert len(why) <= 300

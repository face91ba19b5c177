"""Values that are for the worker's eyes alone: where they may not be found again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from levada import luigi
from levada._served import module_of
from levada.cli import main
from levada.luigi.parameter import ParameterVisibility
from levada.task import canonical_of, key_of

PROGRAM = """
import os
import levada.luigi as luigi
from levada.luigi.parameter import ParameterVisibility

class PrivateLoad(luigi.Task):
    day = luigi.Parameter(default="monday")
    password = luigi.Parameter(default="open" + "sesame", visibility=ParameterVisibility.PRIVATE)

    def output(self):
        return luigi.LocalTarget(self.day)

    def run(self):
        if self.day == "sunday":
            raise ValueError("closed")
        with self.output().open("w") as out:
            out.write("x")
"""


class Login(luigi.Task):
    user = luigi.Parameter()
    password = luigi.Parameter(visibility=ParameterVisibility.PRIVATE)


def test_a_private_value_is_no_part_of_the_text_that_is_stored_and_sent() -> None:
    """Luigi tells nobody outside the worker; a private password stood in the history, and in whatever the server showed."""
    task = Login("ana", "opensesame")
    assert "opensesame" not in canonical_of(task)
    assert json.loads(canonical_of(task))["user"] == "ana"


def test_tasks_that_differ_in_a_private_value_stay_two_and_equal_ones_one() -> None:
    assert key_of(Login("ana", "a")) != key_of(Login("ana", "b"))
    assert key_of(Login("ana", "a")) == key_of(Login(user="ana", password="a"))


def test_nobody_else_is_asked_to_build_a_task_whose_values_are_not_told() -> None:
    assert module_of(Login("ana", "a")) is None


def test_a_private_value_is_in_no_file_of_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loads.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("LEVADA_STATE", str(tmp_path / "state"))
    assert main(["run", "--module", "loads", "PrivateLoad"]) == 0
    assert main(["run", "--module", "loads", "PrivateLoad", "--day", "sunday", "--retries", "0"]) != 0
    kept = [Path(folder, name) for folder, _, names in os.walk(tmp_path / "state") for name in names]
    assert any(path.name == "history.db" for path in kept)
    assert [path.name for path in kept if b"opensesame" in path.read_bytes()] == []

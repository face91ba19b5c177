"""What travels to the nodes is enough, and is no pickle: run as a node would, with nothing but the archive."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from levada.contrib.hadoop import shipping, streaming
from levada.contrib.hadoop.engine import as_uri
from levada.errors import JobRefused

from .jobs import Counted, DelayByCarrier, Where


def as_node(folder: Path, task: Counted | DelayByCarrier | Where, phase: str, lines: str) -> subprocess.CompletedProcess[str]:
    """A phase in a folder that has what a container has, without the code of this checkout."""
    with zipfile.ZipFile(shipping.archive(task, str(folder / "state"))) as archive:
        archive.extractall(folder / "levada-code")
    (folder / shipping.TASK_FILE).write_text(shipping.describe(task, {there: name for there, (_, name) in streaming.shipped(task).items()}))
    program = [sys.executable, "-S", "-m", "levada.contrib.hadoop.runner", phase]
    return subprocess.run(
        program, cwd=folder, env={"PYTHONPATH": "levada-code"}, input=lines, capture_output=True, encoding="utf-8", check=False
    )


def test_both_phases_run_with_what_travelled(tmp_path: Path) -> None:
    task = Counted(text="/in", into="/out")
    mapped = as_node(tmp_path, task, "map", "b ä b\n")
    assert (mapped.returncode, mapped.stdout) == (0, '"\\u00e4"\t1\n"b"\t2\n')
    assert mapped.stderr == "reporter:counter:words,read,3\n"
    reduced = as_node(tmp_path, task, "reduce", mapped.stdout)
    assert (reduced.returncode, reduced.stdout) == (0, "ä\t1\nb\t2\n")


def test_what_init_local_set_travels(tmp_path: Path) -> None:
    (tmp_path / "carriers").write_text("carrier,name\nUA,Ünited\n")
    task = DelayByCarrier(flights="/f", carriers=str(tmp_path / "carriers"), into="/out")
    for _ in range(2):  # another attempt of it sets the same again
        shipping.prepare(task)
        mapped = as_node(tmp_path, task, "map", "2013,1,5,1,,7,,,,UA\n")
        assert mapped.stdout == '["\\u00dcnited",{"@date":"2013-01-05"}]\t[1,7]\n', mapped.stderr


def test_files_have_the_names_that_the_author_wants(tmp_path: Path) -> None:
    (tmp_path / "levada-0").write_text("42")
    said = as_node(tmp_path, Where(text="/in", into="/out", extra="/a/b.txt"), "map", "x\n")
    place, content, variable = said.stdout.rstrip("\n").split("\t")
    assert Path(place) == tmp_path / "levada-code" / "levada" / "__init__.py"
    assert (content, variable) == ("42", "Ä b")


def test_a_name_may_have_folders_in_it(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEVADA_TASK", "LEVADA_FENCE", "LEVADA_SUBMISSION"):
        monkeypatch.setenv(name, "")  # what the node sets is undone here
    (in_tmp / "levada-0").write_text("42")
    shipping.read_task(shipping.describe(Counted(text="/in", into="/out"), {"levada-0": "deep/down/b.txt"}))
    assert (in_tmp / "deep" / "down" / "b.txt").read_text() == "42"


def test_a_failure_shows_its_traceback_and_its_exit_status(tmp_path: Path) -> None:
    said = as_node(tmp_path, Counted(text="/in", into="/out"), "reduce", "no text of ours\n")
    assert said.returncode == 1
    assert "ValueError: not the text of a key or value" in said.stderr


def test_another_phase_is_told(tmp_path: Path) -> None:
    said = as_node(tmp_path, Counted(text="/in", into="/out"), "sort", "")
    assert said.returncode == 64
    assert "map|reduce" in said.stderr


def test_what_init_local_sets_must_be_plain() -> None:
    class Odd(Counted):
        def init_local(self) -> None:
            self.lock = object()

    task = Odd(text="/in", into="/out")
    shipping.prepare(task)
    with pytest.raises(JobRefused, match="init_local set 'lock', which cannot travel"):
        shipping.describe(task, {})


def test_the_same_code_makes_the_same_archive(tmp_path: Path) -> None:
    first = shipping.archive(Counted(text="/a", into="/b"), str(tmp_path))
    assert shipping.archive(Counted(text="/c", into="/d"), str(tmp_path)) == first
    assert [path.name for path in tmp_path.iterdir()] == [Path(first).name]


def test_the_archive_has_no_parameters_and_no_caches(tmp_path: Path) -> None:
    with zipfile.ZipFile(shipping.archive(Counted(text="/a", into="/b"), str(tmp_path))) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.endswith(".pyc") or name == shipping.TASK_FILE]
    assert {"levada/task.py", "tests/contrib/hadoop/jobs.py"} <= set(names)


def test_a_module_that_is_not_there_is_told(tmp_path: Path) -> None:
    class More(Counted):
        def extra_modules(self) -> list[object]:
            return [json, "no_such_module"]

    with pytest.raises(JobRefused, match="module no_such_module, which is to be sent, cannot be imported"):
        shipping.archive(More(text="/a", into="/b"), str(tmp_path))


def test_files_with_odd_names_are_given_by_plain_ones(tmp_path: Path) -> None:
    odd = tmp_path / "Größe & Maß, neu.txt"
    odd.write_text("42")
    (tmp_path / "links").mkdir()
    uri = as_uri(f"{odd}#levada-0", str(tmp_path / "links"))
    assert uri == f"file://{tmp_path}/links/0-Gr__e___Ma___neu.txt#levada-0"
    assert (tmp_path / "links" / "0-Gr__e___Ma___neu.txt").read_text() == "42"
    for refused in ("hdfs://nn/a b.txt", "/a#b c", "hdfs://nn/a,b"):
        with pytest.raises(JobRefused, match="cannot be given"):
            as_uri(refused, str(tmp_path / "links"))

"""A task that is sent to a process without its code: the same one there, or an error that says why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import levada as lv
from levada import config
from levada.config.settings import load
from levada.errors import EngineError
from levada.handover.shipping import archive_of, entry_of, secrets_of, task_of
from tests.faults.command import ROOT


class Sent(lv.Task):
    words: tuple[str, ...]
    depth: float = 1.5
    token: str = lv.param(default="", secret=True, significant=False)


class Folded(lv.Parameter[str]):
    """Does not survive its text."""

    def parse(self, text: str) -> str:
        return text.lower()


class Odd(lv.Task):
    word = Folded()


def test_a_task_is_the_same_one_after_its_texts() -> None:
    task = Sent(words=("zwei Wörter", "$HOME", "🌊\n"), depth=0.1)
    sent = json.loads(json.dumps(entry_of(task)))
    assert task_of(sent, secrets_of(task)) is task


def test_secrets_are_no_part_of_the_entry() -> None:
    task = Sent(words=(), token="geheim")
    assert "geheim" not in json.dumps(entry_of(task))
    assert secrets_of(task) == {"token": "geheim"}
    assert task_of(entry_of(task), secrets_of(task)).token == "geheim"


def test_a_task_that_does_not_survive_its_texts_is_refused() -> None:
    with pytest.raises(EngineError, match="word went out as 'Ab' and reads back as 'ab'"):
        task_of(entry_of(Odd(word="Ab")))


def test_what_the_command_line_gave_goes_along_but_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here, there = load({}, str(tmp_path)), load({}, str(tmp_path))
    for name, value in (("depth", "7"), ("token", "geheim")):
        here.give("Sent", name, value, "command line")
    monkeypatch.setattr(config, "_current", here)
    entry = entry_of(Sent(words=()))
    assert entry["given"] == [("Sent", "depth", "7")]
    monkeypatch.setattr(config, "_current", there)
    task_of(entry)
    assert there.given() == [("Sent", "depth", "7")]


FLOW = """
import levada as lv
import aid

class Flow(lv.Task):
    day: str

    def said(self):
        return aid.say(self.day)
"""
PROJECT = {
    "flow.py": FLOW,
    "aid.py": "from pack.deep import words\n\ndef say(day):\n    return words + day\n",
    "pack/__init__.py": "",
    "pack/deep.py": "words = 'on '\n",
    "pack/data.txt": "data",
    "pack/.hidden": "not sent",
    "unused.py": "raise AssertionError('nobody imports this')\n",
}
SEND = """
import json, sys
from levada.handover.shipping import archive_of, entry_of
import flow
print(json.dumps([archive_of(flow.Flow, sys.argv[1]), entry_of(flow.Flow(day='Mönday'))]))
"""
RECEIVE = """
import json, sys
path, entry = json.loads(sys.argv[1])
sys.path[:0] = [path]
from levada.handover.shipping import task_of
import levada
assert levada.__file__.startswith(path), levada.__file__
print(task_of(entry).said())
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in PROJECT.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


def python(folder: Path, *words: str, path: str = "") -> str:
    environ = {**os.environ, "PYTHONPATH": path}
    return subprocess.run([sys.executable, *words], cwd=folder, env=environ, check=True, capture_output=True, text=True, timeout=50).stdout


def test_the_code_comes_along_with_its_neighbours_and_levada(project: Path, tmp_path: Path) -> None:
    path = f"{ROOT / 'src'}{os.pathsep}{project}"
    sent = python(project, "-c", SEND, str(tmp_path / "sent"), path=path)
    assert python(tmp_path, "-I", "-S", "-c", RECEIVE, sent) == "on Mönday\n"
    with zipfile.ZipFile(json.loads(sent)[0]) as archive:
        names = [name for name in archive.namelist() if not name.startswith("levada/")]
    assert names == ["aid.py", "flow.py", "pack/__init__.py", "pack/data.txt", "pack/deep.py"]
    assert python(project, "-c", SEND, str(tmp_path / "sent"), path=path) == sent
    assert len(list((tmp_path / "sent").iterdir())) == 1


def test_changed_code_is_another_archive_and_old_ones_go(project: Path, tmp_path: Path) -> None:
    path = f"{ROOT / 'src'}{os.pathsep}{project}"
    first = Path(json.loads(python(project, "-c", SEND, str(tmp_path / "sent"), path=path))[0])
    os.utime(first, (0, 0))
    (project / "aid.py").write_text("def say(day):\n    return 'changed ' + day\n")
    sent = python(project, "-c", SEND, str(tmp_path / "sent"), path=path)
    assert python(tmp_path, "-I", "-S", "-c", RECEIVE, sent) == "changed Mönday\n"
    assert [found.name for found in (tmp_path / "sent").iterdir()] == [Path(json.loads(sent)[0]).name]


def test_a_module_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="module no_such_module_of_levada, which is to be sent, cannot be imported"):
        archive_of(lv.Task, str(tmp_path), ["no_such_module_of_levada"])


def test_a_module_without_source_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="module sys has no source"):
        archive_of(lv.Task, str(tmp_path), ["sys"])

"""``levada invalidate --move-aside`` against a real server: in the order of the model, all or nothing, told in full."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from levada._wire import messages as w
from levada._wire import operators as o
from levada.cli import aside
from levada.cli.remote import Remote
from levada.errors import ServerUnreachable
from levada.task import key_of
from tests.cli.conftest import Call
from tests.cli.test_server import Serving
from tests.server.hosting import S1, Place

FLOWS = """
import levada as lv

class Sum(lv.Task):
    day: str
    def output(self):
        return [lv.LocalTarget(f"out/{self.day}.txt"), lv.FolderTarget(f"out/{self.day}.parts")]
    def run(self):
        raise AssertionError("is not run here")

class Nothing(lv.Task):
    def output(self):
        return []
    def complete(self):
        return False

class Broken(Sum):
    def output(self):
        raise ValueError("which shop?")

class Cloud(Sum):
    def output(self):
        return [lv.LocalTarget(f"out/{self.day}.txt"), lv.MemoryTarget("memory://x")]
"""


class World:
    """A server that has done a task, whose outputs stand in the current folder."""

    def __init__(self, server: Serving) -> None:
        self.server = server

    def make(self, family: str = "Sum", session: str = S1) -> str:
        """Add a task, do it, make its outputs; its key."""
        from levada.cli.modules import import_all
        from levada.task import registry

        import_all(["aside_flows"])
        cls: Any = registry.find(family)
        task = cls() if family == "Nothing" else cls(day="monday")
        key = key_of(task).hex()
        params = "{}" if family == "Nothing" else '{"day": "monday"}'
        self.server.hello(session)
        spec = msgspec.convert({"family": family}, w.PolicySpec)
        item, growth = msgspec.convert([key, 0, params], w.TaskItem), msgspec.convert([key, "", True], w.GrowthItem)
        self.server.work(w.AddTasks, session, policies=[spec], tasks=[item], growth=[growth])
        self.server.ask(o.MarkDone(key))
        self.write()
        return key

    def write(self) -> None:
        Path("out/monday.parts").mkdir(parents=True, exist_ok=True)
        Path("out/monday.parts/one").write_text("1")
        Path("out/monday.txt").write_text("old")

    def seen(self, key: str) -> tuple[str, int]:
        found = self.server.ask(o.Task(key))
        return found.task.status, found.generation


@pytest.fixture
def world(here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    (here / "aside_flows.py").write_text(FLOWS)
    (here / "levada.toml").write_text('[levada]\nmodules = ["aside_flows"]\n')
    monkeypatch.syspath_prepend(str(here))
    server = Serving(Place("sqlite", tmp_path_factory.mktemp("server")))
    monkeypatch.setenv("LEVADA_SCHEDULER", f"http://127.0.0.1:{server.web.port}")
    monkeypatch.setenv("LEVADA_TOKEN", server.token.text)
    yield World(server)
    server.stop()


def outputs() -> list[str]:
    return sorted(path.name for path in Path("out").iterdir())


OLD = ["monday.parts", "monday.txt"]
ASIDE = ["monday.parts.invalidated-1", "monday.txt.invalidated-1"]


@pytest.mark.parametrize("words", [["Sum", "--day", "monday"], ["Sum(day=monday)"], ["KEY"], ["KEY8"]])
def test_outputs_are_moved_and_the_task_is_made_again(world: World, call: Call, words: list[str]) -> None:
    key = world.make()
    Path(f"out/.monday.txt.{key[:8]}.1.1.part").touch()
    words = [{"KEY": key, "KEY8": key[:8]}.get(word, word) for word in words]

    said = call("invalidate", *words, "--move-aside", "--reason", "wrong rates")

    assert said.code == 0, said.err
    here = Path.cwd()
    assert said.out.splitlines() == [
        f"removed {here}/out/.monday.txt.{key[:8]}.1.1.part",
        f"moved {here}/out/monday.txt to {here}/out/monday.txt.invalidated-1",
        f"moved {here}/out/monday.parts to {here}/out/monday.parts.invalidated-1",
        f"{key} Sum(day=monday): ready (was done), generation 2",
    ]
    assert (outputs(), world.seen(key)) == (ASIDE, ("ready", 2))
    assert world.server.trail()[-1].reason == "wrong rates"


def test_scripts_read_what_was_moved(world: World, call: Call) -> None:
    key = world.make()
    said = json.loads(call("invalidate", key, "--move-aside", "--json").out)
    assert (said["key"], said["before"], said["status"], said["generation"], said["removed"]) == (key, "done", "ready", 2, [])
    assert [Path(move["aside"]).name for move in said["moved"]] == [ASIDE[1], ASIDE[0]]


def test_what_cannot_be_moved_or_made_again_is_told_and_nothing_is_changed(world: World, call: Call) -> None:
    key = world.make()
    Path("out/monday.txt.invalidated-1").touch()
    said = call("invalidate", key, "--move-aside")
    assert (said.code, "monday.txt.invalidated-1: exists already" in said.err) == (2, True)
    assert world.seen(key) == ("done", 1)
    Path("out/monday.txt.invalidated-1").unlink()

    world.make("Cloud")
    assert "a MemoryTarget cannot be moved aside" in call("invalidate", "Cloud", "--day", "monday", "--move-aside").err
    world.make("Broken")
    said = call("invalidate", "Broken", "--day", "monday", "--move-aside")
    assert (said.code, "raised ValueError: which shop?" in said.err) == (4, True)
    world.make("Nothing")
    assert "the task has no outputs" in call("invalidate", "Nothing", "--move-aside").err
    assert "no task has the key" in call("invalidate", "Sum", "--day", "friday", "--move-aside").err
    world.server.ask(o.Invalidate(key))
    assert "is ready: only what has come to an end" in call("invalidate", key, "--move-aside").err
    assert outputs() == OLD


def test_who_was_faster_is_not_disturbed(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run finds the outputs missing while they are moved, and begins to make them: its generation stays."""
    key = world.make()
    clear = aside.clear

    def cleared(*given: Any) -> list[str]:
        world.server.ask(o.Invalidate(key))
        return clear(*given)

    monkeypatch.setattr(aside, "clear", cleared)
    said = call("invalidate", key, "--move-aside")
    assert (said.code, "generation 2" in said.err) == (2, True)
    assert "the task was not invalidated: whoever wants it next finds its outputs missing" in said.err
    assert said.out.count("moved ") == 2
    assert world.seen(key) == ("ready", 2)


def test_it_may_be_said_again_after_it_was_stopped(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    key = world.make()

    def gone(*_: Any, **__: Any) -> Any:
        raise ServerUnreachable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "send", gone)
        said = call("invalidate", key, "--move-aside")
    assert (said.code, outputs(), world.seen(key)) == (69, ASIDE, ("done", 1))
    assert call("invalidate", key, "--move-aside").out == f"{key} Sum(day=monday): ready (was done), generation 2\n"


def test_a_move_that_fails_half_way_says_what_was_moved(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    key = world.make()
    carry_out = aside.carry_out

    def taken(move: Any) -> bool:
        if move.path.endswith(".parts"):
            Path(move.aside).mkdir()
        return carry_out(move)

    monkeypatch.setattr(aside, "carry_out", taken)
    said = call("invalidate", key, "--move-aside")
    assert said.code != 0
    assert "moved" in said.out
    assert "exists already" in said.err
    assert world.seen(key) == ("done", 1)


def test_help_tells_of_it(world: World, call: Call) -> None:
    assert "--move-aside" in call("invalidate", "--help").out
    assert "--day" in call("invalidate", "Sum", "--move-aside", "--help").out

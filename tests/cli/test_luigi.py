"""Programs that were written for Luigi, unmodified."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import levada
import levada.luigi
from levada.luigi import door

from .conftest import Call

OLD = """
import luigi
import luigi.contrib.hdfs
from luigi.contrib.hdfs import HdfsTarget
from luigi import hdfs, LocalTarget

class Old(luigi.Task):
    n = luigi.IntParameter()

    def output(self):
        return luigi.LocalTarget(f"old-{self.n}.txt")

    def run(self):
        import luigi.interface
        with self.output().open("w") as out:
            out.write(f"{luigi.__name__} {HdfsTarget is luigi.contrib.hdfs.HdfsTarget}")

if __name__ == "__main__":
    luigi.run()
"""


@pytest.fixture
def old(here: Path) -> Path:
    (here / "old.py").write_text(OLD)
    return here


@pytest.fixture
def open_door() -> Iterator[None]:
    with door.opened():
        yield


def test_an_unmodified_program_runs(old: Path, call: Call) -> None:
    said = call("luigi", "--module", "old", "Old", "--n", "3", "--local-scheduler")

    assert said.code == 0, said.err
    assert (old / "old-3.txt").read_text() == "levada.luigi True"


def test_a_command_line_of_luigi_is_understood(flows: Path, call: Call) -> None:
    assert call("luigi", "--module", "flows", "Delays", "--day", "2013-01-05", "--local-scheduler").code == 0
    assert call("luigi", "--module", "flows", "Broken", "--local-scheduler", "--no-lock").code == 1
    assert call("luigi", "--contract", "levada", "--module", "flows", "Broken", "--local-scheduler", "--attempts", "1").code == 1
    assert call("luigi").code == 2
    assert call("luigi", "--module", "no_such_module", "Task").code == 2
    assert call("luigi", "--module", "flows", "Delay", "--local-scheduler").code == 2


def test_it_runs_in_a_pool_of_processes_too(old: Path) -> None:
    command = [sys.executable, "-m", "levada", "luigi", "--module", "old", "Old", "--n", "4", "--workers", "2", "--local-scheduler"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=old, env=environ, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
    assert (old / "old-4.txt").exists()


def test_a_class_is_the_same_by_both_names(open_door: None) -> None:
    luigi = __import__("luigi")

    assert luigi is levada.luigi
    assert luigi.Task is levada.Task
    assert __import__("luigi.interface", fromlist=["run"]) is sys.modules["levada.luigi.interface"]
    assert levada.luigi.__spec__ is not None
    assert levada.luigi.__spec__.name == "levada.luigi"


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("import luigi.no_such_room", "luigi.no_such_room"),
        ("from luigi import no_such_room", "luigi.no_such_room"),
        ("import luigi.contrib.no_such_product", "luigi.contrib.no_such_product"),
        ("from luigi.contrib import no_such_product", "luigi.contrib.no_such_product"),
        ("from luigi.no_such_room import Thing", "luigi.no_such_room"),
    ],
)
def test_what_is_not_there_yet_is_said_in_a_sentence(open_door: None, statement: str, missing: str) -> None:
    with pytest.raises(ImportError, match=f"^{missing} is not there in Levada yet$"):
        exec(statement, {})


def test_a_real_luigi_waits_outside(here: Path) -> None:
    (here / "luigi").mkdir()
    (here / "luigi" / "__init__.py").write_text("real = True\n")
    sys.path.insert(0, str(here))
    loaded = sys.modules["luigi"] = types.ModuleType("luigi")

    with door.opened():
        assert __import__("luigi") is levada.luigi
    assert sys.modules["luigi"] is loaded
    del sys.modules["luigi"]


def test_the_door_is_shut_afterwards() -> None:
    with door.opened():
        __import__("luigi.interface")

    assert not [name for name in sys.modules if name.split(".")[0] == "luigi"]
    assert not [each for each in sys.meta_path if type(each).__module__ == door.__name__]


def test_the_failing_import_names_the_command_that_helps(old: Path, call: Call) -> None:
    said = call("run", "-m", "old", "Old", "--n", "3")

    assert said.code == 2
    assert "levada luigi --module old" in said.err

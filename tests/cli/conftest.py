"""A command line in a folder of its own, called in this process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from levada import config, task
from levada.cli import main


class Said(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Said]

FLOWS = '''
"""Flights and their delays."""
import levada as lv

class Drop(lv.ExternalTask):
    """What the airport leaves each day."""
    day = lv.DateParameter()
    token = lv.Parameter(default="", secret=True, significant=False, help="key of the airport's door")
    def output(self):
        return lv.LocalTarget(f"drop/{self.day}.csv")

class Delays(lv.Task):
    """Minutes of delay by carrier."""
    day = lv.DateParameter(help="last day, UTC")
    window = lv.IntParameter(default=7, help="days")
    loud = lv.BoolParameter(default=False)
    def requires(self):
        return Drop(self.day)
    def output(self):
        return lv.LocalTarget(f"delays/{self.day}-{self.window}.txt")
    def run(self):
        with self.output().open("w") as out:
            out.write(str(self.loud))

class Broken(lv.Task):
    def output(self):
        return lv.LocalTarget("never.txt")
    def run(self):
        raise ValueError("no flights today")

class Odd(lv.Task):
    def requires(self):
        raise RuntimeError("cannot say what I need")
'''


def _ours(known: dict[str, Any]) -> dict[str, Any]:
    """Families that Levada itself defines."""
    return {family: refs for family, refs in known.items() if all((cls := ref()) and cls.__module__.startswith("levada") for ref in refs)}


@pytest.fixture
def here(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder; what a command leaves in this process is taken back."""
    monkeypatch.setenv("HOME", str(in_tmp / "home"))
    known = task.registry._classes  # families of other tests that this process has imported are not known to a command
    own = _ours(known)
    monkeypatch.setattr(task.registry, "_classes", own)
    path, modules = list(sys.path), set(sys.modules)
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    yield in_tmp
    known.update(_ours(own))  # of modules that stay imported
    task.set_value_source(None)
    config._current = None
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if not name.startswith(("levada", "rich", "logging")) and str(getattr(sys.modules[name], "__file__", "")).startswith(str(in_tmp)):
            del sys.modules[name]
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


@pytest.fixture
def flows(here: Path) -> Path:
    """The folder with a module ``flows`` and the drop of one day."""
    (here / "flows.py").write_text(FLOWS)
    (here / "drop").mkdir()
    (here / "drop" / "2013-01-05.csv").write_text("UA,3\n")
    return here


@pytest.fixture
def call(here: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the command line with these arguments."""

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        code = main(list(arguments))
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return call

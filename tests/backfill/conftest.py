"""The command line in a folder of its own, as tests/cli has it, and the days that most tests backfill."""

from __future__ import annotations

from pathlib import Path

import pytest

import levada.ranges  # registered before a test looks at the registry
from tests.cli.conftest import call, here

__all__ = ["call", "here", "levada"]

FLOW = '''
"""Days of a shop, each of which takes down when it ran."""
import datetime, os, time
import levada as lv

HERE = os.path.dirname(os.path.abspath(__file__))

def note(word):
    fd = os.open(os.path.join(HERE, "ran.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{word} {time.monotonic()}\\n".encode())
    os.close(fd)

class Drop(lv.ExternalTask):
    day: datetime.date
    def output(self):
        return lv.LocalTarget(f"drop/{self.day}.txt")

class Raw(lv.Task):
    day: datetime.date
    def output(self):
        return lv.LocalTarget(f"raw/{self.day}.txt")
    def run(self):
        note(f"raw/{self.day}")
        self.output().write_text("x")

class Day(lv.Task):
    day: datetime.date
    shop: str = "north"
    pause: float = lv.param(default=0.0, significant=False)
    retry = lv.Retry(attempts=1)
    def requires(self):
        return Raw(day=self.day)
    def output(self):
        return lv.LocalTarget(f"day/{self.day}-{self.shop}.txt")
    def run(self):
        note(f"+{self.day}-{self.shop}")
        if os.path.exists(os.path.join(HERE, f"bad-{self.day}")):
            raise ValueError("a bad day")
        time.sleep(0.1 if os.path.exists(os.path.join(HERE, "slow")) else self.pause)
        self.output().write_text("x")
        note(f"-{self.day}-{self.shop}")

class Taken(lv.Task):
    day: datetime.date
    def requires(self):
        return Drop(day=self.day)
    def output(self):
        return lv.LocalTarget(f"taken/{self.day}.txt")
    def run(self):
        self.output().write_text("x")

class Group(lv.WrapperTask):
    day: datetime.date
    def requires(self):
        return Raw(day=self.day)

class Locked(lv.Task):
    day: datetime.date
    key: str = lv.param(secret=True)
    def output(self):
        return lv.LocalTarget(f"locked/{self.day}.txt")
    def run(self):
        self.output().write_text(self.key)
'''


def ran(folder: Path) -> list[str]:
    """What the tasks took down, in that order."""
    try:
        lines = (folder / "ran.log").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [line.split()[0] for line in lines]


def most_at_once(words: list[str]) -> int:
    """How many days were between their + and their - at a time, at most."""
    at_once = most = 0
    for word in words:
        at_once += {"+": 1, "-": -1}.get(word[0], 0)
        most = max(most, at_once)
    return most


@pytest.fixture
def shop(here: Path) -> Path:
    """The folder with the module ``flow``."""
    (here / "flow.py").write_text(FLOW)
    return here

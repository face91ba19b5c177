"""kill -9 of a server at any instant: nothing acknowledged is lost, nothing half-written is found."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .places import InDatabase, InFile

ROOT = Path(__file__).parents[2]


def life(url: str, seconds: float) -> tuple[int, int, int]:
    """(seq found at its start, its epoch, last number it acknowledged) of a server that is killed after a while."""
    words = [sys.executable, str(Path(__file__).with_name("committer.py")), url]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(seconds)
        child.kill()
        lines = [line for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    assert first.startswith("loaded "), first
    _, found, epoch = first.split()
    return int(found), int(epoch), int(lines[-1]) if lines else int(found)


def survive(url: str, cycles: int, seed: int) -> None:
    dice = random.Random(seed)
    acknowledged = 0
    for cycle in range(1, cycles + 1):
        found, epoch, last = life(url, dice.uniform(0.0, 0.2))
        assert acknowledged <= found <= acknowledged + 1, "an acknowledged commit was lost, or one came from nowhere"
        assert epoch == cycle
        acknowledged = last
    assert acknowledged > cycles, "nothing was put to the test"


def test_nothing_acknowledged_is_lost_at_kill_9_with_sqlite(file_place: InFile) -> None:
    survive(file_place.path, 12, seed=1)


def test_nothing_acknowledged_is_lost_at_kill_9_with_postgresql(database_place: InDatabase) -> None:
    survive(database_place.url, 6, seed=2)


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_in_two_hundred_kills(file_place: InFile, database_place: InDatabase) -> None:
    survive(file_place.path, 150, seed=3)
    survive(database_place.url, 50, seed=4)

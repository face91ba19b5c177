"""kill -9 at any moment of a run: nothing half-made is seen, nothing goes on, the next run makes the rest."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.faults.command import Command, ended, soon
from tests.faults.layers import LAYERS, WIDTH, is_whole

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="by design: finds processes by their environment in /proc"),
]
IN_PROCESS = ("--workers", "1")
IN_A_POOL = ("--workers", "2", "--executor", "processes")


def targets(folder: Path) -> list[Path]:
    """What stands under a target's name."""
    return [path for path in folder.glob("out/*/*") if not path.name.startswith(".")]


def temporaries(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.part"))


def kill_children(process: subprocess.Popen[str], dice: random.Random) -> bool:
    """SIGKILL to one child of the pool; False when there is none any more."""
    try:
        children = psutil.Process(process.pid).children()
        os.kill(dice.choice(children).pid, signal.SIGKILL)
    except (psutil.Error, ProcessLookupError, IndexError):
        return False
    return True


def one_cycle(folder: Path, seed: int) -> tuple[str, bool]:
    """Start a run, kill it or one of its children, look, run again. What was killed; whether it left temporaries."""
    dice = random.Random(seed)
    pool = seed % 2 == 1
    child = pool and dice.random() < 0.3
    command = Command(folder)
    process = command.start("run", "--quiet", "layers:Top", *(IN_A_POOL if pool else IN_PROCESS))
    if dice.random() < 0.9:  # most moments are of interest only when work has begun
        soon(lambda: (folder / "out").exists() or process.poll() is not None, 20, pause=0.001)
    time.sleep(dice.uniform(0, 0.15))
    struck = kill_children(process, dice) if child else True
    if not child:
        process.kill()
    first = ended(process)

    left, untidy = targets(folder), bool(temporaries(folder))
    assert [path for path in left if not is_whole(path)] == []
    assert soon(lambda: not command.alive()), f"still alive: {command.alive()}"
    assert first.returncode == 0 or not child, first.stderr

    if len(left) == LAYERS * WIDTH:
        (folder / "out" / str(LAYERS - 1) / "2").unlink()  # a run that has nothing to do does not sweep
    second = command.run("run", "--quiet", "layers:Top", *(IN_PROCESS if dice.random() < 0.8 else IN_A_POOL))
    assert second.returncode == 0, second.stderr
    made = targets(folder)
    assert len(made) == LAYERS * WIDTH
    assert [path for path in made if not is_whole(path)] == []
    assert temporaries(folder) == []
    assert list((command.state / "runs").iterdir()) == []
    if not first.returncode:
        return ("child" if struck and child else "over"), untidy
    return ("pool" if pool else "inline"), untidy


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.slow
def test_a_killed_run_leaves_whole_targets_and_the_next_makes_the_rest(tmp_path: Path, seed: int) -> None:
    one_cycle(tmp_path, seed)


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_two_hundred_killed_runs_leave_whole_targets_and_the_next_ones_make_the_rest(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in range(1000, 1200):
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            what, untidy = one_cycle(folder, seed)
        except AssertionError as broken:
            raise AssertionError(f"seed {seed}: {broken}") from broken
        seen.update([what, "left temporaries"] if untidy else [what])
    print(dict(seen))
    assert min(seen[what] for what in ("inline", "pool", "child", "left temporaries")) >= 10, seen  # it was a proof

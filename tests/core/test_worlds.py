"""Seeded worlds: no seed may break a law, and a seed plays the same world everywhere."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from levada.testing import worlds
from levada.testing.judge import WorldBroken
from levada.testing.worlds import World


@pytest.mark.parametrize("first", [*range(0, 100, 10), *(pytest.param(first, marks=pytest.mark.slow) for first in range(100, 200, 10))])
def test_no_world_breaks_a_law(first: int) -> None:
    """Lost messages, dead workers, restarts; the laws are checked after every command."""
    for seed in range(first, first + 10):
        World(seed).run()


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_two_thousand_worlds_break_no_law() -> None:
    for seed in range(200, 2_000):
        World(seed).run()


@pytest.mark.parametrize(
    "shape", [{"workers": 1, "tasks": 1}, {"workers": 6, "tasks": 25}, {"lose": 0.4, "die": 0.08}, {"lose": 0.0, "die": 0.0}]
)
def test_worlds_of_other_shapes_break_no_law(shape: dict[str, float]) -> None:
    for seed in range(5):
        World(seed, **shape).run()  # type: ignore[arg-type]  # counts are whole numbers above


def _digest_elsewhere(hash_seed: str) -> str:
    code = (
        "import hashlib; from levada.testing.worlds import World; "
        "print(hashlib.sha256('\\n'.join(World(seed).run() for seed in range(8)).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True).stdout.strip()


def test_a_seed_plays_the_same_world_under_any_hash_seed() -> None:
    here = hashlib.sha256("\n".join(World(seed).run() for seed in range(8)).encode()).hexdigest()
    assert here == _digest_elsewhere("1") == _digest_elsewhere("2")


def test_the_command_prints_what_it_played(capsys: pytest.CaptureFixture[str]) -> None:
    assert worlds.main(["--count", "2", "--steps", "30"]) == 0
    assert "2 worlds" in capsys.readouterr().out
    assert worlds.main(["--count", "2", "--steps", "30", "--trace"]) == 0
    assert "AddTasks" in capsys.readouterr().out


def test_the_command_names_the_seed_of_a_failure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(world: World, steps: int) -> str:
        raise WorldBroken(world.seed, "the sky fell")

    monkeypatch.setattr(World, "run", broken)
    assert worlds.main(["--first", "7"]) == 1
    assert "seed 7: the sky fell" in capsys.readouterr().out

"""The power fails at any step of the disk: nothing acknowledged is lost, and the file opens and holds together."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from levada._store import sqlite
from levada._store.sqlite import SqliteStore
from levada.errors import StoreCorrupt

from .committer import faults, parts_at, work
from .power import Recorder, Step, cuts

COMMANDS = 200


def recorded(folder: Path, seed: int, synchronous: str, monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """The steps of the disk during a server's life from its first start, and what it acknowledged in between."""
    monkeypatch.setattr(sqlite, "LOG", random.Random(seed).choice((1, 30_000, 100_000, 400_000)))
    disk = Recorder(f"recorder-{seed}-{synchronous}")
    store = SqliteStore(str(folder / "levada.db"), synchronous=synchronous, connect=disk.connect)
    store.take_over("first")
    for seq in work(store, 0):
        disk.steps.append(Step("acknowledged", offset=seq))
        if seq % 20 == 0:
            store.prune(float(seq + 30 * 86400 - 20))
        if seq == COMMANDS:
            break
    store.close()
    return disk.steps


def survive(tmp_path: Path, seed: int, count: int, synchronous: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Cut the power at that many moments, and open what is left each time. How many cuts there were."""
    life = tmp_path / f"life-{seed}"
    life.mkdir()
    steps = recorded(life, seed, synchronous, monkeypatch)
    dice = random.Random(seed)
    done = 0
    for at, disk in cuts(steps, count, dice):
        folder = tmp_path / f"cut-{seed}-{at}"
        folder.mkdir()
        disk.after_a_cut(folder, dice)
        store = SqliteStore(str(folder / "levada.db"), synchronous="normal")
        store.take_over("next")
        loaded = store.load()
        assert loaded.seq <= disk.acknowledged + 1, f"seed {seed}, step {at}: a commit from nowhere"
        if synchronous == "full":
            assert loaded.seq >= disk.acknowledged, f"seed {seed}, step {at}: an acknowledged commit was lost"
        assert list(faults(loaded)) == [], f"seed {seed}, step {at}"
        store._opened.close()  # type: ignore[union-attr]
        store._lock.give()
        shutil.rmtree(folder)
        done += 1
    return done


@pytest.mark.parametrize("synchronous", ["full", "normal"])
@pytest.mark.slow
def test_a_power_cut_loses_nothing_acknowledged_and_damages_nothing(
    tmp_path: Path, synchronous: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``normal`` the last commits may be gone, and only those: what is left is the story up to some commit."""
    assert survive(tmp_path, 1, 120, synchronous, monkeypatch) == 120


@pytest.mark.slow
def test_a_disk_that_ignores_flushes_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof can fail: without the flushes of the log, commits are lost and files damaged."""
    life = tmp_path / "life"
    life.mkdir()
    steps = [step for step in recorded(life, 1, "full", monkeypatch) if not (step.kind == "sync" and step.name.endswith("-wal"))]
    bad = 0
    dice = random.Random(7)
    for at, disk in cuts(steps, 60, dice):
        folder = tmp_path / f"cut-{at}"
        folder.mkdir()
        disk.after_a_cut(folder, dice)
        store = SqliteStore(str(folder / "levada.db"), synchronous="normal")
        try:
            store.take_over("next")
            bad += store.load().seq < disk.acknowledged
        except StoreCorrupt:
            bad += 1
        store.close()
    assert bad > 10


@pytest.mark.ci
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 7))
def test_five_thousand_power_cuts(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert survive(tmp_path, seed, 1000, "full", monkeypatch) == 1000
    assert survive(tmp_path, seed + 100, 300, "normal", monkeypatch) == 300


def test_the_script_has_all_that_a_life_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints of the brain, moves of the log into the file, deletions: each within the recorded steps."""
    steps = recorded(tmp_path, 3, "full", monkeypatch)
    assert sum(step.kind == "write" and step.name == "levada.db" for step in steps) > 50
    assert sum(step.kind == "sync" and step.name == "levada.db-wal" for step in steps) >= COMMANDS
    assert len(parts_at(7)[0][1]) > 8 * 4096
    assert os.path.getsize(tmp_path / "levada.db") > 0

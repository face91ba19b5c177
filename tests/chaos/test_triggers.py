"""A schedule each second, while servers die, hang and wake: no fire time is lost, none is doubled (docs/goals.md)."""

from __future__ import annotations

import random
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from .failover import Pair

SPEC = {
    "family": "Tick",
    "params": {"at": "{fire.second}"},
    "when": {"kind": "every", "seconds": 1.0, "zone": "UTC"},
    "overlap": "allow",
    "missed": "each",
}


def fire_times(pair: Pair) -> list[datetime]:
    """What was wanted, oldest first."""
    found: list[Any] = []
    after = ""
    while True:
        answer = pair.first.ask("GET", f"/v1/goals?limit=500&after={after}")
        found += answer["goals"]
        if answer.get("next") is None:
            return [datetime.strptime(goal["params"]["at"], "%Y-%m-%dT%H%M%S") for goal in reversed(found)]
        after = answer["next"]


def torment(folder: Path, store: str, *, kills: int, hangs: int) -> list[datetime]:
    """Fire times in the order in which they made goals, after so many servers were killed and stopped."""
    dice = random.Random(5)
    pair = Pair(folder, store)
    try:
        pair.first.ask("PUT", "/v1/triggers/ticks", {"spec": SPEC})
        for kind in dice.sample(["kill"] * kills + ["hang"] * hangs, kills + hangs):
            time.sleep(dice.uniform(1.2, 2.5))
            stopped = pair.first
            stopped.signal(signal.SIGKILL if kind == "kill" else signal.SIGSTOP)
            pair.swap()
            if kind == "hang":
                time.sleep(dice.uniform(0.0, 1.0))
                stopped.signal(signal.SIGCONT)  # it wakes, and finds that it was deposed
                time.sleep(0.5)
            stopped.kill()
            stopped.start()
            pair.settle()
        time.sleep(2.5)
        return fire_times(pair)
    finally:
        pair.close()


def check(times: list[datetime], least: int) -> None:
    seconds = [(time - times[0]).total_seconds() for time in times]
    assert seconds == list(range(len(seconds))), "each second once, in its order"
    assert len(seconds) >= least


@pytest.mark.slow
def test_no_fire_is_lost_or_doubled_while_servers_of_a_file_are_killed(tmp_path: Path) -> None:
    check(torment(tmp_path, str(tmp_path / "levada.db"), kills=3, hangs=0), 8)


@pytest.mark.ci
@pytest.mark.timeout(240)
def test_no_fire_is_lost_or_doubled_while_servers_of_a_database_die_and_hang(tmp_path: Path, postgres: str) -> None:
    check(torment(tmp_path, f"{postgres}&schema=ticks", kills=3, hangs=3), 15)

"""The short way through the brain answers and changes what the long way would."""

from __future__ import annotations

from typing import Any

import pytest

from levada._core import swift
from levada._model import messages as m
from levada._model.status import Status
from levada.testing.worlds import World

from .house import House


def played(seed: int, **shape: Any) -> str:
    return World(seed, workers=1 + seed % 3, tasks=9, **shape).run(steps=60)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.slow
def test_a_world_goes_the_same_way_with_and_without_the_short_way(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    short = played(seed)
    monkeypatch.setattr(swift, "sync", lambda state, command, now: None)
    assert played(seed) == short


def test_the_short_way_is_taken_where_worlds_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    original = swift.sync

    def watched(state: Any, command: m.Sync, now: float) -> Any:
        answer = original(state, command, now)
        taken.append(answer is not None)
        return answer

    monkeypatch.setattr(swift, "sync", watched)
    for seed in range(60):
        played(seed)
    assert sum(taken) > 50, f"{sum(taken)} of {len(taken)}"


@pytest.mark.parametrize("fence", [m.Fence(1, 2), m.Fence(2, 1), m.Fence(0, 1), m.Fence(1, 0)])
def test_a_report_with_another_fence_takes_the_long_way_and_is_lost(fence: m.Fence) -> None:
    house = House({0: [], 1: [0]})
    assert house.claim() == [0]
    assert house.sync(done=[(0, fence)]).lost == [0]
    assert house.status(0) is Status.RUNNING
    house.done(0)
    assert house.status(0) is Status.DONE
    assert house.claim() == [1]


def test_a_report_twice_in_one_message_counts_once() -> None:
    house = House({0: []})
    house.claim()
    house.done(0, 0)
    assert house.brain.progress().counts[Status.DONE] == 1


def test_what_became_ready_does_not_overtake_what_stands_in_the_queue() -> None:
    house = House({0: [], 1: [], 2: [0], 3: [0]})
    assert house.claim() == [0]
    reply = house.sync(done=[(0, house.fence(0))], room=2)
    assert [grant.index for grant in reply.granted] == [1, 2]
    assert house.claim() == [3]


def test_what_became_ready_is_granted_at_once_and_recorded_in_full() -> None:
    house = House({0: [], 1: [0], 2: [0]})
    house.claim()
    before = len(house.changes)
    reply = house.sync(done=[(0, house.fence(0))], room=2)
    assert [grant.index for grant in reply.granted] == [1, 2]
    assert [type(change).__name__ for change in house.changes[before:]] == ["Finished", "BecameReady", "Granted"]
    assert house.replayed().state.dump() == house.brain.state.dump()

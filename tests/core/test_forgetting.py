"""What is forgotten leaves no trace, and its place serves another."""

from __future__ import annotations

import random

import pytest

from levada._core import Brain
from levada._core import changes as ch
from levada._model import messages as m
from levada._model.messages import Fence, SessionId
from levada._model.spec import Growth, TaskSpec
from levada._model.status import Status
from levada.errors import InvalidCommand

from .house import PLAIN, House


def finish(house: House, *tasks: int) -> None:
    for index in tasks:
        assert index in house.claim(room=1)
        house.done(index)


def test_done_tasks_go_with_all_that_need_them() -> None:
    house = House({0: [], 1: [0], 2: [1]})
    finish(house, 0, 1, 2)
    assert house.do(m.Forget([0, 1, 2])) == [0, 1, 2]
    assert house.brain.progress().counts[Status.DONE] == 0
    with pytest.raises(InvalidCommand, match="forgotten"):
        house.view(1)


def test_what_somebody_needs_stays() -> None:
    house = House({0: [], 1: [0], 2: [1]})
    finish(house, 0, 1)
    assert house.do(m.Forget([0, 1, 2])) == []
    assert house.claim() == [2]


def test_a_task_that_stays_keeps_what_it_needs_and_lets_the_rest_go() -> None:
    house = House({0: [], 1: [0], 2: [0]})
    finish(house, 0, 1)
    assert house.do(m.Forget([0, 1])) == [1]
    assert house.claim() == [2]


def test_what_runs_and_what_waits_for_somebody_who_is_here_stays() -> None:
    house = House({0: [], 1: []})
    house.claim()
    assert house.do(m.Forget([0, 1])) == []


def test_what_waits_for_nobody_goes() -> None:
    house = House({0: [], 1: [0]})
    house.do(m.Bye(SessionId("w1")))
    assert house.do(m.Forget([0, 1])) == [0, 1]


def test_a_new_task_takes_the_place_and_its_fences_begin_above() -> None:
    house = House({0: [], 1: []})
    house.claim()
    house.fail(0)
    house.pass_time(100)
    finish(house, 0, 1)
    assert house.view(0).fence == Fence(1, 2)
    house.do(m.Forget([0]))
    house.specs[0] = TaskSpec(0, PLAIN)
    house.add({0: [1]})
    assert house.status(0) is Status.READY
    assert house.view(0).attempts == 0
    assert house.claim() == [0]
    assert house.view(0).fence == Fence(1, 3)
    assert house.view(0).attempts == 1
    assert house.sync(done=[(0, Fence(1, 2))]).lost == [0]


def test_a_message_may_take_free_places_and_new_ones() -> None:
    house = House({0: [], 1: []})
    finish(house, 0, 1)
    house.do(m.Forget([0, 1]))
    house.specs = {index: TaskSpec(index, PLAIN) for index in (1, 2, 3)}
    house.add({1: [], 2: [1], 3: [2]})
    finish(house, 1, 2, 3)
    assert house.brain.progress().counts[Status.DONE] == 3


def test_a_forgotten_task_cannot_be_required() -> None:
    house = House({0: [], 1: []})
    finish(house, 0)
    house.do(m.Forget([0]))
    with pytest.raises(InvalidCommand, match="forgotten"):
        house.do(m.AddTasks(house_session(), [], [Growth(1, (0,))]))


def house_session() -> SessionId:
    return SessionId("w1")


def test_urgency_goes_with_the_task_that_brought_it() -> None:
    house = House({0: [], 1: [0]}, specs={})
    house.do(m.SetPriority(1, 5))
    house.do(m.Cancel(1))
    assert house.do(m.Forget([1])) == [1]
    assert house.brain.state.priority == {}


@pytest.mark.parametrize("seed", range(30))
def test_a_brain_that_forgets_now_and_then_keeps_the_laws_and_replays(seed: int) -> None:
    """House checks every law after each command."""
    dice = random.Random(seed)
    house = House({0: []}, lease=10.0)
    live: list[int] = [0]
    for _ in range(60):
        act = dice.random()
        if act < 0.4:
            free = list(house.brain.state.free)
            index = dice.choice(free) if free and dice.random() < 0.7 else len(house.brain.state.status)
            needs = dice.sample(live, min(len(live), dice.randrange(3)))
            house.specs[index] = TaskSpec(index, PLAIN, priority=dice.choice((0, 0, 3)))
            house.add({index: needs})
            live.append(index)
        elif act < 0.7:
            for index in house.claim(room=2):
                if dice.random() < 0.8:
                    house.done(index)
        elif act < 0.8:
            house.do(m.Cancel(dice.choice(live))) if live else None
        else:
            gone = house.do(m.Forget(list(live)))
            live = [index for index in live if index not in gone]
            if not live:
                live = [dice.choice(live)] if live else []
        house.pass_time(dice.choice((0.0, 1.0, 20.0)))
    assert house.replayed().state.dump() == house.brain.state.dump()
    saved = house.brain.save()
    again = Brain(lease=10.0)
    again.resume(saved, ())
    assert again.state.dump() == house.brain.state.dump()


def test_the_column_of_edges_is_written_anew_when_most_of_it_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    from levada._core import edges

    monkeypatch.setattr(edges, "SLACK", 1)
    house = House({0: [], 1: [0], 2: [0, 1], 3: [0, 1, 2], 4: [0]})
    finish(house, 0, 1, 2, 3)
    house.do(m.Forget([2, 3]))
    column = house.brain.state.edges.columns()["edges"]
    assert len(column) == 2
    assert list(house.brain.state.edges.requirements(1)) == [0]
    assert list(house.brain.state.edges.requirements(4)) == [0]
    assert any(isinstance(change, ch.Forgotten) for change in house.changes)

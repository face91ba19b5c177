"""What runs of a task hold is said by those who want it; what runs keeps what it was granted with."""

from __future__ import annotations

import math
import random

import pytest

from levada._core import laws
from levada._model import messages as m
from levada._model.messages import SessionId
from levada._model.spec import Policy, TaskSpec
from levada._model.status import ExitClass, Status

from .house import House

BARE = Policy("Day")
LIMITED = Policy("Day", (("backfill-Day", 1),))


def again(house: House, tasks: dict[int, list[int]], policy: Policy, session: str) -> None:
    house.specs |= {index: TaskSpec(index, policy) for index in tasks}
    house.add(tasks, session)


def limit(house: House, total: int) -> None:
    house.do(m.SetResource("backfill-Day", total))


def test_a_limit_counts_for_tasks_that_somebody_else_had_added_without_it() -> None:
    house = House({0: [], 1: [], 2: []}, policy=BARE)
    limit(house, 2)
    again(house, {0: [], 1: [], 2: []}, LIMITED, "w2")
    assert sorted(house.claim("w2", 3) + house.claim("w1", 3)) == [0, 1]
    house.done(0, session="w2")
    assert house.claim("w1", 3) == [2]


def test_what_others_say_of_a_task_is_never_taken_away() -> None:
    house = House({0: [], 1: []}, policy=LIMITED)
    again(house, {0: [], 1: []}, BARE, "w2")
    assert len(house.claim("w2", 2)) == 1


def test_who_is_alone_to_want_a_task_is_the_only_one_who_says_what_it_holds() -> None:
    """A limit of a backfill that is gone does not stay with the tasks that it left."""
    house = House({0: [], 1: []}, policy=LIMITED)
    house.do(m.Bye(SessionId("w1")))
    again(house, {0: [], 1: []}, BARE, "w2")
    assert house.claim("w2", 2) == [0, 1]
    assert house.brain.state.used == {}


def test_a_session_that_repeats_itself_takes_nothing_away() -> None:
    house = House({0: [], 1: []}, policy=LIMITED)
    again(house, {0: [], 1: []}, BARE, "w1")
    assert len(house.claim("w1", 2)) == 1


def test_resources_of_both_are_held_together() -> None:
    house = House({0: [], 1: []}, policy=Policy("Day", (("disk", 2),)))
    house.do(m.SetResource("disk", 4))
    again(house, {0: [], 1: []}, LIMITED, "w2")
    assert house.claim("w1", 2) == [0]
    assert house.brain.state.used == {"disk": 2, "backfill-Day": 1}
    house.done(0)
    assert house.claim("w1", 2) == [1]


def test_what_runs_gives_back_what_it_was_granted_with() -> None:
    house = House({0: [], 1: []}, policy=BARE)
    assert house.claim("w1", 1) == [0]
    again(house, {0: [], 1: []}, LIMITED, "w2")
    assert house.brain.state.used.get("backfill-Day", 0) == 0
    assert house.claim("w2", 2) == [1]
    house.done(0)
    house.done(1, session="w2")
    assert not any(house.brain.state.used.values())


@pytest.mark.parametrize("seed", range(60))
def test_the_laws_hold_whoever_adds_what_again(seed: int) -> None:
    """House looks at all laws after each command; the changes played again lead to the same state."""
    dice = random.Random(seed)
    policies = [Policy("Day", tuple(sorted(dict.fromkeys(dice.sample("abc", dice.randrange(3)), 1).items()))) for _ in range(4)]
    tasks = {index: [need for need in range(index) if dice.random() < 0.2] for index in range(8)}
    house = House(tasks, policy=policies[0], lease=dice.choice([math.inf, 10.0]))
    for _ in range(40):
        session = dice.choice(["w1", "w2"])
        running = [index for index in tasks if house.status(index) is Status.RUNNING and house.brain.state.holder[index] == session]
        what = dice.randrange(7)
        if what == 0:
            some = sorted(dice.sample(range(8), 4))
            priority = dice.randrange(-2, 3)
            house.specs |= {index: TaskSpec(index, dice.choice(policies), priority) for index in some}
            house.do(m.AddTasks(SessionId(session), [house.specs[index] for index in some], []))
        elif what == 6:
            house.do(m.Bye(SessionId(session)) if dice.random() < 0.3 else m.Renew(SessionId(session), ()))
        elif what == 1:
            house.do(m.SetResource(dice.choice("abc"), dice.randrange(3)))
        elif what == 2 and running:
            house.done(dice.choice(running), session=session)
        elif what == 3 and running:
            house.fail(dice.choice(running), ExitClass.USER, session=session)
        elif what == 4:
            house.pass_time(dice.choice([1.0, 11.0]))
        else:
            house.claim(session, dice.randrange(1, 4))
    assert laws.check(house.brain) == []
    due, found = house.brain.state.dump(), house.replayed().state.dump()
    assert {name: value for name, value in found.items() if name != "until"} == {
        name: value for name, value in due.items() if name != "until"
    }

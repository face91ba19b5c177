"""Tasks are said anew, taken by name, marked as failed, disabled and hurried; running ones give back what they do not need."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from levada._core import Brain, laws
from levada._model import messages as m
from levada._model.messages import SessionId
from levada._model.spec import Growth, Policy, Retry, TaskSpec
from levada._model.status import ExitClass, Status
from levada._server import journal
from levada.errors import InvalidCommand
from tests.core.house import House

W1 = SessionId("w1")
DISK = Policy("P", (("disk", 2),))
PATIENT = Policy("P", retry=Retry(attempts=99, first=20.0, longest=20.0, disable_after=2, window=50.0, disabled_for=30.0))


def house(tasks: dict[int, list[int]], **fields: Any) -> House:
    made = House(tasks, **fields)
    made.do(m.SetResource("disk", 2))
    return made


# -- as it is said now


def test_a_task_that_is_said_anew_holds_what_it_needs_now() -> None:
    made = house({0: [], 1: []}, policy=DISK)
    assert made.claim() == [0]
    assert made.claim() == []
    made.do(m.Revise(TaskSpec(1, Policy("P"))))
    assert made.claim() == [1]


def test_what_runs_holds_what_it_was_granted_with() -> None:
    made = house({0: [], 1: []}, policy=DISK)
    assert made.claim() == [0]
    made.do(m.Revise(TaskSpec(0, Policy("P"))))
    assert made.claim() == []
    made.fail(0)
    made.pass_time(100)
    assert sorted(made.claim(room=5)) == [0, 1]  # 0 needs nothing any more


def test_requirements_that_are_said_anew_replace_the_old_ones() -> None:
    made = house({0: [], 1: [], 2: [0]})
    made.do(m.Revise(TaskSpec(2, made.policy), requires=[1]))
    assert made.view(2).unmet == (1,)
    made.sync(found_complete=[1])
    assert made.status(2) is Status.READY
    made.do(m.Revise(TaskSpec(2, made.policy), requires=[1, 0]))
    assert made.status(2) is Status.WAITING


def test_a_task_that_is_open_again_waits_until_it_is_closed() -> None:
    made = house({0: []})
    made.do(m.Revise(TaskSpec(0, made.policy), requires=[], closed=False))
    assert made.status(0) is Status.WAITING
    made.do(m.AddTasks(W1, [], [Growth(0, [])]))
    assert made.status(0) is Status.READY


def test_urgency_passes_to_the_new_requirements_and_leaves_the_old_ones() -> None:
    made = House({0: [], 1: [], 2: [0]}, specs={2: TaskSpec(2, Policy("P"), 7)})
    assert made.brain.state.priority == {0: 7, 2: 7}
    made.do(m.Revise(TaskSpec(2, Policy("P"), 7), requires=[1]))
    assert made.brain.state.priority == {1: 7, 2: 7}


def test_a_task_moves_to_the_assistants_of_its_new_module() -> None:
    made = house({0: []})
    made.do(m.Hello(SessionId("helper"), ("shop",)))
    assert made.claim("helper") == []
    made.do(m.Revise(TaskSpec(0, Policy("P", module="shop"))))
    assert made.claim("helper") == [0]


def test_a_task_joins_a_batch_when_it_is_said_so() -> None:
    batching = Policy("P", batch_limit=5)
    made = house({0: [], 1: []})
    for index in (0, 1):
        made.do(m.Revise(TaskSpec(index, batching, batch="b")))
    assert [one.index for one in made.sync(room=1).granted[0].batch] == [1]


def test_an_unknown_task_cannot_be_said_anew() -> None:
    with pytest.raises(InvalidCommand, match="not known"):
        house({0: []}).do(m.Revise(TaskSpec(1, DISK)))


# -- one particular task


def test_a_worker_takes_the_task_that_it_names() -> None:
    made = house({0: [], 1: [], 2: [0]}, policy=DISK)
    grant = made.do(m.Take(W1, 1))
    assert (grant.index, grant.fence, made.status(1)) == (1, made.fence(1), Status.RUNNING)
    assert made.do(m.Take(W1, 1)) is None  # runs
    assert made.do(m.Take(W1, 0)) is None  # does not fit
    assert made.do(m.Take(W1, 2)) is None  # waits
    made.done(1)
    assert made.do(m.Take(SessionId("stranger"), 0)) is None
    assert made.claim() == [0]


# -- giving back


def test_what_a_running_task_gives_back_lets_others_run() -> None:
    made = house({0: [], 1: []}, policy=DISK)
    made.claim()
    made.do(m.Revise(TaskSpec(1, Policy("P", (("disk", 1),)))))
    assert made.claim() == []
    assert made.do(m.Release(W1, 0, made.fence(0), (("disk", 1),)))
    assert made.claim() == [1]
    assert not made.do(m.Release(SessionId("w2"), 0, made.fence(0), (("disk", 1),)))
    made.done(0)
    assert made.brain.state.used == {"disk": 1}


def test_a_batch_gives_back_as_one() -> None:
    made = house({0: [], 1: [], 2: []}, policy=Policy("P", (("disk", 2),), batch_limit=2), specs={})
    for index in (0, 1):
        made.do(m.Revise(TaskSpec(index, made.policy, batch="b")))
    assert made.claim() == [0]
    made.do(m.Release(W1, 1, made.fence(1), (("disk", 2),)))
    assert made.claim() == [2]
    made.done(0, 1, 2)
    assert made.brain.state.used == {"disk": 0}


# -- failures and what comes after them


def test_a_failure_outside_of_an_attempt_counts() -> None:
    made = house({0: []}, policy=PATIENT)
    assert made.do(m.MarkFailed(0, draw=0.0)) is Status.RETRYING
    assert made.do(m.MarkFailed(0)) is Status.DISABLED
    assert made.do(m.MarkFailed(0)) is Status.DISABLED
    assert made.view(0).reason == "user: 2 failures within 50 s"


def test_a_task_that_failures_have_disabled_for_a_time_goes_on_by_itself() -> None:
    made = house({0: []}, policy=PATIENT)
    for _ in range(2):
        made.do(m.MarkFailed(0))
    made.pass_time(29)
    assert made.status(0) is Status.DISABLED
    made.pass_time(2)
    assert made.status(0) is Status.RETRYING
    made.pass_time(11)
    assert made.claim() == [0]
    made.fail(0)
    assert made.status(0) is Status.RETRYING  # its counters are new


def test_a_failure_long_after_the_first_one_disables() -> None:
    made = house({0: []}, policy=Policy("P", retry=Retry(attempts=99, first=1.0, give_up_after=100.0)))
    made.do(m.MarkFailed(0))
    made.pass_time(99)
    assert made.do(m.MarkFailed(0)) is Status.RETRYING
    made.pass_time(5)
    assert made.do(m.MarkFailed(0)) is Status.DISABLED


def test_what_is_disabled_by_word_stays_so_until_somebody_sets_it_going() -> None:
    made = house({0: []}, policy=PATIENT)
    assert made.do(m.Disable(0)) is Status.DISABLED
    made.pass_time(1_000_000)
    assert made.status(0) is Status.DISABLED
    assert made.do(m.RetryTask(0)) is Status.READY
    made.claim()
    assert made.do(m.Disable(0)) is Status.RUNNING


def test_a_word_outlasts_what_failures_have_disabled() -> None:
    made = house({0: []}, policy=PATIENT)
    for _ in range(2):
        made.do(m.MarkFailed(0))
    made.do(m.Disable(0))
    made.pass_time(31)
    assert made.status(0) is Status.DISABLED


def test_a_task_is_set_going_for_later() -> None:
    made = house({0: []})
    made.do(m.Cancel(0))
    assert made.do(m.RetryTask(0, after=5.0)) is Status.RETRYING
    made.pass_time(6)
    assert made.claim() == [0]


def test_a_task_that_is_hurried_keeps_its_failures() -> None:
    made = house({0: [], 1: [0]}, policy=PATIENT)
    made.claim()
    made.fail(0)
    assert made.do(m.Hurry(0)) is Status.READY
    assert made.do(m.MarkFailed(0)) is Status.DISABLED
    made.do(m.MarkFailed(1))
    assert made.do(m.Hurry(1)) is Status.WAITING


# -- all of it, at random


@dataclass
class Life:
    """Random commands, old and new, at one small brain; laws are checked after each."""

    dice: random.Random
    brain: Brain
    now: float = 0.0
    log: list[Any] = field(default_factory=list)

    def policy(self) -> Policy:
        dice = self.dice
        resources = tuple((name, dice.randint(1, 2)) for name in ("db", "disk") if dice.random() < 0.4)
        retry = Retry(9, 2.0, 9.0, dice.choice((None, 2)), 40.0, (), dice.choice((None, 15.0)), dice.choice((None, 25.0)))
        return Policy(dice.choice("AB"), resources, retry, batch_limit=dice.choice((1, 3)), module=dice.choice(("", "shop")))

    def spec(self, index: int) -> TaskSpec:
        return TaskSpec(index, self.policy(), self.dice.randint(-1, 2), self.dice.choice((None, "b")))

    def do(self, command: Any) -> Any:
        changes, reply = self.brain.handle(command, self.now)
        self.log += changes
        assert laws.check(self.brain) == [], command
        return reply

    def step(self) -> None:
        dice, state = self.dice, self.brain.state
        self.now += dice.random() * 6
        known = len(state.status)
        session = SessionId(dice.choice(("w1", "w2")))
        below = dice.sample(range(known), min(known, dice.randint(0, 2)))
        if known < 8 or dice.random() < 0.05:
            again = dice.sample(range(known), min(known, 1))
            self.do(m.AddTasks(session, [*map(self.spec, again), self.spec(known)], [Growth(known, below, closed=dice.random() < 0.8)]))
            return
        index = dice.randrange(known)
        fence, holder = state.fence(index), state.holder.get(index, session)
        requires = [one for one in below if one < index]
        commands: list[Any] = [
            m.Revise(self.spec(index), dice.choice((None, requires, requires)), closed=dice.random() < 0.8),
            m.Take(session, index), m.MarkFailed(index, dice.choice((ExitClass.USER, ExitClass.OOM, ExitClass.INFRA))),
            m.Hurry(index), m.Disable(index), m.RetryTask(index, dice.choice((0.0, 5.0))), m.Cancel(index), m.Invalidate(index),
            m.MarkDone(index), m.SetResource(dice.choice(("disk", "db")), dice.randint(0, 3)), m.Tick(), m.Hello(session, ("shop",)),
            m.Sync(session, room=dice.randint(1, 3)), m.Sync(session, room=1), m.Forgive(index), m.Bye(session),
        ]  # fmt: skip
        if fence is not None:
            commands += [
                m.Release(holder, index, fence, (("disk", dice.randint(0, 2)), ("db", 1))), m.Sync(holder, done=[(index, fence)]),
                m.Sync(holder, failed=[m.Failed(index, fence, ExitClass.USER)]), m.Renew(holder, ((index, fence),)),
                m.Sync(holder, suspended=[m.Suspended(index, fence, requires)]), m.Sync(holder, handed_back=[m.HandedBack(index, fence)]),
            ]  # fmt: skip
        self.do(dice.choice(commands))


@pytest.mark.parametrize("seed", range(60))
def test_no_life_breaks_a_law(seed: int) -> None:
    """And a brain that reads what was written of it, changes or snapshot, is in the same state."""
    rules = {"lease": 30.0, "reserve": seed % 2 == 0}
    life = Life(random.Random(seed), Brain(**rules))  # type: ignore[arg-type]
    for _ in range(150):
        life.step()
    row = journal.to_bytes(life.log, life.now)
    assert row is not None
    again, kept = Brain(**rules), Brain(**rules)  # type: ignore[arg-type]
    again.resume(None, journal.from_bytes(row)[1])
    unwritten = {"until"}
    mine, theirs = life.brain.state.dump(), again.state.dump()
    assert {name for name in mine if mine[name] != theirs[name]} <= unwritten
    kept.resume(journal.saved_of(dict(journal.parts_of(life.brain.save(), life.now)))[1], ())
    theirs = kept.state.dump()
    assert [name for name in mine if mine[name] != theirs[name]] == []
    assert laws.check(kept) == []


# -- what urgent tasks are kept


def urgent(needs: int, **rules: Any) -> House:
    """Task 0 needs much and is urgent, task 1 needs a unit of two, task 2 nothing."""
    much, unit = Policy("P", (("disk", needs),)), Policy("P", (("disk", 1),))
    made = House(
        {0: [], 1: [], 2: []}, lease=10.0, specs={0: TaskSpec(0, much, 5), 1: TaskSpec(1, unit), 2: TaskSpec(2, Policy("P"))}, **rules
    )
    made.do(m.SetResource("disk", 2))
    return made


def test_what_needs_much_is_not_overtaken_by_what_needs_less() -> None:
    made = urgent(2, reserve=True)
    made.do(m.Take(W1, 1))
    made.specs[3] = TaskSpec(3, Policy("P", (("disk", 1),)))
    made.add({3: []})
    assert made.claim(room=5) == [2]  # 3 would fit, and leaves what there is to 0; 2 takes nothing from anybody
    made.done(1)
    assert made.claim(room=5) == [0]
    made.done(0)
    assert made.claim() == [3]


def test_without_that_rule_what_fits_is_given() -> None:
    made = urgent(2)
    made.do(m.Take(W1, 1))
    made.specs[3] = TaskSpec(3, Policy("P", (("disk", 1),)))
    made.add({3: []})
    assert made.claim(room=5) == [2, 3]


def test_nothing_is_kept_for_what_never_fits() -> None:
    assert sorted(urgent(3, reserve=True).claim(room=5)) == [1, 2]


def test_something_is_kept_for_a_worker_that_waits_and_not_for_one_that_is_gone_or_busy() -> None:
    made = urgent(2, reserve=True)
    made.specs[3] = TaskSpec(3, Policy("P", (("disk", 1),)))
    made.add({3: []}, "w2")
    assert made.claim("w2") == [3]  # w1 never asked
    made.back(3, session="w2")
    made.do(m.Take(W1, 2))
    made.do(m.SetResource("disk", 1))
    assert made.claim(room=5) == [1]
    made.back(1)
    made.do(m.SetResource("disk", 2))
    assert made.claim("w2") == []  # w1 had room for more when it asked last
    made.pass_time(11)
    assert made.claim("w2") == [3]

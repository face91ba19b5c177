"""What people are shown of the brain: why a task waits, who runs how much, what is short."""

from __future__ import annotations

from levada._core import views
from levada._model import messages as m
from levada._model.messages import SessionId
from levada._model.spec import Policy, Retry, TaskSpec
from levada._model.status import Status
from tests.core.house import House

ONCE = Policy("Once", retry=Retry(attempts=1))
DISK = Policy("Disk", (("disk", 1),))


def test_the_chain_leads_to_the_task_that_failed() -> None:
    """Also where another requirement, seen first, still runs."""
    house = House({0: [1, 2], 1: [], 2: [3], 3: []}, policy=ONCE)
    assert house.claim(room=2) == [1, 3]
    house.fail(3)

    assert house.brain.chain(0) == [0, 2, 3]


def test_the_chain_leads_to_what_moves_where_nothing_failed() -> None:
    house = House({0: [1], 1: [2], 2: []})
    assert house.brain.chain(0) == [0, 1, 2]
    house.claim()
    assert house.brain.chain(0) == [0, 1, 2]
    house.done(2)
    assert house.brain.chain(0) == [0, 1]
    assert house.brain.chain(1) == [1]


def test_the_chain_ends_where_tasks_wait_for_each_other() -> None:
    house = House({0: [1], 1: []})
    house.claim()
    house.add({2: [0]})
    house.suspend(1, 2)

    assert house.brain.chain(0) == [0, 1, 2]


def test_a_long_chain_is_told_by_its_beginning_and_its_end() -> None:
    last = 5_000
    house = House()
    for first in range(0, last, 1_000):
        tasks = range(first, first + 1_000)
        house.brain.handle(m.AddTasks(SessionId("w1"), [TaskSpec(index, ONCE) for index in tasks], []), 0.0)
    from levada._model.spec import Growth

    for first in range(0, last, 1_000):
        growth = [Growth(index, [index + 1] if index + 1 < last else []) for index in range(first, first + 1_000)]
        house.brain.handle(m.AddTasks(SessionId("w1"), [], growth), 0.0)

    chain = house.brain.chain(0)

    assert len(chain) == views.LINKS
    assert (chain[0], chain[-1]) == (0, last - 1)


def test_ready_tasks_that_are_short_of_a_resource_are_counted() -> None:
    house = House({0: [], 1: [], 2: [], 3: []}, specs={index: TaskSpec(index, DISK) for index in range(3)})
    assert house.claim(room=4) == [0, 3]

    assert views.short(house.brain.state) == {"disk": 2}
    house.do(m.SetPriority(2, 5))
    assert views.short(house.brain.state) == {"disk": 2}, "who changed its place counts once"
    house.done(0)
    assert house.claim() == [2]
    house.claim()
    assert views.short(house.brain.state) == {"disk": 1}
    assert views.resources(house.brain.state) == ["disk"]


def test_a_session_is_told_what_it_runs_and_not_what_lapsed() -> None:
    house = House({0: [], 1: [], 2: []}, lease=10.0)
    house.claim(room=2)
    assert views.running(house.brain.state)[SessionId("w1")] == 2
    house.done(0)
    house.pass_time(11.0)
    assert views.running(house.brain.state)[SessionId("w1")] == 0


def test_what_an_operator_says_is_done_frees_what_needs_it() -> None:
    house = House({0: [1], 1: []}, policy=ONCE)
    house.claim()
    house.fail(1)

    assert house.do(m.MarkDone(1)) is Status.DONE
    assert house.claim() == [0]
    assert house.do(m.MarkDone(0)) is Status.RUNNING


def test_forgiven_failures_count_no_more() -> None:
    house = House({0: []}, policy=Policy("Twice", retry=Retry(attempts=2, first=1.0)))
    for _ in range(3):
        house.claim()
        house.fail(0)
        assert house.do(m.Forgive(0)) is Status.RETRYING
        house.pass_time(5.0)
    house.claim()
    house.fail(0)
    house.pass_time(5.0)
    house.claim()
    house.fail(0)
    assert house.status(0) is Status.FAILED
    assert house.do(m.Forgive(0)) is Status.READY
    assert house.replayed().state.dump() == house.brain.state.dump()

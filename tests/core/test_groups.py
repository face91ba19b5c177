"""Groups of sessions that are gone leave nothing behind: a server lives for years, and each run by cron is a session."""

from __future__ import annotations

import pytest

from levada._core import Brain
from levada._core.merging import MOST
from levada._model import messages as m
from levada._model.messages import SessionId
from levada._model.spec import Growth, Policy, TaskSpec
from levada._model.status import Status

from .house import House

APP = Policy("App", module="app")
DB = Policy("Db", resources=(("db", 1),), module="app")
HELPER = "helper"


def bye(house: House, session: str) -> None:
    house.do(m.Bye(SessionId(session)))


def run_all(house: House, session: str) -> None:
    while granted := house.claim(session, room=10):
        house.done(*granted, session=session)


def live(house: House) -> list[int]:
    """How many tasks each group holds."""
    state = house.brain.state
    return [state.size_of(group) for group in state.groups if group.number not in state.free_groups]


@pytest.mark.parametrize("case", ["the same tasks", "nothing to do", "one new task each"])
def test_sessions_that_come_and_go_leave_no_groups(case: str) -> None:
    """The brain holds as many groups after a hundred runs as after ten, and an assistant looks into no more."""
    house = House({index: [] for index in range(5)}, policy=APP)
    house.do(m.Hello(SessionId(HELPER), ("app",)))
    run_all(house, "w1")
    bye(house, "w1")
    seen = []
    for number in range(100):
        session = f"cron {number}"
        house.do(m.Hello(SessionId(session), (), "cron"))
        if case != "nothing to do":
            house.add({index: [] for index in range(5)}, session, reopen=True)
        if case == "one new task each":
            house.add({5 + number: []}, session)
        run_all(house, session)
        bye(house, session)
        seen.append((len(house.brain.state.groups), len(house.brain.state.sessions[SessionId(HELPER)].groups)))
    assert seen[9] == seen[99]
    assert live(house) == [100 + 5 if case == "one new task each" else 5]
    assert house.replayed().state.dump() == house.brain.state.dump()


def test_ready_tasks_of_groups_that_became_one_are_granted() -> None:
    """Also those that stand in a line for a resource, and to a session that came for some of them only."""
    house = House({0: [], 1: [], 2: []}, specs={2: TaskSpec(2, DB), 4: TaskSpec(4, DB)}, policy=APP, session="a")
    house.add({3: [], 4: []}, "b")
    house.add({3: [], 4: []}, "a")
    assert sorted(live(house)) == [2, 3]
    bye(house, "b")
    assert live(house) == [5]
    found = []
    while granted := house.claim("a", room=5):
        found += granted
        house.done(*granted, session="a")
    assert sorted(found) == [0, 1, 2, 3, 4]


def test_a_line_that_was_parked_in_a_group_that_is_gone_is_forgotten() -> None:
    house = House({0: [], 1: []}, policy=DB, session="a")
    assert house.claim("a", room=2) == [0]
    assert house.brain.state.parked["db"]
    house.add({0: [], 1: []}, "b")
    assert house.claim("b") == []
    assert len(house.brain.state.parked["db"]) == 1
    bye(house, "b")
    house.done(0, session="a")
    assert house.claim("a") == [1]


def test_a_group_whose_last_task_is_forgotten_goes() -> None:
    house = House({0: []}, session="a")
    house.add({1: []}, "b")
    bye(house, "a")
    assert house.do(m.Forget([0])) == [0]
    assert live(house) == [1]
    house.add({0: []}, "c")
    assert live(house) == [1, 1]


def test_a_snapshot_keeps_which_numbers_are_free() -> None:
    house = House({0: [], 1: []}, policy=APP, session="a")
    for session in ("b", "c", "d"):
        house.add({0: []}, session)
    bye(house, "c")
    bye(house, "a")
    other = Brain()
    other.resume(house.brain.save(), ())
    assert other.state.dump() == house.brain.state.dump()
    for brain in (house.brain, other):
        brain.handle(m.AddTasks(SessionId("e"), [house.specs[1]], []), 200.0)
    assert other.state.dump() == house.brain.state.dump()


def test_what_an_older_version_left_behind_goes_when_its_snapshot_is_read() -> None:
    house = House({0: [], 1: [], 2: []}, policy=APP, session="a")
    bye(house, "a")
    saved = house.brain.save()
    few = saved["few"]
    del few["free_groups"]
    few["groups"] = [([], "app"), ([], "app"), ([], "app")]
    few["known_groups"] = [0]
    saved["group"] = b"".join(number.to_bytes(4, "little") for number in (1, 1, 0))  # an array of C ints
    house.brain = Brain()
    house.brain.resume(saved, ())
    house.pass_time(1.0)  # the laws hold
    assert live(house) == [3]


def test_large_groups_stay_apart_and_smaller_ones_join_them() -> None:
    """No command moves more than MOST tasks."""
    brain, many = Brain(), MOST + 1

    def add(session: str, tasks: range) -> None:
        for at in range(tasks.start, tasks.stop, 4_000):
            part = range(at, min(at + 4_000, tasks.stop))
            brain.handle(m.AddTasks(SessionId(session), [TaskSpec(i, APP) for i in part], [Growth(i, ()) for i in part]), 1.0)

    add("a", range(many))
    add("b", range(many, 2 * many))
    add("c", range(2 * many, 2 * many + 10))
    for session in ("a", "b", "c"):
        brain.handle(m.Bye(SessionId(session)), 1.0)
    state = brain.state
    assert sorted(state.size_of(group) for group in state.groups if group.number not in state.free_groups) == [many, many + 10]
    brain.handle(m.Hello(SessionId(HELPER), ("app",)), 1.0)
    assert len(brain.handle(m.Sync(SessionId(HELPER), room=3 * many), 1.0)[1].granted) == 2 * many + 10
    assert brain.progress().counts[Status.RUNNING] == 2 * many + 10

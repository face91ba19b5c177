"""A brain for several workers of one process, by a clock that people may set."""

from __future__ import annotations

from levada._model import messages as m
from levada._model.messages import SessionId
from levada._model.spec import Growth, Policy, TaskSpec
from levada._model.status import Status
from levada._server.together import Forward, Together

W1 = SessionId("w1")


def test_time_goes_forward_whatever_the_clock_does() -> None:
    moments = [100.0, 101.0, 5.0, 6.5, 6.5, 200.0]
    clock = Forward(lambda: moments.pop(0))
    assert [clock() for _ in range(5)] == [1.0, 1.0, 2.5, 2.5, 196.0]


def test_who_listens_hears_which_tasks_a_command_changed_before_its_answer() -> None:
    host = Together()
    heard: list[list[int]] = []
    host.touched = lambda tasks: heard.append(list(tasks))
    policy = Policy("P")
    for needs in ([], [0]):
        index = host.place()
        host.handle(m.AddTasks(W1, [TaskSpec(index, policy)], [Growth(index, needs)]))
    (grant,) = host.handle(m.Sync(W1, room=1)).granted
    host.handle(m.Sync(W1, done=[(0, grant.fence)]))
    assert heard == [[0], [1], [0], [0, 1]]
    assert [host.status(0), host.status(1)] == [Status.DONE, Status.READY]


def test_places_of_forgotten_tasks_are_used_again_also_in_the_next_life() -> None:
    host = Together()
    for index in (0, 1):
        host.handle(m.AddTasks(W1, [TaskSpec(host.place(), Policy("P"))], [Growth(index, [])]))
    host.handle(m.Cancel(0))
    assert host.handle(m.Forget([0])) == [0]
    after = Together()
    after.load(host.save())
    assert [host.place(), after.place()] == [0, 0]
    assert after.status(1) is Status.READY

"""A command that does not fit is refused whole, and says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from levada._core import validate
from levada._model import messages as m
from levada._model.messages import Fence, SessionId
from levada._model.spec import Growth, Policy, Retry, TaskSpec
from levada._model.status import ExitClass
from levada.errors import InvalidCommand
from tests.core.house import House

W1 = SessionId("w1")
P = Policy("New")
F = Fence(1, 1)


def add(*specs: Any, growth: Any = (), **fields: Any) -> m.AddTasks:
    return m.AddTasks(W1, specs, growth, **fields)


WRONG: dict[str, Any] = {
    "is no command": "hello",
    "a session is a text": m.Hello(7),  # type: ignore[arg-type]
    "labels are texts": m.Hello(W1, (1,)),  # type: ignore[arg-type]
    "out of order": add(TaskSpec(5, P)),
    "task -1 is out of order": add(TaskSpec(-1, P)),
    "task 2 is out of order": add(TaskSpec(2, P), TaskSpec(2, P)),
    "task True is out of order": add(TaskSpec(True, P)),
    "task 2.0 is out of order": add(TaskSpec(2.0, P)),  # type: ignore[arg-type]
    "wrong type": add(7),
    "unhashable": add(TaskSpec(2, P._replace(retry=Retry(exceptions=[])))),  # type: ignore[arg-type]
    "has no attribute": add(TaskSpec(2, "policy")),  # type: ignore[arg-type]
    "sorted by name": add(TaskSpec(2, P._replace(resources=(("b", 1), ("a", 1))))),
    "needs 0 of 'a'": add(TaskSpec(2, P._replace(resources=(("a", 0),)))),
    "times of": add(TaskSpec(2, P._replace(retry=Retry(first=float("nan"))))),
    "below 1": add(TaskSpec(2, P._replace(batch_limit=0))),
    "a priority is an integer": add(TaskSpec(2, P, priority=1 << 21)),
    "a batch group is a text": add(TaskSpec(2, P, batch=4)),  # type: ignore[arg-type]
    "complete is a count": add(complete=-1),
    "tasks in one message": add(*[TaskSpec(2, P)] * 5_000),
    "growth in one message": add(growth=[Growth(0, ())] * 5_000),
    "task 9 is not known": add(growth=[Growth(9, ())]),
    "task 8 is not known": add(growth=[Growth(0, (8,))]),
    "task -3 is not known": add(growth=[Growth(0, (-3,))]),
    "is an integer, the number of a task, got True": add(growth=[Growth(0, (True,))]),
    "requires itself": add(growth=[Growth(0, (1, 0))]),
    "requirements at once": add(growth=[Growth(0, (1,) * 100_001)]),
    "task 1099511627776 is not known": add(growth=[Growth(0, (1 << 40,))]),
    "is an integer, the number of a task, got 'x'": add(growth=[Growth(0, ("x",))]),  # type: ignore[arg-type]
    "room is a count": m.Sync(W1, room=-1),
    "not enough values": m.Sync(W1, done=[(0, ())]),  # type: ignore[list-item]
    "task 7 with fence": m.Sync(W1, done=[(7, F)]),
    "fence '1'": m.Sync(W1, done=[(0, Fence("1", 1))]),  # type: ignore[arg-type]
    "a draw lies in": m.Sync(W1, failed=[m.Failed(0, F, ExitClass.USER, (), 1.0)]),
    "final is yes or no": m.Sync(W1, failed=[m.Failed(0, F, ExitClass.USER, (), 0.5, 1)]),  # type: ignore[arg-type]
    "failed with": m.Sync(W1, failed=[m.Failed(0, F, ExitClass.OK)]),
    "errors are names": m.Sync(W1, failed=[m.Failed(0, F, ExitClass.USER, (1,))]),  # type: ignore[arg-type]
    "after is a number": m.Sync(W1, handed_back=[m.HandedBack(0, F, float("inf"))]),
    "a reason is a text": m.Sync(W1, handed_back=[m.HandedBack(0, F, 0.0, b"")]),  # type: ignore[arg-type]
    "task 0 requires itself": m.Sync(W1, suspended=[m.Suspended(0, F, (0,))]),
    "known are 2": m.Sync(W1, found_complete=[2]),
    "a session is a text, got None": m.Renew(None, ()),  # type: ignore[arg-type]
    "a session is a text, got 1": m.Confirm(1, 0, F),  # type: ignore[arg-type]
    "a session is a text, got 2": m.Bye(2),  # type: ignore[arg-type]
    "task 4 is not known": m.Cancel(4),
    "task 5 is not known": m.SetPriority(5, 1),
    "priority is an integer": m.SetPriority(0, 1.5),  # type: ignore[arg-type]
    "a resource is a name": m.SetResource("db", -1),
    "paused is true or false": m.Pause(1),  # type: ignore[arg-type]
    "a lag is a number": m.Tick(-1.0),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_command_is_refused_and_changes_nothing(text: str) -> None:
    house = House({0: [1], 1: []})
    house.claim()
    before = house.brain.state.dump()
    with pytest.raises(InvalidCommand, match=text):
        house.do(WRONG[text])
    assert house.brain.state.dump() == before


def test_sessions_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "SESSIONS_LIMIT", 1)
    house = House({0: []})
    house.sync("w1")
    with pytest.raises(InvalidCommand, match="sessions are open"):
        house.sync("w2")


def test_an_unknown_task_cannot_be_viewed() -> None:
    with pytest.raises(InvalidCommand, match="task 3 is not known"):
        House({0: []}).view(3)

"""Each law notices when it is broken: the state is damaged by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from levada._core import laws
from levada._core.changes import StartedOver
from levada._core.state import State
from levada._model import messages as m
from levada._model.messages import SessionId
from levada._model.spec import Policy, TaskSpec
from levada._model.status import Status
from tests.core.house import House

DB = Policy("Db", resources=(("db", 1),), batch_limit=2)
PLAIN = Policy("Plain")


def house() -> House:
    """0 needs 1, which runs; 2 sleeps; 3 is done; 4 and 5 are ready, short of db; 6 retries; 7 and 8 run as a batch; 9 is ready."""
    policies = {0: PLAIN, 1: PLAIN, 2: PLAIN, 3: PLAIN, 4: DB, 5: DB, 6: PLAIN, 7: DB, 8: DB, 9: PLAIN}
    specs = {index: TaskSpec(index, policy, batch={7: "b", 8: "b", 4: "c"}.get(index)) for index, policy in policies.items()}
    made = House({0: [1], **{index: [] for index in range(1, 10)}}, lease=60.0, specs=specs)
    made.do(m.SetPriority(7, 9))
    made.do(m.SetPriority(9, -9))
    made.claim()
    made.claim(room=4)
    made.suspend(2)
    made.done(3)
    made.back(6, after=9.0)
    return made


def park(state: State) -> None:
    state.parked.clear()


DAMAGE: dict[str, Callable[[State], object]] = {
    "columns are even: unmet": lambda s: s.unmet.append(0),
    "columns are even: something": lambda s: s.freed.append(0),
    "unmet is what is undone": lambda s: s.unmet.__setitem__(0, 5),
    "edges have two ends": lambda s: s.edges.dependants.__setitem__(1, None),
    "counters are right": lambda s: s.counts.__setitem__(0, 7),
    "is ready with": lambda s: (s.unmet.__setitem__(4, 1), s.open.add(4)),
    "waits with nothing unmet": lambda s: s.set_status(4, Status.WAITING),
    "which is no session": lambda s: s.holder.pop(1),
    "without an end of its lease": lambda s: s.until.pop(1),
    "what only running tasks have": lambda s: s.wishes.__setitem__(0, 1.0),
    "has a holder and is done": lambda s: s.holder.__setitem__(3, SessionId("w1")),
    "sleeps on with nothing unmet": lambda s: s.woken.clear(),
    "does not sleep there": lambda s: s.woken[SessionId("w1")].__setitem__(1, None),
    "retrying without a time": lambda s: s.retries.clear(6),
    "nobody will judge": lambda s: s.expiries.clear(1),
    "and has a time": lambda s: s.at.__setitem__(1, 5.0),
    "not in the front": lambda s: s.groups[0].front.clear(),
    "not in its line": lambda s: s.groups[0].lines.clear(),
    "not in its batch": lambda s: s.groups[0].batches.clear(),
    "parked and nothing is short": park,
    "no head in the front": lambda s: s.groups[0].parked.clear(),
    "queues are bounded": lambda s: s.groups[0].front.extend([9] * 2_000),
    "is not between": lambda s: setattr(s.groups[0], "high", 3),
    "holds 10 tasks, free are": lambda s: s.free_groups.__setitem__(0, None),
    "is for the same as": lambda s: s.group_numbers.clear(),
    "crew": lambda s: s.crews.__setitem__(1, (DB.resources, 5)),
    "resources add up: held": lambda s: s.used.__setitem__("db", 3),
    "in use, there are": lambda s: s.total.__setitem__("db", 0),
    "priorities pass upstream": lambda s: s.priority.__setitem__(1, 3),
}


def test_the_house_is_well() -> None:
    made = house()
    standing = ["waiting", "running", "running", "done", "ready", "ready", "retrying", "running", "running", "ready"]
    assert [str(made.status(index)) for index in range(10)] == standing
    laws.demand(made.brain)


@pytest.mark.parametrize("text", DAMAGE)
def test_a_damaged_state_is_noticed(text: str) -> None:
    made = house()
    DAMAGE[text](made.brain.state)
    with pytest.raises(laws.LawBroken, match=text):
        laws.demand(made.brain)


def test_a_fence_that_falls_is_noticed() -> None:
    made = house()
    made.brain.state.number[1] = 0
    assert "fences rise" in made.watch.look(made.brain, [])[0]


def test_done_that_is_undone_without_an_invalidation_is_noticed() -> None:
    made = house()
    made.brain.state.set_status(3, Status.FAILED)
    assert made.watch.look(made.brain, [StartedOver(3, invalid=False)]) == ["done stays done: task 3 is failed in generation 1"]

"""Section 2 of docs/promises.md as a table: every pair of a standing and an event has its cell, refusals included."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from levada._model import messages as m
from levada._model.messages import Fence, SessionId
from levada._model.spec import Policy, Retry
from levada._model.status import ExitClass
from levada.errors import InvalidCommand
from tests.core.house import House

ONCE = Policy("Once", retry=Retry(attempts=1))
TOUCHY = Policy("Touchy", retry=Retry(disable_after=1, window=500.0))
LEASE = 10.0


def house(policy: Policy | None = None, lock_delay: float = 0.0) -> House:
    """Task 0 needs task 1."""
    return House({0: [1], 1: []}, lease=LEASE, lock_delay=lock_delay, **({"policy": policy} if policy else {}))  # type: ignore[arg-type]


def ready(policy: Policy | None = None, lock_delay: float = 0.0) -> House:
    made = house(policy, lock_delay)
    made.sync(found_complete=[1])
    return made


def running(policy: Policy | None = None, lock_delay: float = 0.0) -> House:
    made = ready(policy, lock_delay)
    assert made.claim() == [0]
    return made


def failing(policy: Policy | None = None) -> House:
    made = running(policy)
    made.fail(0)
    return made


def done() -> House:
    made = running()
    made.done(0)
    return made


def cancelled() -> House:
    made = ready()
    made.do(m.Cancel(0))
    return made


def suspended() -> House:
    made = running()
    made.add({2: []})
    made.suspend(0, 2)
    return made


def lapsed(lock_delay: float = 0.0) -> House:
    made = running(lock_delay=lock_delay)
    made.pass_time(LEASE + 1)
    return made


def lapsed_and_cancelled() -> House:
    made = lapsed()
    made.do(m.Cancel(0))
    return made


def lapsed_thrice() -> House:
    made = lapsed()
    for _ in range(2):
        made.claim()
        made.pass_time(LEASE + 1)
    return made


STANDINGS: dict[str, Callable[[], House]] = {
    "waiting": house,
    "ready": ready,
    "running": running,
    "suspended": suspended,
    "retrying": failing,
    "done": done,
    "failed": lambda: failing(ONCE),
    "disabled": lambda: failing(TOUCHY),
    "cancelled": cancelled,
    "retrying, lapsed": lambda: lapsed(3.0),
    "ready, lapsed": lapsed,
    "cancelled, lapsed": lapsed_and_cancelled,
    "disabled, lapsed": lapsed_thrice,
}


def report(made: House, **reports: object) -> str:
    """The status, and what the answer says about the task."""
    reply = made.sync(**reports)
    return "" + (" lost" if 0 in reply.lost else "") + (" cancel" if 0 in reply.cancel else "")


def old(made: House) -> Fence:
    return Fence(0, made.fence(0).number)


def renew(made: House, fence: Fence, session: str = "w1") -> str:
    reply = made.do(m.Renew(SessionId(session), ((0, fence),)))
    return (" lost" if 0 in reply.lost else "") + (" cancel" if 0 in reply.cancel else "")


def add(made: House, session: str, **fields: bool) -> str:
    made.add({0: [1]}, session, **fields)
    return ""


def plainly(made: House, command: object) -> str:
    made.do(command)
    return ""


def later(made: House, seconds: float) -> str:
    made.pass_time(seconds)
    return ""


def fail(made: House, fence: Fence, exit_class: ExitClass = ExitClass.USER) -> str:
    return report(made, failed=[m.Failed(0, fence, exit_class, (), 0.0)])


EVENTS: dict[str, Callable[[House], str]] = {
    "add": lambda made: add(made, "w1"),
    "add by another": lambda made: add(made, "w2"),
    "add, incomplete": lambda made: add(made, "w2", reopen=True),
    "found complete": lambda made: report(made, found_complete=[0]),
    "claim": lambda made: report(made, room=5),
    "requirement done": lambda made: report(made, found_complete=[1]),
    "lease passes": lambda made: later(made, LEASE + 1),
    "a day passes": lambda made: later(made, 100_000.0),
    "renew": lambda made: renew(made, made.fence(0)),
    "renew, old fence": lambda made: renew(made, old(made)),
    "renew, other session": lambda made: renew(made, made.fence(0), "w2"),
    "done": lambda made: report(made, done=[(0, made.fence(0))]),
    "done, old fence": lambda made: report(made, done=[(0, old(made))]),
    "done, other session": lambda made: report(made, session="w2", done=[(0, made.fence(0))]),
    "failed": lambda made: fail(made, made.fence(0)),
    "failed, old fence": lambda made: fail(made, old(made)),
    "infra": lambda made: fail(made, made.fence(0), ExitClass.INFRA),
    "handed back": lambda made: report(made, handed_back=[m.HandedBack(0, made.fence(0))]),
    "handed back for later": lambda made: report(made, handed_back=[m.HandedBack(0, made.fence(0), 5.0)]),
    "suspend": lambda made: report(made, suspended=[m.Suspended(0, made.fence(0), ())]),
    "cancel": lambda made: plainly(made, m.Cancel(0)),
    "retry": lambda made: plainly(made, m.RetryTask(0)),
    "forgive": lambda made: plainly(made, m.Forgive(0)),
    "mark done": lambda made: plainly(made, m.MarkDone(0)),
    "mark failed": lambda made: plainly(made, m.MarkFailed(0)),
    "hurry": lambda made: plainly(made, m.Hurry(0)),
    "disable": lambda made: plainly(made, m.Disable(0)),
    "retry later": lambda made: plainly(made, m.RetryTask(0, after=5.0)),
    "take": lambda made: plainly(made, m.Take(SessionId("w1"), 0)),
    "invalidate": lambda made: plainly(made, m.Invalidate(0)),
    "bye": lambda made: plainly(made, m.Bye(SessionId("w1"))),
}


def play(standing: str, event: str) -> str:
    made = STANDINGS[standing]()
    assert str(made.status(0)) == standing.split(",")[0].replace("suspended", "running")
    said = EVENTS[event](made)
    return f"{made.status(0)}{said}"


LETTERS = {"W": "waiting", "R": "ready", "U": "running", "T": "retrying", "D": "done", "F": "failed", "X": "disabled", "C": "cancelled"}
MARKS = {"!": " lost", "?": " cancel"}

# columns: waiting, ready, running, suspended, retrying, done, failed, disabled, cancelled; and after a lapsed
# lease: retrying, ready, cancelled, disabled
TABLE = """
add                   | W  R  U  U  T  D  F  X  C  T  R  C  X
add by another        | W  R  U  U  T  D  R  X  R  T  R  R  X
add, incomplete       | W  R  U  U  T  R  R  X  R  T  R  R  X
found complete        | D  D  U  U  D  D  D  X  C  D  D  C  X
claim                 | W  U  U  U  T  D  F  X  C  T  U  C  X
requirement done      | R  R  U  U  T  D  F  X  C  T  R  C  X
lease passes          | W  R  R  R  R  D  F  X  C  R  R  C  X
a day passes          | W  R  R  R  R  D  F  X  C  R  R  C  X
renew                 | W! R! U  U  T! D! F! X! C! U  U  C? X!
renew, old fence      | W! R! U! U! T! D! F! X! C! T! R! C! X!
renew, other session  | W! R! U! U! T! D! F! X! C! T! R! C! X!
done                  | W! R! D  D  T! D  F! X! C! D  D  C? D
done, old fence       | W! R! U! U! T! D! F! X! C! T! R! C! X!
done, other session   | W! R! U! U! T! D  F! X! C! T! R! C! X!
failed                | W! R! T  T  T  D  F  X  C! T  R  C  X
failed, old fence     | W! R! U! U! T! D! F! X! C! T! R! C! X!
infra                 | W! R! T  T  T  D  F  X  C! T  R  C  X
handed back           | W! R! R  W  T  D  F  X  C! T  R  C  X
handed back for later | W! R! T  T  T  D  F  X  C! T  R  C  X
suspend               | W! R! U  U  T! D! F! X! C! T! R! C! X!
cancel                | C  C  U  U  C  D  F  X  C  C  C  C  X
retry                 | W  R  U  U  T  D  R  R  R  T  R  R  R
forgive               | W  R  U  U  T  D  R  R  C  T  R  C  R
mark done             | D  D  U  U  D  D  D  D  D  D  D  D  D
mark failed           | T  T  U  U  T  D  F  X  C  T  T  C  X
hurry                 | W  R  U  U  R  D  F  X  C  R  R  C  X
disable               | X  X  U  U  X  D  X  X  X  X  X  X  X
retry later           | W  R  U  U  T  D  T  T  T  T  R  T  T
take                  | W  U  U  U  T  D  F  X  C  T  U  C  X
invalidate            | W  R  U  U  T  R  R  R  R  T  R  R  R
bye                   | W  R  R  W  T  D  F  X  C  T  R  C  X
"""


def cells() -> list[tuple[str, str, str]]:
    """(standing, event, what must come of it)."""
    found = []
    for line in TABLE.strip().splitlines():
        event, _, row = line.partition("|")
        for standing, cell in zip(STANDINGS, row.split(), strict=True):
            found.append((standing, event.strip(), LETTERS[cell[0]] + MARKS.get(cell[1:], "")))
    return found


def test_the_table_has_every_pair() -> None:
    """A standing or an event without a cell would be one nobody has thought about."""
    assert {(standing, event) for standing, event, _ in cells()} == {(standing, event) for standing in STANDINGS for event in EVENTS}


@pytest.mark.parametrize("event", EVENTS)
def test_each_standing_answers_the_event_as_the_table_says(event: str) -> None:
    expected = {standing: outcome for standing, known, outcome in cells() if known == event}
    assert {standing: play(standing, event) for standing in STANDINGS} == expected


@pytest.mark.parametrize("standing", STANDINGS)
def test_a_refused_command_changes_nothing(standing: str) -> None:
    """An unknown task in the middle of a message: all or nothing."""
    made = STANDINGS[standing]()
    before = made.brain.state.dump()
    with pytest.raises(InvalidCommand, match="not known"):
        made.sync(done=[(0, made.fence(0)), (99, Fence(1, 1))], found_complete=[0])
    assert made.brain.state.dump() == before

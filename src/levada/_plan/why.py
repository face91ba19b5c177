"""Why a task is not complete: one chain of facts, from the task to what would end the wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .._model.ports import Attempt
from ..errors import headline, shown
from ..task import flatten, key_of, repr_of
from .complete import missing
from .plan import BLOCKED, FAULTY, GROUP, MISSING, TO_DO, Plan
from .walk import Fault

LOOKED_UP = 100
"""Requirements of one task whose history is looked up, at most."""


class Fact(NamedTuple):
    """One link of the chain."""

    task: str
    says: str


class Why(NamedTuple):
    """``verdict`` is one word: complete, runnable, running, waiting, failed, faulty."""

    task: str
    verdict: str
    facts: tuple[Fact, ...]
    remedy: str

    def lines(self) -> list[str]:
        """For people: the chain, then what would end the wait."""
        shown = [f"{self.task}: {self.verdict}"]
        shown += [f"  {fact.task}: {fact.says}" if fact.task != self.task else f"  {fact.says}" for fact in self.facts]
        return [*shown, f"  -> {self.remedy}"]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"task": self.task, "verdict": self.verdict, "facts": [f._asdict() for f in self.facts], "remedy": self.remedy}


def why(
    task: Any,
    *,
    attempts: Callable[[bytes], Sequence[Attempt]] = lambda key: (),
    runs_elsewhere: Callable[[bytes], bool] = lambda key: False,
) -> Why:
    """The chain for one task.

    attempts: the last attempts of a key, newest first. runs_elsewhere: whether another process of
    this host holds the task now.
    """
    plan = Plan([task])
    name = repr_of(task)
    if not len(plan):
        return Why(name, "complete", (Fact(name, _outputs(task)),), "Nothing is to be done; `levada run` would leave it alone.")
    facts: list[Fact] = []
    index = plan.discovery.roots[0]
    while True:
        here = plan.task(index)
        facts.append(Fact(repr_of(here), _state(plan, index, here)))
        last = _last(attempts, here)
        if runs_elsewhere(key_of(here)):
            facts.append(Fact(repr_of(here), "runs now in another process of this host"))
            return Why(name, "running", tuple(facts), "Wait for that process; its result will be found.")
        following = _worst(plan, index, attempts)
        if following is None:
            return _end(plan, index, name, facts, last)
        index = following


def _end(plan: Plan, index: int, name: str, facts: list[Fact], last: Attempt | None) -> Why:
    here = plan.task(index)
    word = plan.states[index]
    if word == MISSING:
        return Why(name, "waiting", tuple(facts), f"Others make {repr_of(here)}; it is taken up when {_outputs_of(here)} is there.")
    if word == FAULTY:
        fault = next((f for f in plan.faults if f.task == repr_of(here)), None)
        facts.append(Fact(repr_of(here), str(fault.message) if fault else "its own code raised"))
        return Why(name, "faulty", tuple(facts), "Mend the code (or the store that did not answer) and run again.")
    if word == BLOCKED and plan.faults:
        facts.append(_as_fact(plan.faults[0]))
        return Why(name, "faulty", tuple(facts), "Mend the fault and run again.")
    if last is not None and last.exit != "ok":
        facts.append(Fact(repr_of(here), _told(last)))
        if last.exit != "cancelled":
            from shlex import quote

            return Why(name, "failed", tuple(facts), f"`levada log {quote(repr_of(here))}` has the whole error; `levada run` tries again.")
    if index != plan.discovery.roots[0]:
        return Why(name, "waiting", tuple(facts), f"Nothing stands in the way of {repr_of(here)}: `levada run` would start with it.")
    return Why(name, "runnable", tuple(facts), "Nothing stands in its way: `levada run` would start with it.")


def _told(last: Attempt) -> str:
    ago = _duration(max(0.0, time.time() - last.started - last.seconds))
    if last.exit == "cancelled":
        return f"attempt {last.number} was cancelled {ago} ago"
    said = headline(last.error).removeprefix("levada.errors.")
    ended = "raised" if last.exit == "user" else f"ended {last.exit}"
    return f"attempt {last.number} {ended} {ago} ago: {said}"


def _state(plan: Plan, index: int, task: Any) -> str:
    word = plan.states[index]
    if word == MISSING:
        return f"external, and not there: {_outputs_of(task)}"
    if word == FAULTY:
        return "cannot be planned"
    needs = len(plan.needs[index])
    if word == GROUP or (word == BLOCKED and not flatten(task.output())):
        return f"groups {_incomplete(needs)}"
    absent = f"not there: {_outputs_of(task)}"
    return f"{absent}; needs {_incomplete(needs)}" if needs else absent


def _incomplete(needs: int) -> str:
    return f"{needs} incomplete requirement{'' if needs == 1 else 's'}"


def _worst(plan: Plan, index: int, attempts: Callable[[bytes], Sequence[Attempt]]) -> int | None:
    """The requirement that keeps it waiting most: faulty before missing before blocked, then one that failed before."""
    order = {FAULTY: 0, MISSING: 1, BLOCKED: 2, GROUP: 3, TO_DO: 3}
    needs = [need for need in plan.needs[index] if need != index]
    if not needs or (plan.states[index] == BLOCKED and all(plan.states[n] == BLOCKED for n in needs) and plan.faults):
        return None
    rank = min(order.get(plan.states[need], 4) for need in needs)
    worst = [need for need in needs if order.get(plan.states[need], 4) == rank]
    for need in worst[:LOOKED_UP]:
        last = _last(attempts, plan.task(need))
        if last is not None and last.exit not in ("ok", "cancelled"):
            return need
    return worst[0]


def _last(attempts: Callable[[bytes], Sequence[Attempt]], task: Any) -> Attempt | None:
    found = attempts(key_of(task))
    return found[0] if found else None


def _as_fact(fault: Fault) -> Fact:
    return Fact(fault.task, fault.message)


def _outputs(task: Any) -> str:
    names = [str(getattr(target, "path", None) or target) for target in flatten(task.output())]
    return f"complete: {', '.join(names[:5])}" if names else "complete"


def _outputs_of(task: Any) -> str:
    try:
        absent = missing(task)
    except Exception as cause:
        return f"(cannot tell: {shown(cause)})"
    return ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "") if absent else "its outputs"


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

"""What people ask: counters, one task, tasks of a status, what keeps a task waiting. Reads only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from .._model.messages import Progress, SessionId, TaskView
from .._model.spec import Index
from .._model.status import Status
from .state import DEFAULT_TOTAL, INDEX_MASK, Group, State

LINKS = 100
"""Tasks in a chain, at most."""
LOOKED_AT = 10_000
"""Requirements, or entries of queues, that one question looks at."""
WAITING, READY, RUNNING, RETRYING = map(int, (Status.WAITING, Status.READY, Status.RUNNING, Status.RETRYING))
UNKNOWN = "its requirements are still being discovered, or others make it and it is not there"
_STUCK = (Status.FAILED, Status.DISABLED, Status.CANCELLED)


def progress(state: State) -> Progress:
    """Counters as they stand; costs one step a family."""
    rows = zip(*state.by_family, strict=True)
    return Progress(tuple(state.counts), dict(zip(state.families, rows, strict=True)), state.complete)


def having(state: State, statuses: tuple[Status, ...]) -> Iterator[Index]:
    """Indices of the tasks that stand so, ascending. Looks at all tasks: for summaries."""
    wanted = bytes(sorted(statuses))
    return (index for index, status in enumerate(bytes(state.status)) if status in wanted)


def next_timer(state: State, now: float) -> float | None:
    """Seconds until the first retry is due or lease may lapse; None: no timer runs."""
    if not state.at and not state.until:
        return None
    retry, expiry = state.retries.earliest(), state.expiries.earliest()
    if retry is None and expiry is None:
        return None
    first = min(math.inf if retry is None else retry, math.inf if expiry is None else expiry + state.forgiven)
    return max(0.0, first - now)


def outlook(state: State, name: SessionId) -> tuple[int, int]:
    """How many tasks that the session may run are unfinished, and how many of them can move without a further report.

    Nothing can where all that is ready asks for more of a resource than there is: somebody must say that there is more.
    """
    counts = state.counts if not state.is_split else [sum(column) for column in zip(*(g.counts for g in _groups(state, name)), strict=True)]
    if not counts:
        return 0, 0
    active = counts[READY] + counts[RUNNING] + counts[RETRYING]
    if state.parked and active == counts[READY] and all(_is_stuck(state, group) for group in _groups(state, name)):
        return counts[WAITING] + active, 0
    if state.suspended and 0 < active <= len(state.suspended) and _sleeps_for_good(state, set(state.sessions[name].groups), active):
        return counts[WAITING] + active, 0
    return counts[WAITING] + active, active


def _sleeps_for_good(state: State, groups: set[int], active: int) -> bool:
    """Whether all that is active sleeps, and nothing that it sleeps for, however far, can move. Looks at LOOKED_AT requirements."""
    sleepers = [index for index in state.suspended if state.group[index] in groups and state.unmet[index]]
    if len(sleepers) < active:
        return False
    seen, stack, looked = set(sleepers), sleepers, 0
    while stack:
        for required in state.edges.requirements(stack.pop()):
            status = state.status[required]
            if status == Status.DONE or required in seen:
                continue
            looked += 1
            awake = status == RUNNING and not (required in state.suspended and state.unmet[required])
            if awake or status in (READY, RETRYING) or required in state.open or looked > LOOKED_AT:
                return False
            seen.add(required)
            if status in (WAITING, RUNNING):
                stack.append(required)
    return True


def _groups(state: State, name: SessionId) -> list[Group]:
    return [state.groups[number] for number in state.sessions[name].groups]


def _is_stuck(state: State, group: Group) -> bool:
    """No end of an attempt can move what is ready here. Looks at each line, not at each task."""
    if group.front:
        return False
    totals = state.total
    return all(any(amount > totals.get(name, DEFAULT_TOTAL) for name, amount in resources) for resources in group.lines)


def view(state: State, index: Index, now: float) -> TaskView:
    """One task with the reason why it stands where it stands."""
    status = Status(state.status[index])
    short = _short_of(state, index, status)
    at = state.at.get(index)
    return TaskView(
        index=index,
        status=status,
        attempts=state.attempts(index),
        generation=state.generation.get(index, 1),
        fence=state.fence(index),
        unmet=_unmet(state, index),
        reason=_reason(state, index, status, short),
        retry_in=None if at is None else max(0.0, at - now),
        short_of=short,
    )


def _unmet(state: State, index: Index) -> tuple[Index, ...]:
    return tuple(dict.fromkeys(one for one in state.edges.requirements(index) if state.status[one] != Status.DONE))


def _short_of(state: State, index: Index, status: Status) -> str | None:
    if status is Status.READY or (index in state.suspended and not state.unmet[index]):
        return state.short_of(state.policy_of(index).resources)
    return None


def _reason(state: State, index: Index, status: Status, short: str | None) -> str:
    if status is Status.WAITING:
        return _why_waiting(state, index)
    if status is Status.READY:
        return _why_ready(state, index, short)
    if index in state.wishes:
        return "asked to stop"
    if index in state.suspended:
        return f"suspended: {_amount(state, short)}" if short else "suspended until what it yielded is done"
    return state.reason.get(index, "")


def _why_waiting(state: State, index: Index) -> str:
    undone = len(_unmet(state, index))
    if undone:
        return f"waits for {undone} of its requirements"
    return UNKNOWN


def _why_ready(state: State, index: Index, short: str | None) -> str:
    if short:
        return _amount(state, short)
    if state.paused:
        return "the scheduler is paused"
    if not any(name in state.sessions and not state.sessions[name].draining for name in state.groups[state.group[index]].sessions):
        return "no worker that may run it is here"
    return state.reason.get(index, "waits for a worker with room")


def _amount(state: State, name: str) -> str:
    total = state.total.get(name, DEFAULT_TOTAL)
    return f"short of {name}: {state.used.get(name, 0)} of {total} in use" if total else f"short of {name}: there is none, its total is 0"


# -- what keeps a task waiting -------------------------------------------------------------------


def chain(state: State, index: Index) -> list[Index]:
    """From a task down to the nearest one that came to a bad end and keeps it waiting; else to one that does not wait for others.

    Each task waits for the next. The last one waits for others too where nothing else was found among the nearest
    LOOKED_AT requirements (they wait for each other, or their requirements are still being discovered).
    """
    came_from: dict[Index, Index] = {index: index}
    layer, moving, looked = [index], None, 0
    while layer:
        below: list[Index] = []
        for one, required in _undone(state, layer):
            looked += 1
            if looked > LOOKED_AT:
                break
            if state.status[required] == Status.DONE or required in came_from:
                continue
            came_from[required] = one
            if state.status[required] in _STUCK:
                return _path(came_from, required)
            if moving is None and state.status[required] != Status.WAITING and required not in state.suspended:
                moving = required
            below.append(required)
        layer = below if looked <= LOOKED_AT else []
    return _path(came_from, next(reversed(came_from)) if moving is None else moving)


def _undone(state: State, tasks: list[Index]) -> Iterator[tuple[Index, Index]]:
    """(task, requirement) of those tasks that wait for requirements, the requirements that are done among them."""
    for index in tasks:
        if state.status[index] == Status.WAITING or index in state.suspended:
            for required in state.edges.requirements(index):
                yield index, required


def _path(came_from: dict[Index, Index], last: Index) -> list[Index]:
    """At most LINKS tasks; of a longer way the beginning and the end."""
    path = [last]
    while came_from[path[-1]] != path[-1]:
        path.append(came_from[path[-1]])
    path.reverse()
    return path if len(path) <= LINKS else [*path[: LINKS // 2], *path[-LINKS // 2 :]]


# -- counts for pages ----------------------------------------------------------------------------


def short(state: State) -> dict[str, int]:
    """By resource: ready tasks that wait in line because too little of it is left.

    Where lines hold more than LOOKED_AT entries together, a task that changed its place may count twice.
    """
    found: dict[str, int] = {}
    looked = 0
    for name, lines in state.parked.items():
        for number, resources in lines:
            group = state.groups[number]
            line = group.lines.get(resources, ()) if resources in group.parked else ()
            looked += len(line)
            count = _standing_in(state, number, line) if looked <= LOOKED_AT else len(line)
            if count:
                found[name] = found.get(name, 0) + count
    return found


def _standing_in(state: State, group: int, line: Sequence[int]) -> int:
    """Tasks in a line, without the places that they left."""
    places = {(key & INDEX_MASK, key) for key in line}
    return sum(state.status[index] == Status.READY and state.group[index] == group and state.key(index) == key for index, key in places)


def running(state: State) -> Counter[SessionId]:
    """How many tasks each session runs; costs a look at all that run, in one step of the interpreter's."""
    counted = Counter(state.holder.values())
    if len(state.holder) != state.counts[Status.RUNNING]:  # leases lapsed, and their tasks are nobody else's yet
        counted.subtract(holder for index, holder in state.holder.items() if state.status[index] != Status.RUNNING)
    return counted


def resources(state: State) -> list[str]:
    """Names of all resources that were set or that a task needs."""
    names = {name for policy in state.policies[:LOOKED_AT] for name, _ in policy.resources}
    return sorted(names.union(state.total, state.used))


def brief(state: State, index: Index, now: float) -> tuple[str, float | None]:
    """Why a task stands where it stands, and the seconds until it may run again; never looks at its requirements one by one."""
    status = Status(state.status[index])
    if status is Status.WAITING:
        undone = state.unmet[index] - (index in state.open)
        reason = f"waits for {undone} of its requirements" if undone else UNKNOWN
    else:
        reason = _reason(state, index, status, _short_of(state, index, status))
    at = state.at.get(index, state.again.get(index))
    return reason, None if at is None else max(0.0, at - now)

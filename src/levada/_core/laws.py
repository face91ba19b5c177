"""The laws of the brain's state: each is recounted from what it must follow from.

``check(brain)`` looks at everything and is slow; worlds call it after every step. What must hold over
time (fences rise, done stays done) is judged by ``Watch``, which remembers the last state.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator

from .._model.spec import Index
from .._model.status import Status
from ..errors import LevadaError
from .brain import Brain
from .changes import Change, Forgotten, StartedOver
from .merging import MOST
from .ready import SLACK
from .state import DEFAULT_TOTAL, FREE, INDEX_MASK, Group, State


class LawBroken(LevadaError):
    """The brain's state contradicts itself: a defect of levada."""

    code = "law-broken"


def check(brain: Brain) -> list[str]:
    """The laws that the state breaks, in words; empty when it is well."""
    return [f"{law.__name__.strip('_').replace('_', ' ')}: {text}" for law in _LAWS for text in law(brain.state)]


def demand(brain: Brain) -> None:
    """Raises LawBroken when the state breaks a law."""
    if broken := check(brain):
        raise LawBroken("; ".join(broken), hint="Please report it with the seed or the changes that led here.")


class Watch:
    """What must hold from one state to the next. ``changes`` are those that lie between."""

    def __init__(self) -> None:
        self._fences: dict[Index, tuple[int, int]] = {}
        self._done: dict[Index, int] = {}

    def look(self, brain: Brain, changes: list[Change]) -> list[str]:
        """The laws that were broken since the last look."""
        state = brain.state
        reopened = {change.task for change in changes if isinstance(change, StartedOver) and change.invalid}
        for index in (index for change in changes if isinstance(change, Forgotten) for index in change.tasks):
            self._done.pop(index, None)
            before = self._fences.pop(index, (0, 0))
            self._fences[index] = (0, before[1])  # who gets the index begins above it
        return [*self._rising(state), *self._staying(state, reopened)]

    def _rising(self, state: State) -> Iterator[str]:
        for index in range(len(state.status)):
            now, before = (state.fence_epoch[index], state.number[index]), self._fences.get(index, (0, 0))
            if now < before or (now[1] < before[1]):
                yield f"fences rise: task {index} went from {before} to {now}"
            self._fences[index] = now

    def _staying(self, state: State, reopened: set[Index]) -> Iterator[str]:
        for index, generation in list(self._done.items()):
            if index not in reopened and state.status[index] != Status.DONE:
                yield f"done stays done: task {index} is {Status(state.status[index])} in generation {generation}"
        self._done = {index: state.generation.get(index, 1) for index in _having(state, Status.DONE)}


def _tasks(state: State) -> Iterator[Index]:
    """All but the free places of forgotten ones."""
    return (index for index, status in enumerate(state.status) if status != FREE)


def _having(state: State, *statuses: Status) -> list[Index]:
    return [index for index, status in enumerate(state.status) if status in statuses]


# -- counting ----------------------------------------------------------------------------------


def _columns_are_even(state: State) -> Iterator[str]:
    size = len(state.status)
    for name in ("unmet", "policy", "group", "number", "fence_epoch", "floor"):
        if len(getattr(state, name)) != size:
            yield f"{name} has {len(getattr(state, name))} rows, status {size}"
    if state.freed or state.stalled:
        yield f"something is left to follow: {state.freed} {state.stalled}"


def _forgotten_tasks_are_named_by_nothing(state: State) -> Iterator[str]:
    free = {index for index, status in enumerate(state.status) if status == FREE}
    if free != set(state.free):
        yield f"free are {free}, kept {set(state.free)}"
    few = (state.open, state.own_priority, state.priority, state.batch, state.uncounted, state.generation, state.trouble, state.reason,
           state.at, state.again, state.seen_by,
           state.holder, state.until, state.wishes, state.suspended, state.crew, state.holds)  # fmt: skip
    for index in range(len(state.status)):
        if index in free and (any(index in one for one in few) or state.edges.requirements(index) or state.edges.dependants_of(index)):
            yield f"task {index} was forgotten and something is left of it"
        if state.number[index] < state.floor[index]:
            yield f"task {index} has fence {state.number[index]}, it began at {state.floor[index]}"


def _unmet_is_what_is_undone(state: State) -> Iterator[str]:
    for index in _tasks(state):
        undone = sum(state.status[one] != Status.DONE for one in state.edges.requirements(index))
        if state.unmet[index] != undone + (index in state.open):
            yield f"task {index} counts {state.unmet[index]}, {undone} are undone, open: {index in state.open}"


def _edges_have_two_ends(state: State) -> Iterator[str]:
    size = range(len(state.status))
    needs = Counter((index, one) for index in size for one in state.edges.requirements(index))
    needed = Counter((one, index) for index in size for one in state.edges.dependants_of(index))
    if needs != needed:
        yield f"requirements and dependants differ in {sorted((needs - needed) + (needed - needs))}"


def _counters_are_right(state: State) -> Iterator[str]:
    counted = [0] * len(Status)
    by_family = [[0] * len(state.families) for _ in Status]
    for index in _tasks(state):
        status = state.status[index]
        counted[status] += 1
        by_family[status][state.family_of[state.policy[index]]] += 1
    if counted != state.counts or by_family != state.by_family:
        yield f"counted {counted} {by_family}, kept {state.counts} {state.by_family}"
    if state.is_split != (len(state.groups) > 1):
        yield f"split is {state.is_split} with {len(state.groups)} groups"
    for group in state.groups:
        if any(not group.low <= index <= group.high for index in _tasks(state) if state.group[index] == group.number):
            yield f"a task of group {group.number} is not between {group.low} and {group.high}"
    for group in state.groups if state.is_split else ():
        own = Counter(state.status[index] for index in _tasks(state) if state.group[index] == group.number)
        if [own[status] for status in range(len(Status))] != group.counts:
            yield f"group {group.number} counted {own}, kept {group.counts}"


def _sessions_know_their_groups(state: State) -> Iterator[str]:
    for name, session in state.sessions.items():
        due = [group.number for group in state.groups if group.is_for(name, session.labels)]
        if session.groups != due:
            yield f"session {name!r} knows groups {session.groups}, due are {due}"
    if set(state.assistants) != {name for name, session in state.sessions.items() if session.labels}:
        yield f"assistants are {list(state.assistants)}, which are not the sessions with labels"
    for group in state.groups:
        if (group.number in state.free_groups) == bool(state.size_of(group)):
            yield f"group {group.number} holds {state.size_of(group)} tasks, free are {list(state.free_groups)}"
        twin = state.group_numbers.get((group.sessions, group.module))
        if group.number not in state.free_groups and twin != group.number and len(state.status) <= MOST:
            yield f"group {group.number} is for the same as group {twin}"
        if gone := [name for name in group.sessions if name not in state.sessions]:
            yield f"group {group.number} is for {gone}, who are gone"


# -- statuses ----------------------------------------------------------------------------------


def _ready_means_nothing_unmet(state: State) -> Iterator[str]:
    for index in _having(state, Status.READY):
        if state.unmet[index]:
            yield f"task {index} is ready with {state.unmet[index]} unmet"
    for index in _having(state, Status.WAITING):
        if not state.unmet[index]:
            yield f"task {index} waits with nothing unmet"


def _running_is_held(state: State) -> Iterator[str]:
    for index in _having(state, Status.RUNNING):
        if state.holder.get(index) not in state.sessions:
            yield f"task {index} runs for {state.holder.get(index)!r}, which is no session"
        if state.rules.lease != math.inf and index not in state.until:
            yield f"task {index} runs without an end of its lease"
    for index in (*state.until, *state.wishes, *state.suspended, *state.crew, *state.holds):
        if state.status[index] != Status.RUNNING:
            yield f"task {index} is {Status(state.status[index])} and has what only running tasks have"
    for index in state.holder:
        if state.status[index] == Status.DONE or not state.fence_epoch[index]:
            yield f"task {index} has a holder and is done or was never granted"


def _sleepers_wake(state: State) -> Iterator[str]:
    woken = {index for tasks in state.woken.values() for index in tasks}
    for index in state.suspended:
        if not state.unmet[index] and index not in woken:
            yield f"task {index} sleeps on with nothing unmet"
    for session, tasks in state.woken.items():
        for index in tasks:
            if index not in state.suspended or state.holder.get(index) != session:
                yield f"task {index} is woken for {session!r} and does not sleep there"


def _timers_are_set(state: State) -> Iterator[str]:
    for index in _having(state, Status.RETRYING):
        if index not in state.at or index not in state.retries:
            yield f"task {index} is retrying without a time"
    for index in _having(state, Status.DISABLED):
        if index in state.at and state.comes_back(index) != (index in state.retries):
            yield f"task {index} is disabled for a time, and {'will not' if state.comes_back(index) else 'will'} go on by itself"
    for index in state.until:
        if index not in state.expiries:
            yield f"task {index} has a lease that nobody will judge"
    for index in state.at:
        if state.status[index] not in (Status.RETRYING, Status.DISABLED):
            yield f"task {index} is {Status(state.status[index])} and has a time"
    for index in (*state.again, *state.seen_by):
        if state.status[index] not in (Status.FAILED, Status.DISABLED, Status.CANCELLED):
            yield f"task {index} is {Status(state.status[index])} and remembers who has seen it fail"


# -- queues, resources, priorities -------------------------------------------------------------


def _ready_tasks_can_be_found(state: State) -> Iterator[str]:
    for index in _having(state, Status.READY):
        group, key = state.groups[state.group[index]], state.key(index)
        resources = state.policy_of(index).resources
        if not resources and key not in group.front:
            yield f"ready task {index} is not in the front"
        if resources and key not in group.lines.get(resources, ()):
            yield f"ready task {index} is not in its line"
        batch = (state.batch.get(index, ""), state.policy[index])
        if index in state.batch and state.policy_of(index).batch_limit > 1 and key not in group.batches.get(batch, ()):
            yield f"ready task {index} is not in its batch"
    for group in state.groups:
        yield from _lines_move(state, group)


def _lines_move(state: State, group: Group) -> Iterator[str]:
    for resources, line in group.lines.items():
        waiting = (group.number, resources)
        if resources in group.parked:
            if not any(waiting in state.parked.get(name, ()) and state.short_of(((name, amount),)) for name, amount in resources):
                yield f"the line for {resources} is parked and nothing is short"
        elif any(state.status[key & INDEX_MASK] == Status.READY for key in line) and not _is_in_front(group, resources, line):
            yield f"the line for {resources} has no head in the front"


def _is_in_front(group: Group, resources: tuple[tuple[str, int], ...], line: list[int]) -> bool:
    head = group.heads.get(resources)
    return head is not None and head in group.front and head <= line[0]


def _queues_are_bounded(state: State) -> Iterator[str]:
    limit = SLACK + 2 * len(state.status) + 1
    for group in state.groups:
        for heap in (group.front, *group.lines.values(), *group.batches.values()):
            if len(heap) > limit:
                yield f"a queue holds {len(heap)} entries for {len(state.status)} tasks"


def _resources_add_up(state: State) -> Iterator[str]:
    held: Counter[str] = Counter()
    crews: Counter[int] = Counter()
    for index in _having(state, Status.RUNNING):
        if index in state.crew:
            crews[state.crew[index]] += 1
        elif index not in state.suspended:
            held.update(dict(state.held_by(index)))
    for number, (resources, left) in state.crews.items():
        held.update(dict(resources))
        if crews[number] != left:
            yield f"crew {number} counts {left} members, {crews[number]} run"
    if held != Counter({name: amount for name, amount in state.used.items() if amount}):
        yield f"held {dict(held)}, counted {state.used}"
    for name, amount in held.items():
        if amount > state.total.get(name, DEFAULT_TOTAL) and name not in state.lowered:
            yield f"{amount} of {name} in use, there are {state.total.get(name, DEFAULT_TOTAL)}"


def _priorities_pass_upstream(state: State) -> Iterator[str]:
    for index in range(len(state.status)):
        dependants = state.edges.dependants_of(index)
        due = max([state.own_priority.get(index, 0), *(state.priority.get(one, 0) for one in dependants)])
        if state.priority.get(index, 0) != due:
            yield f"task {index} has priority {state.priority.get(index, 0)}, due is {due}"


_LAWS: tuple[Callable[[State], Iterator[str]], ...] = (
    _columns_are_even,
    _forgotten_tasks_are_named_by_nothing,
    _unmet_is_what_is_undone,
    _edges_have_two_ends,
    _counters_are_right,
    _sessions_know_their_groups,
    _ready_means_nothing_unmet,
    _running_is_held,
    _sleepers_wake,
    _timers_are_set,
    _ready_tasks_can_be_found,
    _queues_are_bounded,
    _resources_add_up,
    _priorities_pass_upstream,
)

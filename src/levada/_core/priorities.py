"""Priorities pass upstream: what an urgent task needs is urgent.

A task's effective priority is the highest of its own and of those of the tasks that need it. While all
priorities are 0 nothing here runs. Raising visits what is raised; lowering visits what may fall.
"""

from __future__ import annotations

from collections.abc import Iterable

from .._model.spec import Index
from .._model.status import Status
from . import ready
from .state import State


def set_own(state: State, index: Index, priority: int) -> None:
    """Give a task its own priority; its requirements follow."""
    state.is_plain = False
    if priority:
        state.own_priority[index] = priority
    else:
        state.own_priority.pop(index, None)
    before = state.priority.get(index, 0)
    now = _due(state, index)
    if now == before:
        return
    _put(state, index, now)
    if now > before:
        raise_requirements(state, index)
    else:
        _lower_requirements(state, index)


def raise_requirements(state: State, index: Index) -> None:
    """Make everything that the task needs at least as urgent as it is."""
    stack = [index]
    while stack:
        one = stack.pop()
        priority = state.priority.get(one, 0)
        for required in state.edges.requirements(one):
            if state.priority.get(required, 0) < priority:
                _put(state, required, priority)
                stack.append(required)


def _lower_requirements(state: State, index: Index) -> None:
    """Compute anew what had its priority from the task."""
    lower(state, state.edges.requirements(index))


def lower(state: State, tasks: Iterable[Index]) -> None:
    """Compute anew what may be less urgent by now, and what had its priority from that; a value only falls here, so this ends."""
    stack = list(tasks)
    while stack:
        one = stack.pop()
        priority = _due(state, one)
        if priority < state.priority.get(one, 0):
            _put(state, one, priority)
            stack.extend(state.edges.requirements(one))


def _due(state: State, index: Index) -> int:
    """What the effective priority has to be."""
    found = state.own_priority.get(index, 0)
    for dependant in state.edges.dependants_of(index):
        found = max(found, state.priority.get(dependant, 0))
    return found


def _put(state: State, index: Index, priority: int) -> None:
    if priority:
        state.priority[index] = priority
    else:
        state.priority.pop(index, None)
    if state.status[index] == Status.READY:
        ready.enter(state, index)

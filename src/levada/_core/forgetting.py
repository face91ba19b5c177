"""Decisions about what need not be remembered: tasks that came to an end, and tasks that nobody is here for.

A task goes only with all that need it, so that nothing that stays names one that is gone. Who forgets when is the host's to
say: it knows how long ago a task was last touched.
"""

from __future__ import annotations

from .._model import messages as m
from .._model.spec import Index
from .._model.status import Status
from . import changes as ch
from .state import FREE, Decision, State

_ENDED = frozenset({Status.DONE, Status.FAILED, Status.DISABLED, Status.CANCELLED})


def forget(state: State, command: m.Forget, now: float) -> Decision[list[Index]]:
    """Let go of those among the tasks that can go. Costs a look at the edges of all of them."""
    chosen = _closed(state, {index for index in command.tasks if _is_over(state, index)})
    if chosen:
        yield ch.Forgotten(chosen)
    return chosen


def _is_over(state: State, index: Index) -> bool:
    status = state.status[index]
    if status in (FREE, Status.RUNNING):
        return False
    if status in _ENDED:
        return True
    group = state.groups[state.group[index]]
    return not any(group.is_for(name, session.labels) for name, session in state.sessions.items())


def _closed(state: State, wanted: set[Index]) -> list[Index]:
    """Those that are needed by nothing but each other."""
    edges = state.edges
    stay = [index for index in wanted if any(one not in wanted for one in edges.dependants_of(index))]
    while stay:
        index = stay.pop()
        if index in wanted:
            wanted.discard(index)
            stay.extend(required for required in edges.requirements(index) if required in wanted)
    return sorted(wanted)

"""What people ask: counters, one task, tasks of a status. Reads only."""

from __future__ import annotations

from collections.abc import Iterator

from .._model.messages import Progress, TaskView
from .._model.spec import Index
from .._model.status import Status
from .state import DEFAULT_TOTAL, State


def progress(state: State) -> Progress:
    """Counters as they stand; costs one step a family."""
    rows = zip(*state.by_family, strict=True)
    return Progress(tuple(state.counts), dict(zip(state.families, rows, strict=True)), state.complete)


def having(state: State, statuses: tuple[Status, ...]) -> Iterator[Index]:
    """Indices of the tasks that stand so, ascending. Looks at all tasks: for summaries."""
    wanted = bytes(sorted(statuses))
    return (index for index, status in enumerate(bytes(state.status)) if status in wanted)


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
    return "its requirements are still being discovered"


def _why_ready(state: State, index: Index, short: str | None) -> str:
    if short:
        return _amount(state, short)
    if state.paused:
        return "the scheduler is paused"
    if not any(name in state.sessions and not state.sessions[name].draining for name in state.groups[state.group[index]].sessions):
        return "no worker that may run it is here"
    return state.reason.get(index, "waits for a worker with room")


def _amount(state: State, name: str) -> str:
    return f"short of {name}: {state.used.get(name, 0)} of {state.total.get(name, DEFAULT_TOTAL)} in use"

"""Two groups that are for the same sessions become one, once sessions that told their tasks apart are gone.

Without it each run by cron would leave a group behind, and an assistant would look into all of them at each claim.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._model.spec import Index
from .._model.status import Status
from . import ready
from .state import FREE, Group, State

MOST = 20_000
"""Tasks that are moved at once. Groups of more stay apart: there can be few of those."""
READY = int(Status.READY)


def merge(state: State, one: Group, other: Group) -> None:
    """Move the tasks of the smaller group into the other. Costs a look at the places between the first and the last of them."""
    small, large = sorted((one, other), key=lambda group: (state.size_of(group), -group.number))
    if state.size_of(small) > MOST:
        return
    moved = list(_tasks_of(state, small))
    for index in moved:
        state.group[index] = large.number
    for status, count in enumerate(small.counts):
        large.counts[status] += count
    large.reach(small.low, small.high)
    state.free_group(small)
    state.group_numbers[large.sessions, large.module] = large.number
    for index in moved:
        if state.status[index] == READY:
            ready.enter(state, index)


def tidy(state: State) -> None:
    """What an older version left in a snapshot: groups without tasks, and twins."""
    state.free_empty_groups(range(len(state.groups)))
    for group in state.groups:
        twin = state.groups[state.group_numbers.setdefault((group.sessions, group.module), group.number)]
        if group.number not in state.free_groups and twin is not group:
            merge(state, group, twin)


def _tasks_of(state: State, group: Group) -> Iterator[Index]:
    left, index = state.size_of(group), group.low
    while left:
        index = state.group.index(group.number, index)
        if state.status[index] != FREE:
            left -= 1
            yield index
        index += 1

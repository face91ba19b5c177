"""The ready queue: the most urgent ready task that a session may run and that fits, in O(log n).

Entries are never searched for: what changed its place is entered anew, and an entry that no longer
says the truth is dropped when it comes up, or when a heap holds twice what is ready. Tasks that need
the same resources stand in one line, of which only the head stands in the front: a resource that is
short costs one look a line, not one a task. Costs: O(log n) a task, and one look at each line that
lacked a resource when some of it comes back.
"""

from __future__ import annotations

from _heapq import heappop, heappush  # the C part alone: a run pays for each module that it loads
from collections.abc import Sequence
from typing import Any

from .._model.spec import Index
from .._model.status import Status
from .state import DEFAULT_TOTAL, INDEX_BITS, INDEX_MASK, Group, Resources, Session, State

READY = int(Status.READY)
SLACK = 1_000  # stale entries that a heap may always hold
LOOKED_AT = 8  # entries of a line, for one that is not stale


class Draft:
    """What one decision has picked so far: not granted yet, not to be picked again."""

    __slots__ = ("aside", "chosen", "now", "spent")

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.chosen: dict[Index, None] = {}
        self.spent: dict[str, int] = {}
        self.aside: list[tuple[Group, int]] = []  # what leaves room to others; it takes its place in the front again afterwards

    def take(self, index: Index, resources: Resources) -> None:
        self.chosen[index] = None
        for name, amount in resources:
            self.spent[name] = self.spent.get(name, 0) + amount


# -- entering (for apply)


def enter_all(state: State, tasks: Sequence[Index]) -> None:
    """Give ready tasks their places; a tenth of the cost a task while the graph is plain."""
    if not state.is_plain or len(state.groups) != 1:
        for index in tasks:
            enter(state, index)
        return
    front = state.groups[0].front
    for index in tasks:
        heappush(front, index)
    if len(front) > SLACK + 2 * state.counts[READY]:
        _rebuild(state, state.groups[0])


def enter(state: State, index: Index) -> None:
    """Give a ready task its place."""
    group, key, policy = state.groups[state.group[index]], state.key(index), state.policy_of(index)
    if policy.resources:
        _push(state, group, group.lines.setdefault(policy.resources, []), key)
        _refill(state, group, policy.resources, None)
    else:
        heappush(group.front, key)
    if len(group.front) > SLACK + 2 * state.counts[READY]:
        _rebuild(state, group)
    if policy.batch_limit > 1 and index in state.batch:
        _push(state, group, group.batches.setdefault((state.batch[index], state.policy[index]), []), key)


def _push(state: State, group: Group, heap: list[int], key: int) -> None:
    heappush(heap, key)
    if len(heap) > SLACK + 2 * state.counts[READY]:
        heap[:] = sorted({one for one in heap if _holds(state, group, one)})  # a sorted list is a heap


def _rebuild(state: State, group: Group) -> None:
    """Make the front anew from what is true."""
    kept = {key for key in group.front if _holds(state, group, key) and not state.policy_of(key & INDEX_MASK).resources}
    group.front[:] = sorted(kept)
    group.heads.clear()
    for resources in list(group.lines):
        _refill(state, group, resources, None)


def purge(state: State, gone: frozenset[Index]) -> None:
    """Take entries of forgotten tasks out of lines and batches: their places may be given to tasks of another policy.

    Also where a task only was before it moved on. A stale entry in the front is dropped when it comes up, whatever its place holds.
    """
    low, high = min(gone), max(gone)
    for group in state.groups:
        if (group.lines or group.batches) and group.low <= high and low <= group.high:
            for heaps in (group.lines, group.batches):
                _purge(heaps, gone)
            _rebuild(state, group)


def _purge(heaps: dict[Any, list[int]], gone: frozenset[Index]) -> None:
    for name in list(heaps):
        heaps[name][:] = sorted(key for key in heaps[name] if key & INDEX_MASK not in gone)
        if not heaps[name]:
            del heaps[name]


def wake(state: State, resource: str) -> None:
    """There is more of a resource: lines that lacked it come to the front again."""
    for number, resources in state.parked.pop(resource, ()):
        group = state.groups[number]
        group.parked.discard(resources)
        _refill(state, group, resources, None)


# -- picking (for decide)


def fair(state: State, session: Session, room: int) -> int:
    """How much of a room is filled, so that the tail of a graph is not hoarded by whoever asks first.

    Where several sessions may run a group's tasks, one gets at most half of its share of what is ready; at least one task.
    """
    if room == 1 or (not state.is_split and len(state.sessions) == 1):
        return room
    groups = [state.groups[number] for number in session.groups]
    others = max((len(group.sessions) for group in groups), default=1)
    if any(group.module for group in groups):
        others = max(others, len(state.sessions))
    if others < 2:
        return room
    ready = sum(group.counts[READY] for group in groups) if state.is_split else state.counts[READY]
    return min(room, max(1, -(-ready // (2 * others))))


def pick_plain(state: State, session: Session, room: int) -> list[Index]:
    """Take up to ``room`` tasks, first discovered first: what ``pick`` would find in a plain graph."""
    if len(session.groups) != 1:
        return []
    status, group, number = state.status, state.group, session.groups[0]
    front = state.groups[number].front
    found: dict[Index, None] = {}
    while front and len(found) < room:
        index = heappop(front)
        if status[index] == READY and group[index] == number:
            found[index] = None
    return list(found)


def pick(state: State, session: Session, draft: Draft) -> Index | None:
    """Take the most urgent task that the session may run and that fits out of the queue; None: there is none.

    What was picked must be granted: the queue has forgotten it.
    """
    best, place = 0, None
    for number in session.groups:
        group = state.groups[number]
        key = _head(state, group, draft)
        if key is not None and (place is None or key < best):
            best, place = key, group
    if place is None:
        return None
    index = best & INDEX_MASK
    resources = state.policy_of(index).resources
    heappop(place.front)
    draft.take(index, resources)
    if resources:
        _refill(state, place, resources, draft)
    return index


def pick_crew(state: State, leader: Index, draft: Draft) -> tuple[Index, ...]:
    """Take further ready tasks of the leader's batch group, most urgent first, up to its batch limit."""
    limit, name = state.policy_of(leader).batch_limit, state.batch.get(leader)
    if limit <= 1 or name is None:
        return ()
    group = state.groups[state.group[leader]]
    batch = (name, state.policy[leader])
    heap, members = group.batches[batch], list[Index]()
    while heap and len(members) < limit - 1:
        key = heappop(heap)
        if _holds(state, group, key, draft):
            members.append(key & INDEX_MASK)
            draft.take(members[-1], ())
    if not heap:
        del group.batches[batch]
    return tuple(members)


def _head(state: State, group: Group, draft: Draft) -> int | None:
    """The group's most urgent task that fits; drops stale entries and parks short lines on the way."""
    front = group.front
    while front:
        key = front[0]
        resources = state.policy_of(key & INDEX_MASK).resources
        if not resources:
            if _holds(state, group, key, draft):
                return key
            heappop(front)
        elif _leads(state, group, resources, key, draft):
            return key
    return None


def _leads(state: State, group: Group, resources: Resources, key: int, draft: Draft) -> bool:
    """Does the front's first entry lead its line, and does the line fit? If not, the entry is dropped."""
    leads = group.heads.get(resources) == key
    if leads and _holds(state, group, key, draft):
        short = state.short_of(resources, draft.spent)
        if short is None:
            if not state.rules.reserve or not _is_kept_for_others(state, resources, key, draft):
                return True
            draft.aside.append((group, heappop(group.front)))
            return False
        del group.heads[resources]
        group.parked.add(resources)
        state.parked.setdefault(short, []).append((group.number, resources))
    heappop(group.front)
    if leads:
        _refill(state, group, resources, draft)
    return False


def _is_kept_for_others(state: State, resources: Resources, key: int, draft: Draft) -> bool:
    """Would the task take from more urgent ready ones what they wait for? Looks at the first of each line."""
    kept = dict(draft.spent)
    for group in state.groups:
        if not group.lines or not _is_waited_at(state, group, draft.now):
            continue
        for needs, line in group.lines.items():
            first = next((one for one in line[:LOOKED_AT] if _holds(state, group, one, draft)), None)
            if first is None or first >> INDEX_BITS >= key >> INDEX_BITS:  # what is left of an entry is its priority, turned round
                continue
            if all(amount <= state.total.get(name, DEFAULT_TOTAL) for name, amount in needs):
                for name, amount in needs:
                    kept[name] = kept.get(name, 0) + amount
    return len(kept) > 0 and state.short_of(resources, kept) is not None


def _is_waited_at(state: State, group: Group, now: float) -> bool:
    """Has a session that may run its tasks asked for more than it got, and not long ago?"""
    sessions, since = state.sessions, now - state.rules.lease
    names = {*group.sessions, *state.assistants} if group.module else group.sessions
    found = ((name, sessions.get(name)) for name in names)
    return any(one is not None and one.waits >= since and not one.draining and group.is_for(name, one.labels) for name, one in found)


def _refill(state: State, group: Group, resources: Resources, draft: Draft | None) -> None:
    """Let the first of a line step to the front, unless it stands there or its line is parked."""
    line = group.lines.get(resources, [])
    while line and not _holds(state, group, line[0], draft):
        heappop(line)
    if not line:
        group.lines.pop(resources, None)
        group.heads.pop(resources, None)
    elif resources not in group.parked and group.heads.get(resources) != line[0]:
        group.heads[resources] = line[0]
        heappush(group.front, line[0])


def _holds(state: State, group: Group, key: int, draft: Draft | None = None) -> bool:
    """Does an entry still say the truth?"""
    index = key & INDEX_MASK
    return (
        state.status[index] == READY
        and state.group[index] == group.number
        and (key == index if not state.priority else key == state.key(index))
        and (draft is None or index not in draft.chosen)
    )

"""Decisions about who runs what: the claim in a Sync."""

from __future__ import annotations

import math
from _heapq import heappush
from collections.abc import Sequence

from .._model import messages as m
from .._model.messages import Fence, Grant, SessionId
from .._model.spec import Index
from .._model.status import Status
from . import changes as ch
from .adding import open_session
from .ready import Draft, fair, pick, pick_crew, pick_plain
from .state import Decision, Session, State

_new = tuple.__new__
READY = int(Status.READY)


def claim(state: State, name: SessionId, room: int, now: float) -> Decision[tuple[list[Index], list[Grant]]]:
    """Give suspended tasks of the session back that can go on, then grant the most urgent ready ones.

    Each resumed task and each batch takes one of ``room``. A paused scheduler and a draining session
    still resume: what runs may end.
    """
    session = state.sessions[name]
    resumed = _resumable(state, name, room, Draft()) if name in state.woken else []
    if resumed:
        yield ch.Resumed(resumed)
        room -= len(resumed)
    if room <= 0 or state.paused or session.draining:
        return resumed, []
    room = fair(state, session, room)
    if state.is_plain and (plain := pick_plain(state, session, room)):
        yield ch.Granted(name, plain, now + state.rules.lease)
        return resumed, _letters(state, plain, [])
    draft = Draft(now)
    if state.rules.reserve:
        session.waits = now
    leaders, crews = _choose(state, session, room, draft)
    if len(leaders) == room:
        session.waits = -math.inf
    if not leaders:
        return resumed, []
    yield ch.Granted(name, list(draft.chosen), now + state.rules.lease, crews)
    return resumed, _letters(state, leaders, crews)


def take(state: State, command: m.Take, now: float) -> Decision[Grant | None]:
    """Grant the one task that is asked for, whatever else is ready, or nothing."""
    name, index = command
    yield from open_session(state, name)
    session = state.sessions[name]
    if state.paused or session.draining or state.status[index] != READY or state.short_of(state.policy_of(index).resources) is not None:
        return None
    if not state.groups[state.group[index]].is_for(name, session.labels):
        return None
    yield ch.Granted(name, [index], now + state.rules.lease)
    return _letters(state, [index], [])[0]


def _resumable(state: State, name: SessionId, room: int, draft: Draft) -> list[Index]:
    """Sleepers whose requirements are (still) done and whose resources fit, longest awake first."""
    found: list[Index] = []
    for index in state.woken[name]:
        resources = state.policy_of(index).resources
        if len(found) < room and not state.unmet[index] and state.short_of(resources, draft.spent) is None:
            draft.take(index, resources)
            found.append(index)
    return found


def _choose(state: State, session: Session, room: int, draft: Draft) -> tuple[list[Index], list[tuple[Index, tuple[Index, ...]]]]:
    """Tasks to grant, one for each unit of room, and the batches that some of them lead."""
    leaders: list[Index] = []
    crews: list[tuple[Index, tuple[Index, ...]]] = []
    while len(leaders) < room and (index := pick(state, session, draft)) is not None:
        leaders.append(index)
        if state.batch and (others := pick_crew(state, index, draft)):
            crews.append((index, others))
    for group, key in draft.aside:
        heappush(group.front, key)
    return leaders, crews


def _letters(state: State, leaders: Sequence[Index], crews: list[tuple[Index, tuple[Index, ...]]]) -> list[Grant]:
    """What the worker gets. ``tuple.__new__`` saves half of what two NamedTuples a task cost."""
    number, uncounted, epoch, lease = state.number, state.uncounted, state.epoch, state.rules.lease
    plain = not uncounted and not state.next_floor
    letters: list[Grant] = []
    for index in leaders:
        newest = number[index]
        attempt = newest if plain else state.attempts(index)
        letters.append(_new(Grant, (index, _new(Fence, (epoch, newest)), attempt, lease, ())))
    if crews:
        members = dict(crews)
        return [one._replace(batch=tuple(_letters(state, members.get(one.index, ()), []))) for one in letters]
    return letters

"""Decisions about who runs what: the claim in a Sync."""

from __future__ import annotations

from .._model.messages import Fence, Grant, SessionId
from .._model.spec import Index
from . import changes as ch
from .ready import Draft, pick, pick_crew
from .state import Decision, Session, State


def claim(state: State, name: SessionId, room: int, now: float) -> Decision[tuple[list[Index], list[Grant]]]:
    """Give suspended tasks of the session back that can go on, then grant the most urgent ready ones.

    Each resumed task and each batch takes one of ``room``. A paused scheduler and a draining session
    still resume: what runs may end.
    """
    draft, session = Draft(), state.sessions[name]
    resumed = _resumable(state, name, room, draft) if name in state.woken else []
    if resumed:
        yield ch.Resumed(resumed)
        draft = Draft()
    room -= len(resumed)
    if room <= 0 or state.paused or session.draining:
        return resumed, []
    leaders, crews = _choose(state, session, room, draft)
    if not leaders:
        return resumed, []
    yield ch.Granted(name, list(draft.chosen), now + state.rules.lease, crews)
    return resumed, _letters(state, leaders, crews)


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
    return leaders, crews


def _letters(state: State, leaders: list[Index], crews: list[tuple[Index, tuple[Index, ...]]]) -> list[Grant]:
    letters = [_letter(state, index) for index in leaders]
    if crews:
        members = dict(crews)
        return [one._replace(batch=tuple(_letter(state, index) for index in members.get(one.index, ()))) for one in letters]
    return letters


def _letter(state: State, index: Index) -> Grant:
    number = state.number[index]
    attempt = number - state.uncounted.get(index, 0) if state.uncounted else number
    return Grant(index, Fence(state.epoch, number), attempt, state.rules.lease)

"""The short way through the brain for most messages of a run: successes reported, plain tasks claimed.

It answers and changes what ``reports.sync`` would (tests/core/test_swift.py holds the two against each other), in one
function instead of a chain of generators: a chain of tasks passes here once a task. Whatever is not plain is left to
the long way, before anything changed.
"""

from __future__ import annotations

from typing import Any

from .._model import messages as m
from .._model.messages import Fence, Grant, SyncReply
from .._model.spec import Index
from .._model.status import Status
from . import changes as ch
from .apply import apply, finished, granted
from .ready import fair, pick_plain
from .state import Session, State
from .views import next_timer, outlook

_new = tuple.__new__
WAITING, RUNNING = int(Status.WAITING), int(Status.RUNNING)


def sync(state: State, command: m.Sync, now: float) -> tuple[list[ch.Change], SyncReply] | None:
    """The changes and the reply; None where the long way must be taken."""
    name, done, failed, handed_back, suspended, found, room = command
    if failed or handed_back or suspended or found or type(room) is not int or room < 0:
        return None
    if not state.is_plain or state.wishes or state.suspended or state.paused or (state.at and _is_due(state, now)):
        return None
    session = state.sessions.get(name) if type(name) is str else None
    if session is None or session.draining or len(session.groups) > 1:
        return None
    changes: list[ch.Change] = []
    ready: list[Index] = []
    if done:
        tasks = _reported(state, name, done)
        if tasks is None:
            return None
        ready = _finish(state, tasks, changes)
    letters: list[Grant] = []
    if ready and _are_next(state, session, ready, room):
        letters = _grant(state, name, ready if len(ready) == 1 else sorted(ready), now, changes)
    else:
        if ready:
            apply(state, changes[-1])
        if room and (picked := pick_plain(state, session, fair(state, session, room))):
            letters = _grant(state, name, picked, now, changes)
    timer = next_timer(state, now) if state.until or state.at else None
    unfinished, active = outlook(state, name)
    return changes, _new(SyncReply, (letters, [], [], [], timer, unfinished, active))


def _is_due(state: State, now: float) -> bool:
    """Has the time of a retry come?"""
    first = state.retries.earliest()
    return first is not None and first <= now


def _reported(state: State, name: str, done: Any) -> list[Index] | None:
    """The tasks that end well, each once; None if a single report is anything but plain."""
    status, end = state.status, len(state.status)
    number, epoch, holder = state.number, state.fence_epoch, state.holder
    if len(done) == 1:  # as below, without a loop
        index, fence = done[0]
        if type(index) is int and 0 <= index < end and fence == (epoch[index], number[index]) and status[index] == RUNNING:
            return [index] if holder[index] == name else None
        return None
    tasks: list[Index] = []
    for index, fence in done:
        if type(index) is not int or not 0 <= index < end or status[index] != RUNNING:
            return None
        if fence != (epoch[index], number[index]) or holder[index] != name:
            return None
        tasks.append(index)
    return tasks if len(set(tasks)) == len(tasks) else None


def _finish(state: State, tasks: list[Index], changes: list[ch.Change]) -> list[Index]:
    """Tasks that became ready thereby: the last change says so, and is still to be applied."""
    change = _new(ch.Finished, (tasks,))
    finished(state, change)
    changes.append(change)
    freed = state.freed
    if not freed:
        return []
    state.freed = []
    status, unmet = state.status, state.unmet
    if len(freed) == 1:
        ready = freed if status[freed[0]] == WAITING and not unmet[freed[0]] else []
    else:
        ready = list(dict.fromkeys([index for index in freed if status[index] == WAITING and not unmet[index]]))
    if ready:
        changes.append(_new(ch.BecameReady, (ready,)))
    return ready


def _are_next(state: State, session: Session, ready: list[Index], room: int) -> bool:
    """Would all of these be granted now, and nothing else? Then they need not stand in the queue: their grant writes all that counts."""
    if len(ready) > room or state.is_split or len(state.sessions) != 1 or state.at:
        return False
    return len(session.groups) == 1 and not state.groups[0].front


def _grant(state: State, name: m.SessionId, picked: list[Index], now: float, changes: list[ch.Change]) -> list[Grant]:
    lease, epoch, number = state.rules.lease, state.epoch, state.number
    plain = not state.uncounted and not state.next_floor
    change = _new(ch.Granted, (name, picked, now + lease, ()))
    granted(state, change)
    changes.append(change)
    letters: list[Grant] = []
    for index in picked:  # a comprehension would be one more call
        newest = number[index]
        attempt = newest if plain else state.attempts(index)
        letters.append(_new(Grant, (index, _new(Fence, (epoch, newest)), attempt, lease, ())))
    return letters

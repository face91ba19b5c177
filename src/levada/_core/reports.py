"""Decisions about what workers report: ends of attempts, suspensions, renewals.

A report counts only with the newest fence of its task and from the session that fence was given to
(law: one newest grant). Anything else is answered in ``lost`` and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from .._model import messages as m
from .._model.messages import SessionId
from .._model.spec import Index
from .._model.status import Status
from . import changes as ch
from .grants import claim
from .passing import retries_due
from .retry import after_failure
from .state import Decision, State
from .views import next_timer, outlook

_new = tuple.__new__  # builds a NamedTuple in half the time; used where each round passes
WAITING, READY, RUNNING, RETRYING, DONE = map(int, (Status.WAITING, Status.READY, Status.RUNNING, Status.RETRYING, Status.DONE))
_REINSTATABLE = (Status.READY, Status.RETRYING)
_MAY_STILL_SUCCEED = (Status.RUNNING, Status.READY, Status.RETRYING)
_CAN_BE_FOUND = (Status.WAITING, Status.READY, Status.RETRYING, Status.FAILED)


class Answer:
    """What a Sync or Renew has to say about tasks it spoke of; each task once, in order."""

    __slots__ = ("cancel", "lost")

    def __init__(self) -> None:
        self.lost: dict[Index, None] = {}
        self.cancel: dict[Index, None] = {}


def sync(state: State, command: m.Sync, now: float) -> Decision[m.SyncReply]:
    """Take the reports, then grant as much as fits into the room."""
    session, answer = command.session, Answer()
    if session not in state.sessions:
        yield ch.SessionOpened(session, ())
    if command.done and (done := _successes(state, command, answer)):
        yield ch.Finished(done)
    if command.found_complete and (found := _found(state, command)):
        yield ch.Finished(found)
    if command.failed or command.handed_back or command.suspended:
        yield from _other_ends(state, command, answer, now)
    if state.at:
        yield from retries_due(state, now)
    resumed, granted = yield from claim(state, session, command.room, now)
    if state.wishes:
        answer.cancel.update(dict.fromkeys(index for index in state.wishes if state.holder[index] == session))
    lost, cancel = list(answer.lost), list(answer.cancel)
    return _new(m.SyncReply, (granted, resumed, lost, cancel, next_timer(state, now), *outlook(state, session)))


def _other_ends(state: State, command: m.Sync, answer: Answer, now: float) -> Iterator[ch.Change]:
    """What is reported beside successes."""
    session = command.session
    for failed in command.failed:
        if _speaks(state, session, failed.index, failed.fence, answer):
            yield _failure(state, failed, now)
    for back in command.handed_back:
        if _speaks(state, session, back.index, back.fence, answer):
            yield _hand_back(state, back, now)
    for nap in command.suspended:
        if _may_sleep(state, session, nap, answer):
            yield ch.Slept(nap.index, nap.requires)


# -- successes ---------------------------------------------------------------------------------


def _successes(state: State, command: m.Sync, answer: Answer) -> list[Index]:
    """The tasks that became done by these reports."""
    session, status, holder = command.session, state.status, state.holder
    number, fence_epoch = state.number, state.fence_epoch
    done: dict[Index, None] = {}
    for index, fence in command.done:
        if (
            status[index] == RUNNING and fence[1] == number[index] and fence[0] == fence_epoch[index] and holder[index] == session
        ) or _late_success(state, session, index, fence, answer):
            done[index] = None
    return list(done)


def _late_success(state: State, session: SessionId, index: Index, fence: m.Fence, answer: Answer) -> bool:
    """Is a report accepted though its lease has lapsed? Yes while nobody else was granted the task.

    A done task gives the same answer again; a cancelled one stays cancelled and its output stays.
    """
    newest = state.is_newest(index, fence)
    if newest and state.status[index] == DONE:
        return False
    if not newest or state.holder.get(index) != session:
        answer.lost[index] = None
        return False
    if state.status[index] == Status.CANCELLED:
        answer.cancel[index] = None
        return False
    return True


def _found(state: State, command: m.Sync) -> list[Index]:
    """A task that was invalidated is found by nobody: the look may be older than that. Whoever is granted it looks again."""
    found = dict.fromkeys(command.found_complete)
    return [index for index in found if state.status[index] in _CAN_BE_FOUND and index not in state.generation]


# -- other ends --------------------------------------------------------------------------------


def _speaks(state: State, session: SessionId, index: Index, fence: m.Fence, answer: Answer) -> bool:
    """Does the report come from the attempt that runs? Of an ended one it is void, repeated or late."""
    if not state.is_newest(index, fence) or state.holder.get(index, session) != session:
        answer.lost[index] = None
        return False
    return state.status[index] == RUNNING


def _failure(state: State, failed: m.Failed, now: float) -> ch.Ended:
    index = failed.index
    if index in state.wishes:
        return ch.Ended(index, Status.CANCELLED, "cancelled by an operator while it ran")
    pause = now + state.rules.failed_pause if state.rules.failed_pause < math.inf else None
    if failed.final:
        return ch.Ended(index, Status.FAILED, f"{failed.exit}: another attempt would not help", state.trouble.get(index), pause)
    retry = state.policy_of(index).retry
    verdict = after_failure(retry, state.trouble.get(index), failed.exit, failed.errors, failed.draw, now, state.rules.excused_limit)
    at = pause if verdict.status is Status.FAILED else verdict.at
    return ch.Ended(index, verdict.status, verdict.reason, verdict.trouble, at)


def _hand_back(state: State, back: m.HandedBack, now: float) -> ch.Ended:
    index, reason = back.index, back.reason or "handed back"
    if index in state.wishes:
        return ch.Ended(index, Status.CANCELLED, "cancelled by an operator", counted=False)
    if back.after > 0:
        return ch.Ended(index, Status.RETRYING, reason, at=now + back.after, counted=False)
    return ch.Ended(index, Status.WAITING, reason, counted=False)


def _may_sleep(state: State, session: SessionId, nap: m.Suspended, answer: Answer) -> bool:
    """A lapsed attempt may not: it has no lease to keep while it waits."""
    if _speaks(state, session, nap.index, nap.fence, answer):
        return nap.index not in state.suspended
    answer.lost[nap.index] = None
    return False


def release(state: State, command: m.Release, now: float) -> Decision[bool]:
    """Take back what a running task, or its batch, does not need any more."""
    session, index, fence, resources = command
    if not _speaks(state, session, index, fence, Answer()) or index in state.suspended:
        return False
    before, given = state.held_by(index), dict(resources)
    after = tuple((name, amount - given.get(name, 0)) for name, amount in before if amount > given.get(name, 0))
    if after != before:
        yield ch.Released(index, after)
    return True


# -- leases ------------------------------------------------------------------------------------


def renew(state: State, command: m.Renew, now: float) -> Decision[m.RenewReply]:
    """Extend leases; a lapsed one is taken up again when the task is still nobody else's and fits.

    Whatever else is spoken of is lost, a reported task too: not to say so would let the worker believe
    that it may go on.
    """
    answer = Answer()
    mine = [index for index, fence in command.held if _is_mine(state, command.session, index, fence)]
    kept = set(mine)
    answer.lost.update(dict.fromkeys(index for index, _ in command.held if index not in kept))
    if extended := list(_extensions(state, mine, answer, now)):
        yield ch.LeasesExtended(extended)
    for index in mine:
        if state.status[index] != RUNNING:
            yield from _take_up(state, index, answer, now)
    return m.RenewReply(tuple(answer.lost), tuple(answer.cancel))


def _is_mine(state: State, session: SessionId, index: Index, fence: m.Fence) -> bool:
    return state.is_newest(index, fence) and state.holder.get(index) == session


def _extensions(state: State, mine: list[Index], answer: Answer, now: float) -> Iterator[tuple[Index, float]]:
    for index in mine:
        if state.status[index] != RUNNING:
            continue
        if index in state.wishes:
            answer.cancel[index] = None
        until, end = min(now + state.rules.lease, state.wishes.get(index, math.inf)), state.lease_end(index)
        if end is not None and until > end:
            yield index, until


def _take_up(state: State, index: Index, answer: Answer, now: float) -> Iterator[ch.Change]:
    if state.status[index] == Status.CANCELLED:
        answer.cancel[index] = None
    elif state.status[index] in _REINSTATABLE and state.short_of(state.policy_of(index).resources) is None:
        yield ch.Reinstated(index, now + state.rules.lease)
    else:
        answer.lost[index] = None


def confirm(state: State, command: m.Confirm, now: float) -> Decision[bool]:
    """Whether the fence is the newest, is this session's, and the task may still succeed by it."""
    index = command.index
    yield from ()  # a decision is a generator; this one has no changes
    return _is_mine(state, command.session, index, command.fence) and state.status[index] in _MAY_STILL_SUCCEED

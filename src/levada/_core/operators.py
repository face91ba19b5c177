"""Decisions of people: cancel, retry, hurry, disable, forgive, invalidate, done, failed, priorities, resources, pause."""

from __future__ import annotations

import math

from .._model import messages as m
from .._model.status import Status
from . import changes as ch
from .state import Decision, State

_CANCELLABLE = (Status.WAITING, Status.READY, Status.RETRYING)
_RETRIABLE = (Status.FAILED, Status.DISABLED, Status.CANCELLED)


def cancel(state: State, command: m.Cancel, now: float) -> Decision[Status]:
    """What does not run is cancelled; what runs is asked to stop and not renewed past the grace."""
    index, status = command.index, state.status[command.index]
    if status in _CANCELLABLE:
        yield ch.BecameCancelled(index)
    elif status == Status.RUNNING and index not in state.wishes:
        yield ch.CancelWished(index, now + state.rules.cancel_grace)
    return Status(state.status[index])


def retry_task(state: State, command: m.RetryTask, now: float) -> Decision[Status]:
    """Failed, disabled and cancelled start over; disabled by definition does too, once."""
    if state.status[command.index] in _RETRIABLE:
        yield ch.StartedOver(command.index, invalid=False)
        if command.after > 0:
            yield ch.Ended(command.index, Status.RETRYING, "set going by an operator, for later", at=now + command.after)
    return Status(state.status[command.index])


def hurry(state: State, command: m.Hurry, now: float) -> Decision[Status]:
    """What waits for its next attempt is ready at once, or waits for what it requires."""
    index = command.index
    if state.status[index] == Status.RETRYING:
        yield ch.WaitsAgain([index]) if state.unmet[index] else ch.BecameReady([index])
    return Status(state.status[index])


def disable(state: State, command: m.Disable, now: float) -> Decision[Status]:
    """What does not run and is not done never runs until somebody sets it going; also what failures have disabled for a time."""
    index, status = command.index, state.status[command.index]
    if status not in (Status.RUNNING, Status.DONE) and not (status == Status.DISABLED and index not in state.at):
        yield ch.Ended(index, Status.DISABLED, "disabled by an operator")
    return Status(state.status[index])


def mark_failed(state: State, command: m.MarkFailed, now: float) -> Decision[Status]:
    """A failure outside of any attempt, judged as others are."""
    from .retry import after_failure

    index = command.index
    if state.status[index] in _CANCELLABLE:
        retry, before, rules = state.policy_of(index).retry, state.trouble.get(index), state.rules
        verdict = after_failure(retry, before, command.exit, command.errors, command.draw, now, rules.excused_limit)
        pause = now + rules.failed_pause if rules.failed_pause < math.inf else None
        yield ch.Ended(index, verdict.status, verdict.reason, verdict.trouble, pause if verdict.status is Status.FAILED else verdict.at)
    return Status(state.status[index])


def invalidate(state: State, command: m.Invalidate, now: float) -> Decision[Status]:
    """What has come to an end starts over in a new generation: late reports of the old one are void."""
    if state.status[command.index] in (Status.DONE, *_RETRIABLE) and _is_as_seen(state, command):
        yield ch.StartedOver(command.index, invalid=True)
    return Status(state.status[command.index])


def _is_as_seen(state: State, command: m.Invalidate) -> bool:
    """Did nothing happen to the task since somebody looked? An attempt may have failed, and left what must not be taken for old."""
    index, fence = command.index, state.fence(command.index)
    return command.generation in (None, state.generation.get(index, 1)) and command.number in (None, fence.number if fence else 0)


def forgive(state: State, command: m.Forgive, now: float) -> Decision[Status]:
    """Failed and disabled start over; of what has not come to an end the failures so far count no more."""
    if state.status[command.index] in (Status.FAILED, Status.DISABLED):
        yield ch.StartedOver(command.index, invalid=False)
    elif command.index in state.trouble and state.status[command.index] != Status.CANCELLED:
        yield ch.Forgiven(command.index)
    return Status(state.status[command.index])


def mark_done(state: State, command: m.MarkDone, now: float) -> Decision[Status]:
    """What does not run becomes done. What runs is left alone: its attempt says soon how it ended."""
    if state.status[command.index] not in (Status.RUNNING, Status.DONE):
        yield ch.Finished([command.index])
    return Status(state.status[command.index])


def set_priority(state: State, command: m.SetPriority, now: float) -> Decision[None]:
    if command.priority != state.own_priority.get(command.index, 0):
        yield ch.PrioritySet(command.index, command.priority)


def set_resource(state: State, command: m.SetResource, now: float) -> Decision[None]:
    if command.total != state.total.get(command.name):
        yield ch.ResourceSet(command.name, command.total)


def pause(state: State, command: m.Pause, now: float) -> Decision[None]:
    if command.paused != state.paused:
        yield ch.PauseSet(command.paused)

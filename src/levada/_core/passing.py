"""Decisions that time brings: retries that are due, leases that have lapsed."""

from __future__ import annotations

from collections.abc import Iterator

from .._model import messages as m
from .._model.spec import Index
from .._model.status import ExitClass, Status
from . import changes as ch
from .state import Decision, State


def tick(state: State, command: m.Tick, now: float) -> Decision[None]:
    """Forgive the server's own absence, then take lapsed leases back, then wake what is due.

    Only a Tick judges leases, so that a host can read the input that queued up in its absence first.
    """
    if command.lag:
        yield ch.LeasesForgiven(command.lag)
    for index in state.expiries.pop_due(now - state.forgiven):
        yield _lapse(state, index, now)
    yield from retries_due(state, now)


def _lapse(state: State, index: Index, now: float) -> ch.Ended:
    if index in state.wishes:
        return ch.Ended(index, Status.CANCELLED, "cancelled by an operator while it ran", lapsed=True)
    from .retry import after_failure

    verdict = after_failure(state.policy_of(index).retry, state.trouble.get(index), ExitClass.LOST_WORKER, (), 0.5, now)
    delay = state.rules.lock_delay if verdict.status is Status.RETRYING else 0.0
    at = None if verdict.at is None else verdict.at + delay
    return ch.Ended(index, verdict.status, verdict.reason, verdict.trouble, at, lapsed=True)


def retries_due(state: State, now: float) -> Iterator[ch.Change]:
    """Retrying tasks whose time has come become ready, or wait when they have an unmet requirement.

    Tasks that failures have disabled for a time start over, after the shortest pause.
    """
    due = state.retries.pop_due(now)
    if not due:
        return
    for index in [index for index in due if state.status[index] == Status.DISABLED]:
        from .retry import retry_delay

        yield ch.StartedOver(index, invalid=False)
        at = now + retry_delay(1, state.policy_of(index).retry, 0.0)
        yield ch.Ended(index, Status.RETRYING, "was disabled for as long as it is told", at=at)
    due = [index for index in due if state.at.get(index, now) <= now]
    if ready := [index for index in due if not state.unmet[index]]:
        yield ch.BecameReady(ready)
    if waiting := [index for index in due if state.status[index] == Status.RETRYING]:
        yield ch.WaitsAgain(waiting)


def follow(state: State) -> Iterator[ch.Change]:
    """What the last change brought about."""
    if state.freed:
        freed, state.freed = state.freed, []
        status, unmet = state.status, state.unmet
        ready = [index for index in freed if status[index] == Status.WAITING and not unmet[index]]
        if ready:
            yield ch.BecameReady(list(dict.fromkeys(ready)))
    if state.stalled:
        stalled, state.stalled = state.stalled, []
        waiting = [index for index in stalled if state.status[index] == Status.READY and state.unmet[index]]
        if waiting:
            yield ch.WaitsAgain(list(dict.fromkeys(waiting)))


def restart(state: State, epoch: int, now: float) -> Iterator[ch.Change]:
    """A server takes over: a new epoch, and a full lease for everything that runs."""
    yield ch.EpochBegan(epoch)
    if state.until:
        least = now + state.rules.lease
        yield ch.LeasesExtended([(index, max(until + state.forgiven, least)) for index, until in state.until.items()])

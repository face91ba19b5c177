"""What a drain changed, for those who watch: made only when somebody reads it, and bounded whatever it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, overload

from .._core import changes as ch
from .._core import views
from .._model.spec import Index
from .._model.status import Status
from .._wire.operators import Event
from .desk import Desk

TASKS = 100  # that are told of one by one; of more, only their families are
FAMILIES = 100
OTHERS = 100
GAP = Event(kind="gap", text="some changes were left out: look anew")


class News(Sequence[Event]):
    """Events of a desk. To be read, if at all, in the host's thread before the next drain."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._made: list[Event] | None = None

    def _events(self) -> list[Event]:
        if self._made is None:
            self._made = list(_told(self._desk))
        return self._made

    def __len__(self) -> int:
        return len(self._events())

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events())

    @overload
    def __getitem__(self, at: int) -> Event: ...
    @overload
    def __getitem__(self, at: slice) -> list[Event]: ...
    def __getitem__(self, at: Any) -> Any:
        return self._events()[at]


def events_of(desk: Desk) -> Sequence[Event]:
    """What a drain changed. Costs nothing while nobody looks into it."""
    return News(desk)


def _told(desk: Desk) -> Iterator[Event]:
    others = [event for change in desk.changes for event in _of_the_whole(change)]
    yield from others[:OTHERS]
    touched: set[Index] = set()
    for change in desk.changes:
        touched.update(_tasks_of(change))
    state = desk.host.brain.state
    touched = {index for index in touched if state.status[index] < len(Status)}
    families = {state.family_of[state.policy[index]] for index in touched}
    if len(others) > OTHERS or len(families) > FAMILIES:
        yield GAP
    if len(touched) <= TASKS:
        for index in sorted(touched):
            yield _task(desk, index)
    names = list(state.families)
    for number in islice(sorted(families), FAMILIES):
        counts = {str(status): state.by_family[status][number] for status in Status if state.by_family[status][number]}
        yield Event(kind="family", family=names[number], text=json.dumps(counts))


def _task(desk: Desk, index: Index) -> Event:
    state = desk.host.brain.state
    reason, _ = views.brief(state, index, desk.now)
    return Event(
        kind="task",
        key=desk.host.registry.text(index),
        family=state.policy_of(index).family,
        status=str(Status(state.status[index])),
        text=reason,
    )


def _of_the_whole(change: ch.Change) -> Iterator[Event]:
    if isinstance(change, ch.ResourceSet):
        yield Event(kind="resource", name=change.name, text=str(change.total))
    elif isinstance(change, ch.PauseSet):
        yield Event(kind="server", text="paused" if change.paused else "resumed")
    elif isinstance(change, ch.EpochBegan):
        yield Event(kind="server", text=f"epoch {change.epoch}")
    elif type(change) in _WORKERS:
        yield Event(kind="worker", name=change.session, text=_WORKERS[type(change)])  # type: ignore[union-attr]  # they have one


_WORKERS: dict[type, str] = {ch.SessionOpened: "opened", ch.SessionDrained: "draining", ch.SessionClosed: "closed"}
_SINGLE = (ch.Reinstated, ch.Ended, ch.Slept, ch.CancelWished, ch.BecameCancelled, ch.StartedOver, ch.PrioritySet)
_SEVERAL = (ch.BecameReady, ch.WaitsAgain, ch.Granted, ch.Finished, ch.Resumed)


def _tasks_of(change: Any) -> Sequence[Index]:
    if isinstance(change, _SINGLE):
        return (change.task,)
    if isinstance(change, _SEVERAL):
        return change.tasks
    if isinstance(change, ch.TasksAdded):
        return [spec.index for spec in change.tasks]
    return ()

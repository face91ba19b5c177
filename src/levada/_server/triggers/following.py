"""Tasks that have ended, for the triggers that come after them: looked at only while there is such a trigger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..._core.changes import Ended, Finished
from ..._model.spec import Index
from ..._model.status import Status
from ...errors import ConfigError
from . import firing

if TYPE_CHECKING:
    from ..desk import Desk

_FAILED = (Status.FAILED, Status.DISABLED)
MOST = 10_000  # ends that one drain looks at


def follow(desk: Desk) -> None:
    """Let triggers fire that come after what has ended in this drain."""
    book = desk.host.book
    families = book.families_after
    if not families:
        return
    ended = [(index, outcome) for index, outcome in _ended(desk) if desk.host.brain.state.policy_of(index).family in families][:MOST]
    if not ended:
        return
    texts = {row.index: row.params for row in desk.tasks}
    unknown = [index for index, _ in ended if index not in texts]
    texts.update((row.index, row.params) for row in desk.host.store.tasks_at(unknown))
    for index, outcome in ended:
        _fire(desk, index, outcome, texts.get(index, "{}"))


def _ended(desk: Desk) -> Iterator[tuple[Index, str]]:
    for change in desk.changes:
        if isinstance(change, Finished):
            for index in change.tasks:
                yield index, "done"
        elif isinstance(change, Ended) and change.status in _FAILED:
            yield change.task, "failed"


def _fire(desk: Desk, index: Index, outcome: str, text: str) -> None:
    state, book = desk.host.brain.state, desk.host.book
    family, fence = state.policy_of(index).family, state.fence(index)
    params = {name: value if isinstance(value, str) else json.dumps(value) for name, value in json.loads(text).items()}
    number = fence.number if fence is not None else 0
    cause = f"task {desk.host.registry.text(index)} {state.generation.get(index, 1)} {number}"
    facts = {**params, "family": family, "outcome": outcome}
    wanted = {f"{name}={value}" for name, value in params.items()}
    for name in book.names_after(family):
        inside = name[len(family) + 1 : -1] if name != family else ""
        if name == family or (inside and set(inside.split(", ")) == wanted):
            try:
                firing.fire_ended(book, name, outcome, cause, facts, desk.wall)
            except ConfigError as fault:
                book.faults.append(f"after {name}: {fault.message}")

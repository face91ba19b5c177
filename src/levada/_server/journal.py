"""Changes of the brain as bytes, and back: the rows of the store's journal, and the pieces of its snapshot.

MessagePack of plain values; each change is its number in ``KINDS`` and its fields. A number is never given to another kind, and
fields are only added at the end, with a default: a journal of an older version reads on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import msgpack

from .._core import changes as ch
from .._core.snapshot import policy_from_plain, trouble_from_plain
from .._model.messages import SessionId
from .._model.spec import Growth, TaskSpec
from .._model.status import Status

KINDS: tuple[type, ...] = (
    ch.EpochBegan, ch.SessionOpened, ch.SessionDrained, ch.SessionClosed, ch.TasksAdded, ch.TasksShared, ch.Grown,
    ch.FoundWhilePlanning, ch.BecameReady, ch.WaitsAgain, ch.Granted, ch.LeasesExtended, ch.LeasesForgiven, ch.Reinstated,
    ch.Finished, ch.Ended, ch.Slept, ch.Resumed, ch.CancelWished, ch.BecameCancelled, ch.StartedOver, ch.PrioritySet,
    ch.ResourceSet, ch.PauseSet, ch.Forgiven, ch.Forgotten, ch.TakenBack, ch.NeedsSet, ch.Revised,
    ch.Replanned, ch.Released,
)  # fmt: skip
_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
_UNWRITTEN = (ch.LeasesExtended,)  # ends of leases live in memory: a restart gives everything that runs a whole lease
_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder().decode


def to_bytes(changes: Iterable[ch.Change], now: float) -> bytes | None:
    """One row of the journal: the brain's time and the changes; None where nothing needs to be kept."""
    rows = [_plain(change) for change in changes if type(change) not in _UNWRITTEN]
    return _encode((now, rows)) if rows else None


def _plain(change: ch.Change) -> tuple[Any, ...]:
    number = _NUMBERS[type(change)]
    if isinstance(change, ch.TasksAdded):
        policies: dict[Any, int] = {}
        tasks = [(one.index, policies.setdefault(one.policy, len(policies)), one.priority, one.batch) for one in change.tasks]
        return number, change.session, list(policies), tasks
    return number, *change


def from_bytes(row: bytes) -> tuple[float, Iterator[ch.Change]]:
    """The brain's time when a row was written, and its changes."""
    now, rows = _decode(row)
    return now, (_read(row) for row in rows)


def _read(row: list[Any]) -> ch.Change:
    kind = KINDS[row[0]]
    build = _BUILDERS.get(kind)
    fields = row[1:]
    return build(*fields) if build is not None else kind(*fields)


def _opened(session: str, labels: list[str], goal: str = "") -> ch.SessionOpened:
    return ch.SessionOpened(SessionId(session), tuple(labels), goal)


def _added(session: str, policies: list[Any], tasks: list[Any]) -> ch.TasksAdded:
    known = [policy_from_plain(policy) for policy in policies]
    return ch.TasksAdded(SessionId(session), [TaskSpec(index, known[policy], priority, batch) for index, policy, priority, batch in tasks])


def _grown(growth: list[Any]) -> ch.Grown:
    return ch.Grown([Growth(*one) for one in growth])


def _granted(session: str, tasks: list[int], until: float, crews: list[Any]) -> ch.Granted:
    return ch.Granted(SessionId(session), tasks, until, [(leader, tuple(others)) for leader, others in crews])


def _needs_set(tasks: list[int], resources: list[Any]) -> ch.NeedsSet:
    return ch.NeedsSet(tasks, tuple((name, amount) for name, amount in resources))


def _revised(task: int, policy: Any, batch: str | None) -> ch.Revised:
    return ch.Revised(task, policy_from_plain(policy), batch)


def _released(task: int, resources: list[Any]) -> ch.Released:
    return ch.Released(task, tuple((name, amount) for name, amount in resources))


def _ended(task: int, status: int, reason: str, trouble: Any, at: float | None, lapsed: bool, counted: bool) -> ch.Ended:
    return ch.Ended(task, Status(status), reason, None if trouble is None else trouble_from_plain(trouble), at, lapsed, counted)


_BUILDERS: dict[type, Callable[..., ch.Change]] = {
    ch.SessionOpened: _opened,
    ch.TasksAdded: _added,
    ch.Grown: _grown,
    ch.Granted: _granted,
    ch.Ended: _ended,
    ch.NeedsSet: _needs_set,
    ch.Revised: _revised,
    ch.Released: _released,
}


# -- the snapshot --------------------------------------------------------------------------------


def parts_of(saved: dict[str, Any], now: float) -> list[tuple[str, bytes]]:
    """Named pieces of what ``Brain.save`` gave, with the brain's time."""
    return [("now", _encode(now)), *((name, value if isinstance(value, bytes) else _encode(value)) for name, value in saved.items())]


def saved_of(parts: dict[str, bytes]) -> tuple[float, dict[str, Any] | None]:
    """The brain's time and what ``Brain.resume`` takes; (0, None) where there is no snapshot."""
    if not parts:
        return 0.0, None
    saved: dict[str, Any] = {name: value for name, value in parts.items() if not name.startswith("host.")}
    now = float(_decode(saved.pop("now")))
    saved["few"] = msgpack.decode(parts["few"], strict=False)
    return now, saved

"""From the words of the house to those of the wire, and back: dense integers become keys, keys integers.

What is sent is cut to what the wire takes, so that no report is ever refused for a long name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .._model.messages import AddTasks, Failed, Fence, Grant, HandedBack, Suspended
from .._model.ports import AttemptRow
from .._model.spec import Growth, Index, Policy, TaskSpec
from .._model.status import ExitClass
from .._wire import limits
from .._wire import messages as w
from .._wire.kinds import Held

MESSAGE = 1 << 20  # bytes of a message that we aim at; the wire takes more, but others wait for as long as it is read
EDGES_AT_ONCE = 25_000  # requirements of one task in one message


class Described(NamedTuple):
    """What a server may know of a task. params: canonical text, secrets masked. module: where its class lives."""

    key: bytes
    params: str
    module: str | None = None


class Keys:
    """Tasks of this session: dense integers and their keys."""

    def __init__(self) -> None:
        self._hex: list[str] = []
        self._index: dict[str, Index] = {}

    def __len__(self) -> int:
        return len(self._hex)

    def __contains__(self, index: Index) -> bool:
        return index < len(self._hex) and bool(self._hex[index])

    def put(self, index: Index, key: bytes) -> str:
        """Remember a pair; the key as the wire spells it."""
        text = key.hex()
        if index >= len(self._hex):
            self._hex.extend([""] * (index + 1 - len(self._hex)))
        self._hex[index] = text
        self._index[text] = index
        return text

    def of(self, index: Index) -> str:
        """The key of a task that was added before."""
        return self._hex[index]

    def index(self, key: str) -> Index | None:
        """The task with this key; None when the session has none."""
        return self._index.get(key)

    def joined(self, indices: Sequence[Index]) -> str:
        """Keys of many tasks in one text."""
        of = self._hex
        return "".join([of[index] for index in indices])


# -- plans -------------------------------------------------------------------------------------


class Slice(NamedTuple):
    """A part of an AddTasks that fits into one message."""

    tasks: list[TaskSpec]
    growth: list[Growth]
    complete: int


def slices(command: AddTasks, sizes: Sequence[int]) -> Iterator[Slice]:
    """Cut a command into messages: all tasks first, then what they require (names must be known when they are used).

    sizes: bytes of the texts of each task. The growth travels with the last tasks where there is room.
    """
    tasks: list[TaskSpec] = []
    weight = 0
    for spec, size in zip(command.tasks, sizes, strict=True):
        if tasks and (len(tasks) >= limits.TASKS or weight + size > MESSAGE):
            yield Slice(tasks, [], 0)
            tasks, weight = [], 0
        tasks.append(spec)
        weight += size
    growth: list[Growth] = []
    for piece in _pieces(command.growth):
        size = 48 + 32 * len(piece.requires)
        if (tasks or growth) and (len(growth) >= limits.ITEMS or weight + size > MESSAGE):
            yield Slice(tasks, growth, 0)
            tasks, growth, weight = [], [], 0
        growth.append(piece)
        weight += size
    if tasks or growth or command.complete:
        yield Slice(tasks, growth, command.complete)


def _pieces(growth: Sequence[Growth]) -> Iterator[Growth]:
    """Growths of a size that one message takes."""
    for one in growth:
        requires = one.requires
        while len(requires) > EDGES_AT_ONCE:
            yield Growth(one.index, requires[:EDGES_AT_ONCE], closed=False)
            requires = requires[EDGES_AT_ONCE:]
        yield one if requires is one.requires else Growth(one.index, requires, one.closed)


def policy(of: Policy) -> w.PolicySpec:
    """A policy on the wire."""
    retry = of.retry
    return w.PolicySpec(
        of.family,
        [w.Amount(name, amount) for name, amount in of.resources],
        w.RetrySpec(
            retry.attempts, retry.first, retry.longest, retry.disable_after, retry.window,
            [w.ExceptionLimit(name, attempts) for name, attempts in retry.exceptions], retry.disabled_for, retry.give_up_after,
        ),
        of.timeout,
        of.batch_limit,
        of.disabled,
        _name(of.owners),
    )  # fmt: skip


# -- reports -----------------------------------------------------------------------------------


def held(key: str, fence: Fence) -> Held:
    """A task under a fence."""
    return Held(key, fence[0], fence[1])


def failed(key: str, one: Failed, exit_class: ExitClass) -> w.FailedItem:
    """A failure. exit_class: as what it counts."""
    errors = [name for error in one.errors[:64] if (name := _name(error))]
    return w.FailedItem(key, one.fence[0], one.fence[1], exit_class, errors, min(max(one.draw, 0.0), 1.0 - 2**-53), one.final)


def handed_back(key: str, one: HandedBack) -> w.HandedBackItem:
    """A task that was not run."""
    return w.HandedBackItem(key, one.fence[0], one.fence[1], one.after, one.reason[: limits.REASON])


def suspended(key: str, one: Suspended, requires: str) -> w.SuspendedItem:
    """An attempt that waits for what it yielded."""
    return w.SuspendedItem(key, one.fence[0], one.fence[1], requires)


def attempt(row: AttemptRow) -> w.AttemptItem:
    """What is remembered of an attempt."""
    key, family, params, number, started, seconds, exit_class, error, fingerprint, cpu, rss, worker = row
    return w.AttemptItem(
        key.hex(), _name(family), params[: 64 << 10], number, started, max(0.0, seconds), ExitClass(exit_class),
        error[: limits.TEXT], fingerprint[: limits.NAME], max(0.0, cpu), rss, worker[: limits.NAME],
    )  # fmt: skip


def _name(text: str) -> str:
    """A name that the wire takes: no control characters, not too long."""
    return text[: limits.NAME] if text.isprintable() else "".join(char for char in text if char.isprintable())[: limits.NAME]


# -- answers -----------------------------------------------------------------------------------


def grant(index: Index, row: w.GrantRow, batch: tuple[Grant, ...]) -> Grant:
    """Leave to run a task."""
    return Grant(index, Fence(row.epoch, row.number), row.attempt, row.lease, batch)

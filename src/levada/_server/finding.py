"""Tasks by status and family out of a million: a bounded number is looked at, and the answer says where to look on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from heapq import nsmallest
from typing import Any, NamedTuple, TypeVar

from .._core.state import State
from .._model.spec import Index
from .._model.status import Status
from .._wire.problems import Refusal

LOOKED_AT = 20_000
"""Tasks of other families that one search passes over."""
ANY = frozenset(map(int, Status))
T = TypeVar("T", bound=Hashable)


class Page(NamedTuple):
    """Tasks by index; next: the last one that was looked at, None at the end."""

    found: list[Index]
    next: Index | None


def wanted(name: str | None) -> frozenset[int]:
    """The status of that name; all of them for None."""
    return ANY if name is None else frozenset((int(Status[name.upper()]),))


def place(after: str) -> int:
    """Where a page begins, from what the page before said. Raises Refusal."""
    if not after:
        return -1
    if not after.isascii() or not after.isdecimal() or len(after) > 18:
        raise Refusal("invalid-message", f"after: got {after[:40]!r}, expected what `next` of the page before says")
    return int(after)


def number_of(state: State, family: str) -> int:
    """The family's number. Raises Refusal ``not-found``."""
    number = state.families.get(family)
    if number is None:
        raise Refusal("not-found", f"no task of a family {family!r} is known", hint="`levada status` lists the families.")
    return number


def standing(state: State, statuses: Iterable[int], family: int | None = None) -> int:
    """How many tasks stand so; by counters."""
    if family is None:
        return sum(state.counts[status] for status in statuses)
    return sum(state.by_family[status][family] for status in statuses)


def search(state: State, statuses: frozenset[int], family: int | None, *, after: int, limit: int) -> Page:
    """The next tasks of these statuses, and of the family if one is named."""
    found: list[Index] = []
    if not standing(state, statuses, family):
        return Page(found, None)
    policy, family_of = state.policy, state.family_of
    marks = bytes(state.status).translate(bytes(status in statuses for status in range(256)))
    index, looked = marks.find(1, after + 1), 0
    while index >= 0:
        looked += 1
        if family is None or family_of[policy[index]] == family:
            found.append(index)
        if len(found) == limit or looked == LOOKED_AT:
            return Page(found, index)
        index = marks.find(1, index + 1)
    return Page(found, None)


def first_after(names: Iterable[str], after: str, limit: int) -> list[str]:
    """The ``limit`` first names behind one, in order."""
    return nsmallest(limit, (name for name in names if name > after))


def following(rows: Sequence[Any], limit: int, name: Callable[[Any], str]) -> str | None:
    """What a page says as ``next``: the name of its last row, when it is full."""
    return name(rows[-1]) if len(rows) == limit else None

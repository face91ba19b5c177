"""The brain's state as plain values, and back: what a server keeps so that it need not play its whole life again.

Columns are bytes; what few tasks have is lists and dicts of numbers and texts. What can be recounted is not kept: counters,
queues, timers, and who needs whom from the side of the requirement.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

from .._model.messages import SessionId
from .._model.spec import Policy, Retry
from .._model.status import Status
from . import ready
from .changes import Trouble
from .state import FREE, Group, Session, State

INTS = ("unmet", "policy", "group", "number", "fence_epoch", "floor")
PLAIN = (
    "epoch", "own_priority", "priority", "batch", "uncounted", "generation", "reason", "at", "again", "holder", "until", "wishes",
    "crew", "crews_made", "complete", "used", "total", "is_plain", "paused", "forgiven", "next_floor", "naps", "holds",
)  # fmt: skip
"""Attributes that are kept as they are."""


def save(state: State) -> dict[str, Any]:
    """Values that ``load`` makes an equal state of; bytes for columns. Copies: the state may change afterwards."""
    edges = state.edges
    few: dict[str, Any] = {name: _copied(getattr(state, name)) for name in PLAIN}
    few["open"] = sorted(state.open)
    few["free"] = list(state.free)
    few["seen_by"] = {index: sorted(goals) for index, goals in state.seen_by.items()}
    few["trouble"] = {index: tuple(trouble) for index, trouble in state.trouble.items()}
    few["suspended"] = list(state.suspended)
    few["woken"] = {name: list(tasks) for name, tasks in state.woken.items()}
    few["crews"] = {number: (resources, left) for number, (resources, left) in state.crews.items()}
    few["lowered"] = sorted(state.lowered)
    few["sessions"] = [(name, one.labels, one.goal, one.draining) for name, one in state.sessions.items()]
    few["groups"] = [(sorted(one.sessions), one.module) for one in state.groups]
    few["known_groups"] = sorted(state.group_numbers.values())
    few["free_groups"] = list(state.free_groups)
    few["policies"] = [_policy_to_plain(policy) for policy in state.policies]
    few["more"] = {index: list(runs) for index, runs in edges.more.items()}
    columns = {name: array("i", getattr(state, name)).tobytes() for name in INTS}
    edge_columns = {name: column.tobytes() for name, column in edges.columns().items()}
    return {"status": bytes(state.status), "few": few, **columns, **edge_columns}


def _copied(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else value


def load(state: State, saved: dict[str, Any]) -> None:
    """Fill an empty state. Costs a second for some million tasks and edges."""
    few = saved["few"]
    _load_plain(state, few)
    state.status = bytearray(saved["status"])
    for name in INTS:
        column = array("i")
        column.frombytes(saved[name])
        getattr(state, name).extend(column)
    state.edges.restore(
        {name: saved[name] for name in state.edges.columns()}, {int(k): list(map(tuple, v)) for k, v in few["more"].items()}
    )
    for policy in few["policies"]:
        state.intern_policy(policy_from_plain(policy))
    state.is_plain = few["is_plain"]
    _load_groups(state, few)
    _recount(state)
    if "free_groups" not in few:
        from .merging import tidy

        tidy(state)
    for index, status in enumerate(state.status):
        if status == Status.READY:
            ready.enter(state, index)
    for index, moment in state.at.items():
        if state.status[index] == Status.RETRYING or state.comes_back(index):
            state.retries.set(index, moment)
    for index, moment in state.until.items():
        state.expiries.set(index, moment)


def _load_plain(state: State, few: dict[str, Any]) -> None:
    for name in PLAIN:
        if name in few:  # not what an older version did not know
            setattr(state, name, few[name])
    state.holds = {index: _resources(resources) for index, resources in state.holds.items()}
    state.open = set(few["open"])
    state.free = dict.fromkeys(few["free"])
    state.seen_by = {index: frozenset(goals) for index, goals in few["seen_by"].items()}
    state.trouble = {index: trouble_from_plain(trouble) for index, trouble in few["trouble"].items()}
    state.suspended = dict.fromkeys(few["suspended"])
    state.woken = {SessionId(name): dict.fromkeys(tasks) for name, tasks in few["woken"].items()}
    state.crews = {number: (_resources(resources), left) for number, (resources, left) in few["crews"].items()}
    state.lowered = set(few["lowered"])


def _load_groups(state: State, few: dict[str, Any]) -> None:
    state.groups = [Group(number, frozenset(map(SessionId, sessions)), module) for number, (sessions, module) in enumerate(few["groups"])]
    state.is_split = len(state.groups) > 1
    state.free_groups = dict.fromkeys(few.get("free_groups", ()))
    places = range(len(state.group))
    lows, highs = dict(zip(reversed(state.group), reversed(places), strict=True)), dict(zip(state.group, places, strict=True))
    for number, high in highs.items():
        state.groups[number].reach(lows[number], high)
    state.group_numbers = {(state.groups[number].sessions, state.groups[number].module): number for number in few["known_groups"]}
    for name, labels, goal, draining in few["sessions"]:
        session = state.sessions[SessionId(name)] = Session(tuple(labels), goal, draining=draining)
        if labels:
            state.assistants[SessionId(name)] = None
        session.groups.extend(group.number for group in state.groups if group.is_for(SessionId(name), session.labels))


def _recount(state: State) -> None:
    for (status, policy), count in Counter(zip(state.status, state.policy, strict=True)).items():
        if status == FREE:
            continue
        state.counts[status] += count
        state.by_family[status][state.family_of[policy]] += count
    if state.is_split:
        for (status, group), count in Counter(zip(state.status, state.group, strict=True)).items():
            if status == FREE:
                continue
            state.groups[group].counts[status] += count


# -- values --------------------------------------------------------------------------------------


def _resources(plain: Any) -> tuple[tuple[str, int], ...]:
    return tuple((name, amount) for name, amount in plain)


def _policy_to_plain(policy: Policy) -> tuple[Any, ...]:
    return tuple(policy._replace(retry=tuple(policy.retry)))  # type: ignore[arg-type]  # plain on purpose


def policy_from_plain(plain: Any) -> Policy:
    """A policy from the list of its fields; those that later versions added have their defaults."""
    family, resources, retry, *rest = plain
    attempts, first, longest, disable_after, window, exceptions, *later = retry
    known = Retry(attempts, first, longest, disable_after, window, _resources(exceptions), *later)
    return Policy(family, _resources(resources), known, *rest)


def trouble_from_plain(plain: Any) -> Trouble:
    """A Trouble from the list of its fields."""
    failures, excused, recent, poison, *later = plain
    return Trouble(failures, excused, tuple(recent), tuple(poison), *later)

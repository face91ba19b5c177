"""From ``add_task`` to the words in which workers of ours register tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..._wire import messages as w
from ..._wire.check import CONTROL
from ..._wire.limits import INTEGER, NAME, PRIORITY, SPEC
from ..._wire.problems import Refusal
from .identity import Significant, canonical, key_of
from .requests import AddTask

NEVER = 999_999_999  # what Luigi's configuration says for "no limit", in seconds
HIDDEN = 1
"""What Luigi's visibility of a parameter is at least, when it is no part of the task's id."""


class Named(NamedTuple):
    """A task that was told. text: canonical parameters; is_shared: whether a worker of ours would give it the same key."""

    key: bytes
    family: str
    text: str
    params: dict[str, Any]
    hidden: tuple[str, ...]
    is_shared: bool


def named(asked: AddTask, significant: Significant) -> Named:
    """Family, parameters and key of a task. Raises Refusal where it has no family."""
    family = plain(asked.family or "", "family")
    if not family:
        raise Refusal("invalid-message", f"{asked.task_id} came without its family")
    for text, what in ((asked.task_id, "task_id"), (asked.module or "", "module")):
        plain(text, what)
    params = asked.params or {}
    hidden = tuple(sorted(name for name, visibility in (asked.param_visibilities or {}).items() if visibility >= HIDDEN and name in params))
    found = significant.of(asked.task_id, family, params, hidden)
    # A program may give its tasks ids of its own making; these are all that is known to be theirs alone. Hidden parameters are no
    # part of Luigi's id, and of our key they are; whether one of them is insignificant besides, nobody tells.
    text = canonical({"task_id": asked.task_id} if found is None else {**found, **{name: params[name] for name in hidden}})
    if max(len(text), len(canonical(params))) > SPEC:  # ASCII: characters are bytes
        raise Refusal("too-large", f"the parameters of {asked.task_id[:200]} have more than {SPEC:,} bytes")
    return Named(key_of(family, text), family, text, params, hidden, found is not None)


def policy_of(asked: AddTask, family: str, batch_limit: int) -> w.PolicySpec:
    """Resources, retries and owners, as a worker of ours would say them for such a class."""
    resources = {plain(name, "resource"): int(amount) for name, amount in (asked.resources or {}).items() if amount >= 1 and name}
    return w.PolicySpec(
        family=family,
        resources=[w.Amount(name, amount) for name, amount in sorted(resources.items())],
        retry=_retry(asked.retry_policy_dict or {}),
        batch_limit=batch_limit,
        disabled=asked.status == "DISABLED",
        owners=",".join(_owners(asked.owners or ())),
    )


def _retry(said: dict[str, float | None]) -> w.RetrySpec:
    count, window, timeout = said.get("retry_count"), said.get("disable_window"), said.get("disable_hard_timeout")
    if count is None and window is None and timeout is None:
        return w.RetrySpec()
    return w.RetrySpec(
        attempts=2**31,
        disable_after=None if count is None else max(1, min(int(count), INTEGER)),
        window=86_400.0 if not window else min(max(0.0, window), 1e9),
        give_up_after=None if timeout is None or timeout >= NEVER else max(0.0, timeout),
    )


def _owners(owners: Iterable[str]) -> list[str]:
    names, size = [], 0
    for name in owners:
        size += len(name) + 1
        if name.isprintable() and name.strip() and "," not in name and size <= NAME:
            names.append(name)
    return names


def priority(asked: AddTask) -> int:
    """A priority that the brain takes."""
    return max(-PRIORITY, min(PRIORITY, int(asked.priority)))


def batch_group(asked: AddTask, family: str, batched: Iterable[str]) -> str:
    """Equal for tasks that may share a lease, in the words of ``levada.task.batch_group_of``."""
    out = frozenset(batched)
    rest = [f"{name}={value!r}" for name, value in (asked.params or {}).items() if name not in out]
    return f"{family}({', '.join(rest)})"[: 2 * NAME]


def plain(text: str, what: str) -> str:
    """The text. Raises Refusal where it holds control characters."""
    if CONTROL.search(text):
        raise Refusal("invalid-message", f"{what}: got {text[:80]!r}, expected a text without control characters")
    return text

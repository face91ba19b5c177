"""Is this one task complete? The question after a run and after a lock, asked of the world and never cached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import FROM_USERS, LevadaError, PlanError
from ..task import flatten, info_of
from .existence import Existence

ONE_BY_ONE = 16
"""So many tasks are asked for one after the other; more together."""


def missing(task: Any) -> list[str]:
    """What is not there of a task that ran; empty when it is complete.

    A task without outputs and without a ``complete()`` of its own has nothing to show: running well is
    all that can be asked of it. Raises what the targets raise (TargetUnreachable among it).
    """
    if info_of(type(task)).complete_is_own:
        return [] if task.complete() else ["complete() still says no"]
    output = task.output()
    if output.__class__ is not list and hasattr(output, "exists"):
        return [] if output.exists() else [_name(output)]
    return [_name(target) for target in flatten(output) if not target.exists()]


def is_complete(task: Any) -> bool:
    """Whether a task that ran may be called done; see ``missing``."""
    if (type(task)._info or info_of(type(task))).complete_is_own:
        return bool(task.complete())
    return not missing(task)


def are_complete(tasks: Sequence[Any]) -> list[bool]:
    """For each task whether it is complete now, nothing remembered; False also where that could not be asked.

    Many are asked for together, so that listings answer for targets of one folder.
    """
    if len(tasks) <= ONE_BY_ONE:
        return [_is_there(task) for task in tasks]
    answers = [True] * len(tasks)
    targets: list[Any] = []
    owners: list[int] = []
    for at, task in enumerate(tasks):
        try:
            if info_of(type(task)).complete_is_own:
                answers[at] = bool(task.complete())
                continue
            outputs = flatten(task.output())
        except FROM_USERS:
            answers[at] = False
            continue
        targets += outputs
        owners += [at] * len(outputs)
    for at, there in zip(owners, Existence().ask(targets), strict=True):
        answers[at] = answers[at] and there is True
    return answers


def _is_there(task: Any) -> bool:
    try:
        return is_complete(task)
    except FROM_USERS:
        return False


def outputs_of(task: Any) -> list[Any]:
    """Its targets. Raises PlanError where its own code fails."""
    try:
        return flatten(task.output())
    except FROM_USERS as cause:
        if isinstance(cause, LevadaError):
            raise
        raise PlanError(f"output() of {task!r} raised {type(cause).__name__}: {cause}") from cause


def is_leftover(task: Any, path: str) -> bool:
    """Whether ``path`` is one of several outputs of a task that is not complete: what an earlier attempt left.

    Asked in an attempt that alone may run the task, when a write-once output is in its way. A task with
    one output has no leftovers: it is complete when that is there.
    """
    outputs = flatten(task.output())
    return len(outputs) > 1 and path in map(_where, outputs) and not all(target.exists() for target in outputs)


def _where(target: Any) -> Any:
    """What a write of this target calls the place that it writes: a local path, or the URL that its store gives it."""
    resolve = getattr(target, "_resolve", None)  # a FileTarget knows its store
    if resolve is None:
        return getattr(target, "path", None)
    store, path = resolve()
    spelled = getattr(store, "local_path", None) or getattr(store, "url", None)
    return None if spelled is None else spelled(path)


def _name(target: Any) -> str:
    return str(getattr(target, "path", None) or target)

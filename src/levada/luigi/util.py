"""Luigi's ``luigi.util``: decorators of the house, and what old programs ask of tasks that follow each other."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from .. import task as house
from ..inherit import copies, inherits, requires
from ..params import (
    DateHourParameter,
    DateIntervalParameter,
    DateMinuteParameter,
    DateParameter,
    DateSecondParameter,
    MonthParameter,
    YearParameter,
)
from ..task import Register, Task, info_of

__all__ = ["common_params", "copies", "delegates", "get_previous_completed", "inherits", "previous", "requires"]


def common_params(task_instance: Task, task_cls: type[Task]) -> dict[str, Any]:
    """The task's values of the parameters that the class has too."""
    if not isinstance(task_cls, Register):
        raise TypeError(f"{task_cls!r} is no class of tasks; expected common_params(task, class)")
    own = info_of(type(task_instance)).names
    return {name: getattr(task_instance, name) for name in info_of(task_cls).names if name in own}


def delegates(task_that_delegates: Any) -> Any:
    """Decorator: the tasks of ``subtasks()`` run as a part of this one, and what they require is required by it."""
    if not hasattr(task_that_delegates, "subtasks"):
        raise AttributeError(f"{task_that_delegates.__name__} has no subtasks(); @delegates needs one")
    run, deps = task_that_delegates.run, task_that_delegates.deps

    def with_subtasks(self: Any) -> Any:
        for task in house.flatten(self.subtasks()):
            task.run()
        return run(self)

    def with_theirs(self: Any) -> list[Any]:
        return [*deps(self), *(one for task in house.flatten(self.subtasks()) for one in task.deps())]

    task_that_delegates.run = with_subtasks
    task_that_delegates.deps = with_theirs
    return task_that_delegates


_STEPS = {
    DateSecondParameter: timedelta(seconds=1),
    DateMinuteParameter: timedelta(minutes=1),
    DateHourParameter: timedelta(hours=1),
    DateParameter: timedelta(1),
}


def _before(parameter: Any, value: Any) -> Any:
    """The value before this one; None where the parameter is none of time."""
    if isinstance(parameter, DateIntervalParameter):
        return value.prev()
    if isinstance(parameter, (MonthParameter, YearParameter)):
        return parameter.normalize(value - timedelta(1))
    for kind, step in _STEPS.items():
        if isinstance(parameter, kind):
            return value - getattr(parameter, "interval", 1) * step
    return None


def previous(task: Any) -> Any:
    """The task with the date (hour, interval, ...) before. Raises NotImplementedError unless one parameter is a time."""
    earlier = {
        name: before for name, parameter in info_of(type(task)).params if (before := _before(parameter, getattr(task, name))) is not None
    }
    if len(earlier) != 1:
        raise NotImplementedError(f"{task}: {len(earlier)} of its parameters are times ({', '.join(earlier) or 'none'}); expected one")
    return task.clone(**earlier)


def get_previous_completed(task: Any, max_steps: int = 10) -> Any:
    """The newest of so many earlier tasks that is complete, or None."""
    for _ in range(max_steps):
        task = previous(task)
        logging.getLogger("luigi-interface").debug("Checking if %s is complete", task)
        if task.complete():
            return task
    return None

"""A range of partitions made complete: what is missing of it, and nothing else.

It is one run, of the task that requires them all; what is there is asked by the planner, in batches. A run that was
killed is resumed by the same call: what it made is complete by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._model.values import NamedTuple
from ._plan.shaping import Shape
from ._run import RunResult, run
from .errors import RunError
from .ranges import Partitions, partitions
from .task import info_of, parameters_of, repr_of

if TYPE_CHECKING:
    from ._plan.plan import Plan

_code = run.__code__
OPTIONS = frozenset(_code.co_varnames[: _code.co_argcount + _code.co_kwonlyargcount]) - {"tasks", "shape"}
"""Names of what ``levada.run`` takes."""


def backfill(of: Any, /, *, newest_first: bool = False, max_parallel: int | None = None, **given: Any) -> RunResult:
    """Make the partitions of a range that are missing, with what they need; returns when nothing more can be done.

    of: a family, or what ``levada.partitions`` gave. given: by parameter of the family a ``span``, a list, the text of a
    range, or a value; what is no parameter is an option of ``levada.run``. newest_first: the last partitions first, with
    what they need. max_parallel: so many partitions of the family run at once, on all workers of a server. What one
    partition does to itself stops no other. Raises ParameterError for a range that is none.
    """
    if isinstance(of, Partitions):
        wanted = of
    else:
        names = {name for name, _ in parameters_of(of)}
        values = {name: value for name, value in given.items() if name in names or name not in OPTIONS}
        given = {name: value for name, value in given.items() if name not in values}
        wanted = partitions(of, newest_first=newest_first, **values)
    if newest_first and not wanted.newest_first:
        wanted = wanted.clone(newest_first=True)
    result = run(wanted, shape=shape_of(wanted, max_parallel), **given)
    return without_the_range(result, wanted)


def shape_of(wanted: Partitions, max_parallel: int | None) -> Shape | None:
    """What is added to the plan; None where nothing is. Raises RunError for a limit that limits nothing."""
    if max_parallel is None and not wanted.newest_first:
        return None
    cls = wanted.family_class()
    if max_parallel is not None:
        if max_parallel < 1:
            raise RunError(f"max_parallel must be 1 or more, got {max_parallel}")
        if not info_of(cls).run_is_own:
            raise RunError(
                f"{cls.get_task_family()} has no run() that could be limited", hint="Limit the family that does the work, as a resource."
            )
    return Shape(cls.get_task_family(), in_order=wanted.newest_first, total=len(wanted.grid()), limit=max_parallel)


def without_the_range(result: RunResult, wanted: Partitions) -> RunResult:
    """The result in terms of partitions: the task that requires them all is no work of anybody."""
    result.wanted = wanted.title()
    if result.blocked:
        result.blocked -= 1
        for each in result.blocked_by:
            each.tasks -= 1
        result.blocked_by = tuple(each for each in result.blocked_by if each.tasks > 0)
    return result


class Preview(NamedTuple):
    """How a range stands: counts of its partitions, and the first and the last that are missing."""

    partitions: int
    complete: int
    to_do: int
    blocked: int  # missing, and waiting for what others make, or behind a fault
    first: str | None
    last: str | None

    @property
    def missing(self) -> int:
        """Partitions that are not complete."""
        return self.partitions - self.complete


def preview_of(plan: Plan, wanted: Partitions) -> Preview:
    """The counts, from the plan of the range. First and last are those of the range, in whatever order it is worked on."""
    total = len(wanted.grid())
    at = plan.discovery.roots[0]
    missing = [index for index in plan.needs[at] if plan.states[index] != "complete"] if at >= 0 and plan.needs else []
    if wanted.newest_first:
        missing.reverse()
    to_do = sum(plan.states[index] in ("to do", "group") for index in missing)
    if at >= 0 and plan.states[at] == "faulty":  # the range could not be walked to its end
        found = plan.discovery.complete_by_family().get(wanted.of, 0)
        return Preview(total, found, to_do, total - found - to_do, None, None)
    ends = [repr_of(plan.task(index)) for index in (missing[0], missing[-1])] if missing else [None, None]
    return Preview(total, total - len(missing), to_do, len(missing) - to_do, *ends)

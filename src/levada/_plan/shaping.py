"""What a backfill adds to the specs of its plan: the order of its partitions, and how many run at once.

A task's own words are kept: resources are added to those that it names, priorities are only lowered, so that a
backfill is never more urgent than its tasks say, and older partitions yield to other work.
"""

from __future__ import annotations

from .._model.spec import BACKFILL, Index, Policy

LIMIT = 1 << 20  # priorities lie between the negative of this and this
NAME = 512  # characters of a resource's name


def limit_of(family: str) -> str:
    """The resource that limits the backfills of a family."""
    return f"{BACKFILL}{family}"[:NAME]


class Shape:
    """How the tasks below one range are put to the scheduler.

    family: of the partitions. in_order: the first one found is the most urgent, with all that it needs. total: partitions
    there are, at least. limit: so many tasks of the family run at once; None: as many as there is room for.
    """

    def __init__(self, family: str, *, in_order: bool = False, total: int = 0, limit: int | None = None) -> None:
        self._family, self._in_order, self._total = family, in_order, total
        self.limits = {} if limit is None else {limit_of(family): limit}
        self._policies: dict[int, tuple[Policy, Policy]] = {}  # by id: the policy, which this keeps alive, and the one with the limit
        self._ranks: list[int] = []
        self._partitions = 0

    def fit(self, at: Index, parent: Index, policy: Policy, priority: int) -> tuple[Policy, int]:
        """Policy and priority of a task for its spec. parent: the task that first required it; below 0 for the range itself."""
        if self.limits and policy.family == self._family:
            policy = self._limited(policy)
        return policy, self._lowered(at, parent, priority) if self._in_order else priority

    def _limited(self, policy: Policy) -> Policy:
        known = self._policies.get(id(policy))
        if known is None:
            resources = {**dict(policy.resources), **dict.fromkeys(self.limits, 1)}
            known = self._policies[id(policy)] = policy, policy._replace(resources=tuple(sorted(resources.items())))
        return known[1]

    def _lowered(self, at: Index, parent: Index, priority: int) -> int:
        """Less urgent by the place of the partition that needs it, within what there is: past a million, some share a place."""
        ranks = self._ranks
        ranks.extend([0] * (at + 1 - len(ranks)))
        if parent < 0:
            return -LIMIT  # the range needs all: its own priority would become theirs
        if self._is_range(parent):
            ranks[at] = self._partitions
            self._partitions += 1
        else:
            ranks[at] = ranks[parent]
        room = LIMIT + priority
        return priority - (ranks[at] if self._total <= room else ranks[at] * room // self._total)

    def _is_range(self, index: Index) -> bool:
        return index == 0  # the one wanted task, entered first

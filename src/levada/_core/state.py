"""The state of the brain: columns by dense index for what every task has, dicts for what few tasks have.

Written by ``apply`` alone. The heaps (ready queue, timers) are an exception in form only: they are
caches of what the columns say, whoever reads them may drop entries that no longer hold.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeVar

from .._model.messages import Fence, SessionId
from .._model.spec import Index, Policy
from .._model.status import Status
from .._model.values import NamedTuple
from .changes import Change, Trouble
from .edges import Edges
from .timers import Timers

Resources = tuple[tuple[str, int], ...]
FREE = 255  # in place of a status: the index of a task that was forgotten
INDEX_BITS = 32
INDEX_MASK = (1 << INDEX_BITS) - 1
EXCUSED_LIMIT = 20  # failures in a row that count nothing and yet fail a task, unless the host says otherwise
DEFAULT_TOTAL = 1  # of a resource that nobody has set: as with luigid, one at a time


Reply = TypeVar("Reply")
Decision = Generator[Change, None, Reply]
"""A decision yields changes; each is applied, and what it brings about too, before the next is thought of."""


class Rules(NamedTuple):
    """What the brain was told once. Seconds; lease inf: leases never lapse."""

    lease: float
    lock_delay: float
    cancel_grace: float
    excused_limit: int  # infra failures in a row that fail a task
    failed_pause: float = math.inf  # until a goal that has seen a task fail starts it over by adding it again
    reserve: bool = False  # less urgent tasks leave alone what an urgent ready one needs, while somebody waits who may run it


class Session:
    """What the brain knows of a worker process."""

    __slots__ = ("draining", "goal", "groups", "labels", "waits")

    def __init__(self, labels: tuple[str, ...], goal: str, *, draining: bool) -> None:
        self.labels = labels  # modules whose tasks an assistant offers to run
        self.goal = goal
        self.draining = draining
        self.groups: list[int] = []  # those whose tasks it may run, ascending
        self.waits = -math.inf  # when it last claimed and got less than it had room for; known where Rules.reserve, not written


class Group:
    """Tasks of one module that the same sessions registered, and the queue of those among them that are ready.

    These sessions may run them, and assistants that offer the module.

    Queues hold packed integers, ``index - (priority << 32)``: the smallest is the most urgent, then the
    one discovered first; with priority 0 it is the index itself and costs no object.
    front: ready tasks without resources, and the head of each line that is not parked.
    lines: ready tasks by the resources they need, since these fit or fall short together.
    parked: lines whose head fell short; woken when there is more of what they lack.
    heads: the entry in the front that speaks for a line; other entries of its tasks are stale.
    batches: ready tasks by batch group and policy number.
    counts: its tasks by status; kept once there was more than one group.
    low, high: its tasks lie between these indices.
    """

    __slots__ = ("batches", "counts", "front", "heads", "high", "lines", "low", "module", "number", "parked", "sessions")

    def __init__(self, number: int, sessions: frozenset[SessionId], module: str) -> None:
        self.number = number
        self.sessions = sessions
        self.module = module
        self.counts = [0] * len(Status)
        self.front: list[int] = []
        self.lines: dict[Resources, list[int]] = {}
        self.parked: set[Resources] = set()
        self.heads: dict[Resources, int] = {}
        self.batches: dict[tuple[str, int], list[int]] = {}
        self.low, self.high = INDEX_MASK, -1

    def is_for(self, name: SessionId, labels: tuple[str, ...]) -> bool:
        """May a session run these tasks?"""
        return name in self.sessions or (self.module != "" and self.module in labels)

    def reach(self, low: Index, high: Index) -> None:
        """Tasks from ``low`` to ``high`` joined."""
        if low < self.low:
            self.low = low
        if high > self.high:
            self.high = high


class State:
    """All that the brain remembers."""

    def __init__(self, epoch: int, rules: Rules) -> None:
        self.epoch = epoch
        self.rules = rules
        self.sessions: dict[SessionId, Session] = {}
        self.assistants: dict[SessionId, None] = {}  # sessions with labels
        self.groups: list[Group] = []
        self.group_numbers: dict[tuple[frozenset[SessionId], str], int] = {}
        self.free_groups: dict[int, None] = {}  # numbers of groups that hold no task any more; a blank group stands there
        self.is_split = False  # there was more than one group
        self.policies: list[Policy] = []
        self.policy_numbers: dict[Policy, int] = {}
        self.policy_ids: dict[int, int] = {}  # id() of a policy kept alive by the list -> its number
        self.families: dict[str, int] = {}
        self.family_of: list[int] = []  # by policy number
        # -- columns, by index
        self.status = bytearray()
        # requirements that are not done, and one while the task is open; a list, as each edge of the graph reads and writes it
        self.unmet: list[int] = []
        self.policy = array("i")
        self.group = array("i")
        self.number: list[int] = []  # of the newest fence; lists, as each grant and report reads them
        self.fence_epoch: list[int] = []  # 0: never granted
        self.floor = array("i")  # where the numbers of its fences began: above those of whoever had the index before
        self.edges = Edges()
        # -- what few tasks have
        self.open: set[Index] = set()
        self.own_priority: dict[Index, int] = {}  # where it is not 0
        self.priority: dict[Index, int] = {}  # effective, where it is not 0
        self.batch: dict[Index, str] = {}
        self.uncounted: dict[Index, int] = {}  # grants that count as no attempt
        self.generation: dict[Index, int] = {}  # where it is not 1
        self.trouble: dict[Index, Trouble] = {}
        self.reason: dict[Index, str] = {}
        self.at: dict[Index, float] = {}  # retrying: when it may become ready; disabled: end of the window
        self.again: dict[Index, float] = {}  # failed: when a goal that has seen it may start it over
        self.seen_by: dict[Index, frozenset[str]] = {}  # failed, disabled, cancelled: goals that wanted it when it ended so
        self.holder: dict[Index, SessionId] = {}  # running, or lapsed and not granted since
        self.until: dict[Index, float] = {}  # end of a finite lease, before ``forgiven``
        self.wishes: dict[Index, float] = {}  # running tasks that are to stop -> no renewal past that
        self.suspended: dict[Index, None] = {}
        self.naps: dict[Index, int] = {}  # not done -> growths that its attempts have yielded
        self.woken: dict[SessionId, dict[Index, None]] = {}  # suspended, requirements done
        self.crew: dict[Index, int] = {}  # running as part of a batch -> its crew
        self.crews: dict[int, tuple[Resources, int]] = {}  # what a crew holds, and members left
        self.crews_made = 0
        self.holds: dict[Index, Resources] = {}  # running alone: what it holds, where that is not what its policy says
        # -- the whole
        self.counts = [0] * len(Status)
        self.by_family: list[list[int]] = [[] for _ in Status]  # [status][family number]
        self.complete = 0
        self.used: dict[str, int] = {}
        self.total: dict[str, int] = {}
        self.lowered: set[str] = set()  # more in use than there is, since the total was lowered
        self.is_plain = True  # no task ever had a priority, a resource or a batch: claims take a shorter way
        self.paused = False
        self.free: dict[Index, None] = {}  # indices of forgotten tasks
        self.next_floor = 0  # the highest number of a fence of a forgotten task
        self.forgiven = 0.0  # seconds of the server's own absence
        # -- caches and scratch, not part of what is equal after a replay
        self.parked: dict[str, list[tuple[int, Resources]]] = {}
        self.retries = Timers()  # of retrying tasks, as ``at`` says
        self.expiries = Timers()  # of running tasks, as ``until`` says
        self.freed: list[Index] = []  # unmet fell to 0 since the last follow
        self.stalled: list[Index] = []  # unmet rose from 0 since the last follow

    # -- reading

    def policy_of(self, index: Index) -> Policy:
        return self.policies[self.policy[index]]

    def key(self, index: Index) -> int:
        """The task's place in a ready queue."""
        priority = self.priority.get(index)
        return index - (priority << INDEX_BITS) if priority else index

    def fence(self, index: Index) -> Fence | None:
        """The newest one; None before the first grant."""
        epoch = self.fence_epoch[index]
        return Fence(epoch, self.number[index]) if epoch else None

    def is_newest(self, index: Index, fence: Fence) -> bool:
        """Was this fence given, and none since?"""
        return 0 < fence[0] == self.fence_epoch[index] and fence[1] == self.number[index]

    def attempts(self, index: Index) -> int:
        """Grants that count as attempts, the current one included."""
        return self.number[index] - self.floor[index] - self.uncounted.get(index, 0)

    def held_by(self, index: Index) -> Resources:
        """What a running task holds, or its batch together."""
        if index in self.crew:
            return self.crews[self.crew[index]][0]
        return self.holds.get(index, self.policy_of(index).resources)

    def lease_end(self, index: Index) -> float | None:
        until = self.until.get(index)
        return None if until is None else until + self.forgiven

    def short_of(self, resources: Resources, spent: dict[str, int] | None = None) -> str | None:
        """The first resource of which there is not enough left; None: all fit. spent: promised besides."""
        for name, amount in resources:
            taken = self.used.get(name, 0) + (spent.get(name, 0) if spent else 0)
            if taken + amount > self.total.get(name, DEFAULT_TOTAL):
                return name
        return None

    def comes_back(self, index: Index) -> bool:
        """Does the task go on by itself when its failures have disabled it for long enough?"""
        return self.policy_of(index).retry.disabled_for is not None

    def dump(self) -> dict[str, Any]:
        """Everything that must be equal after a replay, as plain values."""
        caches = {"parked", "retries", "expiries", "freed", "stalled", "policy_ids", "edges", "groups", "sessions"}
        found = {name: value for name, value in vars(self).items() if name not in caches}
        found["sessions"] = {name: (one.labels, one.goal, one.draining, one.groups) for name, one in self.sessions.items()}
        found["groups"] = [(one.sessions, one.module, one.counts) for one in self.groups]
        found["requires"] = [list(self.edges.requirements(index)) for index in range(len(self.status))]
        return found

    # -- writing, for apply

    def intern_policy(self, policy: Policy) -> int:
        """The policy's number; equal policies have one."""
        number = self.policy_ids.get(id(policy))
        if number is None:
            number = self.policy_numbers.get(policy)
        if number is None:
            number = self.policy_ids[id(policy)] = self.policy_numbers[policy] = len(self.policies)
            self.policies.append(policy)
            self.is_plain = self.is_plain and not policy.resources
            self.family_of.append(self._intern_family(policy.family))
        return number

    def _intern_family(self, family: str) -> int:
        number = self.families.setdefault(family, len(self.families))
        if number == len(self.by_family[0]):
            for row in self.by_family:
                row.append(0)
        return number

    def intern_group(self, sessions: frozenset[SessionId], module: str) -> int:
        """The number of the group of tasks of a module that just these sessions registered."""
        number = self.group_numbers.get((sessions, module))
        if number is None:
            number = self._new_group(sessions, module)
        return number

    def _new_group(self, sessions: frozenset[SessionId], module: str) -> int:
        if self.free_groups:
            number, _ = self.free_groups.popitem()
        else:
            if len(self.groups) == 1:
                self.is_split = True
                self.groups[0].counts = list(self.counts)
            number = len(self.groups)
        self.group_numbers[sessions, module] = number
        group = Group(number, sessions, module)
        self.groups[number : number + 1] = [group]
        for session in self._sessions_of(group):
            session.groups.append(number)
            session.groups.sort()
        return number

    def _sessions_of(self, group: Group) -> list[Session]:
        """Those that may run its tasks. Where it has a module, that costs a look at all assistants."""
        names = {*group.sessions, *self.assistants} if group.module else group.sessions
        found = ((name, self.sessions.get(name)) for name in names)
        return [one for name, one in found if one is not None and group.is_for(name, one.labels)]

    def size_of(self, group: Group) -> int:
        """How many tasks it holds."""
        return sum(group.counts if self.is_split else self.counts)

    def free_group(self, group: Group) -> None:
        """It holds no task any more: its number is for another."""
        for session in self._sessions_of(group):
            session.groups.remove(group.number)
        if self.group_numbers.get((group.sessions, group.module)) == group.number:
            del self.group_numbers[group.sessions, group.module]
        for resources in group.parked:
            for name, _ in resources:
                if (group.number, resources) in self.parked.get(name, ()):
                    self.parked[name].remove((group.number, resources))
        self.groups[group.number] = Group(group.number, frozenset(), "")
        self.free_groups[group.number] = None

    def free_empty_groups(self, numbers: Iterable[int]) -> None:
        """Tasks left these groups."""
        for number in numbers:
            if number not in self.free_groups and not self.size_of(self.groups[number]):
                self.free_group(self.groups[number])

    def leave_group(self, group: Group, name: SessionId) -> Group:
        """A session that registered the group's tasks is gone. The group that is for the same sessions now: itself, or a twin."""
        if self.group_numbers.get((group.sessions, group.module)) == group.number:
            del self.group_numbers[group.sessions, group.module]
        group.sessions -= {name}
        return self.groups[self.group_numbers.setdefault((group.sessions, group.module), group.number)]

    def goals_of(self, index: Index) -> frozenset[str]:
        """What the task is wanted for by those that are here."""
        sessions = self.sessions
        return frozenset(sessions[name].goal or name for name in self.groups[self.group[index]].sessions if name in sessions)

    def set_status(self, index: Index, new: int) -> None:
        """Move one task, counters included."""
        status = self.status
        old = status[index]
        status[index] = new
        counts = self.counts
        counts[old] -= 1
        counts[new] += 1
        by_family = self.by_family
        family = self.family_of[self.policy[index]]
        by_family[old][family] -= 1
        by_family[new][family] += 1
        if self.is_split:
            counts = self.groups[self.group[index]].counts
            counts[old] -= 1
            counts[new] += 1

    def set_statuses(self, tasks: Sequence[Index], new: int) -> None:
        """Move tasks, counters included; fast where they all stand alike. One alone: ``set_status``."""
        status = self.status
        old = status[tasks[0]]
        if bytes(map(status.__getitem__, tasks)).count(old) != len(tasks):
            for index in tasks:
                self.set_status(index, new)
            return
        for index in tasks:
            status[index] = new
        self.counts[old] -= len(tasks)
        self.counts[new] += len(tasks)
        for family, count in self.families_of(tasks):
            self.by_family[old][family] -= count
            self.by_family[new][family] += count
        if self.is_split:
            numbers = set(map(self.group.__getitem__, tasks))
            by_group = {numbers.pop(): len(tasks)} if len(numbers) == 1 else Counter(map(self.group.__getitem__, tasks))
            for number, count in by_group.items():
                counts = self.groups[number].counts
                counts[old] -= count
                counts[new] += count

    def families_of(self, tasks: Sequence[Index]) -> Iterable[tuple[int, int]]:
        """(family number, how many of the tasks)."""
        if len(self.families) == 1:
            return ((0, len(tasks)),)
        return Counter(map(self.family_of.__getitem__, map(self.policy.__getitem__, tasks))).items()

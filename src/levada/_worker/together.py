"""The loop of a worker that shares its plan with others through a server.

Beside what every runner does: what others made is seen complete here before anything stands on it (P9 and law 3 of
docs/promises.md), an attempt that lost its lease leaves no trace but a line in the log, and what is granted while
we drain goes back. What was granted to an assistant is built from its texts, of the modules that it offers alone.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from .._client.scheduler import Served
from .._model.messages import AddTasks, Grant, HandedBack, Suspended, SyncReply
from .._model.ports import Attempt
from .._model.spec import Growth, Index, TaskSpec
from .._model.status import ExitClass, Status
from .._plan.complete import are_complete
from .._plan.walk import BLIND, EXTERNAL, GATE, Discovery, Slice
from .._wire.messages import SpecRow
from ..errors import FROM_USERS, told
from ..task import key_of, policy_of, priority_of, repr_of
from .executor import TARGET_BATCH, Ended
from .runner import IN_A_MESSAGE, LOOK, Runner, Running
from .texts import task_from

A_LITTLE = 0.5  # seconds until a requirement that is not seen is looked at once more (a network file system may lag)
LATER = 10.0  # seconds until a task is granted again whose requirements an assistant does not see
REOPENED = 2  # times that a process has a requirement made again that it does not see
SHIFT = 20_000  # tasks that an assistant takes before it begins anew: what it knows of each stays until then
JOBS_AGAIN, JOBS_LATEST = 1.0, 60.0  # seconds between two questions for jobs while the slots are taken: first, and after many in vain
SLOW = TARGET_BATCH  # seconds of a task behind which others do not wait
STOPPED = "its worker was stopped"
BEHIND = "waited behind a task of its worker that takes long"
LOST = "its lease was lost, and the task was granted to another worker since: nothing of this attempt counts\n"
log = logging.getLogger("levada.worker")


class Doubt(NamedTuple):
    """A task that is not begun, or does not go on, since something that it stands on is not seen here.

    grant: None for a suspended attempt. again: monotonic clock, when it is looked at once more.
    """

    index: Index  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    grant: Grant | None
    again: float


class Together(Runner):
    """A runner whose tasks others may run too. ``lost`` counts attempts that lost their leases.

    meanwhile: called each round, for what must not wait for an attempt; it does not wait either.
    """

    scheduler: Served
    executor: Any  # an Executor; `Beside` has more to say

    def __init__(self, *given: Any, meanwhile: Callable[[], None] = lambda: None, **options: Any) -> None:
        super().__init__(*given, **options)
        self._meanwhile = meanwhile
        self.lost = 0
        self._seen = bytearray()  # by index: seen complete by this process
        self._needs: dict[Index, list[Index]] = {}
        self._doubts: list[Doubt] = []
        self._reopened: dict[Index, int] = {}
        self._made: dict[Index, str] = {}  # what counts as done here -> its family
        self._mean: dict[str, float] = {}  # by family: seconds that its tasks took here
        self._slow: set[Index] = set()  # what is held and takes long, or may
        self._jobs_at, self._jobs_pause = 0.0, JOBS_AGAIN  # when jobs are asked for while the slots are taken
        self._appetite = IN_A_MESSAGE  # tasks that are asked for at most: less where such came as had to go back

    # -- what is known of the plan

    def _add(self, found: Slice) -> None:
        for index, requires, _ in found.growth:
            if requires:
                self._needs.setdefault(index, []).extend(requires)
        super()._add(found)

    def _settle(self, index: Index) -> None:
        """The task stays known: somebody may want it to be made again, and it may be granted to us."""
        self._mark(index)
        self._names.pop(index, None)
        self.failures.pop(index, None)

    def _mark(self, index: Index) -> None:
        self._make_room()
        self._seen[index] = 1

    def _make_room(self) -> None:
        if len(self._seen) < len(self.discovery.tasks):
            self._seen.extend(bytes(len(self.discovery.tasks) - len(self._seen)))

    def still_done(self, index: Index) -> bool:
        """Whether a task that the server has as done is so for this plan, which had found it incomplete."""
        if self.discovery.kinds[index] in (GATE, BLIND):
            return False  # it has nothing to show: a group is done when its tasks are, and the other runs for each who wants it
        task = self.discovery.tasks[index]
        if task is not None and not are_complete([task])[0]:  # None: data of others that was found there
            return False
        self._mark(index)
        return True

    def unseen(self, needs: Iterable[Index]) -> list[Index]:
        """Those that this process has not seen complete and does not see now; groups stand for their tasks."""
        self._make_room()
        seen, kinds, tasks = self._seen, self.discovery.kinds, self.discovery.tasks
        asked: list[Index] = []
        groups: list[Index] = []
        known: set[Index] = set()
        stack = list(needs)
        while stack:
            index = stack.pop()
            if index < 0 or seen[index] or index in known:
                continue
            known.add(index)
            if kinds[index] == GATE:
                groups.append(index)
                stack += self._needs.get(index, ())
            elif kinds[index] != BLIND and tasks[index] is not None:
                asked.append(index)
        absent = [index for index, there in zip(asked, are_complete([tasks[at] for at in asked]), strict=True) if not there]
        for index in known.difference(absent, groups if absent else ()):
            seen[index] = 1
        return absent

    # -- what is granted

    def _exchange(self) -> SyncReply:
        if self._doubts and not self._signals:
            self._look_again()
        self._meanwhile()
        if self._failed:
            self._write()  # what went wrong is read where the failure is told: both go in one message
        reply = super()._exchange()
        self.heed_refusals()
        return reply

    def heed_refusals(self) -> None:
        """Take back what was counted as made here, and was reported too late."""
        for index in self.scheduler.refused():
            self.lost += 1
            self._make_room()
            self._seen[index] = 0
            family = self._made.pop(index, None)
            if family is not None:
                self.done -= 1
                self.done_by_family[family] -= 1
            log.error("%s: %s", repr_of(self.discovery.tasks[index]), LOST.rstrip(), extra={"code": "lease-lost"})

    def _take(self, granted: list[Grant]) -> None:
        if self._signals:
            self._give_back(granted, STOPPED)
            return
        self._make_room()
        for grant in granted:
            for one in (grant, *grant.batch):
                self._seen[one.index] = 0
        again = time.monotonic() + A_LITTLE
        sure: list[Grant] = []
        for grant in granted:
            if self._stands(grant):
                sure.append(grant)
            else:
                self._doubts.append(Doubt(grant.index, grant, again))
        self._begin(sure)

    def _begin(self, grants: list[Grant]) -> None:
        """Start them, short ones first. Of those that take long so many as there are slots: behind them, others would wait."""
        quick: list[Grant] = []
        slow: list[Grant] = []
        jobs: list[Grant] = []
        for grant in grants:
            if self.discovery.kinds[grant.index] == GATE:
                self._seen[grant.index] = 1
                quick.append(grant)
            elif self._hands_over and self.executor.hands_over(self.discovery.tasks[grant.index]):
                jobs.append(grant)
            else:
                (quick if self._is_quick(grant) else slow).append(grant)
        if jobs:
            quick += self._fitting(jobs)
        free = max(0, self.executor.slots - self._slow_ones())
        if len(slow) > free:
            self._give_back(slow[free:], BEHIND)
            self._appetite = max(self.executor.slots, len(quick) + free)
            self._jobs_pause = JOBS_AGAIN if jobs else min(JOBS_LATEST, 2 * self._jobs_pause)
        else:
            self._appetite = min(2 * self._appetite, IN_A_MESSAGE)
        self._slow.update(grant.index for grant in slow[:free])
        super()._take(quick + slow[:free])

    def _is_quick(self, grant: Grant) -> bool:
        """Whether tasks of its family took no time that counts; False as long as none has run here."""
        return not grant.batch and self._mean.get(policy_of(self.discovery.tasks[grant.index]).family, SLOW) < SLOW

    def _slow_ones(self) -> int:
        """How many slots are taken by what takes long."""
        self._slow &= self._held.keys()
        return len(self._slow.difference(self._suspended))

    def _room(self) -> int:
        if self._slow and self._slow_ones() >= self.executor.slots:
            return self._room_for_jobs() if self._hands_over else 0
        return min(super()._room(), self._appetite)

    @property
    def _hands_over(self) -> bool:
        """Whether some tasks of this process may hand their work over, and wait beside the slots."""
        return hasattr(self.executor, "hands_over")

    def _fitting(self, jobs: list[Grant]) -> list[Grant]:
        """Those that may be waited for now; the others go back."""
        free = self.executor.free_for_jobs()
        self._give_back(jobs[free:], BEHIND)
        return jobs[:free]

    def _room_for_jobs(self) -> int:
        """How many are asked for while the slots are taken, now and then: what comes and is no job goes back."""
        now = time.monotonic()
        if now < self._jobs_at:
            return 0
        self._jobs_at = now + self._jobs_pause
        return int(self.executor.free_for_jobs())

    def _stands(self, grant: Grant) -> bool:
        """Whether all that the task requires is seen here."""
        return not self._absent(grant)

    def _absent(self, grant: Grant) -> list[Index]:
        return self.unseen(need for one in (grant, *grant.batch) for need in self._needs.get(one.index, ()))

    def _obey(self, reply: SyncReply) -> None:
        again = time.monotonic() + A_LITTLE
        sure: list[Index] = []
        for index in reply.resumed:
            if self.unseen(self._suspended.get(index, ())):
                self._doubts.append(Doubt(index, None, again))
            else:
                sure.append(index)
        super()._obey(reply._replace(resumed=sure))

    # -- what is doubted

    def _look_again(self) -> None:
        now = time.monotonic()
        due = [doubt for doubt in self._doubts if doubt.again <= now]
        self._doubts = [doubt for doubt in self._doubts if doubt.again > now]
        for index, grant, _ in due:
            if grant is not None:
                self._judge(grant)
            else:
                self._judge_suspended(index)

    def _judge(self, grant: Grant) -> None:
        absent = self._absent(grant)
        if not absent:
            self._begin([grant])
        elif self._have_made_again(absent):
            self._give_back([grant], f"{self._named(absent)} is done, and its worker does not see it complete")
        else:
            self._fail_unseen(grant, self._named(absent))

    def _fail_unseen(self, grant: Grant, absent: str) -> None:
        task = self.discovery.tasks[grant.index]
        words = f"requires {absent}, which others made and which is not there for this process: do they see the same files?"
        self._hopeless.add(grant.index)
        ended = Ended(grant.index, ExitClass.INFRA, words, message=words, started=time.time())
        self._end(Running(grant, task, policy_of(task), *self.name(grant.index)), ended)

    def _judge_suspended(self, index: Index) -> None:
        needs, held = self._suspended.get(index), self._held.get(index)
        if needs is None or held is None:
            return
        absent = self.unseen(needs)
        if not absent:
            del self._suspended[index]
            self.executor.resume(index)
        elif self._have_made_again(absent):
            self._waiting.append(Suspended(index, held.grant.fence, needs))
        else:
            self._drop(index, f"{self._named(absent)} is not there for its worker")

    def _have_made_again(self, absent: Sequence[Index]) -> bool:
        """Ask the server to have tasks made again that it has as done. False when that was asked for often enough."""
        tasks, times = self.discovery.tasks, self._reopened
        if any(times.get(index, 0) >= REOPENED for index in absent):
            return False
        for index in absent:
            times[index] = times.get(index, 0) + 1
            log.warning("%s is done, and not seen complete here: it is made again", repr_of(tasks[index]))
        specs = [TaskSpec(index, policy_of(tasks[index]), priority_of(tasks[index])) for index in absent]
        for first in range(0, len(specs), 1000):
            self.scheduler.add(AddTasks(self.session, specs[first : first + 1000], [], 0, reopen=True))
        return True

    def _named(self, absent: Sequence[Index]) -> str:
        name = repr_of(self.discovery.tasks[absent[0]])
        return name if len(absent) == 1 else f"{name} and {len(absent) - 1:,} more"

    # -- what ends

    def _end(self, held: Running, ended: Ended) -> None:
        grant = held.grant
        if not self.scheduler.is_lost(grant.index, grant.fence):
            if ended.exit is ExitClass.OK:
                family = held.policy.family
                self._made.update((one.index, family) for one in (grant, *grant.batch))
                self._mean[family] = (self._mean.get(family, ended.seconds) + ended.seconds) / 2
            super()._end(held, ended)
            return
        self.lost += 1
        self._suspended.pop(grant.index, None)
        self._back.extend(HandedBack(one.index, one.fence, 0.0, "lost") for one in (grant, *grant.batch))  # the client says so in the log
        if self._observer is not None:
            ended = ended._replace(exit=ExitClass.LOST_WORKER, error=LOST)
            self._observer.task_ended(held.task, Attempt(*self._row(held, ended)))

    def _give_back(self, grants: Iterable[Grant], reason: str, after: float = 0.0) -> None:
        self._back.extend(HandedBack(one.index, one.fence, after, reason) for grant in grants for one in (grant, *grant.batch))

    def _give_up_suspended(self) -> None:
        if self._doubts:
            time.sleep(LOOK)
        else:
            super()._give_up_suspended()

    def _drain(self) -> bool:
        self._give_back([doubt.grant for doubt in self._doubts if doubt.grant is not None], STOPPED)
        self._doubts.clear()
        return super()._drain()

    # -- the end

    def _last_look(self) -> bool:
        """As ever; and what is done must be seen here before this process says that it is."""
        if self._doubts:
            time.sleep(LOOK)
            return True
        if super()._last_look() or self._roots_again() or self._adopt_complete():
            return True
        if not self.scheduler.unfinished:
            self.scheduler.conclude(self._is_made)
        return False

    def _is_made(self, index: Index) -> bool:
        """Whether what others opened again stands as this run wants it: a group is its tasks, and the others are looked at."""
        kind, task = self.discovery.kinds[index], self.discovery.tasks[index]
        return kind == GATE or (kind != BLIND and task is not None and are_complete([task])[0])

    def _adopt_complete(self) -> bool:
        """Whether the server waits for what is complete here, and was told so.

        A worker that died between commit and report leaves such tasks: no plan has them any more, so nobody could run them. They
        become ours: when they are granted we look, and they are there.
        """
        if not self.scheduler.unfinished:
            return False
        found: dict[bytes, Any] = {}
        for index, keys in self.scheduler.strange_needs():
            found |= self._complete_among(self.discovery.tasks[index], set(keys))
            if len(found) > 1000:
                break
        for task in found.values():
            index = self.discovery.readmit(task)
            external = self.discovery.kinds[index] == EXTERNAL
            growth = [] if external else [Growth(index, [])]
            self.scheduler.add(AddTasks(self.session, [TaskSpec(index, policy_of(task), priority_of(task))], growth, 0))
            if external:
                self._found.append(index)
                self._mark(index)
                self.discovery.tasks[index] = None  # it is there, so the plan does not miss it
        return bool(found)

    def _complete_among(self, task: Any, keys: set[bytes]) -> dict[bytes, Any]:
        """Requirements of the task with these keys that are complete here."""
        if task is None:
            return {}
        try:
            needs = {bytes(key_of(one)): one for one in task.deps()}
        except FROM_USERS:
            return {}
        asked = [key for key in needs if key in keys]
        there = are_complete([needs[key] for key in asked])
        return {key: needs[key] for key, is_there in zip(asked, there, strict=True) if is_there}

    def _roots_again(self) -> bool:
        """Whether something is made again since a wanted task is done and not seen so."""
        if self.scheduler.unfinished or not (absent := self.unseen(self.discovery.roots)):
            return False
        time.sleep(A_LITTLE)
        absent = [index for index in self.unseen(absent) if self.scheduler.view(index).status is Status.DONE]
        return bool(absent) and self._have_made_again(absent)


class Resident(Together):
    """An assistant: runs tasks that others registered, of the modules that it offers, until it is stopped.

    ``full`` tells that it should begin anew. What it has done is forgotten then.
    """

    def __init__(self, *given: Any, modules: Sequence[str], shift: int = SHIFT, **options: Any) -> None:
        super().__init__(*given, **options)
        self._modules = frozenset(modules)
        self._shift = shift
        self.renewed = False
        self._refused: dict[Index, int] = {}

    @property
    def full(self) -> bool:
        """Whether it has taken as many tasks as it may in one session."""
        return len(self.discovery.tasks) >= self._shift

    def renew(self) -> None:
        """Take nothing more, and end as soon as what runs has ended: the code has changed."""
        self.renewed, self._shift = True, 0

    def adopt(self, rows: Sequence[SpecRow]) -> list[TaskSpec | None]:
        """Build tasks that were granted; None for those that cannot be, or are of no module that is offered."""
        return [self._adopted(row) for row in rows]

    def _adopted(self, row: SpecRow) -> TaskSpec | None:
        if row.module not in self._modules:
            return None
        try:
            task = task_from({"family": row.family, "module": row.module, "texts": json.loads(row.params), "key": row.key})
            index = self.discovery.adopt(task)
        except FROM_USERS as cause:
            log.warning("a task of %s cannot be built here: %s", row.family, told(cause), extra={"task": row.key})
            return None
        return None if index is None else TaskSpec(index, policy_of(task), priority_of(task))

    def _room(self) -> int:
        return 0 if self.full else super()._room()

    def _round(self) -> bool:
        if self.full and not self._held and not self._doubts and not self._signals:
            self._exchange()
            return bool(self._held)
        return super()._round()

    def _last_look(self) -> bool:
        self._write_in_time()  # nothing is collected while nothing runs
        return True  # the question that is left with the server is what we wait for

    def _stands(self, grant: Grant) -> bool:
        return not self._first_absent(grant)

    def _first_absent(self, grant: Grant) -> str:
        """A requirement that is not complete, as text; "" when all are, or where they cannot be asked: then the task will tell."""
        for one in (grant, *grant.batch):
            task = self.discovery.tasks[one.index]
            try:
                walk = Discovery([task.deps()])
                while (found := walk.step()) is not None:
                    for spec in found.tasks:
                        if walk.kinds[spec.index] not in (GATE, BLIND):
                            return repr_of(walk.tasks[spec.index])
            except FROM_USERS:
                return ""
        return ""

    def _judge(self, grant: Grant) -> None:
        absent = self._first_absent(grant)
        times = self._refused[grant.index] = self._refused.get(grant.index, 0) + 1
        if not absent:
            self._begin([grant])
        elif times <= REOPENED:
            self._give_back([grant], f"{absent} is not there for the assistant", LATER)
        else:
            self._fail_unseen(grant, absent)

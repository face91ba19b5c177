"""The judge of a world: its own account of what is true, kept apart from the brain's.

It sees commands and replies as a wire would, and asks after each: was this allowed, and was anything
due left undone? Exceptions of the brain are broken laws too: commands of a world are valid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from .._core import Brain, Change, laws
from .._model import messages as m
from .._model.messages import Fence, SessionId
from .._model.spec import Index, TaskSpec
from .._model.status import ExitClass, Status
from ..errors import LevadaError


class WorldBroken(LevadaError):
    """A law fell in a world; the seed plays it again."""

    code = "world-broken"

    def __init__(self, seed: int, text: str) -> None:
        super().__init__(f"seed {seed}: {text}", hint=f"python -m levada.testing.worlds --first {seed} --count 1 --trace")
        self.seed = seed


ENDED = (Status.DONE, Status.FAILED, Status.DISABLED, Status.CANCELLED)
MAY_END_WELL = (Status.WAITING, Status.READY, Status.RETRYING, Status.FAILED)


class Judge:
    """What happened so far, seen from outside."""

    def __init__(self, seed: int, specs: list[TaskSpec], lease: float) -> None:
        self.seed, self.specs, self.lease = seed, specs, lease
        self.needs: dict[Index, set[Index]] = defaultdict(set)
        self.yielded: dict[Index, set[Index]] = defaultdict(set)  # by attempts; void with them, unless a sleeper is handed back
        self.kept: set[Index] = set()  # sleepers that were handed back
        self.owners: dict[Index, set[SessionId]] = defaultdict(set)
        self.priority: dict[Index, int] = {}
        self.newest: dict[Index, Fence] = {}
        self.holder: dict[Index, SessionId] = {}
        self.done: set[Index] = set()
        self.invalidated: dict[Index, float] = {}
        self.asleep: set[Index] = set()
        self.crew: dict[Index, tuple[Index, Fence]] = {}  # running in a batch -> its leader then, who may be alone by now
        self.attempts: dict[Index, int] = defaultdict(int)
        self.failures: dict[Index, int] = defaultdict(int)
        self.not_before: dict[Index, float] = {}
        self.totals: dict[str, int] = {}
        self.used: dict[str, int] = {}
        self.open: set[Index] = set()
        self.until: dict[Index, float] = {}  # no lease may lapse before
        self.wished: set[Index] = set()
        self.drained: set[SessionId] = set()
        self.paused = False
        self.log: list[Change] = []
        self._watch = laws.Watch()

    # -- one command -------------------------------------------------------------------------

    def look(
        self,
        brain: Brain,
        command: object,
        reply: object,
        changes: list[Change],
        before: bytes,
        now: float,
        working: Callable[[Index], set[Fence]],
    ) -> None:
        """Judge one command. before: the statuses it met; working: who believes to be working on a task."""
        self.log += changes
        for text in (*laws.check(brain), *self._watch.look(brain, changes)):
            self._broken(text)
        after = bytes(brain.state.status)
        if isinstance(command, m.AddTasks):
            self._added(command)
        elif isinstance(command, m.Sync) and isinstance(reply, m.SyncReply):
            self._reported(command, reply, before, after, now)
            self._granted(command, reply, now, working)
        elif isinstance(command, m.Renew) and isinstance(reply, m.RenewReply):
            self._renewed(command, reply, before, now)
        elif isinstance(command, m.Confirm):
            newest = self.newest.get(command.index) == command.fence and self.holder.get(command.index) == command.session
            self._demand(bool(reply) <= newest, f"{command} was confirmed, newest is {self.newest.get(command.index)}")
        else:
            self._operated(command, before, after, now)
        self._compare(command, before, after)
        if isinstance(command, m.Sync) and isinstance(reply, m.SyncReply):
            self._nothing_left_undone(command, reply, after)

    def _broken(self, text: str) -> None:
        raise WorldBroken(self.seed, text)

    def _demand(self, good: bool, text: str) -> None:
        if not good:
            self._broken(text)

    def _added(self, command: m.AddTasks) -> None:
        for spec in command.tasks:
            self.priority[spec.index] = max(spec.priority, self.priority.get(spec.index, spec.priority))
            if not self.owners[spec.index]:
                self.open.add(spec.index)
            if spec.index in self.kept and command.session not in self.owners[spec.index]:
                self._forget_yielded(spec.index)  # a newcomer cannot know of it
            self.owners[spec.index].add(command.session)
        for growth in command.growth:
            self.needs[growth.index].update(growth.requires)
            if growth.closed:
                self.open.discard(growth.index)

    def _operated(self, command: object, before: bytes, after: bytes, now: float) -> None:
        if isinstance(command, m.SetPriority):
            self.priority[command.index] = command.priority
        elif isinstance(command, m.SetResource):
            self.totals[command.name] = command.total
        elif isinstance(command, m.Pause):
            self.paused = command.paused
        elif isinstance(command, m.Drain):
            self.drained.add(command.session)
        elif isinstance(command, m.Bye):
            for index in [index for index, session in self.holder.items() if session == command.session]:
                self._let_go(index, handed_back=True)
                self.attempts[index] -= before[index] == Status.RUNNING
        elif isinstance(command, m.Tick):
            self._time_passed(command.lag, before, after, now)
        else:
            self._operated_on_task(command, before, after, now)

    def _operated_on_task(self, command: object, before: bytes, after: bytes, now: float) -> None:
        if isinstance(command, m.Cancel):
            if before[command.index] == Status.RUNNING:
                self.wished.add(command.index)
            stays = before[command.index] in (*ENDED, Status.RUNNING)
            self._demand(after[command.index] == (before[command.index] if stays else Status.CANCELLED), f"{command} was not obeyed")
        elif isinstance(command, m.Forgive):
            if before[command.index] != Status.CANCELLED:
                self.failures[command.index] = 0
            given_up = after[command.index] in (Status.FAILED, Status.DISABLED)
            self._demand(not given_up, f"{command} was not obeyed")
        elif isinstance(command, m.MarkDone):
            if before[command.index] != Status.RUNNING:
                self._demand(after[command.index] == Status.DONE, f"{command} was not obeyed")
                self._ended_well(command.index)
        elif isinstance(command, m.Invalidate) and before[command.index] in ENDED:
            self.done.discard(command.index)
            self.holder.pop(command.index, None)
            self.invalidated[command.index] = now

    def _time_passed(self, lag: float, before: bytes, after: bytes, now: float) -> None:
        """Leases lapse when their time has come, and not before; the server's absence is not counted."""
        self.until = {index: until + lag for index, until in self.until.items()}
        for index, status in enumerate(before):
            if status == Status.RUNNING and after[index] != Status.RUNNING:
                self._demand(now > self.until[index] - 1e-6, f"{index} was taken back at {now}, its lease ends at {self.until[index]}")
            if after[index] == Status.RUNNING and index not in self.wished:
                self._demand(now < self.until[index] + 1e-6, f"{index} runs at {now}, its lease ended at {self.until[index]}")

    def _compare(self, command: object, before: bytes, after: bytes) -> None:
        """The brain's statuses against the account."""
        there = {index for index, status in enumerate(after) if status == Status.DONE}
        self._demand(there == self.done, f"after {command} done are {sorted(there)}, by our account {sorted(self.done)}")
        for index, status in enumerate(before):
            if status in ENDED and after[index] not in ENDED:
                allowed = isinstance(command, m.AddTasks | m.RetryTask | m.Forgive | m.Invalidate)
                self._demand(allowed, f"task {index} came back from {Status(status)} by {command}")
                self.failures[index] = self.attempts[index] = 0
                self._forget_yielded(index)
                self.not_before.pop(index, None)
            if after[index] != Status.RUNNING:
                if status == Status.RUNNING and after[index] != Status.DONE and index not in self.kept:
                    self._forget_yielded(index)
                self.asleep.discard(index)
                self.wished.discard(index)
                self.crew.pop(index, None)
        self._weigh(command, after)

    def _weigh(self, command: object, after: bytes) -> None:
        """Resources in use: never more than there is, but for a total that was lowered under them."""
        used: dict[str, int] = defaultdict(int)
        holding = [index for index, status in enumerate(after) if status == Status.RUNNING and index not in self.asleep]
        for index, _ in {self.crew.get(index, (index, None)) for index in holding}:
            for name, amount in self.specs[index].policy.resources:
                used[name] += amount
        for name, amount in used.items():
            total = self.totals.get(name, 1)
            self._demand(amount <= max(total, self.used.get(name, 0)), f"{amount} of {total} {name} in use after {command}")
        self.used = used

    # -- reports -----------------------------------------------------------------------------

    def _reported(self, command: m.Sync, reply: m.SyncReply, before: bytes, after: bytes, now: float) -> None:
        lost, session = set(reply.lost), command.session
        for index, fence in command.done:
            speaks = self.newest.get(index) == fence and (index in self.done or self.holder.get(index) == session)
            self._demand(
                speaks != (index in lost), f"{session} reported {index} with {fence}, newest {self.newest.get(index)}, lost {lost}"
            )
            if speaks and before[index] == Status.CANCELLED:
                self._demand(index in reply.cancel, f"{session} was not told that {index} is cancelled")
            elif speaks:
                self._ended_well(index)
        for index in command.found_complete:
            if before[index] in MAY_END_WELL and index not in self.invalidated:  # who says so may have looked before that
                self._ended_well(index)
        for failed in command.failed:
            if self._was_running(session, failed.index, failed.fence, lost, before):
                self._let_go(failed.index)
                self._failed(failed, after[failed.index], now)
        for back in command.handed_back:
            if self._was_running(session, back.index, back.fence, lost, before):
                self._let_go(back.index, handed_back=True)
                self.attempts[back.index] -= 1
                self.not_before[back.index] = now + back.after
        for nap in command.suspended:
            if self._was_running(session, nap.index, nap.fence, lost, before):
                self.asleep.add(nap.index)
                self.crew.pop(nap.index, None)
                self.yielded[nap.index].update(set(nap.requires) - self.needs[nap.index])
                self.needs[nap.index].update(nap.requires)

    def _was_running(self, session: SessionId, index: Index, fence: Fence, lost: set[Index], before: bytes) -> bool:
        newest = self.newest.get(index) == fence
        self._demand(
            newest or index in lost, f"{session} spoke for {index} with {fence}, newest is {self.newest.get(index)}, and was heard"
        )
        running = newest and self.holder.get(index) == session and before[index] == Status.RUNNING
        self._demand(not running or index not in lost, f"{session} spoke for {index} with {fence}, the newest, and was refused")
        return running

    def _let_go(self, index: Index, *, handed_back: bool = False) -> None:
        if handed_back and index in self.asleep:
            self.kept.add(index)
        self.holder.pop(index, None)
        self.asleep.discard(index)
        self.crew.pop(index, None)
        if index not in self.kept:
            self._forget_yielded(index)

    def _forget_yielded(self, index: Index) -> None:
        """The next attempt yields what it needs itself."""
        self.kept.discard(index)
        self.needs[index] -= self.yielded.pop(index, set())

    def _ended_well(self, index: Index) -> None:
        self.done.add(index)
        self.yielded.pop(index, None)
        self.kept.discard(index)
        self._let_go(index)

    def _failed(self, failed: m.Failed, after: int, now: float) -> None:
        """A failure that counts brings the task nearer to its limit, and not past it."""
        retry, index = self.specs[failed.index].policy.retry, failed.index
        if failed.exit in (ExitClass.INFRA, ExitClass.CANCELLED):
            return
        self.failures[index] += 1
        allowed = next((attempts for name, attempts in retry.exceptions if name in failed.errors), retry.attempts)
        if self.failures[index] >= allowed:
            given_up = after in (Status.FAILED, Status.DISABLED, Status.CANCELLED)
            self._demand(given_up, f"task {index} failed {self.failures[index]} of {allowed} times and is {Status(after)}")
        self.not_before[index] = now + min(retry.longest, retry.first * 2 ** (self.failures[index] - 1)) / 2

    def _renewed(self, command: m.Renew, reply: m.RenewReply, before: bytes, now: float) -> None:
        for index, fence in command.held:
            speaks = self.newest.get(index) == fence and self.holder.get(index) == command.session
            self._demand(speaks or index in reply.lost, f"{command.session} renewed {index} with {fence}, which it does not hold")
            running = speaks and before[index] == Status.RUNNING
            self._demand(not (running and index in reply.lost), f"{command.session} may not renew {index} though it holds it")
            if speaks and index not in (*reply.lost, *reply.cancel):
                self.until[index] = max(self.until[index], now + self.lease)

    # -- grants ------------------------------------------------------------------------------

    def _granted(self, command: m.Sync, reply: m.SyncReply, now: float, working: Callable[[Index], set[Fence]]) -> None:
        taken = len(reply.granted) + len(reply.resumed)
        self._demand(taken <= command.room, f"{taken} tasks for a room of {command.room}")
        stopped = self.paused or command.session in self.drained
        self._demand(not (reply.granted and stopped), f"{command.session} got {reply.granted} though nothing is to be granted")
        for index in reply.resumed:
            asleep = index in self.asleep and self.holder.get(index) == command.session
            self._demand(asleep, f"{command.session} is to resume {index}, which does not sleep there")
            self._demand(self.needs[index] <= self.done, f"{index} resumed before {sorted(self.needs[index] - self.done)}")
            self.asleep.discard(index)
        for grant in reply.granted:
            self._check_batch(grant)
            for one in (grant, *grant.batch):
                self._check_grant(command.session, one, now, working(one.index))

    def _check_grant(self, session: SessionId, grant: m.Grant, now: float, working: set[Fence]) -> None:
        index, fence = grant.index, grant.fence
        self._demand(fence > self.newest.get(index, Fence(0, 0)), f"{index} granted with {fence} after {self.newest.get(index)}")
        self._demand(not working, f"{index} granted with {fence} while {working} work on it")
        self._demand(index not in self.done, f"{index} granted though it is done")
        self._demand(self.needs[index] <= self.done, f"{index} granted before {sorted(self.needs[index] - self.done)}")
        self._demand(index not in self.open, f"{index} granted before all its requirements were known")
        self._demand(session in self.owners[index], f"{index} granted to {session}, which never added it")
        self._demand(now >= self.not_before.get(index, 0.0), f"{index} granted at {now}, not before {self.not_before.get(index)}")
        self.kept.discard(index)
        self.attempts[index] += 1
        self._demand(grant.attempt == self.attempts[index], f"attempt {grant.attempt} of {index} is number {self.attempts[index]}")
        self.newest[index], self.holder[index], self.until[index] = fence, session, now + self.lease

    def _check_batch(self, grant: m.Grant) -> None:
        leader = self.specs[grant.index]
        for one in grant.batch:
            alike = self.specs[one.index].policy == leader.policy and self.specs[one.index].batch == leader.batch
            self._demand(alike and leader.batch is not None, f"{one.index} in a batch with {grant.index}")
        limit = leader.policy.batch_limit
        self._demand(len(grant.batch) < limit, f"{1 + len(grant.batch)} tasks in a batch of {limit}")
        if grant.batch:
            self.crew.update({one.index: (grant.index, grant.fence) for one in (grant, *grant.batch)})

    def _nothing_left_undone(self, command: m.Sync, reply: m.SyncReply, after: bytes) -> None:
        """No task that could have been given was kept back, and none was passed over by a less urgent one."""
        if self.paused or command.session in self.drained:
            return
        fitting = [index for index, status in enumerate(after) if status == Status.READY and self._fits(command.session, index)]
        if len(reply.granted) + len(reply.resumed) < command.room:
            shared = any(len(sessions) > 1 for sessions in self.owners.values())
            self._demand(not fitting or (shared and bool(reply.granted)), f"{command.session} has room, {fitting} could run")
            for index in self.asleep:
                awake = self.holder.get(index) == command.session and self.needs[index] <= self.done
                self._demand(not (awake and self._has_resources(index)), f"{command.session} has room, {index} sleeps on")
        least = min((self._urgency(grant.index) for grant in reply.granted), default=None)
        for index in fitting:
            self._demand(least is None or self._urgency(index) <= least, f"{index} was passed over by one of {reply.granted}")

    def _fits(self, session: SessionId, index: Index) -> bool:
        return session in self.owners[index] and self._has_resources(index)

    def _has_resources(self, index: Index) -> bool:
        return all(self.used.get(name, 0) + amount <= self.totals.get(name, 1) for name, amount in self.specs[index].policy.resources)

    def _urgency(self, index: Index) -> int:
        """The highest priority among the task and all that need it, however far."""
        seen, stack = {index}, [index]
        while stack:
            needed = stack.pop()
            for one, needs in self.needs.items():
                if needed in needs and one not in seen:
                    seen.add(one)
                    stack.append(one)
        return max(self.priority[one] for one in seen)

    def lapsed(self, brain: Brain) -> list[Index]:
        """Tasks that do not run and of which a late success would be accepted."""
        return [index for index in self.holder if brain.state.status[index] != Status.RUNNING]

    # -- outputs, restarts, the end ----------------------------------------------------------

    def commit(self, index: Index, fence: Fence, *, already: bool) -> None:
        """An attempt makes its output exist. already: it is there, the attempt changes nothing."""
        newest = self.newest.get(index)
        self._demand(already or newest == fence, f"output of {index} made by {fence}, the newest attempt is {newest}")

    def replayed(self, brain: Brain) -> Brain:
        """A brain made from the changes alone; it must be in the same state."""
        rules = brain.state.rules
        other = Brain.replay(self.log, lease=rules.lease, lock_delay=rules.lock_delay, cancel_grace=rules.cancel_grace)
        mine, theirs = brain.state.dump(), other.state.dump()
        different = [name for name in mine if mine[name] != theirs[name]]
        self._demand(not different, f"a replay differs in {[(name, mine[name], theirs[name]) for name in different]}")
        return other

    def restarted(self, brain: Brain, changes: list[Change], now: float) -> None:
        """A new epoch began, and what ran got a full lease."""
        self.until = {index: max(until, now + self.lease) for index, until in self.until.items()}
        self.log += changes
        for text in (*laws.check(brain), *self._watch.look(brain, changes)):
            self._broken(text)

    def finish(self, brain: Brain, now: float) -> None:
        """All is healed and quiet: what can be done is done."""
        self.replayed(brain)
        status = brain.state.status
        blocked = {index for index, one in enumerate(status) if one in (Status.FAILED, Status.DISABLED, Status.CANCELLED)}
        for _ in self.specs:
            blocked |= {index for index, needs in self.needs.items() if needs & blocked and index not in self.done}
        for index, one in enumerate(status):
            self._demand(one == Status.DONE or index in blocked, f"{index} could be done and is {brain.view(index, now)}")

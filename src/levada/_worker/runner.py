"""The loop of a worker: discover, report and claim, start, collect; until nothing moves by itself.

It keeps law 3 (done means there) by looking at outputs after each run and after each lock, law 7 by
knowing what it waits for, and leaves every decision on who runs what to the scheduler.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .._model.messages import AddTasks, Failed, Fence, Grant, HandedBack, SessionId, Suspended, Sync, SyncReply
from .._model.ports import Attempt, AttemptRow, Scheduler
from .._model.spec import Index, Policy
from .._model.status import ExitClass, Status
from .._model.values import NamedTuple
from .._plan.complete import is_complete
from .._plan.quiet import Growing
from .._plan.walk import GATE, RUN, Discovery, Slice
from ..errors import FROM_USERS
from ..targets.atomic import clear_tag
from ..task import canonical_of, combined, identity_of, key_of, policy_of, repr_of
from .executor import Ended, Executor, Job, Yielded

if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # the names that Python gives to its numbers cost as much to make as twenty tasks

_new = tuple.__new__  # builds a NamedTuple in half the time; used where each task passes
IN_A_MESSAGE = 4000  # tasks
YIELDED_AT_ONCE = 100_000  # what the scheduler takes as new requirements of one task
KEPT = 2000  # attempts that are kept before they are written
_OK = ExitClass.OK
RAISED = frozenset({ExitClass.USER, ExitClass.TIMEOUT})
ALL_THE_SAME = "\nIts outputs are there all the same: a later run will take the task for complete. Remove them if they are wrong.\n"
KEPT_SECONDS = 5.0  # ... and so long at most
LOOK = 0.1  # seconds between two looks of the observer
HEAD_START = 0.05  # seconds of discovery before children are forked: what they hold travels as a number
TERM_GRACE = 30.0  # seconds that running attempts get after SIGTERM


class Observer(Protocol):
    """Who watches a run (a console, a test)."""

    def started(self, runner: Runner) -> None: ...

    def progress(self, runner: Runner) -> None: ...

    def task_started(self, task: Any) -> None: ...

    def task_ended(self, task: Any, attempt: Attempt) -> None: ...

    def draining(self, signum: int, running: int) -> None: ...

    def ended(self, runner: Runner) -> None:
        """The run is over; its scheduler can still be asked."""
        ...


class Failure(NamedTuple):
    """The last attempt of a task that did not end well; of one that failed elsewhere, its status."""

    task: str
    exit: ExitClass | Status
    error: str
    attempt: int


class Running(NamedTuple):
    """What the loop keeps of a task that it holds."""

    grant: Grant
    task: Any
    policy: Policy
    key: bytes
    canonical: str


class Runner:
    """Runs what is discovered until nothing more can be done by it.

    After ``go``: ``done`` counts attempts that ended well, ``already`` tasks that another process had
    made by then, ``failures`` the last failure of each task that did not recover.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        session: SessionId,
        discovery: Discovery,
        executor: Executor,
        *,
        slices: Sequence[Slice] = (),
        observer: Observer | None = None,
        remember: Callable[[list[AttemptRow]], None] | None = None,
        look_after_lock: bool = True,
        grace: float | None = None,
        name: str = "",
    ) -> None:
        self.scheduler = scheduler
        self.discovery = discovery
        self.executor = executor
        self.session = session
        self.done = self.already = self.gates = self.attempts = 0
        self.done_by_family: dict[str, int] = {}
        self.failures: dict[Index, Failure] = {}
        self.signum: int | None = None
        self._slices = list(slices)
        self._observer = observer
        self._remember = remember
        self._look_after_lock = look_after_lock
        self._grace = grace
        self._name = name
        self._held: dict[Index, Running] = {}
        self._hopeless: set[Index] = set()  # what failed in a way that no further attempt mends
        self._names: dict[Index, tuple[bytes, str]] = {}
        self._suspended: dict[Index, list[Index]] = {}
        self._kept: list[AttemptRow] = []
        self._write_at = time.monotonic() + KEPT_SECONDS
        self._signals = 0
        self._deadline: float | None = None
        self._looked_outside = time.monotonic()
        self._next_look = 0.0
        self._clear()

    def _clear(self) -> None:
        self._done: list[tuple[Index, Fence]] = []
        self._failed: list[Failed] = []
        self._back: list[HandedBack] = []
        self._waiting: list[Suspended] = []
        self._found: list[Index] = []

    # -- the loop

    def go(self) -> None:
        """Run until nothing moves by itself or a signal ends it."""
        restore = self._watch_signals()
        if self._observer is not None:
            self._observer.started(self)
        try:
            self._discover_ahead()
            while self._round():
                pass
        finally:
            clear_tag()
            try:
                self.executor.close(0.0 if self._signals > 1 else 10.0)
            finally:
                restore()
                self._write()

    def _round(self) -> bool:
        """One turn; False when the run is over."""
        if self._slices or not self.discovery.finished:
            self._discover()
        reply = self._exchange()
        moved = bool(reply.granted or reply.resumed or self._done or self._found)
        if self._signals:
            if not self._drain():
                return False
        elif not moved and not self._held and self.discovery.finished and not self._slices:
            wait = reply.ask_again_after
            if wait is None:
                return self._last_look()
            time.sleep(min(wait, LOOK))
        elif not moved and len(self._held) == len(self._suspended) and self.discovery.finished and reply.ask_again_after is None:
            self._give_up_suspended()
            return True
        self._collect(self._patience(reply, moved))
        if self._observer is not None:
            self._look(self._observer)
        return True

    def _patience(self, reply: SyncReply, moved: bool) -> float:
        """Seconds to wait for an attempt to end."""
        if not self.discovery.finished or self._done or self._found:
            return 0.0
        wait = reply.ask_again_after
        return LOOK if wait is None else min(wait, LOOK)

    def _discover_ahead(self) -> None:
        """Before the first child is forked: it holds what is known by then, and the rest must travel as text."""
        until = time.monotonic() + HEAD_START
        while getattr(self.executor, "forks", False) and not self.discovery.finished and not self._signals and time.monotonic() < until:
            self._discover()

    def _discover(self) -> None:
        if getattr(self.scheduler, "behind", False):
            return  # a server that is away, or slow: what was found waits for it
        with Growing():
            if not self._slices and (step := self.discovery.step()) is not None:
                self._slices.append(step)
            for found in self._slices:
                self._add(found)
            self._slices.clear()

    def _add(self, found: Slice) -> None:
        """Tell the scheduler; in more than one message where a task yielded more than fits in one."""
        tasks = found.tasks
        while len(tasks) > IN_A_MESSAGE:
            self.scheduler.add(AddTasks(self.session, tasks[:IN_A_MESSAGE], [], 0))
            tasks = tasks[IN_A_MESSAGE:]
        self.scheduler.add(AddTasks(self.session, tasks, found.growth, found.complete))

    def _exchange(self) -> SyncReply:
        """Report what is known and take what is granted."""
        room = 0 if self._signals else self._room()
        command = _new(Sync, (self.session, self._done, self._failed, self._back, self._waiting, self._found, room))
        if self._failed or self._back or self._waiting or self._found:
            self._clear()
        else:
            self._done = []
        reply = self.scheduler.sync(command)
        granted, resumed, lost, cancel, _, _, _ = reply
        if granted:
            self._take(granted)
        if resumed or cancel or lost:
            self._obey(reply)
        return reply

    def _room(self) -> int:
        """How many more tasks are asked for."""
        return self.executor.free()

    def _obey(self, reply: SyncReply) -> None:
        for index in reply.resumed:
            self._suspended.pop(index, None)
            self.executor.resume(index)
        for index in reply.cancel:
            self.executor.cancel(index)
        for index in reply.lost:
            self.executor.cancel(index, kill=True)

    def _take(self, granted: list[Grant]) -> None:
        """Start what was granted; what only groups others, or is there by now, is done at once."""
        jobs: list[Job] = []
        kinds, tasks, observer = self.discovery.kinds, self.discovery.tasks, self._observer
        names, held = self._names, self._held
        for grant in granted:
            index, fence, attempt, _, batch = grant
            if batch:
                jobs.extend(self._batch(grant))
                continue
            kind = kinds[index]
            if kind == GATE:
                self._done.append((index, fence))
                self.gates += 1
                continue
            task = tasks[index]
            if kind == RUN and self._look_after_lock and self._made_meanwhile(grant, task):
                continue
            key, canonical = names.pop(index) if index in names else self.name(index)
            policy = policy_of(task)
            held[index] = _new(Running, (grant, task, policy, key, canonical))
            jobs.append(_new(Job, (index, task, attempt, policy.timeout, fence, key, ())))
            if observer is not None:
                observer.task_started(task)
        if jobs:
            self.executor.start(jobs)

    def _batch(self, grant: Grant) -> list[Job]:
        """One job for several tasks of a batch group; members that are there by now are left out."""
        members = [one for one in (grant, *grant.batch) if not self._needs_no_run(one)]
        if not members:
            return []
        tasks = [self.discovery.tasks[one.index] for one in members]
        first = members[0]._replace(batch=tuple(members[1:]))
        try:
            together = combined(tasks)
        except FROM_USERS as cause:  # the function that puts values together is the user's
            self._end_before_it_began(first, tasks[0], cause)
            return []
        canonical = canonical_of(together)
        key, policy = key_of(together, canonical), policy_of(together)
        self._held[first.index] = Running(first, together, policy, key, canonical)
        if self._observer is not None:
            self._observer.task_started(together)
        return [Job(first.index, together, first.attempt, policy.timeout, first.fence, key, tuple(tasks))]

    def _needs_no_run(self, grant: Grant) -> bool:
        return self.discovery.kinds[grant.index] == RUN and self._made_meanwhile(grant, self.discovery.tasks[grant.index])

    def _made_meanwhile(self, grant: Grant, task: Any) -> bool:
        """Look again now that nobody else can be at it."""
        try:
            if not is_complete(task):
                return False
        except FROM_USERS as cause:
            self._end_before_it_began(grant, task, cause)
            return True
        self._done.append((grant.index, grant.fence))
        self.already += 1
        self._settle(grant.index)
        return True

    def _end_before_it_began(self, grant: Grant, task: Any, cause: BaseException) -> None:
        from .attempt import failure_of

        self._end(Running(grant, task, policy_of(task), *self.name(grant.index)), failure_of(grant.index, task, cause))

    def name(self, index: Index) -> tuple[bytes, str]:
        """(key, canonical text) of a task; computed when it is first granted, kept until it ends."""
        found = self._names.get(index)
        if found is None:
            found = self._names[index] = identity_of(self.discovery.tasks[index])
        return found

    def key(self, index: Index) -> bytes:
        """The key of a task that is about to be granted."""
        found = self._names[index] = identity_of(self.discovery.tasks[index])
        return found[0]

    # -- what comes back

    def _collect(self, timeout: float) -> None:
        try:
            items = self.executor.collect(timeout)
        except KeyboardInterrupt:
            if self._signals < 2:
                raise
            items = self._interrupted()
        for item in items:
            if type(item) is Ended:
                held = self._held.pop(item.index, None)
                if held is not None:
                    self._end(held, item)
            else:
                self._suspend(item)  # type: ignore[arg-type]  # only two kinds come
        if self._kept:
            self._write_in_time()

    def _write_in_time(self) -> None:
        """Write what is kept of attempts when it is much, or waits for long."""
        if len(self._kept) >= KEPT or time.monotonic() > self._write_at:
            self._write()

    def _interrupted(self) -> list[Ended | Yielded]:
        """The second signal came while a task ran in this thread: that task is cut off, what had ended counts."""
        for index in self.executor.unstarted():
            self._hand_back(index)
        items = self.executor.collect(0.0)
        ended = {item.index for item in items}
        cut = [index for index in self._held if index not in ended and index not in self._suspended]
        return [*items, *(Ended(index, ExitClass.CANCELLED, "interrupted\n", message="interrupted", started=time.time()) for index in cut)]

    def _hand_back(self, index: Index, reason: str = "the run was stopped") -> None:
        held = self._held.pop(index, None)
        if held is not None:
            self._back.extend(HandedBack(one.index, one.fence, 0.0, reason) for one in (held.grant, *held.grant.batch))

    def _end(self, held: Running, ended: Ended) -> None:
        self.attempts += 1
        grant, exit_class = held.grant, ended.exit
        if exit_class is _OK:
            self._succeeded(grant, held.policy.family)
        elif exit_class is ExitClass.CANCELLED and self._signals:
            self._back.extend(HandedBack(one.index, one.fence, 0.0, "the run was stopped") for one in (grant, *grant.batch))
        else:
            ended = self._fail(held, ended)
        if self._observer is not None:
            self._observer.task_ended(held.task, Attempt(*self._row(held, ended)))
        if self._remember is not None:
            self._kept.append(self._row(held, ended))

    def _succeeded(self, grant: Grant, family: str) -> None:
        index, fence, _, _, batch = grant
        self._done.append((index, fence))
        self._settle(index)
        for one in batch:
            self._done.append((one.index, one.fence))
            self._settle(one.index)
        made = 1 + len(batch)
        self.done += made
        self.done_by_family[family] = self.done_by_family.get(family, 0) + made

    def _row(self, held: Running, ended: Ended) -> AttemptRow:
        """The fields of an Attempt, as a plain tuple: a million of them are made."""
        (_, _, attempt, _, _), _, policy, key, canonical = held
        _, exit_class, error, _, fingerprint, started, seconds, cpu, rss, _, worker = ended
        return (
            key, policy.family, canonical, attempt, started, seconds, exit_class._value_,  # .value is a call
            error, fingerprint, cpu, rss, worker or self._name,
        )  # fmt: skip

    def _fail(self, held: Running, ended: Ended) -> Ended:
        """Report a failure; one that raised after its outputs were made is final, or the next attempt would hide it."""
        grant = held.grant
        text = repr_of(held.task)
        there = ended.exit in RAISED and self.discovery.kinds[grant.index] == RUN and _there(held.task)
        final = there or grant.index in self._hopeless or "JobRefused" in ended.errors  # an engine's word: another try would end alike
        self._hopeless.discard(grant.index)  # somebody may set it going again
        if there:
            ended = ended._replace(error=ended.error + ALL_THE_SAME)
        for one in (grant, *grant.batch):
            self.failures[one.index] = Failure(text, ended.exit, ended.error, grant.attempt)
            self._failed.append(Failed(one.index, one.fence, ended.exit, ended.errors, _draw(held.key, grant.attempt), final))
        return ended

    def _settle(self, index: Index) -> None:
        """A task is done: forget what only a run needs."""
        if self._names:
            self._names.pop(index, None)
        if self.failures:
            self.failures.pop(index, None)
        self.discovery.forget(index)

    def _write(self) -> None:
        if self._kept and self._remember is not None:
            kept, self._kept = self._kept, []
            self._remember(kept)
            self._write_at = time.monotonic() + KEPT_SECONDS

    # -- dynamic requirements

    def _suspend(self, item: Yielded) -> None:
        held = self._held.get(item.index)
        if held is None:
            return
        if len(item.requires) > YIELDED_AT_ONCE:
            self._refuse(held, f"{len(item.requires):,} tasks at once; the limit is {YIELDED_AT_ONCE:,}")
            return
        before = len(self.discovery.faults)
        self._add(self.discovery.grow(item.index, item.requires))
        if len(self.discovery.faults) > before and self.discovery.faults[before].kind == "requires":
            self._refuse(held, f"what is no task: {self.discovery.faults[before].message}")
            return
        needs = self.discovery.indices(item.requires)
        if item.index in needs:
            self._refuse(held, "the task itself, which is not complete before it has run")
            return
        if not needs:
            self.executor.resume(item.index)
            return
        self._suspended[item.index] = needs
        self._waiting.append(Suspended(item.index, held.grant.fence, needs))

    def _refuse(self, held: Running, message: str) -> None:
        self.executor.drop(held.grant.index)
        del self._held[held.grant.index]
        self._end(
            held,
            Ended(
                held.grant.index,
                ExitClass.USER,
                f"run() yielded {message}",
                ("TypeError",),
                started=time.time(),
                seconds=0.0,
            ),
        )

    def _give_up_suspended(self) -> None:
        """Their requirements cannot be made in this run: close them and hand them back."""
        for index in list(self._suspended):
            self._drop(index, "its yielded requirements are not complete")

    def _drop(self, index: Index, reason: str) -> None:
        self._suspended.pop(index, None)
        self.executor.drop(index)
        self._hand_back(index, reason)

    # -- the end

    def _last_look(self) -> bool:
        """Nothing moves by itself. Data of others may have come meanwhile: look once more, at most once a second."""
        now = time.monotonic()
        if now - self._looked_outside < 1.0:
            return False
        self._looked_outside = now
        tasks = self.discovery.tasks
        self._found = [index for index in self.discovery.external_missing() if _there(tasks[index])]
        for index in self._found:
            tasks[index] = None
        return bool(self._found)

    def _look(self, observer: Observer) -> None:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK
            observer.progress(self)

    # -- signals

    def _watch_signals(self) -> Callable[[], None]:
        """First SIGINT or SIGTERM: start nothing new; second: cancel what runs. Returns what restores the handlers."""
        if getattr(self.executor, "pdb", False):
            return lambda: None
        try:
            before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread
            return lambda: None

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore

    def _on_signal(self, signum: int, frame: object) -> None:
        self._signals += 1
        if self.signum is None:
            self.signum = signum
        if self._signals == 1:
            grace = self._grace if self._grace is not None else (TERM_GRACE if signum == signal.SIGTERM else None)
            if grace is not None:
                self._deadline = time.monotonic() + grace
                _again_after(grace, signum)
            if self._observer is not None:
                self._observer.draining(signum, len(self._held))
        elif getattr(self.executor, "in_caller", False):
            raise KeyboardInterrupt

    def _drain(self) -> bool:
        """Whether attempts are still to be waited for."""
        for index in self.executor.unstarted():
            self._hand_back(index)
        for index in list(self._suspended):
            self._drop(index, "the run was stopped")
        if self.signum == signal.SIGTERM and (leave := getattr(self.executor, "leave", None)) is not None:
            leave()  # whoever is started in our place goes on with the jobs
        if self._signals > 1 or (self._deadline is not None and time.monotonic() >= self._deadline):
            for index in list(self._held):
                self.executor.cancel(index)
        if not self._held:
            self._exchange()
            return False
        return True


def _again_after(seconds: float, signum: int) -> None:
    """A second signal to ourselves when the grace is over; it does nothing if the run has ended."""
    import os
    import threading

    def again() -> None:
        if signal.getsignal(signum) not in (signal.SIG_DFL, signal.default_int_handler):
            os.kill(os.getpid(), signum)

    timer = threading.Timer(seconds, again)
    timer.daemon = True
    timer.start()


def _there(task: Any) -> bool:
    try:
        return bool(task.complete())
    except FROM_USERS:
        return False  # still not known to be there; it stays missing


def _draw(key: bytes, attempt: int) -> float:
    """In [0, 1), from key and attempt, so that retries spread and a world replays."""
    from _blake2 import blake2b

    digest = blake2b(key + attempt.to_bytes(4, "big"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64

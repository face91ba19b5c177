"""The scheduler's port over a server: what a worker calls instead of the embedded brain.

One thread, nothing that blocks for longer than a tenth of a second while attempts run: what cannot be
said now waits in order (law 2: a request is repeated, unchanged, until it is answered). A lease is held
until the server has heard how its attempt ended. What was told lost is never reported (law 1).
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from .._model.messages import (
    AddTasks,
    Confirm,
    Failed,
    Fence,
    Grant,
    HandedBack,
    Progress,
    Renew,
    RenewReply,
    SessionId,
    Suspended,
    Sync,
    SyncReply,
    TaskView,
)
from .._model.ports import AttemptRow
from .._model.spec import Index, Policy, TaskSpec
from .._model.status import ExitClass, Status
from .._wire import limits
from .._wire import messages as w
from .._wire.kinds import Held
from ..errors import LeaseLost, SchedulerError, ServerUnreachable
from . import translate
from .clock import margin_of
from .holding import Holder, Unkept
from .outbox import Outbox, Parcel
from .session import BYE, REPORTS, TASKS, Flight, Link, Session
from .translate import Described, Keys

NOT_OURS = 5.0  # seconds until a task is granted again that this worker cannot build: another may, or it itself with newer code
log = logging.getLogger("levada.client")

LOOK = 0.1  # seconds that a call waits for an answer
WAIT = 25.0  # seconds that the server holds an answer while there is nothing to do
SEAL_ITEMS, SEAL_BYTES = 2000, 256 << 10  # reports of one message, and their size
BEHIND = 1 << 20  # bytes that wait for the server: more plan should not be made now
ABSENCE = 30.0  # seconds that the server may be away when something is asked without which the run cannot end
QUICK = 2.0  # seconds that counters for a screen may take
FRESH = 1.0  # seconds for which counters of the server are shown
UNFINISHED = frozenset({Status.WAITING, Status.READY, Status.RUNNING, Status.RETRYING})
PLAN_ONLY, NO_CLAIM = -2, -1  # in place of room: what else is to be sent


class Hold(NamedTuple):
    """A lease that the worker has."""

    fence: Fence
    slot: int
    leader: Index


class Told(NamedTuple):
    """How a task stood on the server when it was added."""

    status: Status
    reason: str
    retry_in: float | None  # seconds


class Served:
    """A session with a server. Raises ServerUnreachable or Refused when it cannot be opened.

    describe: what the server may know of a task, asked once for each. still_done: whether a task that the server
    has as done is complete; asked for tasks that were found incomplete before. adopt: takes tasks that others
    registered (for assistants) and gives what they are here, None for those that it will not have. patience: seconds
    without a server, and with nothing that runs, until ServerUnreachable is raised; opening: the same for the first
    answer. margin: seconds that a lease is taken to be shorter.
    """

    def __init__(
        self,
        link: Link,
        session: SessionId,
        describe: Callable[[Index], Described],
        *,
        holder: Holder | None = None,
        still_done: Callable[[Index], bool] = lambda index: True,
        adopt: Callable[[Sequence[w.SpecRow]], Sequence[TaskSpec | None]] | None = None,
        hello: dict[str, Any] | None = None,
        patience: float = 600.0,
        opening: float | None = None,
        wait: float = WAIT,
        margin: float | None = None,
        folder: str | None = None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.session = session
        self._describe, self._still_done, self._adopt = describe, still_done, adopt
        self._holder: Holder = holder if holder is not None else Unkept()
        self._patience, self._wait = patience, wait
        self._keys = Keys()
        self._policies: dict[Index, Policy] = {}
        self._odd: dict[Index, tuple[int, str | None]] = {}  # priority and batch, where they are not the usual ones
        self._outbox = Outbox(folder)
        self._held: dict[Index, Hold] = {}
        self._by_slot: dict[int, Index] = {}
        self.told: dict[Index, Told] = {}
        self._refused: list[Index] = []
        self._complete = 0
        self._status = bytearray()
        self._families: dict[str, list[int]] = {}
        self._standings: dict[Index, TaskView] = {}
        self._counts: tuple[int, ...] | None = None
        self._counted_at = -math.inf
        self._elsewhere = 0
        self.paused = False  # as ``progress`` found it last: the server grants nothing
        self._unfinished = self._active = 0
        self._is_made: Callable[[Index], bool] | None = None  # see conclude
        self._asked_for = 0  # room of the last question
        self._known = True  # the last answer told how things stand after all that we have said
        self._clear_reports()
        self._clear_answers()
        self._renews = holder is None
        self._renew_at = self._busy_at = math.inf
        self._link = Session(link, str(session), hello=hello, rejoined=self._compare, dice=dice)
        answer = self._link.open(patience if opening is None else opening)
        self.lease, self.namespace_key, self.server = answer.lease, answer.namespace_key, answer.server
        self._margin = margin_of(self.lease) if margin is None else margin
        self._busy_at = time.monotonic()
        self._renew_at = self._busy_at + self.lease / 3
        self._compare(answer)

    def _clear_reports(self) -> None:
        self._done: list[Held] = []
        self._failed: list[w.FailedItem] = []
        self._back: list[w.HandedBackItem] = []
        self._suspended: list[w.SuspendedItem] = []
        self._found: list[str] = []
        self._attempts: list[w.AttemptItem] = []
        self._ended: list[int] = []
        self._weight = 0

    def _clear_answers(self) -> None:
        self._granted: list[Grant] = []
        self._resumed: list[Index] = []
        self._lost: list[Index] = []
        self._cancel: list[Index] = []

    @property
    def away(self) -> float:
        """Seconds since the server was found away; 0 while it answers."""
        return self._link.away

    @property
    def unfinished(self) -> int:
        """Tasks of this session that were waiting, ready, running or retrying at the last answer."""
        return self._unfinished

    # -- the port: plans

    @property
    def behind(self) -> bool:
        """Whether so much waits for the server that the walk should pause."""
        return self._outbox.size > BEHIND

    def add(self, command: AddTasks) -> None:
        """Register a part of the plan; sent in slices, in order, when the server takes them."""
        described = [self._introduce(spec) for spec in command.tasks]
        sizes = [128 + len(one.params) for one in described]
        params = dict(zip([spec.index for spec in command.tasks], described, strict=True))
        for piece in translate.slices(command, sizes):
            self._outbox.put(Parcel(TASKS, self._plan_text(piece, params, command.reopen)))
        self._complete += command.complete
        self._known = False
        self._move(PLAN_ONLY, 0.0)

    def _introduce(self, spec: TaskSpec) -> Described:
        index, policy = spec.index, spec.policy
        one = self._describe(index)
        if index not in self._keys:
            self._keys.put(index, one.key)
            self._note_status(index, policy.family, Status.WAITING)
        self._policies[index] = policy
        if spec.priority or spec.batch is not None:
            self._odd[index] = (spec.priority, spec.batch)
        return one

    def _plan_text(self, piece: translate.Slice, described: dict[Index, Described], reopen: bool) -> bytes:
        numbers: dict[Policy, int] = {}
        tasks = []
        for spec in piece.tasks:
            one = described[spec.index]
            number = numbers.setdefault(spec.policy, len(numbers))
            tasks.append(w.TaskItem(self._keys.of(spec.index), number, one.params, one.module, spec.priority, spec.batch))
        growth = [w.GrowthItem(self._keys.of(one.index), self._keys.joined(one.requires), one.closed) for one in piece.growth]
        fields: dict[str, Any] = {"policies": [translate.policy(each) for each in numbers], "tasks": tasks, "growth": growth}
        return _fields(fields | {"complete": piece.complete, "reopen": reopen})

    # -- the port: reports and claims

    def sync(self, command: Sync) -> SyncReply:
        """Report and claim. What is granted may have been asked for by an earlier call.

        Raises ServerUnreachable when the server was away for ``patience`` seconds and nothing runs; Refused when it
        will not have what we say.
        """
        self._holder.look()
        self._listen()
        self._note(command)
        self._move(min(command.room, limits.ROOM, self._holder.free()), LOOK)
        self._lose_patience()
        return self._reply()

    def _lose_patience(self) -> None:
        now = time.monotonic()
        if self._held:
            self._busy_at = now
        elif min(self._link.away, now - self._busy_at) > self._patience:
            raise ServerUnreachable(
                f"no answer from the server for {self._link.away:.0f} s, and nothing runs here: {self._link.last_error}",
                hint="Bring it back and start again: what has been made stays made.",
            )

    def _reply(self) -> SyncReply:
        reply = SyncReply(self._granted, self._resumed, self._lost, self._cancel, self._ask_again_after(), self._unfinished, self._active)
        self._clear_answers()
        return reply

    def _ask_again_after(self) -> float | None:
        """Seconds until a further call makes sense; None when only a report of ours can move anything."""
        if not self._known or self._outbox or self._has_reports() or self._link.away:
            return LOOK
        if self._active > len(self._held):
            return LOOK if self._held else 0.0  # with nothing to run, the call itself waits for the answer
        return None  # timers of the server concern others: a task of ours that is to be tried again is active

    def remember(self, rows: Iterable[AttemptRow]) -> None:
        """Send what is remembered of attempts with the next reports."""
        for row in rows:
            self._attempts.append(translate.attempt(row))
            self._weigh(200 + len(row[2]) + len(row[7]))

    def _note(self, command: Sync) -> None:
        for index, fence in command.done:
            if self._leave(index, fence, Status.DONE):
                self._done.append(translate.held(self._keys.of(index), fence))
                self._weigh(60)
        for failed in command.failed:
            self._note_failed(failed)
        for back in command.handed_back:
            self._note_back(back)
        for nap in command.suspended:
            self._note_suspended(nap)
        for index in command.found_complete:
            self._found.append(self._keys.of(index))
            self._weigh(40)

    def _note_failed(self, failed: Failed) -> None:
        hold = self._held.get(failed.index)
        gave_up = hold is not None and self._holder.gave_up(hold.slot)
        if self._leave(failed.index, failed.fence, Status.FAILED):
            exit_class = ExitClass.INFRA if gave_up else failed.exit
            self._failed.append(translate.failed(self._keys.of(failed.index), failed, exit_class))
            self._weigh(200 + sum(map(len, failed.errors)))

    def _note_back(self, back: HandedBack) -> None:
        if self._leave(back.index, back.fence, Status.WAITING):
            self._back.append(translate.handed_back(self._keys.of(back.index), back))
            self._weigh(120 + len(back.reason))

    def _note_suspended(self, nap: Suspended) -> None:
        hold = self._held.get(nap.index)
        if hold is not None and hold.fence == nap.fence and not self._holder.is_lost(hold.slot):
            self._suspended.append(translate.suspended(self._keys.of(nap.index), nap, self._keys.joined(nap.requires)))
            self._weigh(100 + 32 * len(nap.requires))

    def _leave(self, index: Index, fence: Fence, status: Status) -> bool:
        """An attempt has ended here. False when it was lost: then nothing is said of it but in the log."""
        hold = self._held.get(index)
        if hold is None or hold.fence != fence:
            return False
        del self._held[index]
        if self._holder.is_lost(hold.slot):
            if status is Status.DONE:
                self._refused.append(index)  # who counted it as made takes that back, and says so
            else:
                self._say_lost(index, fence)
            self._drop(hold.slot)
            self._count(index, Status.WAITING)
            return False
        self._ended.append(hold.slot)
        self._count(index, status)
        return True

    def _drop(self, slot: int) -> None:
        self._by_slot.pop(slot, None)
        self._holder.release(slot)

    def _say_lost(self, index: Index, fence: Fence) -> None:
        described = self._describe(index)
        family = self._policies[index].family if index in self._policies else ""
        fault = LeaseLost(f"{family}({described.params:.200})", held=fence, newest=None)
        log.error("%s", fault.message, extra={"task": described.key.hex(), "fence": str(fence), "code": fault.code})

    def _weigh(self, size: int) -> None:
        self._weight += size
        self._known = False
        if self._weight > SEAL_BYTES or len(self._done) + len(self._failed) + len(self._back) + len(self._attempts) > SEAL_ITEMS:
            self._outbox.put(self._sealed(0, 0.0))

    def _has_reports(self) -> bool:
        return bool(self._weight)

    def _sealed(self, room: int, wait: float) -> Parcel:
        """The reports so far as a message."""
        fields = {
            "done": self._done, "failed": self._failed, "handed_back": self._back, "suspended": self._suspended,
            "found": self._found, "attempts": self._attempts, "room": room, "wait": wait,
        }  # fmt: skip
        parcel = Parcel(REPORTS, _fields(fields), tuple(self._ended))
        self._clear_reports()
        return parcel

    # -- moving messages

    def _move(self, room: int, seconds: float) -> None:
        """Send what is to be said and take in answers, for so long at most; then leave a question with the server."""
        until = time.monotonic() + seconds
        if self._link.failed_at < self._holder.reached():
            self._link.come_back()
        while True:
            flight = self._link.flight
            if flight is None and not self._launch(room):
                return
            self._hurry(room)
            found = self._poll(until)
            if found is None:
                return
            room -= self._absorb(*found)
            if (self._granted or self._is_over(found[1])) and not self._outbox and not self._has_reports():
                return

    def _is_over(self, answer: Any) -> bool:
        """Nothing of ours can move any more: the server holds no such question, and the same one would get the same answer."""
        return isinstance(answer, w.SyncAnswer) and not answer.active

    def _launch(self, room: int) -> bool:
        """Make a request of what waits longest, else of the reports, else of our wish for work."""
        parcel = self._outbox.take()
        if parcel is not None:
            self._link.start(parcel)
            return True
        if room == PLAN_ONLY:
            return False
        if self._has_reports() or not self._known:
            self._asked_for = max(0, room)
            self._link.start(self._sealed(self._asked_for, 0.0))
            return True
        if room > 0 or (room == 0 and self._held):
            self._link.start(self._sealed(room, self._wait), self._wait)
            self._asked_for = room
            return True
        return False

    def _hurry(self, room: int) -> None:
        """Do not let the server hold an answer while there is something to say, or room where there was none."""
        flight = self._link.flight
        if flight is None or not flight.wait:
            return
        changed = room == NO_CLAIM or (room != PLAN_ONLY and (room > 0) != (self._asked_for > 0))
        if changed or self._outbox or self._has_reports():
            self._link.recall()

    def _poll(self, until: float) -> tuple[Flight, Any] | None:
        flight = self._link.flight
        if flight is not None and flight.wait and self._held:
            until = 0.0  # attempts run: their ends are waited for elsewhere
        return self._link.poll(max(0.0, until - time.monotonic()))

    # -- answers

    def _absorb(self, flight: Flight, answer: Any) -> int:
        """Take an answer in; how many leases it granted."""
        reported = {index for slot in flight.parcel.ended if (index := self._by_slot.get(slot)) is not None}
        for slot in flight.parcel.ended:
            self._drop(slot)
        self._standings.clear()
        if isinstance(answer, w.AddTasksAnswer):
            self._heed(answer.told)
            return 0
        if not isinstance(answer, w.SyncAnswer):
            return 0
        self._unfinished, self._active = answer.unfinished, answer.active
        valid_until = flight.first_sent - self._margin
        for row in answer.granted:
            self._take(row, valid_until)
        self._resumed += self._indices(answer.resumed)
        for index in self._indices(answer.cancel):
            self._wish(index)
        for index in self._indices(answer.lost):
            if index in reported:
                self._refused.append(index)
            else:
                self._lose(index)
        self._known = not self._outbox and not self._has_reports()
        return len(answer.granted)

    def _indices(self, keys: Iterable[str]) -> list[Index]:
        return [index for key in keys if (index := self._keys.index(key)) is not None]

    def _take(self, row: w.GrantRow, valid_until: float) -> None:
        rows = [row, *row.batch]
        if (unknown := [one.key for one in rows if self._keys.index(one.key) is None]) and not self._adopted(unknown):
            for one in rows:
                self._return(one.key, one.epoch, one.number, NOT_OURS, "its worker does not know the task")
            return
        ours: list[tuple[Index, w.GrantRow]] = []
        for one in rows:
            index = self._indices([one.key])[0]
            if index in self._held:  # its lease lapsed while we were stopped, and the question that we had left got it anew
                self._lose(index)
                self._return(one.key, one.epoch, one.number, 1.0, "its worker has yet to end the attempt before")
            elif self._hold(index, one, valid_until + one.lease, ours[0][0] if ours else index):
                ours.append((index, one))
            else:
                self._return(one.key, one.epoch, one.number, 1.0, "its worker holds all that it can")
        if ours:
            members = tuple(translate.grant(index, one, ()) for index, one in ours[1:])
            self._granted.append(translate.grant(*ours[0], members))

    def _hold(self, index: Index, row: w.GrantRow, valid_until: float, leader: Index) -> bool:
        """Note a lease; False when there is no place for it."""
        policy = self._policies.get(index)
        allowed = math.inf if policy is None or policy.timeout is None else policy.timeout
        fence = Fence(row.epoch, row.number)
        slot = self._holder.hold(index, bytes.fromhex(row.key), fence, valid_until, allowed, leader)
        if slot >= 0:
            self._held[index] = Hold(fence, slot, leader)
            self._by_slot[slot] = index
            self._count(index, Status.RUNNING)
        return slot >= 0

    def _adopted(self, keys: list[str]) -> bool:
        """Ask what tasks of others are, and have them built. Whether all could be."""
        if self._adopt is None:
            return False
        try:
            answer = self._link.ask("/v1/specs", w.Specs(self._link.id, keys), w.SpecsAnswer)
        except SchedulerError as fault:
            log.warning("what was granted could not be learned: %s", fault.message)
            return False
        for row, spec in zip(answer.tasks, self._adopt(answer.tasks), strict=True):
            if spec is not None:
                self._keys.put(spec.index, bytes.fromhex(row.key))
                self._policies[spec.index] = spec.policy
                self._note_status(spec.index, spec.policy.family, Status.READY)
        return all(self._keys.index(key) is not None for key in keys)

    def _heed(self, told: Sequence[w.Told]) -> None:
        """Tasks that stand where nothing moves them: done ones are looked at again, others are noted."""
        gone: list[Index] = []
        for row in told:
            index = self._keys.index(row.key)
            if index is None:
                continue
            status = Status[row.status.upper()]
            self._count(index, status)
            if status is not Status.DONE:
                self.told[index] = Told(status, row.reason, row.retry_in)
            elif not self._still_done(index):
                gone.append(index)
                self._count(index, Status.WAITING)
        if gone:
            specs = [TaskSpec(index, self._policies[index], *self._odd.get(index, (0, None))) for index in gone]
            self.add(AddTasks(self.session, specs, [], 0, reopen=True))

    def _listen(self) -> None:
        """What the keeper heard; where there is none, ask ourselves when it is time."""
        if self._renews and self._held and time.monotonic() > self._renew_at:
            self._renew_ourselves()
        for slot, lost in self._holder.news():
            index = self._by_slot.get(slot)
            hold = None if index is None else self._held.get(index)
            if index is None or hold is None or hold.slot != slot:
                continue  # it has ended: the answer to its report decides
            if lost:
                self._lose(index)
            else:
                self._wish(index)

    def _lose(self, index: Index) -> None:
        hold = self._held.get(index)
        if hold is None:
            return
        self._holder.lose(hold.slot)
        if hold.leader != index and (leader := self._held.get(hold.leader)) is not None:
            self._holder.lose(leader.slot)
        if hold.leader not in self._lost:
            self._lost.append(hold.leader)

    def _wish(self, index: Index) -> None:
        hold = self._held.get(index)
        if hold is not None and hold.leader not in self._cancel:
            self._cancel.append(hold.leader)

    def _compare(self, answer: w.HelloAnswer) -> None:
        """The server names leases that we do not have (their grant was lost on the way): hand them back."""
        ours = {(self._keys.of(index), *hold.fence) for index, hold in self._held.items()}
        ending = {
            self._keys.of(index) for slot, index in self._by_slot.items() if index not in self._held or self._held[index].slot != slot
        }
        for one in answer.held:
            if (one.key, one.epoch, one.number) not in ours and one.key not in ending:
                self._return(one.key, one.epoch, one.number, 0.0, "its worker never had it")

    def _return(self, key: str, epoch: int, number: int, after: float, reason: str) -> None:
        """Hand back what never became ours."""
        self._back.append(w.HandedBackItem(key, epoch, number, after, reason))
        self._weigh(120)

    # -- the port: leases

    def refused(self) -> list[Index]:
        """Tasks whose ends were reported, and refused since the lease was lost by then; each is told once."""
        refused, self._refused = self._refused, []
        return refused

    def is_lost(self, index: Index, fence: Fence) -> bool:
        """Whether an attempt is known to have lost its lease: nothing that it did is to be reported."""
        hold = self._held.get(index)
        return hold is None or hold.fence != fence or self._holder.is_lost(hold.slot)

    def renew(self, command: Renew) -> RenewReply:
        """Extend leases now; the keeper does it by itself."""
        held = [translate.held(self._keys.of(index), fence) for index, fence in command.held]
        answer = self._link.ask("/v1/renew", w.Renew(self._link.id, held), w.RenewAnswer)
        return RenewReply(tuple(self._indices(answer.lost)), tuple(self._indices(answer.cancel)))

    def _renew_ourselves(self) -> None:
        self._renew_at = time.monotonic() + self.lease / 3
        try:
            reply = self.renew(Renew(self.session, tuple((index, hold.fence) for index, hold in self._held.items())))
        except SchedulerError as fault:
            log.warning("leases could not be renewed: %s", fault.message)
            return
        for index in reply.lost:
            self._lose(index)
        for index in reply.cancel:
            self._wish(index)

    def confirm(self, command: Confirm) -> bool:
        """Whether the fence is the newest. Raises ServerUnreachable rather than guess."""
        question = w.Confirm(self._link.id, self._keys.of(command.index), command.fence.epoch, command.fence.number)
        return self._link.ask("/v1/confirm", question, w.ConfirmAnswer).newest

    # -- the port: how things stand

    def conclude(self, is_made: Callable[[Index], bool]) -> None:
        """All that this session wants has come to an end, it was told.

        What others open again from now on, for themselves, counts as done where ``is_made`` says that it stands as it should.
        """
        self._is_made = is_made

    def progress(self) -> Progress:
        """Counters of this session's tasks: the server's, at most a second old; ours where it is away. Families by ours."""
        if time.monotonic() - self._counted_at > FRESH and not self._link.away:
            self._counted_at = time.monotonic()
            try:
                self._counts = tuple(self._standing(QUICK, limit=0).counts)
                self._elsewhere = self._counts[Status.RUNNING] - len(self._by_slot) - self._asked_in_flight()
                self.paused = self._gets_nothing(self._counts) and self.ask_paused()
            except SchedulerError as fault:
                log.debug("counters could not be had: %s", fault.message)
                self._counts = None
        counts = self._counts
        if counts is None or self._link.away:
            counts = tuple(map(sum, zip(*self._families.values(), strict=True))) if self._families else (0,) * len(Status)
        if self._is_made is not None:
            now = [0] * len(Status)
            for index in self.having(*(status for status in Status if status is not Status.DONE)):
                now[self._standings[index].status] += 1
            now[Status.DONE] = sum(counts) - sum(now)
            counts = tuple(now)
        return Progress(counts, {family: tuple(row) for family, row in self._families.items()}, self._complete)

    def _asked_in_flight(self) -> int:
        """How many tasks the answer that is on its way may grant: the server counts them as running already."""
        flight = self._link.flight
        return 0 if flight is None or (flight.wait and not self._link.is_answered) else self._asked_for

    def _gets_nothing(self, counts: tuple[int, ...]) -> bool:
        """Whether tasks are ready and the server holds our question for some all the same."""
        flight = self._link.flight
        return bool(counts[Status.READY] and flight is not None and flight.wait and self._asked_for)

    def ask_paused(self) -> bool:
        """Whether the server grants nothing because an operator said so. Raises ServerUnreachable or Refused."""
        from .._wire.operators import OverviewAnswer

        return self._link.look("/v1/status", OverviewAnswer, QUICK).paused

    def last_failure(self, index: Index) -> tuple[str, str]:
        """Exit class and error of a task's newest attempt that failed, "" where none is known. Raises ServerUnreachable or Refused."""
        from .._wire.operators import HistoryAnswer

        path = f"/v1/history?key={self._keys.of(index)}&failed=true&limit=1"
        found = self._link.look(path, HistoryAnswer, QUICK).attempts
        return (found[0].exit, found[0].error) if found else ("", "")

    @property
    def elsewhere(self) -> int:
        """Tasks of this session that ran in other workers when ``progress`` asked last; rather too few than too many."""
        return max(0, self._elsewhere)

    def view(self, index: Index) -> TaskView:
        """One task. Raises ServerUnreachable."""
        found = self._standings.get(index)
        if found is None:
            for row in self._standing(keys=[self._keys.of(index)], limit=1).tasks:
                self._keep(row)
            found = self._standings.get(index)
        if found is None:
            raise SchedulerError(f"the server does not know task {self._keys.of(index)}")
        return found

    def having(self, *statuses: Status) -> Iterable[Index]:
        """This session's tasks in one of these statuses, a page at a time. Raises ServerUnreachable."""
        made = self._is_made
        for index in self._having(*statuses):
            if made is None or self._standings[index].status not in UNFINISHED or not made(index):
                yield index

    def _having(self, *statuses: Status) -> Iterable[Index]:
        after: str | None = ""
        while after is not None:
            page = self._standing(statuses=[str(status) for status in statuses], after=after)
            for row in page.tasks:
                if (index := self._keep(row)) is not None:
                    yield index
            after = page.next

    def strange_needs(self) -> Iterable[tuple[Index, list[bytes]]]:
        """This session's waiting tasks, each with the keys of what it waits for that this plan does not have. Raises ServerUnreachable."""
        after: str | None = ""
        while after is not None:
            page = self._standing(statuses=[str(Status.WAITING)], after=after)
            for row in page.tasks:
                index = self._keep(row)
                strange = [bytes.fromhex(key) for key in row.unmet if self._keys.index(key) is None]
                if index is not None and strange:
                    yield index, strange
            after = page.next

    def _standing(self, seconds: float | None = None, **question: Any) -> w.StandingAnswer:
        """seconds: for one try; None: the server may be away for a while."""
        command = w.Standing(self._link.id, **question)
        if seconds is None:
            return self._link.ask_patiently("/v1/standing", command, w.StandingAnswer, min(self._patience, ABSENCE))
        return self._link.ask("/v1/standing", command, w.StandingAnswer, seconds)

    def _keep(self, row: w.StandingTask) -> Index | None:
        index = self._keys.index(row.key)
        if index is not None:
            unmet = tuple(self._indices(row.unmet))
            status = Status[row.status.upper()]
            fence = self._held[index].fence if index in self._held else None
            view = TaskView(index, status, row.attempts, 1, fence, unmet, row.reason, row.retry_in, row.short_of)
            self._standings[index] = view
        return index

    def _note_status(self, index: Index, family: str, status: Status) -> None:
        if index >= len(self._status):
            self._status.extend(bytes(index + 1 - len(self._status)))
        self._status[index] = status
        self._families.setdefault(family, [0] * len(Status))[status] += 1

    def _count(self, index: Index, status: Status) -> None:
        policy = self._policies.get(index)
        if policy is not None:
            row = self._families[policy.family]
            row[self._status[index]] -= 1
            row[status] += 1
            self._status[index] = status

    # -- the end

    def settle(self, seconds: float) -> bool:
        """Bring what is left to say to the server, for so long at most; then counters are new. False when something is left."""
        until = time.monotonic() + seconds
        while self._outbox or self._has_reports() or not self._known or self._link.flight is not None:
            self._move(NO_CLAIM, LOOK)
            if time.monotonic() >= until:
                return False
            if self._link.away:
                time.sleep(min(LOOK, max(0.0, until - time.monotonic())))
        self._counted_at = -math.inf
        return True

    def close(self, seconds: float = 5.0) -> None:
        """Settle, say goodbye (leases go back), and give everything back. Harmless to repeat."""
        try:
            if self.settle(seconds) and not self._link.away:
                self._link.start(Parcel(BYE, b""))
                self._link.poll(seconds)
        except SchedulerError as fault:
            log.warning("the session could not be closed: %s", fault.message)
        finally:
            for slot in list(self._by_slot):
                self._drop(slot)
            self._held.clear()
            self._outbox.close()
            self._link.close()


def _fields(fields: dict[str, Any]) -> bytes:
    """The fields that say something, as JSON without the braces."""
    return msgspec.json.encode({name: value for name, value in fields.items() if value})[1:-1]

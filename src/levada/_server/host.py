"""The scheduler as a server's process hosts it: drain the mailbox, let the brain decide, commit once, answer all.

It lives in an event loop, the one of the HTTP layer where there is one, so that a request changes no thread on its way; only
commits that wait for a disk are made in a thread of their own, while renewals and confirmations go on from memory. Laws kept
here: an answer is given after the commit of what it tells of; a repeated number gets the first answer; nobody is judged by
time in which the server was away; a server that may have been deposed says nothing before it knows.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from .._core.brain import Brain
from .._core.changes import Finished, Granted, TasksAdded
from .._model import messages as m
from .._model.messages import SessionId
from .._model.status import Status
from .._store.ports import Batch, Loaded, Store, TokenRow
from .._wire.operators import Event
from .._wire.problems import Refusal
from .._wire.routes import Lane
from .._wire.triggers import Take, TakeAnswer
from ..errors import Deposed, LevadaError, SchedulerError, StoreError, StoreFull
from . import journal, logs, operating, work
from .ages import AGES, Ages
from .alerts.noticing import Noticing
from .desk import Desk
from .guests import Guests
from .http.port import Call, Health, Sample
from .http.tokens import TokenTable
from .mailbox import Mailbox
from .members import Member, member_of
from .office import Office
from .registry import Registry
from .triggers.agents import Agent
from .triggers.book import Book
from .triggers.following import follow
from .triggers.handlers import answered
from .triggers.telling import reconcile, tell

DRAIN = 2_000  # calls of work in one drain
READS = 50  # pages in one drain
READING = 0.003  # seconds of them, in one drain
RESTING = 10.0  # times as long nobody reads after that, where others have work: a page costs thrice as much elsewhere in this process
LONGEST_REST = 0.03
AT_WORK = 0.05  # seconds after a command for which that holds
LOOKS = 500  # held claims that are looked at again in one drain
TICK = 0.25  # seconds between two judgements of leases and retries
CHECKPOINT = 64 << 20  # bytes of journal after which the snapshot is made anew
CHECKPOINT_ROWS = 50_000
OLD = 20_000  # tasks that are looked at in one go, whether they are old
STEPS = 4  # pieces of a snapshot that are written between two drains
SILENT = 7 * 86_400.0  # seconds after which a silent session is forgotten
SLOW_COMMIT = 0.02  # seconds that others may wait for a commit; where one takes longer the next are made in another thread
ASIDE_SLOW = 0.2  # the same for those: they wait for this thread, too
SURE = 1.8  # seconds after the last word with a store that others may take over, for which renewals are answered from memory
BEAT = 1.0  # seconds
FULL_PAUSE = 5.0  # seconds between two tries to commit to a full store
HOUSEKEEPING = 60.0
log = logging.getLogger("levada.server")


def boottime() -> float:
    """Seconds that count while the machine sleeps, where there is such a clock: a server that slept must notice."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Rules:
    """What an operator sets at start. Seconds."""

    def __init__(
        self,
        lease: float = 60.0,
        lock_delay: float = 0.0,
        cancel_grace: float = 30.0,
        failed_pause: float = 900.0,
        keep: float = 8 * 86_400.0,
    ) -> None:
        """keep: how long a task is remembered after it was last touched."""
        self.lease, self.lock_delay, self.cancel_grace, self.failed_pause = lease, lock_delay, cancel_grace, failed_pause
        self.keep = keep


class Host:
    """One server's scheduler; ``start`` takes the store over, ``stop`` gives it back.

    ``submit`` and what else the HTTP layer calls is thread-safe. ``failed`` tells why the host ended by itself: the store was
    taken over by another server (Deposed), or broke. contested: another server may depose this one while it lives.
    boot: names this life of the machine that the store is on, where a power cut may cost the last commits; then nothing is
    granted for a lease after the machine has started anew, or after each start where its lives cannot be told ("?").
    quick_disk: commits wait for no disk (``synchronous="normal"``), so they need no thread of their own.
    """

    def __init__(
        self,
        store: Store,
        rules: Rules | None = None,
        *,
        version: str = "",
        namespace_key: str | None = None,
        contested: bool = False,
        quick_disk: bool = False,
        boot: str = "",
        clock: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.rules, self.namespace_key = store, rules or Rules(), namespace_key
        self.version = version
        self.clock, self.wall = clock, wall
        self.tokens = TokenTable()
        self.registry = Registry()
        self.members: dict[SessionId, Member] = {}
        self.offered = 0  # characters of the modules that members offer
        self.failed: BaseException | None = None
        self.started = wall()
        self.office = Office(self)
        self.notices: Noticing | None = None  # where alerts are wished for
        self.guests: Guests | None = None  # where workers of another protocol are let in
        self._parked: dict[SessionId, Member] = {}
        self.book = Book(store.goals_at, self.rules.lease)
        self._takes: dict[str, tuple[Call, float]] = {}  # agents that wait for something to do, and until when
        self._mailbox: Mailbox[Call] = Mailbox()
        self._listeners: list[Callable[[Sequence[Event]], None]] = []
        self._answers = self._drains = self._commits = 0
        self._ready = self._stopping = False
        self._ended: Callable[[], None] = lambda: None
        self._contested, self._quick_disk, self._boot = contested, quick_disk, boot
        self.may_lose = bool(boot)  # a power cut may cost the last commits
        self.held_until = 0.0  # until then no task is granted
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._scheduled = self._committing = self._in_flight = self._is_full = False
        self._carried: Desk | None = None
        self._house_at = 0.0  # not before that
        self._is_slow = False  # time passes in longer steps
        self._next_pulse: asyncio.TimerHandle
        self._hurry = False  # held claims were left to be looked at
        self._commit_takes = 0.0  # seconds, lately
        self._worked_at = self._read_at = 0.0  # the last command; not before that, pages
        self._reads_later: asyncio.TimerHandle | None = None
        self._snapshot: Iterator[int] | None = None
        self._beat_at = self._keep_at = self._tick_at = self._slept_at = self._sure_at = 0.0

    # -- coming and going

    def start(
        self,
        owner: str,
        *,
        wait: float | None = 0.0,
        stopped: Callable[[], bool] | None = None,
        own_token: TokenRow | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Take the store over, read it, begin. Raises StoreError; ``wait`` and ``stopped`` as ``Store.take_over`` has them.

        own_token: lets the owner of the state folder in, whatever else the store says. loop: a running event loop to live in;
        None: one of our own, in a thread of our own.
        """
        epoch = self.store.take_over(owner, wait=wait, stopped=stopped)
        if stopped is not None and stopped():
            return
        if own_token is not None:
            self.store.put_token(own_token)
        self.brain = Brain(
            1,  # what the journal tells before its first EpochBegan was in the first epoch
            self.rules.lease,
            lock_delay=self.rules.lock_delay,
            cancel_grace=self.rules.cancel_grace,
            failed_pause=self.rules.failed_pause,
        )
        self._load(self.store.load())
        self.tokens.replace(self.store.tokens())
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="levada-commit")
        self.office.open()
        self._restart(epoch)
        self._tick_at = self._slept_at = self._sure_at = self.clock()
        self._hold()
        self._beat_at, self._keep_at = self.clock() + BEAT, self.clock() + BEAT
        if self.notices is not None:
            self.notices.open(self)
            reconcile(self.book, self.notices, self.wall())
        self._live_in(loop)
        log.info("ready", extra={"epoch": epoch, "tasks": len(self.registry), "sessions": len(self.members)})

    def _restart(self, epoch: int) -> None:
        """A new epoch; what runs gets a whole lease."""
        desk = self._desk()
        if epoch > self.brain.state.epoch:
            desk.changes += self.brain.restart(epoch, desk.now)
        for name in [name for name in self.brain.state.sessions if name not in self.members]:
            desk.handle(m.Bye(name))  # nobody can speak for them any more
        batch = self._batch(desk)
        if batch is not None:
            self.store.commit(batch)

    def _hold(self) -> None:
        """After a power cut with NORMAL the last grants may have no row: whoever has them gets their lease to find out."""
        self.held_until = 0.0
        if self._boot and (self._boot == "?" or self.store.noted("boot") not in (None, self._boot)):
            self.held_until = self.clock() + self.rules.lease
            log.warning("nothing is granted for a lease: the machine started anew", extra={"seconds": self.rules.lease})
        elif self._boot:
            self.store.note("boot", self._boot)

    def _end_hold(self) -> None:
        """Noted only now: a server that ends during the hold must hold again."""
        self.held_until = 0.0
        self._hurry = True
        if self._boot != "?":
            self.store.note("boot", self._boot)

    def _live_in(self, loop: asyncio.AbstractEventLoop | None) -> None:
        begun = threading.Event()
        if loop is None:
            loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._own_loop, args=(loop,), name="levada-host", daemon=True)
            self._thread.start()
        self._loop = loop

        def begin() -> None:
            self._loop_thread = threading.get_ident()
            self._ready = True
            self._pulse()
            begun.set()

        loop.call_soon_threadsafe(begin)
        begun.wait()

    @staticmethod
    def _own_loop(loop: asyncio.AbstractEventLoop) -> None:
        loop.run_forever()
        loop.close()

    def _load(self, loaded: Loaded) -> None:
        now, saved = journal.saved_of(loaded.parts)
        self.brain.resume(saved, ())
        del saved
        self._since_snapshot = self._rows_since = 0
        for _, row in loaded.journal:
            now, changes = journal.from_bytes(row)
            self.brain.resume(None, changes)
            self._since_snapshot += len(row)
            self._rows_since += 1
        self._base = now - self.clock()  # the brain's time goes on where it stood: while the server is away it stands still
        self._seq = loaded.seq
        self.ages = Ages(loaded.parts.get(AGES), self.wall(), len(self.brain.state.status))
        named = self.registry.load(loaded.tasks, len(self.brain.state.status))
        self._match(named)
        faults = self.book.load(self.store.triggers(), self.store.live_goals(), self.store.last_goal(), self.wall(), self.clock())
        for fault in faults:
            log.error("a trigger cannot be read, and does not fire", extra={"reason": fault})
        for session in loaded.sessions:
            member = member_of(session, self.clock())
            self.members[member.id] = member
            self.offered += member.offered
        if self.guests is not None:
            self.guests.load(self.members.values(), self.store.marks())

    def _match(self, named: int) -> None:
        told = len(self.brain.state.status) - len(self.brain.state.free)
        if named != told:
            raise StoreError(
                f"the store names {named:,} tasks and tells of {told:,}",
                hint="It was damaged. Restore a backup (`levada backup restore`).",
            )

    def stop(self, grace: float = 10.0) -> None:
        """Answer what waits, commit, give the store back. Harmless to repeat; not from within the loop."""
        self._ready, self._stopping = False, True
        loop = self._loop
        if loop is not None and self.failed is None:
            with suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(self._dismiss)
                self._closed.wait(grace)
        if self._thread is not None and loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.stop)
            self._thread.join(grace)
            self._thread = None
        self.office.close()
        if loop is not None:
            self._committer.shutdown(wait=self.failed is None)
        self._loop = None
        if self.notices is not None and loop is not None:
            self.notices.alerts.close()
            with suppress(StoreError):  # what broke the store was told before; what was not kept is told again
                self.notices.keep(self.store)
        self.store.close()

    def on_end(self, ended: Callable[[], None]) -> None:
        """Call this once when the host ends by itself (see ``failed``)."""
        self._ended = ended

    # -- the port of the HTTP layer

    def submit(self, call: Call) -> None:
        """Take a call into the mailbox."""
        if not self._ready:
            raise Refusal("not-ready", "the server starts, stands by or stops", hint="Ask another server, or again soon.", retry_after=1.0)
        self._mailbox.put(call.route.lane, call)
        if not self._scheduled:
            self._scheduled = True
            self._soon()

    def _soon(self) -> None:
        loop = self._loop
        if loop is None:
            return
        if threading.get_ident() == self._loop_thread:
            loop.call_soon(self._turn)
        else:
            with suppress(RuntimeError):  # closed: the host has ended
                loop.call_soon_threadsafe(self._turn)

    def health(self) -> Health:
        """Whether this process is of use."""
        if self.failed is not None:
            return Health(False, False, "the server has ended; see its log")
        return Health(True, self._ready, "" if self._ready else "not ready")

    def watch(self, listener: Callable[[Sequence[Event]], None]) -> Callable[[], None]:
        """Call ``listener`` with the changes of each commit."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def samples(self) -> Iterable[Sample]:
        """Figures for the metrics page."""
        state = self.brain.state
        yield Sample("epoch", "gauge", "Number of server lives", state.epoch)
        for status, count in zip(Status, state.counts, strict=True):
            yield Sample("tasks", "gauge", "Tasks by status", count, (("status", str(status)),))
        yield Sample("sessions", "gauge", "Sessions that are known", len(self.members))
        yield Sample("waiting_claims", "gauge", "Claims that are held open", len(self._parked))
        yield Sample("mailbox", "gauge", "Calls that wait for the host", len(self._mailbox))
        yield Sample("answers_total", "counter", "Calls that were answered", self._answers)
        yield Sample("drains_total", "counter", "Rounds of the host", self._drains)
        yield Sample("commits_total", "counter", "Transactions of the store", self._commits)
        yield Sample("journal_bytes", "gauge", "Bytes of journal since the last snapshot", self._since_snapshot)
        if self.notices is not None:
            yield from self.notices.samples()

    # -- claims that are held

    def park(self, member: Member) -> None:
        """Hold a claim open."""
        self._parked[member.id] = member

    def unpark(self, member: Member) -> None:
        """It is answered, or its client went away."""
        self._parked.pop(member.id, None)
        member.call = None

    def _look_again(self, desk: Desk, *, over: bool) -> None:
        """Answer held claims that can be answered now. over: look for those whose time is over, or whose client went away, too."""
        if not self._parked:
            return
        if over:
            now = self.clock()
            for member in [one for one in self._parked.values() if now >= one.deadline or (one.call is not None and one.call.gone)]:
                work.claim_again(desk, member)
        stirred = self._stirred(desk)
        if stirred is None:
            waiting = list(self._parked.values())
        elif stirred:
            sessions = self.brain.state.sessions  # asked now: others may add the tasks that a claim waits for
            waiting = [member for member in self._parked.values() if not stirred.isdisjoint(sessions[member.id].groups)]
        else:
            return
        for member in waiting[:LOOKS]:
            if desk.stirred or self.brain.may_work(member.id) or self._is_idle(member):
                work.claim_again(desk, member)
        for member in waiting[LOOKS:]:  # these were not looked at: first the next time, which is soon
            self._parked[member.id] = self._parked.pop(member.id)
            self._hurry = True

    def _stirred(self, desk: Desk) -> set[int] | None:
        """Groups of tasks in which something happened; None where it may concern all."""
        if desk.stirred or self._hurry:
            self._hurry = False
            return None
        state = self.brain.state
        if desk.changes and not state.is_plain:
            return None  # what ended may have freed what tasks of any group wait for
        found: set[int] = set()
        for change in desk.changes:
            tasks = getattr(change, "tasks", None)
            if tasks is not None and not isinstance(change, (TasksAdded, Granted)):  # these make no work for others
                found.update(map(state.group.__getitem__, tasks))
            elif (task := getattr(change, "task", None)) is not None:
                found.add(state.group[task])
        return found

    def _is_idle(self, member: Member) -> bool:
        """Nothing that this session may run can move by itself: it should know."""
        return not member.about.get("modules") and not self.brain.outlook(member.id)[1]

    # -- triggers and goals

    def hold_take(self, call: Call, agent: Agent, wait: float) -> None:
        """Hold an agent's question open. It asks one at a time: an earlier one was given up."""
        earlier = self._takes.pop(agent.id, None)
        if earlier is not None:
            earlier[0].answer(Refusal("out-of-step", "the agent has asked anew"))
        self._takes[agent.id] = (call, self.clock() + wait)

    def _turn_book(self, desk: Desk, *, tick: bool) -> None:
        """Let triggers fire, and answer agents that wait."""
        book = self.book
        follow(desk)
        if tick or book.wake_at() <= desk.wall:
            book.turn(desk.wall, self.clock())
        for fault in book.faults:
            log.error("a trigger did not fire", extra={"reason": fault})
        book.faults.clear()
        if not self._takes or not (book.stirred or tick):
            book.stirred = False
            return
        book.stirred = False
        now = self.clock()
        for name, (call, deadline) in list(self._takes.items()):
            agent, asked = book.agents.known.get(name), call.request
            if agent is None or not isinstance(asked, Take) or call.gone:
                del self._takes[name]
                if agent is not None and call.gone:
                    book.agents.hung_up(agent)
                desk.reply(call, Refusal("unknown-session", "the agent is not known any more"))
                continue
            if self.tokens.is_void(call.identity.token):
                del self._takes[name]
                desk.reply(call, work.shut_out())
                continue
            agent.seen = now
            answer: TakeAnswer | Refusal | None
            try:
                answer = answered(desk, agent, asked)
            except Refusal as no:
                answer = no
            if answer is None and now >= deadline:
                answer = TakeAnswer([], [], [], [], self.brain.state.epoch)
            if answer is not None:
                del self._takes[name]
                desk.reply(call, answer)

    # -- the loop

    def _desk(self) -> Desk:
        return Desk(self, self.clock() + self._base, self.wall())

    def _pulse(self) -> None:
        """Time passes, also when nobody asks; slowly while there is nothing that it could change."""
        loop = self._loop
        if loop is not None and self._ready:
            state = self.brain.state
            self._is_slow = not (self._parked or state.until or state.at or self._snapshot is not None)
            self._next_pulse = loop.call_later(BEAT if self._is_slow else TICK, self._pulse)
            self._turn()

    def _turn(self) -> None:
        """Do what can be done now: a drain, or, while a commit is on its way, what needs none."""
        self._scheduled = False
        if self.failed is not None or self._closed.is_set():
            return
        if self._is_slow and (self._parked or self.brain.state.until) and self._loop is not None:
            self._is_slow = False
            self._next_pulse.cancel()
            self._next_pulse = self._loop.call_later(TICK, self._pulse)
        try:
            if self._committing:
                self._meanwhile()
            else:
                self._round()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """The store was taken over, or broke: end, and say nothing more."""
        self.failed = error
        self._ready = False
        if isinstance(error, Deposed):
            log.error("another server took over", extra={"reason": str(error)})
        else:
            log.critical("the host has ended", exc_info=error)
        self._refuse_all(error)
        self._closed.set()
        self._ended()

    def _round(self) -> None:
        """One drain."""
        began = self.clock()
        lag = self._lag(began)
        if lag:
            self._make_sure()
        desk, self._carried = self._carried or self._desk(), None
        self.book.see(desk.wall)
        for lane in (Lane.URGENT, Lane.WORK):
            calls = self._mailbox.take(lane, DRAIN)
            for call in calls:
                self._serve(desk, call)
            if calls:
                self._worked_at = self.clock()
        tick = bool(lag) or self.clock() >= self._tick_at
        if tick:
            self._tick_at = self.clock() + TICK
            desk.handle(m.Tick(lag))
            if self.guests is not None:
                self.guests.turn(desk)
        self._look_again(desk, over=tick)
        self._turn_book(desk, tick=tick)
        self._drains += 1
        self._slept_at = self.clock()
        if self._contested and self._lag(self._slept_at, began):  # we were stopped on the way: what we say may be another's to say
            self._slept_at, self._carried = began, desk
            self._make_sure()
            self._carried = None
        self._write(desk)

    def _make_sure(self) -> None:
        """We were away: are we still the server of this store?"""
        began = self.clock()
        self.store.heartbeat()
        self._sure_at = began

    def _meanwhile(self) -> None:
        """While a commit is on its way: renewals and confirmations from memory, unless we may have been deposed."""
        if self._contested and self.clock() - self._sure_at > SURE:
            return
        for call in self._mailbox.take(Lane.URGENT, DRAIN):
            desk = self._desk()
            self._serve(desk, call)
            if journal.to_bytes(desk.changes, 0.0) is None:
                self._deliver(desk)
            elif self._carried is None:
                self._carried = desk
            else:
                self._carried.changes += desk.changes
                self._carried.replies += desk.replies
        if self._is_full:
            for call in self._mailbox.take(Lane.WORK, DRAIN):
                call.answer(StoreFull("the store has no room"))
            if not self._in_flight:  # between two tries the store has nothing to do: pages may ask it
                self._read()
                if len(self._mailbox):
                    self._read_later()

    def _lag(self, now: float, since: float | None = None) -> float:
        """Seconds for which the loop was away beyond what it had meant to sleep; leases end so much later."""
        away = now - (self._slept_at if since is None else since)
        return away if away > max(1.0 + TICK, self.rules.lease / 30) else 0.0

    def _serve(self, desk: Desk, call: Call) -> None:
        handler = work.HANDLERS.get(type(call.request)) or operating.HANDLERS.get(type(call.request))
        if handler is None and self.guests is not None:
            handler = self.guests.handlers.get(type(call.request))
        try:
            if handler is None:
                raise Refusal("not-found", f"{call.route} is not there yet")
            answer = operating.repeated(desk, call) if call.repeat is not None else None
            if answer is None:
                answer = handler(desk, call)
                if answer is not None and call.route.audited:
                    operating.note(desk, call, answer)
            if answer is not None:
                desk.reply(call, answer)
        except LevadaError as refused:
            desk.reply(call, refused)
        except Exception:
            log.exception("a request could not be served", extra={"route": str(call.route)})
            desk.reply(call, Refusal("internal", "the server made a mistake; it is in its log"))

    def _read(self) -> None:
        """Pages: they change nothing, so nothing is written. A few milliseconds of them, then it is others' turn."""
        began = now = self.clock()
        if began < self._read_at:
            return
        for _ in range(READS):
            calls = self._mailbox.take(Lane.READ, 1)
            if not calls:
                break
            desk = self._desk()
            self._serve(desk, calls[0])
            self._deliver(desk)
            now = self.clock()
            if now > began + READING:
                break
        if now > began and began - self._worked_at < AT_WORK:
            self._read_at = now + min(LONGEST_REST, RESTING * (now - began))

    def _read_later(self) -> None:
        """Look again when the rest is over; a command that comes meanwhile is not kept waiting for that."""
        if self._reads_later is None and self._loop is not None:
            self._reads_later = self._loop.call_later(max(0.0, self._read_at - self.clock()), self._read_on)

    def _read_on(self) -> None:
        self._reads_later = None
        if not self._scheduled:
            self._turn()

    # -- writing and answering

    def _batch(self, desk: Desk) -> Batch | None:
        batch = desk.batch(self._seq + 1)
        if batch is not None and batch.changes is not None:
            self._seq += 1
            self._since_snapshot += len(batch.changes)
            self._rows_since += 1
        return batch

    def _write(self, desk: Desk) -> None:
        """Commit what a desk holds: here while the disk is quick, else in a thread, and answer."""
        batch = self._batch(desk)
        if batch is None:
            self._written(desk)
        elif self._quick_disk and self._commit_takes < SLOW_COMMIT:
            self._commit_here(desk, batch)
        else:
            self._commit_aside(desk, batch)

    def _commit_here(self, desk: Desk, batch: Batch) -> None:
        began = self.clock()
        try:
            self.store.commit(batch)
        except StoreFull as cause:
            self._full(desk, batch, cause)
            return
        except BaseException as error:
            self._refuse(desk, error)
            raise
        self._took(began)
        self._written(desk)

    def _took(self, began: float, slow: float = SLOW_COMMIT) -> None:
        """A slow commit is remembered for some dozens of quick ones."""
        self._sure_at = began
        took = self.clock() - began
        self._commit_takes = max(took if took > slow else 0.0, self._commit_takes * 0.95)
        self._commits += 1

    def _commit_aside(self, desk: Desk, batch: Batch) -> None:
        self._committing = self._in_flight = True
        began, loop = self.clock(), self._loop

        def done(future: Future[None]) -> None:
            if loop is not None:
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._committed, desk, batch, future, began)

        self._committer.submit(self.store.commit, batch).add_done_callback(done)

    def _committed(self, desk: Desk, batch: Batch, future: Future[None], began: float) -> None:
        self._committing = self._in_flight = False
        try:
            future.result()
        except StoreFull as cause:
            self._full(desk, batch, cause)
            return
        except BaseException as error:
            self._refuse(desk, error)
            self._fail(error)
            return
        if self._closed.is_set():
            return  # dismissed while the store had no room: its answers were refused, and the store may be closed
        self._is_full = False
        self._took(began, ASIDE_SLOW)
        try:
            self._written(desk)
        except BaseException as error:
            self._fail(error)

    def _full(self, desk: Desk, batch: Batch, cause: StoreFull) -> None:
        """Nothing is acknowledged until there is room: refuse what waits and what comes, and try the same batch again."""
        if not self._is_full:
            log.error("the store has no room; nothing is acknowledged until it has", extra={"reason": str(cause)})
        self._is_full = self._committing = True
        self._refuse(desk, cause)
        loop = self._loop
        if loop is not None and not self._stopping:
            loop.call_later(FULL_PAUSE, self._commit_again, desk, batch)

    def _commit_again(self, desk: Desk, batch: Batch) -> None:
        if not self._stopping:
            self._commit_aside(desk, batch)

    def _written(self, desk: Desk) -> None:
        """What the desk holds is durable: answer, then whatever need not be done before that."""
        self._deliver(desk)
        logs.look(desk)
        self.ages.note(desk.changes, desk.wall)
        if self.guests is not None:
            for change in desk.changes:
                if type(change) is Finished:
                    self.guests.done(change.tasks)
        if self.notices is not None:
            self.notices.look(desk)
        if self.book.told:
            tell(self.book, self.notices, desk.wall)
        if desk.changes and self._listeners:
            self._tell(desk)
        self._read()
        self._housekeep()
        if self._scheduled:
            return
        if self._mailbox.has_commands or self._carried is not None or self._snapshot is not None or self._hurry:
            self._scheduled = True
            self._soon()
        elif len(self._mailbox):
            self._read_later()

    def _refuse(self, desk: Desk, cause: BaseException) -> None:
        """What the desk holds is not durable: none of its answers is given."""
        refusal = _refusal(cause)
        for call, _ in desk.replies:
            call.answer(refusal)
        desk.replies.clear()

    def _deliver(self, desk: Desk) -> None:
        for call, result in desk.replies:
            call.answer(result)
        self._answers += len(desk.replies)

    def _tell(self, desk: Desk) -> None:
        events = operating.events_of(desk)
        for listener in list(self._listeners):
            listener(events)

    # -- housekeeping

    def _housekeep(self) -> None:
        """What must be done now and then, a bounded piece at a time. A store without room is asked again later."""
        now = self.clock()
        if self.held_until and now >= self.held_until:
            self._end_hold()
        if now < self._house_at:
            return
        try:
            self._keep_house(now)
        except StoreFull as cause:
            self._house_at = now + FULL_PAUSE
            self._snapshot = None  # begun anew; what was written of it goes then
            log.error("the store has no room to be kept in order", extra={"reason": str(cause)})

    def _keep_house(self, now: float) -> None:
        self._keep_snapshot()
        if now >= self._beat_at:
            self._beat_at = now + BEAT
            self._make_sure()
            if self.notices is not None:
                self.notices.keep(self.store)
        if now >= self._keep_at:
            self._keep_at = now + HOUSEKEEPING
            self.store.touch_tokens(self.tokens.uses())
            self._forget_silent(now)
            self._forget_old()
            if self.store.prune(self.wall()):
                self._keep_at = now + BEAT

    def _keep_snapshot(self) -> None:
        if self._snapshot is None and (self._since_snapshot > CHECKPOINT or self._rows_since > CHECKPOINT_ROWS):
            parts = [*journal.parts_of(self.brain.save(), self.clock() + self._base), (AGES, self.ages.to_bytes())]
            self._snapshot = self.store.checkpoint(self._seq, parts)
            self._since_snapshot = self._rows_since = 0
        for _ in range(STEPS if self._snapshot is not None else 0):
            if self._snapshot is None or next(self._snapshot, None) is None:
                self._snapshot = None
                return

    def _forget_silent(self, now: float) -> None:
        """Sessions that were not heard for a week go with the next drain."""
        silent = [member for member in self.members.values() if now - member.seen > SILENT][:DRAIN]
        if silent:
            desk = self._carried = self._carried or self._desk()
            for member in silent:
                desk.handle(m.Bye(member.id))
                work.leave(desk, member)

    def _forget_old(self) -> None:
        """Some of the tasks that nobody has touched for long; the next look begins where this one ended."""
        old = self.ages.older_than(self.wall() - self.rules.keep, OLD)
        if not old:
            return
        desk = self._carried = self._carried or self._desk()
        gone: list[int] = desk.handle(m.Forget(old))
        self.registry.forget(gone)
        if self.guests is not None:
            self.guests.forget(gone)
        desk.forgotten += gone

    # -- the end

    def _dismiss(self) -> None:
        """Answer held claims with what there is: their workers ask elsewhere, or again later.

        While the store has no room, what an earlier desk changed is not written, and so nothing is told that may follow from it.
        """
        loop = self._loop
        if self.failed is not None or loop is None:
            self._closed.set()
        elif self._committing and not self._is_full:
            loop.call_later(0.01, self._dismiss)
        else:
            stops = Refusal("not-ready", "the server stops", retry_after=1.0)
            desk, self._carried = self._carried or self._desk(), None
            try:
                if not self._is_full:
                    self._answer_held(desk)
            except StoreFull as cause:
                log.error("the store has no room for the last answers", extra={"reason": str(cause)})
            except BaseException as error:
                self._refuse(desk, error)
                self._fail(error)
            self._refuse(desk, stops)
            self._refuse_all(stops)
            self._closed.set()

    def _answer_held(self, desk: Desk) -> None:
        for member in list(self._parked.values()):
            member.deadline = -math.inf
            work.claim_again(desk, member)
        batch = self._batch(desk)
        if batch is not None:
            self.store.commit(batch)
        self._deliver(desk)
        desk.replies.clear()

    def _refuse_all(self, cause: BaseException) -> None:
        refusal = _refusal(cause)
        if self._carried is not None:
            self._refuse(self._carried, cause)
        for lane in (Lane.URGENT, Lane.WORK, Lane.READ):
            while calls := self._mailbox.take(lane, DRAIN):
                for call in calls:
                    call.answer(refusal)
        for member in list(self._parked.values()):
            if member.call is not None:
                member.call.answer(refusal)
            self.unpark(member)
        for held, _ in self._takes.values():
            held.answer(refusal)
        self._takes.clear()
        self.office.refuse(refusal)


def _refusal(cause: BaseException) -> LevadaError:
    """What those are told who wait for a host that has ended."""
    return cause if isinstance(cause, SchedulerError) else Refusal("internal", "the server has ended")

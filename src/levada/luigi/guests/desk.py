"""luigid's calls of workers, carried out: sessions, tasks, grants, reports, the heartbeat.

Each handler works at a desk of the host, so that what it changes is committed before its answer goes out. A repeated call has no
second effect: Luigi's client sends a call again when its answer was lost.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..._model import messages as m
from ..._model.status import Status
from ..._server import work
from ..._server.http.port import Call
from ..._server.members import Member
from ..._wire import limits
from ..._wire.problems import Refusal
from . import requests as r
from . import tables
from .book import Book
from .granting import Granting
from .guest import Guest, session_of
from .registering import plain
from .requests import answer
from .telling import Telling

if TYPE_CHECKING:
    from ..._server.desk import Desk
    from ..._server.host import Host

Index = int
LOOK = 60.0
"""Seconds that may lie between a worker's first looks at outputs and its first word; see ``reopens``."""
LEAVE = 600.0  # seconds of silence, at least, after which a worker has gone: its protocol has no goodbye
MESSAGES = 100  # that wait for one worker
RESPONSES = 1_000  # of tasks to messages: so many are kept
log = logging.getLogger("levada.server.luigi")


class Row(NamedTuple):
    """What a task is. params: canonical text."""

    key: bytes
    family: str
    params: str
    module: str | None


class LuigiDesk:
    """The protocol at one host (``_server/guests.py`` says who calls what)."""

    routes = r.ROUTES

    def __init__(self, host: Host) -> None:
        self.host = host
        self.book = Book()
        self.guests: dict[str, Guest] = {}
        self.said: dict[Index, tables.Said] = {}  # what running tasks say of themselves
        self._responses: dict[str, Any] = {}  # to messages, by their id
        self._done_at: dict[Index, float] = {}
        self._loaded = 0.0  # the host's clock
        self._swept = 0.0
        telling, granting, read = Telling(self), Granting(self), tables.handlers(self)
        self.handlers: dict[type, Callable[[Desk, Call], bytes]] = {
            r.AddWorker: self.add_worker,
            r.AddTask: telling.add_task,
            r.AddTaskBatcher: telling.add_task_batcher,
            r.GetWork: granting.get_work,
            r.CountPending: granting.count_pending,
            r.Ping: self.ping,
            r.AnnounceSchedulingFailure: self.announce_scheduling_failure,
            r.SetTaskStatusMessage: self.set_task_status_message,
            r.SetTaskProgressPercentage: self.set_task_progress_percentage,
            r.DecreaseRunningTaskResources: _nothing,
            r.ReportTaskStatistics: _nothing,
            r.AddSchedulerMessageResponse: self.add_scheduler_message_response,
            r.GetSchedulerMessageResponse: self.get_scheduler_message_response,
            r.SendSchedulerMessage: self.send_scheduler_message,
            r.DisableWorker: self.disable_worker,
            r.SetWorkerProcesses: self.set_worker_processes,
            **read,
        }

    # -- what the host calls

    def load(self, members: Iterable[Member], marks: Iterable[tuple[int, str]]) -> None:
        """Learn what was kept; what each worker holds is the brain's to say."""
        self._loaded = self._swept = self.host.clock()
        self.book.load(marks)
        for member in members:
            guest = Guest.of(member)
            if guest is not None:
                self.guests[guest.id] = guest
        state = self.host.brain.state
        for index, holder in state.holder.items():
            guest = self.guests.get(holder)
            fence = state.fence(index)
            if guest is not None and fence is not None and state.status[index] == Status.RUNNING:
                guest.held[index] = fence

    def turn(self, desk: Desk) -> None:
        """Time has passed: who was silent for long has left."""
        now = self.host.clock()
        if now - self._swept < 10.0:
            return
        self._swept = now
        limit = max(LEAVE, 2 * self.host.rules.lease)
        for guest in [one for one in self.guests.values() if now - one.member.seen > limit]:
            self._leave(desk, guest)
        oldest = min((one.first for one in self.guests.values()), default=now)
        self._done_at = {index: at for index, at in self._done_at.items() if at > min(oldest, now) - LOOK}

    def done(self, tasks: Iterable[int]) -> None:
        """Note when tasks became done."""
        self._done_at.update(dict.fromkeys(tasks, self.host.clock()))

    def forget(self, tasks: Iterable[int]) -> None:
        """These indices are free."""
        gone = list(tasks)
        self.book.forget(gone)
        for index in gone:
            self.said.pop(index, None)
            self._done_at.pop(index, None)

    # -- sessions

    def guest(self, desk: Desk, call: Call, worker: str) -> Guest:
        """The worker that calls, known from now on. Its leases are renewed, as whatever it says shows that it lives."""
        session = session_of(call.identity.token, worker)
        guest = self.guests.get(session) or self._welcome(desk, call, worker)
        guest.member.seen = self.host.clock()
        if guest.held and guest.member.seen - guest.renewed > self.host.rules.lease / 20:
            self.renew(desk, guest)
        return guest

    def _welcome(self, desk: Desk, call: Call, worker: str) -> Guest:
        host, token = self.host, call.identity.token
        if len(host.members) >= work.SESSIONS:
            raise Refusal("busy", f"{work.SESSIONS:,} sessions are open, no more are taken", retry_after=60.0)
        member = Member(session_of(token, plain(worker, "worker")), token)
        guest = Guest(member, worker, host.clock())
        desk.handle(m.Hello(member.id))
        host.members[member.id], self.guests[member.id] = member, guest
        self.tell(desk, guest)
        self.audit(desk, call, "luigi-hello", member.id, worker)
        return guest

    def _leave(self, desk: Desk, guest: Guest) -> None:
        desk.handle(m.Bye(guest.id))
        work.leave(desk, guest.member)
        self.guests.pop(guest.id, None)

    def tell(self, desk: Desk, guest: Guest) -> None:
        """Let the session's row be written with what the worker said of itself."""
        guest.tell()
        desk.touch(guest.member)

    def audit(self, desk: Desk, call: Call, action: str, subject: str, after: str) -> None:
        """Leave a line in the audit trail."""
        who = call.identity
        desk.audit.append(self.host.office.scroll.line(desk.wall, who.token, who.address, action, subject, "", after[:200], ""))

    def add_worker(self, desk: Desk, call: Call) -> bytes:
        """What a worker says of itself."""
        asked = cast("r.AddWorker", call.request)
        guest = self.guest(desk, call, asked.worker)
        said = {str(name): value for name, value in dict(asked.info).items() if isinstance(value, (str, int, float, bool))}
        fresh = {**guest.info, **said}
        if len(fresh) > 50 or sum(len(str(value)) for value in fresh.values()) > limits.REASON:
            raise Refusal("too-large", "a worker says of itself at most 50 things in 4,096 characters")
        if fresh != guest.info:
            guest.info = fresh
            self.tell(desk, guest)
        return answer(None)

    def ping(self, desk: Desk, call: Call) -> bytes:
        """The heartbeat. A worker that was never heard of has nothing to renew."""
        asked = cast("r.Ping", call.request)
        guest = self.guests.get(session_of(call.identity.token, asked.worker))
        if guest is None:
            return answer({"rpc_messages": []})
        guest.member.seen = self.host.clock()
        if guest.held:
            self.renew(desk, guest)
        messages, guest.messages = guest.messages, []
        return answer({"rpc_messages": messages})

    def renew(self, desk: Desk, guest: Guest) -> None:
        """Extend the leases of a worker; what is lost is not held any more."""
        guest.renewed = self.host.clock()
        reply: m.RenewReply = desk.handle(m.Renew(guest.id, tuple(guest.held.items())))
        for index in reply.lost:
            log.warning("lease lost", extra={"task": self.host.registry.text(index), "worker": guest.worker})
            guest.drop(index)

    def disable_worker(self, desk: Desk, call: Call) -> bytes:
        """Grant nothing more to a worker."""
        asked = cast("r.DisableWorker", call.request)
        for guest in self._called(asked.worker):
            desk.handle(m.Drain(guest.id))
            self.audit(desk, call, "drain-worker", guest.id, asked.worker)
        return answer(None)

    def set_worker_processes(self, desk: Desk, call: Call) -> bytes:
        """Ask a worker to run so many tasks at once; it hears that with its next heartbeat."""
        asked = cast("r.SetWorkerProcesses", call.request)
        for guest in self._called(asked.worker):
            if len(guest.messages) < MESSAGES:
                guest.messages.append({"name": "set_worker_processes", "kwargs": {"n": asked.n}})
        return answer(None)

    def send_scheduler_message(self, desk: Desk, call: Call) -> bytes:
        """Say something to a task that a worker runs; it hears that with the worker's next heartbeat."""
        asked = cast("r.SendSchedulerMessage", call.request)
        _check_size(asked.content, "a message")
        message = secrets.token_hex(8)
        for guest in self._called(asked.worker):
            if len(guest.messages) < MESSAGES:
                kwargs = {"task_id": asked.task, "message_id": message, "content": asked.content}
                guest.messages.append({"name": "dispatch_scheduler_message", "kwargs": kwargs})
        return answer({"message_id": message})

    def add_scheduler_message_response(self, desk: Desk, call: Call) -> bytes:
        """What a task answers to a message."""
        asked = cast("r.AddSchedulerMessageResponse", call.request)
        _check_size(asked.response, "a response")
        if len(self._responses) >= RESPONSES:
            self._responses.pop(next(iter(self._responses)))
        self._responses[asked.message_id] = asked.response
        return answer(None)

    def get_scheduler_message_response(self, desk: Desk, call: Call) -> bytes:
        """That; None before it has."""
        asked = cast("r.GetSchedulerMessageResponse", call.request)
        return answer({"response": self._responses.get(asked.message_id)})

    def _called(self, worker: str) -> list[Guest]:
        return [guest for guest in self.guests.values() if guest.worker == worker]

    def hand_back(self, desk: Desk, guest: Guest, tasks: list[Index], reason: str = "") -> None:
        """Give granted tasks back; nothing counts against them."""
        desk.handle(m.Sync(guest.id, handed_back=[m.HandedBack(index, guest.held[index], 0.0, reason) for index in tasks]))
        for index in tasks:
            guest.drop(index)
        desk.stirred = True

    def reopens(self, guest: Guest, index: Index) -> bool:
        """May a done task start over, since the worker found it incomplete?

        When it looked is not told. It was not before its first word, but for the looks that led to that word; so only what was
        done well before then was surely done when it looked.
        """
        return self._done_at.get(index, self._loaded) < guest.first - LOOK

    def row_of(self, desk: Desk, index: Index) -> Row:
        """What a task is: as this drain will write it, else as it was written."""
        fresh = next((row for row in reversed(desk.tasks) if row.index == index), None)
        row = fresh if fresh is not None else self.host.store.tasks_at([index])[0]
        return Row(row.key, row.family, row.params, row.module)

    def name_of(self, session: m.SessionId) -> str:
        """What Luigi's people read for a session: the worker's id, or where a worker of ours runs."""
        guest, member = self.guests.get(session), self.host.members.get(session)
        if guest is not None:
            return guest.worker
        return f"Levada({member.about.get('host', '')}, pid={member.about.get('pid', 0)})" if member is not None else str(session)

    def info_of(self, session: m.SessionId) -> dict[str, Any]:
        """What a worker said of itself."""
        guest, member = self.guests.get(session), self.host.members.get(session)
        if guest is not None:
            return guest.info
        return {"host": member.about.get("host", ""), "pid": member.about.get("pid", 0)} if member is not None else {}

    # -- what running tasks say

    def set_task_status_message(self, desk: Desk, call: Call) -> bytes:
        """A line about how far a running task has come."""
        asked = cast("r.SetTaskStatusMessage", call.request)
        index = self._running_task(asked.task_id)
        if index is not None:
            self.said.setdefault(index, tables.Said()).message = (asked.status_message or "")[: limits.REASON]
        return answer(None)

    def set_task_progress_percentage(self, desk: Desk, call: Call) -> bytes:
        """How far a running task has come."""
        asked = cast("r.SetTaskProgressPercentage", call.request)
        index = self._running_task(asked.task_id)
        if index is not None:
            self.said.setdefault(index, tables.Said()).progress = asked.progress_percentage
        return answer(None)

    def _running_task(self, task: str) -> Index | None:
        index = self.book.index_of.get(task)
        return index if index is not None and self.host.brain.state.status[index] == Status.RUNNING else None

    def announce_scheduling_failure(self, desk: Desk, call: Call) -> bytes:
        """A task could not even be registered; the worker's own log has it all."""
        asked = cast("r.AnnounceSchedulingFailure", call.request)
        log.warning("could not be scheduled", extra={"task": asked.task_name[:200], "worker": asked.worker})
        return answer(None)


def _check_size(said: Any, what: str) -> None:
    """Raises Refusal for what is too large to be kept in memory until somebody asks for it."""
    if len(answer(said)) > limits.TEXT:
        raise Refusal("too-large", f"{what} has more than {limits.TEXT:,} bytes")


def _nothing(desk: Desk, call: Call) -> bytes:
    """A call whose meaning has no place here."""
    return answer(None)

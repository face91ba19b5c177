"""luigid's calls of workers, carried out: sessions, tasks, grants, reports, the heartbeat.

Each handler works at a desk of the host, so that what it changes is committed before its answer goes out. A repeated call has no
second effect: Luigi's client sends a call again when its answer was lost.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ..._model import messages as m
from ..._model.messages import Fence
from ..._model.spec import Growth
from ..._model.status import ExitClass, Status
from ..._server import work
from ..._server.http.port import Call
from ..._server.members import Member
from ..._wire import limits
from ..._wire import messages as w
from ..._wire.problems import Refusal
from . import requests as r
from . import tables
from .book import Book, Entry
from .ending import Ended, ending
from .guest import Guest, session_of
from .identity import Significant, id_of
from .registering import Named, batch_group, named, policy_of, priority

if TYPE_CHECKING:
    from ..._server.desk import Desk
    from ..._server.host import Host

Index = int
LOOK = 60.0
"""Seconds that may lie between a worker's first looks at outputs and its first word; see ``_reopens``."""
LEAVE = 600.0  # seconds of silence, at least, after which a worker has gone: its protocol has no goodbye
TOLD = 100  # running tasks of others that a worker is told of
LOOKED_AT = 2_000  # leases that are looked at for them
MESSAGES = 100  # that wait for one worker
RESPONSES = 1_000  # of tasks to messages: so many are kept
BATCHERS = 1_000  # families of one worker
_LIVE = (Status.WAITING, Status.READY, Status.RETRYING)
_ENDED_BADLY = (Status.FAILED, Status.DISABLED, Status.CANCELLED)
_encode = msgspec.json.Encoder().encode
log = logging.getLogger("levada.server.luigi")


def answer(response: Any) -> bytes:
    """An answer of luigid."""
    return _encode({"response": response})


class LuigiDesk:
    """The protocol at one host (``_server/guests.py`` says who calls what)."""

    routes = r.ROUTES

    def __init__(self, host: Host) -> None:
        self.host = host
        self.book = Book()
        self.guests: dict[str, Guest] = {}
        self.said: dict[Index, tables.Said] = {}  # what running tasks say of themselves
        self._responses: dict[str, Any] = {}  # to messages, by their id
        self._significant = Significant()
        self._done_at: dict[Index, float] = {}
        self._loaded = 0.0  # the host's clock
        self._swept = 0.0
        read = tables.handlers(self)
        self.handlers: dict[type, Callable[[Desk, Call], bytes]] = {
            r.AddWorker: self.add_worker,
            r.AddTask: self.add_task,
            r.AddTaskBatcher: self.add_task_batcher,
            r.GetWork: self.get_work,
            r.CountPending: self.count_pending,
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
        member = Member(session_of(token, worker), token)
        guest = Guest(member, worker, host.clock())
        desk.handle(m.Hello(member.id))
        host.members[member.id], self.guests[member.id] = member, guest
        self._tell(desk, guest)
        self.audit(desk, call, "luigi-hello", member.id, worker)
        return guest

    def _leave(self, desk: Desk, guest: Guest) -> None:
        desk.handle(m.Bye(guest.id))
        work.leave(desk, guest.member)
        self.guests.pop(guest.id, None)

    def _tell(self, desk: Desk, guest: Guest) -> None:
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
            self._tell(desk, guest)
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
        message = secrets.token_hex(8)
        for guest in self._called(asked.worker):
            if len(guest.messages) < MESSAGES:
                kwargs = {"task_id": asked.task, "message_id": message, "content": asked.content}
                guest.messages.append({"name": "dispatch_scheduler_message", "kwargs": kwargs})
        return answer({"message_id": message})

    def add_scheduler_message_response(self, desk: Desk, call: Call) -> bytes:
        """What a task answers to a message."""
        asked = cast("r.AddSchedulerMessageResponse", call.request)
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

    # -- tasks

    def add_task_batcher(self, desk: Desk, call: Call) -> bytes:
        """Which parameters of a family a worker can take several of."""
        asked = cast("r.AddTaskBatcher", call.request)
        guest = self.guest(desk, call, asked.worker)
        batcher = (list(asked.batched_args), max(1, int(min(asked.max_batch_size or 2**31, 2**31))))
        if len(guest.batchers) < BATCHERS and guest.batchers.get(asked.task_family) != batcher:
            guest.batchers[asked.task_family] = batcher
            self._tell(desk, guest)
        return answer(None)

    def add_task(self, desk: Desk, call: Call) -> bytes:
        """What a worker says of a task: that it wants it, that it was complete, how its attempt ended."""
        asked = cast("r.AddTask", call.request)
        guest = self.guest(desk, call, asked.worker)
        if asked.batch_id is not None and asked.status == "RUNNING":
            self._begin_batch(desk, guest, asked)
        elif asked.task_id in guest.batches:
            self._report(desk, guest, asked, guest.members_of(asked.task_id))
            del guest.batches[asked.task_id]
            self._tell(desk, guest)
        else:
            index = self._index(asked)
            if index is not None and index in guest.held:
                self._of_running(desk, guest, asked, index)
            elif asked.runnable is None:
                self._late(desk, guest, asked, index)
            elif asked.family and asked.status != "RUNNING" and not (asked.status == "FAILED" and not asked.runnable):
                self._register(desk, guest, asked)
        return answer(None)

    def _index(self, asked: r.AddTask) -> Index | None:
        """The task that is spoken of, where it is known: by its id, else by what it is."""
        index = self.book.index_of.get(asked.task_id)
        if index is None and asked.family and asked.params is not None:
            return self.host.registry.index_of.get(named(asked, self._significant).key)
        return index

    def _of_running(self, desk: Desk, guest: Guest, asked: r.AddTask, index: Index) -> None:
        """Of a task that the worker runs: how it ended, or where to look at it meanwhile."""
        if asked.status in ("DONE", "FAILED") or asked.new_deps:
            self._report(desk, guest, asked, [index])
        elif asked.tracking_url is not None:
            self.said.setdefault(index, tables.Said()).tracking_url = asked.tracking_url

    def _late(self, desk: Desk, guest: Guest, asked: r.AddTask, index: Index | None) -> None:
        """A report about a task that the worker does not hold any more; that it is done counts where nobody runs it by now."""
        state = self.host.brain.state
        if index is not None and asked.status == "DONE" and state.status[index] in _LIVE:
            desk.handle(m.Sync(guest.id, found_complete=[index]))
        elif index is None or state.status[index] != Status.DONE:
            log.warning("late report", extra={"task": asked.task_id, "status": asked.status, "worker": guest.worker})

    def _register(self, desk: Desk, guest: Guest, asked: r.AddTask) -> None:
        task = named(asked, self._significant)
        known = self.host.registry.index_of.get(task.key)
        if known is not None and known in guest.held:
            return
        wants = asked.status in ("PENDING", "SUSPENDED")
        needs, unknown = self._requirements(asked.deps or ())
        reopen = wants and known is not None and self._reopens(guest, known)
        if known is None or reopen or (wants and asked.runnable):  # what it cannot run itself it does not join
            policy, item, growth = self._item(guest, asked, task, needs, closed=wants and bool(asked.runnable) and not unknown)
            told = w.AddTasks(guest.id, 1, [policy], [item], [growth] if wants else [], reopen=reopen)
            work.enter(desk, guest.member, told)
        desk.stirred = True
        index = self.host.registry.index_of[task.key]
        if wants and index in self.host.brain.state.open:
            self.book.expect(index, unknown)
        entry = Entry(asked.task_id, task.params, task.hidden, asked.module, tuple(unknown))
        if self.book.note(index, entry):
            desk.marks[index] = entry.text()
        if asked.status == "DONE":
            self._found(desk, guest, index)
        self._grow(desk, guest, index)

    def _found(self, desk: Desk, guest: Guest, index: Index) -> None:
        """A worker saw it complete. Of an invalidated task that counts where nobody could be granted it, to look again."""
        state = self.host.brain.state
        desk.handle(m.Sync(guest.id, found_complete=[index]))
        if state.status[index] == Status.WAITING and index in state.open:
            desk.handle(m.MarkDone(index))

    def _item(
        self, guest: Guest, asked: r.AddTask, task: Named, needs: list[Index], *, closed: bool
    ) -> tuple[w.PolicySpec, w.TaskItem, w.GrowthItem]:
        batched, most = guest.batchers.get(task.family, (None, 1)) if asked.batchable else (None, 1)
        module = asked.module if asked.module and asked.module != "__main__" else None
        key, registry = task.key.hex(), self.host.registry
        return (
            policy_of(asked, task.family, most),
            w.TaskItem(key, 0, task.text, module, priority(asked), None if batched is None else batch_group(asked, task.family, batched)),
            w.GrowthItem(key, "".join(registry.texts(needs)), closed),
        )

    def _requirements(self, names: Iterable[str]) -> tuple[list[Index], list[str]]:
        """Requirements that are known, and ids of the others."""
        known, unknown = [], []
        for name in dict.fromkeys(names):
            index = self.book.index_of.get(name)
            if index is None:
                unknown.append(name)
            else:
                known.append(index)
        return known, unknown

    def _grow(self, desk: Desk, guest: Guest, index: Index) -> None:
        """A task is known now: those that were told to require it get it."""
        state = self.host.brain.state
        growth = [
            Growth(waiting, [index], last)
            for waiting, last in self.book.came(self.book.entries[index].id)
            if waiting in state.open and waiting != index
        ]
        if growth:
            desk.handle(m.AddTasks(guest.id, [], growth))

    def _reopens(self, guest: Guest, index: Index) -> bool:
        """May a done task start over, since the worker found it incomplete?

        When it looked is not told. It was not before its first word, but for the looks that led to that word; so only what was
        done well before then was surely done when it looked.
        """
        return self._done_at.get(index, self._loaded) < guest.first - LOOK

    # -- grants

    def get_work(self, desk: Desk, call: Call) -> bytes:
        """Leave to run one task, or a batch of them. What the worker holds and does not run, it has not heard of: it is told again."""
        asked = cast("r.GetWork", call.request)
        guest = self.guest(desk, call, asked.worker)
        if asked.assistant:
            self._offer(desk, guest)
        again = self._unheard(desk, guest, asked.current_tasks)
        if again is not None:
            return answer({**self._outlook(desk, guest, quiet=True), **self._one(again)})
        room = 0 if self.host.held_until else 1
        reply: m.SyncReply = desk.handle(m.Sync(guest.id, room=room))
        if not reply.granted:
            return answer({**self._outlook(desk, guest), "task_id": None})
        grant = reply.granted[0]
        crew = self._crew(desk, guest, grant)
        for one in (grant, *crew):
            guest.held[one.index], guest.started[one.index] = one.fence, desk.wall
        told = self._batch(desk, guest, [one.index for one in (grant, *crew)]) if crew else self._one(grant.index)
        return answer({**self._outlook(desk, guest, quiet=True), **told})

    def _offer(self, desk: Desk, guest: Guest) -> None:
        """An assistant of Luigi imports whatever module it is told: it offers all that Luigi's workers have named."""
        offered: list[str] = []
        size = 0
        for name in self.book.modules:
            size += len(name)
            if size > work.MODULES or len(offered) == limits.LABELS:
                break
            offered.append(name)
        if offered == guest.member.modules:
            return
        work.count_modules(self.host, guest.member, offered)
        guest.member.about["modules"] = offered
        desk.handle(m.Hello(guest.id, tuple(offered)))
        self._tell(desk, guest)

    def _unheard(self, desk: Desk, guest: Guest, current: list[str] | None) -> Index | None:
        """A task that the worker was granted and does not know of. A batch that it never took up goes back."""
        if current is None or not guest.held:
            return None
        runs = {self.book.index_of.get(name) for name in current}
        for name in current:
            runs.update(guest.batches.get(name, ()))
        offered = {index for batch in guest.offers.values() for index in batch}
        if offered:
            guest.offers.clear()
            self._hand_back(desk, guest, [index for index in guest.held if index in offered - runs])
            self._tell(desk, guest)
        return next((index for index in guest.held if index not in runs), None)

    def _hand_back(self, desk: Desk, guest: Guest, tasks: list[Index], reason: str = "") -> None:
        desk.handle(m.Sync(guest.id, handed_back=[m.HandedBack(index, guest.held[index], 0.0, reason) for index in tasks]))
        for index in tasks:
            guest.drop(index)
        desk.stirred = True

    def _crew(self, desk: Desk, guest: Guest, grant: m.Grant) -> list[m.Grant]:
        """Further tasks of the grant, where the worker can run several as one; else they go back."""
        if not grant.batch:
            return []
        family = self.host.brain.state.policy_of(grant.index).family
        if family in guest.batchers and all(one.index in self.book.entries for one in (grant, *grant.batch)):
            return list(grant.batch)
        back = [m.HandedBack(one.index, one.fence) for one in grant.batch]
        desk.handle(m.Sync(guest.id, handed_back=back))
        return []

    def _one(self, index: Index) -> dict[str, Any]:
        """A granted task in Luigi's words."""
        entry, family = self.book.entries.get(index), self.host.brain.state.policy_of(index).family
        if entry is None:  # registered by a worker of ours alone
            (row,) = self.host.store.tasks_at([index])
            texts = json.loads(row.params)
            self.book.note(index, entry := Entry(id_of(row.family, texts), texts, (), row.module, ()))
        return {"task_id": entry.id, "task_family": family, "task_module": entry.module, "task_params": entry.params}

    def _batch(self, desk: Desk, guest: Guest, tasks: list[Index]) -> dict[str, Any]:
        """Several tasks as one, in Luigi's words: lists of texts for the parameters that it can take several of."""
        told, entries = self._one(tasks[0]), [self.book.entries[index] for index in tasks]
        lists = {name: [one.params.get(name) for one in entries] for name in guest.batchers[told["task_family"]][0]}
        first = guest.held[tasks[0]]
        batch = f"{self.host.registry.text(tasks[0])}-{first.epoch}-{first.number}"
        guest.offers[batch] = tasks
        self._tell(desk, guest)
        more = {"batch_id": batch, "batch_task_ids": [one.id for one in entries]}
        return {**told, "task_id": None, "task_params": {**told["task_params"], **lists}, **more}

    def _begin_batch(self, desk: Desk, guest: Guest, asked: r.AddTask) -> None:
        """The worker has named the task that does the work of a batch."""
        tasks = guest.offers.pop(asked.batch_id or "", None)
        if tasks is not None:
            guest.batches[asked.task_id] = tasks
            self._tell(desk, guest)

    # -- reports

    def _report(self, desk: Desk, guest: Guest, asked: r.AddTask, tasks: list[Index]) -> None:
        """How attempts ended. A fence that is not the newest any more counts nothing."""
        if asked.new_deps:
            self._yielded(desk, guest, asked, tasks)
            return
        held = [(index, guest.held[index]) for index in tasks]
        if asked.status == "DONE":
            reply: m.SyncReply = desk.handle(m.Sync(guest.id, done=held))
            ended = Ended(ExitClass.OK, "", ())
        else:
            ended = ending(asked.expl)
            failed = [
                m.Failed(index, fence, ended.exit, ended.errors, _draw(self.host.registry.keys[index], fence)) for index, fence in held
            ]
            reply = desk.handle(m.Sync(guest.id, failed=failed))
        for index, _ in held:
            if index not in reply.lost:
                self._remember(desk, guest, index, ended)
            guest.drop(index)
            self.said.pop(index, None)
        desk.stirred = True

    def _yielded(self, desk: Desk, guest: Guest, asked: r.AddTask, tasks: list[Index]) -> None:
        """``run`` asked for more, which was told before: the tasks go back, and wait for it."""
        needs, unknown = self._requirements(asked.new_deps or ())
        if unknown:
            log.warning("requirements that were never told", extra={"task": asked.task_id, "requirements": unknown[:10]})
        state = self.host.brain.state
        growth = []
        for index in tasks:
            known = set(state.edges.requirements(index))
            growth.append(Growth(index, [one for one in needs if one not in known and one != index]))
        desk.handle(m.AddTasks(guest.id, [], growth))
        self._hand_back(desk, guest, tasks, "run() asked for more requirements")

    def _remember(self, desk: Desk, guest: Guest, index: Index, ended: Ended) -> None:
        """The attempt, for the history."""
        host = self.host
        rows = host.store.tasks_at([index]) or [row for row in desk.tasks if row.index == index]
        if not rows:
            return
        row, started = rows[0], guest.started.get(index, desk.wall)
        desk.attempts.append(
            (
                row.key, row.family, row.params, max(1, host.brain.state.attempts(index)), started, max(0.0, desk.wall - started),
                ended.exit.value, ended.error, "", 0.0, 0, guest.worker,
            )
        )  # fmt: skip

    # -- what there is to do

    def count_pending(self, desk: Desk, call: Call) -> bytes:
        """How much is left for a worker."""
        guest = self.guest(desk, call, cast("r.CountPending", call.request).worker)
        return answer(self._outlook(desk, guest))

    def _outlook(self, desk: Desk, guest: Guest, *, quiet: bool = False) -> dict[str, Any]:
        """Counts for a worker that asks whether to stay. quiet: it has something to do, and looks at none of them.

        What cannot move any more, since something that it needs has failed, is not pending: a worker would wait for it in vain.
        """
        state = self.host.brain.state
        session = state.sessions[guest.id]
        told = {"worker_state": "disabled" if session.draining else "active"}
        if quiet:
            return {**told, "n_pending_tasks": 1, "n_unique_pending": 0, "n_pending_last_scheduled": 0, "running_tasks": []}
        unfinished, active = self.host.brain.outlook(guest.id)
        counts = [work.counts_of(desk, number) for number in session.groups]
        total = [sum(column) for column in zip(*counts, strict=True)] or [0] * len(Status)
        pending = unfinished - total[Status.RUNNING]
        if not active and any(total[status] for status in _ENDED_BADLY):
            pending = 0
        alone = (work.counts_of(desk, number) for number in session.groups if len(state.groups[number].sessions) == 1)
        unique = min(pending, sum(sum(counts[status] for status in _LIVE) for counts in alone))
        return {
            **told,
            "n_pending_tasks": pending,
            "n_unique_pending": unique,
            "n_pending_last_scheduled": pending,
            "running_tasks": list(self._running(guest)),
        }

    def _running(self, guest: Guest) -> Iterator[dict[str, Any]]:
        """Tasks of the worker's that somebody runs now; a hundred of them at most."""
        state = self.host.brain.state
        groups, told = set(state.sessions[guest.id].groups), 0
        for index, holder in islice(state.holder.items(), LOOKED_AT):
            entry = self.book.entries.get(index)
            if entry is not None and state.group[index] in groups and state.status[index] == Status.RUNNING and told < TOLD:
                told += 1
                yield {**self.info_of(holder), "task_id": entry.id, "worker": self.name_of(holder)}

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


def _nothing(desk: Desk, call: Call) -> bytes:
    """A call whose meaning has no place here."""
    return answer(None)


def _draw(key: bytes, fence: Fence) -> float:
    """In [0, 1), from key and attempt, so that retries spread and a world replays."""
    digest = blake2b(key + fence.number.to_bytes(8, "big"), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56

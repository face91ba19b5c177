"""What workers of Luigi say of tasks: that they want them, that they were complete, how their attempts ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

from ..._model import messages as m
from ..._model.messages import Fence
from ..._model.spec import Growth
from ..._model.status import ExitClass, Status
from ..._server import work
from ..._wire import messages as w
from . import requests as r
from . import tables
from .book import Entry
from .ending import Ended, ending
from .guest import Guest
from .identity import Significant
from .registering import Named, batch_group, named, policy_of, priority
from .requests import answer

if TYPE_CHECKING:
    from ..._server.desk import Desk
    from ..._server.http.port import Call
    from .desk import LuigiDesk

Index = int
BATCHERS = 1_000  # families of one worker
_LIVE = (Status.WAITING, Status.READY, Status.RETRYING)
log = logging.getLogger("levada.server.luigi")


class Telling:
    """``add_task`` and its kin at one host."""

    def __init__(self, luigi: LuigiDesk) -> None:
        self.luigi, self.host, self.book = luigi, luigi.host, luigi.book
        self._significant = Significant()

    def add_task_batcher(self, desk: Desk, call: Call) -> bytes:
        """Which parameters of a family a worker can take several of."""
        asked = cast("r.AddTaskBatcher", call.request)
        guest = self.luigi.guest(desk, call, asked.worker)
        batcher = (list(asked.batched_args), max(1, int(min(asked.max_batch_size or 2**31, 2**31))))
        if len(guest.batchers) < BATCHERS and guest.batchers.get(asked.task_family) != batcher:
            guest.batchers[asked.task_family] = batcher
            self.luigi.tell(desk, guest)
        return answer(None)

    def add_task(self, desk: Desk, call: Call) -> bytes:
        """What a worker says of a task: that it wants it, that it was complete, how its attempt ended."""
        asked = cast("r.AddTask", call.request)
        guest = self.luigi.guest(desk, call, asked.worker)
        if asked.batch_id is not None and asked.status == "RUNNING":
            self._begin_batch(desk, guest, asked)
        elif asked.task_id in guest.batches:
            self._report(desk, guest, asked, guest.members_of(asked.task_id))
            del guest.batches[asked.task_id]
            self.luigi.tell(desk, guest)
        else:
            index = self._index(guest, asked)
            if index is not None and index in guest.held:
                self._of_running(desk, guest, asked, index)
            elif asked.runnable is None:
                self._late(desk, guest, asked, index)
            elif asked.family and asked.status != "RUNNING" and not (asked.status == "FAILED" and not asked.runnable):
                self._register(desk, guest, asked)
        return answer(None)

    def _index(self, guest: Guest, asked: r.AddTask) -> Index | None:
        """The task that is spoken of, where it is known: by its id, else by what it is. Of several by one id, that which it holds."""
        index = self.book.index_of.get(asked.task_id)
        if index not in guest.held:
            entries = self.book.entries
            held = (one for one in guest.held if (entry := entries.get(one)) is not None and entry.id == asked.task_id)
            index = next(held, index)
        if index is None and asked.family and asked.params is not None:
            return self.host.registry.index_of.get(named(asked, self._significant).key)
        return index

    def _of_running(self, desk: Desk, guest: Guest, asked: r.AddTask, index: Index) -> None:
        """Of a task that the worker runs: how it ended, or where to look at it meanwhile."""
        if asked.status in ("DONE", "FAILED") or asked.new_deps:
            self._report(desk, guest, asked, [index])
        elif asked.tracking_url is not None:
            self.luigi.said.setdefault(index, tables.Said()).tracking_url = asked.tracking_url

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
        reopen = wants and known is not None and self.luigi.reopens(guest, known)
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

    def _begin_batch(self, desk: Desk, guest: Guest, asked: r.AddTask) -> None:
        """The worker has named the task that does the work of a batch."""
        tasks = guest.offers.pop(asked.batch_id or "", None)
        if tasks is not None:
            guest.batches[asked.task_id] = tasks
            self.luigi.tell(desk, guest)

    # -- reports

    def _report(self, desk: Desk, guest: Guest, asked: r.AddTask, tasks: list[Index]) -> None:
        """How attempts ended. A fence that is not the newest any more counts nothing."""
        if asked.new_deps:
            self._yielded(desk, guest, asked, tasks)
            return
        held = [(index, guest.held[index]) for index in tasks]
        if asked.status == "DONE":
            reply: m.SyncReply = desk.handle(m.Sync(guest.id, done=held))
            ended = Ended(ExitClass.OK)
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
            self.luigi.said.pop(index, None)
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
        self.luigi.hand_back(desk, guest, tasks, "run() asked for more requirements")

    def _remember(self, desk: Desk, guest: Guest, index: Index, ended: Ended) -> None:
        """The attempt, for the history."""
        host = self.host
        row, started = self.luigi.row_of(desk, index), guest.started.get(index, desk.wall)
        desk.attempts.append(
            (
                row.key, row.family, row.params, max(1, host.brain.state.attempts(index)), started, max(0.0, desk.wall - started),
                ended.exit.value, ended.error, ended.fingerprint, 0.0, 0, guest.worker,
            )
        )  # fmt: skip


def _draw(key: bytes, fence: Fence) -> float:
    """In [0, 1), from key and attempt, so that retries spread and a world replays."""
    digest = blake2b(key + fence.number.to_bytes(8, "big"), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56

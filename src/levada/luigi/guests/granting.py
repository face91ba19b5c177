"""What workers of Luigi are granted, and what they are told of the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from ..._model import messages as m
from ..._model.status import Status
from ..._server import work
from ..._wire import limits
from . import requests as r
from .book import Entry
from .guest import Guest
from .identity import id_of
from .requests import answer

if TYPE_CHECKING:
    from ..._server.desk import Desk
    from ..._server.http.port import Call
    from .desk import LuigiDesk

Index = int
TOLD = 100  # running tasks of others that a worker is told of
LOOKED_AT = 2_000  # leases that are looked at for them
_LIVE = (Status.WAITING, Status.READY, Status.RETRYING)
_ENDED_BADLY = (Status.FAILED, Status.DISABLED, Status.CANCELLED)


class Granting:
    """``get_work`` and ``count_pending`` at one host."""

    def __init__(self, luigi: LuigiDesk) -> None:
        self.luigi, self.host, self.book = luigi, luigi.host, luigi.book

    def get_work(self, desk: Desk, call: Call) -> bytes:
        """Leave to run one task, or a batch of them. What the worker holds and does not run, it has not heard of: it is told again."""
        asked = cast("r.GetWork", call.request)
        guest = self.luigi.guest(desk, call, asked.worker)
        if asked.assistant:
            self._offer(desk, guest)
        again = self._unheard(desk, guest, asked.current_tasks)
        if again is not None:
            return answer({**self._outlook(desk, guest, quiet=True), **self._one(desk, again)})
        room = 0 if self.host.held_until else 1
        reply: m.SyncReply = desk.handle(m.Sync(guest.id, room=room))
        if not reply.granted:
            return answer({**self._outlook(desk, guest), "task_id": None})
        grant = reply.granted[0]
        crew = self._crew(desk, guest, grant)
        for one in (grant, *crew):
            guest.held[one.index], guest.started[one.index] = one.fence, desk.wall
        told = self._batch(desk, guest, [one.index for one in (grant, *crew)]) if crew else self._one(desk, grant.index)
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
        self.luigi.tell(desk, guest)

    def _unheard(self, desk: Desk, guest: Guest, current: list[str] | None) -> Index | None:
        """A task that the worker was granted and does not know of. A batch that it never took up goes back."""
        if current is None or not guest.held:
            return None
        names = frozenset(current)
        runs = {index for index in guest.held if (entry := self.book.entries.get(index)) is not None and entry.id in names}
        for name in current:
            runs.update(guest.batches.get(name, ()))
        offered = {index for batch in guest.offers.values() for index in batch}
        if offered:
            guest.offers.clear()
            self.luigi.hand_back(desk, guest, [index for index in guest.held if index in offered - runs])
            self.luigi.tell(desk, guest)
        return next((index for index in guest.held if index not in runs), None)

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

    def _one(self, desk: Desk, index: Index) -> dict[str, Any]:
        """A granted task in Luigi's words."""
        entry, family = self.book.entries.get(index), self.host.brain.state.policy_of(index).family
        if entry is None:  # registered by a worker of ours alone
            row = self.luigi.row_of(desk, index)
            texts = json.loads(row.params)
            self.book.note(index, entry := Entry(id_of(row.family, texts), texts, (), row.module, ()))
        return {"task_id": entry.id, "task_family": family, "task_module": entry.module, "task_params": entry.params}

    def _batch(self, desk: Desk, guest: Guest, tasks: list[Index]) -> dict[str, Any]:
        """Several tasks as one, in Luigi's words: lists of texts for the parameters that it can take several of."""
        told, entries = self._one(desk, tasks[0]), [self.book.entries[index] for index in tasks]
        lists = {name: [one.params.get(name) for one in entries] for name in guest.batchers[told["task_family"]][0]}
        first = guest.held[tasks[0]]
        batch = f"{self.host.registry.text(tasks[0])}-{first.epoch}-{first.number}"
        guest.offers[batch] = tasks
        self.luigi.tell(desk, guest)
        more = {"batch_id": batch, "batch_task_ids": [one.id for one in entries]}
        return {**told, "task_id": None, "task_params": {**told["task_params"], **lists}, **more}

    # -- what there is to do

    def count_pending(self, desk: Desk, call: Call) -> bytes:
        """How much is left for a worker."""
        guest = self.luigi.guest(desk, call, cast("r.CountPending", call.request).worker)
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
                yield {**self.luigi.info_of(holder), "task_id": entry.id, "worker": self.luigi.name_of(holder)}

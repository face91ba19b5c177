"""What Luigi's tools read, and what its operators say: lists of tasks, graphs, workers, resources. Bounded, like every page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast

from ..._model import messages as m
from ..._model.status import Status
from ..._wire.problems import Refusal
from . import requests as r
from .book import public
from .identity import id_of
from .registering import plain
from .requests import answer

if TYPE_CHECKING:
    from ..._server.desk import Desk
    from ..._server.http.port import Call
    from .desk import LuigiDesk

Index = int
SHOWN = 1_000  # tasks of one answer
UNSET = 1  # total of a resource that nobody has set
SEARCHED = 2_000  # tasks whose parameters one search looks at
LOOKED_AT = 50_000  # ids
ASKED = 5_000  # rows of the store
PENDING, RUNNING, DONE, FAILED, DISABLED = "PENDING", "RUNNING", "DONE", "FAILED", "DISABLED"
WORDS = {
    Status.WAITING: PENDING,
    Status.READY: PENDING,
    Status.RETRYING: FAILED,
    Status.RUNNING: RUNNING,
    Status.DONE: DONE,
    Status.FAILED: FAILED,
    Status.DISABLED: DISABLED,
    Status.CANCELLED: DISABLED,
}
"""Luigi's words for our statuses. What failed and is tried again is FAILED to Luigi."""


class Said:
    """What a running task says of itself; for people, kept in memory."""

    __slots__ = ("message", "progress", "tracking_url")

    def __init__(self) -> None:
        self.message = ""
        self.progress: float | None = None
        self.tracking_url: str | None = None


def handlers(desk_of: LuigiDesk) -> dict[type, Callable[[Desk, Call], bytes]]:
    """By the type of the request."""
    tables = Tables(desk_of)
    return {
        r.GetTaskStatusMessage: tables.status_message,
        r.GetTaskProgressPercentage: tables.progress,
        r.FetchError: tables.fetch_error,
        r.TaskList: tables.task_list,
        r.TaskSearch: tables.task_search,
        r.Graph: tables.graph,
        r.DepGraph: tables.dep_graph,
        r.WorkerList: tables.worker_list,
        r.ResourceList: tables.resource_list,
        r.IsPaused: lambda desk, call: answer({"paused": desk.host.brain.state.paused}),
        r.IsPauseEnabled: lambda desk, call: answer({"enabled": True}),
        r.HasTaskHistory: lambda desk, call: answer(False),
        r.Pause: tables.pausing(True),
        r.Unpause: tables.pausing(False),
        r.UpdateResource: tables.update_resource,
        r.ForgiveFailures: tables.on_task(m.Forgive, "forgive"),
        r.MarkAsDone: tables.on_task(m.MarkDone, "mark-done"),
        r.ReEnableTask: tables.on_task(m.RetryTask, "retry"),
    }


def _statuses(word: str) -> frozenset[int]:
    return frozenset(int(status) for status, said in WORDS.items() if not word or said == word)


class Tables:
    """Pages about one host."""

    def __init__(self, luigi: LuigiDesk) -> None:
        self._luigi = luigi
        self._book = luigi.book

    # -- tasks

    def _shown(self, desk: Desk, tasks: Iterable[Index], *, deps: bool) -> dict[str, dict[str, Any]]:
        """Tasks by id, as Luigi's visualiser wants them."""
        state = desk.host.brain.state
        chosen = list(tasks)
        edges = {index: list(islice(dict.fromkeys(state.edges.requirements(index)), SHOWN)) for index in chosen} if deps else {}
        names = self._names(desk, dict.fromkeys([*chosen, *chain.from_iterable(edges.values())]))
        shown: dict[str, dict[str, Any]] = {}
        for index in chosen:
            policy = state.policy_of(index)
            name, params = names.get(index, ("", {}))
            if not name:
                continue
            said, holder = self._luigi.said.get(index, Said()), state.holder.get(index)
            runs = state.status[index] == Status.RUNNING and holder is not None
            shown[name] = {
                "display_name": f"{policy.family}({', '.join(f'{key}={value}' for key, value in sorted(params.items()))})",
                "name": policy.family,
                "params": params,
                "status": WORDS[Status(state.status[index])],
                "priority": state.own_priority.get(index, 0),
                "resources": dict(policy.resources),
                "resources_running": dict(policy.resources) if runs else None,
                "workers": [self._luigi.name_of(one) for one in list(state.groups[state.group[index]].sessions)[:20]],
                "worker_running": self._luigi.name_of(holder) if runs and holder is not None else None,
                "time_running": None,
                "start_time": 0.0,
                "last_updated": 0.0,
                "tracking_url": said.tracking_url,
                "status_message": said.message or None,
                "progress_percentage": said.progress,
            }
            if deps:
                shown[name]["deps"] = [names[one][0] for one in edges[index] if one in names]
        return shown

    def _names(self, desk: Desk, tasks: Iterable[Index]) -> dict[Index, tuple[str, dict[str, Any]]]:
        """Ids and public parameters: of what Luigi's workers told by their words, of the rest by one question to the store."""
        found, others = {}, []
        for index in tasks:
            entry = self._book.entries.get(index)
            if entry is None:
                others.append(index)
            else:
                found[index] = entry.id, public(entry.params, entry.hidden)
        for row in desk.host.store.tasks_at(others[:ASKED]):
            params = json.loads(row.params)
            found[row.index] = id_of(row.family, params), params
        return found

    def _count(self, desk: Desk, word: str) -> int:
        """How many tasks stand so; counters, no look at tasks."""
        counts = desk.host.brain.state.counts
        return sum(counts[status] for status in _statuses(word))

    def _having(self, desk: Desk, word: str, most: int) -> list[Index]:
        """The first tasks of a status in Luigi's words, of any for an empty one."""
        wanted = _statuses(word)
        marks = bytes(desk.host.brain.state.status).translate(bytes(status in wanted for status in range(256)))
        found: list[Index] = []
        index = marks.find(1)
        while index >= 0 and len(found) < most:
            found.append(index)
            index = marks.find(1, index + 1)
        return found

    def task_list(self, desk: Desk, call: Call) -> bytes:
        """Tasks of a status; their number alone where they are too many."""
        asked = cast("r.TaskList", call.request)
        most = min(asked.max_shown_tasks or SHOWN, SHOWN)
        if not asked.search:
            count = self._count(desk, asked.status)
            return answer({"num_tasks": count} if count > most else self._shown(desk, self._having(desk, asked.status, most), deps=False))
        terms = asked.search.casefold().split()
        shown = self._shown(desk, self._having(desk, asked.status, SEARCHED), deps=False)
        kept = {name: row for name, row in shown.items() if all(term in row["display_name"].casefold() for term in terms)}
        return answer({"num_tasks": len(kept)} if len(kept) > most else kept)

    def task_search(self, desk: Desk, call: Call) -> bytes:
        """Tasks whose id holds a text, by status."""
        text = cast("r.TaskSearch", call.request).task_str
        found = [index for name, index in islice(self._book.index_of.items(), LOOKED_AT) if text in name][:SHOWN]
        by_status: dict[str, dict[str, Any]] = {}
        for name, row in self._shown(desk, found, deps=False).items():
            by_status.setdefault(row["status"], {})[name] = row
        return answer(by_status)

    def graph(self, desk: Desk, call: Call) -> bytes:
        """All tasks with their requirements, up to a thousand of them."""
        return answer(self._shown(desk, self._having(desk, "", SHOWN), deps=True))

    def dep_graph(self, desk: Desk, call: Call) -> bytes:
        """A task and what it requires, the nearest first."""
        asked, state = cast("r.DepGraph", call.request), desk.host.brain.state
        root = self._book.index_of.get(asked.task_id)
        seen: dict[Index, None] = {} if root is None else {root: None}
        for index in (queue := list(seen)):
            for required in state.edges.requirements(index):
                if required not in seen and len(seen) < SHOWN and (asked.include_done or state.status[required] != Status.DONE):
                    seen[required] = None
                    queue.append(required)
        return answer(self._shown(desk, seen, deps=True))

    def _of(self, task: str) -> Index | None:
        return self._book.index_of.get(task)

    def status_message(self, desk: Desk, call: Call) -> bytes:
        """What a running task says."""
        task = cast("r.OfTask", call.request).task_id
        index = self._of(task)
        return answer({"taskId": task, "statusMessage": "" if index is None else self._luigi.said.get(index, Said()).message})

    def progress(self, desk: Desk, call: Call) -> bytes:
        """How far a running task has come."""
        task = cast("r.OfTask", call.request).task_id
        index = self._of(task)
        return answer({"taskId": task, "progressPercentage": None if index is None else self._luigi.said.get(index, Said()).progress})

    def fetch_error(self, desk: Desk, call: Call) -> bytes:
        """Why a task failed the last time."""
        task = cast("r.OfTask", call.request).task_id
        index = self._of(task)
        if index is None:
            return answer({"taskId": task, "error": ""})
        entry, host = self._book.entries[index], desk.host
        attempts = host.store.attempts_of(host.registry.keys[index], 1)
        return answer(
            {
                "taskId": task,
                "error": attempts[0].attempt.error if attempts else "",
                "displayName": task,
                "taskParams": public(entry.params, entry.hidden),
                "taskModule": entry.module,
                "taskFamily": host.brain.state.policy_of(index).family,
            }
        )

    # -- workers and resources

    def worker_list(self, desk: Desk, call: Call) -> bytes:
        """Workers of Luigi and ours."""
        asked, host, state = cast("r.WorkerList", call.request), desk.host, desk.host.brain.state
        rows: list[dict[str, Any]] = []
        held: dict[str, list[Index]] = {}
        for index, holder in state.holder.items():
            if state.status[index] == Status.RUNNING:
                held.setdefault(holder, []).append(index)
        for name, member in list(host.members.items())[:SHOWN]:
            info = {key: value for key, value in self._luigi.info_of(name).items() if key not in ("name", "state")}
            session = state.sessions.get(name)
            row: dict[str, Any] = {
                "workers": 1,
                "first_task": None,
                **info,
                "name": self._luigi.name_of(name),
                "last_active": desk.wall - (host.clock() - member.seen),
                "started": desk.wall,
                "state": "disabled" if session is not None and session.draining else "active",
                "first_task_display_name": info.get("first_task") or "",
                "num_unread_rpc_messages": 0,
            }
            if asked.include_running:
                running = self._shown(desk, held.get(name, ())[:SHOWN] if name in held else (), deps=False)
                row.update(num_running=len(held.get(name, ())), num_pending=host.brain.outlook(name)[0], num_uniques=0, running=running)
            rows.append(row)
        return answer(rows)

    def resource_list(self, desk: Desk, call: Call) -> bytes:
        """Resources with what is in use, and by whom."""
        state = desk.host.brain.state
        users: dict[str, list[Index]] = {}
        for index in state.holder:
            if state.status[index] == Status.RUNNING:
                for name, _ in state.policy_of(index).resources:
                    users.setdefault(name, []).append(index)
        names = sorted({*state.total, *state.used})[:SHOWN]
        return answer(
            [
                {
                    "name": name,
                    "num_total": state.total.get(name, UNSET),
                    "num_used": state.used.get(name, 0),
                    "num_consumer": len(users.get(name, ())),
                    "running": self._shown(desk, users.get(name, ())[:100] if name in users else (), deps=False),
                }
                for name in names
            ]
        )

    # -- operators

    def pausing(self, paused: bool) -> Callable[[Desk, Call], bytes]:
        """Grant nothing, or go on."""

        def handle(desk: Desk, call: Call) -> bytes:
            desk.handle(m.Pause(paused))
            desk.stirred = True
            self._luigi.audit(desk, call, "pause" if paused else "resume", "server", "")
            return answer(None)

        return handle

    def update_resource(self, desk: Desk, call: Call) -> bytes:
        """How much there is of a resource."""
        asked = cast("r.UpdateResource", call.request)
        if asked.amount < 0:
            return answer(False)
        plain(asked.resource, "resource")
        desk.handle(m.SetResource(asked.resource, asked.amount))
        desk.stirred = True
        self._luigi.audit(desk, call, "set-resource", asked.resource, str(asked.amount))
        return answer(True)

    def on_task(self, command: Callable[[Index], Any], action: str) -> Callable[[Desk, Call], bytes]:
        """A command about one task; its answer says how the task stands."""

        def handle(desk: Desk, call: Call) -> bytes:
            task = cast("r.OfTask", call.request).task_id
            index = self._of(task)
            if index is None:
                return answer({"task_id": task, "status": None})
            try:
                status: Status = desk.handle(command(index))
            except Refusal:
                status = Status(desk.host.brain.state.status[index])
            desk.stirred = True
            self._luigi.audit(desk, call, action, task[:200], str(status))
            return answer({"task_id": task, "status": WORDS[status]})

        return handle

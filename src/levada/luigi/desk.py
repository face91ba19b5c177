"""Luigi's scheduler verbs, translated into commands of the brain.

The desk keeps what Luigi's protocol says of tasks and the brain need not know: texts, ids, who spoke when, messages. Who runs
what, when and how often again is asked of the brain (``desk_port.Port``), and where a task stands is read from it:

* PENDING is waiting or ready; FAILED is retrying (its retry delay runs); RUNNING and BATCH_RUNNING are running; UNKNOWN is a task
  of which only the id is known, or whose ``complete()`` raised: it is not in the brain, or cancelled there.
* A worker is a session. Its silence ends its leases; its contact renews them.
* A task that some worker can run has the module ANYBODY, which assistants offer; one that nobody can run belongs to NOBODY.
* A requirement of which nobody has spoken yet keeps its task open.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from .._model import messages as m
from .._model.messages import Fence, SessionId
from .._model.spec import Growth, Index, Policy, Retry, TaskSpec
from .._model.status import ExitClass, Status
from .desk_port import Port
from .rpc_methods import Guard, rpc_method
from .task_status import BATCH_RUNNING, DISABLED, DONE, FAILED, PENDING, RUNNING, SUSPENDED, UNKNOWN

log = logging.getLogger("luigi.scheduler")

UPSTREAM_RUNNING = "UPSTREAM_RUNNING"
UPSTREAM_MISSING_INPUT = "UPSTREAM_MISSING_INPUT"
UPSTREAM_FAILED = "UPSTREAM_FAILED"
UPSTREAM_DISABLED = "UPSTREAM_DISABLED"
UPSTREAM_SEVERITY_ORDER = ("", UPSTREAM_RUNNING, UPSTREAM_MISSING_INPUT, UPSTREAM_FAILED, UPSTREAM_DISABLED)
UPSTREAM_SEVERITY_KEY = UPSTREAM_SEVERITY_ORDER.index
STATUS_TO_UPSTREAM_MAP = {
    FAILED: UPSTREAM_FAILED,
    RUNNING: UPSTREAM_RUNNING,
    BATCH_RUNNING: UPSTREAM_RUNNING,
    PENDING: UPSTREAM_MISSING_INPUT,
    DISABLED: UPSTREAM_DISABLED,
}
TASK_FAMILY_RE = re.compile(r"([^(_]+)[(_]")
WORKER_STATE_ACTIVE, WORKER_STATE_DISABLED = "active", "disabled"

ANYBODY = "luigi"
"""The module of tasks that some worker can run: what assistants offer."""
NOBODY = SessionId("nobody can run it")
"""The session of tasks that nobody can run; it never claims."""
FOREVER = 3e9
"""Seconds: a retry delay below 0 means that failed tasks stay so."""
COUNTLESS = 100_000
"""From here on a number of failures is no limit."""
NEVER = 900_000_000
"""Seconds; from here on Luigi's ``disable_hard_timeout`` is none."""
PRIORITIES = 1 << 20
POLICIES = 10_000
_PUBLIC, _HIDDEN = 0, 1
_SHOWN = {
    Status.WAITING: PENDING,
    Status.READY: PENDING,
    Status.RUNNING: RUNNING,
    Status.RETRYING: FAILED,
    Status.DONE: DONE,
    Status.FAILED: FAILED,
    Status.DISABLED: DISABLED,
    Status.CANCELLED: UNKNOWN,
}


class RetryPolicy(NamedTuple):
    """How often a task may fail: ``retry_count`` times within ``disable_window`` seconds, or for ``disable_hard_timeout`` seconds."""

    retry_count: Any
    disable_hard_timeout: Any
    disable_window: Any


def _number(priority: Any) -> float:
    """A priority; of what is none, 0."""
    return priority if isinstance(priority, int | float) else 0


class Task:
    """What is told of a task, and where it stood at the last look."""

    def __init__(
        self,
        task_id: str,
        status: str,
        deps: Iterable[str] | None,
        resources: dict[str, Any] | None = None,
        priority: float = 0,
        family: str = "",
        module: str | None = None,
        params: dict[str, Any] | None = None,
        param_visibilities: dict[str, Any] | None = None,
        accepts_messages: bool = False,
        tracking_url: str | None = None,
        status_message: str | None = None,
        progress_percentage: float | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        self.id = task_id
        self.index: Index | None = None  # in the brain; None: not there
        self.fence: Fence | None = None  # of the attempt that runs
        self.status = status
        self.told = UNKNOWN  # how a task that is not in the brain stands
        self.deps: set[str] = set(deps or ())
        self.missing: set[str] = set()  # deps that are not in the brain; the task is open as long as there are any
        self.needed_by: set[str] = set()
        self.stakeholders: set[str] = set()  # workers for whose sake it is kept
        self.workers: dict[str, None] = {}  # those that can run it, the last one to say so last
        self.time = self.updated = time.time()
        self.remove: float | None = None
        self.worker_running: str | None = None
        self.time_running: float | None = None
        self.expl: str | None = None
        self.priority = priority
        self.resources: dict[str, Any] = resources or {}
        self.resources_running: dict[str, Any] | None = None
        self.family = family
        self.module = module
        self.param_visibilities: dict[str, Any] = param_visibilities or {}
        self.set_params(params)
        self.accepts_messages = accepts_messages
        self.retry_policy = retry_policy
        self.tracking_url = tracking_url
        self.status_message = status_message
        self.progress_percentage = progress_percentage
        self.scheduler_message_responses: dict[str, Any] = {}
        self.runnable = False
        self.batchable = False
        self.batch_id: str | None = None
        self.spec: TaskSpec | None = None  # as the brain knows it

    def set_params(self, params: dict[str, Any] | None) -> None:
        """Take parameters over, sorted by who may see them."""
        self.params = params or {}
        self.public_params = self._seen(_PUBLIC)
        self.hidden_params = self._seen(_HIDDEN)

    def _seen(self, visibility: int) -> dict[str, Any]:
        seen = self.param_visibilities
        return {name: value for name, value in self.params.items() if seen.get(name, _PUBLIC) == visibility}

    @property
    def pretty_id(self) -> str:
        """Family and public parameters, for people."""
        return f"{self.family}({', '.join(f'{name}={value}' for name, value in sorted(self.public_params.items()))})"

    def __repr__(self) -> str:
        return f"Task({self.id!r}, {self.status})"


class Worker:
    """What is told of a worker."""

    def __init__(self, worker_id: str, last_active: float | None = None) -> None:
        self.id = worker_id
        self.session = SessionId(worker_id)
        self.reference: Any = None
        self.started = time.time()
        self.last_active = last_active or self.started
        self.last_get_work: float | None = None
        self.renewed = self.last_active
        self.tasks: dict[str, Task] = {}  # that it can run
        self.stakes: dict[str, Task] = {}  # that are kept for its sake
        self.held: dict[str, Task] = {}  # that it runs
        self.info: dict[str, Any] = {}
        self.disabled = self.offers = False  # offers: the brain knows it as an assistant
        self.rpc_messages: list[dict[str, Any]] = []

    def add_info(self, info: Any) -> None:
        """Pairs or a dict of what it says of itself."""
        self.info.update(info)

    def prune(self, config: Any) -> bool:
        """Has it been silent for too long?"""
        return bool(self.last_active + config.worker_disconnect_delay < time.time())

    @property
    def assistant(self) -> bool:
        """Does it run whatever others cannot get to?"""
        return bool(self.info.get("assistant", False))

    @property
    def enabled(self) -> bool:
        """May it get work?"""
        return not self.disabled

    @property
    def state(self) -> str:
        """For people."""
        return WORKER_STATE_DISABLED if self.disabled else WORKER_STATE_ACTIVE

    def add_rpc_message(self, name: str, **kwargs: Any) -> None:
        """Something it is to hear at its next ping."""
        self.rpc_messages.append({"name": name, "kwargs": kwargs})

    def fetch_rpc_messages(self) -> list[dict[str, Any]]:
        """What it has not heard yet; once."""
        messages, self.rpc_messages = self.rpc_messages, []
        return messages

    def __str__(self) -> str:
        return self.id


class Batch:
    """Tasks that were granted as one, and the task that runs in their stead."""

    def __init__(self, batch_id: str, worker: str, members: list[Task]) -> None:
        self.id, self.worker, self.members = batch_id, worker, members
        self.runner: Task | None = None

    def running(self) -> list[Task]:
        """Members that have not come to an end."""
        return [task for task in self.members if task.status in (RUNNING, BATCH_RUNNING)]


class Desk:
    """One method for each verb; ``config`` holds the numbers of Luigi's section [scheduler]."""

    def __init__(self, port: Port, config: Any, resources: dict[str, Any] | None) -> None:
        self._port, self._config = port, config
        self._guard = Guard()
        port.touched = self._touched
        self._tasks: dict[str, Task] = {}
        self._by_index: dict[Index, Task] = {}
        self._by_status: defaultdict[str, dict[str, Task]] = defaultdict(dict)
        self._awaited: defaultdict[str, set[str]] = defaultdict(set)  # id that is not in the brain -> those that require it
        self._lonely: dict[str, Task] = {}  # tasks without stakeholders
        self._workers: dict[str, Worker] = {}
        self._batches: dict[str, Batch] = {}
        self._batchers: defaultdict[str, dict[str, tuple[Sequence[str], float]]] = defaultdict(dict)  # worker -> family -> ...
        self._family_batchers: dict[str, tuple[Sequence[str], float]] = {}
        self._resources: dict[str, Any] = {}
        self._policies: dict[Any, Policy] = {}
        self._paused = False
        port.handle(m.Drain(NOBODY))
        self._set_resources(resources or {})

    # -- what a scheduler does besides, for a subclass ---------------------------------------------

    def _note_history(self, task: Task, status: str, host: str | None = None) -> None:
        """A task was told to stand so."""

    def _note_standing(self, task: Task) -> None:
        """A task stands otherwise than before: ``task.status`` says how."""

    def _note_start(self, task: Task) -> None:
        """A task was given to a worker."""

    def _note_failure(self, task: Task, worker: str, expl: Any, owners: Any) -> None:
        """A worker said that a task has failed."""

    def _note_disabled(self, task: Task) -> None:
        """Failures have disabled a task."""

    # -- where tasks stand -------------------------------------------------------------------------

    def _touched(self, indices: Iterable[Index]) -> None:
        for index in indices:
            task = self._by_index.get(index)
            if task is not None:
                self._look(task)

    def _look(self, task: Task) -> None:
        """See where a task stands now."""
        before, now = task.status, self._standing(task)
        if now == before:
            return
        self._by_status[before].pop(task.id, None)
        self._by_status[now][task.id] = task
        task.status, task.updated = now, time.time()
        if now not in (RUNNING, BATCH_RUNNING) and before in (RUNNING, BATCH_RUNNING):
            self._stopped(task)
        self._note_standing(task)
        if now == DISABLED and task.index is not None and self._port.is_disabled_for_a_time(task.index):
            self._note_disabled(task)

    def _standing(self, task: Task) -> str:
        if task.index is None:
            return task.told
        status = self._port.status(task.index)
        if status is Status.RUNNING and task.batch_id in self._batches:
            return RUNNING if self._batches[task.batch_id].runner is task else BATCH_RUNNING
        return _SHOWN[status]

    def _stopped(self, task: Task) -> None:
        task.fence = None
        if task.worker_running in self._workers:
            self._workers[task.worker_running].held.pop(task.id, None)
        batch = self._batches.get(task.batch_id or "")
        if batch is not None and not batch.running():  # its worker is gone
            self._close_batch(batch, FAILED)

    # -- who speaks --------------------------------------------------------------------------------

    def _worker(self, worker_id: str) -> Worker:
        worker = self._workers.get(worker_id)
        if worker is None:
            worker = self._workers[worker_id] = Worker(worker_id)
        return worker

    def _heard(self, worker_id: str, reference: Any = None, *, get_work: bool = False) -> Worker:
        """A worker has spoken: what it runs is its own for another while."""
        worker, now = self._worker(worker_id), time.time()
        worker.last_active = now
        if reference:
            worker.reference = reference
        if get_work:
            worker.last_get_work = now
        if worker.held and not 0 <= now - worker.renewed < self._port.lease / 20:
            worker.renewed = now
            held = [(task.index, task.fence) for task in worker.held.values() if task.index is not None and task.fence is not None]
            self._port.handle(m.Renew(worker.session, tuple(held)))
        return worker

    def _say(self, worker_id: str, **reports: Any) -> m.SyncReply:
        reply: m.SyncReply = self._port.handle(m.Sync(SessionId(worker_id), **reports))
        return reply

    # -- tasks as the brain knows them -------------------------------------------------------------

    def _generate_retry_policy(self, told: dict[str, Any]) -> RetryPolicy:
        """The settings, but for what a task says itself. Raises TypeError for a name that is none."""
        config = self._config
        known = RetryPolicy(config.retry_count, config.disable_hard_timeout, config.disable_window)._asdict()
        return RetryPolicy(**{**known, **{name: value for name, value in told.items() if value is not None}})

    def _retry(self, policy: RetryPolicy) -> Retry:
        delay = self._config.retry_delay if self._config.retry_delay >= 0 else FOREVER
        return Retry(
            attempts=1 << 40,
            first=2.0 * delay,  # half of it, drawn with 0, is the delay
            longest=2.0 * delay,
            disable_after=None if policy.retry_count >= COUNTLESS else max(1, int(policy.retry_count)),
            window=float(policy.disable_window),
            disabled_for=float(self._config.disable_persist),
            give_up_after=None if policy.disable_hard_timeout >= NEVER else float(policy.disable_hard_timeout),
        )

    def _spec_of(self, task: Task, index: Index) -> TaskSpec:
        batch, limit = self._batch_of(task)
        resources = tuple(sorted((name, math.ceil(amount)) for name, amount in task.resources.items() if amount > 0))
        told = (task.family, resources, task.retry_policy, limit, task.runnable)
        policy = self._policies.get(told)  # one object for equal ones: the brain knows it again
        if policy is None:
            retry = self._retry(task.retry_policy or self._generate_retry_policy({}))
            if len(self._policies) > POLICIES:
                self._policies.clear()
            module = ANYBODY if task.runnable else ""
            policy = self._policies[told] = Policy(task.family, resources, retry, batch_limit=limit, module=module)
        return TaskSpec(index, policy, max(-PRIORITIES, min(PRIORITIES, round(task.priority))), batch)

    def _batch_of(self, task: Task) -> tuple[str | None, int]:
        """The batch group, named by what tasks of it have in common, and how many of them may run as one."""
        names, limit = self._family_batchers.get(task.family, ((), 1))
        if not task.batchable or not names or not all(name in task.params for name in names):
            return None, 1
        common = sorted((name, value) for name, value in task.params.items() if name not in names)
        return json.dumps([task.family, common], default=str), int(max(1, min(limit, 1 << 30)))

    def _missing_of(self, task: Task) -> set[str]:
        tasks = self._tasks
        return {dep for dep in task.deps if dep == task.id or dep not in tasks or tasks[dep].index is None}

    def _settle(self, task: Task, joins: Worker | None, *, replan: bool) -> None:
        """Let the brain know a task as it is said now. joins: a worker that can run it from now on."""
        if task.index is None:
            self._place(task, joins)
            return
        spec = self._spec_of(task, task.index)
        if replan:
            task.missing = self._await(task)
            requires = [index for dep in task.deps - task.missing if (index := self._tasks[dep].index) is not None]
            self._port.handle(m.Revise(spec, requires, closed=not task.missing))
        elif spec != task.spec:
            self._port.handle(m.Revise(spec))
        task.spec = spec
        if joins is not None:
            self._port.handle(m.AddTasks(joins.session, [spec], []))

    def _place(self, task: Task, joins: Worker | None) -> None:
        """A task comes into the brain; what has waited to hear of it knows it now."""
        index = task.index = self._port.place()
        self._by_index[index] = task
        task.spec = self._spec_of(task, index)
        task.missing = self._await(task)
        requires = [known for dep in task.deps - task.missing if (known := self._tasks[dep].index) is not None]
        growth = [Growth(index, requires, closed=not task.missing)]
        for waiting in (self._tasks.get(name) for name in self._awaited.pop(task.id, ())):
            if waiting is not None and waiting.index is not None and waiting is not task:
                waiting.missing.discard(task.id)
                growth.append(Growth(waiting.index, [index], closed=not waiting.missing))
        self._port.handle(m.AddTasks(NOBODY if joins is None else joins.session, [task.spec], growth))
        self._look(task)

    def _await(self, task: Task) -> set[str]:
        missing = self._missing_of(task)
        for dep in missing:
            self._awaited[dep].add(task.id)
        return missing

    def _set_deps(self, task: Task, deps: set[str]) -> bool:
        """Whether that is something new."""
        if deps == task.deps:
            return False
        for gone in task.deps - deps:
            self._forget_need(task, gone)
        task.deps = deps
        for dep in deps:
            if dep in self._tasks:
                self._tasks[dep].needed_by.add(task.id)
        return True

    def _forget_need(self, task: Task, dep: str) -> None:
        if dep in self._tasks:
            self._tasks[dep].needed_by.discard(task.id)
        if dep in self._awaited:
            self._awaited[dep].discard(task.id)
            if not self._awaited[dep]:
                del self._awaited[dep]

    def _new(self, task_id: str) -> Task:
        task = self._tasks[task_id] = Task(task_id, UNKNOWN, None)
        self._by_status[UNKNOWN][task_id] = self._lonely[task_id] = task
        return task

    # -- add_task ----------------------------------------------------------------------------------

    @rpc_method()
    def add_task(
        self,
        task_id: str | None = None,
        status: str = PENDING,
        runnable: bool = True,
        deps: Iterable[str] | None = None,
        new_deps: Iterable[str] | None = None,
        expl: str | None = None,
        resources: dict[str, Any] | None = None,
        priority: float = 0,
        family: str = "",
        module: str | None = None,
        params: dict[str, Any] | None = None,
        param_visibilities: dict[str, Any] | None = None,
        accepts_messages: bool | None = False,
        assistant: bool = False,
        tracking_url: str | None = None,
        worker: str | None = None,
        batchable: bool | None = None,
        batch_id: str | None = None,
        retry_policy_dict: dict[str, Any] | None = None,
        owners: Any = None,
        **kwargs: Any,
    ) -> None:
        """What a worker says of a task: that it is there, what it requires, how it stands."""
        if worker is None or task_id is None:
            raise TypeError("add_task needs task_id and worker")
        speaker = self._heard(worker)
        policy = self._generate_retry_policy(retry_policy_dict or {})
        task = self._admitted(task_id, speaker, status)
        if task is None:
            return
        self._describe(task, family, module, params, param_visibilities)
        task.accepts_messages = task.accepts_messages if accepts_messages is None else accepts_messages
        task.batchable = task.batchable if batchable is None else batchable
        task.priority = max(priority, _number(task.priority))
        task.resources, task.retry_policy, task.remove = dict(resources or {}), policy, None
        if batch_id is not None and status == RUNNING:
            self._join_batch(task, batch_id, worker)
        if tracking_url is not None or task.status != RUNNING:
            self._tell(task, "tracking_url", tracking_url)
        if expl is not None:
            self._tell(task, "expl", expl)
        replan = self._set_deps(task, set(task.deps if deps is None else deps) | set(new_deps or ()))
        if speaker.enabled and not assistant:
            self._stake(task, worker)
        self._register(task, speaker, status, runnable=runnable and status != FAILED and speaker.enabled, replan=replan)
        if not self._is_running(task) or (status in (DONE, FAILED, RUNNING) and task.worker_running == worker) or new_deps:
            self._report(task, speaker, status)
        if status == FAILED:
            self._note_failure(task, worker, expl, owners)

    def _admitted(self, task_id: str, speaker: Worker, status: str) -> Task | None:
        """The task that is spoken of; None where the worker has no say, or looked at its outputs too early."""
        task = self._tasks.get(task_id)
        if speaker.disabled and (task is None or task.status != RUNNING):
            return None
        if task is None:
            return self._new(task_id)
        is_news = status == PENDING and task.status == DONE
        return None if is_news and time.time() - task.updated < self._config.stable_done_cooldown_secs else task

    def _register(self, task: Task, speaker: Worker, status: str, *, runnable: bool, replan: bool) -> None:
        """Let the brain know of the task, and of a worker that can run it. What runs in the stead of others is not in the brain."""
        is_runner = task.index is None and task.batch_id in self._batches
        task.runnable = task.runnable or runnable
        if not is_runner and (task.index is not None or status != UNKNOWN):
            self._settle(task, speaker if runnable and speaker.id not in task.workers else None, replan=replan)
        if runnable:
            task.workers.setdefault(speaker.id)
            speaker.tasks[task.id] = task

    def _describe(self, task: Task, family: str, module: str | None, params: Any, visibilities: Any) -> None:
        """What was told first stays."""
        task.family = task.family or family
        task.module = task.module or module
        if not task.param_visibilities:
            task.param_visibilities = visibilities or {}
        if not task.params:
            task.set_params(params)

    def _tell(self, task: Task, name: str, value: Any) -> None:
        """Set a text of a task, and of those that it runs in the stead of."""
        setattr(task, name, value)
        for one in self._crew(task):
            setattr(one, name, value)

    def _crew(self, task: Task) -> list[Task]:
        batch = self._batches.get(task.batch_id or "")
        return [] if batch is None else [one for one in batch.running() if one is not task]

    def _stake(self, task: Task, worker: str) -> None:
        """Keep a task, and what it requires, as long as the worker is here."""
        stakes = self._workers[worker].stakes
        for one in (task, *(self._tasks.get(dep) or self._new(dep) for dep in sorted(task.deps))):
            if one is not task:
                one.needed_by.add(task.id)
            one.stakeholders.add(worker)
            stakes[one.id] = one
            self._lonely.pop(one.id, None)

    def _report(self, task: Task, speaker: Worker, status: str) -> None:
        """How a task stands, by the word of who may say so."""
        if status != task.status or status == PENDING:
            self._note_history(task, status)
        batch = self._batches.get(task.batch_id or "")
        if batch is not None and batch.runner is task:
            if status != RUNNING:
                self._end_batch(batch, status)
        elif status in _BRINGING:
            _BRINGING[status](self, task, speaker)

    # -- how a task is brought where a worker says that it stands ------------------------------------

    def _handle(self, command: Any) -> Any:
        return self._port.handle(command)

    def _is_running(self, task: Task) -> bool:
        return task.status in (RUNNING, BATCH_RUNNING)

    def _is_locked(self, task: Task) -> bool:
        """Failures have disabled it: only a success, or time, changes that."""
        return task.status == DISABLED and task.index is not None and self._port.is_disabled_for_a_time(task.index)

    def _wake(self, task: Task) -> bool:
        """Let a task wait for its turn again, whatever it came to; whether that can be."""
        index = task.index
        if index is None or self._is_running(task) or self._is_locked(task):
            return False
        if task.status == DONE:
            self._handle(m.Invalidate(index))
        elif self._port.status(index) is Status.RETRYING:
            self._handle(m.Hurry(index))
        elif task.status != PENDING:
            self._handle(m.RetryTask(index))
        return True

    def _bring_pending(self, task: Task, speaker: Worker) -> None:
        if self._is_running(task) and task.index is not None and task.fence is not None:  # it has found further requirements
            back = m.HandedBack(task.index, task.fence, reason="requires more by now")
            self._say(task.worker_running or speaker.id, handed_back=[back])
        else:
            self._wake(task)

    def _bring_running(self, task: Task, speaker: Worker) -> None:
        if task.status != PENDING:
            self._wake(task)
        if task.index is not None and task.status == PENDING:
            grant = self._handle(m.Take(speaker.session, task.index))
            if grant is not None:
                self._given(task, speaker, grant.fence)

    def _bring_done(self, task: Task, speaker: Worker) -> None:
        if task.index is None:
            return
        if self._is_running(task) and task.fence is not None:
            self._say(task.worker_running or speaker.id, done=[(task.index, task.fence)])
        if task.status != DONE:
            self._handle(m.MarkDone(task.index))

    def _bring_failed(self, task: Task, speaker: Worker) -> None:
        if task.index is None or self._is_locked(task):
            return
        if self._is_running(task) and task.fence is not None:
            failed = m.Failed(task.index, task.fence, ExitClass.USER, draw=0.0)
            self._say(task.worker_running or speaker.id, failed=[failed])
        elif task.status == DISABLED:
            self._handle(m.RetryTask(task.index, after=max(0.0, self._config.retry_delay)))
        else:
            if task.status not in (PENDING, FAILED):
                self._wake(task)
            self._handle(m.MarkFailed(task.index, draw=0.0))

    def _bring_disabled(self, task: Task, speaker: Worker) -> None:
        if task.index is not None and not self._is_running(task):
            if task.status == DONE:
                self._wake(task)
            self._handle(m.Disable(task.index))

    def _bring_unknown(self, task: Task, speaker: Worker) -> None:
        if task.index is not None and self._wake(task):
            self._handle(m.Cancel(task.index))

    # -- grants ------------------------------------------------------------------------------------

    def _given(self, task: Task, worker: Worker, fence: Fence) -> None:
        task.fence, task.worker_running, task.time_running = fence, worker.id, time.time()
        task.resources_running = dict(task.resources)
        if not worker.held:
            worker.renewed = time.time()
        worker.held[task.id] = task

    @rpc_method(allow_null=False)
    def get_work(
        self,
        host: str | None = None,
        assistant: bool = False,
        current_tasks: Iterable[str] | None = None,
        worker: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The next task for a worker, or the one that it was given and does not know of, with counts of what is left."""
        if worker is None:
            raise TypeError("get_work needs worker")
        if self._config.prune_on_get_work:
            self.prune()
        speaker = self._heard(worker, {"host": host}, get_work=True)
        if speaker.disabled:
            nothing = {"n_pending_tasks": 0, "running_tasks": [], "task_id": None, "n_unique_pending": 0}
            return {**nothing, "worker_state": speaker.state}
        if assistant:
            self.add_worker(worker, [("assistant", assistant)])
            if not speaker.offers:
                speaker.offers = True
                self._handle(m.Hello(speaker.session, (ANYBODY,)))
        again = None if current_tasks is None else self._unheard(speaker, set(current_tasks))
        reply = self.count_pending(worker)
        reply["task_id"] = None
        if again is None:
            granted = self._say(worker, room=1).granted
            if granted:
                self._deliver(granted[0], speaker, host, reply)
        else:
            self._start(again, host, reply)
        return reply

    def _unheard(self, worker: Worker, known: set[str]) -> Task | None:
        """The most urgent task that runs there without its knowledge. Batches that nobody has begun to run go back."""
        mine = [task for task in self._by_status[RUNNING].values() if task.worker_running == worker.id and task.id not in known]
        for batch in [batch for batch in self._batches.values() if batch.worker == worker.id and batch.runner is None]:
            back = [m.HandedBack(one.index, one.fence) for one in batch.running() if one.index is not None and one.fence is not None]
            self._close_batch(batch, PENDING)
            self._say(worker.id, handed_back=back)
        return min(mine, key=lambda task: (-self._urgency(task), task.time), default=None)

    def _deliver(self, grant: m.Grant, worker: Worker, host: str | None, reply: dict[str, Any]) -> None:
        leader = self._by_index[grant.index]
        self._given(leader, worker, grant.fence)
        names, limit = self._batchers[worker.id].get(leader.family, ((), 1))
        size = int(max(1, min(limit, len(grant.batch) + 1))) if names and leader.batchable else 1
        members = [leader]
        for one in grant.batch[: size - 1]:
            self._given(self._by_index[one.index], worker, one.fence)
            members.append(self._by_index[one.index])
        if len(members) <= len(grant.batch):  # this worker cannot take so many as one
            self._say(worker.id, handed_back=[m.HandedBack(one.index, one.fence) for one in grant.batch[size - 1 :]])
        if len(members) == 1:
            self._start(leader, host, reply)
            return
        batch_id = hashlib.md5("|".join(one.id for one in members).encode(), usedforsecurity=False).hexdigest()
        self._batches[batch_id] = Batch(batch_id, worker.id, members)
        for member in members:
            member.batch_id = batch_id
            self._look(member)
        reply["task_family"], reply["task_module"] = leader.family, leader.module
        reply["task_params"] = {**leader.params, **{name: [one.params.get(name) for one in members] for name in names}}
        reply["batch_id"], reply["batch_task_ids"] = batch_id, [member.id for member in members]

    def _start(self, task: Task, host: str | None, reply: dict[str, Any]) -> None:
        self._note_start(task)
        task.time_running = time.time()
        self._note_history(task, RUNNING, host)
        reply["task_id"], reply["task_family"] = task.id, task.family
        reply["task_module"], reply["task_params"] = task.module, task.params

    # -- batches -----------------------------------------------------------------------------------

    @rpc_method()
    def add_task_batcher(self, worker: str, task_family: str, batched_args: Sequence[str], max_batch_size: float = math.inf) -> None:
        """Tasks of a family that differ in nothing but these arguments may be run as one by the worker."""
        self._batchers[worker][task_family] = self._family_batchers[task_family] = (batched_args, max_batch_size)

    def _join_batch(self, task: Task, batch_id: str, worker: str) -> None:
        """The task runs in the stead of a batch: one of it, or one made for it."""
        batch = self._batches.get(batch_id)
        if batch is None or batch.worker != worker or not batch.running():
            return
        first = batch.running()[0]
        if task.batch_id == batch_id and task.resources_running is None:
            task.resources_running = dict(first.resources_running or {})
        batch.runner, task.batch_id, task.told = task, batch_id, RUNNING
        if task not in batch.members:
            task.worker_running, task.resources_running = worker, dict(first.resources_running or {})
        task.time_running = time.time()
        self._look(task)

    def _end_batch(self, batch: Batch, status: str) -> None:
        """All of a batch came to the end that its runner came to."""
        members = [(one.index, one.fence) for one in batch.running() if one.index is not None and one.fence is not None]
        self._close_batch(batch, status)
        if status == DONE:
            self._say(batch.worker, done=members)
        elif status == FAILED:
            self._say(batch.worker, failed=[m.Failed(*one, ExitClass.USER, draw=0.0) for one in members])
        else:
            self._say(batch.worker, handed_back=[m.HandedBack(*one) for one in members])

    def _close_batch(self, batch: Batch, status: str) -> None:
        """Forget it. What was made to run it is done, or goes."""
        self._batches.pop(batch.id, None)
        runner = batch.runner
        for one in batch.members:
            one.batch_id = None
        if runner is None or runner.index is not None:
            return
        runner.batch_id = None
        if status == DONE:
            self._place(runner, None)
            self._handle(m.MarkDone(runner.index))  # type: ignore[arg-type]  # it was placed
        else:
            runner.told, runner.remove = status, time.time()
            self._lonely[runner.id] = runner
            self._look(runner)

    # -- workers -----------------------------------------------------------------------------------

    @rpc_method()
    def add_worker(self, worker: str, info: Any, **kwargs: Any) -> None:
        """What a worker says of itself."""
        self._worker(worker).add_info(info)

    @rpc_method()
    def disable_worker(self, worker: str) -> None:
        """Give a worker no more tasks; what it runs goes on."""
        told = self._worker(worker)
        told.disabled = True
        self._handle(m.Drain(told.session))
        self._leave(told)

    def _leave(self, worker: Worker) -> None:
        """It can run nothing any more."""
        for task in worker.tasks.values():
            task.workers.pop(worker.id, None)
        worker.tasks.clear()

    @rpc_method()
    def set_worker_processes(self, worker: str, n: int) -> None:
        """A worker is to have so many processes; it hears of it at its next ping."""
        self._worker(worker).add_rpc_message("set_worker_processes", n=n)

    @rpc_method(attempts=1)
    def ping(self, **kwargs: Any) -> dict[str, Any]:
        """A worker is alive; what it is to hear."""
        return {"rpc_messages": self._heard(kwargs["worker"]).fetch_rpc_messages()}

    # -- time --------------------------------------------------------------------------------------

    @rpc_method()
    def prune(self) -> None:
        """Let time pass: silent workers and what nobody needs any more go."""
        self._handle(m.Tick())
        for worker in [worker for worker in self._workers.values() if worker.prune(self._config)]:
            self._part(worker)
        self._tidy()

    def _part(self, worker: Worker) -> None:
        del self._workers[worker.id]
        self._batchers.pop(worker.id, None)
        self._leave(worker)
        for task in worker.stakes.values():
            task.stakeholders.discard(worker.id)
            if not task.stakeholders:
                self._lonely[task.id] = task
        self._handle(m.Bye(worker.session))

    def _tidy(self) -> None:
        """Take out tasks that nobody has needed for a while, with all that need them."""
        now, going = time.time(), dict[str, Task]()
        for task in self._lonely.values():
            if task.remove is None and task.status != RUNNING:
                task.remove = now + self._config.remove_delay
            if task.remove is not None and now >= task.remove and not self._is_running(task):
                going[task.id] = task
        kept = [task for task in going.values() if any(name not in going for name in task.needed_by if name in self._tasks)]
        while kept:
            task = kept.pop()
            if going.pop(task.id, None) is not None:
                kept += [going[dep] for dep in task.deps if dep in going]
        self._remove(going.values())

    def _remove(self, tasks: Iterable[Task]) -> None:
        placed = {task.index: task for task in tasks if task.index is not None}
        for index in placed:
            self._handle(m.Cancel(index))
        gone = set(self._handle(m.Forget(list(placed)))) if placed else set()
        for task in tasks:
            if task.index is None or task.index in gone:
                self._forget(task)

    def _forget(self, task: Task) -> None:
        self._by_status[task.status].pop(task.id, None)
        del self._tasks[task.id]
        self._lonely.pop(task.id, None)
        if task.index is not None:
            del self._by_index[task.index]
        for dep in task.deps:
            self._forget_need(task, dep)
        for name in (*task.workers, *task.stakeholders):
            if name in self._workers:
                self._workers[name].tasks.pop(task.id, None)
                self._workers[name].stakes.pop(task.id, None)

    # -- what people say ---------------------------------------------------------------------------

    @rpc_method()
    def forgive_failures(self, task_id: str | None = None) -> dict[str, Any]:
        """Let a failed task run at once; its failures still count."""
        task = self._tasks.get(task_id or "")
        if task is not None and task.status == FAILED:
            self._note_history(task, PENDING)
            self._wake(task)
        return {"task_id": task_id, "status": None if task is None else task.status}

    @rpc_method()
    def mark_as_done(self, task_id: str | None = None) -> dict[str, Any]:
        """A task that runs, failed or is disabled is done, since somebody says so."""
        task = self._tasks.get(task_id or "")
        if task is not None and task.status in (RUNNING, FAILED, DISABLED):
            self._note_history(task, DONE)
            batch = self._batches.get(task.batch_id or "")
            if batch is not None:
                self._end_batch(batch, DONE)
            else:
                self._bring_done(task, self._worker(task.worker_running or ""))
        return {"task_id": task_id, "status": None if task is None else task.status}

    @rpc_method()
    def re_enable_task(self, task_id: str) -> dict[str, Any]:
        """A task that failures have disabled is failed instead, with new counters: it runs again after the retry delay."""
        task = self._tasks.get(task_id)
        if task is None or task.index is None or not self._is_locked(task):
            return {}
        self._handle(m.RetryTask(task.index, after=self._config.retry_delay if self._config.retry_delay >= 0 else FOREVER))
        return self._serialize_task(task)

    @rpc_method()
    def is_pause_enabled(self) -> dict[str, bool]:
        """May people pause?"""
        return {"enabled": self._config.pause_enabled}

    @rpc_method()
    def is_paused(self) -> dict[str, bool]:
        """Is nothing given to anybody?"""
        return {"paused": self._paused}

    @rpc_method()
    def pause(self) -> None:
        """Give nothing to anybody."""
        self._pause(True)

    @rpc_method()
    def unpause(self) -> None:
        """Go on."""
        self._pause(False)

    def _pause(self, paused: bool) -> None:
        if self._config.pause_enabled:
            self._paused = paused
            self._handle(m.Pause(paused))

    # -- resources ---------------------------------------------------------------------------------

    def _set_resources(self, resources: dict[str, Any]) -> None:
        self._resources.update(resources)
        for name, total in resources.items():
            self._handle(m.SetResource(name, max(0, math.floor(total))))

    @rpc_method()
    def update_resources(self, **resources: Any) -> None:
        """How much there is of several resources."""
        self._set_resources(resources)

    @rpc_method()
    def update_resource(self, resource: str, amount: Any) -> bool:
        """How much there is of one; whether that was an amount."""
        if not isinstance(amount, int) or amount < 0:
            return False
        self._set_resources({resource: amount})
        return True

    def resources(self) -> dict[str, dict[str, Any]]:
        """Totals, and what is in use."""
        used = self._port.used()
        return {name: {"total": total, "used": used.get(name, 0)} for name, total in self._resources.items()}

    @rpc_method()
    def decrease_running_task_resources(self, task_id: str, decrease_resources: dict[str, Any]) -> None:
        """A running task needs less from now on."""
        task = self._tasks.get(task_id)
        if task is None or task.status != RUNNING:
            return
        lessened = {name: amount for name, amount in decrease_resources.items() if amount > 0}
        holders = [one for one in (task, *self._crew(task)) if one.index is not None and one.fence is not None]
        if holders and task.worker_running is not None:
            one, resources = holders[0], tuple(sorted((name, math.floor(amount)) for name, amount in lessened.items()))
            self._handle(m.Release(SessionId(task.worker_running), one.index, one.fence, resources))  # type: ignore[arg-type]  # holders have both
        for one in (task, *self._crew(task)):
            held = one.resources_running or {}
            one.resources_running = {name: max(0, amount - lessened.get(name, 0)) for name, amount in held.items()}

    @rpc_method()
    def get_running_task_resources(self, task_id: str) -> dict[str, Any]:
        """What a task holds, or held when it ran last."""
        task = self._tasks.get(task_id)
        return {"taskId": task_id, "resources": None if task is None else task.resources_running}

    # -- messages ----------------------------------------------------------------------------------

    @rpc_method()
    def send_scheduler_message(self, worker: str, task: str, content: Any) -> dict[str, Any]:
        """Say something to a running task; its answer is fetched by the message's id."""
        if not self._config.send_messages:
            return {"message_id": None}
        message_id = str(uuid.uuid4())
        self._worker(worker).add_rpc_message("dispatch_scheduler_message", task_id=task, message_id=message_id, content=content)
        return {"message_id": message_id}

    @rpc_method()
    def add_scheduler_message_response(self, task_id: str, message_id: str, response: Any) -> None:
        """What a task answers."""
        if task_id in self._tasks:
            self._tasks[task_id].scheduler_message_responses[message_id] = response

    @rpc_method()
    def get_scheduler_message_response(self, task_id: str, message_id: str) -> dict[str, Any]:
        """The answer, once; None where there is none."""
        task = self._tasks.get(task_id)
        return {"response": None if task is None else task.scheduler_message_responses.pop(message_id, None)}

    @rpc_method()
    def set_task_status_message(self, task_id: str, status_message: Any) -> None:
        """What a running task says of itself."""
        if task_id in self._tasks:
            self._tell(self._tasks[task_id], "status_message", status_message)

    @rpc_method()
    def get_task_status_message(self, task_id: str) -> dict[str, Any]:
        """What it said last."""
        task = self._tasks.get(task_id)
        return {"taskId": task_id, "statusMessage": "" if task is None else task.status_message}

    @rpc_method()
    def set_task_progress_percentage(self, task_id: str, progress_percentage: Any) -> None:
        """How far a running task has come."""
        if task_id in self._tasks:
            self._tell(self._tasks[task_id], "progress_percentage", progress_percentage)

    @rpc_method()
    def get_task_progress_percentage(self, task_id: str) -> dict[str, Any]:
        """How far it had come when it said so last."""
        task = self._tasks.get(task_id)
        return {"taskId": task_id, "progressPercentage": None if task is None else task.progress_percentage}

    # -- views -------------------------------------------------------------------------------------

    def _urgency(self, task: Task) -> float:
        return task.priority if task.index is None else max(task.priority, self._port.priority(task.index))

    def _of(self, worker: Worker, *statuses: str) -> Iterator[Task]:
        """Tasks that a worker can run and that stand so; looks at the fewer of the two."""
        if len(worker.tasks) < sum(len(self._by_status[status]) for status in statuses):
            return (task for task in worker.tasks.values() if task.status in statuses)
        return (task for status in statuses for task in self._by_status[status].values() if worker.id in task.workers)

    @rpc_method()
    def count_pending(self, worker: str) -> dict[str, Any]:
        """What is left for a worker, and what of it runs elsewhere."""
        told, known = self._worker(worker), dict[str, str]()
        some_disabled = bool(self._by_status[DISABLED])  # else nothing is upstream of a task that could be
        pending = unique = last = 0
        for task in self._of(told, PENDING, FAILED):
            if some_disabled and task.deps and self._upstream_status(task.id, known) == UPSTREAM_DISABLED:
                continue
            pending += 1
            unique += len(task.workers) == 1
            last += next(reversed(task.workers), None) == worker
        running = [
            {"task_id": task.id, "worker": task.worker_running, **(self._workers[name].info if name in self._workers else {})}
            for task in self._of(told, RUNNING)
            if (name := task.worker_running) is not None
        ]
        return {
            "n_pending_tasks": pending,
            "n_unique_pending": unique,
            "n_pending_last_scheduled": last,
            "worker_state": told.state,
            "running_tasks": running,
        }

    def _upstream_status(self, task_id: str, known: dict[str, str]) -> str:
        """The gravest of what stands in the way of a task, upstream of it; known: what was found before."""
        stack = [task_id]
        while stack:
            name = stack.pop()
            one = self._tasks.get(name)
            if one is None or one.status == DONE:
                continue
            if one.status != PENDING or not one.deps:
                known.setdefault(name, STATUS_TO_UPSTREAM_MAP.get(one.status, ""))
            elif name not in known:
                known[name] = ""  # until what it requires is known
                stack += [name, *one.deps]
            elif not known[name]:
                known[name] = max((known.get(dep, "") for dep in one.deps), key=UPSTREAM_SEVERITY_KEY)
        return known.get(task_id, "")

    def _serialize_task(self, task: Task, include_deps: bool = True, deps: Iterable[str] | None = None) -> dict[str, Any]:
        """A task as pages show it."""
        shown = {
            "display_name": task.pretty_id,
            "status": task.status,
            "workers": list(task.workers),
            "worker_running": task.worker_running,
            "time_running": task.time_running,
            "start_time": task.time,
            "last_updated": task.updated,
            "params": task.public_params,
            "name": task.family,
            "priority": self._urgency(task),
            "resources": task.resources,
            "resources_running": task.resources_running,
            "tracking_url": task.tracking_url,
            "status_message": task.status_message,
            "progress_percentage": task.progress_percentage,
        }
        if task.status == DISABLED:
            shown["re_enable_able"] = self._is_locked(task)
        if include_deps:
            shown["deps"] = list(task.deps if deps is None else deps)
        if self._config.send_messages and task.status == RUNNING:
            shown["accepts_messages"] = task.accepts_messages
        return shown

    @rpc_method()
    def graph(self, **kwargs: Any) -> dict[str, Any]:
        """All tasks, with what they require."""
        self.prune()
        found: dict[str, Any] = {}
        seen: set[str] = set()
        for name in list(self._tasks):
            if name not in seen:
                found.update(self._walk(name, seen, lambda task: task.deps, include_done=True))
        return found

    @rpc_method()
    def dep_graph(self, task_id: str, include_done: bool = True, **kwargs: Any) -> dict[str, Any]:
        """A task and what it requires, however far."""
        self.prune()
        return self._walk(task_id, set(), lambda task: task.deps, include_done) if task_id in self._tasks else {}

    @rpc_method()
    def inverse_dep_graph(self, task_id: str, include_done: bool = True, **kwargs: Any) -> dict[str, Any]:
        """A task and what requires it, however far."""
        self.prune()
        return self._walk(task_id, set(), lambda task: task.needed_by, include_done) if task_id in self._tasks else {}

    def _walk(self, root: str, seen: set[str], next_of: Callable[[Task], set[str]], include_done: bool) -> dict[str, Any]:
        """Nearest tasks first, at most ``max_graph_nodes``."""
        found: dict[str, Any] = {}
        queue = deque([root])
        seen.add(root)
        while queue and len(found) < self._config.max_graph_nodes:
            name = queue.popleft()
            task = self._tasks.get(name)
            if task is None or not task.family:
                found[name] = self._stranger(name)
            else:
                following = [one for one in next_of(task) if include_done or one not in self._by_status[DONE]]
                found[name] = self._serialize_task(task, deps=following)
                fresh = [one for one in sorted(following) if one not in seen]
                seen.update(fresh)
                queue.extend(fresh)
            if name != root:
                del found[name]["display_name"]
        return found

    def _stranger(self, name: str) -> dict[str, Any]:
        """A task of which only the id is known."""
        family = TASK_FAMILY_RE.match(name)
        return {
            "deps": [],
            "status": UNKNOWN,
            "workers": [],
            "start_time": UNKNOWN,
            "params": {"task_id": name},
            "name": family.group(1) if family else UNKNOWN,
            "display_name": name,
            "priority": 0,
        }

    @rpc_method()
    def task_list(
        self,
        status: str | None = "",
        upstream_status: str = "",
        limit: bool = True,
        search: str | None = None,
        max_shown_tasks: int | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Tasks of a status by id; where there are too many, only their number."""
        most = max_shown_tasks or self._config.max_shown_tasks
        if not search:
            count = len(self._by_status[status] if status else self._tasks)
            if limit and count > most:
                return {"num_tasks": -1 if upstream_status else count}
        self.prune()
        terms = (search or "").casefold().split()
        known: dict[str, str] = {}
        found = {
            task.id: self._serialize_task(task, include_deps=False)
            for task in (self._by_status[status] if status else self._tasks).values()
            if all(term in task.pretty_id.casefold() for term in terms)
            and (task.status != PENDING or not upstream_status or upstream_status == self._upstream_status(task.id, known))
        }
        return {"num_tasks": len(found)} if limit and len(found) > most else found

    @rpc_method()
    def task_search(self, task_str: str, **kwargs: Any) -> dict[str, Any]:
        """Tasks with a text in their id, by status."""
        self.prune()
        found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for task in self._tasks.values():
            if task_str in task.id:
                found[task.status][task.id] = self._serialize_task(task, include_deps=False)
        return found

    @rpc_method()
    def worker_list(self, include_running: bool = True, **kwargs: Any) -> list[dict[str, Any]]:
        """Workers, the youngest first, with what they run and may run."""
        self.prune()
        found = [self._serialize_worker(worker) for worker in self._workers.values()]
        found.sort(key=lambda worker: worker["started"], reverse=True)
        if include_running:
            running: defaultdict[str | None, dict[str, Any]] = defaultdict(dict)
            for task in self._by_status[RUNNING].values():
                running[task.worker_running][task.id] = self._serialize_task(task, include_deps=False)
            pending: defaultdict[str, int] = defaultdict(int)
            unique: defaultdict[str, int] = defaultdict(int)
            for task in self._by_status[PENDING].values():
                for name in task.workers:
                    pending[name] += 1
                    unique[name] += len(task.workers) == 1
            for shown in found:
                name, tasks = shown["name"], running[shown["name"]]
                shown.update(num_running=len(tasks), num_pending=pending[name], num_uniques=unique[name], running=tasks)
        return found

    def _serialize_worker(self, worker: Worker) -> dict[str, Any]:
        first = worker.info.get("first_task", "")
        return {
            "name": worker.id,
            "last_active": worker.last_active,
            "started": worker.started,
            "state": worker.state,
            "first_task_display_name": self._tasks[first].pretty_id if first in self._tasks else first,
            "num_unread_rpc_messages": len(worker.rpc_messages),
            **worker.info,
        }

    @rpc_method()
    def resource_list(self) -> list[dict[str, Any]]:
        """Resources with their totals, and the tasks that use them."""
        self.prune()
        users: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for task in self._by_status[RUNNING].values():
            for name in task.resources:
                users[name][task.id] = self._serialize_task(task, include_deps=False)
        return [
            {"name": name, "num_total": one["total"], "num_used": one["used"], "num_consumer": len(users[name]), "running": users[name]}
            for name, one in self.resources().items()
        ]

    @rpc_method()
    def fetch_error(self, task_id: str, **kwargs: Any) -> dict[str, Any]:
        """How a task failed, for people."""
        task = self._tasks.get(task_id)
        if task is None:
            return {"taskId": task_id, "error": ""}
        return {
            "taskId": task_id,
            "error": task.expl,
            "displayName": task.pretty_id,
            "taskParams": task.params,
            "taskModule": task.module,
            "taskFamily": task.family,
        }


_BRINGING: dict[str, Callable[[Desk, Task, Worker], None]] = {
    PENDING: Desk._bring_pending,
    SUSPENDED: Desk._bring_pending,
    RUNNING: Desk._bring_running,
    DONE: Desk._bring_done,
    FAILED: Desk._bring_failed,
    DISABLED: Desk._bring_disabled,
    UNKNOWN: Desk._bring_unknown,
}

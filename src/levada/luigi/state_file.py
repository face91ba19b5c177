"""The state of a ``luigi.scheduler.Scheduler`` in a file: the brain's snapshot, and what was told of tasks and workers.

MessagePack behind a line that says what it is. Written whole, then renamed.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import DecodeError, msgpack

from .._model.messages import Fence
from .desk import LEFT, Batch, RetryPolicy, Task, Worker

if TYPE_CHECKING:
    from .scheduler import Scheduler

logger = logging.getLogger("luigi.scheduler")
MAGIC = b"levada: state of a luigi scheduler, 1\n"
_SETS = ("deps", "missing", "needed_by", "stakeholders")
_TASK = (
    "index", "status", "told", "time", "updated", "remove", "worker_running", "time_running", "expl", "priority", "resources",
    "resources_running", "family", "module", "param_visibilities", "params", "accepts_messages", "tracking_url", "status_message",
    "progress_percentage", "runnable", "batchable", "batch_id",
)  # fmt: skip
_WORKER = ("reference", "started", "last_active", "last_get_work", "info", "disabled", "offers", "rpc_messages")


def write(path: Path, desk: Scheduler) -> None:
    """Keep the state; what another program left there is moved aside. A disk that refuses is told to the log."""
    state = {
        "brain": desk._port.save(),
        "tasks": {task.id: _plain(task) for task in desk._tasks.values()},
        "workers": {worker.id: _worker(worker) for worker in desk._workers.values()},
        "batches": [
            (one.id, one.worker, [task.id for task in one.members], one.runner and one.runner.id) for one in desk._batches.values()
        ],
        "batchers": {name: dict(families) for name, families in desk._batchers.items()},
        "family_batchers": desk._family_batchers,
        "resources": desk._resources,
        "paused": desk._paused,
    }
    try:
        _make_way(path)
        new = path.with_name(f"{path.name}.{os.getpid()}.new")
        new.write_bytes(MAGIC + msgpack.encode(state, enc_hook=str))
        new.replace(path)
    except OSError:
        logger.warning("the state could not be written to %s", path, exc_info=True)
    else:
        logger.info("wrote the state to %s", path)


def _make_way(path: Path) -> None:
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as there:
            if there.read(len(MAGIC)) != MAGIC:
                path.replace(path.with_name(path.name + ".luigi"))


def _plain(task: Task) -> dict[str, Any]:
    found = {name: getattr(task, name) for name in _TASK}
    found.update({name: sorted(getattr(task, name)) for name in _SETS})
    found.update(fence=task.fence, retry_policy=task.retry_policy, workers=list(task.workers))
    return found


def _worker(worker: Worker) -> dict[str, Any]:
    found = {name: getattr(worker, name) for name in _WORKER}
    found.update({name: list(getattr(worker, name)) for name in ("tasks", "stakes", "held")})
    return found


def read(path: Path, desk: Scheduler) -> None:
    """Bring an empty desk to where the file says that another was. What cannot be read is told to the log, and left out."""
    try:
        content = path.read_bytes()
    except OSError:
        logger.info("no state is kept at %s", path)
        return
    if not content:
        return
    if not content.startswith(MAGIC):
        logger.warning("%s is no state of this scheduler; it starts without tasks", path)
        return
    try:
        state = msgpack.decode(content[len(MAGIC) :], strict=False)
    except DecodeError:
        logger.exception("the state at %s is damaged; the scheduler starts without tasks", path)
        return
    desk._port.load(state["brain"])
    _fill(desk, state)


def _fill(desk: Scheduler, state: dict[str, Any]) -> None:
    for name, told in state["tasks"].items():
        task = desk._tasks[name] = _task(name, told)
        if task.index is not None:
            desk._by_index[task.index] = task
        desk._by_status[task.status][name] = task
        if not task.stakeholders:
            desk._lonely[name] = task
        for dep in task.missing:
            desk._awaited[dep].add(name)
    for task in desk._by_index.values():
        task.spec = desk._spec_of(task, task.index or 0)
    for name, told in state["workers"].items():
        worker = desk._workers[name] = Worker(name)
        for field in _WORKER:
            setattr(worker, field, told[field])
        for field in ("tasks", "stakes", "held"):
            setattr(worker, field, {one: desk._tasks[one] for one in told[field] if one in desk._tasks})
    for task in desk._tasks.values():
        if task.status in LEFT:
            desk._tally(task, task.workers, 1)
    for batch_id, worker_id, members, runner in state["batches"]:
        batch = desk._batches[batch_id] = Batch(batch_id, worker_id, [desk._tasks[one] for one in members if one in desk._tasks])
        batch.runner = desk._tasks.get(runner or "")
    batchers = {name: {family: tuple(one) for family, one in families.items()} for name, families in state["batchers"].items()}
    desk._batchers = defaultdict(dict, batchers)
    desk._family_batchers = {family: tuple(one) for family, one in state["family_batchers"].items()}
    desk._set_resources({**state["resources"], **desk._resources})
    desk._paused = state["paused"]


def _task(name: str, told: dict[str, Any]) -> Task:
    task = Task(name, told["status"], None)
    for field in _TASK:
        setattr(task, field, told[field])
    for field in _SETS:
        setattr(task, field, set(told[field]))
    task.set_params(task.params)
    task.workers = dict.fromkeys(told["workers"])
    task.fence = None if told["fence"] is None else Fence(*told["fence"])
    task.retry_policy = None if told["retry_policy"] is None else RetryPolicy(*told["retry_policy"])
    return task

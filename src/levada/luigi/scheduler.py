"""Luigi's ``luigi.scheduler``: its scheduler object over Levada's brain, and the settings of the section ``[scheduler]``.

The state file holds no pickle: what Luigi left at ``state_path`` is moved aside, not read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .._server.together import Together
from ..params import BoolParameter, EnumParameter, FloatParameter, IntParameter, OptionalStrParameter, Parameter
from ..task import Config
from . import configuration, notifications, task_history
from .batch_notifier import BatchNotifier
from .desk import (
    FOREVER,
    STATUS_TO_UPSTREAM_MAP,
    TASK_FAMILY_RE,
    UPSTREAM_DISABLED,
    UPSTREAM_FAILED,
    UPSTREAM_MISSING_INPUT,
    UPSTREAM_RUNNING,
    UPSTREAM_SEVERITY_KEY,
    UPSTREAM_SEVERITY_ORDER,
    WORKER_STATE_ACTIVE,
    WORKER_STATE_DISABLED,
    Desk,
    RetryPolicy,
    Task,
    Worker,
)
from .metrics import MetricsCollectors
from .rpc_methods import RPC_METHODS, rpc_method
from .task_status import BATCH_RUNNING, DISABLED, DONE, FAILED, PENDING, RUNNING, SUSPENDED, UNKNOWN

__all__ = [
    "BATCH_RUNNING", "DISABLED", "DONE", "FAILED", "PENDING", "RPC_METHODS", "RUNNING", "STATUS_TO_UPSTREAM_MAP", "SUSPENDED",
    "TASK_FAMILY_RE", "UNKNOWN", "UPSTREAM_DISABLED", "UPSTREAM_FAILED", "UPSTREAM_MISSING_INPUT", "UPSTREAM_RUNNING",
    "UPSTREAM_SEVERITY_KEY", "UPSTREAM_SEVERITY_ORDER", "WORKER_STATE_ACTIVE", "WORKER_STATE_DISABLED", "RetryPolicy", "Scheduler",
    "Task", "Worker", "rpc_method", "scheduler",
]  # fmt: skip

logger = logging.getLogger("luigi.scheduler")


def _get_empty_retry_policy() -> RetryPolicy:
    """Says nothing: the settings count."""
    return RetryPolicy(None, None, None)


class scheduler(Config):
    """The section ``[scheduler]``. Delays and windows are seconds."""

    retry_delay: Any = FloatParameter(default=900.0, description="until a failed task runs again; below 0: never by itself")
    remove_delay: Any = FloatParameter(default=600.0, description="until a task that nobody is here for is forgotten")
    worker_disconnect_delay: Any = FloatParameter(default=60.0, description="silence after which a worker is given up")
    state_path: Any = Parameter(default="/var/lib/luigi-server/state.levada", description="where the state is kept between two lives")
    batch_emails: Any = BoolParameter(default=False, description="collect failures, and tell them in one e-mail")
    disable_window = IntParameter(default=3600, description="in which failures are counted")
    retry_count = IntParameter(default=999999999, description="failures in the window that disable a task")
    disable_hard_timeout = IntParameter(default=999999999, description="after its first failure another one disables a task")
    disable_persist: Any = IntParameter(default=86400, description="for which a task stays disabled")
    max_shown_tasks: Any = IntParameter(default=100000, description="most tasks of a list")
    max_graph_nodes: Any = IntParameter(default=100000, description="most tasks of a graph")
    record_task_history: Any = BoolParameter(default=False, description="write what happens to tasks into a database")
    prune_on_get_work: Any = BoolParameter(default=False, description="look for silent workers at each claim")
    pause_enabled: Any = BoolParameter(default=True, description="people may pause the scheduler")
    send_messages: Any = BoolParameter(default=True, description="people may send messages to running tasks")
    metrics_collector: Any = EnumParameter(enum=MetricsCollectors, default=MetricsCollectors.default, description="who counts")
    metrics_custom_import: Any = OptionalStrParameter(default=None, description="a collector of your own: module and class")
    stable_done_cooldown_secs: Any = IntParameter(default=10, description="for which a done task is not taken for incomplete")

    def _get_retry_policy(self) -> RetryPolicy:
        return RetryPolicy(self.retry_count, self.disable_hard_timeout, self.disable_window)


class _State:
    """What tools that look behind the scheduler ask for."""

    def __init__(self, desk: Scheduler) -> None:
        self._desk = desk
        self._metrics_collector: Any = None

    def get_task(self, task_id: str, default: Any = None) -> Any:
        return self._desk._tasks.get(task_id, default)

    def has_task(self, task_id: str) -> bool:
        return task_id in self._desk._tasks

    def get_active_tasks(self) -> Iterable[Task]:
        return self._desk._tasks.values()

    def get_active_workers(self) -> Iterable[Worker]:
        return self._desk._workers.values()

    def get_worker(self, worker_id: str) -> Worker:
        return self._desk._worker(worker_id)


class Scheduler(Desk):
    """Luigi's scheduler object: all verbs of its protocol, over a brain in this process.

    config: settings; else those of luigi.cfg, with the keyword arguments above them. resources: totals; else the section
    ``[resources]``. task_history_impl: told of what happens, in place of what the settings ask for.
    """

    def __init__(self, config: Any = None, resources: dict[str, Any] | None = None, task_history_impl: Any = None, **kwargs: Any) -> None:
        config = config or scheduler(**kwargs)
        self._task_history = task_history_impl or _history(config)
        self._state = _State(self)
        self._state._metrics_collector = MetricsCollectors.get(config.metrics_collector, config.metrics_custom_import)
        if config.batch_emails:
            self._email_batcher = BatchNotifier()
        port = Together(lease=config.worker_disconnect_delay, lock_delay=config.retry_delay if config.retry_delay >= 0 else FOREVER)
        super().__init__(port, config, resources or configuration.get_config().getintdict("resources"))

    @property
    def task_history(self) -> Any:
        """Who is told what happens to tasks."""
        return self._task_history

    @rpc_method()
    def has_task_history(self) -> bool:
        """Is it written down what happens to tasks?"""
        return bool(self._config.record_task_history)

    # -- who is told

    def _note_history(self, task: Task, status: str, host: str | None = None) -> None:
        """A history that fails stops nothing."""
        try:
            if status in (DONE, FAILED):
                self._task_history.task_finished(task, status == DONE)
            elif status == PENDING:
                self._task_history.task_scheduled(task)
            elif status == RUNNING:
                self._task_history.task_started(task, host)
        except Exception:
            logger.warning("the history could not be told that a task is %s", status, exc_info=True, extra={"task": task.id})

    def _note_standing(self, task: Task) -> None:
        collector = self._state._metrics_collector
        if task.status == DISABLED:
            collector.handle_task_disabled(task, self._config)
        elif task.status == DONE:
            collector.handle_task_done(task)
        elif task.status == FAILED:
            collector.handle_task_failed(task)

    def _note_start(self, task: Task) -> None:
        self.update_metrics_task_started(task)

    def _note_disabled(self, task: Task) -> None:
        if self._config.batch_emails:
            return
        policy = task.retry_policy or self._config._get_retry_policy()
        notifications.send_error_email(
            f"Luigi scheduler: {task.id} fails too often, it is disabled",
            f"{task.id} failed {policy.retry_count} times within {policy.disable_window} s, or for longer than it may. It is "
            f"disabled for {self._config.disable_persist} s.",
        )

    def _note_failure(self, task: Task, worker: str, expl: Any, owners: Any) -> None:
        if not self._config.batch_emails:
            return
        try:
            told = json.loads(expl)
        except (TypeError, ValueError):
            told = expl
        rest = self._unbatched(worker, task.family, task.params)
        self._email_batcher.add_failure(task.pretty_id, task.family, rest, told, owners)
        if task.status == DISABLED:
            self._email_batcher.add_disable(task.pretty_id, task.family, rest, owners)

    def _unbatched(self, worker: str, family: str, params: dict[str, Any]) -> dict[str, Any]:
        names, _ = self._batchers.get(worker, {}).get(family, ((), 1))
        return {name: value for name, value in params.items() if name not in names}

    @rpc_method()
    def announce_scheduling_failure(
        self, task_name: str, family: str, params: dict[str, Any], expl: str, owners: Any, **kwargs: Any
    ) -> None:
        """A worker could not plan a task: told by e-mail, where e-mails are collected here."""
        if self._config.batch_emails:
            rest = self._unbatched(kwargs["worker"], family, params)
            self._email_batcher.add_scheduling_fail(task_name, family, rest, expl, owners)

    def prune(self) -> None:
        """Let time pass: silent workers and what nobody needs any more go, e-mails that are due are sent."""
        super().prune()  # which waits for its turn
        if self._config.batch_emails:
            self._email_batcher.update()

    @rpc_method()
    def update_metrics_task_started(self, task: Any) -> None:
        """Count the start of a task."""
        self._state._metrics_collector.handle_task_started(task)

    @rpc_method()
    def report_task_statistics(self, task_id: str, statistics: dict[str, Any]) -> None:
        """Figures that a task gives of itself."""
        if task_id in self._tasks:
            self._state._metrics_collector.handle_task_statistics(self._tasks[task_id], statistics)

    # -- from one life to the next

    def dump(self) -> None:
        """Write the state to ``state_path``; a disk that refuses is told to the log. Sends what e-mails are waiting."""
        from .state_file import write

        with self._guard:
            write(Path(self._config.state_path), self)
        if self._config.batch_emails:
            self._email_batcher.send_email()

    def load(self) -> None:
        """Go on from ``state_path``, if it was written by this class; before anything else is asked of it."""
        from .state_file import read

        read(Path(self._config.state_path), self)


def _history(config: Any) -> Any:
    if not config.record_task_history:
        return task_history.NopHistory()
    from . import db_task_history  # loads sqlalchemy

    return db_task_history.DbTaskHistory()

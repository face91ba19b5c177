"""Luigi's ``luigi.task_history``: who is told what happens to tasks. ``db_task_history`` writes it down."""

from __future__ import annotations

import abc
import logging
from typing import Any

logger = logging.getLogger("luigi-interface")


class StoredTask:
    """A task of the scheduler as a history remembers it."""

    def __init__(self, task: Any, status: str, host: str | None = None) -> None:
        self._task = task
        self.status = status
        self.record_id: int | None = None
        self.host = host

    @property
    def task_family(self) -> str:
        """The name of its class."""
        return str(self._task.family)

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameter -> text."""
        return dict(self._task.params)


class TaskHistory(metaclass=abc.ABCMeta):
    """Told by the scheduler: a subclass says what becomes of it."""

    @abc.abstractmethod
    def task_scheduled(self, task: Any) -> Any:
        """A worker wants a task to run."""

    @abc.abstractmethod
    def task_finished(self, task: Any, successful: bool) -> Any:
        """A task is done, or has failed."""

    @abc.abstractmethod
    def task_started(self, task: Any, worker_host: str | None) -> Any:
        """A task was given to a worker on a host."""


class NopHistory(TaskHistory):
    """Forgets everything."""

    def task_scheduled(self, task: Any) -> None:
        """Nothing."""

    def task_finished(self, task: Any, successful: bool) -> None:
        """Nothing."""

    def task_started(self, task: Any, worker_host: str | None) -> None:
        """Nothing."""

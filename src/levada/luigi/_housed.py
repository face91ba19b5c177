"""Tasks of an old program, run by the house under its own contract, and told in Luigi's words.

Levada's promises hold here: done means that the outputs were seen, ``run()`` goes on where it yielded, runs of one host
exclude each other task by task, failed tasks are tried again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _run
from .._model.spec import Index
from .._model.status import Status
from .._plan.walk import BROKEN, EXTERNAL, GATE
from .execution_summary import LuigiRunResult

if TYPE_CHECKING:
    from .._model.ports import Attempt
    from .._worker.runner import Runner


def run_in_house(tasks: list[Any], workers: int, scheduler: str) -> HouseRunResult:
    """Run tasks as ``levada.run`` does. scheduler: addresses of a server, "" for none."""
    account = Account(tasks)
    result = _run.run(tasks, workers=workers, scheduler=scheduler or "none", observer=account)
    account.close(result)
    return HouseRunResult(account, result)


class HouseRunResult(LuigiRunResult):
    """A LuigiRunResult that holds Levada's RunResult, too (``result``); it succeeded if the wanted tasks are complete."""

    def __init__(self, account: Account, result: _run.RunResult) -> None:
        super().__init__(account, bool(result))
        self.result = result


class Account:
    """Watches a run, and stands where a Luigi summary looks for a worker."""

    def __init__(self, wanted: list[Any]) -> None:
        self._id = "levada"
        self._scheduled_tasks: dict[str, Any] = {}
        self._get_work_response_history: list[dict[str, Any]] = []
        self._add_task_history: list[tuple[Any, str, bool]] = []
        self._wanted = wanted
        self._ended: list[tuple[Any, str]] = []
        self._runner: Runner | None = None
        self._there: set[Index] = set()

    def started(self, runner: Runner) -> None:
        """The run began."""
        self._runner = runner

    def progress(self, runner: Runner) -> None:
        """Of no interest."""

    def task_started(self, task: Any) -> None:
        """Of no interest."""

    def task_ended(self, task: Any, attempt: Attempt) -> None:
        """Remember how, and write to people where it failed."""
        self._ended.append((task, "DONE" if attempt.exit == "ok" else "FAILED"))
        if attempt.exit != "ok":
            _tell_people(task, attempt.error)

    def draining(self, signum: int, running: int) -> None:
        """Of no interest."""

    def ended(self, runner: Runner) -> None:
        """Ask what is done, while there is somebody to ask."""
        self._there = set(runner.scheduler.having(Status.DONE))

    def close(self, result: _run.RunResult) -> None:
        """Write the history as a worker would have."""
        history = self._add_task_history
        if self._runner is None:  # nothing was to be done
            history += [(task, "DONE", False) for task in self._wanted]
            return
        discovery = self._runner.discovery
        history += [(task, "PENDING", True) for task, _ in self._ended]
        history += [(task, "DONE", False) for task in discovery.found_complete()]
        told = {task for task, _ in self._ended}
        for index, task in enumerate(discovery.tasks):
            if task is None or task in told:
                continue
            kind = discovery.kinds[index]
            if kind != GATE and (result or index in self._there):  # others made it
                history.append((task, "DONE", False))
                continue
            history.append((task, "UNKNOWN" if kind == BROKEN else "PENDING", kind != EXTERNAL))
            if index in self._there or (kind == GATE and result):
                history.append((task, "DONE", True))
        history += [(task, status, True) for task, status in self._ended]
        roots = [entry for entry in history if entry[0] is self._wanted[0]]
        history[:0] = roots[:1]


def _tell_people(task: Any, error: str) -> None:
    import socket
    import subprocess
    import sys

    from . import notifications
    from .worker import worker

    if not worker().send_failure_email:
        return
    headline = "A task failed when running. Most likely run() raised an exception."
    message = notifications.format_task_error(headline, task, subprocess.list2cmdline(sys.argv), error)
    notifications.send_error_email(f"Luigi: {task} FAILED. Host: {socket.gethostname()}", message, task.owner_email)

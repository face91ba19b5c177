"""What the loop of a worker reports, beyond what whole runs show (tests/run, tests/served)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import levada
from levada._model.messages import Fence, Grant, SessionId, Sync, SyncReply
from levada._model.status import ExitClass
from levada._plan.walk import RUN, Discovery
from levada._worker.executor import Ended, Job
from levada._worker.runner import Runner, Running
from levada._worker.together import Resident
from levada.task import policy_of

from .odd import Noop


def test_what_no_further_attempt_mends_is_final_once_and_not_when_somebody_sets_it_going_again() -> None:
    runner: Any = Runner.__new__(Runner)
    runner.discovery, runner.failures, runner._failed, runner._hopeless = SimpleNamespace(kinds=bytearray([RUN])), {}, [], {0}
    task = Noop(number=1)
    for attempt in (1, 2):
        held = Running(Grant(0, Fence(1, attempt), attempt, 60.0, ()), task, policy_of(task), b"k" * 16, "")
        runner._fail(held, Ended(0, ExitClass.INFRA, "not there"))
    assert [one.final for one in runner._failed] == [True, False]


class Absent(levada.Task):
    def output(self) -> levada.MemoryTarget:
        return levada.MemoryTarget("absent")


class Lazy:
    """A server that grants one task and has nothing more, and an executor whose attempts end as it is told."""

    slots, unfinished = 1, 0

    def __init__(self, exit_class: ExitClass) -> None:
        self.exit = exit_class
        self.grants = [Grant(0, Fence(1, 1), 1, 60.0, ())]
        self.jobs: list[Job] = []
        self.heard: list[str] = []

    def sync(self, command: Sync) -> SyncReply:
        self.heard += ["failed"] * len(command.failed) + ["done"] * len(command.done)
        granted, self.grants = self.grants, []
        return SyncReply(granted, [], [], [], None, 0, 0)

    def remember(self, rows: list[Any]) -> None:
        self.heard += [f"attempt: {row[7]}" for row in rows]

    def refused(self) -> list[int]:
        return []

    def is_lost(self, index: int, fence: Fence) -> bool:
        return False

    def free(self) -> int:
        return 1

    def start(self, jobs: list[Job]) -> None:
        self.jobs += jobs

    def collect(self, timeout: float) -> list[Ended]:
        jobs, self.jobs = self.jobs, []
        return [Ended(job.index, self.exit, "no flights" if self.exit is ExitClass.USER else "") for job in jobs]


def resident(lazy: Lazy) -> Any:
    """A resident worker that knows one task, and whose plan is at its end."""
    discovery = Discovery([])
    discovery.adopt(Absent())
    while discovery.step() is not None:
        pass
    lazy_room: Any = lazy
    return Resident(lazy_room, SessionId("s"), discovery, lazy_room, modules=["odd"], remember=lazy.remember)


def test_what_an_attempt_failed_with_is_told_with_the_failure() -> None:
    """An alert, ``levada log`` and who waits for the task read it as soon as the failure is known."""
    lazy = Lazy(ExitClass.USER)
    runner = resident(lazy)
    for _ in range(3):
        runner._round()
    assert lazy.heard == ["attempt: no flights", "failed"]


def test_an_idle_resident_worker_sends_what_is_kept_of_attempts_when_its_time_has_come() -> None:
    lazy = Lazy(ExitClass.OK)
    runner = resident(lazy)
    for _ in range(3):
        runner._round()
    assert lazy.heard == ["done"], "attempts that ended well are sent together"
    runner._write_at = 0.0
    runner._round()
    assert lazy.heard == ["done", "attempt: "]

"""An engine in memory whose answers get lost, whose jobs end as they are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from levada.errors import EngineUnreachable, JobRefused
from levada.handover import JobSpec, JobState, JobStatus


class FakeEngine:
    """``jobs``: by handle. ``faults``: how often each verb fails from now on. ``lose``: submissions that are taken, and not answered."""

    name = "fake"
    poll_seconds = 0.02

    def __init__(self) -> None:
        self.jobs: dict[str, JobStatus] = {}
        self.specs: dict[str, JobSpec] = {}
        self.faults: dict[str, int] = {}
        self.lose = 0
        self.refuse = ""
        self.calls: list[tuple[str, Any]] = []
        self.at_once: JobStatus | None = JobStatus(JobState.SUCCEEDED, 0)
        self.on_submit = lambda job: None

    def _called(self, verb: str, what: Any) -> None:
        self.calls.append((verb, what))
        if self.faults.get(verb, 0) > 0:
            self.faults[verb] -= 1
            raise EngineUnreachable("fake is away")

    def submit(self, job: JobSpec) -> str:
        self._called("submit", job.submission)
        if self.refuse:
            raise JobRefused(self.refuse)
        handle = f"#{job.submission}"
        assert handle not in self.jobs, "submitted twice"
        self.specs[handle] = job
        self.jobs[handle] = self.at_once or JobStatus(JobState.RUNNING)
        self.on_submit(job)
        if self.lose > 0:
            self.lose -= 1
            raise EngineUnreachable("the answer was lost")
        return handle

    def find(self, submission: str) -> str | None:
        self._called("find", submission)
        return f"#{submission}" if f"#{submission}" in self.jobs else None

    def poll(self, handles: Sequence[str]) -> Sequence[JobStatus]:
        self._called("poll", tuple(handles))
        return [self.jobs.get(handle, JobStatus(JobState.FORGOTTEN)) for handle in handles]

    def cancel(self, handle: str) -> None:
        self._called("cancel", handle)
        self.jobs[handle] = JobStatus(JobState.KILLED, message="cancelled")

    def logs(self, handle: str, *, most: int) -> str:
        self._called("logs", handle)
        return "what it said"[-most:]

    def forget(self, handle: str) -> None:
        self._called("forget", handle)

    def verbs(self) -> list[str]:
        """What was asked, without the polls."""
        return [verb for verb, _ in self.calls if verb != "poll"]

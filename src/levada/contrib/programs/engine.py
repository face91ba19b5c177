"""The engine ``local``: a job is a program of this machine, in a session of its own, which outlives the worker.

``cpus`` says nothing here; ``memory`` limits the address space of each of its processes; ``seconds`` is kept by its supervisor.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from levada._model.engines import JobSpec, JobStatus
from levada.errors import EngineError, JobRefused
from levada.handover.book import state
from levada.handover.detached import Programs


class LocalEngine:
    """Jobs of this host under a folder. A handle is ``HOST:FOLDER/SUBMISSION``."""

    name = "local"
    poll_seconds = 0.5
    of_one_host = True

    def __init__(self, folder: str) -> None:
        self._programs = Programs(folder)
        self._host = f"{socket.gethostname()}:{os.path.realpath(folder)}"  # another state folder's jobs are not known here either

    def submit(self, job: JobSpec) -> str:
        """Start the program."""
        if job.options:
            raise JobRefused(f"{job.title}: the engine local has no options, got {', '.join(map(repr, job.options))}")
        self._programs.start(job._replace(folder=os.path.abspath(job.folder)))  # where the worker runs, if it does not say
        return f"{self._host}/{job.submission}"

    def find(self, submission: str) -> str | None:
        """By its folder."""
        return f"{self._host}/{submission}" if self._programs.was_started(submission) else None

    def poll(self, handles: Sequence[str]) -> Sequence[JobStatus]:
        """By a file and a lock each."""
        return [self._programs.status(self._ours(handle)) for handle in handles]

    def cancel(self, handle: str) -> None:
        """SIGTERM to all of its session, SIGKILL later."""
        self._programs.cancel(self._ours(handle))

    def logs(self, handle: str, *, most: int) -> str:
        """Stdout and stderr as they came."""
        return self._programs.log(self._ours(handle), most)

    def forget(self, handle: str) -> None:
        """Remove its folder."""
        self._programs.forget(self._ours(handle))

    def _ours(self, handle: str) -> str:
        host, _, submission = handle.rpartition("/")
        if host != self._host:
            raise EngineError(
                f"job {submission} was started at {host}, this is {self._host} (host and folder): it can be followed there only",
                hint=f"Start a worker there. If that host is gone for good: `levada jobs forget {submission}`.",
            )
        return submission


def open_engine(rest: str) -> LocalEngine:
    """The engine of this host."""
    if rest:
        raise EngineError(f"local://{rest}: the engine local has no address", hint='Write "local", or ssh://HOST for another host.')
    return LocalEngine(os.path.join(state(), "programs"))

"""The port of hand-over: what an engine that runs jobs elsewhere is told, and what it tells.

A *job* is work that another system runs for an attempt: a process of this machine, a batch job of Slurm, an application of
YARN. An engine is spoken to in six verbs; it keeps nothing that must outlive the process, since the handle is text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from .values import NamedTuple


class JobState(StrEnum):
    """Where a job stands."""

    PENDING = "pending"  # taken, and waits for its turn
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # by itself: its exit status, its exception
    KILLED = "killed"  # by its engine or by a person: memory, time, preemption, cancelled
    FORGOTTEN = "forgotten"  # the engine does not know the job, and will not any more

    @property
    def is_ended(self) -> bool:
        """Whether nothing of it will change any more."""
        return self not in (JobState.PENDING, JobState.RUNNING)


class JobSpec(NamedTuple):
    """What an engine is to run.

    submission: name of this one submission, [a-z0-9-], starts with a letter, at most 63 characters: fit for a label, a job name, a
    folder. It is new for each submission, so that a job is found again by it. title: the task, for people.
    argv: program and arguments; what they mean is the engine's (a container's command, the arguments of spark-submit).
    folder: where it runs, "" for the engine's own choice. cpus, memory (bytes), seconds: what it may take, None for the engine's default.
    options: what only this engine understands; it refuses names that it does not know (JobRefused).
    """

    submission: str
    title: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = MappingProxyType({})
    folder: str = ""
    cpus: float | None = None
    memory: int | None = None
    seconds: float | None = None
    options: Mapping[str, object] = MappingProxyType({})


class JobStatus(NamedTuple):
    """What an engine knows of one job."""

    state: JobState
    exit: int | None = None  # exit status of its program; None: not known, or it did not end by itself
    message: str = ""  # one line for people: why it waits, why it ended
    url: str = ""  # where people see it
    progress: float | None = None  # 0 to 1
    counts: Mapping[str, int] = MappingProxyType({})  # what the job counted (Hadoop's counters, "group/name")


class Engine(Protocol):
    """A system that runs jobs. Safe for threads.

    Verbs raise EngineUnreachable when the system does not answer, which says nothing of the job, and JobRefused when it will not
    take what it is told, however often. They give up waiting by themselves, within a minute.
    """

    name: str  # as in the address: "slurm"
    poll_seconds: float  # how long people are willing to wait to learn of a job's end

    # An engine may also have ``of_one_host = True``: its jobs are known to the host alone that submitted them.

    def submit(self, job: JobSpec) -> str:
        """Start it; its handle: one line, at most 4,000 characters, by which any process on any host finds it.

        After EngineUnreachable it is not known whether the job was taken: `find` tells.
        """
        ...

    def find(self, submission: str) -> str | None:
        """The handle of the job submitted under that name, also by a process that died meanwhile; None: surely there is none."""
        ...

    def poll(self, handles: Sequence[str]) -> Sequence[JobStatus]:
        """How jobs stand, in the order of the handles, with as few questions to the system as it allows."""
        ...

    def cancel(self, handle: str) -> None:
        """Have the job and all that it started ended. Harmless when it ended or is forgotten; does not wait for its end."""
        ...

    def logs(self, handle: str, *, most: int) -> str:
        """What the job has said so far, stdout and stderr as far as the engine keeps them: the last ``most`` bytes. "" when nothing."""
        ...

    def forget(self, handle: str) -> None:
        """Its outcome is known: what is kept of it on our side (a job's folder, its pod) may go. Harmless to repeat."""
        ...

"""What is asked of a scheduler, and what it answers. Values only; only durations, never clock times.

The same messages serve the embedded scheduler (called directly) and a server (translated by the wire):
tasks are dense integers here; where a message leaves its process, keys stand in their place.
A field ``index`` hides ``tuple.index``, which nobody calls on a message.
"""

# No `from __future__ import annotations` here: each text would be compiled again when a NamedTuple is made.

from typing import NewType

from .spec import Growth, Index, TaskSpec
from .status import ExitClass, Status
from .values import NamedTuple

SessionId = NewType("SessionId", str)
"""A worker process's life; chosen by the worker, 128 random bits in hex when it crosses a wall."""


class Fence(NamedTuple):
    """Names one grant of one task; a newer grant of the task compares greater."""

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}"


# -- commands of workers -----------------------------------------------------------------------


class Hello(NamedTuple):
    """Open (or resume) a session. Answer: HelloReply."""

    session: SessionId
    labels: tuple[str, ...] = ()  # modules whose tasks an assistant offers to run
    goal: str = ""  # names what is wanted, equal for two runs of one command; "": the session is a goal of its own


class HelloReply(NamedTuple):
    epoch: int
    lease: float  # seconds; inf where leases never lapse (embedded)


class AddTasks(NamedTuple):
    """Register a slice of a plan, at most about a thousand tasks. Answer: None.

    All or nothing. A task that is known already is added again (docs/promises.md, section 2).
    """

    session: SessionId
    tasks: tuple[TaskSpec, ...] | list[TaskSpec]
    growth: tuple[Growth, ...] | list[Growth]
    complete: int = 0  # so many more were found complete; they are counted, not sent
    reopen: bool = False  # done tasks among them were found incomplete after the scheduler said done


class Failed(NamedTuple):
    """An attempt that did not end well."""

    index: Index  # type: ignore[assignment]
    fence: Fence
    exit: ExitClass
    errors: tuple[str, ...] = ()  # names of the exception's class and its bases, most special first
    draw: float = 0.5  # in [0, 1): from (key, attempt), spreads the retries
    final: bool = False  # no further attempt can help


class HandedBack(NamedTuple):
    """A granted task that was not run: counts nothing. after: seconds before it is granted again."""

    index: Index  # type: ignore[assignment]
    fence: Fence
    after: float = 0.0
    reason: str = ""  # shown by `why`, e.g. "runs in another process of this host"


class Suspended(NamedTuple):
    """run() yielded requirements (added before): fence kept, room and resources given back.

    When they are done the same session gets the task in ``SyncReply.resumed``.
    """

    index: Index  # type: ignore[assignment]
    fence: Fence
    requires: tuple[Index, ...] | list[Index]


class Sync(NamedTuple):
    """Report and claim in one message. Answer: SyncReply. An older fence is answered in ``lost``."""

    session: SessionId
    done: list[tuple[Index, Fence]] = []  # never mutated
    failed: list[Failed] = []
    handed_back: list[HandedBack] = []
    suspended: list[Suspended] = []
    found_complete: list[Index] = []  # seen complete without an attempt of ours
    room: int = 0  # so many more tasks can be taken


class Grant(NamedTuple):
    """Leave to run one task. ``batch``: further tasks of the same lease, to be run as one."""

    index: Index  # type: ignore[assignment]
    fence: Fence
    attempt: int  # 1 for the first
    lease: float  # seconds
    batch: "tuple[Grant, ...]" = ()


class SyncReply(NamedTuple):
    granted: list[Grant]
    resumed: list[Index]  # suspended tasks whose requirements are done
    lost: list[Index]  # fence is void: stop, remove temporaries, report nothing
    cancel: list[Index]  # running tasks that are wished to stop
    ask_again_after: float | None  # seconds until a timer may free work; None: only a report can
    unfinished: int  # tasks of the scheduler that are waiting, ready, running or retrying
    active: int  # tasks that are ready, running or retrying: 0 means nothing will move by itself


class Renew(NamedTuple):
    """Extend leases. Harmless to repeat. Answer: RenewReply."""

    session: SessionId
    held: tuple[tuple[Index, Fence], ...]


class RenewReply(NamedTuple):
    lost: tuple[Index, ...]
    cancel: tuple[Index, ...]


class Confirm(NamedTuple):
    """Is this fence still the newest of its task? Answer: bool."""

    session: SessionId
    index: Index  # type: ignore[assignment]
    fence: Fence


class Bye(NamedTuple):
    """End a session; its leases are handed back. Answer: None."""

    session: SessionId


class Take(NamedTuple):
    """Claim one particular task. Answer: its Grant, or None where it is not ready, does not fit, or is not for this session."""

    session: SessionId
    index: Index  # type: ignore[assignment]


class Release(NamedTuple):
    """A running task needs less than it holds from now on (amounts by resource, to be given back). Answer: bool, whether it runs so.

    Of a batch the whole batch gives back.
    """

    session: SessionId
    index: Index  # type: ignore[assignment]
    fence: Fence
    resources: tuple[tuple[str, int], ...]


class Revise(NamedTuple):
    """A known task is as it is said now: policy, priority, batch group. What runs holds what it was granted with. Answer: None.

    requires: all that it requires from now on; None: as before. closed: no more will come; a task that is open again waits.
    """

    spec: TaskSpec
    requires: "tuple[Index, ...] | list[Index] | None" = None
    closed: bool = True


# -- commands of operators ---------------------------------------------------------------------


class Cancel(NamedTuple):
    """Waiting, ready or retrying becomes cancelled; a running one is wished to stop. Answer: Status."""

    index: Index  # type: ignore[assignment]


class RetryTask(NamedTuple):
    """Failed, disabled or cancelled becomes waiting with new counters. Answer: Status.

    after: seconds before it may run; meanwhile it is retrying.
    """

    index: Index  # type: ignore[assignment]
    after: float = 0.0


class Hurry(NamedTuple):
    """A retrying task need not wait for its time; its failures still count. Answer: Status."""

    index: Index  # type: ignore[assignment]


class Disable(NamedTuple):
    """What does not run and is not done is disabled until somebody sets it going. Answer: Status."""

    index: Index  # type: ignore[assignment]


class MarkFailed(NamedTuple):
    """What waits, is ready or retrying has failed without an attempt, since somebody says so; it counts. Answer: Status."""

    index: Index  # type: ignore[assignment]
    exit: ExitClass = ExitClass.USER
    errors: tuple[str, ...] = ()
    draw: float = 0.5


class Invalidate(NamedTuple):
    """What has come to an end becomes waiting, generation + 1. Answer: Status.

    generation, number: only if the task is still of that generation, and its newest fence (0: none was given) has that number;
    else nothing changes.
    """

    index: Index  # type: ignore[assignment]
    generation: int | None = None
    number: int | None = None


class Forgive(NamedTuple):
    """Forget the failures of a task; failed or disabled becomes waiting. Answer: Status."""

    index: Index  # type: ignore[assignment]


class MarkDone(NamedTuple):
    """What does not run is done, since somebody says so. Answer: Status."""

    index: Index  # type: ignore[assignment]


class SetPriority(NamedTuple):
    """Change a priority; what the task needs becomes as urgent. Answer: None."""

    index: Index  # type: ignore[assignment]
    priority: int


class SetResource(NamedTuple):
    """How much of a resource there is from now on (0 or more). Answer: None."""

    name: str
    total: int


class Pause(NamedTuple):
    """Grant nothing (True) or go on (False). Answer: None."""

    paused: bool


class Drain(NamedTuple):
    """Grant nothing more to this session. Answer: None."""

    session: SessionId


class Forget(NamedTuple):
    """Let go of tasks that came to an end long ago, or that nobody is here for. Answer: list of those that were let go.

    What a task that stays needs, stays. Their indices may be given to new tasks.
    """

    tasks: list[Index]


class Tick(NamedTuple):
    """Let time pass: due retries become ready, lapsed leases are taken back. Answer: None.

    lag: seconds that the server itself was away; every lease is judged as that much longer.
    """

    lag: float = 0.0


class Progress(NamedTuple):
    """Counters kept up to date, never a scan. by_family: family -> counts by Status value."""

    counts: tuple[int, ...]  # by Status value
    by_family: dict[str, tuple[int, ...]]
    complete: int  # found complete while planning


class TaskView(NamedTuple):
    """One task as the scheduler knows it, for `why` and summaries."""

    index: Index  # type: ignore[assignment]
    status: Status
    attempts: int
    generation: int
    fence: Fence | None
    unmet: tuple[Index, ...]
    reason: str
    retry_in: float | None  # seconds
    short_of: str | None  # the resource it waits for

"""What became true: the values that a decision answers with and that ``apply`` writes into the state.

A change is never refused. It holds what cannot be derived; what follows from it by arithmetic (counts
of unmet requirements, priorities passed upstream, resources in use) is derived by ``apply`` each time,
so that a store or a standby that plays the changes again arrives at the same state. Changes are
batch-valued where many tasks change in the same way. Times are the server's monotonic clock in seconds.
"""

# No `from __future__ import annotations` here: each text would be compiled again when a NamedTuple is made.

from collections.abc import Sequence

from .._model.messages import SessionId
from .._model.spec import Growth, Index, Policy, TaskSpec
from .._model.status import Status
from .._model.values import NamedTuple


class Trouble(NamedTuple):
    """The failures of a task since its counters were new. Bounded: only as many as its limits ask for."""

    failures: int = 0  # that count against the attempts of its Retry
    excused: int = 0  # infra and unwished cancelled ones in a row: they count nothing, but have a bound
    recent: tuple[float, ...] = ()  # moments of the failures within Retry.window, at most disable_after
    poison: tuple[float, ...] = ()  # moments of attempts that cost a worker or process, at most three
    first: float | None = None  # moment of the first failure, where Retry.give_up_after asks for it


class EpochBegan(NamedTuple):
    """A server took over this state; fences granted from now on carry its epoch."""

    epoch: int


class SessionOpened(NamedTuple):
    session: SessionId
    labels: tuple[str, ...]
    goal: str = ""


class SessionDrained(NamedTuple):
    session: SessionId


class SessionClosed(NamedTuple):
    session: SessionId


class TasksAdded(NamedTuple):
    """New tasks: first those that take the index of one that was forgotten, then those whose indices follow the last known one."""

    session: SessionId
    tasks: Sequence[TaskSpec]


class TasksShared(NamedTuple):
    """Known tasks that a further session added: from now on it may run them too."""

    session: SessionId
    tasks: Sequence[Index]


class Grown(NamedTuple):
    """Tasks got requirements, or were closed (no more will come)."""

    growth: Sequence[Growth]


class FoundWhilePlanning(NamedTuple):
    """So many more tasks were complete already; they are only counted."""

    found: int


class BecameReady(NamedTuple):
    """Waiting or retrying tasks of which every requirement is done."""

    tasks: Sequence[Index]


class WaitsAgain(NamedTuple):
    """Ready or retrying tasks that have an unmet requirement (a new one, or an invalidated one)."""

    tasks: Sequence[Index]


class Granted(NamedTuple):
    """One session got tasks: each fence and each attempt number is one higher than before.

    until: when the leases lapse; inf where they never do. crews: ``(leader, members)`` of each batch;
    its members hold the leader's resources together.
    """

    session: SessionId
    tasks: Sequence[Index]
    until: float
    crews: Sequence[tuple[Index, tuple[Index, ...]]] = ()


class LeasesExtended(NamedTuple):
    """Renewed leases: (task, new end). Lives in memory; a store may skip it."""

    until: Sequence[tuple[Index, float]]


class LeasesForgiven(NamedTuple):
    """The server was away: every lease ends so many seconds later."""

    seconds: float


class Reinstated(NamedTuple):
    """A lapsed lease was renewed before anybody else got the task: same fence, running again."""

    task: Index
    until: float


class Finished(NamedTuple):
    """Tasks became done: reported by their attempt, or found complete."""

    tasks: Sequence[Index]


class Ended(NamedTuple):
    """An attempt ended without success and the task goes on as ``status``; or somebody said so of a task that does not run.

    lapsed: the lease ended by time; the worker may still be alive and its late success is accepted.
    counted: the grant counts as an attempt (a handed back one does not).
    at: when a retrying task may become ready, when the window of a disabled one is over, or when a failed one
    may be started over by a goal that has seen it fail.
    """

    task: Index
    status: Status
    reason: str
    trouble: Trouble | None = None  # None: unchanged
    at: float | None = None
    lapsed: bool = False
    counted: bool = True


class Slept(NamedTuple):
    """A running task waits for requirements it yielded: fence kept, resources given back."""

    task: Index
    requires: Sequence[Index]


class TakenBack(NamedTuple):
    """What an attempt of the task had yielded is no requirement any more: another attempt yields what it needs itself."""

    task: Index


class Resumed(NamedTuple):
    """Suspended tasks go on; their resources are held again."""

    tasks: Sequence[Index]


class CancelWished(NamedTuple):
    """A running task is to stop; its lease is not renewed past ``deadline``."""

    task: Index
    deadline: float


class BecameCancelled(NamedTuple):
    task: Index


class StartedOver(NamedTuple):
    """A task that had come to an end waits again with new counters. invalid: generation + 1."""

    task: Index
    invalid: bool


class Forgiven(NamedTuple):
    """The failures of a task that has not come to an end count no more."""

    task: Index


class Forgotten(NamedTuple):
    """Tasks that are no more: nothing needs them. Their indices are free for others."""

    tasks: Sequence[Index]


class NeedsSet(NamedTuple):
    """Tasks that do not run hold these resources, sorted by name, whenever they run from now on."""

    tasks: Sequence[Index]
    resources: tuple[tuple[str, int], ...]


class Revised(NamedTuple):
    """A task is as this says from now on."""

    task: Index
    policy: Policy
    batch: str | None


class Replanned(NamedTuple):
    """All that a task requires from now on."""

    task: Index
    requires: Sequence[Index]
    closed: bool


class Released(NamedTuple):
    """A running task, or its batch, holds these resources from now on, sorted by name: less than before."""

    task: Index
    resources: tuple[tuple[str, int], ...]


class PrioritySet(NamedTuple):
    task: Index
    priority: int


class ResourceSet(NamedTuple):
    name: str
    total: int


class PauseSet(NamedTuple):
    paused: bool


Change = (
    EpochBegan
    | SessionOpened
    | SessionDrained
    | SessionClosed
    | TasksAdded
    | TasksShared
    | Grown
    | FoundWhilePlanning
    | BecameReady
    | WaitsAgain
    | Granted
    | LeasesExtended
    | LeasesForgiven
    | Reinstated
    | Finished
    | Ended
    | Slept
    | TakenBack
    | Resumed
    | CancelWished
    | BecameCancelled
    | StartedOver
    | Forgotten
    | Forgiven
    | NeedsSet
    | Revised
    | Replanned
    | Released
    | PrioritySet
    | ResourceSet
    | PauseSet
)

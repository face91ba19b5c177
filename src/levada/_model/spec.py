"""A task as plain data: what the scheduler may know of it."""

from typing import NewType

from .values import NamedTuple

TaskKey = NewType("TaskKey", bytes)
"""128-bit BLAKE2b of family and canonical parameters: the name of a task outside its process."""

Index = int
"""A task inside one process: a dense integer, 0, 1, 2, ... in order of discovery."""


BACKFILL = "backfill-"
"""How the names of resources begin that limit backfills; the rest is a family. Workers may say how much of them there is."""


class Retry(NamedTuple):
    """How often and when a failed task is tried again.

    attempts: in all, the first included; 1 never retries. first, longest: seconds; the delay before
    attempt n+1 lies between half and all of ``min(longest, first * 2**(n-1))``.
    disable_after: that many failures within ``window`` seconds disable the task (None: never);
    window: seconds. exceptions: ``(("ValueError", 1), ...)`` attempts in all for an exception class
    by plain or dotted name, its base classes included; the first match wins.
    """

    attempts: int = 3
    first: float = 2.0
    longest: float = 3600.0
    disable_after: int | None = None
    window: float = 86400.0
    exceptions: tuple[tuple[str, int], ...] = ()
    disabled_for: float | None = None  # seconds that failures disable it for, then it goes on by itself; None: ``window``, and asked for
    give_up_after: float | None = None  # a failure so many seconds after the first one disables the task


class Policy(NamedTuple):
    """What tasks of a family share; one object for all tasks with the same attributes."""

    family: str
    resources: tuple[tuple[str, int], ...] = ()  # sorted by name; amounts 1 or more
    retry: Retry = Retry()
    timeout: float | None = None  # seconds
    batch_limit: int = 1  # at most so many ready tasks of one batch group in one lease
    disabled: bool = False
    module: str = ""  # where the class lives: assistants that were started with it may run the task; "": nobody but who registered it
    owners: str = ""  # names with commas between: who is told when it fails


class TaskSpec(NamedTuple):
    """A node of the plan. Its requirements follow as ``Growth``."""

    index: Index  # type: ignore[assignment]
    policy: Policy
    priority: int = 0  # higher is more urgent; -2**20 .. 2**20
    batch: str | None = None  # tasks of equal batch group may share a lease


class Growth(NamedTuple):
    """More requirements of a task that was added before.

    requires: indices that were added before or stand in the same message; complete tasks are left out.
    closed: no more will come; until then the task cannot become ready.
    """

    index: Index  # type: ignore[assignment]
    requires: tuple[Index, ...] | list[Index]
    closed: bool = True

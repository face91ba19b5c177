"""What the exit code of a ``levada`` command means: the only list; docs and ``--help`` print this one."""

from __future__ import annotations

from collections.abc import Iterable

OK = 0
FAILED = 1
USAGE = 2
WAITING = 3
PLAN_FAULT = 4
WORK = 10
UNAVAILABLE = 69
INTERNAL = 70
BROKEN = 74
BUSY = 75
INTERRUPTED = 130
TERMINATED = 143

MEANINGS: tuple[tuple[int, str], ...] = (
    (OK, "the wanted task is complete (`plan`: nothing to do; other commands: answered)"),
    (FAILED, "a task failed for good, or is disabled"),
    (USAGE, "wrong option, parameter, configuration or task definition, or something that a server does not have; nothing was started"),
    (WAITING, "nothing failed; the wanted task waits for external data that is not there"),
    (PLAN_FAULT, "the plan has faults: a cycle, an exception in requires() or complete(), two writers of one target"),
    (WORK, "`plan` and `backfill --preview`: there is work to do"),
    (UNAVAILABLE, "something needed did not answer (a store, a server)"),
    (INTERNAL, "a fault of levada itself; please report it"),
    (BROKEN, "`server` only: its store broke (the disk, the database); a restart finds all that was acknowledged"),
    (BUSY, "the state folder is in use or cannot be used, or another server took over; try again later"),
    (INTERRUPTED, "stopped by SIGINT (Ctrl-C)"),
    (TERMINATED, "stopped by SIGTERM"),
)


def of_faults(kinds: Iterable[str]) -> int:
    """The exit code of a plan with faults of these kinds: 69 if nothing is wrong but that a store did not answer.

    >>> of_faults(["unreachable"]), of_faults(["unreachable", "cycle"])
    (69, 4)
    """
    return UNAVAILABLE if set(kinds) == {"unreachable"} else PLAN_FAULT

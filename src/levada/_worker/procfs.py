"""What the kernel says about processes, in a few reads of /proc; where there is none, nothing is known."""

from __future__ import annotations

import os
from typing import NamedTuple


class Process(NamedTuple):
    """A process, and when it began (clock ticks since boot): a number that is used again is another one."""

    pid: int
    began: int


def _stat(pid: int) -> list[bytes]:
    """Fields of /proc/PID/stat after the name: state, parent, group, ...; empty when it is not there."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped it (a debugger that holds it is another matter)."""
    fields = _stat(pid)
    return bool(fields) and fields[0] == b"T"


def is_gone(pid: int) -> bool:
    """Whether it has ended, be it that nobody has taken its status yet."""
    fields = _stat(pid)
    if fields:
        return fields[0] in (b"Z", b"X")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def parent_of(pid: int) -> int | None:
    """Its parent; None when nothing is known of it."""
    fields = _stat(pid)
    return int(fields[1]) if len(fields) > 1 else None


def still(process: Process) -> bool:
    """Whether the number still means the same process."""
    fields = _stat(process.pid)
    return len(fields) > 19 and int(fields[19]) == process.began


def descendants(pid: int) -> list[Process]:
    """Its children, their children and so on, as of now; parents first."""
    children: dict[int, list[Process]] = {}
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    for name in names:
        fields = _stat(int(name))
        if len(fields) > 19:
            children.setdefault(int(fields[1]), []).append(Process(int(name), int(fields[19])))
    found: list[Process] = []
    queue = [pid]
    while queue:
        some = children.pop(queue.pop(), [])
        found += some
        queue += [one.pid for one in some]
    return found

"""A tiny process that outlives its parent by a moment, to end what the parent's children have left running.

The kernel ends the children of a pool with their parent (Linux), but not the programs that their tasks
started; elsewhere it ends nothing. The reaper waits for the end of a pipe that only the parent holds
open, then kills the process groups that stand in a piece of shared memory.
"""

from __future__ import annotations

import mmap
import os
import signal
from typing import NoReturn

_GROUPS = 1024  # groups that can be watched at a time


class Reaper:
    """Made before the first child. ``watch`` and ``forget`` groups; ``close`` ends it without harm to anybody."""

    def __init__(self) -> None:
        self._groups = memoryview(mmap.mmap(-1, 8 * _GROUPS)).cast("q")
        self._slots: dict[int, int] = {}
        end, self.fd = os.pipe()
        self._parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            _reap(end, self._groups)
        os.close(end)

    def watch(self, group: int) -> None:
        """Kill this group when we are gone."""
        taken = set(self._slots.values())
        slot = next((slot for slot in range(_GROUPS) if slot not in taken), None)
        if slot is not None:
            self._slots[group] = slot
            self._groups[slot] = group

    def forget(self, group: int) -> None:
        """It has ended."""
        slot = self._slots.pop(group, None)
        if slot is not None:
            self._groups[slot] = 0

    def close(self) -> None:
        """End the reaper; nobody is killed."""
        if self.fd < 0 or os.getpid() != self._parent:
            return
        for group in list(self._slots):
            self.forget(group)
        os.close(self.fd)
        self.fd = -1
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            pass


def _reap(end: int, groups: memoryview) -> NoReturn:
    """The reaper's life. Imports nothing, allocates little; holds no descriptor but its end of the pipe."""
    try:
        os.setsid()  # Ctrl-C is not meant for it
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.dup2(end, 0)
        os.closerange(1, 1 << 16)
        while os.read(0, 64):
            pass
        for group in groups:
            if group > 1:
                try:
                    os.killpg(group, signal.SIGKILL)
                except OSError:
                    pass
    finally:
        os._exit(0)

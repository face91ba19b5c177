"""Leases in memory that the worker, its children and the keeper share: who holds what, until when, and what was heard.

A table of slots, one a lease. Each word has one writer, so that nothing is locked and a stopped process
holds up nobody; 8-byte words are written whole. To note a lease and to forget it costs the worker no call
to the system, and the keeper reads the table when it renews.

========  =========  ===========================================================================
word      writer     meaning
========  =========  ===========================================================================
SERIAL    worker     number of the lease; 0 for a free slot. Written last, and taken back first
INDEX     worker     the task in its process
EPOCH     worker     fence
NUMBER    worker     fence
KEY       worker     16 bytes
FROM      worker     until when the grant is valid by itself (boottime clock, seconds, a double)
ALLOWED   worker     seconds of work until its timeout (a double; inf without)
LEADER    worker     slot of the first member of its batch, or its own
TOLD      worker     the server's answer to the worker said lost
VALID     keeper     until when the last renewal is valid; counts for the lease of HEARD alone
HEARD     keeper     the SERIAL that VALID and FLAGS are about
FLAGS     keeper     LOST, CANCEL, FROZEN, GAVE_UP
FROZE     keeper     seconds for which it was frozen
GROUP     runner     process that runs it now (negative: a thread of it does); 0 when none does
BEGAN     runner     since when (boottime clock)
USED      runner     seconds of work before that
TAG       runner     first four bytes of the key that its temporaries bear
========  =========  ===========================================================================

*runner* is the process that runs the attempt: the worker, or a child of its pool. What the keeper wrote about the lease
that had the slot before does not count: HEARD tells.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .._client.clock import boottime
from .._model.messages import Fence
from .._model.spec import Index

SERIAL, INDEX, EPOCH, NUMBER, KEY, _KEY2, FROM, ALLOWED, LEADER, TOLD, VALID, HEARD, FLAGS, FROZE, GROUP, BEGAN, USED, TAG = range(18)
WORDS = 20  # of a slot
LOST, CANCEL, FROZEN, GAVE_UP = 1, 2, 4, 8
SLOTS = 1 << 14
WINDOW = 64  # slots that a lease may stand in, by the number of its task

NEWS, BEAT, REACHED, HIGH, AWAY = range(5)
HEADER = 8  # words before the first slot: NEWS, BEAT, REACHED and AWAY are the keeper's, HIGH is the worker's


class Seen(NamedTuple):
    """A lease as somebody who does not hold it reads it."""

    slot: int
    serial: int
    task: Index
    key: bytes
    fence: Fence


class Leases:
    """The table. Made by the worker before it forks; a process that was not forked opens it by its path."""

    def __init__(self, slots: int = SLOTS, *, path: str | None = None) -> None:
        size = 8 * (HEADER + WORDS * slots)
        self._slots = slots
        if path is None:
            self.fd = _memory(size)
        else:
            self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            size = os.fstat(self.fd).st_size
            self._slots = (size // 8 - HEADER) // WORDS
        self._memory = mmap.mmap(self.fd, size)
        view = memoryview(self._memory)
        self.words = view.cast("q")
        self.clocks = view.cast("d")
        self._bytes = view
        self._serial = 0
        self._used = 0
        self._news = 0
        self.on_look: Callable[[], None] | None = None
        self._told_of: dict[int, int] = {}  # slot -> flags that were passed on

    @property
    def path(self) -> str:
        """Where other processes of this user find it while we live (Linux)."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    # -- the worker's side

    def free(self) -> int:
        """How many more leases find a place for certain."""
        return max(0, self._slots // 4 - self._used)

    def hold(self, index: Index, key: bytes, fence: Fence, valid_until: float, allowed: float, leader: Index) -> int:
        """Note a lease; its slot. The leader of a batch is noted before the others. -1 when its window is full."""
        words, base = self.words, 0
        for step in range(WINDOW):
            slot = (index + step) % self._slots
            base = HEADER + WORDS * slot
            if not words[base]:
                break
        else:
            return -1
        self._serial += 1
        words[base + INDEX], words[base + EPOCH], words[base + NUMBER] = index, fence[0], fence[1]
        self._bytes[8 * (base + KEY) : 8 * (base + KEY) + 16] = key
        clocks = self.clocks
        clocks[base + FROM], clocks[base + ALLOWED] = valid_until, allowed
        words[base + TOLD] = words[base + GROUP] = 0
        clocks[base + BEGAN] = clocks[base + USED] = 0.0
        words[base + LEADER] = slot if leader == index else self._slot_of(leader, slot)
        words[base] = self._serial
        self._used += 1
        if slot >= words[HIGH]:
            words[HIGH] = slot + 1
        return slot

    def _slot_of(self, index: Index, default: int) -> int:
        """The newest lease of a task (an earlier one may still wait for its report to arrive)."""
        near = [(index + step) % self._slots for step in range(WINDOW)]
        mine = [slot for slot in near if self.serial(slot) and self.words[HEADER + WORDS * slot + INDEX] == index]
        return max(mine, key=self.serial, default=default)

    def release(self, slot: int) -> None:
        """The lease has ended."""
        words, base = self.words, HEADER + WORDS * slot
        if words[base]:
            words[base] = words[base + GROUP] = 0
            self._used -= 1
            self._told_of.pop(slot, None)
            if not self._used:
                words[HIGH] = 0

    def lose(self, slot: int) -> None:
        """The server has told the worker that it is lost."""
        self.words[HEADER + WORDS * slot + TOLD] = 1

    def is_lost(self, slot: int) -> bool:
        """Whether anybody has heard that it is."""
        base = HEADER + WORDS * slot
        return bool(self.words[base + TOLD] or self.flags(slot) & LOST)

    def gave_up(self, slot: int) -> bool:
        """Whether its attempt was stopped because the server was away."""
        return bool(self.flags(slot) & GAVE_UP)

    def reached(self) -> float:
        """When the keeper last had an answer; boottime clock."""
        return self.clocks[REACHED]

    def news(self) -> list[tuple[int, bool]]:
        """(slot, lost) of what the keeper heard since the last call; one word is read when there is none."""
        count = self.words[NEWS]
        if count == self._news:
            return []
        self._news = count
        found: list[tuple[int, bool]] = []
        for slot in self.taken():
            flags = self.flags(slot) & (LOST | CANCEL)
            if flags & ~self._told_of.get(slot, 0):
                self._told_of[slot] = flags
                found.append((slot, bool(flags & LOST)))
        return found

    def look(self) -> None:
        """See to it that somebody renews."""
        if self.on_look is not None:
            self.on_look()

    # -- the side of who runs an attempt

    def find(self, index: Index, fence: Fence) -> int:
        """The slot of a lease; -1 when there is none."""
        words, slots = self.words, self._slots
        for step in range(WINDOW):
            base = HEADER + WORDS * ((index + step) % slots)
            if words[base + INDEX] == index and words[base] and words[base + NUMBER] == fence[1] and words[base + EPOCH] == fence[0]:
                return (index + step) % slots
        return -1

    def begin(self, slot: int, group: int, tag: int) -> None:
        """The attempt works from now on, in this process."""
        base = HEADER + WORDS * slot
        self.clocks[base + BEGAN], self.words[base + TAG] = boottime(), tag
        self.words[base + GROUP] = group

    def end(self, slot: int) -> None:
        """It does not work any more, for now."""
        base = HEADER + WORDS * slot
        self.words[base + GROUP] = 0
        self.clocks[base + USED] += boottime() - self.clocks[base + BEGAN]

    # -- reading, from everywhere

    def taken(self) -> Iterator[int]:
        """Slots with a lease."""
        serials = self.words[HEADER : HEADER + WORDS * self.words[HIGH] : WORDS].tolist()
        return (slot for slot, serial in enumerate(serials) if serial)

    def serial(self, slot: int) -> int:
        """Number of the lease in a slot; 0 for none."""
        return self.words[HEADER + WORDS * slot]

    def seen(self, slot: int) -> Seen:
        """A lease, read piece by piece: whoever acts on it looks again whether it is still the same."""
        words, base = self.words, HEADER + WORDS * slot
        key = bytes(self._bytes[8 * (base + KEY) : 8 * (base + KEY) + 16])
        return Seen(slot, words[base], words[base + INDEX], key, Fence(words[base + EPOCH], words[base + NUMBER]))

    def valid_until(self, slot: int) -> float:
        """Until when the lease is ours for certain; boottime clock."""
        words, base = self.words, HEADER + WORDS * slot
        granted = self.clocks[base + FROM]
        return max(granted, self.clocks[base + VALID]) if words[base + HEARD] == words[base] else granted

    def flags(self, slot: int) -> int:
        """What the keeper said about this lease."""
        words, base = self.words, HEADER + WORDS * slot
        return words[base + FLAGS] if words[base + HEARD] == words[base] else 0

    def group(self, slot: int) -> int:
        """Which process runs it, or its batch; 0 when none does."""
        leader = self.words[HEADER + WORDS * slot + LEADER]
        return self.words[HEADER + WORDS * leader + GROUP]

    def tag(self, slot: int) -> str:
        """``KEY8.FENCE``, as its temporaries bear it."""
        base = HEADER + WORDS * self.leader(slot)
        words = self.words
        return f"{words[base + TAG]:08x}.{words[base + EPOCH]}.{words[base + NUMBER]}"

    def leader(self, slot: int) -> int:
        """The slot of the first of its batch, or its own."""
        return self.words[HEADER + WORDS * slot + LEADER]

    def overtime(self, slot: int, now: float) -> float:
        """Seconds that it has worked beyond its timeout, frozen time left out; negative before."""
        base = HEADER + WORDS * slot
        if not self.words[base + GROUP]:
            return -self.clocks[base + ALLOWED]
        worked = self.clocks[base + USED] + now - self.clocks[base + BEGAN] - self.froze(slot)
        return worked - self.clocks[base + ALLOWED]

    def froze(self, slot: int) -> float:
        """Seconds for which the keeper had stopped it."""
        words, base = self.words, HEADER + WORDS * slot
        return self.clocks[base + FROZE] if words[base + HEARD] == words[base] else 0.0

    def frozen_seconds(self, index: Index, fence: Fence) -> float:
        """As ``froze``, for who knows the task and not the slot: what a timeout must not count."""
        slot = self.find(index, fence)
        return 0.0 if slot < 0 else self.froze(slot)

    # -- the keeper's side

    def hear(self, slot: int) -> int:
        """Begin to write about the lease that is in a slot; the place of its words."""
        words, base = self.words, HEADER + WORDS * slot
        if words[base + HEARD] != words[base]:
            words[base + FLAGS], self.clocks[base + VALID], self.clocks[base + FROZE] = 0, 0.0, 0.0
            words[base + HEARD] = words[base]
        return base

    def extend(self, slot: int, until: float) -> None:
        """A renewal was answered."""
        base = self.hear(slot)
        self.clocks[base + VALID] = max(self.clocks[base + VALID], until)

    def flag(self, slot: int, flag: int) -> None:
        """Something was heard, or done."""
        self.words[self.hear(slot) + FLAGS] |= flag
        self.words[NEWS] += 1

    def unflag(self, slot: int, flag: int) -> None:
        """It is over."""
        self.words[self.hear(slot) + FLAGS] &= ~flag

    def close(self) -> None:
        """Unmap it."""
        self.words.release()
        self.clocks.release()
        self._bytes.release()
        try:
            self._memory.close()
        except BufferError:
            pass  # a view is left somewhere: the memory goes with it
        os.close(self.fd)


def _memory(size: int) -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("levada-leases", os.MFD_CLOEXEC)
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd

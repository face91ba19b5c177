"""Memory that a pool's parent and one child share: what the child is doing, and how it went.

A result must never wait behind a long task, and a dead child must not take results with it. So results
without words are written here at once; a BELL through the channel only wakes the parent. Each word has
one writer; 8-byte words are written whole.

=======  ======  ==========================================================================
word     writer  meaning
=======  ======  ==========================================================================
CLAIMED  child   number of the job that it began last (jobs are numbered 1, 2, ... per child)
VOID     parent  jobs up to this number that have not begun are taken back
STOP     parent  the job that SIGTERM is meant for; 0 when none
HEAD     child   results written so far
TAIL     parent  results read so far
SINCE    child   when the job of CLAIMED began, monotonic clock, seconds (a double)
=======  ======  ==========================================================================

The child writes CLAIMED, then reads VOID; the parent writes VOID, lets SETTLE pass, then reads CLAIMED. So no
job is begun by the child and taken back by the parent (a store becomes visible within a microsecond). The one
that both saw, claimed and void, is not begun; the child says so with RETURNED.
"""

from __future__ import annotations

import mmap
import struct
import time

CLAIMED, VOID, STOP, HEAD, TAIL, SINCE = range(6)
SETTLE = 0.0005
RING = 1024
"""Results that fit; when it is full, results go through the channel."""

_RECORD = struct.Struct("=dddqq")  # started, seconds, cpu, rss, number of the job (last, so it vouches for the rest)
_WORDS = 64
SIZE = _WORDS + RING * _RECORD.size


class Shared:
    """Both sides' view of the block. Without a descriptor: anonymous, shared with children forked later."""

    def __init__(self, fd: int = -1) -> None:
        self._memory = mmap.mmap(fd, SIZE)
        view = memoryview(self._memory)
        self.words = view[:_WORDS].cast("q")
        self.clocks = view[:_WORDS].cast("d")

    # -- the child's side

    def put(self, seq: int, started: float, seconds: float, cpu: float, rss: int) -> bool:
        """Write the result of a job that ended well; False when the ring is full."""
        head = self.words[HEAD]
        if head - self.words[TAIL] >= RING:
            return False
        _RECORD.pack_into(self._memory, _WORDS + head % RING * _RECORD.size, started, seconds, cpu, rss, seq)
        self.words[HEAD] = head + 1
        return True

    # -- the parent's side

    def take(self) -> list[tuple[float, float, float, int, int]]:
        """Results since the last call: (started, seconds, cpu, rss, seq). Raises ValueError when it makes no sense."""
        head, read = self.words[HEAD], self.words[TAIL]
        if head == read:
            return []
        if not 0 < head - read <= RING:
            raise ValueError("the ring of results is broken")  # the task wrote over our memory
        found: list[tuple[float, float, float, int, int]] = []
        while read < head:
            some = min(RING - read % RING, head - read)
            start = _WORDS + read % RING * _RECORD.size
            found += _RECORD.iter_unpack(self._memory[start : start + some * _RECORD.size])
            read += some
        self.words[TAIL] = head
        return found

    def take_back(self, last: int) -> int:
        """Void the jobs up to ``last``; the number of the newest that the child began nevertheless."""
        self.words[VOID] = last
        time.sleep(SETTLE)
        return self.words[CLAIMED]

    def close(self) -> None:
        """Unmap it."""
        self.words.release()
        self.clocks.release()
        try:
            self._memory.close()
        except BufferError:
            pass  # a view is left somewhere: the memory goes with it

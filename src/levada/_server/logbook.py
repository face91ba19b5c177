"""How far each log has come, and which part of it is kept: the beginning and the end.

>>> log = Log("session", Fence(1, 1))
>>> for start in range(0, 12 << 20, 65536):
...     log.next = start + 65536
...     cut = log.added(start) or cut if start else None
>>> [bound >> 20 for bound in cut]
[5, 7]
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from .._model.messages import Fence
from .._model.spec import Index

HEAD, TAIL, SLACK = 5 << 20, 4 << 20, 1 << 20
"""Bytes of a log's beginning and end that are kept, and by which it may exceed them for a while: 10 MiB in all."""
CHUNKS = 10_000
"""Pieces of the beginning, and of the end, that are kept at most, however small."""
BOOK = 100_000
"""Logs whose ends the host knows by heart; those of others are looked up."""


class Log:
    """How far a log has come. head: where its beginning ends, None while it has not; starts: of the pieces since, newest last."""

    __slots__ = ("chunks", "cut", "fence", "head", "next", "session", "starts")

    def __init__(self, session: str, fence: Fence, next: int = 0, chunks: int = 0) -> None:
        self.session, self.fence, self.next, self.chunks = session, fence, next, chunks
        self.head = next if next >= HEAD or chunks >= CHUNKS else None
        if self.head is not None:
            self.head = min(self.head, HEAD)
        self.cut = 0  # what begins before it, after the head, is gone
        self.starts: deque[int] = deque()

    def added(self, start: int) -> tuple[int, int] | None:
        """Count a piece that begins there and ends at ``next``; where pieces begin that must go now: from, and before."""
        if self.head is None:
            self.chunks += 1
            if self.next >= HEAD or self.chunks >= CHUNKS:
                self.head = self.next
            return None
        self.starts.append(start)
        stop = self.next - TAIL
        if len(self.starts) > CHUNKS:
            stop = max(stop, next(islice(self.starts, CHUNKS // 2, None)))
        elif stop - max(self.cut, self.head) <= SLACK:
            return None
        self.cut = stop
        while self.starts and self.starts[0] < stop:
            self.starts.popleft()
        return self.head, stop


class Book:
    """Logs by task: of the newest attempt that wrote."""

    def __init__(self) -> None:
        self._logs: dict[Index, Log] = {}

    def get(self, index: Index) -> Log | None:
        """What is known by heart."""
        return self._logs.get(index)

    def put(self, index: Index, log: Log) -> None:
        """Know it by heart; the oldest is forgotten where there are too many."""
        self._logs[index] = log
        if len(self._logs) > BOOK:
            del self._logs[next(iter(self._logs))]

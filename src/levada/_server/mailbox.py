"""What came in and waits for the host: three lanes, each with a bound, filled by one thread and emptied by another.

Renewals are never queued behind work, nor work behind pages. Past a bound the caller is told, nothing grows.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, Protocol, TypeVar

from .._wire.problems import Refusal
from .._wire.routes import Lane

COMMANDS = 10_000  # calls in a lane
BYTES = 64 << 20  # of all calls together


class Sized(Protocol):
    """Something that counts in bytes."""

    size: int


T = TypeVar("T", bound=Sized)


class Mailbox(Generic[T]):
    """Calls by lane. ``put`` from any thread; the rest from the host's."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, deque[T]] = {lane: deque() for lane in (Lane.URGENT, Lane.WORK, Lane.READ)}
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, lane: Lane, call: T) -> None:
        """Raises Refusal ``busy`` when there is no room."""
        with self._lock:
            queue = self._lanes[lane]
            if len(queue) >= COMMANDS or self._bytes + call.size > BYTES:
                raise Refusal(
                    "busy",
                    f"{len(queue):,} requests are waiting, {self._bytes >> 20} MiB in all",
                    hint="Ask again in a moment.",
                    retry_after=1.0,
                )
            queue.append(call)
            self._bytes += call.size

    def take(self, lane: Lane, most: int) -> list[T]:
        """The oldest calls of a lane."""
        queue = self._lanes[lane]
        if not queue:
            return []
        with self._lock:
            taken = [queue.popleft() for _ in range(min(most, len(queue)))]
            self._bytes -= sum(call.size for call in taken)
        return taken

    @property
    def has_commands(self) -> bool:
        """Whether anything but pages waits."""
        return bool(self._lanes[Lane.URGENT] or self._lanes[Lane.WORK])

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

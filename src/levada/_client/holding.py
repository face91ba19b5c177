"""What the client needs of whoever keeps leases alive, and the plain answer where nobody does."""

from __future__ import annotations

from typing import Protocol

from .._model.messages import Fence
from .._model.spec import Index


class Holder(Protocol):
    """Where leases stand. A *slot* names one lease from ``hold`` to ``release``."""

    def free(self) -> int:
        """How many more leases can be held."""
        ...

    def hold(self, index: Index, key: bytes, fence: Fence, valid_until: float, allowed: float, leader: Index) -> int:
        """Note a lease; -1 when there is no place for it.

        valid_until: boottime clock. allowed: seconds of work, inf for no limit. leader: of its batch, or itself.
        """
        ...

    def release(self, slot: int) -> None:
        """The server has heard that it ended."""
        ...

    def lose(self, slot: int) -> None:
        """The server said that the fence is void."""
        ...

    def is_lost(self, slot: int) -> bool: ...

    def gave_up(self, slot: int) -> bool:
        """Whether its attempt was stopped because the server was away (by option): no fault of the task's."""
        ...

    def news(self) -> list[tuple[int, bool]]:
        """(slot, lost) of leases that were heard to be lost (else: wished to stop) since the last call."""
        ...

    def reached(self) -> float:
        """When the keeper last had an answer, boottime clock; 0 for never."""
        ...

    def look(self) -> None:
        """See to it that leases are kept. Raises SchedulerError when they cannot be any more."""
        ...


class Unkept:
    """Leases that nobody renews but the client itself, between two attempts."""

    def __init__(self) -> None:
        self._next = 0
        self._lost: set[int] = set()

    def free(self) -> int:
        """No bound."""
        return 1 << 20

    def hold(self, index: Index, key: bytes, fence: Fence, valid_until: float, allowed: float, leader: Index) -> int:
        """A number for it."""
        self._next += 1
        return self._next

    def release(self, slot: int) -> None:
        """Forget it."""
        self._lost.discard(slot)

    def lose(self, slot: int) -> None:
        """Note it."""
        self._lost.add(slot)

    def is_lost(self, slot: int) -> bool:
        """Whether it was noted."""
        return slot in self._lost

    def gave_up(self, slot: int) -> bool:
        """Never."""
        return False

    def news(self) -> list[tuple[int, bool]]:
        """None: nobody listens."""
        return []

    def reached(self) -> float:
        """Never."""
        return 0.0

    def look(self) -> None:
        """There is nothing to see to."""

"""Moments by task, the earliest at hand."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from .._model.spec import Index

SLACK = 1_000  # stale entries that a heap may always hold


class Timers:
    """One moment a task, in seconds; setting, clearing and asking cost O(log n). A cache, see state.py."""

    __slots__ = ("_heap", "_moments")

    def __init__(self) -> None:
        self._moments: dict[Index, float] = {}
        self._heap: list[tuple[float, Index]] = []  # entries that differ from _moments are stale

    def __contains__(self, index: Index) -> bool:
        return index in self._moments

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, index: Index, moment: float) -> None:
        """Set or move the task's moment."""
        self._moments[index] = moment
        heappush(self._heap, (moment, index))
        if len(self._heap) > SLACK + 2 * len(self._moments):
            self._heap = [(moment, index) for index, moment in self._moments.items()]
            heapify(self._heap)

    def clear(self, index: Index) -> None:
        self._moments.pop(index, None)

    def earliest(self) -> float | None:
        """The first moment of all; None: there is none."""
        heap = self._heap
        while heap and self._moments.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, now: float) -> list[Index]:
        """Take out the tasks whose moment has come, earliest first."""
        found = []
        while (moment := self.earliest()) is not None and moment <= now:
            index = heappop(self._heap)[1]
            del self._moments[index]
            found.append(index)
        return found

"""Moments by task, the earliest at hand."""

from __future__ import annotations

from _heapq import heappop, heappush
from collections import deque
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from .._model.spec import Index

SLACK = 1_000  # stale entries that a heap may always hold


def forget(few: dict[Index, Any], tasks: Sequence[Index]) -> None:
    """Take several tasks out of a dictionary, those that are there."""
    deque(map(few.pop, tasks, repeat(None)), 0)  # a loop without the interpreter


class Timers:
    """One moment a task, in seconds. A cache, see state.py.

    Most moments are set in rising order (each lease lasts as long as the others): they stand in a line, which costs nothing but
    its ends; what comes out of order stands in a heap, O(log n).
    """

    __slots__ = ("_heap", "_line", "_moments")

    def __init__(self) -> None:
        self._moments: dict[Index, float] = {}
        self._line: deque[tuple[float, Index]] = deque()  # entries that differ from _moments are stale, here
        self._heap: list[tuple[float, Index]] = []  # ... and there

    def __contains__(self, index: Index) -> bool:
        return index in self._moments

    def __len__(self) -> int:
        return len(self._heap) + len(self._line)

    def set(self, index: Index, moment: float) -> None:
        """Set or move the task's moment."""
        line = self._line
        self._moments[index] = moment
        if not line or moment >= line[-1][0]:
            line.append((moment, index))
        else:
            heappush(self._heap, (moment, index))
        self._tidy()

    def _tidy(self) -> None:
        if len(self._heap) + len(self._line) > SLACK + 2 * len(self._moments):
            self._heap.clear()
            self._line = deque(sorted((moment, index) for index, moment in self._moments.items()))

    def set_all(self, tasks: Sequence[Index], moment: float) -> None:
        """Set the moment of several tasks."""
        line = self._line
        if line and moment < line[-1][0]:
            for index in tasks:
                self.set(index, moment)
            return
        self._moments.update(dict.fromkeys(tasks, moment))
        line.extend(zip(repeat(moment), tasks))
        self._tidy()

    def clear_all(self, tasks: Sequence[Index]) -> None:
        """What has no moment is left alone."""
        forget(self._moments, tasks)

    def clear(self, index: Index) -> None:
        self._moments.pop(index, None)

    def earliest(self) -> float | None:
        """The first moment of all; None: there is none."""
        heap, line, moments = self._heap, self._line, self._moments
        while line and moments.get(line[0][1]) != line[0][0]:
            line.popleft()
        while heap and moments.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        if line and heap:
            return min(line[0][0], heap[0][0])
        return line[0][0] if line else heap[0][0] if heap else None

    def pop_due(self, now: float) -> list[Index]:
        """Take out the tasks whose moment has come, earliest first."""
        found: list[Index] = []
        while (moment := self.earliest()) is not None and moment <= now:
            from_line = bool(self._line) and (not self._heap or self._line[0] <= self._heap[0])
            index = self._line.popleft()[1] if from_line else heappop(self._heap)[1]
            del self._moments[index]
            found.append(index)
        return found

"""Who needs whom: requirements and dependants of dense integers.

Requirements stand in one flat column, a run per growth. Dependants stand in a small array per task that
has several, since they come in an order nobody knows: measured against linked lists in flat columns they
take half the time and, at ten edges on each side of a task, 190 instead of 130 bytes a task. A single one
needs no array and stands there as itself. An edge that was given twice counts twice, everywhere.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from .._model.spec import Index

SLACK = 100_000  # entries that may be dead in any case


class Edges:
    """Edges are added, never removed: 4 bytes on the side of the task that needs, about 5 on the other."""

    __slots__ = ("_column", "_dead", "_length", "more", "_start", "dependants")

    def __init__(self) -> None:
        self.dependants: list[array[int] | Index | None] = []  # read by apply's inner loop; None: none yet
        self._column = array("i")
        self._dead = 0  # entries of the column that belong to nobody any more
        self._start = array("i")
        self._length = array("i")
        self.more: dict[Index, list[tuple[int, int]]] = {}  # later runs: (start, length)

    def add_nodes(self, count: int) -> None:
        """Make room for so many further tasks, without edges."""
        self.dependants.extend([None] * count)
        blank = array("i", [0]) * count
        self._start.extend(blank)
        self._length.extend(blank)

    def grow(self, index: Index, requires: Sequence[Index]) -> None:
        """Add requirements of one task, at least one."""
        start, dependants = len(self._column), self.dependants
        self._column.extend(requires)
        if self._length[index]:
            self.more.setdefault(index, []).append((start, len(requires)))
        else:
            self._start[index], self._length[index] = start, len(requires)
        for required in requires:
            known = dependants[required]
            if known is None:
                dependants[required] = index
            elif isinstance(known, int):
                dependants[required] = array("i", (known, index))
            else:
                known.append(index)

    def requirements(self, index: Index) -> array[int]:
        """A copy of what the task needs, in the order it was given."""
        start = self._start[index]
        found = self._column[start : start + self._length[index]]
        for start, length in self.more.get(index, ()):
            found.extend(self._column[start : start + length])
        return found

    def shrink(self, index: Index, runs: int) -> list[Index]:
        """Take the last ``runs`` growths of a task back; the requirements that it had by them. Costs a look at all that need those."""
        removed: list[Index] = []
        for _ in range(runs):
            later = self.more.get(index)
            if later:
                start, length = later.pop()
                if not later:
                    del self.more[index]
            else:
                start, length = self._start[index], self._length[index]
                self._length[index] = 0
            removed.extend(self._column[start : start + length])
            self._dead += length
        for required in removed:
            known = self.dependants[required]
            if isinstance(known, int):
                self.dependants[required] = None
            elif known is not None:
                known.remove(index)
        return removed

    def clear(self, index: Index) -> list[Index]:
        """Take all requirements of a task back; what they were. Costs a look at all that need those."""
        removed = self.shrink(index, len(self.more.get(index, ())) + (self._length[index] > 0))
        if self._dead > SLACK + len(self._column) // 2:
            self._compact()
        return removed

    def forget(self, tasks: Sequence[Index]) -> set[Index]:
        """Take tasks out that only each other need; what they needed and stays. Costs a look at all that need the latter."""
        gone, touched = set(tasks), set[Index]()
        for index in tasks:
            touched.update(self.requirements(index))
            self.dependants[index] = None
            self.more.pop(index, None)
            self._dead += self._length[index]
            self._length[index] = 0
        touched -= gone
        for required in touched:
            left = array("i", [one for one in self.dependants_of(required) if one not in gone])
            self.dependants[required] = left or None
        if self._dead > SLACK + len(self._column) // 2:
            self._compact()
        return touched

    def _compact(self) -> None:
        """Write the flat column anew, without what nobody reads."""
        column, start, length = array("i"), self._start, self._length
        for index, runs in enumerate(length):
            if runs:
                found = self.requirements(index)
                start[index], length[index] = len(column), len(found)
                column.extend(found)
        self._column, self._dead = column, 0
        self.more.clear()

    # -- keeping

    def columns(self) -> dict[str, array[int]]:
        """All that is kept beside ``more``; the side of the dependants is made from it."""
        return {"edges": self._column, "edge_start": self._start, "edge_length": self._length}

    def restore(self, columns: dict[str, bytes], more: dict[Index, list[tuple[int, int]]]) -> None:
        """Fill an empty one; dependants come in the order of the tasks that need."""
        for name, column in self.columns().items():
            column.frombytes(columns[name])
        self.more = more
        dependants = self.dependants = [None] * len(self._start)
        column, start = self._column, self._start
        for index, length in enumerate(self._length):
            if length:
                begin = start[index]
                for required in self.requirements(index) if index in more else column[begin : begin + length]:
                    known = dependants[required]
                    if known is None:
                        dependants[required] = index
                    elif isinstance(known, int):
                        dependants[required] = array("i", (known, index))
                    else:
                        known.append(index)

    def dependants_of(self, index: Index) -> Sequence[Index]:
        """Those that need the task, oldest edge first; not to be written to."""
        known = self.dependants[index]
        if known is None:
            return ()
        return (known,) if isinstance(known, int) else known

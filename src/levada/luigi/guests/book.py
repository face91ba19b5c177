"""What is remembered of Luigi's words: names of tasks, all their parameters, and requirements that were named before they were told.

A worker of Luigi tells a task before what it requires, and names those by id alone, which gives no key. So a task with unknown
requirements stays open in the brain, and grows when they are told. All of it is kept as the task's mark, in the commit of the
call that said it; after a restart it is read back, and what is known by then was added in the same commit as it became known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

Index = int
MODULES = 10_000


class Entry(NamedTuple):
    """A task by Luigi's words. waits: ids of requirements that were unknown when it was told."""

    id: str
    params: dict[str, Any]
    hidden: tuple[str, ...]  # parameters that are not for everybody's eyes
    module: str | None
    waits: tuple[str, ...]

    def text(self) -> str:
        """As the store keeps it."""
        return json.dumps([self.id, self.params, self.hidden, self.module, self.waits], separators=(",", ":"))


class Book:
    """Tasks by id and by index."""

    def __init__(self) -> None:
        self.index_of: dict[str, Index] = {}
        self.entries: dict[Index, Entry] = {}
        self.modules: dict[str, None] = {}  # that assistants may be asked to import
        self._left: dict[Index, set[str]] = {}
        self._waiting: dict[str, list[Index]] = {}

    def load(self, marks: Iterable[tuple[Index, str]]) -> None:
        """Read what was kept."""
        for index, text in marks:
            name, params, hidden, module, waits = json.loads(text)
            self._note(index, Entry(name, params, tuple(hidden), module, tuple(waits)))
        for index, entry in self.entries.items():
            self._expect(index, [name for name in entry.waits if name not in self.index_of])

    def _note(self, index: Index, entry: Entry) -> None:
        before = self.entries.get(index)
        if before is not None and before.id != entry.id and self.index_of.get(before.id) == index:
            del self.index_of[before.id]
        self.entries[index] = entry
        self.index_of[entry.id] = index
        if entry.module and entry.module != "__main__" and len(self.modules) < MODULES:
            self.modules[entry.module] = None

    def note(self, index: Index, entry: Entry) -> bool:
        """Take down what was said of a task; whether it is news."""
        if self.entries.get(index) == entry:
            return False
        self._note(index, entry)
        return True

    # -- requirements that are not known yet

    def expect(self, index: Index, names: Iterable[str]) -> None:
        """These requirements of a task are not known; what was expected before is not any more."""
        self._left.pop(index, None)
        self._expect(index, names)

    def _expect(self, index: Index, names: Iterable[str]) -> None:
        left = set(names)
        if left:
            self._left[index] = left
            for name in left:
                self._waiting.setdefault(name, []).append(index)

    def came(self, name: str) -> list[tuple[Index, bool]]:
        """Tasks that waited for a requirement which is known now, and whether it was the last of theirs."""
        found = []
        for index in self._waiting.pop(name, ()):
            left = self._left.get(index)
            if left is not None and name in left:
                left.remove(name)
                if not left:
                    del self._left[index]
                found.append((index, not left))
        return found

    def forget(self, tasks: Iterable[Index]) -> None:
        """These are gone."""
        for index in tasks:
            self._left.pop(index, None)
            entry = self.entries.pop(index, None)
            if entry is not None and self.index_of.get(entry.id) == index:
                del self.index_of[entry.id]


def public(params: Mapping[str, Any], hidden: Iterable[str]) -> dict[str, Any]:
    """Parameters for everybody's eyes."""
    out = frozenset(hidden)
    return {name: value for name, value in params.items() if name not in out}

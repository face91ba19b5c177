"""The whole plan at rest: for ``levada plan``, ``levada why`` and everybody who only wants to look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .._model import exit_codes
from .._model.spec import Index
from ..task import repr_of
from .cycles import find_cycle
from .existence import Existence
from .walk import BROKEN, EXTERNAL, GATE, Discovery, Fault

TO_DO, MISSING, BLOCKED, FAULTY, GROUP, DONE = "to do", "missing", "blocked", "faulty", "group", "complete"
MARKS = {TO_DO: "-", MISSING: "?", BLOCKED: ".", FAULTY: "!", GROUP: "+", DONE: "x"}


class FamilyRow(NamedTuple):
    """One line of the table: counts of a family's tasks."""

    family: str
    to_do: int  # would run, now or after others of this plan
    complete: int
    missing: int  # external and not there
    blocked: int  # waits for something missing or faulty
    faulty: int


class Plan:
    """Everything that the wanted tasks need and that is not complete, with what needs what.

    ``states[i]`` is one of the words above; ``needs[i]`` the incomplete requirements of task i.
    """

    def __init__(self, wanted: Iterable[Any], existence: Existence | None = None) -> None:
        self.discovery = Discovery(wanted, existence)
        self.needs: list[list[Index]] = []
        self._complete_children: dict[Index, int] = {}
        while (found := self.discovery.step()) is not None:
            self.needs.extend([] for _ in found.tasks)
            for growth in found.growth:
                self.needs[growth.index].extend(growth.requires)
        self.faults: list[Fault] = self.discovery.faults
        self.states = self._judge()

    def __len__(self) -> int:
        return len(self.needs)

    def task(self, index: Index) -> Any:
        """The task with this index."""
        return self.discovery.tasks[index]

    def _judge(self) -> list[str]:
        """A word for each task, from the leaves up; what is left over is in a circle or behind one."""
        kinds = self.discovery.kinds
        states: list[str] = [""] * len(self.needs)
        unmet = [len(needs) for needs in self.needs]
        needed_by: dict[Index, list[Index]] = {}
        for index, needs in enumerate(self.needs):
            for need in needs:
                needed_by.setdefault(need, []).append(index)
        ready = [index for index, count in enumerate(unmet) if count == 0]
        while ready:
            index = ready.pop()
            states[index] = self._word(kinds[index], [states[need] for need in self.needs[index]])
            for other in needed_by.get(index, ()):
                unmet[other] -= 1
                if unmet[other] == 0:
                    ready.append(other)
        self._name_circle([index for index, word in enumerate(states) if not word])
        return [word or BLOCKED for word in states]

    def _word(self, kind: int, needs: list[str]) -> str:
        if kind == EXTERNAL:
            return MISSING
        if kind == BROKEN:
            return FAULTY
        if any(word in (MISSING, BLOCKED, FAULTY) for word in needs):
            return BLOCKED
        if kind == GATE:
            return GROUP if any(word != DONE for word in needs) else DONE
        return TO_DO

    def _name_circle(self, left: list[Index]) -> None:
        circle = find_cycle(left, self.needs.__getitem__) if left else []
        if circle:
            names = [repr_of(self.task(index)) for index in circle]
            text = "waits for itself: " + " > ".join([*names[:20], names[0]])
            self.faults.append(Fault("cycle", names[0], text, self.discovery.path_to(circle[0])))

    # -- answers

    def count(self, state: str) -> int:
        """How many tasks are in this state; complete ones include those that were not expanded."""
        return self.states.count(state) + (self.discovery.complete if state == DONE else 0)

    @property
    def exit_code(self) -> int:
        """What ``levada plan`` ends with."""
        if self.faults:
            return exit_codes.of_faults(fault.kind for fault in self.faults)
        if self.count(TO_DO):
            return exit_codes.WORK
        return exit_codes.WAITING if self.count(MISSING) else exit_codes.OK

    def rows(self) -> list[FamilyRow]:
        """One row a family, in order of discovery; groups count as what they wait for."""
        counts: dict[str, dict[str, int]] = {}
        for index, word in enumerate(self.states):
            family = type(self.task(index)).get_task_family()
            word = TO_DO if word == GROUP else word
            counts.setdefault(family, {})[word] = counts.get(family, {}).get(word, 0) + 1
        for family, number in self.discovery.complete_by_family().items():
            counts.setdefault(family, {})[DONE] = counts.get(family, {}).get(DONE, 0) + number
        return [
            FamilyRow(f, c.get(TO_DO, 0), c.get(DONE, 0), c.get(MISSING, 0), c.get(BLOCKED, 0), c.get(FAULTY, 0)) for f, c in counts.items()
        ]

    def tree(self, depth: int | None = None) -> Iterator[str]:
        """Lines of the tree from the wanted tasks down; what was shown before is not unfolded again.

        Complete tasks are not part of the plan and are left out.
        """
        seen: set[Index] = set()
        stack = [(index, 0) for index in reversed(self.discovery.roots) if index >= 0]
        if not stack:
            yield f"{MARKS[DONE]} everything that is wanted is complete"
        while stack:
            index, level = stack.pop()
            again = index in seen and bool(self.needs[index])
            yield f"{'  ' * level}{MARKS[self.states[index]]} {repr_of(self.task(index))}{' (as above)' if again else ''}"
            if again or (depth is not None and level >= depth):
                continue
            seen.add(index)
            stack.extend((need, level + 1) for need in reversed(self.needs[index]))

    def to_json(self) -> dict[str, Any]:
        """Plain values: counts, families, tasks with their needs, faults."""
        return {
            "exit_code": self.exit_code,
            "counts": {word: self.count(word) for word in MARKS},
            "families": [row._asdict() for row in self.rows()],
            "tasks": [
                {
                    "index": i,
                    "task": repr_of(self.task(i)),
                    "family": type(self.task(i)).get_task_family(),
                    "state": self.states[i],
                    "needs": self.needs[i],
                }
                for i in range(len(self))
            ],
            "faults": [fault.to_json() for fault in self.faults],
        }

    def to_dot(self) -> Iterator[str]:
        """Lines of a Graphviz graph of what is not complete."""
        colours = {TO_DO: "black", MISSING: "red", BLOCKED: "gray", FAULTY: "red", GROUP: "blue", DONE: "green"}
        yield "digraph plan {"
        yield "  rankdir=LR; node [shape=box];"
        for index, word in enumerate(self.states):
            label = repr_of(self.task(index)).replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
            yield f'  t{index} [label="{label}", color={colours[word]}];'
        for index, needs in enumerate(self.needs):
            for need in needs:
                yield f"  t{index} -> t{need};"
        yield "}"


def make_plan(wanted: Iterable[Any], existence: Existence | None = None) -> Plan:
    """The whole plan for the wanted tasks; nothing is started."""
    return Plan(wanted, existence)

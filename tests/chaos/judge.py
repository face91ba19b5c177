"""The judge: reads what workers noted, and says which laws were broken.

Each line of the log is ``[boottime, pid, event, ...]``. The supervisor writes lines, too: ``killed`` with the pid of a
worker's process that it has ended or stopped (what that worked on ends then), ``server-killed`` and ``server-ready``.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST = 20  # broken laws that are told in full


@dataclass
class Verdict:
    """What was found. broken: sentences. events: how often each was noted."""

    broken: list[str] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    added: set[str] = field(default_factory=set)
    done: dict[str, tuple[int, int]] = field(default_factory=dict)
    regranted: int = 0  # grants after the first of a key

    def check(self) -> None:
        """AssertionError with the broken laws."""
        assert not self.broken, f"{len(self.broken)} times a law was broken:\n" + "\n".join(self.broken[:MOST])


def lines_of(log: Path) -> list[list[Any]]:
    """All lines; the last one may be torn by a kill."""
    found = []
    for line in log.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            assert "[" in line, line
    return found


class Judge:
    """Goes through a log once, line by line.

    frozen: workers may be stopped by their keepers in the middle of an attempt, whose end is noted late or never. Then it is
    not the end of an attempt that must come before the next begins, but its last step.
    """

    def __init__(self, *, frozen: bool = False) -> None:
        self.verdict = Verdict()
        self._frozen = frozen
        self._stopped: set[int] = set()
        self._grants: dict[str, dict[tuple[int, int], int]] = defaultdict(dict)  # key -> fence -> pid
        self._begun: dict[str, tuple[int, int]] = {}  # newest fence that was begun
        self._working: dict[str, tuple[int, tuple[int, int]]] = {}  # key -> pid, fence
        self._of: dict[int, set[str]] = defaultdict(set)  # pid -> keys it works on
        self._commits: dict[str, tuple[int, int]] = {}

    def read(self, lines: Iterable[list[Any]]) -> Verdict:
        """The verdict over lines in their order."""
        for when, pid, event, *more in lines:
            self.verdict.events[event] += 1
            handle = getattr(self, "_on_" + event.replace("-", "_"), None)
            if handle is not None:
                handle(when, pid, *more)
        self._after()
        return self.verdict

    def _broken(self, text: str) -> None:
        self.verdict.broken.append(text)

    def _on_broken(self, when: float, pid: int, text: str) -> None:
        self._broken(f"{when} pid {pid}: {text}")

    def _on_added(self, when: float, pid: int, keys: list[str]) -> None:
        self.verdict.added.update(keys)

    def _on_granted(self, when: float, pid: int, key: str, epoch: int, number: int, attempt: int) -> None:
        grants, fence = self._grants[key], (epoch, number)
        if grants.get(fence, pid) != pid:
            self._broken(f"{key}: fence {fence} was given to {grants[fence]} and to {pid}")
        if any(number == other and epoch != of for of, other in grants):
            self._broken(f"{key}: number {number} was given twice, as {sorted([*grants, fence])}")
        grants[fence] = pid

    def _on_begin(self, when: float, pid: int, key: str, epoch: int, number: int) -> None:
        fence = (epoch, number)
        if fence < self._begun.get(key, (0, 0)):
            self._broken(f"{key}: {pid} began under {fence} at {when}, after {self._begun[key]} had begun")
        if key in self._working and not self._frozen:
            self._broken(f"{key}: {pid} began under {fence} at {when} while {self._working[key]} worked")
        self._begun[key] = max(fence, self._begun.get(key, fence))
        self._working[key] = (pid, fence)
        self._of[pid].add(key)

    def _on_end(self, when: float, pid: int, key: str, epoch: int, number: int, how: str) -> None:
        if self._working.get(key) == (pid, (epoch, number)):
            del self._working[key]
        self._of[pid].discard(key)

    def _on_killed(self, when: float, supervisor: int, pid: int) -> None:
        for key in self._of.pop(pid, ()):
            if self._working.get(key, (0,))[0] == pid:
                del self._working[key]

    def _on_stopped(self, when: float, supervisor: int, pid: int) -> None:
        """What it does when it is woken is judged by its commits alone."""
        self._stopped.add(pid)
        self._on_killed(when, supervisor, pid)

    def _on_step(self, when: float, pid: int, key: str, epoch: int, number: int) -> None:
        if (epoch, number) < self._begun[key] and pid not in self._stopped:
            self._broken(f"{key}: {pid} worked on under {(epoch, number)} at {when}, after {self._begun[key]} had begun")

    def _on_commit(self, when: float, pid: int, key: str, epoch: int, number: int) -> None:
        if key in self._commits:
            self._broken(f"{key}: committed under {self._commits[key]} and under {(epoch, number)}")
        self._commits[key] = (epoch, number)

    def _on_done(self, when: float, pid: int, key: str, epoch: int, number: int) -> None:
        before = self.verdict.done.setdefault(key, (epoch, number))
        if before != (epoch, number):
            self._broken(f"{key}: done was acknowledged under {before} and under {(epoch, number)}")

    def _after(self) -> None:
        for key, fence in self.verdict.done.items():
            if later := [other for other in self._grants[key] if other > fence]:
                self._broken(f"{key}: done was acknowledged under {fence}, and it was granted again under {later}")
        for key, grants in self._grants.items():
            order = sorted(grants)
            if [number for _, number in order] != sorted({number for _, number in order}):
                self._broken(f"{key}: fences do not rise: {order}")
            self.verdict.regranted += len(order) - 1


def judge(log: Path, *, frozen: bool = False) -> Verdict:
    """The verdict over a log."""
    return Judge(frozen=frozen).read(lines_of(log))

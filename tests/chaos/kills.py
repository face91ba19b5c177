"""kill -9 of the server under load at random moments: nothing acknowledged is lost, nothing is done again."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from levada._store.opening import open_reader

from .crowd import Crowd
from .judge import Verdict
from .lean import Lean, key_of
from .node import DEAD, Node, Refused

LOAD = {"pause": 0.002, "resource": "pen", "give_up": 300.0}
LEASE = 5.0
PENS = 4  # at most; tasks of every third graph need one


@dataclass
class Kills:
    """What a series of kills came to. ready: seconds from each start until the server said that it was ready."""

    cycles: int
    verdict: Verdict
    ready: list[float] = field(default_factory=list)
    tasks: int = 0
    early: int = 0  # kills before it was ready
    workers: int = 0  # workers that were killed, too
    commands: int = 0  # of an operator, acknowledged

    def __str__(self) -> str:
        ready = sorted(self.ready) or [0.0]
        events = self.verdict.events
        return (
            f"{self.cycles} kills of the server ({self.early} more while it started, {self.workers} of workers): {self.tasks:,} tasks, "
            f"{events['granted']:,} grants ({self.verdict.regranted:,} of them again), {events['done']:,} ends, {self.commands} commands "
            f"acknowledged; ready in {ready[len(ready) // 2]:.2f} s (at most {ready[-1]:.2f}); laws broken: {len(self.verdict.broken)}"
        )


class Operator:
    """Sets a resource again and again; what was acknowledged must stand after the next start, and a repetition changes nothing."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._number = 0
        self._sent: dict[str, Any] = {}
        self.total: int | None = None  # None: unknown, a command was not answered
        self.answer: Any = None
        self.commands = 0

    def act(self, dice: random.Random) -> None:
        """One command, that may be lost with the server."""
        self._number += 1
        total = dice.randint(1, PENS)
        self._sent = {"total": total, "reason": f"number {self._number}"}
        self.total = self.answer = None
        try:
            self.answer = self._put()
        except (*DEAD, Refused):
            return
        self.total = total
        self.commands += 1

    def _put(self) -> Any:
        return self._node.ask("PUT", "/v1/resources/pen", self._sent, Idempotency_Key=f"operator-{self._number}")

    def look(self, verdict: Verdict) -> None:
        """After a restart."""
        if self.total is None:
            return
        rows = self._node.ask("GET", "/v1/resources")["resources"]
        if [row["total"] for row in rows if row["name"] == "pen"] != [self.total]:
            verdict.broken.append(f"resource pen was set to {self.total}, acknowledged, and stands as {rows}")
        again = self._put()
        if again != self.answer:
            verdict.broken.append(f"a repeated command was answered {again}, at first {self.answer}")


def kill_the_server(folder: Path, cycles: int, seed: int = 0, *options: str, store: str | None = None) -> Kills:
    """So many cycles of start, load, SIGKILL; then all that was begun is finished, and the judge is asked."""
    dice = random.Random(seed)
    node = Node(folder / "state", *options, *(("--store", store) if store else ()), lease=LEASE)
    node.start()
    node.wait()
    operator = Operator(node)
    operator.act(dice)
    crowd = Crowd(folder, [node.address], node.token, pairs=3, seed=seed, **LOAD)
    result = Kills(cycles, Verdict())
    try:
        crowd.start()
        for cycle in range(cycles):
            _one_cycle(node, crowd, operator, dice, result, cycle)
        crowd.finish(60)
        broken = result.verdict.broken
        result.verdict = crowd.verdict()
        if lost := result.verdict.events["lost"]:
            broken.append(f"{lost} healthy attempts lost their leases")  # none is away for as long as a lease
        result.verdict.broken += broken
        node.end()
        result.tasks, result.commands = _compare(store or str(folder / "state" / "levada.db"), node, result.verdict), operator.commands
    finally:
        crowd.close()
        node.kill()
    return result


def _one_cycle(node: Node, crowd: Crowd, operator: Operator, dice: random.Random, result: Kills, cycle: int) -> None:
    time.sleep(dice.random() ** 2)
    crowd.check()
    operator.act(dice)
    crowd.note("server-killed", cycle)
    node.kill()
    while dice.random() < 0.2:  # now and then while it starts
        node.start()
        time.sleep(dice.uniform(0.02, 0.3))
        node.kill()
        result.early += 1
    node.start()
    result.ready.append(node.wait())
    crowd.note("server-ready", cycle, round(result.ready[-1], 3))
    operator.look(result.verdict)
    if dice.random() < 0.05:
        place = dice.choice(list(crowd.places))
        crowd.kill(place)
        crowd.put(place)
        result.workers += 1
        time.sleep(1.5 * LEASE)  # each restart gives all leases anew: let those of the dead lapse


def _compare(store: str, node: Node, verdict: Verdict) -> int:
    """What the log tells against what the store tells, when the server has ended; the number of tasks."""
    node.start()
    node.wait()
    counts = {status: count for status, count in node.ask("GET", "/v1/status")["counts"].items() if count}
    node.end()
    if set(counts) - {"done"}:
        verdict.broken.append(f"not all is done in the end: {counts}")
    with closing(open_reader(store)) as reader:
        there = _keys_of(reader)
        verdict.broken += [f"{key}: was acknowledged, and is not in the store" for key in sorted(verdict.added - there)]
        verdict.broken += _odd_history(reader, verdict)
    return sum(counts.values())


def _keys_of(reader: Any) -> set[str]:
    found: set[str] = set()
    after: int | None = -1
    while after is not None:
        page = reader.task_page(after=after, limit=1000)
        found.update(row.key.hex() for row in page.rows)
        after = page.next
    return found


def _odd_history(reader: Any, verdict: Verdict) -> list[str]:
    """Each end that was acknowledged stands in the history, and none stands there twice."""
    seen: Counter[tuple[str, int]] = Counter()
    before: int | None = None
    while True:
        page = reader.attempts(before=before, limit=1000)
        seen.update((row.attempt.key.hex(), row.attempt.number) for row in page.rows)
        before = page.next
        if before is None:
            break
    broken = [f"{key}: attempt {number} stands {count} times in the history" for (key, number), count in seen.items() if count > 1]
    return broken + [
        f"{key}: its end under {fence} is not in the history" for key, fence in verdict.done.items() if not seen[key, fence[1]]
    ]


def fill(node: Node, tasks: int) -> None:
    """Register independent tasks."""
    worker = Lean({
        "addresses": [node.address], "token": node.token, "log": os.devnull, "out": "", "name": "fill", "tricks": 0.0, "timeout": 30.0,
    })  # fmt: skip
    worker.hello()
    for first in range(0, tasks, 1000):
        keys = [key_of(first, number) for number in range(first, min(first + 1000, tasks))]
        worker.numbered(
            "/v1/tasks",
            policies=[{"family": "Load"}],
            tasks=[[key, 0, json.dumps({"at": key})] for key in keys],
            growth=[[key] for key in keys],
        )
    worker.close()


def start_with(folder: Path, tasks: int, starts: int = 3) -> list[float]:
    """Seconds from the start of a server until it was ready, with so many tasks, each time after SIGKILL."""
    node = Node(folder / "state")
    node.start()
    node.wait()
    fill(node, tasks)
    found = []
    for _ in range(starts):
        node.kill()
        node.start()
        found.append(node.wait(120))
    assert node.ask("GET", "/v1/status")["counts"]["ready"] == tasks
    node.kill()
    return found

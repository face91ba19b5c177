"""Workers stopped past their leases and woken: one output, one commit; the late one is refused and says so."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .judge import Verdict
from .node import Node
from .real import Field, Run, wait_until

LEASE = 5.0
EXECUTORS: tuple[tuple[str, ...], ...] = ((), ("--workers", "2", "--executor", "processes"), ("--workers", "2", "--executor", "threads"))


@dataclass
class Pauses:
    """What a series came to. seen: what became of the workers that were stopped."""

    cycles: int
    verdict: Verdict = field(default_factory=Verdict)
    seen: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        seen = ", ".join(f"{count} {what}" for what, count in sorted(self.seen.items()))
        return f"{self.cycles} workers stopped past their leases and woken: {seen}; laws broken: {len(self.verdict.broken)}"


def pause_workers(folder: Path, cycles: int, seed: int = 0, *, at_once: int = 5) -> Pauses:
    """So many cycles, some at once, with a server of their own."""
    node = Node(folder / "state", lease=LEASE)
    node.start()
    node.wait()
    ground = Field(folder, node.url, node.token, seconds=1.0)
    result = Pauses(cycles)
    numbers = iter(range(cycles))
    lock = threading.Lock()

    def some() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                what = _one_pause(ground, number, random.Random(seed * 1_000_003 + number))
            except Exception as broken:
                with lock:
                    result.verdict.broken.append(f"cycle {number}: {broken!r}")
            else:
                with lock:
                    result.seen[what] += 1

    try:
        threads = [threading.Thread(target=some, daemon=True) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        broken = result.verdict.broken
        result.verdict = ground.verdict()
        result.verdict.broken += broken + [f"left behind: {name}" for name in ground.leftovers()]
    finally:
        node.kill()
    return result


def _one_pause(ground: Field, number: int, dice: random.Random) -> str:
    """One worker stopped for longer than its lease, another that may take its task meanwhile; what became of the first."""
    name = f"piece-{number}"
    words = ("pipeline:Piece", "--number", str(number))
    first = ground.run(*dice.choice(EXECUTORS), *words)
    second: Run | None = None
    try:
        assert first.began(), first.said
        time.sleep(dice.random() * 1.1)
        pids = first.stop()
        if not pids:
            return "had ended before"
        if dice.random() < 0.8:
            second = ground.run(*dice.choice(EXECUTORS), *words)
        _sleep_past_the_lease(ground, name, second, dice)
        first.wake(pids)
        codes = [first.ended(), *([second.ended()] if second else [])]
        assert codes == [0] * len(codes), f"ended with {codes}: {first.said}\n{second.said if second else ''}"
        return _became(ground, name, first, set(pids))
    finally:
        first.close()
        if second is not None:
            second.close()


def _sleep_past_the_lease(ground: Field, name: str, second: Run | None, dice: random.Random) -> None:
    """Until the second one works, has committed, or (where there is none) the lease has lapsed."""
    if second is None:
        time.sleep(LEASE + dice.random() * 2)
        return

    def has_begun() -> bool:
        return second.process.poll() is not None or len([line for line in ground.events("begin") if line[3] == name]) > 1

    wait_until(has_begun, 40, f"{name} was granted to nobody else: {second.said}")
    time.sleep(dice.random() * 1.5)


def _became(ground: Field, name: str, first: Run, pids: set[int]) -> str:
    """In words; AssertionError when the first worker was late and does not say so."""
    commits = [line for line in ground.events("commit") if line[3] == name]
    begins = [line for line in ground.events("begin") if line[3] == name]
    assert len(commits) == 1, f"{name}: commits {commits}"
    if len(begins) == 1:
        return "had committed before, or went on as the newest"
    if commits[0][1] in pids:
        return "began anew"
    assert "lease was lost" in first.said, f"{name}: the late one does not say so: {first.said}"
    return "were refused"

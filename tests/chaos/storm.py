"""Everything at once: real workers and servers killed, ended, stopped and woken in the middle of shared runs."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .failover import Pair
from .judge import Verdict
from .node import DEAD, Refused
from .pauses import EXECUTORS
from .real import Field, Run

COUNT = 6  # sums of a round, each over eight pieces
PLACES = 3  # workers at a time
LEASE = 5.0


@dataclass
class Storm:
    """What a series came to. seen: what happened. codes: how workers ended by themselves."""

    rounds: int
    verdict: Verdict = field(default_factory=Verdict)
    seen: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)

    def __str__(self) -> str:
        seen = ", ".join(f"{count} {what}" for what, count in sorted(self.seen.items()))
        events = self.verdict.events
        return (
            f"{self.rounds} rounds of {9 * COUNT} tasks: {seen}; {events['begin']} attempts for {events['commit']} outputs; "
            f"exit codes {dict(sorted(self.codes.items()))}; laws broken: {len(self.verdict.broken)}"
        )


class _Round:
    """One goal that several workers have, until it is reached in spite of all."""

    def __init__(self, number: int, pair: Pair, ground: Field, dice: random.Random, result: Storm) -> None:
        self._pair, self._ground, self._dice, self._result = pair, ground, dice, result
        self._words = ("pipeline:All", "--count", str(COUNT), "--first", str(COUNT * number))
        self._wanted = [f"sum-{COUNT * number + each}" for each in range(COUNT)]
        self._runs: list[Run] = []
        self._asleep: list[tuple[float, Run, list[int]]] = []
        self._misfortunes = (self._kill_worker, self._end_worker, self._stop_worker, self._kill_server)

    def play(self, misfortunes: int) -> None:
        """So many misfortunes at random moments, then calm until a worker says that all is there."""
        try:
            for _ in range(misfortunes):
                self._fill_up()
                self._sleep(self._dice.uniform(0.2, 1.5))
                self._dice.choice(self._misfortunes)()
            self._reach()
        finally:
            for run in self._runs:
                run.close()

    def _fill_up(self) -> None:
        self._look()
        while len(self._runs) < PLACES:
            self._runs.append(self._ground.run(*self._dice.choice(EXECUTORS), *self._words))

    def _look(self) -> None:
        """A worker that ended with 0 saw everything there (P9); one that did not, had been harmed or asked to end."""
        for run in [run for run in self._runs if run.process.poll() is not None]:
            self._runs.remove(run)
            self._result.codes[run.process.returncode] += 1
            missing = [name for name in self._wanted if not (self._ground.out / name).exists()]
            if run.process.returncode == 0 and missing:
                self._result.verdict.broken.append(f"a worker ended with 0, and {missing} are not there: {run.said}")
            if run.process.returncode not in (0, -signal.SIGKILL, 128 + signal.SIGTERM):
                self._result.seen[f"ended with {run.process.returncode}"] += 1
                self._forgive()

    def _forgive(self) -> None:
        """Tasks whose attempts have cost three processes are disabled: an operator lets them try again."""
        for family in ("Piece", "Sum"):
            try:
                self._pair.first.ask("POST", f"/v1/families/{family}/retry", {})
            except (*DEAD, Refused):
                return

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._wake()
            time.sleep(0.05)

    def _wake(self) -> None:
        for one in [one for one in self._asleep if one[0] <= time.monotonic()]:
            self._asleep.remove(one)
            one[1].wake(one[2])

    # -- misfortunes

    def _awake(self) -> list[Run]:
        asleep = [run for _, run, _ in self._asleep]
        return [run for run in self._runs if run not in asleep and run.process.poll() is None]

    def _kill_worker(self) -> None:
        for run in self._awake()[:1]:
            run.kill()
            self._result.seen["workers killed"] += 1

    def _end_worker(self) -> None:
        for run in self._awake()[:1]:
            run.process.send_signal(signal.SIGTERM)
            self._result.seen["workers asked to end"] += 1

    def _stop_worker(self) -> None:
        for run in self._awake()[:1]:
            self._asleep.append((time.monotonic() + self._dice.uniform(1.0, 2 * LEASE), run, run.stop()))
            self._result.seen["workers stopped and woken"] += 1

    def _kill_server(self) -> None:
        self._ground.note("server-killed")
        self._pair.first.kill()
        self._pair.swap()
        self._pair.second.start()
        self._pair.settle()
        self._result.seen["servers killed"] += 1

    # -- the end

    def _reach(self, seconds: float = 90.0) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not all((self._ground.out / name).exists() for name in self._wanted):
            self._fill_up()
            self._sleep(0.2)
        missing = [name for name in self._wanted if not (self._ground.out / name).exists()]
        assert not missing, f"{missing} were not made: " + "\n".join(run.said[-1500:] for run in self._runs)
        while self._asleep:
            self._sleep(0.2)
        for run in self._runs:
            run.ended(60)
        self._look()


def storm(folder: Path, rounds: int, seed: int = 0, *, store: str = "", misfortunes: int = 8) -> Storm:
    """So many rounds on one pair of servers, which take turns."""
    dice = random.Random(seed)
    pair = Pair(folder, store or str(folder / "levada.db"), lease=LEASE)
    ground = Field(folder, ",".join(node.url for node in pair.nodes), pair.token, seconds=0.5)
    result = Storm(rounds)
    try:
        for number in range(rounds):
            _Round(number, pair, ground, dice, result).play(misfortunes)
        broken = result.verdict.broken
        result.verdict = ground.verdict()
        result.verdict.broken += broken
        last = ground.run("pipeline:Piece", "--number", "999999")  # it sweeps after the dead
        assert last.ended() == 0, last.said
        result.verdict.broken += [f"left behind: {name}" for name in ground.leftovers()]
    finally:
        pair.close()
    return result

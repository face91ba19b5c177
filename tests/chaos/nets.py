"""Networks that are cut: server and workers in namespaces of their own, joined by a bridge whose ports go down and up."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .judge import Verdict
from .node import Node
from .pauses import EXECUTORS
from .real import Field, Run

SERVER = "10.77.0.1"
LEASE = 5.0
COUNT = 3  # sums of a run
STOPPABLE = EXECUTORS[:2]
"""A thread cannot be ended: told that its lease is lost it works on for a while, and cannot commit."""


def can_cut() -> bool:
    """Whether this process may make network namespaces."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"lv{os.getpid()}x"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode == 0
    if made:
        bridge = _ip("-n", name, "link", "add", "name", "b", "type", "bridge", check=False)
        veth = _ip("-n", name, "link", "add", "name", "v", "type", "veth", "peer", "name", "w", check=False)
        _ip("netns", "del", name)
        return bridge and veth
    return False


def _ip(*words: str, check: bool = True) -> bool:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.returncode == 0


class Net:
    """Namespaces ``server``, ``one``, ``two``... behind one bridge."""

    def __init__(self, workers: int) -> None:
        self._mark = f"lv{os.getpid()}"
        self._hub = f"{self._mark}hub"
        self.names = ["server", *(f"w{number}" for number in range(workers))]
        _ip("netns", "add", self._hub)
        _ip("-n", self._hub, "link", "add", "name", "bridge", "type", "bridge")
        _ip("-n", self._hub, "link", "set", "bridge", "up")
        for number, name in enumerate(self.names):
            self._join(name, f"10.77.0.{1 + number}/24")

    def _join(self, name: str, address: str) -> None:
        space = self.space(name)
        _ip("netns", "add", space)
        _ip("-n", self._hub, "link", "add", "name", name, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("-n", space, "address", "add", address, "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", space, "link", "set", device, "up")
        _ip("-n", self._hub, "link", "set", name, "master", "bridge")
        _ip("-n", self._hub, "link", "set", name, "up")

    def space(self, name: str) -> str:
        """The namespace of that name."""
        return f"{self._mark}{name}"

    def wrap(self, name: str) -> tuple[str, ...]:
        """Words before a command that is to live there."""
        return ("ip", "netns", "exec", self.space(name))

    def cut(self, name: str) -> None:
        """Nothing comes or goes; nobody is told."""
        _ip("-n", self._hub, "link", "set", name, "nomaster")

    def mend(self, name: str) -> None:
        """The cable is in again."""
        _ip("-n", self._hub, "link", "set", name, "master", "bridge")

    def deafen(self, name: str) -> None:
        """What the server answers does not reach it; what it says reaches the server."""
        _ip("-n", self.space("server"), "route", "add", "blackhole", f"10.77.0.{1 + self.names.index(name)}/32")

    def undeafen(self, name: str) -> None:
        """It hears again."""
        _ip("-n", self.space("server"), "route", "del", "blackhole", f"10.77.0.{1 + self.names.index(name)}/32")

    def close(self) -> None:
        """Remove all of it."""
        for name in [*map(self.space, self.names), self._hub]:
            with suppress(AssertionError):
                _ip("netns", "del", name)


@dataclass
class Cuts:
    """What a series came to. healing: seconds from the last mending until everything was done."""

    rounds: int
    verdict: Verdict = field(default_factory=Verdict)
    seen: Counter[str] = field(default_factory=Counter)
    healing: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        seen = ", ".join(f"{count} x {what}" for what, count in sorted(self.seen.items()))
        events = self.verdict.events
        return (
            f"{self.rounds} rounds of {9 * COUNT} tasks on two hosts: {seen}; {events['begin']} attempts for {events['commit']} outputs; "
            f"all done at most {max(self.healing, default=0):.1f} s after the last mending; laws broken: {len(self.verdict.broken)}"
        )


def cut_the_network(folder: Path, rounds: int, seed: int = 0) -> Cuts:
    """So many shared runs of two hosts, each with some cuts."""
    dice = random.Random(seed)
    net = Net(2)
    node = Node(folder / "state", lease=LEASE, host=SERVER, wrap=net.wrap("server"))
    result = Cuts(rounds)
    try:
        node.start()
        node.wait()
        ground = Field(folder, node.url, node.token, seconds=1.0)
        for number in range(rounds):
            _one_round(net, ground, number, dice, result)
        broken = result.verdict.broken
        result.verdict = ground.verdict()
        result.verdict.broken += broken
    finally:
        node.kill()
        net.close()
    return result


def _one_round(net: Net, ground: Field, number: int, dice: random.Random, result: Cuts) -> None:
    ground.seconds = dice.choice((0.5, 4.0))  # of an attempt: it ends before it must be frozen, or not
    words = ("pipeline:All", "--count", str(COUNT), "--first", str(COUNT * number))
    runs = [ground.run(*dice.choice(STOPPABLE), *words, wrap=net.wrap(name)) for name in net.names[1:]]
    try:
        assert runs[0].began(), runs[0].said
        for _ in range(2):
            what, misfortune = dice.choice(_misfortunes(net, dice))
            result.seen[what] += 1
            ground.note("cut", what)
            misfortune()
            ground.note("mended")
        result.healing.append(_all_done(ground, number, runs))
    finally:
        for run in runs:
            run.close()


def _misfortunes(net: Net, dice: random.Random) -> list[tuple[str, Callable[[], None]]]:
    def cut(name: str, seconds: float) -> None:
        net.cut(name)
        time.sleep(seconds)
        net.mend(name)

    def flap(name: str) -> None:
        for _ in range(4):
            cut(name, 1.0)
            time.sleep(1.0)

    def deaf(name: str) -> None:
        net.deafen(name)
        time.sleep(dice.uniform(2.0, 2 * LEASE))
        net.undeafen(name)

    worker = dice.choice(net.names[1:])
    return [
        ("a worker cut off", lambda: cut(worker, dice.uniform(1.0, 2 * LEASE))),
        ("the server cut off", lambda: cut("server", dice.uniform(1.0, 2 * LEASE))),
        ("flapping each second", lambda: flap(dice.choice(net.names))),
        ("answers lost, requests not", lambda: deaf(worker)),
    ]


def _all_done(ground: Field, number: int, runs: list[Run], seconds: float = 60.0) -> float:
    """Seconds until both workers had ended well."""
    began = time.monotonic()
    codes = [run.ended(seconds) for run in runs]
    assert codes == [0, 0], f"ended with {codes}: {[run.said[-2000:] for run in runs]}"
    missing = [name for name in (f"sum-{COUNT * number + each}" for each in range(COUNT)) if not (ground.out / name).exists()]
    assert not missing, missing
    return time.monotonic() - began

"""The server's own absences: stopped for longer than a lease, and a wall clock that leaps. No healthy attempt may fail of it."""

from __future__ import annotations

import glob
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from .crowd import Crowd
from .judge import Verdict
from .node import Node, ask

LEAPS = ("+1h", "-1h", "+3650d", "-3650d", "+0")


@dataclass
class Absences:
    """What a series came to. epochs: lives of the server in all; it should have had one."""

    what: str
    verdict: Verdict
    epochs: int

    def __str__(self) -> str:
        events = self.verdict.events
        return (
            f"{self.what}: {events['done']:,} ends acknowledged, {events['lost']} attempts lost, {self.verdict.regranted} granted anew; "
            f"laws broken: {len(self.verdict.broken)}"
        )

    def check(self) -> None:
        """AssertionError when a law was broken, a healthy attempt lost, or the server had to start again."""
        self.verdict.check()
        assert self.verdict.events["lost"] == 0, self
        assert self.epochs == 1, self


def stop_the_server(folder: Path, times: int, seed: int = 0, *, lease: float = 5.0) -> Absences:
    """SIGSTOP for one to two leases, so many times, under load; workers that hold something ask on."""
    dice = random.Random(seed)
    node = Node(folder / "state", lease=lease)
    node.start()
    node.wait()

    def misfortune() -> None:
        node.signal(signal.SIGSTOP)
        time.sleep(lease * dice.uniform(1.1, 2.0))
        node.signal(signal.SIGCONT)

    return _under_load(folder, node, f"{times} times the server was stopped for more than a lease", times, misfortune, dice)


def faketime() -> str | None:
    """Where libfaketime is."""
    return next(iter(sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))), None)


def leap(folder: Path, rounds: int, seed: int = 0) -> Absences:
    """The server's wall clock leaps by an hour and by ten years, forwards and back, under load."""
    library = faketime()
    assert library is not None
    clock = folder / "clock"
    clock.write_text("+0\n")
    environ = {
        "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1",
    }  # fmt: skip
    node = Node(folder / "state", lease=5.0, **environ)
    node.start()
    node.wait()
    dice = random.Random(seed)
    leaps = list(LEAPS)

    def misfortune() -> None:
        leaps.append(leaps.pop(0))
        clock.write_text(leaps[-1] + "\n")
        time.sleep(0.5)
        node.ask("PUT", "/v1/resources/clock", {"total": 1})
        at = node.ask("GET", "/v1/audit?limit=1")["lines"][0]["at"]
        assert (abs(at - time.time()) > 3000) == (leaps[-1] != "+0"), f"the clock did not leap: {leaps[-1]}, {at}"

    times = rounds * len(LEAPS)
    return _under_load(folder, node, f"{times} leaps of the server's wall clock", times, misfortune, dice)


def _under_load(folder: Path, node: Node, what: str, times: int, misfortune: object, dice: random.Random) -> Absences:
    crowd = Crowd(folder, [node.address], node.token, pairs=2, seed=1, pause=0.02)
    try:
        crowd.start()
        for number in range(times):
            time.sleep(dice.uniform(0.3, 1.0))
            crowd.check()
            crowd.note("misfortune", number)
            misfortune()  # type: ignore[operator]
        crowd.finish(60)
        epochs = int(node.ask("GET", "/v1/status")["epoch"])
        return Absences(what, crowd.verdict(), epochs)
    finally:
        crowd.close()
        node.kill()


def time_until_a_dead_worker_is_replaced(folder: Path, *, lease: float = 5.0) -> float:
    """Seconds from a worker's last word until its task is granted to another one, who waits for it."""
    node = Node(folder / "state", lease=lease)
    node.start()
    node.wait()
    try:
        key = "a" * 32
        for session in ("1" * 32, "2" * 32):
            _post(node, "/v1/hello", session=session, wire=[1], levada="chaos")
            _post(node, "/v1/tasks", session=session, seq=1, policies=[{"family": "Dead"}], tasks=[[key, 0, "{}"]], growth=[[key]])
        assert _post(node, "/v1/sync", session="1" * 32, seq=2, room=1)["granted"]
        began = time.monotonic()
        seq = 1
        while time.monotonic() < began + 60:
            seq += 1
            if _post(node, "/v1/sync", session="2" * 32, seq=seq, room=1, wait=20.0).get("granted"):
                return time.monotonic() - began
        raise AssertionError("it was never granted again")
    finally:
        node.kill()


def _post(node: Node, path: str, **fields: object) -> dict[str, object]:
    return ask(node.address, node.token, "POST", path, fields, 30.0)  # type: ignore[no-any-return]

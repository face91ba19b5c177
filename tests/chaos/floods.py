"""Clients that mean ill, or are many: one works on while others flood, vanish in the middle of a body, or come by the hundred."""

from __future__ import annotations

import json
import multiprocessing
import random
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .crowd import Crowd
from .disks import Holder
from .judge import Verdict
from .node import DEAD, Node, Refused, ask


@dataclass
class Flood:
    """What a flood came to. sent: requests of the flooders by what they were answered. p99: of renewals, seconds."""

    verdict: Verdict
    sent: Counter[str] = field(default_factory=Counter)
    renewals: int = 0
    p50: float = 0.0
    p99: float = 0.0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        sent = ", ".join(f"{count:,} x {what}" for what, count in self.sent.most_common(6))
        return (
            f"{sum(self.sent.values()):,} requests of eight flooders ({sent}); "
            f"{self.renewals} renewals meanwhile, {len(self.failures)} failed, p50 {self.p50 * 1e3:.0f} ms, p99 {self.p99 * 1e3:.0f} ms; "
            f"{self.verdict.events['done']:,} ends of honest workers; laws broken: {len(self.verdict.broken)}"
        )


def flood(folder: Path, seconds: float = 8.0) -> Flood:
    """Eight sessions send whatever costs the server something, as fast as they can, while two workers work and one renews."""
    node = Node(folder / "state", lease=5.0)
    node.start()
    node.wait()
    stranger = node.ask("POST", "/v1/tokens", {"role": "worker", "label": "flooder"})["token"]
    crowd = Crowd(folder, [node.address], node.token, pairs=1, seed=1)
    holder = Holder(node, node.token)
    context = multiprocessing.get_context("fork")
    answers: Any = context.Queue()
    flooders = [context.Process(target=_flood, args=(node.address, stranger, number, seconds, answers), daemon=True) for number in range(8)]
    try:
        crowd.start()
        with holder.renewing():
            for flooder in flooders:
                flooder.start()
            sent = sum((answers.get(timeout=seconds + 30) for _ in flooders), Counter[str]())
        crowd.finish(60)
        return Flood(crowd.verdict(), sent, len(holder.seconds), holder.at(0.5), holder.at(0.99), holder.failures)
    finally:
        for flooder in flooders:
            flooder.kill()
            flooder.join()
        crowd.close()
        node.kill()


def _flood(address: tuple[str, int], token: str, number: int, seconds: float, answers: Any) -> None:
    dice = random.Random(number)
    session = f"{number:032x}"
    found: Counter[str] = Counter()
    seq = 0
    until = time.monotonic() + seconds
    with suppress(*DEAD, Refused):
        ask(address, token, "POST", "/v1/hello", {"session": session, "wire": [1], "levada": "flood"})
    while time.monotonic() < until:
        kind = dice.randrange(6)
        try:
            if kind == 0:
                keys = [f"{random.getrandbits(128):032x}" for _ in range(300)]
                tasks = {"policies": [{"family": "Flood"}], "tasks": [[key, 0, "{}"] for key in keys], "growth": [[key] for key in keys]}
                ask(address, token, "POST", "/v1/tasks", {"session": session, "seq": seq + 1, **tasks})
                seq += 1
            elif kind == 1:
                ask(address, token, "POST", "/v1/sync", {"session": session, "seq": seq + 1, "room": 100})
                seq += 1
            elif kind == 2:
                ask(address, token, "GET", "/v1/tasks?limit=1000")
            elif kind == 3:
                ask(address, token, "POST", "/v1/renew", {"session": session, "held": [["0" * 32, 1, 1]] * 1000})
            elif kind == 4:
                ask(address, token, "POST", "/v1/sync", json.loads('{"session": 7, "deep": ' + "[" * 31 + "]" * 31 + "}"))
            else:
                half(address, token, dice.randrange(1, 20_000))
            found[f"kind {kind} answered"] += 1
        except Refused as no:
            found[f"{no.status} {no.code}"] += 1
        except DEAD:
            found["no answer"] += 1
    answers.put(found)


def half(address: tuple[str, int], token: str, size: int) -> None:
    """Send the head of a request and a part of its body, and vanish."""
    with socket.create_connection(address, timeout=5) as sock:
        head = f"POST /v1/tasks HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nAuthorization: Bearer {token}\r\n"
        sock.sendall(
            head.encode() + b"Content-Type: application/json\r\nContent-Length: 20000\r\n\r\n" + b'{"session": "' + b"a" * (size - 1)
        )


def vanish(folder: Path, times: int = 100) -> tuple[dict[str, int], dict[str, int], int]:
    """Clients that vanish in the middle of a body; (counts of tasks before, after, connections that are left open after)."""
    node = Node(folder / "state")
    node.start()
    node.wait()
    try:
        Holder(node, node.token)
        before = node.ask("GET", "/v1/status")["counts"]
        for number in range(times):
            half(node.address, node.token, 1 + 190 * number)
        after = node.ask("GET", "/v1/status")["counts"]
        time.sleep(0.5)
        metrics = node.ask("GET", "/metrics")
        open_now = next(line for line in metrics.splitlines() if line.startswith("levada_http_connections ") or "http_connections{" in line)
        return before, after, int(float(open_now.split()[-1]))
    finally:
        node.kill()


def many_sessions(folder: Path, sessions: int = 200, tasks: int = 5) -> tuple[float, list[float], Counter[str]]:
    """All at once: register, claim, report, leave. (Seconds in all, seconds of each claim, how often each task was granted.)"""
    node = Node(folder / "state")
    node.start()
    node.wait()
    token = node.token
    shared = [f"{number:032x}" for number in range(1, 1 + sessions * tasks)]

    def live(number: int) -> tuple[list[float], list[str]]:
        session = f"{number + 1:032x}"
        claims: list[float] = []
        granted: list[str] = []

        def post(path: str, **fields: Any) -> Any:
            return ask(node.address, token, "POST", path, {"session": session, **fields}, 60.0)

        post("/v1/hello", wire=[1], levada="chaos")
        mine = shared[(number // 2) * 2 * tasks : (number // 2 + 1) * 2 * tasks]  # two sessions share each of these
        rows = [[key, 0, "{}"] for key in mine]
        post("/v1/tasks", seq=1, policies=[{"family": "Many"}], tasks=rows, growth=[[key] for key in mine])
        seq, done = 1, list[Any]()
        while True:
            seq += 1
            began = time.monotonic()
            answer = post("/v1/sync", seq=seq, room=1, done=done, wait=5.0)
            claims.append(time.monotonic() - began)
            done = [row[:3] for row in answer.get("granted", ())]
            granted += [row[0] for row in done]
            if not done and not answer.get("unfinished"):
                break
        post("/v1/bye", seq=seq + 1)
        return claims, granted

    try:
        began = time.monotonic()
        with ThreadPoolExecutor(sessions) as pool:
            lives = list(pool.map(live, range(sessions)))
        seconds = time.monotonic() - began
        return seconds, sorted(one for claims, _ in lives for one in claims), Counter(key for _, granted in lives for key in granted)
    finally:
        node.kill()

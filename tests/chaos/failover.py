"""Two servers on one store: the one that serves dies or hangs, the other takes over, and the first does nothing any more."""

from __future__ import annotations

import http.client
import json
import random
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .crowd import Crowd
from .judge import Verdict
from .node import DEAD, Node, Refused

HANG = 15.0  # seconds that a server is stopped: longer than the silence after which others may take over
DEPOSED = 75


@dataclass
class Failovers:
    """What a series came to. killed, hung: seconds until the other server was ready. said: what woken servers answered."""

    verdict: Verdict
    killed: list[float] = field(default_factory=list)
    hung: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        def told(seconds: list[float]) -> str:
            found = sorted(seconds)
            return f"{found[len(found) // 2]:.1f} s (at most {found[-1]:.1f})" if found else "-"

        events = self.verdict.events
        return (
            f"{len(self.killed)} servers killed, the other answered after {told(self.killed)}; {len(self.hung)} stopped, after "
            f"{told(self.hung)}, {len(self.said)} requests to woken ones, none carried out; {events['done']:,} ends acknowledged, "
            f"{events['lost']} attempts lost; laws broken: {len(self.verdict.broken)}"
        )


class Pair:
    """Two servers with one store; ``first`` serves, ``second`` stands by."""

    def __init__(self, folder: Path, store: str, *, lease: float = 5.0) -> None:
        self.nodes = [Node(folder / name, "--store", store, "--standby", lease=lease) for name in ("one", "two")]
        self.first, self.second = self.nodes
        self.first.start()
        self.first.wait()
        shutil.copy(self.first.folder / "secret.key", self.second.folder / "secret.key")
        self.token = self.first.ask("POST", "/v1/tokens", {"role": "worker", "label": "chaos"})["token"]
        self.second.start()
        self.settle()

    def settle(self) -> None:
        """Wait until the second one stands by."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                self.second.ask("GET", "/livez")
                return
            except (*DEAD, Refused):
                time.sleep(0.02)
        raise AssertionError(f"the second server does not come up: {self.second.tail()}")

    def swap(self, seconds: float = 30.0) -> float:
        """Wait until the second one serves; it is the first from now on. Seconds that it took."""
        began = time.monotonic()
        while not self.second.is_ready(1.0):
            assert time.monotonic() < began + seconds, f"nobody took over within {seconds} s: {self.second.tail()}"
            time.sleep(0.01)
        self.first, self.second = self.second, self.first
        return time.monotonic() - began

    def close(self) -> None:
        """End both."""
        for node in self.nodes:
            node.kill()


def fail_over(folder: Path, store: str, *, kills: int, hangs: int, seed: int = 0) -> Failovers:
    """So many servers killed and stopped under load, in random order."""
    dice = random.Random(seed)
    pair = Pair(folder, store)
    crowd = Crowd(folder, [node.address for node in pair.nodes], pair.token, pairs=2, seed=seed, pause=0.01, timeout=2.0)
    result = Failovers(Verdict())
    try:
        crowd.start()
        kinds = ["kill"] * kills + ["hang"] * hangs
        dice.shuffle(kinds)
        for kind in kinds:
            time.sleep(dice.uniform(0.2, 1.2))
            crowd.check()
            if kind == "kill":
                _kill(pair, crowd, result)
            else:
                _hang(pair, crowd, result)
        crowd.finish(60)
        counts = {status: count for status, count in pair.first.ask("GET", "/v1/status")["counts"].items() if count}
        broken = result.verdict.broken + ([f"not all is done in the end: {counts}"] if set(counts) - {"done"} else [])
        result.verdict = crowd.verdict()
        result.verdict.broken += broken
    finally:
        crowd.close()
        pair.close()
    return result


def _kill(pair: Pair, crowd: Crowd, result: Failovers) -> None:
    crowd.note("server-killed")
    pair.first.kill()
    result.killed.append(pair.swap())
    pair.second.start()
    pair.settle()


def _hang(pair: Pair, crowd: Crowd, result: Failovers) -> None:
    """Stop the first; requests wait in its sockets when it is woken, after the second took over."""
    old = pair.first
    prober = Prober(old, pair.token)
    crowd.note("server-stopped")
    stopped = time.monotonic()
    old.signal(signal.SIGSTOP)
    old.until_stopped()  # the signal is on its way when kill() returns: what it answers until then it may answer
    prober.start()
    result.hung.append(pair.swap())
    time.sleep(max(0.0, stopped + HANG - time.monotonic()))
    old.signal(signal.SIGCONT)
    result.said += prober.ended(pair.first, result.verdict)
    assert old.process is not None
    code = old.process.wait(20)
    if code != DEPOSED:
        result.verdict.broken.append(f"a server that was deposed ended with {code}: {old.tail()}")
    old.kill()
    old.start()
    pair.settle()


class Prober:
    """A session of its own with a server that is about to be stopped: it holds a task, renews and reports it meanwhile."""

    def __init__(self, node: Node, token: str) -> None:
        self._node, self._token = node, token
        self._session = f"{random.getrandbits(128):032x}"
        key = f"{random.getrandbits(128):032x}"
        self._post("/v1/hello", wire=[1], levada="chaos")
        self._post("/v1/tasks", seq=1, policies=[{"family": "Probe"}], tasks=[[key, 0, "{}"]], growth=[[key]])
        ((key, epoch, number, *_),) = self._post("/v1/sync", seq=2, room=1)["granted"]
        self._held = [key, epoch, number]
        self._open = [self._connection() for _ in range(3)]
        self._said: list[str] = []
        self._broken: list[str] = []
        self._threads: list[threading.Thread] = []

    def _connection(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(*self._node.address, timeout=40)
        connection.connect()
        return connection

    def _send(self, connection: http.client.HTTPConnection, path: str, fields: dict[str, Any]) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        connection.request("POST", path, json.dumps({"session": self._session, **fields}), headers)
        return connection.getresponse()

    def _post(self, path: str, **fields: Any) -> Any:
        connection = self._connection()
        try:
            response = self._send(connection, path, fields)
            text = response.read()
            assert response.status == 200, text
            return json.loads(text)
        finally:
            connection.close()

    def start(self) -> None:
        """Ask what only the server of the store may answer; the questions wait in its sockets."""
        held = self._held
        questions = (
            ("/v1/renew", {"held": [held]}),
            ("/v1/confirm", {"key": held[0], "epoch": held[1], "number": held[2]}),
            ("/v1/sync", {"seq": 3, "done": [held]}),
        )
        for connection, (path, fields) in zip(self._open, questions, strict=True):
            thread = threading.Thread(target=self._ask, args=(connection, path, fields), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _ask(self, connection: http.client.HTTPConnection, path: str, fields: dict[str, Any]) -> None:
        try:
            response = self._send(connection, path, fields)
            said = f"{path} {response.status} {response.read()[:200]!r}"
            if response.status == 200:
                self._broken.append(f"a server that was deposed answered {said}")
        except (OSError, http.client.HTTPException) as cause:
            said = f"{path} {cause!r}"
        finally:
            connection.close()
        self._said.append(said)

    def ended(self, newest: Node, verdict: Verdict) -> list[str]:
        """What came back of the questions; a good answer breaks a law. Then the report is made where it counts: late, but the newest."""
        for thread in self._threads:
            thread.join(45)
        verdict.broken += self._broken
        self._node = newest
        said = self._post("/v1/sync", seq=3, done=[self._held])
        if said.get("lost"):
            verdict.broken.append(f"a late report under the newest fence was refused: {said}")
        self._post("/v1/bye", seq=4)
        return self._said

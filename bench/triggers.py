"""A server with many schedules and many watched places: what it costs while all of it goes its way."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from typing import Any, NamedTuple

from . import servers
from .client import Http, Refused

SCHEDULES, EACH_MINUTE = 10_000, 60  # once an hour each, spread; but for those that fire each minute
GOALS, PLACES = 1_000, 100  # parked goals, and what each waits for
RATE = 5.0  # arrivals a second, each of which wakes a goal that is parked again
AGENT = f"{7:032x}"


class Figures(NamedTuple):
    """Shares of a core, seconds, bytes; what happened meanwhile."""

    share: float
    quiet: float
    fires: int
    arrivals: int
    rss: int
    defined: float
    start: float
    start_rss: int


class Agent(Http):
    """Takes goals, parks those of one family, ends the others, tells of arrivals."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__(port, f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n")
        self.since = 0
        self.counts = {"done": 0, "parked": 0, "arrived": 0}

    def post(self, path: str, **fields: Any) -> Any:
        """The decoded answer."""
        return json.loads(self.ask(b"POST", path.encode(), json.dumps(fields).encode()))

    def offer(self, triggers: list[dict[str, Any]]) -> float:
        """Seconds that it takes."""
        began = time.perf_counter()
        families = [[name, "bench", [["day", "date", False]]] for name in ("Each", "Waits")]
        answer = self.post("/v1/agents/offer", agent=AGENT, families=families, triggers=triggers, modules=["bench"], host="bench", pid=1)
        if answer["problems"]:
            raise Refused(f"triggers were not taken: {list(answer['problems'].items())[:3]}")
        return time.perf_counter() - began

    def take(self, wait: float) -> int:
        """Do what there is; how many goals that was."""
        answer = self.post("/v1/agents/take", agent=AGENT, room=1_000, since=self.since, wait=wait)
        if answer["watches"]:
            self.since = answer["watches"][-1][0]
        for key, family, *_ in answer["goals"]:
            if family == "Waits":
                places = [f"s3://in/{key[:8]}/{place}.csv" for place in range(PLACES)]
                self.post("/v1/agents/report", agent=AGENT, goal=key, state="parked", reason="waits for data", missing=places)
                self.counts["parked"] += 1
            else:
                self.post("/v1/agents/report", agent=AGENT, goal=key, state="done")
                self.counts["done"] += 1
        return len(answer["goals"]) + len(answer["watches"])

    def arrive(self, key: str) -> None:
        """Tell of something that a goal waits for."""
        url = f"s3://in/{key[:8]}/7.csv"
        self.post("/v1/agents/arrivals", agent=AGENT, seen=[[url, False, url]])
        self.counts["arrived"] += 1


def schedules() -> list[dict[str, Any]]:
    """As an agent's code would define them."""
    lines = ["* * * * *" if number < EACH_MINUTE else f"{number % 60} * * * *" for number in range(SCHEDULES)]
    zones = ("Europe/Lisbon", "America/New_York", "Asia/Tokyo", "UTC")
    return [
        {
            "name": f"t{number}", "family": "Each", "params": {"day": "{fire.day - 1}"}, "module": "bench",
            "when": {"kind": "cron", "line": line, "zone": zones[number % 4]}, "jitter": 50.0,
        }
        for number, line in enumerate(lines)
    ]  # fmt: skip


def measured(seconds: float, *options: str) -> Figures:
    """All of it, against a new server, for so long."""
    with tempfile.TemporaryDirectory(prefix="levada-bench-") as folder:
        with servers.levada(*options, folder=folder) as server:
            admin = Agent(server.port, server.token)
            token = admin.post("/v1/tokens", role="worker", label="bench")["token"]
            agent, teller = Agent(server.port, token), Agent(server.port, token)
            defined = agent.offer(schedules())
            keys = [admin.post("/v1/goals", family="Waits", params={"day": "2024-01-01"})["goal"] for _ in range(GOALS)]
            while agent.take(0.0):
                pass
            agent.counts["done"] = 0
            stop = threading.Event()
            listening = threading.Thread(target=_listen, args=(agent, stop), daemon=True)
            listening.start()
            quiet = _share(server, min(20.0, seconds / 2), None, keys)
            agent.counts["done"] = 0
            share = _share(server, seconds, teller, keys)
            fires, rss = agent.counts["done"], server.rss()
            stop.set()
            listening.join(10.0)
        began = time.perf_counter()
        with servers.levada(*options, folder=folder) as server:
            return Figures(share, quiet, fires, teller.counts["arrived"], rss, defined, time.perf_counter() - began, server.rss())


def _listen(agent: Agent, stop: threading.Event) -> None:
    while not stop.is_set():
        agent.take(5.0)


def _share(server: servers.Server, seconds: float, teller: Agent | None, keys: list[str]) -> float:
    """CPU seconds of the server a second."""
    cpu, began = server.cpu(), time.monotonic()
    step = 0
    while (passed := time.monotonic() - began) < seconds:
        if teller is not None and passed >= step / RATE:
            teller.arrive(keys[step % len(keys)])
            step += 1
        time.sleep(0.02)
    return (server.cpu() - cpu) / (time.monotonic() - began)

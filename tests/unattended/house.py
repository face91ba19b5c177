"""The pieces of an unattended house: server, worker and agent as real processes, who drops dumps, and who judges."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.faults.command import Command, soon
from tests.served.conftest import free_port

HERE = Path(__file__).parent
LAST, DAYS, WINDOWS = date(2030, 1, 20), 10, (3, 7, 14)
AGGREGATIONS = [(LAST - timedelta(back), window) for window in WINDOWS for back in range(DAYS)]
DUMPS = [LAST - timedelta(back) for back in range(DAYS + max(WINDOWS) - 1)]
LINES = 3  # of a dump


def inputs_of(day: date, window: int) -> list[date]:
    return [day - timedelta(back) for back in range(window)]


class House(Command):
    """A server and a worker with its agent. place: where the dumps come to be, and the counts."""

    def __init__(self, folder: Path, place: str, **environ: str) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder, DUMPS=place, **environ)
        self.place = place
        self.state.mkdir(mode=0o700)
        shutil.copy(HERE / "dumps.py", folder / "dumps.py")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.notices = 0  # that were posted until all was made
        self._started: list[subprocess.Popen[bytes]] = []

    def serve(self) -> None:
        """Start the server."""
        self._begin("server", "--bind", self.url.removeprefix("http://"))
        assert soon(lambda: (self.state / "server.json").exists() and self.run("status", "--scheduler", self.url).returncode == 0, 30, 0.2)

    def staff(self, *options: str) -> None:
        """Start the worker. options: of it."""
        self._begin("worker", "--app", "dumps", "--scheduler", self.url, *options)
        assert soon(self.agents, 30, 0.1)

    def _begin(self, *words: str) -> None:
        with open(self.folder / f"{words[0]}.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "levada", *words],
                cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._started.append(process)

    def agents(self) -> list[int]:
        return [pid for pid in self.alive() if "agent" in psutil.Process(pid).cmdline()]

    def home_of_a_store(self, home: Path) -> Path:
        """A home folder in which SeaweedFS finds whom to tell what happens in its buckets, and with which token."""
        made = self.run("token", "create", "--role", "operator", "--label", "store", "--json", "--scheduler", self.url)
        assert made.returncode == 0, made.stderr
        (home / ".seaweedfs").mkdir(parents=True)
        lines = {"endpoint": f"{self.url}/v1/notices", "bearer_token": json.loads(made.stdout)["token"]}
        text = "".join(f'{name} = "{value}"\n' for name, value in lines.items())
        (home / ".seaweedfs" / "notification.toml").write_text(
            f'[notification.webhook]\nenabled = true\npath_prefixes = ["/buckets"]\n{text}'
        )
        return home

    def close(self) -> None:
        """End the worker as one would, then the server; what is left is killed."""
        started, self._started = self._started, []
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        left = self.alive()
        for pid in left:
            psutil.Process(pid).kill()
        assert left == []

    # -- as people ask

    def levada(self, *words: str) -> Any:
        done = self.run(*words, "--scheduler", self.url, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def posted(self) -> int:
        """Times that somebody posted notices, by the audit trail."""
        done = self.run("audit", "--json", "--limit", "1000", "--scheduler", self.url)
        assert done.returncode == 0, done.stderr
        return sum(json.loads(line)["action"] == "notices" for line in done.stdout.splitlines())

    def want_all(self) -> str:
        """Want ``RunAll`` once, and see it parked."""
        key = str(self.levada("goal", "add", "RunAll")["goal"])
        assert soon(lambda: self.state_of(key) == "parked", 60, 0.2), self.levada("goal", "show", key)
        return key

    def state_of(self, key: str) -> str:
        return str(self.levada("goal", "show", key)["state"])

    def notify(self, body: bytes) -> None:
        """Post what a store would."""
        self._post("/v1/notices", body)

    def _post(self, path: str, body: bytes) -> None:
        token = (self.state / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers), timeout=20).close()

    # -- what it costs

    def seconds(self) -> dict[str, float]:
        """CPU seconds of server, worker and agent since they began, with those of children that ended."""
        used = {"server": self._started[0].pid, "worker": self._started[1].pid, "agent": self.agents()[0]}
        return {name: sum(psutil.Process(pid).cpu_times()[:4]) for name, pid in used.items()}

    def idle(self, seconds: float) -> dict[str, float]:
        """CPU seconds an hour, as measured over some seconds in which nothing happens."""
        before, began = self.seconds(), time.monotonic()
        time.sleep(seconds)
        scale = 3600 / (time.monotonic() - began)
        return {name: (used - before[name]) * scale for name, used in self.seconds().items()}

    def ran(self) -> list[str]:
        """Each attempt, as it noted itself."""
        try:
            return sorted(line.split()[0] for line in (self.folder / "ran.log").read_text().splitlines())
        except FileNotFoundError:
            return []


WANTED = {f"{day}-{window}.txt" for day, window in AGGREGATIONS}


class Judge(threading.Thread):
    """Looks again and again which counts are there, and keeps the moment of each. there: names of outputs."""

    def __init__(self, there: Callable[[], Iterable[str]], pause: float) -> None:
        super().__init__(name="judge")
        self._there, self._pause = there, pause
        self._done = threading.Event()
        self.made: dict[str, float] = {}

    def run(self) -> None:
        while not self._done.wait(self._pause):
            names = WANTED.intersection(self._there())  # a store may be probed beside them
            now = time.monotonic()
            for name in names:
                self.made.setdefault(name, now)

    def close(self) -> None:
        self._done.set()
        self.join()

    def latencies(self, dropped: dict[date, float]) -> list[float]:
        """Seconds between the last input of each aggregation and its output, from small to large."""
        return sorted(
            self.made[f"{day}-{window}.txt"] - max(dropped[each] for each in inputs_of(day, window)) for day, window in AGGREGATIONS
        )


class Drop(NamedTuple):
    """One dump to come. pause: seconds after the one before. by: rename, or write."""

    day: date
    pause: float
    by: str


def drops(seed: int, mean: float) -> list[Drop]:
    """All dumps in some order at some times, four of them in a burst."""
    chance = random.Random(seed)
    days = chance.sample(DUMPS, len(DUMPS))
    burst = chance.randrange(4, len(days) - 4)
    return [
        Drop(day, 0.0 if burst <= at < burst + 4 else chance.expovariate(1 / mean), chance.choice(["rename", "write"]))
        for at, day in enumerate(days)
    ]


def text_of(day: date) -> str:
    return "".join(f"{day},{line}\n" for line in range(LINES))


def drop_all(plan: Iterable[Drop], bring: Callable[[Drop], float]) -> dict[date, float]:
    """Carry it out; the moment at which each dump was there. bring: gives that moment."""
    moments: dict[date, float] = {}
    for each in plan:
        time.sleep(each.pause)
        moments[each.day] = bring(each)
    return moments


def into_folder(folder: Path) -> Callable[[Drop], float]:
    """Dumps as files of a folder."""
    folder.mkdir(parents=True, exist_ok=True)

    def bring(drop: Drop) -> float:
        path = folder / f"{drop.day}.csv"
        if drop.by == "write":
            path.write_text(text_of(drop.day))
        else:
            part = folder / f".{drop.day}.part"
            part.write_text(text_of(drop.day))
            os.replace(part, path)
        return time.monotonic()

    return bring


def s3_notice(bucket: str, key: str) -> bytes:
    """What AWS, MinIO and Ceph post when an object was made."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    made = {"bucket": {"name": bucket}, "object": {"key": key, "size": 1, "eTag": "", "sequencer": f"{time.time_ns():X}"}}
    record = {"eventVersion": "2.1", "eventSource": "aws:s3", "eventTime": at, "eventName": "ObjectCreated:Put", "s3": made}
    return json.dumps({"Records": [record]}).encode()


def spread(values: list[float]) -> str:
    """Median, 90th percentile and longest of sorted seconds."""
    return f"median {values[len(values) // 2]:.2f} s, p90 {values[int(len(values) * 0.9)]:.2f} s, longest {values[-1]:.2f} s"

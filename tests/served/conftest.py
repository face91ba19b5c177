"""A real server in a process of its own, and programs that run as its clients."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.faults.command import Command, ended, soon

TASKS = '''
import datetime, os, signal, sys, time
import levada as lv

FIRST = datetime.date(2013, 1, 20)
HERE = os.path.dirname(os.path.abspath(__file__))

def note(word):
    fd = os.open(os.path.join(HERE, "ran.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{word} {os.getpid()}\\n".encode())
    os.close(fd)

class Drop(lv.ExternalTask):
    day: datetime.date
    def output(self):
        return lv.LocalTarget(f"drop/{self.day}.txt")

class Counted(lv.Task):
    day: datetime.date
    window: int
    pause: float = 0.02
    def requires(self):
        return [Drop(day=self.day - datetime.timedelta(back)) for back in range(self.window)]
    def output(self):
        return lv.LocalTarget(f"counts/{self.day}-{self.window}.txt")
    def run(self):
        note(f"{self.day}-{self.window}")
        time.sleep(self.pause)
        self.output().write_text(str(sum(len(target.read_text().splitlines()) for target in self.input())))

class RunAll(lv.Task):
    pause: float = 0.02
    def requires(self):
        for window in [3, 7, 14]:
            for back in range(10):
                yield Counted(day=FIRST - datetime.timedelta(back), window=window, pause=self.pause)

class Slow(lv.Task):
    """Waits until a file says that it may end."""
    name: str
    retry = lv.Retry(attempts=3, first=0.05)
    def output(self):
        return lv.LocalTarget(f"slow-{self.name}.txt")
    def run(self):
        note(self.name)
        while not os.path.exists(os.path.join(HERE, "go")):
            time.sleep(0.02)
        self.output().write_text(str(os.getpid()))

class After(lv.Task):
    def requires(self):
        return Slow(name="one")
    def output(self):
        return lv.LocalTarget("after.txt")
    def run(self):
        note("after")
        self.output().write_text(self.input().read_text())

class Broken(lv.Task):
    retry = lv.Retry(attempts=2, first=0.05)
    def output(self):
        return lv.LocalTarget("never.txt")
    def run(self):
        note("broken")
        raise ValueError("no such table")

class Behind(lv.Task):
    def requires(self):
        return [Broken(), Counted(day=FIRST, window=3)]
    def output(self):
        return lv.LocalTarget("behind.txt")

class Doomed(lv.Task):
    """Asks, when it runs, for what cannot be made."""
    number: int
    retry = lv.Retry(attempts=1)
    def output(self):
        return lv.LocalTarget(f"doomed-{self.number}.txt")
    def run(self):
        time.sleep(0.3)
        yield Broken()
        self.output().write_text("never")

class TwoDoomed(lv.WrapperTask):
    def requires(self):
        return [Doomed(number=1), Doomed(number=2)]

class Secret(lv.Task):
    password: str = lv.param(secret=True)
    retry = lv.Retry(attempts=2, first=0.05)
    def output(self):
        return lv.LocalTarget("secret.txt")
    def run(self):
        print("the password is", self.password)
        if not os.path.exists("tried"):
            open("tried", "w").close()
            raise ValueError(f"wrong password {self.password}")
        self.output().write_text("in")

class Mixed(lv.WrapperTask):
    """A slow task beside quick ones, each of which says when it ran."""
    def requires(self):
        return [Counted(day=FIRST - datetime.timedelta(number // 9), window=number % 9 + 1, pause=0.001) for number in range(90)] + [
            Slow(name="one")
        ]

class Ours(lv.Task):
    def requires(self):
        return [Slow(name="yield")]
    def output(self):
        return lv.LocalTarget("ours.txt")
    def run(self):
        part = yield Counted(day=FIRST, window=7)
        self.output().write_text(part.read_text())
'''


class Served(Command):
    """A folder with tasks and a server. ``url`` is its HTTP address, ``socket`` the one on disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        (folder / "flow.py").write_text(TASKS)
        (folder / "drop").mkdir()
        for back in range(40):
            (folder / "drop" / f"{date(2013, 1, 20) - timedelta(back)}.txt").write_text("a\nb\n")
        self.state.mkdir(mode=0o700)
        self._options = options
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.socket = f"unix:{self.state}/server.sock"
        self.server = self.start_server()

    def start_server(self) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "levada", "server", "--bind", f"127.0.0.1:{self.port}", "--bind", self.socket, *self._options]
        with open(self.folder / "server.log", "a") as log:
            self.server = subprocess.Popen(
                words, cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True
            )
        assert soon(self.ready, 20, 0.05), (self.folder / "server.log").read_text()
        return self.server

    def ready(self) -> bool:
        try:
            found = json.loads((self.state / "server.json").read_text())
        except (OSError, ValueError):
            return False
        if found["pid"] != self.server.pid:
            return False
        with closing(socket.socket()) as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
            probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return b" 200 " in probe.recv(100)

    def kill_server(self) -> None:
        self.server.kill()
        self.server.wait()

    def run_task(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return ended(self.start_task(*words, **more))

    def start_task(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        return self.start("run", "--scheduler", more.pop("url", self.url), "--no-console", "flow.py", *words, **more)

    def ran(self) -> list[tuple[str, int]]:
        """(what, process) of each attempt, as the tasks themselves wrote it down."""
        try:
            lines = (self.folder / "ran.log").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(name, int(pid)) for name, pid in map(str.split, lines)]

    def go(self) -> None:
        (self.folder / "go").touch()

    def close(self) -> None:
        for pid in self.alive():
            for number in (signal.SIGCONT, signal.SIGKILL):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    break
        self.server.wait()


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def make(*options: str) -> Served:
        made.append(Served(tmp_path, *options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve("--lease", "5")

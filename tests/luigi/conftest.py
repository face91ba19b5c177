"""A real server that lets workers of Luigi in, and Luigi itself in an interpreter of its own."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.environments import HOME, Missing, python_of
from tests.faults.command import ended, soon
from tests.luigi.programs import GRAPH
from tests.served.conftest import Served


@pytest.fixture(autouse=True)
def _own_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers that a program sets up write to the test's stderr: they go with it."""
    for name in ("luigi", "luigi.scheduler", "luigi-interface"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])


@pytest.fixture(scope="session")
def luigi_python() -> str:
    """An interpreter that has Luigi. It is installed where `make bench` has not done that."""
    try:
        return python_of("luigi")
    except Missing as reason:
        pytest.skip(f"Luigi is not installed in {HOME / 'luigi'}, and cannot be: {reason}")


class Mixed(Served):
    """A folder with ``graph.py``, a server with --luigi, and workers of both kinds."""

    def __init__(self, folder: Path, luigi: str, *options: str) -> None:
        self.luigi = luigi
        super().__init__(folder, "--luigi", *options)
        (folder / "graph.py").write_text(GRAPH)
        made = self.run("token", "create", "--role", "worker", "--scheduler", self.url)
        self.token = made.stdout.split()[-1]
        assert self.token.startswith("lvd_"), made

    def start_luigi(self, *words: str, token: str | None = None, by_url: bool = True, **config: str) -> subprocess.Popen[str]:
        """A worker of Luigi as people start it. config: of its section [core], say ``rpc_retry_wait="1"``."""
        where = f"luigi:{self.token if token is None else token}@127.0.0.1"
        address = (
            ["--scheduler-url", f"http://{where}:{self.port}"]
            if by_url
            else ["--scheduler-host", where, "--scheduler-port", str(self.port)]
        )
        core = {"rpc-retry-wait": "1", "rpc-retry-attempts": "30", **{name.replace("_", "-"): value for name, value in config.items()}}
        place = self.folder / f"luigi-{time.monotonic_ns()}.cfg"
        lines = [f"{name}: {value}" for name, value in core.items()]
        place.write_text("\n".join(("[core]", *lines, "[worker]", "wait_interval: 0.1", "wait_jitter: 0.1", "")))
        environ = {**self.environ, "LUIGI_CONFIG_PATH": str(place), "PYTHONPATH": str(self.folder)}
        arguments = [self.luigi, "-m", "luigi", "--module", "graph", *words, *address]
        with open(self.folder / "luigi.log", "a") as log:
            return subprocess.Popen(arguments, cwd=self.folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True)

    def run_luigi(self, *words: str, timeout: float = 50, **config: Any) -> str:
        """The same, to its end; what it said."""
        before = self.said()
        self.start_luigi(*words, **config).wait(timeout)
        return self.said()[len(before) :]

    def said(self) -> str:
        """What workers of Luigi have said."""
        place = self.folder / "luigi.log"
        return place.read_text() if place.exists() else ""

    def start_levada(self, *words: str) -> subprocess.Popen[str]:
        """A worker of ours, of the same program through the door."""
        environ = {"PYTHONPATH": self._path(), "LEVADA_SCHEDULER": self.url}
        return self.start("luigi", "--module", "graph", *words, "--no-lock", environ=environ)

    def run_levada(self, *words: str) -> subprocess.CompletedProcess[str]:
        return ended(self.start_levada(*words))

    def _path(self) -> str:
        return f"{self.environ['PYTHONPATH']}{os.pathsep}{self.folder}"

    def notes(self) -> list[tuple[str, int, str]]:
        """(task, process, luigi or levada) of each attempt, as the tasks themselves wrote it down."""
        try:
            lines = (self.folder / "ran.log").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(name, int(pid), kind) for name, pid, kind in map(str.split, lines)]

    def times(self) -> Counter[str]:
        """How often each task ran."""
        return Counter(name for name, _, _ in self.notes())

    def ask(self, verb: str, token: str | None = None, **data: Any) -> Any:
        """The response to one of luigid's calls."""
        from base64 import b64encode
        from urllib.parse import urlencode

        auth = b64encode(f"luigi:{self.token if token is None else token}".encode()).decode()
        body = urlencode({"data": json.dumps(data)}).encode()
        request = urllib.request.Request(f"{self.url}/api/{verb}", body, {"Authorization": f"Basic {auth}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())["response"]

    def until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        assert soon(condition, seconds, 0.02), f"{self.said()[-3000:]}\n{(self.folder / 'server.log').read_text()[-3000:]}"


@pytest.fixture
def mix(tmp_path: Path, luigi_python: str) -> Iterator[Callable[..., Mixed]]:
    made: list[Mixed] = []

    def make(*options: str) -> Mixed:
        made.append(Mixed(tmp_path, luigi_python, *options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def mixed(mix: Callable[..., Mixed]) -> Mixed:
    return mix("--lease", "5")

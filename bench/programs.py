"""``levada run --scheduler`` beside a server: many programs that ask for the same tasks, and the one that finds nearly nothing to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from . import servers
from .client import Client
from .measure import ENGINES, SOURCE, Broken, clean_environment
from .servers import Server

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where targets are made: some disks take longer for a file than anybody here for a task."""


class Took(NamedTuple):
    """What programs took together. wall, cpu (of the programs), server (CPU of the server): seconds. ran: runs in all; twice: too many."""

    wall: float
    cpu: float
    server: float
    calls: Counter[str]  # HTTP requests that the server answered, by the name of their route
    ran: int
    twice: int


def together(programs: int, tasks: int, made: int = 0, wait: int = 0, work: int = 0) -> Took:
    """So many programs ask one new server for the same tasks, of which some are made already.

    wait, work: milliseconds that a task sleeps, and computes. Raises Broken.
    """
    with tempfile.TemporaryDirectory(prefix="levada-bench-", dir=MEMORY) as folder, servers.levada("--synchronous", "normal") as server:
        for at in range(made):
            path = Path(folder, "made", f"{at // 1000:04}", f"{at % 1000:03}.txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return _run(server, programs, (tasks, wait, work), folder, tasks - made)


def _run(server: Server, programs: int, tasks: tuple[int, int, int], folder: str, wanted: int) -> Took:
    admin = Client(server.port, server.token, "")
    token, before, cpu = admin.token(), _calls(admin), server.cpu()
    began = time.perf_counter()
    processes = [_start(server, token, tasks, folder, number) for number in range(programs)]
    used = sum(_ended(process, folder, number) for number, process in enumerate(processes))
    wall, busy = time.perf_counter() - began, server.cpu() - cpu
    calls = _calls(admin) - before - Counter(metrics=1)  # the question before this one
    admin.close()
    log = Path(folder, "log")
    runs = Counter(log.read_text().split() if log.exists() else ())
    if len(runs) != wanted:
        raise Broken(f"{programs} programs: {len(runs):,} of {wanted:,} tasks ran")
    return Took(wall, used, busy, calls, runs.total(), runs.total() - len(runs))


def _start(server: Server, token: str, tasks: tuple[int, int, int], folder: str, number: int) -> subprocess.Popen[bytes]:
    scratch = os.path.join(folder, f"program-{number}")
    os.mkdir(scratch)
    env = clean_environment(scratch) | {"PYTHONPATH": f"{SOURCE}{os.pathsep}{ENGINES}", "BENCH_FOLDER": folder, "LEVADA_TOKEN": token}
    words = [
        "run",
        "--module",
        "shared_pipeline",
        "Many",
        "--count",
        str(tasks[0]),
        "--wait",
        str(tasks[1]),
        "--work",
        str(tasks[2]),
        "--scheduler",
        f"http://127.0.0.1:{server.port}",
    ]
    with open(f"{scratch}/said", "w", encoding="utf-8") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "levada", *words], env=env, cwd=scratch, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )


def _ended(process: subprocess.Popen[bytes], folder: str, number: int) -> float:
    """CPU seconds of a program that ended well."""
    _, status, use = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        lines = Path(folder, f"program-{number}", "said").read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        raise Broken(f"levada run --scheduler: status {process.returncode}: {lines[-1]}"[:300])
    return use.ru_utime + use.ru_stime


def _calls(client: Client) -> Counter[str]:
    """HTTP requests that the server has answered, by the name of their route."""
    page = client.ask(b"GET", b"/metrics").decode()
    found = re.findall(r'^levada_http_requests_total{route="([^"]*)",status="[^"]*"} (\S+)$', page, re.MULTILINE)
    calls: Counter[str] = Counter()
    for route, count in found:
        calls[route] += int(float(count))
    return calls

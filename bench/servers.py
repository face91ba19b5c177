"""Servers as processes of their own, ours and luigid, and what they take, read from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from .measure import SOURCE, Broken, clean_environment


class Server(NamedTuple):
    """A server that takes requests. token: of its admin; empty for luigid, which has none. folder: its state folder."""

    pid: int
    port: int
    token: str
    folder: str

    def cpu(self) -> float:
        """CPU seconds of the process so far, user and system, to the nanosecond: the clock that Linux keeps for each process."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def rss(self) -> int:
        """Bytes in memory."""
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def levada(*options: str, folder: str | None = None) -> Iterator[Server]:
    """Our server, in a new state folder or one that is there."""
    with tempfile.TemporaryDirectory(prefix="levada-bench-") as scratch:
        state = folder or os.path.join(scratch, "state")
        os.makedirs(state, mode=0o700, exist_ok=True)
        env = clean_environment(scratch) | {"LEVADA_STATE": state, "PYTHONPATH": str(SOURCE)}
        log = os.path.join(scratch, "said")
        command = [sys.executable, "-m", "levada", "server", "--bind", "127.0.0.1:0", *options]
        with _process(command, env, scratch, log) as process:
            _until(lambda: "serving" in _text(log), process, log)
            with open(os.path.join(state, "server.json"), encoding="utf-8") as info:
                port = int(json.load(info)["addresses"][0].rpartition(":")[2])
            with open(os.path.join(state, "admin.token"), encoding="utf-8") as file:
                token = file.read().strip()
            yield Server(process.pid, port, token, state)


@contextmanager
def luigid(python: str) -> Iterator[Server]:
    """luigid of the environment of an interpreter, with its defaults."""
    with tempfile.TemporaryDirectory(prefix="levada-bench-") as scratch, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        log = os.path.join(scratch, "said")
        command = [os.path.join(os.path.dirname(python), "luigid"), "--address", "127.0.0.1", "--port", str(port)]
        with _process([*command, "--state-path", f"{scratch}/state.pickle"], clean_environment(scratch), scratch, log) as process:
            _until(lambda: _listens(port), process, log)
            yield Server(process.pid, port, "", scratch)


@contextmanager
def _process(command: Sequence[str], env: dict[str, str], cwd: str, log: str) -> Iterator[subprocess.Popen[bytes]]:
    with open(log, "w", encoding="utf-8") as said:
        process = subprocess.Popen(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(begun: object, process: subprocess.Popen[bytes], log: str) -> None:
    deadline = time.monotonic() + 30
    while not begun():  # type: ignore[operator]  # a function without arguments
        if process.poll() is not None or time.monotonic() > deadline:
            lines = _text(log).strip().splitlines() or ["it said nothing"]
            raise Broken(f"the server did not start: {lines[-1]}"[:300])
        time.sleep(0.01)


def _text(log: str) -> str:
    with open(log, encoding="utf-8", errors="replace") as file:
        return file.read()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False

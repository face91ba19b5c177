"""A server process of ``levada server`` that is killed, stopped, woken and started again, and a small client to look at it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DEAD = (OSError, http.client.HTTPException, ValueError)
"""What a question raises whose server dies meanwhile; ValueError: an answer that was cut short."""


class Refused(Exception):
    """The server said no."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body[:300]}")
        self.status = status
        self.code = str(json.loads(body).get("code", "")) if body.startswith("{") else ""


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free just now, outside of the range that connections take theirs from."""
    import random

    while True:
        port = random.randint(11_000, 31_000)
        with socket.socket() as sock, suppress(OSError):
            sock.bind((host, port))
            return port


class _Unix(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(
    address: tuple[str, int] | str, token: str, method: str, path: str, fields: Any = None, seconds: float = 5.0, **headers: str
) -> Any:
    """One request over a connection of its own; address: host and port, or the path of a socket. Raises Refused, or one of DEAD."""
    connection = _Unix(address, seconds) if isinstance(address, str) else http.client.HTTPConnection(*address, timeout=seconds)
    try:
        body = None if fields is None else json.dumps(fields).encode()
        sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, body, sent | {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status != 200:
        raise Refused(response.status, text)
    return json.loads(text) if text.startswith(("{", "[")) else text


class Node:
    """One server: its state folder, its address, and the process that serves it now.

    wrap: words before the command, as in ``ip netns exec NAME``. The process is found behind them, if they stay.
    """

    def __init__(
        self, folder: Path, *options: str, lease: float = 5.0, host: str = "127.0.0.1", wrap: tuple[str, ...] = (), **environ: str
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.address = (host, free_port() if host == "127.0.0.1" else 8782)
        self.url = f"http://{host}:{self.address[1]}"
        self.options = ["--bind", f"{host}:{self.address[1]}", "--lease", str(lease), "--log-level", "info", *options]
        self.near: tuple[str, int] | str = self.address
        """How we ask it ourselves: by a socket on disk where its network is not ours."""
        if host != "127.0.0.1":
            self.near = str(folder / "server.sock")
            self.options += ["--bind", f"unix:{self.near}", "--behind-proxy"]
        self.wrap, self.environ = wrap, environ
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder.parent / f"{folder.name}.log"
        self.started = 0.0
        self.token_file = folder / "admin.token"

    def start(self) -> None:
        """Start it; ``wait`` waits until it serves."""
        assert self.process is None, "it runs already"
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("LEVADA", "LUIGI"))}
        environ |= {"LEVADA_STATE": str(self.folder), "PYTHONPATH": str(ROOT / "src"), **self.environ}
        with open(self.log, "ab") as log:
            self.started = time.monotonic()
            self.process = subprocess.Popen(
                [*self.wrap, sys.executable, "-m", "levada", "server", *self.options],
                env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait(self, seconds: float = 30.0) -> float:
        """Seconds from the start until it was ready. AssertionError when it ends or takes too long."""
        while time.monotonic() < self.started + seconds:
            if self.is_ready():
                return time.monotonic() - self.started
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.tail()}"
            time.sleep(0.005)
        raise AssertionError(f"the server was not ready within {seconds} s:\n{self.tail()}")

    def is_ready(self, seconds: float = 2.0) -> bool:
        """Whether it says so."""
        with suppress(*DEAD, Refused):
            ask(self.near, "", "GET", "/readyz", seconds=seconds)
            return True
        return False

    @property
    def pid(self) -> int:
        """Of the server itself, behind what it is wrapped in."""
        assert self.process is not None
        pid = self.process.pid
        while self.wrap:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if b"levada\0server" in file.read():
                    break
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                pid = int(file.read().split()[0])
        return pid

    def signal(self, number: int) -> None:
        """To the server."""
        os.kill(self.pid, number)

    def until_stopped(self, seconds: float = 5.0) -> None:
        """Wait until a SIGSTOP has reached all of its threads."""
        until = time.monotonic() + seconds
        while any(state != "T" for state in self._states()):
            assert time.monotonic() < until, f"it does not stop: {self._states()}"
            time.sleep(0.001)

    def _states(self) -> list[str]:
        """Of its threads, as the kernel names them."""
        tasks = Path(f"/proc/{self.pid}/task")
        return [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()]

    def kill(self) -> None:
        """SIGKILL to it and what it is wrapped in. Harmless to repeat."""
        process, self.process = self.process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def end(self, seconds: float = 20.0) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self.process = None
        return code

    @property
    def token(self) -> str:
        """The admin's."""
        return self.token_file.read_text().strip()

    def ask(self, method: str, path: str, fields: Any = None, **more: Any) -> Any:
        """A request of the admin. Raises Refused, or one of DEAD."""
        return ask(self.near, self.token, method, path, fields, **more)

    def tail(self, size: int = 3000) -> str:
        """The end of its log."""
        return self.log.read_bytes()[-size:].decode(errors="replace") if self.log.exists() else ""

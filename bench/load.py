"""A load on a server: sessions that register tasks, claim them in batches and report them done, over real sockets.

The clients are lean (one socket each, no engine), so that a figure is the server's. Latencies are those of single requests.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import msgspec

TICKS = os.sysconf("SC_CLK_TCK")
SLICE = 1_000


class Shape(NamedTuple):
    """tasks: in all. workers: sessions, each with its own share. batch: claims in one request. shared: all register the same tasks."""

    tasks: int
    workers: int = 8
    batch: int = 100
    shared: bool = False


class Figures(NamedTuple):
    """What a load took. Seconds, but for ``rate`` (claims a second) and ``rss`` (bytes of the server at the end)."""

    register: float
    register_cpu: float
    claims: float
    claims_cpu: float  # of the server
    rate: float
    p50: float
    p99: float
    rss: int
    granted: int


class Client:
    """One session over one socket."""

    def __init__(self, port: int, token: str, session: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = (
            f"HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()
        self.session, self.seq = session, 0
        self.latencies: list[float] = []
        self._decode = msgspec.json.Decoder().decode
        self._encode = msgspec.json.Encoder().encode

    def post(self, path: bytes, **fields: Any) -> Any:
        """The decoded answer."""
        body = self._encode({"session": self.session, **fields})
        began = time.perf_counter()
        self._socket.sendall(b"POST " + path + b" " + self._head + str(len(body)).encode() + b"\r\n\r\n" + body)
        data = self._socket.recv(1 << 20)
        head = data.find(b"\r\n\r\n")
        while head < 0:
            data += self._socket.recv(1 << 20)
            head = data.find(b"\r\n\r\n")
        lower = data[:head].lower()
        at = lower.index(b"content-length:") + 15
        length = int(lower[at : lower.find(b"\r", at) if lower.find(b"\r", at) > 0 else None])
        chunks, have = [data[head + 4 :]], len(data) - head - 4
        while have < length:
            piece = self._socket.recv(1 << 20)
            chunks.append(piece)
            have += len(piece)
        self.latencies.append(time.perf_counter() - began)
        if not data.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"{path.decode()}: {data[:head]!r} {b''.join(chunks)[:300]!r}")
        return self._decode(b"".join(chunks))

    def numbered(self, path: bytes, **fields: Any) -> Any:
        """A request that changes the session's state."""
        self.seq += 1
        return self.post(path, seq=self.seq, **fields)


def keys_of(share: range) -> list[str]:
    """Keys of tasks; spread like real ones."""
    return [f"{(number * 0x9E3779B97F4A7C15) & (1 << 64) - 1:016x}{number:016x}" for number in share]


def register(client: Client, share: range) -> None:
    """Independent tasks, a thousand a message."""
    client.post(b"/v1/hello", wire=[1], levada="bench")
    for first in range(share.start, share.stop, SLICE):
        keys = keys_of(range(first, min(first + SLICE, share.stop)))
        client.numbered(
            b"/v1/tasks",
            policies=[{"family": "Load"}],
            tasks=[[key, 0, '{"at":"%s"}' % key[16:]] for key in keys],
            growth=[[key] for key in keys],
        )


def work_off(client: Client, batch: int) -> int:
    """Claim and report until nothing is left; how many were done."""
    done: list[Any] = []
    count = 0
    while True:
        answer = client.numbered(b"/v1/sync", room=batch, done=done, wait=5.0)
        granted = answer.get("granted", ())
        count += len(done)
        done = [row[:3] for row in granted]
        if not granted and not answer.get("unfinished"):
            return count


def _worker(port: int, token: str, number: int, share: range, batch: int, gate: Any, answers: Any) -> None:
    client = Client(port, token, f"{os.getpid():016x}{number:016x}")
    register(client, share)
    gate.wait()
    gate.wait()
    client.latencies.clear()
    count = work_off(client, batch)
    answers.put((count, client.latencies))


@contextmanager
def served(folder: str, *options: str) -> Iterator[tuple[int, int, str]]:
    """A server process of its own: (pid, port, token)."""
    env = {**os.environ, "LEVADA_STATE": folder, "PYTHONPATH": os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")}
    process = subprocess.Popen(
        [sys.executable, "-m", "levada", "server", "--bind", "127.0.0.1:0", *options], env=env, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        if "serving" not in line:
            raise SystemExit(f"the server did not start: {line}{process.stderr.read()}")
        with open(os.path.join(folder, "server.json"), encoding="utf-8") as info:
            port = int(json.load(info)["addresses"][0].rpartition(":")[2])
        with open(os.path.join(folder, "admin.token"), encoding="utf-8") as file:
            token = file.read().strip()
        yield process.pid, port, token
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, user and system."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_of(pid: int) -> int:
    """Bytes in memory."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def load(shape: Shape, *options: str) -> Figures:
    """Run one load against a new server."""
    with tempfile.TemporaryDirectory() as folder, served(folder, *options) as (pid, port, token):
        os.chmod(folder, 0o700)
        context = multiprocessing.get_context("fork")
        gate, answers = context.Barrier(shape.workers + 1), context.Queue()
        share = shape.tasks // shape.workers
        shares = [range(0, shape.tasks) if shape.shared else range(n * share, (n + 1) * share) for n in range(shape.workers)]
        began, cpu = time.perf_counter(), cpu_of(pid)
        workers = [
            context.Process(target=_worker, args=(port, token, number, shares[number], shape.batch, gate, answers), daemon=True)
            for number in range(shape.workers)
        ]
        for worker in workers:
            worker.start()
        gate.wait()
        registered, cpu_registered = time.perf_counter(), cpu_of(pid)
        gate.wait()
        results = [answers.get() for _ in workers]
        ended, cpu_ended = time.perf_counter(), cpu_of(pid)
        for worker in workers:
            worker.join()
        latencies = sorted(latency for _, each in results for latency in each)
        granted = sum(count for count, _ in results)
        return Figures(
            registered - began,
            cpu_registered - cpu,
            ended - registered,
            cpu_ended - cpu_registered,
            granted / (ended - registered),
            latencies[len(latencies) // 2],
            latencies[int(len(latencies) * 0.99)],
            rss_of(pid),
            granted,
        )


def main() -> None:
    """``python -m bench.load TASKS [WORKERS [BATCH [OPTIONS OF THE SERVER]]]``: one load, told in a line."""
    tasks, workers, batch, *options = [*sys.argv[1:], *("10000", "8", "100")[len(sys.argv) - 1 :]]
    figures = load(Shape(int(tasks), int(workers), int(batch)), *options)
    print(
        f"{int(tasks):,} tasks, {workers} workers, batches of {batch}: registered in {figures.register:.2f} s "
        f"({figures.register_cpu / int(tasks) * 1e6:.1f} us a task), {figures.rate:,.0f} claims/s, "
        f"{figures.claims_cpu / max(1, figures.granted) * 1e6:.1f} us of server CPU a claim, p50 {figures.p50 * 1e3:.1f} ms, "
        f"p99 {figures.p99 * 1e3:.1f} ms, {figures.rss >> 20} MiB, {figures.granted:,} granted"
    )


if __name__ == "__main__":
    main()

"""Disks that are full, read-only or slow: nothing acknowledged is lost, renewals go on, and the server recovers by itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .crowd import Crowd
from .judge import Verdict
from .node import DEAD, Node, Refused, ask

FULL = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=3m,mode=700 none "$0" && exec "$@"')


def can_mount() -> bool:
    """Whether this process may mount a file system in a namespace of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True).returncode == 0


class Holder:
    """A session that holds a task and renews it, several times a second; what it was answered, and how long that took."""

    def __init__(self, node: Node, token: str, name: str = "b") -> None:
        self._node, self._token, self.session = node, token, name * 32
        key = f"{os.getpid():016x}{time.monotonic_ns():016x}"
        self.post("/v1/hello", wire=[1], levada="chaos")
        self.post("/v1/tasks", seq=1, policies=[{"family": "Held"}], tasks=[[key, 0, "{}"]], growth=[[key]])
        ((key, epoch, number, *_),) = self.post("/v1/sync", seq=2, room=1)["granted"]
        self.held = [key, epoch, number]
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)

    def post(self, path: str, **fields: Any) -> Any:
        """A request of this session."""
        return ask(self._node.address, self._token, "POST", path, {"session": self.session, **fields}, 30.0)

    def _go(self) -> None:
        while not self._end.wait(0.05):
            began = time.monotonic()
            try:
                answer = self.post("/v1/renew", held=[self.held])
                if answer.get("lost"):
                    self.failures.append(f"lost: {answer}")
            except (*DEAD, Refused) as cause:
                self.failures.append(repr(cause))
            self.seconds.append(time.monotonic() - began)

    @contextmanager
    def renewing(self) -> Iterator[None]:
        """Renew for as long as the block lasts."""
        self._thread.start()
        try:
            yield
        finally:
            self._end.set()
            self._thread.join(30)

    def at(self, share: float) -> float:
        """A quantile of the seconds that renewals took."""
        found = sorted(self.seconds)
        return found[min(len(found) - 1, int(len(found) * share))]


@dataclass
class Disk:
    """What a trial came to. refusals: codes that work was answered with meanwhile. back: seconds until it worked again."""

    what: str
    verdict: Verdict
    renewals: int = 0
    p99: float = 0.0
    failures: list[str] = field(default_factory=list)
    refusals: set[str] = field(default_factory=set)
    back: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.renewals} renewals meanwhile, {len(self.failures)} failed, p99 {self.p99 * 1e3:.0f} ms; work was "
            f"refused with {sorted(self.refusals) or '-'}; worked again after {self.back:.1f} s; {self.verdict.events['done']:,} ends "
            f"acknowledged; laws broken: {len(self.verdict.broken)}"
        )

    def check(self) -> None:
        """AssertionError when a law was broken or a renewal failed."""
        self.verdict.check()
        assert not self.failures, self.failures[:5]


def fill_the_disk(folder: Path, seconds: float = 8.0) -> Disk:
    """A state folder of 3 MB, filled from outside under load, and emptied again."""
    state = folder / "state"
    node = Node(state, lease=5.0, wrap=(*FULL, str(state)))
    node.start()
    inside = _inside(node)
    node.wait()
    crowd = Crowd(folder, [node.address], node.token, pairs=1, seed=1)
    holder = Holder(node, node.token)
    result = Disk("a full disk", Verdict())
    try:
        crowd.start()
        time.sleep(1.0)
        with holder.renewing():
            _stuff(inside / "ballast")
            result.refusals = _refusals(holder, seconds)
            (inside / "ballast").unlink()
            result.back = _until_it_works(holder)
        _finish(crowd, holder, result)
    finally:
        crowd.close()
        node.kill()
    return result


def _inside(node: Node) -> Path:
    """The state folder as the server sees it, in its own namespace."""
    assert node.process is not None
    inside = Path(f"/proc/{node.process.pid}/root{node.folder}")
    until = time.monotonic() + 10
    while not (inside / "admin.token").exists():
        assert time.monotonic() < until, node.tail()
        time.sleep(0.02)
    node.token_file = inside / "admin.token"
    return inside


def _stuff(path: Path) -> None:
    """Write until nothing fits any more."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass


def _refusals(holder: Holder, seconds: float) -> set[str]:
    """How new work is refused while there is no room."""
    found: set[str] = set()
    seq = 3
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        key = f"{time.monotonic_ns():032x}"
        try:
            holder.post("/v1/tasks", seq=seq, policies=[{"family": "Later"}], tasks=[[key, 0, '"' + "x" * 60_000 + '"']], growth=[[key]])
            seq += 1
        except Refused as no:
            found.add(f"{no.status} {no.code}")
            time.sleep(0.1)
    holder.seq = seq  # type: ignore[attr-defined]
    return found


def _until_it_works(holder: Holder, seconds: float = 30.0) -> float:
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        try:
            holder.post("/v1/sync", seq=holder.seq, done=[holder.held])  # type: ignore[attr-defined]
            return time.monotonic() - began
        except (Refused, *DEAD):
            time.sleep(0.1)
    raise AssertionError(f"it did not recover within {seconds} s")


def _finish(crowd: Crowd, holder: Holder, result: Disk) -> None:
    crowd.finish(60)
    result.verdict = crowd.verdict()
    result.renewals, result.p99, result.failures = len(holder.seconds), holder.at(0.99), holder.failures


def slow_disk(folder: Path, seconds: float = 10.0, *, delay: float = 1.0) -> Disk:
    """Each fsync takes a second (strace delays the call) while others work and one renews."""
    node = Node(folder / "state", lease=5.0)
    node.start()
    node.wait()
    crowd = Crowd(folder, [node.address], node.token, pairs=1, seed=1, timeout=10.0)
    holder = Holder(node, node.token)
    result = Disk(f"fsyncs of {delay:g} s", Verdict())
    try:
        crowd.start()
        with _delayed(node, delay), holder.renewing():
            time.sleep(seconds)
        holder.seq = 3  # type: ignore[attr-defined]
        result.back = _until_it_works(holder)
        _finish(crowd, holder, result)
    finally:
        crowd.close()
        node.kill()
    return result


@contextmanager
def _delayed(node: Node, delay: float) -> Iterator[None]:
    words = ["strace", "-f", "-q", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]
    strace = subprocess.Popen([*words, "-e", f"inject=fsync,fdatasync:delay_enter={int(delay * 1e6)}", "-p", str(node.pid)])
    try:
        time.sleep(1.0)
        assert strace.poll() is None, "strace cannot attach"
        yield
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(10)

"""Lean workers as processes, beside a log that they all write to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .judge import Verdict, judge, lines_of
from .lean import boottime
from .node import ROOT

SCRIPT = Path(__file__).with_name("lean.py")


class Crowd:
    """Workers that go on until they are told to stop. Two of a pair register the same graphs."""

    def __init__(self, folder: Path, addresses: Sequence[tuple[str, int]], token: str, *, pairs: int = 2, **options: Any) -> None:
        self.folder, self.addresses, self.token = folder, list(addresses), token
        self.log, self.out, self.stop_file = folder / "work.log", folder / "out", folder / "stop"
        self.out.mkdir(exist_ok=True)
        self.errors = folder / "workers.err"
        self.pairs, self.options = pairs, options
        self.places: dict[int, subprocess.Popen[bytes]] = {}
        self._lives = 0
        self._file = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, event: str, *more: Any) -> None:
        """A line of the supervisor's."""
        os.write(self._file, (json.dumps([round(boottime(), 6), os.getpid(), event, *more]) + "\n").encode())

    def start(self) -> None:
        """All of them."""
        for place in range(2 * self.pairs):
            self.put(place)

    def put(self, place: int) -> None:
        """A new worker; one that replaces another begins where its pair's latest begins anew."""
        self._lives += 1
        plan = {
            "addresses": self.addresses, "token": self.token, "log": str(self.log), "out": str(self.out), "stop": str(self.stop_file),
            "name": f"{place}.{self._lives}", "first": self._next(place), "step": self.pairs, **self.options,
        }  # fmt: skip
        with open(self.errors, "ab") as errors:
            self.places[place] = subprocess.Popen(
                [sys.executable, "-S", "-E", str(SCRIPT), json.dumps(plan)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd=ROOT,
            )

    def _next(self, place: int) -> int:
        """The newest graph of the pair that is finished: the next may be begun, and its tasks held by a worker that is dead."""
        pair = place % self.pairs
        done = [line[3] for line in lines_of(self.log) if line[2] == "graph" and line[3] % self.pairs == pair]
        return max(done, default=pair)

    def kill(self, place: int) -> None:
        """SIGKILL to one; its leases lapse."""
        process = self.places.pop(place)
        process.kill()
        process.wait()
        self.note("killed", process.pid)

    def check(self) -> None:
        """AssertionError when one has ended by itself."""
        for place, process in self.places.items():
            assert process.poll() in (None, 0), f"worker {place} ended with {process.returncode}: {self.errors.read_text()[-3000:]}"

    def finish(self, seconds: float) -> None:
        """Let all end what they have begun. AssertionError when that takes too long."""
        self.stop_file.touch()
        until = time.monotonic() + seconds
        for place, process in self.places.items():
            try:
                code = process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise AssertionError(f"worker {place} did not end within {seconds} s; {self.log.read_text()[-2000:]}") from None
            assert code == 0, f"worker {place} ended with {code}: {self.errors.read_text()[-3000:]}"
        self.places.clear()

    def close(self) -> None:
        """End what is left."""
        for process in self.places.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(self._file)

    def verdict(self) -> Verdict:
        """The judge's."""
        return judge(self.log)

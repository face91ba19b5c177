"""A goal in a process of its own: started, ended, and how it went.

Laws: the process imports the code as it stands now, as one from cron does; what it did is believed from the paper that it wrote, and
an end without one is an unfolding without a result; it ends with the agent. What it prints goes to a file of the goal.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..._model import exit_codes
from ..._model.values import NamedTuple

GRACE = 10.0  # seconds between SIGTERM and SIGKILL of a goal that is to end
LATER = 30.0  # seconds until a goal is unfolded anew when something that it needs did not answer
BROKEN = 60.0  # the same when the code cannot be imported
KEPT = 7 * 86_400.0  # seconds for which what a goal printed is kept
MOST_SAID = 4_000  # characters of a reason
COMMAND = ("-m", "levada.cli.unfold")


class Outcome(NamedTuple):
    """How an unfolding ended, as the server is told."""

    state: str  # done, failed, parked, again; later: again, and it is not the goal's fault
    reason: str
    missing: tuple[str, ...] = ()
    missing_more: int = 0
    pause: float = 0.0
    counts: Mapping[str, int] = {}


class Unfolding:
    """One goal's process. folder: for what it prints and for its paper."""

    def __init__(self, goal: str, order: Mapping[str, Any], folder: str) -> None:
        self.goal = goal
        self.name = f"{order['family']}({', '.join(f'{name}={text}' for name, text in order['params'].items())})"
        os.makedirs(folder, 0o700, exist_ok=True)
        self._paper = os.path.join(folder, f"{goal}.json")
        self.log = os.path.join(folder, f"{goal}.log")
        self._kill_at = 0.0
        with suppress(FileNotFoundError):
            os.unlink(self._paper)
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *COMMAND], stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "LEVADA_GOAL": goal},
            )  # fmt: skip
        given = self.process.stdin
        if given is not None:
            with suppress(BrokenPipeError):
                given.write(json.dumps({**order, "paper": self._paper, "parent": os.getpid()}).encode())
                given.close()

    def end(self) -> None:
        """Ask it to end; later, make it."""
        if self.process.poll() is None and not self._kill_at:
            self._kill_at = time.monotonic() + GRACE
            with suppress(ProcessLookupError):
                self.process.terminate()

    def look(self) -> Outcome | None:
        """How it ended; None while it goes on."""
        code = self.process.poll()
        if code is None:
            if self._kill_at and time.monotonic() > self._kill_at:
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            return None
        return self._outcome(code)

    def _outcome(self, code: int) -> Outcome:
        try:
            with open(self._paper, "rb") as file:
                paper: dict[str, Any] = json.loads(file.read())
            os.unlink(self._paper)
        except (OSError, ValueError):
            how = f"signal {_signal_name(-code)}" if code < 0 else f"exit code {code}"
            return Outcome("again", f"its process ended by {how} without a result; {self._last_line()}"[:MOST_SAID], pause=1.0)
        return outcome_of(paper)

    def _last_line(self) -> str:
        with suppress(OSError):
            with open(self.log, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 2_000))
                lines = file.read().decode("utf-8", "replace").strip().splitlines()
            if lines:
                return f"it said: {lines[-1]}"
        return f"it said nothing (see {self.log})"


def outcome_of(paper: Mapping[str, Any]) -> Outcome:
    """What a process wrote, as an outcome."""
    code, reason = int(paper["exit"]), str(paper.get("reason", ""))[:MOST_SAID]
    counts = {str(name): int(count) for name, count in paper.get("counts", {}).items()}
    if paper.get("broken"):
        return Outcome("later", reason, pause=BROKEN)
    if code == exit_codes.OK:
        return Outcome("done", reason, counts=counts)
    if code == exit_codes.WAITING:
        return Outcome("parked", reason, tuple(paper.get("missing", ())), int(paper.get("missing_more", 0)), counts=counts)
    if code in (exit_codes.UNAVAILABLE, exit_codes.BUSY):
        return Outcome("again", reason, pause=LATER, counts=counts)
    if code in (exit_codes.INTERRUPTED, exit_codes.TERMINATED):
        return Outcome("again", reason or "it was stopped", pause=1.0, counts=counts)
    return Outcome("failed", reason, counts=counts)


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return str(number)


def sweep(folder: str, running: Sequence[str]) -> None:
    """Remove what goals of long ago printed."""
    with suppress(OSError):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            with suppress(OSError):
                if name.partition(".")[0] not in running and time.time() - os.stat(path).st_mtime > KEPT:
                    os.unlink(path)

"""Real workers, ``levada run --scheduler``, as processes that are stopped, woken and killed with all that came of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.faults.command import Command, soon

from .judge import Verdict, judge, lines_of
from .lean import boottime
from .node import ROOT


class Field:
    """A folder in which real workers work, with the log that their tasks write to."""

    def __init__(self, folder: Path, addresses: str, token: str, *, seconds: float = 0.1) -> None:
        self.folder = folder
        self.log, self.out = folder / "work.log", folder / "out"
        self.log.touch()
        self.out.mkdir(exist_ok=True)
        self.addresses, self.token, self.seconds = addresses, token, seconds
        self._runs = 0

    def note(self, event: str, *more: Any) -> None:
        """A line of the supervisor's."""
        with open(self.log, "a") as log:
            log.write(json.dumps([round(boottime(), 6), os.getpid(), event, *more]) + "\n")

    def run(self, *arguments: str, wrap: tuple[str, ...] = (), **environ: str) -> Run:
        """``levada run --scheduler ... ARGUMENTS``."""
        self._runs += 1
        return Run(self, self.folder / f"run-{self._runs}.err", arguments, wrap, environ)

    def events(self, *wanted: str) -> list[list[Any]]:
        """Lines of these events."""
        return [line for line in lines_of(self.log) if line[2] in wanted]

    def verdict(self) -> Verdict:
        """The judge's, and whether each output was made by the commit that the log tells of, whole."""
        found = judge(self.log, frozen=True)
        for _, _, _, name, epoch, number in self.events("commit"):
            lines = (self.out / name).read_text().splitlines()
            if lines[-1] != f"{epoch}.{number}":
                found.broken.append(f"{name}: committed under {epoch}.{number}, and made by {lines[-1]}")
        return found

    def leftovers(self) -> list[str]:
        """Temporaries."""
        return sorted(path.name for path in self.folder.rglob(".*.part"))


class Run(Command):
    """One worker and everything that came of it: children, keeper, reaper."""

    def __init__(self, field: Field, errors: Path, arguments: tuple[str, ...], wrap: tuple[str, ...], environ: dict[str, str]) -> None:
        super().__init__(field.folder)
        self.state = field.folder / "state-of-workers"
        self.field, self.errors = field, errors
        environment = self.environ | {
            "LEVADA_STATE": str(self.state), "LEVADA_TOKEN": field.token, "CHAOS_LOG": str(field.log), "CHAOS_SECONDS": str(field.seconds),
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests' / 'chaos'}", **environ,
        }  # fmt: skip
        with open(errors, "wb") as file:
            self.process = subprocess.Popen(
                [*wrap, sys.executable, "-m", "levada", "run", "--scheduler", field.addresses, *arguments],
                cwd=field.folder, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip

    @property
    def said(self) -> str:
        """All that it printed."""
        return self.errors.read_text(errors="replace")

    def began(self, seconds: float = 30.0) -> bool:
        """Wait until one of its tasks has begun, or it ends."""

        def has_begun() -> bool:
            pids = set(self.alive())
            return self.process.poll() is not None or any(line[1] in pids for line in self.field.events("begin"))

        return soon(has_begun, seconds, 0.02) and self.process.poll() is None

    def stop(self) -> list[int]:
        """SIGSTOP to all of it, as if its machine had been suspended; the processes."""
        pids = self.alive()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        for pid in pids:
            self.field.note("stopped", pid)
        return pids

    def wake(self, pids: list[int]) -> None:
        """SIGCONT."""
        for pid in pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def kill(self) -> None:
        """SIGKILL to the worker alone: its children and its keeper must end by themselves."""
        pids = self.alive()
        self.process.kill()
        self.process.wait()
        assert soon(lambda: not self.alive(), 5.0, 0.02), f"still alive: {self.alive()}"
        for pid in pids:
            self.field.note("killed", pid)

    def ended(self, seconds: float = 60.0) -> int:
        """Its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"a worker did not end within {seconds} s:\n{self.said[-3000:]}") from None

    def close(self) -> None:
        """End whatever is left."""
        for pid in self.alive():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """AssertionError with what was waited for."""
    assert soon(condition, seconds, 0.02), f"within {seconds} s: {what}"


def until(moment: float) -> None:
    """Sleep until then; monotonic clock."""
    time.sleep(max(0.0, moment - time.monotonic()))

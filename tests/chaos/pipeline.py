"""Tasks that write the judge's log themselves: who began, ended and committed what under which fence.

Not imported by the tests: real workers do, with CHAOS_LOG and CHAOS_SECONDS in their environment.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import Any

import levada as lv

SECONDS = float(os.environ.get("CHAOS_SECONDS", "0.1"))
_file = os.open(os.environ["CHAOS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_link = os.link


def note(event: str, *more: Any) -> None:
    """A line of the log."""
    line = json.dumps([round(time.clock_gettime(time.CLOCK_BOOTTIME), 6), os.getpid(), event, *more]) + "\n"
    os.write(_file, line.encode())


def link(source: str, target: str, **options: Any) -> None:
    """``os.link``, the step that commits, with a line before and after."""
    found = re.search(r"\.(\d+)\.(\d+)(~\d+)?\.part$", source)
    if found is None:
        return _link(source, target, **options)
    fence = (int(found[1]), int(found[2]))
    name = os.path.basename(target)
    try:
        _link(source, target, **options)
    except FileExistsError:
        note("there", name, *fence)
        raise
    note("commit", name, *fence)
    if os.environ.get("CHAOS_DIE") == name:
        os.kill(os.getpid(), signal.SIGKILL)
    return None


os.link = link


class Piece(lv.Task):
    """Works for a while, with its output open; then the output names the fence that made it."""

    number: int
    retry = lv.Retry(attempts=30, first=0.05, longest=0.5)

    def output(self) -> Any:
        return lv.LocalTarget(f"out/piece-{self.number}")

    def run(self) -> None:
        fence = self.fence
        assert fence is not None
        name = f"piece-{self.number}"
        note("begin", name, *fence)
        how = "broken off"
        try:
            with self.output().open("w") as out:
                for step in range(10):
                    time.sleep(SECONDS / 10)
                    note("step", name, *fence)
                    out.write(f"step {step}\n")
                out.write(f"{fence[0]}.{fence[1]}\n")
            how = "done"
        finally:
            note("end", name, *fence, how)


class Sum(lv.Task):
    """Stands on eight pieces."""

    number: int
    retry = lv.Retry(attempts=30, first=0.05, longest=0.5)

    def requires(self) -> Any:
        return [Piece(number=8 * self.number + each) for each in range(8)]

    def output(self) -> Any:
        return lv.LocalTarget(f"out/sum-{self.number}")

    def run(self) -> None:
        fence = self.fence
        assert fence is not None
        note("begin", f"sum-{self.number}", *fence)
        how = "broken off"
        try:
            with self.output().open("w") as out:
                out.write("".join(each.read_text().splitlines()[-1] + "\n" for each in self.input()))
                out.write(f"{fence[0]}.{fence[1]}\n")
            how = "done"
        finally:
            note("end", f"sum-{self.number}", *fence, how)


class Nap(lv.Task):
    """Finds out while it runs that it needs a piece."""

    number: int
    retry = lv.Retry(attempts=30, first=0.05, longest=0.5)

    def output(self) -> Any:
        return lv.LocalTarget(f"out/nap-{self.number}")

    def run(self) -> Any:
        fence = self.fence
        assert fence is not None
        yield Piece(number=self.number)
        with self.output().open("w") as out:
            out.write(f"{fence[0]}.{fence[1]}\n")


class Drop(lv.ExternalTask):
    """Comes from outside."""

    number: int

    def output(self) -> Any:
        return lv.LocalTarget(f"drop-{self.number}")


class Import(lv.Task):
    """Stands on what comes from outside, and on a piece."""

    number: int

    def requires(self) -> Any:
        return [Drop(number=self.number), Piece(number=self.number)]

    def output(self) -> Any:
        return lv.LocalTarget(f"out/import-{self.number}")

    def run(self) -> None:
        fence = self.fence
        assert fence is not None
        self.output().write_text(f"{fence[0]}.{fence[1]}\n")


class All(lv.WrapperTask):
    """So many sums from a first one on."""

    count: int
    first: int = 0

    def requires(self) -> Any:
        return [Sum(number=self.first + number) for number in range(self.count)]

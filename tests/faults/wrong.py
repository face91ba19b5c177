"""Tasks with one fault each, beside healthy ones: what goes wrong must stay with what depends on it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Any, NoReturn

import levada as lv
from levada.errors import TargetUnreachable


class Healthy(lv.Task):
    """Has nothing to do with the faults."""

    n: int = 0
    retry = lv.Retry(attempts=1)

    def output(self) -> Any:
        return lv.LocalTarget(f"healthy-{self.n}.txt")

    def run(self) -> None:
        self.output().write_text(f"healthy {self.n}\n")


class Wrong(lv.Task):
    """Base of the faults; not to be run itself."""

    retry = lv.Retry(attempts=1, first=0.001, longest=0.002)

    def requires(self) -> Any:
        return []

    def output(self) -> Any:
        return lv.LocalTarget(f"wrong-{self.family}.txt")

    def begin(self) -> Any:
        """A writer that half of the output went through already."""
        out = self.output().open("w")
        out.write("half of it")
        out.flush()
        return out


class Report(lv.Task):
    """Needs the fault, and cannot be made."""

    fault: str

    def requires(self) -> Any:
        return globals()[self.fault]()

    def output(self) -> Any:
        return lv.LocalTarget("report.txt")

    def run(self) -> None:
        self.output().write_text("report")


class All(lv.WrapperTask):
    """The fault, what depends on it, and the healthy rest."""

    fault: str

    def requires(self) -> Any:
        return [Report(fault=self.fault), *(Healthy(n=n) for n in range(5))]


# -- faults of the plan --------------------------------------------------------------------------


class GivesText(Wrong):
    def requires(self) -> Any:
        return ["no task", Healthy()]


class GivesAClass(Wrong):
    def requires(self) -> Any:
        return Healthy


class CannotSay(Wrong):
    def requires(self) -> Any:
        raise LookupError("no such catalogue")


class Unprintable(Exception):
    """Cannot be pickled, printed, or asked for its text; and needs two arguments to be made."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first, second)
        self.lock = threading.Lock()

    def __str__(self) -> NoReturn:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __reduce__(self) -> NoReturn:
        raise TypeError("no pickle")


class CannotSayOddly(Wrong):
    def requires(self) -> Any:
        raise Unprintable(1, 2)


class CannotTell(Wrong):
    def complete(self) -> bool:
        raise LookupError("no such table")


class Away:
    """A target in a store that does not answer."""

    def exists(self) -> bool:
        raise TargetUnreachable(self, OSError(113, "No route to host"))

    def __repr__(self) -> str:
        return "Away(db.example)"


class OnAStoreThatIsAway(Wrong):
    def output(self) -> Any:
        return Away()


class Circle(Wrong):
    n: int = 0

    def requires(self) -> Any:
        return Circle(n=(self.n + 1) % 3)

    def output(self) -> Any:
        return lv.LocalTarget(f"circle-{self.n}.txt")


class SameAsHealthy(Wrong):
    def output(self) -> Any:
        return lv.LocalTarget("healthy-3.txt")


# -- faults of run() -----------------------------------------------------------------------------


class UnderAFile(Wrong):
    def requires(self) -> Any:
        return Healthy(n=3)

    def output(self) -> Any:
        return lv.LocalTarget("healthy-3.txt/deeper/out.txt")

    def run(self) -> None:
        self.output().write_text("x")


class OverAFolder(Wrong):
    def complete(self) -> bool:
        return False

    def output(self) -> Any:
        os.makedirs("folder/inside", exist_ok=True)
        return lv.LocalTarget("folder", mode="replace")

    def run(self) -> None:
        self.output().write_text("x")


class OnAReadOnlyDisk(Wrong):
    def output(self) -> Any:
        return lv.LocalTarget("disk/out.txt")

    def run(self) -> None:
        self.output().write_text("x")


class FillsTheDisk(Wrong):
    def output(self) -> Any:
        return lv.LocalTarget("disk/out.txt")

    def run(self) -> None:
        with self.output().open("w") as out:
            for _ in range(200):
                out.write("x" * 1000)


class OverTheLimit(Wrong):
    def run(self) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        try:
            with self.output().open("w") as out:
                for _ in range(200):
                    out.write("x" * 1000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class DoesNothing(Wrong):
    def run(self) -> None:
        pass


class FailsHalfway(Wrong):
    def run(self) -> None:
        with self.output().open("w") as out:
            out.write("half of it")
            out.flush()
            raise ValueError("no flights today")


class FailsTogether(Wrong):
    async def run(self) -> None:
        import asyncio

        async def fail() -> None:
            raise ValueError("one of several")

        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(fail())


class FailsOddly(Wrong):
    def run(self) -> None:
        with self.output().open("w") as out:
            out.write("half of it")
            raise Unprintable(1, 2)


class FailsWithoutEnd(Wrong):
    def run(self) -> None:
        self.run()


class EndsTheProgram(Wrong):
    def run(self) -> None:
        self.begin()
        sys.exit(0)


class YieldsNonsense(Wrong):
    def run(self) -> Any:
        yield "no task"


# -- faults that cost the process ----------------------------------------------------------------


class IsKilled(Wrong):
    def run(self) -> None:
        self.out = self.begin()
        os.kill(os.getpid(), signal.SIGKILL)


class Crashes(Wrong):
    def run(self) -> None:
        self.out = self.begin()
        ctypes.string_at(0)


class LeavesAtOnce(Wrong):
    def run(self) -> None:
        self.out = self.begin()
        os._exit(0)


class EndsItsGroup(Wrong):
    def run(self) -> None:
        self.out = self.begin()
        os.killpg(os.getpgrp(), signal.SIGTERM)
        time.sleep(5)


class ClosesEverything(Wrong):
    def run(self) -> None:
        self.out = self.begin()
        os.closerange(3, 1 << 14)
        os.closerange(3, 1 << 14)


class EatsMemory(Wrong):
    def run(self) -> None:
        self.out = self.begin()
        held = []
        while True:
            held.append(bytearray(1 << 20))


# -- to be interrupted ---------------------------------------------------------------------------


class Slow(Wrong):
    """Says when it has begun to write, and ends after ``seconds``."""

    n: int
    seconds: float

    def output(self) -> Any:
        return lv.LocalTarget(f"slow-{self.n}.txt")

    def run(self) -> None:
        with self.output().open("w") as out:
            out.write("the first half\n")
            out.flush()
            with open(f"begun-{self.n}", "w"):
                pass
            until = time.monotonic() + self.seconds
            while time.monotonic() < until:
                time.sleep(0.01)
            out.write("the second half\n")


class Many(lv.WrapperTask):
    seconds: float
    first: float = 0.0

    def requires(self) -> Any:
        return [Slow(n=0, seconds=self.first), *(Slow(n=n, seconds=self.seconds) for n in range(1, 6))]

"""A worker process for the tests of the keeper: the real runner and executors under short leases.

    FOLDER_OF_TEST=FOLDER python served.py URL '{"tasks": [["Steps", 1]], "executor": "inline", ...}'

Tasks write a line to FOLDER/log when they begin, at each step and when they end: the judge of who worked when.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import sys
import time

import levada
from levada._client.address import parse_addresses
from levada._client.scheduler import Served
from levada._client.session import Link
from levada._client.translate import Described
from levada._model.messages import SessionId
from levada._plan.walk import Discovery
from levada._worker.guard import Guard
from levada._worker.inline import Inline
from levada._worker.keeper import Keeper, Keeping
from levada._worker.leases import Leases
from levada._worker.pool import Processes
from levada._worker.process import Spawning
from levada._worker.runner import Runner
from levada._worker.threads import Threads
from levada.targets.atomic import set_trail
from levada.task import canonical_of, key_of

FOLDER = os.environ.get("FOLDER_OF_TEST", "")


def note(word: str, task: object) -> None:
    with open(os.path.join(FOLDER, "log"), "a") as log:
        log.write(json.dumps([time.monotonic(), word, repr(task), os.getpid()]) + "\n")


class Base(levada.Task):
    n: int
    retry = levada.Retry(attempts=3, first=0.05)

    def output(self) -> levada.LocalTarget:
        return levada.LocalTarget(os.path.join(FOLDER, f"{type(self).__name__}-{self.n}"))


class Steps(Base):
    """Works for n tenths of a second, a step each 20 ms, with its output open all the time."""

    def run(self) -> None:
        note("begin", self)
        until = time.monotonic() + self.n / 10
        with self.output().open("w") as out:
            steps = 0
            while time.monotonic() < until or steps < self.n * 4:
                time.sleep(0.02)
                steps += 1
                note("step", self)
                out.write("step\n")
        note("end", self)


class Holder(Base):
    """Holds the interpreter for n tenths of a second in a call into C."""

    def run(self) -> None:
        note("begin", self)
        ctypes.PyDLL(None).usleep(self.n * 100_000)
        with self.output().open("w") as out:
            out.write("held\n")
        note("end", self)


class Sum(Base):
    """Computes in C, which no signal interrupts, for half a minute or so."""

    def run(self) -> None:
        note("begin", self)
        sum(range(self.n * 10**9))
        note("end", self)


class Quick(Base):
    def run(self) -> None:
        self.output().write_text("quick")


class Timed(Steps):
    timeout = 2.0


class Nap(Base):
    """Yields a task that takes a while."""

    def run(self):
        note("begin", self)
        yield Steps(n=self.n)
        self.output().write_text("napped")
        note("end", self)


class Overlong(Base):
    """Beyond its timeout, with a child that nothing stops."""

    timeout = 0.3

    def run(self) -> None:
        note("begin", self)
        ctypes.PyDLL(None).usleep(self.n * 100_000)


def main() -> int:
    url, options = sys.argv[1], json.loads(sys.argv[2])
    set_trail(os.path.join(FOLDER, "trail"))
    link = Link(parse_addresses(url), lambda: "lvd_test", connect_timeout=0.5, answer_timeout=options.get("answer_timeout", 1.0))
    session = SessionId(options.get("session") or secrets.token_hex(16))
    discovery = Discovery([globals()[family](n=n) for family, n in options["tasks"]])

    def describe(index: int) -> Described:
        text = canonical_of(discovery.tasks[index])
        return Described(key_of(discovery.tasks[index], text), text, "served")

    leases = Leases()
    margin = options.get("margin", 0.2)
    served = Served(link, session, describe, holder=leases, margin=margin, patience=options.get("patience", 600), dice=float)
    more = {name: options[name] for name in ("cut_off", "kill_after", "overtime", "last_breath") if name in options}
    keeper = Keeper(leases, Keeping(link, session, served.lease, margin, **more))
    note(f"keeper {keeper.pid}", "")
    guard = Guard(leases)
    executor = _executor(options, guard, discovery, leases)
    guard.listen(executor)
    runner = Runner(served, session, discovery, executor, remember=served.remember, name=f"pid {os.getpid()}")
    try:
        runner.go()
        served.settle(10)
        counts = served.progress().counts
        print(json.dumps({"counts": counts, "failures": [[f.task, str(f.exit), f.error] for f in runner.failures.values()]}))
    finally:
        served.close()
        keeper.close()
    return 0


def _executor(options, guard, discovery, leases):
    kind = options.get("executor", "inline")
    if kind == "inline":
        return Inline(guard.hooks())
    if kind == "threads":
        return Threads(2, guard.hooks())
    return Processes(
        options.get("slots", 1), guard.hooks(), lambda index: discovery.tasks[index], lambda: len(discovery.tasks),
        spawning=Spawning(guard.spawning()), spawn=kind == "spawned", frozen=leases.frozen_seconds,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

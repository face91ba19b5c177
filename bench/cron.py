"""What a cron line costs when there is nothing to do: from the start of the process to its exit, thirty aggregations looked at."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from . import measure

TIMES = {"quick": 5, "normal": 20, "long": 40}

PROJECT = """
import datetime

import {engine} as engine


class DataDump(engine.ExternalTask):
    date = engine.DateParameter()

    def output(self):
        return engine.LocalTarget(self.date.strftime("{folder}/dump/%Y-%m-%d.txt"))


class AggregationTask(engine.Task):
    date = engine.DateParameter()
    window = engine.IntParameter()

    def requires(self):
        return [DataDump(self.date - datetime.timedelta(i)) for i in range(self.window)]

    def run(self):
        raise RuntimeError("it was complete")

    def output(self):
        return engine.LocalTarget("{folder}/aggregated/%s-%d" % (self.date, self.window))


class RunAll(engine.WrapperTask):
    def requires(self):
        for window in [3, 7, 14]:
            for d in range(10):
                yield AggregationTask(datetime.date(2024, 2, 29) - datetime.timedelta(d), window)
"""


class Start(NamedTuple):
    """One kind of process: seconds of CPU (the least of many), wall seconds of the same, instructions (None: not counted)."""

    cpu: float
    wall: float
    instructions: int | None


def project(engine: str, folder: str) -> str:
    """A folder with the pipeline as a module, all of its outputs there."""
    home = Path(folder) / engine
    (home / "aggregated").mkdir(parents=True)
    (home / "cron_pipeline.py").write_text(PROJECT.format(engine=engine, folder=home), encoding="utf-8")
    from datetime import date, timedelta

    for window in (3, 7, 14):
        for back in range(10):
            (home / "aggregated" / f"{date(2024, 2, 29) - timedelta(back)}-{window}").write_text("", encoding="utf-8")
    return str(home)


def levada_command(python: str) -> list[str]:
    return [str(Path(python).parent / "levada"), "run", "--module", "cron_pipeline", "RunAll"]


def luigi_command(python: str) -> list[str]:
    return [str(Path(python).parent / "luigi"), "--module", "cron_pipeline", "RunAll", "--local-scheduler", "--no-lock"]


def start(command: Sequence[str], folder: str, times: int, *, count: bool) -> Start:
    """What a command costs, run in a folder. Raises Broken when it ends badly."""
    env = measure.clean_environment(folder) | {"PYTHONPATH": folder}
    log = Path(folder) / "said"
    took = []
    for _ in range(times + 1):  # the first one compiles the pipeline
        with log.open("w") as said:
            cpu, wall, _, status = measure.spawn(command, env=env, cwd=folder, said=said)
        if status:
            raise measure.Broken(f"{Path(command[0]).name} {' '.join(command[1:3])} ended with {status}: {log.read_text()[-300:].strip()}")
        took.append((cpu, wall))
    cpu, wall = min(took[1:])
    return Start(cpu, wall, _instructions(command, folder, env) if count else None)


def _instructions(command: Sequence[str], folder: str, env: dict[str, str]) -> int | None:
    """Instructions of one run, by callgrind; None where it is not installed."""
    if shutil.which("valgrind") is None:
        return None
    # A console script is a text: valgrind must see the interpreter, not its first line.
    shown = [str(Path(command[0]).parent / "python"), *command] if Path(command[0]).name in ("levada", "luigi") else list(command)
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *shown]
    env = env | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(callgrind, cwd=folder, env=env, capture_output=True, text=True, errors="replace")
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    return int(found[1]) if found and not done.returncode else None

"""Runs one workload in a process of its own and reads from outside what it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ENGINES = Path(__file__).parent / "engines"
SOURCE = Path(__file__).parent.parent / "src"


class Took(NamedTuple):
    """Figures of one process.

    cpu, wall: seconds of the measured section, children included. rss: peak of the whole process in bytes, not of its
    children. process_cpu: seconds of all of it, start of the interpreter included. more: what the workload counted.
    """

    cpu: float
    wall: float
    rss: int
    process_cpu: float
    more: dict[str, float]


class Broken(Exception):
    """A measurement could not be made; the text says why in a line."""


def spawn(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | None = None, said: object = None
) -> tuple[float, float, int, int]:
    """(CPU seconds, wall seconds, peak bytes, exit status) of a command, as ``wait4`` tells them."""
    from time import perf_counter

    start = perf_counter()
    process = subprocess.Popen(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=said or subprocess.DEVNULL, stderr=said or subprocess.DEVNULL
    )  # type: ignore[call-overload]  # a file or a constant
    try:
        _, status, use = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return use.ru_utime + use.ru_stime, perf_counter() - start, use.ru_maxrss * unit, process.returncode


def measure(engine: str, workload: str, size: int, folder: str, *, python: str = sys.executable, profile: str | None = None) -> Took:
    """One run of a workload. folder: where its files are; its state folder is made there, new. Raises Broken."""
    scratch = tempfile.mkdtemp(prefix="run-", dir=folder)
    env = clean_environment(scratch) | {"BENCH_FOLDER": folder, "BENCH_ANSWER": f"{scratch}/answer.json"}
    if profile:
        env["BENCH_PROFILE"] = profile
    if python == sys.executable:
        env["PYTHONPATH"] = str(SOURCE)
    with open(f"{scratch}/said", "w+", encoding="utf-8", errors="replace") as said:
        cpu, _, rss, status = spawn([python, str(ENGINES / "child.py"), engine, workload, str(size)], env=env, cwd=scratch, said=said)
        if status:
            said.seek(0)
            lines = [line for line in said.read().splitlines() if line.strip()]
            raise Broken(f"{engine} {workload} {size:,} ended with {status}: {lines[-1] if lines else 'it said nothing'}"[:300])
    with open(f"{scratch}/answer.json", encoding="utf-8") as file:
        answer: dict[str, float] = json.load(file)
    return Took(answer.pop("cpu"), answer.pop("wall"), rss, cpu, answer)


def clean_environment(scratch: str) -> dict[str, str]:
    """The environment without settings of Levada, Luigi or Python, and a state folder of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEVADA", "LUIGI", "PYTHON", "BENCH"))}
    return kept | {"LEVADA_STATE": f"{scratch}/state", "TMPDIR": scratch, "HOME": scratch}

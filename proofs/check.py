"""Check the model of the lease protocol: sound configurations hold, planted faults are found.

    python proofs/check.py [--quick] [--only NAME ...] [--trace FAULT]

Exit status: 0 all as it should be; 1 a configuration has an error, or a fault was not found; 77 skipped,
since spin or a C compiler is not there. Every search is exhaustive; one that was cut short counts as an error.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

MODEL = Path(__file__).with_name("lease.pml")
SKIPPED = 77
_DEPTH = 100_000  # steps; the longest way seen has 1,400
_MEMORY = 3_000  # MiB that a search may take
_PATIENCE = 900  # seconds that a search may take

ALONE = ("SERVER_CRASHES=0", "WORKER_CRASHES=0")  # pauses, losses and lapses remain
LOYAL = ("WORKER_CRASHES=0",)
TWO = ("GRANTS=2",)


class Case(NamedTuple):
    """A model to be searched. ``fault``: what is planted, None for a sound one; ``quick``: its smaller switches, None: left out."""

    name: str
    switches: tuple[str, ...]
    quick: tuple[str, ...] | None
    fault: str | None = None


class Outcome(NamedTuple):
    """What a search said. ``broken``: the promise that does not hold, or why the search is not whole; None: all hold."""

    states: int
    seconds: float
    broken: str | None
    steps: int  # of the longest way, or of the way to the error


def _sound(name: str, *switches: str, quick: Sequence[str] | None = None) -> Case:
    return Case(name, switches, None if quick is None else tuple(quick))


def _fault(name: str, *switches: str, quick: bool = False) -> Case:
    with_fault = (f"F_{name.upper().replace('-', '_')}", *switches)
    return Case(name, with_fault, with_fault if quick else None, fault=name)


SOUND = (
    _sound("freeze", "CALMS", quick=("CALMS", *TWO, *LOYAL)),
    _sound("freeze, two server crashes", *TWO, *LOYAL, "SERVER_CRASHES=2"),
    _sound("freeze, three workers", "W=3", *TWO, *LOYAL),
    _sound("freeze, clocks drift", "DRIFT", "L=3", "MARGIN=1", *TWO, quick=("DRIFT", "L=3", "MARGIN=1", *TWO, *ALONE)),
    _sound("repeated messages", "REPEATS", *TWO, quick=("REPEATS", *TWO, *ALONE)),
    _sound("continue", "CONTINUE", *TWO, quick=("CONTINUE", *TWO, *ALONE)),
    _sound("stop", "STOP", *TWO, quick=("STOP", *TWO, *LOYAL)),
    _sound("replace, continue", "REPLACE", "CONTINUE", *TWO, quick=("REPLACE", "CONTINUE", *TWO, *ALONE)),
    _sound("replace, continue, three grants", "REPLACE", "CONTINUE", *ALONE),
    _sound("generations, freeze", "GENERATIONS", "CALMS", *TWO, *ALONE, quick=("GENERATIONS", *TWO, *ALONE)),
    _sound("generations, three grants", "GENERATIONS", *ALONE),
    _sound("generations, continue", "GENERATIONS", "CONTINUE", *TWO, *ALONE),
    _sound("power loss, NORMAL", "NORMAL", *TWO, *LOYAL, quick=("NORMAL", *TWO, *ALONE)),
    _sound("power loss, NORMAL, three grants", "NORMAL", *ALONE),
    _sound("takeover", "TAKEOVER", "CALMS", *TWO, *ALONE, quick=("TAKEOVER", *TWO, *ALONE)),
    _sound("takeover, three grants", "TAKEOVER", *ALONE),
)

FAULTS = (
    # grants, reports, answers
    _fault("no-fence-check", *TWO, quick=True),
    _fault("late-over-newer", *TWO, quick=True),
    _fault("renewed-by-key", *TWO, quick=True),
    _fault("stale-confirm", "CONTINUE", *TWO),
    _fault("handled-twice", *TWO, quick=True),
    _fault("answer-first", *TWO, quick=True),
    _fault("answers-in-memory", *TWO),
    # leases and clocks
    _fault("leases-dropped", *TWO, quick=True),
    _fault("lease-without-timer", "CALMS", *TWO, quick=True),
    _fault("no-freeze", *TWO),
    _fault("grace-after-valid", "STOP", *TWO),
    _fault("no-margin", "DRIFT", "L=3", "MARGIN=1", *TWO, quick=True),
    _fault("from-answer", *TWO),
    _fault("from-resending", *TWO, quick=True),
    # targets
    _fault("overwrite", "CONTINUE", *TWO, quick=True),
    _fault("no-confirm", "GENERATIONS", "CONTINUE", *TWO, *ALONE, quick=True),
    _fault("replace-without-compare", "REPLACE", "CONTINUE", *TWO, quick=True),
    _fault("claim-reads-only", "REPLACE", "CONTINUE", *TWO),
    _fault("claim-without-compare", "REPLACE", "CONTINUE", *TWO),
    # generations
    _fault("no-sweep", "GENERATIONS", "CONTINUE", *TWO, *ALONE, quick=True),
    _fault("invalidated-first", "GENERATIONS", *TWO, *ALONE, quick=True),
    _fault("found-without-generation", "GENERATIONS", *TWO, *ALONE, quick=True),
    _fault("report-without-generation", "GENERATIONS", *TWO, *ALONE),
    _fault("exit-unseen", "GENERATIONS", *TWO, *ALONE),
    # power loss with NORMAL
    _fault("same-epoch", "NORMAL", *TWO, *ALONE, quick=True),
    _fault("epoch-unflushed", "NORMAL", *TWO, *LOYAL),
    _fault("no-hold", "NORMAL", *TWO, *ALONE, quick=True),
    _fault("boot-id-at-once", "NORMAL", *TWO, *LOYAL),
    _fault("regrant-unflushed", "NORMAL", *TWO, *ALONE, quick=True),
    # takeover
    _fault("no-epoch-check", "TAKEOVER", *TWO, *ALONE, quick=True),
    _fault("deposed-renews", "TAKEOVER", *TWO, *ALONE, quick=True),
    _fault("deposed-out-of-step", "TAKEOVER", *TWO, *ALONE),
)

# What an assertion of the model is about, by what stands in it. The first that fits.
_PROMISES = (
    ("invalid end state", "no deadlock"),
    ("acked", "P2 acknowledged, lost"),
    ("finished", "P4 done once"),
    ("moved", "P4 made again"),
    ("lastout", "P4 replaced"),
    ("outgen", "law 3 done, not there"),
    ("out!=0", "law 3 done, not there"),
    ("claimed", "P5 newer one works"),
    ("phase", "P6 two work"),
    ("gseq", "P3 second effect"),
    ("gans", "P3 other answer"),
    ("an[w]", "P3 other answer"),
    ("violated 0", "P3 other answer"),
    ("newest", "P1 one newest"),
)


class Tools(NamedTuple):
    """Paths of what is needed."""

    spin: str
    compiler: str


def tools() -> Tools | None:
    """spin and a C compiler; None where one of them is not there."""
    spin, compiler = shutil.which("spin"), shutil.which("gcc") or shutil.which("cc")
    return Tools(spin, compiler) if spin and compiler else None


def search(case: Case, switches: Iterable[str], found: Tools, folder: Path, optimize: str = "-O2") -> Outcome:
    """Compile the model and look at all its states; faults breadth first, so that the way to them is short.

    Raises CalledProcessError when spin or the compiler refuses, TimeoutExpired past the patience.
    """
    began = time.monotonic()
    _call([found.spin, "-a", *(f"-D{switch}" for switch in switches), str(MODEL)], folder)
    order = "-DCOLLAPSE" if case.fault is None else "-DBFS"
    options = ("-DSAFETY", order, f"-DMEMLIM={_MEMORY}", "-DVECTORSZ=2048", "-w")
    _call([found.compiler, optimize, *options, "-o", "pan", "pan.c"], folder)
    said = _call(["nice", "-n", "10", "./pan", f"-m{_DEPTH}", "-w24"], folder, checked=False)
    return _read(said, time.monotonic() - began)


def _call(command: Sequence[str], folder: Path, *, checked: bool = True) -> str:
    done = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_PATIENCE, check=False)
    if checked and (done.returncode or "Error:" in done.stdout):
        raise subprocess.CalledProcessError(done.returncode or 1, command, done.stdout)
    return done.stdout


def _read(said: str, seconds: float) -> Outcome:
    states, steps = re.search(r"(\d+) states, stored", said), re.search(r"depth reached (\d+)", said)
    errors = re.search(r"errors: (\d+)", said)
    broken: str | None = None
    if wrong := re.search(r"^pan:1: (.*?)(?: \(at depth \d+\))?$", said, re.MULTILINE):
        broken = _promise(wrong[1])
    elif errors is None or states is None:
        broken = "the search did not end: " + (said.strip().splitlines() or ["it said nothing"])[-1]
    elif int(errors[1]):
        broken = "an error that was not understood"
    elif "not completed" in said or "depth too small" in said:
        broken = "the search is not whole"
    return Outcome(int(states[1]) if states else 0, seconds, broken, int(steps[1]) if steps else 0)


def _promise(text: str) -> str:
    return next((promise for mark, promise in _PROMISES if mark in text), text)


def is_as_it_should_be(case: Case, outcome: Outcome) -> bool:
    """A sound case has no error; of a planted fault a promise is broken, not the search."""
    if case.fault is None:
        return outcome.broken is None
    return outcome.broken in {promise for _, promise in _PROMISES}


def _row(case: Case, outcome: Outcome) -> str:
    if case.fault is None:
        verdict = "holds" if outcome.broken is None else f"BROKEN: {outcome.broken}"
    else:
        verdict = f"found: {outcome.broken}" if is_as_it_should_be(case, outcome) else f"NOT FOUND: {outcome.broken or 'all promises hold'}"
    return f"{case.name:<34} {outcome.states:>12,} {outcome.steps:>7,} {outcome.seconds:>7.1f}  {verdict}"


def _play(cases: Iterable[Case], found: Tools, *, quick: bool) -> bool:
    """Whether all are as they should be. Prints a row for each as it ends."""
    well, states, began = True, 0, time.monotonic()
    print(f"{'':<34} {'states':>12} {'steps':>7} {'seconds':>7}")
    with tempfile.TemporaryDirectory(prefix="levada-proofs-") as folder:
        for case in cases:
            switches = case.quick if quick else case.switches
            if switches is None:
                continue
            outcome = search(case, switches, found, Path(folder), "-O1" if quick else "-O2")
            well &= is_as_it_should_be(case, outcome)
            states += 0 if case.fault else outcome.states
            print(_row(case, outcome), flush=True)
    verdict = "all as it should be" if well else "NOT as it should be"
    print(f"{states:,} states without a fault planted, {time.monotonic() - began:.0f} s: {verdict}")
    return well


def _trace(case: Case, found: Tools) -> bool:
    """Print the way to the error; whether there is one."""
    with tempfile.TemporaryDirectory(prefix="levada-proofs-") as name:
        folder = Path(name)
        outcome = search(case, case.switches, found, folder)
        print(_row(case, outcome))
        if outcome.broken is None:
            return False
        shutil.copy(MODEL, folder)
        print(_call([found.spin, "-t", "-p", *(f"-D{switch}" for switch in case.switches), MODEL.name], folder, checked=False))
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    parser = argparse.ArgumentParser(description="Check the model of the lease protocol with spin.")
    parser.add_argument("--quick", action="store_true", help="smaller configurations and fewer faults, about a minute")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these configurations and faults")
    parser.add_argument("--trace", metavar="NAME", help="print the way to the error of one of them")
    chosen = parser.parse_args(arguments)
    found = tools()
    if found is None:
        print("skipped: spin and a C compiler are needed (Debian: apt-get install spin gcc)")
        return SKIPPED
    known = {case.name: case for case in (*SOUND, *FAULTS)}
    wanted = [chosen.trace] if chosen.trace else chosen.only or list(known)
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"no such configuration or fault: {', '.join(unknown)}; there are {', '.join(known)}")
    if chosen.trace:
        return 0 if _trace(known[chosen.trace], found) else 1
    return 0 if _play([known[name] for name in wanted], found, quick=chosen.quick) else 1


if __name__ == "__main__":
    sys.exit(main())

"""The demo on real data, shown with the real command line: plan, run, look, run again, repair.

Works in the current folder, on ``demo-data`` (the raw data, kept) and ``demo-out`` (made anew each time).
Every claim that is printed is checked first; the first one that is not true ends the demo with code 1.
"""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from levada._model import exit_codes

from . import fetch

OUT = Path("demo-out")
WANTED = ["--module", "examples.flights.pipeline", "RunAll", "--last-day", str(fetch.LAST_DAY)]
AGGREGATION = OUT / "delays" / f"{fetch.LAST_DAY}-7.csv"
REPORT = OUT / "reports" / f"{fetch.LAST_DAY}-7"
TEXT, CHART = REPORT / "report.md", REPORT / "chart.svg"
MADE = 30 + 2 * 3  # files: aggregations, and each report's text and chart


class BrokenPromise(Exception):
    """A step did not do what the demo says."""


class Ended(NamedTuple):
    """How long a command took, start of the interpreter included."""

    wall: float  # seconds
    cpu: float  # seconds


def main() -> int:
    """Show all steps; 0, or 1 as soon as one does not keep its word."""
    try:
        get_data()
        show_plan()
        run()
        show_result()
        run_again()
        repair()
        tell_where_to_go()
    except (BrokenPromise, fetch.FetchError) as broken:
        sys.stdout.flush()
        print(f"\nThe demo stops here: {broken}", file=sys.stderr)
        return 1
    return 0


# -- the steps ---------------------------------------------------------------------------------


def get_data() -> None:
    """The external drop; and a clean table."""
    headline("The data: flights that left New York in January 2013, a file a day")
    if fetch.main([]):
        raise BrokenPromise("there is no data")
    shutil.rmtree(OUT, ignore_errors=True)


def show_plan() -> None:
    """What is to be done, nothing started."""
    headline("1. The plan: what is there, what has to be made?")
    levada("plan", *WANTED, expect=exit_codes.WORK)
    check(not files(), "planning made files")
    say(f"Exit code {exit_codes.WORK}: there is work. Planning started nothing.")


def run() -> None:
    """Everything is made."""
    headline("2. The run, in the process you start")
    ended = levada("run", "--workers", "2", *WANTED, expect=exit_codes.OK)
    check(len(files()) == MADE, f"{MADE} files were to be made, there are {len(files())}")
    say(f"{MADE} files in {ended.wall:.1f} s: 30 aggregations, and three reports of a text and a chart each.")


def show_result() -> None:
    """A look at one report."""
    headline("3. The result: one of the three reports")
    lines = TEXT.read_text(encoding="utf-8").splitlines()
    print("\n".join([*lines[:12], "...", ""]))
    check(CHART.read_text(encoding="utf-8").startswith("<svg"), f"{CHART} is no SVG")
    say(f"The report: {TEXT}", f"Its chart:  {CHART} (any browser shows it)")


def run_again() -> None:
    """Complete means that the outputs exist: nothing runs twice."""
    headline("4. The same command again: nothing to do")
    before = files()
    ended = levada("run", *WANTED, expect=exit_codes.OK)
    check(files() == before, "a file was written again")
    levada("plan", *WANTED, expect=exit_codes.OK, quiet=True)
    say(
        f"Nothing was to be done; to know that took {ended.wall * 1000:.0f} ms, {ended.cpu * 1000:.0f} ms of them CPU,",
        "start of Python and import of the tasks included. That is what cron would pay each minute.",
    )


def repair() -> None:
    """An output that is gone is made again, and nothing else is."""
    headline("5. Two outputs get lost: an aggregation, and the report that was made from it")
    before, contents = files(), {path: path.read_bytes() for path in files()}
    print(f"$ rm -r {AGGREGATION} {REPORT}\n")
    AGGREGATION.unlink()
    shutil.rmtree(REPORT)
    levada("plan", *WANTED, expect=exit_codes.WORK)
    levada("run", *WANTED, expect=exit_codes.OK)
    after = files()
    again = {path for path in after if after[path] != before.get(path)}
    check(again == {AGGREGATION, TEXT, CHART}, f"made again: {', '.join(sorted(map(str, again))) or 'nothing'}")
    check(all(path.read_bytes() == contents[path] for path in contents), "the bytes are not the same")
    say(
        "Two tasks ran: the aggregation, then the report that needs it (text and chart).",
        f"The other {MADE - len(again)} files were not touched, and what was made again has the same bytes as before.",
        "(What exists counts as complete: had only the aggregation been lost, the report would have stayed as it is.)",
    )


def tell_where_to_go() -> None:
    """Next steps."""
    headline("6. Where to go next")
    tomorrow = [*WANTED[:-1], str(fetch.LAST_DAY + timedelta(1))]
    say(
        "Read      examples/flights/pipeline.py   the tasks that ran, a screen and a half",
        "          examples/aggregation.py        the same shape in Luigi's spelling",
        "          README.md, ARCHITECTURE.md     what there is, and where it lives",
        "",
        "Ask why the next day's reports are not made yet; let the drop come, and make them:",
        "",
        f"  $ {program()} why {shlex.join(tomorrow)}",
        f"  $ {os.path.relpath(sys.executable)} -m examples.flights.fetch --days 1 {shlex.join(tomorrow[-2:])}",
        f"  $ {program()} run {shlex.join(tomorrow)}",
    )


# -- tools -------------------------------------------------------------------------------------


def levada(*arguments: str, expect: int, quiet: bool = False) -> Ended:
    """Run the command line as a person would; BrokenPromise when its exit code is another than expected."""
    shown = f"{program()} {shlex.join(arguments)}"
    if not quiet:
        print(f"$ {shown}\n", flush=True)
    cpu, wall = cpu_of_children(), time.perf_counter()
    environ = {"LEVADA_STATE": str(OUT.absolute() / ".levada"), **os.environ}
    done = subprocess.run([*command(), *arguments], env=environ, check=False, stdout=subprocess.DEVNULL if quiet else None)
    ended = Ended(time.perf_counter() - wall, cpu_of_children() - cpu)
    check(done.returncode == expect, f"`{shown}` ended with code {done.returncode}, expected {expect}")
    if not quiet:
        print()
    return ended


def script() -> Path:
    """Where an installation lays the command: beside its Python."""
    return Path(sys.executable).parent / "levada"


def command() -> list[str]:
    """How to start it: the installed command, or the package where it is not installed."""
    return [str(script())] if script().exists() else [sys.executable, "-m", "levada"]


def program() -> str:
    """How to write that in a line that can be typed here."""
    return os.path.relpath(script()) if script().exists() else f"{os.path.relpath(sys.executable)} -m levada"


def cpu_of_children() -> float:
    """CPU seconds of all processes that were started and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def files() -> dict[Path, tuple[int, int]]:
    """What was made, with what changes when a file is written again."""
    made = [path for kind in ("delays", "reports") for path in sorted((OUT / kind).rglob("*")) if path.is_file()]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in made}


def check(true: bool, otherwise: str) -> None:
    """Go on only if it is so."""
    if not true:
        raise BrokenPromise(otherwise)


def headline(text: str) -> None:
    """A step begins."""
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")
    print(f"\n{bold}== {text} =={plain}\n", flush=True)


def say(*lines: str) -> None:
    """What is to be seen."""
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    sys.exit(main())

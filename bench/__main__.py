"""``python -m bench [--quick | --long] [--only NAME ...]``: print the table of figures (``make bench``)."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from . import cron, environments, growth, measure, scheduler, table
from .workloads import LONG, NORMAL, QUICK, WORKLOADS, Workload

MAIN = ("bare", "with_levada", "with_luigi")
NAMES = sorted({workload.name for workload in WORKLOADS} | {"cron", "peers"} | set(scheduler.ROWS))


class Bench:
    """One run of all that was asked for."""

    def __init__(self, mode: str, only: list[str], folder: str) -> None:
        self.mode, self.only, self.folder = mode, only, folder
        self.luigi: str | None = None
        self.notes: list[str] = []
        self.took: dict[tuple[str, str, int], measure.Took] = {}
        self.figures: list[dict[str, object]] = []

    def go(self) -> None:
        """Measure and print, a block of lines a workload."""
        self._find_luigi()
        print(self._head(), flush=True)
        if not self.only or set(self.only) - set(scheduler.ROWS):
            self._embedded()
        if not self.only or set(self.only) & set(scheduler.ROWS):
            scheduler.Rows(self.mode, self.luigi, self.notes, self.figures).print(self.only)
        for note in self.notes:
            print(f"note: {note}")

    def _embedded(self) -> None:
        """The table of runs without a server."""
        print(table.row(table.HEAD), flush=True)
        for workload in WORKLOADS:
            if not self.only or workload.name in self.only:
                self._print(list(self._lines(workload)))
        if not self.only or "cron" in self.only:
            self._print(list(self._cron()))
        if self.mode == LONG and (not self.only or "peers" in self.only):
            for line in self._peers():
                print(line, flush=True)

    def _head(self) -> str:
        luigi = f"Luigi {environments.version_of(self.luigi, 'luigi')}" if self.luigi else "no Luigi"
        machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
        return (
            f"{time.strftime('%Y-%m-%d')}, CPython {platform.python_version()}, {machine}, {luigi}, {self.mode}\n"
            "CPU seconds of the run, user and system, children included, unless a line says otherwise; the best of a few runs.\n"
        )

    def _find_luigi(self) -> None:
        try:
            self.luigi = environments.python_of("luigi")
        except environments.Missing as reason:
            self.notes.append(f"Luigi is left out: {reason}")

    @staticmethod
    def _print(lines: list[tuple[str, ...]]) -> None:
        for line in lines:
            print(table.row(line), flush=True)

    # -- workloads

    def _lines(self, workload: Workload) -> Iterator[tuple[str, ...]]:
        luigi = self._luigi_costs(workload)
        ours: dict[int, float] = {}
        floor: dict[int, float] = {}
        sizes = workload.sizes[self.mode]
        for size in sizes:
            bare = self._figure("bare", workload, size) if workload.bare else None
            levada = self._figure("with_levada", workload, size)
            if bare is not None:
                floor[size] = bare
            if levada is not None:
                ours[size] = levada
            yield self._line(workload, size, bare, levada, luigi)
        if workload.a_task:
            yield _a_task_line(workload, ours, floor, luigi)
        elif len(ours) > 1 and workload.figure == "cpu" and workload.name != "root_complete":
            yield _growth_line(ours, floor, {n: c for n, c in luigi.items() if n in workload.luigi.get(self.mode, ())})
        if workload.memory:
            yield self._memory_line(workload)

    def _line(self, workload: Workload, size: int, bare: float | None, levada: float | None, luigi: dict[int, float]) -> tuple[str, ...]:
        theirs, mark = luigi.get(size), ""
        if theirs is None and workload.luigi_fits and (fit := growth.fitted(luigi, size)) is not None:
            theirs, mark = fit, " (fitted)"
        self.figures.append(
            {
                "workload": workload.name,
                "figure": workload.figure,
                "n": size,
                "bare": bare,
                "levada": levada,
                "luigi": theirs,
                "fitted": bool(mark),
            }
        )
        spell = table.number if workload.figure in ("calls", "listed_us") else table.seconds
        goal = f"goal {workload.goals[size]}" if size in workload.goals else ""
        return (f"{workload.text}, {size:,}", spell(bare), spell(levada), spell(theirs) + mark, table.ratio(theirs, levada), goal)

    def _luigi_costs(self, workload: Workload) -> dict[int, float]:
        if self.luigi is None or self.mode not in workload.luigi:
            return {}
        costs = {size: self._figure("with_luigi", workload, size) for size in workload.luigi[self.mode]}
        return {size: cost for size, cost in costs.items() if cost}

    def _figure(self, engine: str, workload: Workload, size: int) -> float | None:
        took = self._measured(engine, workload, size)
        if took is None:
            return None
        return getattr(took, workload.figure) if workload.figure in ("cpu", "wall") else took.more.get(workload.figure)

    def _measured(self, engine: str, workload: Workload, size: int) -> measure.Took | None:
        """The run with the least CPU of a few; large ones are run once, and each only once for all rows that show it."""
        key = (engine, workload.name, size)
        if key in self.took:
            return self.took[key]
        python = self.luigi if engine == "with_luigi" and self.luigi else sys.executable
        long = size >= (2000 if engine == "with_luigi" else 100_000) and workload.name != "root_complete"
        most = 2 if engine == "with_luigi" else 9
        times = 1 if long or (engine, self.mode) == ("with_luigi", QUICK) else min(workload.repeat, 2 if self.mode == QUICK else most)
        try:
            found = [measure.measure(engine, workload.name, size, self._folder(workload, size), python=python) for _ in range(times)]
        except measure.Broken as reason:
            self.notes.append(str(reason))
            return None
        self.took[key] = min(found, key=lambda took: took.more.get(workload.figure, took.cpu))
        return self.took[key]

    def _folder(self, workload: Workload, size: int) -> str:
        """A new folder; one with files is made once for all."""
        if not workload.files:
            return tempfile.mkdtemp(dir=self.folder)
        folder = Path(self.folder) / "files"
        for thousand in range((size + 999) // 1000):
            made = folder / "made" / f"{thousand:04}"
            if not made.exists():
                made.mkdir(parents=True)
                for name in range(1000):
                    (made / f"{name:03}.txt").touch()
        return str(folder)

    def _memory_line(self, workload: Workload) -> tuple[str, ...]:
        """Peak memory a task: what one more task adds between the smallest and the largest size."""

        def a_task(engine: str, sizes: tuple[int, ...]) -> str:
            peaks = {
                size: float(self.took[engine, workload.name, size].rss) for size in sizes if (engine, workload.name, size) in self.took
            }
            found = growth.of_a_line(peaks)
            return "-" if found is None else f"{found:,.0f} B"

        sizes = workload.sizes[self.mode]
        luigi = a_task("with_luigi", workload.luigi.get(self.mode, ()))
        return ("  peak memory a task", a_task("bare", sizes), a_task("with_levada", sizes), luigi, "", "goal <= 800 B")

    # -- cron

    def _cron(self) -> Iterator[tuple[str, ...]]:
        try:
            levada, floor = self._cron_of("levada")
            luigi = self._cron_of("luigi")[0] if self.luigi else None
        except (measure.Broken, environments.Missing, StopIteration) as reason:
            self.notes.append(f"cron: {reason}")
            return
        theirs = luigi.cpu if luigi else None
        self.figures.append(
            {"workload": "cron", "bare": floor._asdict(), "levada": levada._asdict(), "luigi": luigi._asdict() if luigi else None}
        )
        cpu = (table.seconds(floor.cpu), table.seconds(levada.cpu), table.seconds(theirs))
        yield ("cron: start to nothing to do", *cpu, table.ratio(theirs, levada.cpu), "goal <= 30 ms (bare is python -c pass)")
        count = (_millions(floor), _millions(levada), _millions(luigi))
        yield ("  instructions, millions", *count, table.ratio(luigi.instructions if luigi else None, levada.instructions), "goal <= 190")

    def _cron_of(self, engine: str) -> tuple[cron.Start, cron.Start]:
        """(nothing to do, ``python -c pass`` of the same interpreter)."""
        scratch = tempfile.mkdtemp(dir=self.folder)
        folder = cron.project(engine, scratch)
        if engine == "levada":
            python = environments.levada_as_installed(scratch)
            command = cron.levada_command(python)
        else:
            assert self.luigi is not None
            python, command = self.luigi, cron.luigi_command(self.luigi)
        times = cron.TIMES[self.mode]
        count = self.mode != QUICK or engine == "levada"
        return cron.start(command, folder, times, count=count), cron.start([python, "-c", "pass"], folder, times, count=count)

    # -- peers

    def _peers(self) -> Iterator[str]:
        """A line an engine that runs graphs in one process, 10,000 tasks each."""
        for peer in ("doit", "dask"):
            figures: list[str] = []
            try:
                python = environments.python_of(peer)
                for workload in ("fan", "chain", "layered"):
                    took = measure.measure(f"with_{peer}", workload, 10_000, tempfile.mkdtemp(dir=self.folder), python=python)
                    figures.append(f"{workload} {table.seconds(took.cpu)}")
                yield f"{peer} {environments.version_of(python, peer)}, 10,000 tasks: {', '.join(figures)}"
            except (environments.Missing, measure.Broken) as reason:
                self.notes.append(f"{peer} is left out: {reason}")


def _growth_line(ours: dict[int, float], floor: dict[int, float], luigi: dict[int, float]) -> tuple[str, ...]:
    """Exponents: of the cost over the size, and of what the largest step adds."""
    spelled = [f"{found:.2f}" if (found := growth.exponent(costs)) is not None else "-" for costs in (floor, ours, luigi)]
    return ("  growth exponent", *spelled, "", "goal <= 1.05")


def _a_task_line(workload: Workload, ours: dict[int, float], floor: dict[int, float], luigi: dict[int, float]) -> tuple[str, ...]:
    """What one more task costs, start and imports left out."""
    bare, levada, theirs = (growth.of_a_line(costs) for costs in (floor, ours, luigi))
    over = f" (is bare + {(levada - bare) * 1e6:,.0f} us)" if bare is not None and levada is not None else ""
    return (
        "  one more task",
        table.seconds(bare),
        table.seconds(levada),
        table.seconds(theirs),
        table.ratio(theirs, levada),
        f"goal {workload.a_task}{over}",
    )


def _millions(start: cron.Start | None) -> str:
    return "-" if start is None or start.instructions is None else f"{start.instructions / 1e6:,.0f}"


def main() -> int:
    """Exit status: 0 when every measurement could be made, 1 when some could not; slow is never a failure."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Figures of Levada beside a bare loop and Luigi; see docs/benchmarks.md."
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", dest="mode", const=QUICK, help="a minute")
    size.add_argument("--long", action="store_const", dest="mode", const=LONG, help="up to a million tasks, Luigi up to 3,000, peers")
    parser.add_argument(
        "--only", action="append", choices=NAMES, default=[], metavar="NAME", help=f"one of {', '.join(NAMES)}; may be repeated"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="levada-bench-") as folder:
        bench = Bench(options.mode or NORMAL, options.only, folder)
        bench.go()
    if options.json:
        Path(options.json).write_text(json.dumps(bench.figures, indent=1), encoding="utf-8")
    return 1 if any("ended with" in note for note in bench.notes) else 0


if __name__ == "__main__":
    sys.exit(main())

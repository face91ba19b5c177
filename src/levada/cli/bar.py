"""The live picture of a run on a terminal, drawn by rich. Loaded when the first task really runs.

It draws when the run reports, never from a thread of its own: processes are forked while it shows, and a
debugger or a program that prints must not fight with it. So times are as of the last report.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from rich.console import Console as Terminal
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .console import Counts, Tally
from .text import duration, escape, one_line

FAMILIES = 8
SLOWEST = 4
WIDTH = 40


class Bar:
    """One bar (done, running, to do), the families, the slowest running tasks, the time left."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._started = time.monotonic()
        self._terminal = Terminal(file=sys.stderr)
        self._live = Live(
            console=self._terminal, auto_refresh=False, transient=True, redirect_stdout=sys.stdout.isatty(), redirect_stderr=True
        )
        self._live.start()
        self._hook, self._pid = sys.breakpointhook, os.getpid()
        sys.breakpointhook = self._breakpoint

    def show(self, runner: Any) -> None:
        """Draw the picture anew."""
        self._live.start()  # does nothing while it shows
        self._live.update(self.picture(Counts(runner)), refresh=True)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._terminal.print(Text(f"levada: {text}"))

    def close(self) -> None:
        """Remove the picture; what was said stays."""
        if sys.breakpointhook == self._breakpoint:
            sys.breakpointhook = self._hook
        self._live.stop()

    def _breakpoint(self, *args: Any, **options: Any) -> Any:
        """``breakpoint()`` of a task gets the terminal to itself; the picture comes back with the next report."""
        if os.getpid() == self._pid:
            self._live.stop()
        if self._hook is not sys.__breakpointhook__ or os.environ.get("PYTHONBREAKPOINT"):
            return self._hook(*args, **options)
        import pdb  # noqa: T100 - what the user asked for

        pdb.Pdb().set_trace(sys._getframe(1))  # pdb.set_trace() would stop in this function
        return None

    def picture(self, counts: Counts) -> Table:
        """All of it, one row a line."""
        grid = Table.grid(padding=(0, 1))
        grid.add_row(self._bar(counts))
        grid.add_row(Text(self._numbers(counts)))
        for family, by_status in self._families(counts):
            grid.add_row(Text(f"  {escape(family)}: {by_status}", style="dim"))
        for task, seconds in self._tally.slowest(SLOWEST):
            if seconds >= 1:
                grid.add_row(Text(f"  {duration(seconds)}  {one_line(str(task), 100)}", style="cyan"))
        return grid

    def _bar(self, counts: Counts) -> Text:
        total = max(1, counts.done + counts.failed + counts.running + counts.to_do)
        width = min(WIDTH, max(10, self._terminal.width - 2))
        bar = Text()
        used = 0
        for number, letter, style in ((counts.done, "━", "green"), (counts.failed, "━", "red"), (counts.running, "━", "yellow")):
            cells = min(width - used, -(-number * width // total) if number and style != "green" else number * width // total)
            bar.append(letter * cells, style=style)
            used += cells
        bar.append("━" * (width - used), style="bright_black")
        if counts.unknown:
            bar.append(" ?", style="bright_black")
        return bar

    def _numbers(self, counts: Counts) -> str:
        return f"{self._tally.line(counts)} ({duration(time.monotonic() - self._started)})"

    def _families(self, counts: Counts) -> list[tuple[str, str]]:
        rows = []
        for family, done, total in counts.families():
            if done < total:
                rows.append((total - done, family, f"{done:,} of {total:,}"))
        rows.sort(key=lambda row: (-row[0], row[1]))
        return [(family, text) for _, family, text in rows[:FAMILIES]]

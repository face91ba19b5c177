"""What a job's code counts: gathered for a second, then told by lines on stderr, which Hadoop Streaming reads."""

from __future__ import annotations

import sys
import time
from typing import Any

_TELL_AFTER = 1.0  # seconds


class Counters:
    """Sums by (group, name). told: whether they are told as they come; else they are kept."""

    def __init__(self, *, told: bool = True) -> None:
        self.sums: dict[tuple[str, str], int] = {}
        self._told = told
        self._since = time.monotonic()

    def add(self, *args: Any) -> None:
        """Count: (group, name), (group, name, by), or with the first two as one tuple. Raises ValueError for something else."""
        names, by = _parted(args)
        if len(names) != 2 or type(by) is not int or any(mark in f"{name}" for name in names for mark in ",\n"):
            raise ValueError(f"incr_counter{args!r}: expected group and name without comma or line end, and a whole number")
        key = str(names[0]), str(names[1])
        self.sums[key] = self.sums.get(key, 0) + by
        if time.monotonic() > self._since + _TELL_AFTER:
            self.tell()

    def tell(self) -> None:
        """Tell Hadoop what came together since the last time."""
        if not self._told:
            return
        for (group, name), by in self.sums.items():
            sys.stderr.write(f"reporter:counter:{group},{name},{by}\n")
        sys.stderr.flush()
        self.sums.clear()
        self._since = time.monotonic()


def _parted(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    if args and isinstance(args[0], tuple):
        return args[0], args[1] if len(args) == 2 else 1
    return args[:2], args[2] if len(args) == 3 else 1

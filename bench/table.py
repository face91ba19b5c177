"""Lines of figures for people."""

from __future__ import annotations

from collections.abc import Sequence

HEAD = ("workload", "bare", "Levada", "Luigi", "Luigi/Levada", "goal")
WIDTHS = (46, 9, 9, 17, 12, 0)


def seconds(value: float | None) -> str:
    """A time with three digits and the unit that suits it; "-" for None."""
    if value is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{_digits(value / size)} {unit}"
    return f"{_digits(value * 1e6)} us"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio(more: float | None, less: float | None) -> str:
    """How many times; "-" where one of them is not known."""
    return f"{_digits(more / less)} x" if more and less else "-"


def number(value: float | None) -> str:
    """A plain number; "-" for None."""
    return "-" if value is None else _digits(value)


def row(cells: Sequence[str], widths: Sequence[int] = WIDTHS) -> str:
    """A line of a table: the first and the last column to the left, the others to the right."""
    padded = [
        cell.ljust(width) if at in (0, len(widths) - 1) else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()

"""The report of a window: a table of the last day in Markdown, and a chart of all days."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from .chart import Series, chart
from .delays import Row

Table = Sequence[Row]
REGULAR = 5  # flights a day that make a carrier one that has its say in the chart's scale


def read_names(lines: Iterable[str]) -> dict[str, str]:
    """Carriers' names by their code, without the legal form."""
    return {row["carrier"]: re.sub(r" (Inc\.|Co\.|Corporation)$", "", row["name"]) for row in csv.DictReader(lines)}


def draw(window: int, tables: Mapping[date, Table], names: Mapping[str, str]) -> str:
    """Mean arrival delay by carrier over the days, as SVG."""
    days = sorted(tables)
    by_day = [{row.carrier: row for row in tables[day]} for day in days]
    series = [
        Series(
            carrier,
            names.get(carrier, ""),
            tuple(rows[carrier].arrival if carrier in rows else None for rows in by_day),
            weight=min(rows[carrier].flights if carrier in rows else 0 for rows in by_day),
        )
        for carrier in sorted({row.carrier for rows in tables.values() for row in rows})
    ]
    return chart(
        f"Arrival delay of flights from New York, mean of {window} days",
        "Minutes, by the last day of the window; below zero is early. In colour: the carriers with the most flights.",
        days,
        series,
        counts=REGULAR * window,
    )


def write(window: int, tables: Mapping[date, Table], names: Mapping[str, str], picture: str) -> str:
    """The report as Markdown. picture: where the chart lies, seen from the report."""
    first, last = min(tables), max(tables)
    before = {row.carrier: row.arrival for row in tables[first]}
    rows = sorted(tables[last], key=lambda row: (-row.flights, row.carrier))
    lines = [
        f"# Delays of flights from New York: {window} days up to {last}",
        "",
        f"![Mean arrival delay by carrier]({picture})",
        "",
        f"Delays are means in minutes, below zero is early. *Change*: of the arrival delay since the window that ended on {first}.",
        "",
        "|    | Carrier | Flights | Cancelled | Departed late | Arrived late | Change |",
        "| -- | ------- | ------: | --------: | ------------: | -----------: | -----: |",
        *(line_of(row, names.get(row.carrier, ""), before.get(row.carrier)) for row in rows),
        "",
    ]
    return "\n".join(lines)


def line_of(row: Row, name: str, before: float | None) -> str:
    """One carrier's line of the table."""
    change = None if row.arrival is None or before is None else row.arrival - before
    cells = (row.carrier, name, str(row.flights), str(row.cancelled), one(row.departure), one(row.arrival), one(change, sign="+"))
    return f"| {' | '.join(cells)} |"


def one(value: float | None, sign: str = "") -> str:
    """A delay with one decimal, a dash where there is none.

    >>> one(12.345), one(2.0, sign="+"), one(None)
    ('12.3', '+2.0', '-')
    """
    return "-" if value is None else f"{value:{sign}.1f}"

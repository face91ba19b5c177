"""Delay by carrier: sums over the flights of some days, and the table that they make.

A flight that never left has no departure time and counts as cancelled. One that left but did not arrive
where it should (diverted) has a departure delay and no arrival delay. Delays are minutes, early is negative.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import IO, NamedTuple

NOT_KNOWN = ("", "NA")
"""How the raw data spells a value that is not known."""

HEADER = ("carrier", "flights", "cancelled", "mean_departure_delay", "mean_arrival_delay")


class Row(NamedTuple):
    """One carrier's delays over a window, as an aggregation writes them; None: no flight to judge by."""

    carrier: str
    flights: int  # scheduled, the cancelled ones included
    cancelled: int
    departure: float | None  # mean, minutes
    arrival: float | None  # mean, minutes


class Sums:
    """What is added up for one carrier. Integers, so that the order of the days changes nothing."""

    __slots__ = ("arrival", "arrived", "departed", "departure", "flights")

    def __init__(self) -> None:
        self.flights = self.departed = self.departure = self.arrived = self.arrival = 0

    def add(self, departure: str, arrival: str) -> None:
        """Count one flight; the two delays are minutes as text."""
        self.flights += 1
        if departure not in NOT_KNOWN:
            self.departed += 1
            self.departure += int(departure)
        if arrival not in NOT_KNOWN:
            self.arrived += 1
            self.arrival += int(arrival)

    def row(self, carrier: str) -> Row:
        """The carrier's line of the table."""
        cancelled = self.flights - self.departed
        return Row(carrier, self.flights, cancelled, mean(self.departure, self.departed), mean(self.arrival, self.arrived))


def mean(total: int, count: int) -> float | None:
    """The mean to a hundredth of a minute, or None of nothing.

    >>> mean(7, 3), mean(0, 0)
    (2.33, None)
    """
    return round(total / count, 2) if count else None


def add_day(lines: Iterable[str], sums: dict[str, Sums]) -> None:
    """Add a day's raw CSV to the sums by carrier. Raises ValueError when a column is missing."""
    rows = csv.reader(lines)
    header = next(rows)
    carrier, departure, arrival = (header.index(name) for name in ("carrier", "dep_delay", "arr_delay"))
    for row in rows:
        of_carrier = sums.get(row[carrier])
        if of_carrier is None:
            of_carrier = sums[row[carrier]] = Sums()
        of_carrier.add(row[departure], row[arrival])


def table(sums: dict[str, Sums]) -> list[Row]:
    """One row a carrier, in order of its code."""
    return [sums[carrier].row(carrier) for carrier in sorted(sums)]


def write_table(out: IO[str], rows: Iterable[Row]) -> None:
    """The table as CSV; the same rows make the same bytes on every machine."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows((*row[:3], minutes(row.departure), minutes(row.arrival)) for row in rows)


def read_table(lines: Iterable[str]) -> list[Row]:
    """What ``write_table`` wrote."""
    rows = csv.reader(lines)
    next(rows)
    return [
        Row(carrier, int(flights), int(cancelled), known(departure), known(arrival))
        for carrier, flights, cancelled, departure, arrival in rows
    ]


def minutes(value: float | None) -> str:
    """A delay as text, empty when there is none.

    >>> minutes(-3.5), minutes(None)
    ('-3.50', '')
    """
    return "" if value is None else f"{value:.2f}"


def known(text: str) -> float | None:
    """A delay from its text."""
    return float(text) if text else None

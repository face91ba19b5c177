"""Lengths of time, to the microsecond."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from .base import NO_VALUE, Parameter

UNITS = ("weeks", "days", "hours", "minutes", "seconds")


def _amount(unit: str) -> str:
    fraction = r"(?:\.\d{1,6})?" if unit == "seconds" else ""
    return rf"(?P<{unit}>[+-]?\d+{fraction})"


# re keeps what it compiled; nothing is compiled before the first text is read.
WORDS = "".join(rf"(?:{_amount(u)} ?{u[0]}(?:{u[1:-1]}s?)? ?)?" for u in UNITS)
_FIELDS = [rf"(?:{_amount(u)}{u[0].upper()})?" for u in UNITS]
ISO = f"P{''.join(_FIELDS[:2])}(?:T{''.join(_FIELDS[2:])})?"


def read_duration(text: str) -> timedelta:
    """The length that a text stands for; ValueError or OverflowError otherwise.

    >>> [read_duration(t).total_seconds() for t in ("90", "1.5", "1d 2h", "4 weeks", "PT1H30M", "P2W")]
    [90.0, 1.5, 93600.0, 2419200.0, 5400.0, 1209600.0]
    """
    text = text.strip()
    try:
        return timedelta(seconds=float(text))
    except ValueError:
        pass
    found = re.fullmatch(ISO, text) or re.fullmatch(WORDS, text)
    parts = {unit: amount for unit, amount in found.groupdict().items() if amount} if found else {}
    if not parts:
        raise ValueError(text)
    seconds = parts.pop("seconds", "0")
    return timedelta(**{unit: int(amount) for unit, amount in parts.items()}) + _seconds(seconds)


def _seconds(text: str) -> timedelta:
    """Exactly: a float would lose microseconds of long spans."""
    whole, _, fraction = text.partition(".")
    micro = int((fraction + "000000")[:6])
    return timedelta(seconds=int(whole), microseconds=-micro if whole.startswith("-") else micro)


def _kept_if_alike(self: Parameter[Any], value: Any) -> Any:
    """Where wrong values are kept: what has days and seconds as a timedelta has."""
    return value if hasattr(value, "days") and hasattr(value, "seconds") else NO_VALUE


class TimeDeltaParameter(Parameter[timedelta]):
    """A length of time.

    Text: seconds (``90``, ``1.5``), amounts from the longest unit to the shortest (``1d 2h``,
    ``4 weeks``, ``1 hour 30 minutes``), or ISO 8601 (``P1DT2H``, ``P2W``). It is written as Luigi writes
    it, ``0 w 1 d 2 h 0 m 0 s``, with a fraction of seconds where there is one.
    """

    exact = True
    plain = True
    keep = _kept_if_alike
    takes = "a length of time"
    expected = "such as 90 (seconds), 1d 2h, 4 weeks or P1DT2H"

    def parse(self, text: str) -> timedelta:
        """Any of the forms above."""
        try:
            return read_duration(text)
        except (ValueError, OverflowError):
            return self.misread(text)

    def serialize(self, value: timedelta | None) -> str:
        """``0 w 1 d 2 h 0 m 0 s``; a negative length has negative weeks and days."""
        if value is None:
            return "None"
        hours, rest = divmod(value.seconds, 3600)
        minutes, seconds = divmod(rest, 60)
        micro = getattr(value, "microseconds", 0)  # of what is only alike
        fraction = f".{micro:06}" if micro else ""
        weeks, days = divmod(value.days, 7)
        return f"{weeks} w {days} d {hours} h {minutes} m {seconds}{fraction} s"

    def normalize(self, value: Any) -> timedelta:
        """A plain ``timedelta`` of the same length."""
        if type(value) is timedelta:
            return value
        if not isinstance(value, timedelta):
            hint = f"Write datetime.timedelta(seconds={value!r})." if isinstance(value, (int, float)) else None
            return self.refuse(value, hint=hint)
        plain = timedelta(value.days, value.seconds, value.microseconds)
        if plain != value:
            raise self.wrong(value, "a whole number of microseconds")
        return plain

    def expected_in_code(self) -> str:
        """A timedelta."""
        return "datetime.timedelta(hours=2)"

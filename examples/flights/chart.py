"""A line chart as SVG, by hand: one line a series over some days, named at its end.

The same series make the same bytes on every machine. Values without a point (a carrier that did not fly)
interrupt the line. The scale is that of the series that count; others may leave it, and their label says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date
from html import escape
from itertools import groupby
from typing import NamedTuple

WIDTH, HEIGHT = 880, 470
LEFT, RIGHT, TOP, BOTTOM = 52, 640, 76, 426  # the plot; the labels stand at the right of it
LABEL_HEIGHT = 15
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#5b4fa2", "#1f9bcf", "#7a3b2e")  # told apart by the colour-blind too
GREY = "#a9afb8"
STYLE = """
    text { font-family: "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif; font-size: 11px; fill: #4a505a }
    .title { font-size: 16px; font-weight: bold; fill: #1f242b }
    .grid { stroke: #e6e8ec } .zero { stroke: #7d8590 }
    polyline { fill: none; stroke-linejoin: round; stroke-linecap: round }
"""


class Series(NamedTuple):
    """One line: a value a day, None where there is none."""

    code: str
    name: str
    values: tuple[float | None, ...]
    weight: int  # the heaviest series have colours, the others are grey

    @property
    def end(self) -> tuple[int, float] | None:
        """The line's last day, counted from 0, and its value; None for a line without a value."""
        return next(((n, value) for n, value in reversed(list(enumerate(self.values))) if value is not None), None)


class Scale(NamedTuple):
    """From days and values to places on the page."""

    days: int
    low: float
    high: float
    step: float

    def x(self, day: int) -> float:
        """Pixels from the left of the n-th day."""
        return LEFT + (RIGHT - LEFT) * day / max(1, self.days - 1)

    def y(self, value: float) -> float:
        """Pixels from the top; outside of the plot for a value that leaves the scale."""
        return BOTTOM - (BOTTOM - TOP) * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """The values that have a grid line."""
        return [self.low + n * self.step for n in range(round((self.high - self.low) / self.step) + 1)]


def chart(title: str, unit: str, days: Sequence[date], series: Sequence[Series], *, counts: int) -> str:
    """The whole SVG document. counts: the weight from which on a series has its say in the scale."""
    drawn = sorted((line for line in series if line.end), key=lambda line: (-line.weight, line.code))
    colours: dict[str, str] = dict(zip(sorted(line.code for line in drawn[: len(COLOURS)]), COLOURS, strict=False))
    scale = scale_for([line for line in drawn if line.weight >= counts] or drawn, len(days))
    body = [*axes(scale, days), '<g clip-path="url(#plot)">']
    for line in reversed(drawn):  # the heaviest on top
        body += lines(scale, line, colours.get(line.code, GREY))
    body += ["</g>", *labels(scale, drawn, colours)]
    return "\n".join([*head(title, unit), *(f"  {part}" for part in body), "</svg>", ""])


def head(title: str, unit: str) -> list[str]:
    """The document's beginning: sizes, colours, title."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
        f"  <title>{escape(title)}</title>",
        f"  <style>{STYLE}  </style>",
        f'  <clipPath id="plot"><rect x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT + 3}" height="{BOTTOM - TOP}"/></clipPath>',
        f'  <rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'  <text class="title" x="20" y="30">{escape(title)}</text>',
        f'  <text x="20" y="50">{escape(unit)}</text>',
    ]


def scale_for(series: Sequence[Series], days: int) -> Scale:
    """The smallest scale with round ends that holds zero and all values of these series."""
    values = [0.0, *(value for line in series for value in line.values if value is not None)]
    low, high = min(values), max(values)
    step = round_step((high - low) / 7)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    return Scale(days, low, high if high > low else low + step, step)


def round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, 50... that is not below ``least``.

    >>> round_step(0), round_step(3.2), round_step(12)
    (1.0, 5.0, 20.0)
    """
    power = 10.0 ** max(0, math.floor(math.log10(least))) if least > 0 else 1.0
    return next(power * n for n in (1, 2, 5, 10) if power * n >= least)


def axes(scale: Scale, days: Sequence[date]) -> Iterator[str]:
    """Grid lines with their values, days below."""
    for value in scale.ticks():
        kind, y = "grid" if value else "zero", place(scale.y(value))
        yield f'<line class="{kind}" x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text x="{LEFT - 8}" y="{place(scale.y(value) + 4)}" text-anchor="end">{value:g}</text>'
    every = math.ceil(len(days) / 12)
    for n, day in list(enumerate(days))[(len(days) - 1) % every :: every]:  # the last one always
        yield f'<text x="{place(scale.x(n))}" y="{BOTTOM + 22}" text-anchor="middle">{day.day} {day:%b}</text>'


def lines(scale: Scale, line: Series, colour: str) -> Iterator[str]:
    """The series' line, in several pieces where values are missing; a single value is a dot."""
    yield f'<g data-series="{escape(line.code)}" stroke="{colour}" stroke-width="{1.3 if colour == GREY else 2.4}">'
    yield f"  <title>{escape(line.code)} {escape(line.name)}</title>"
    for there, piece in groupby(enumerate(line.values), key=lambda point: point[1] is not None):
        if there:
            points = [f"{place(scale.x(n))},{place(scale.y(value))}" for n, value in piece if value is not None]
            yield f'  <polyline points="{" ".join(points if len(points) > 1 else points * 2)}"/>'
    yield "</g>"


def labels(scale: Scale, drawn: Sequence[Series], colours: dict[str, str]) -> Iterator[str]:
    """The series' names with their last values, at the height of the lines' ends as far as there is room."""
    ends = sorted((-line.end[1], line.code, line.end[0], line.name) for line in drawn if line.end)
    heights = [min(max(scale.y(-value), TOP), BOTTOM) for value, *_ in ends]
    for y, end, (value, code, day, name) in zip(spread(heights), heights, ends, strict=True):
        colour = colours.get(code)
        path = f"M{place(scale.x(day) + 4)} {place(end)}H{RIGHT + 6}L{RIGHT + 16} {place(y)}"
        yield f'<path d="{path}" fill="none" stroke="{colour or GREY}" stroke-width="0.8"/>'
        style = f"fill: {colour}; font-weight: bold" if colour else "fill: #7d8590"
        text = escape(f"{-value:+.0f}{off_scale(scale, -value)}  {code}  {name}")
        yield f'<text x="{RIGHT + 20}" y="{place(y + 4)}" style="{style}" xml:space="preserve">{text}</text>'


def off_scale(scale: Scale, value: float) -> str:
    """An arrow for a line that ends outside of the plot."""
    return " \N{UPWARDS ARROW}" if value > scale.high else " \N{DOWNWARDS ARROW}" if value < scale.low else ""


def spread(heights: Sequence[float]) -> list[float]:
    """Those heights (sorted) moved apart, so that labels do not overlap and stay on the page as far as they can.

    >>> spread([100, 100, 300])
    [100, 115, 300]
    """
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + LABEL_HEIGHT) if placed else height)
    floor = float(BOTTOM)
    for n in reversed(range(len(placed))):
        placed[n] = min(placed[n], floor)
        floor = placed[n] - LABEL_HEIGHT
    return placed


def place(pixels: float) -> str:
    """A coordinate to a tenth of a pixel.

    >>> place(12.04), place(12.5)
    ('12', '12.5')
    """
    return f"{pixels:.1f}".removesuffix(".0")

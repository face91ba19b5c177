"""The demo's chart and report: readable, well-formed, and the same bytes each time."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.flights.chart import BOTTOM, LABEL_HEIGHT, TOP, Series, chart, round_step, spread
from examples.flights.delays import Row
from examples.flights.report import draw, read_names, write

SVG = "{http://www.w3.org/2000/svg}"
DAYS = [date(2013, 1, 22) + timedelta(n) for n in range(10)]


def drawn(*series: Series, counts: int = 0) -> ElementTree.Element:
    days = [date(2013, 1, 1) + timedelta(n) for n in range(len(series[0].values))]
    return ElementTree.fromstring(chart("Delays <&>", "minutes", days, series, counts=counts))


def pieces(svg: ElementTree.Element, code: str) -> list[list[str]]:
    """The points of the polylines of a series."""
    group = svg.find(f".//{SVG}g[@data-series='{code}']")
    return [] if group is None else [line.attrib["points"].split() for line in group.iter(f"{SVG}polyline")]


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


def test_a_series_is_one_line_with_a_point_a_day() -> None:
    svg = drawn(Series("UA", "United & Sons", (1.0, 5.5, -3.0), 100))
    assert [len(points) for points in pieces(svg, "UA")] == [3]
    assert any("United & Sons" in text for text in texts(svg))


def test_days_without_a_value_interrupt_the_line() -> None:
    svg = drawn(Series("OO", "SkyWest", (1.0, None, 2.0, 3.0, None), 1))
    assert [len(points) for points in pieces(svg, "OO")] == [2, 2]  # the first is a dot


def test_a_series_without_any_value_is_left_out() -> None:
    assert pieces(drawn(Series("UA", "", (1.0, 2.0), 9), Series("OO", "", (None, None), 1)), "OO") == []


def test_a_light_series_may_leave_the_scale_and_says_so() -> None:
    svg = drawn(Series("UA", "", (1.0, 9.0), 100), Series("HA", "", (2.0, 400.0), 1), counts=10)
    assert "10" in texts(svg)
    assert any(text.startswith("+400 \N{UPWARDS ARROW}") for text in texts(svg))


@pytest.mark.parametrize("values", [(0.0, 0.0), (5.0,), (-3.0, -2.0)])
def test_any_values_have_a_scale(values: tuple[float, ...]) -> None:
    assert len(pieces(drawn(Series("UA", "", values, 1)), "UA")) == 1


@given(st.floats(0, 1e6))
def test_a_step_is_round_and_large_enough(least: float) -> None:
    step = round_step(least)
    assert least <= step <= max(1, least * 2.5)
    assert f"{step:.0f}".rstrip("0") in ("1", "2", "5")


@given(st.lists(st.floats(TOP, BOTTOM), max_size=20).map(sorted))
def test_labels_do_not_overlap(heights: list[float]) -> None:
    placed = spread(heights)
    assert all(lower - upper >= LABEL_HEIGHT - 0.001 for upper, lower in pairwise(placed))
    assert all(y <= BOTTOM for y in placed)


TABLES = {
    day: [Row("EV", 90, 12, 30.0, 20.0 + n), Row("UA", 100, 2, None, None), *([Row("OO", 1, 0, 67.0, 107.0)] if n > 7 else [])]
    for n, day in enumerate(DAYS)
}
NAMES = read_names(["carrier,name\n", "EV,ExpressJet Airlines Inc.\n", "UA,United Air Lines Inc.\n", "OO,SkyWest\n"])


def test_the_report_lists_the_last_day_by_number_of_flights() -> None:
    lines = write(3, TABLES, NAMES, "x.svg").splitlines()
    rows = [line for line in lines if line.startswith("| ") and "---" not in line][1:]
    assert rows == [
        "| UA | United Air Lines | 100 | 2 | - | - | - |",
        "| EV | ExpressJet Airlines | 90 | 12 | 30.0 | 29.0 | +9.0 |",
        "| OO | SkyWest | 1 | 0 | 67.0 | 107.0 | - |",
    ]
    assert "![Mean arrival delay by carrier](x.svg)" in lines


def test_the_same_tables_make_the_same_bytes_in_any_order() -> None:
    backwards = dict(reversed([(day, list(reversed(rows))) for day, rows in TABLES.items()]))
    assert draw(3, TABLES, NAMES) == draw(3, backwards, NAMES)
    assert write(3, TABLES, NAMES, "x.svg") == write(3, backwards, NAMES, "x.svg")

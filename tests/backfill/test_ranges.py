"""Ranges of partitions: both ends are in, texts read back, and nothing is made before it is asked for."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import levada as lv
from levada import params as p
from levada.errors import ParameterError, UnknownParameter
from levada.ranges import MOST, Grid, Row, each, partitions, row_of, span

DAYS = st.dates(date(1, 1, 2), date(9999, 12, 30))
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))


class Color(enum.Enum):
    RED, GREEN, BLUE, WHITE = 4, 3, 2, 1


class Weekday(p.Parameter[str]):
    """A kind of somebody's own that knows what follows."""

    NAMES = ("mo", "tu", "we", "th", "fr", "sa", "su")

    def parse(self, text: str) -> str:
        return self.NAMES[self.NAMES.index(text)]

    def next_in_enumeration(self, value: str) -> str | None:
        at = self.NAMES.index(value) + 1
        return self.NAMES[at] if at < 7 else None


def texts(parameter: p.Parameter[Any], given: object) -> list[str]:
    return [parameter.serialize(value) for value in row_of(parameter, given)]


@pytest.mark.parametrize(
    ("parameter", "text", "found"),
    [
        (p.DateParameter(), "2013-02-27..2013-03-02", ["2013-02-27", "2013-02-28", "2013-03-01", "2013-03-02"]),
        (p.DateParameter(), "2013-01-01..2013-01-31/14", ["2013-01-01", "2013-01-15", "2013-01-29"]),
        (p.DateParameter(), "2013-01-01..2013-01-31/2w", ["2013-01-01", "2013-01-15", "2013-01-29"]),
        (p.DateParameter(), "2013-01-01", ["2013-01-01"]),
        (p.DateParameter(), "2013-01-01..2013-01-01", ["2013-01-01"]),
        (p.DateParameter(), "2013-03-01,2013-01-01..2013-01-02,2013-01-02", ["2013-01-01", "2013-01-02", "2013-03-01"]),
        (p.DateParameter(), "9999-12-30..9999-12-31", ["9999-12-30", "9999-12-31"]),
        (p.DateParameter(interval=7, start=date(2013, 1, 1)), "2013-01-01..2013-01-16", ["2013-01-01", "2013-01-08", "2013-01-15"]),
        (p.MonthParameter(), "2013-11..2014-02", ["2013-11", "2013-12", "2014-01", "2014-02"]),
        (p.MonthParameter(), "2013-01..2013-12/3", ["2013-01", "2013-04", "2013-07", "2013-10"]),
        (p.MonthParameter(interval=6), "2013-01..2014-01", ["2013-01", "2013-07", "2014-01"]),
        (p.YearParameter(), "1999..2001", ["1999", "2000", "2001"]),
        (p.YearParameter(), "9998..9999", ["9998", "9999"]),
        (p.DateHourParameter(), "2013-01-31T22..2013-02-01T01", ["2013-01-31T22", "2013-01-31T23", "2013-02-01T00", "2013-02-01T01"]),
        (p.DateHourParameter(), "2013-01-01T00..2013-01-02T23/1d", ["2013-01-01T00", "2013-01-02T00"]),
        (p.DateMinuteParameter(), "2013-01-01T2359..2013-01-02T0001", ["2013-01-01T2359", "2013-01-02T0000", "2013-01-02T0001"]),
        (p.DateMinuteParameter(interval=5), "2013-01-01T0000..2013-01-01T0012", ["2013-01-01T0000", "2013-01-01T0005", "2013-01-01T0010"]),
        (p.DateSecondParameter(), "2013-01-01T000059..2013-01-01T000100", ["2013-01-01T000059", "2013-01-01T000100"]),
        (p.IntParameter(), "-2..1", ["-2", "-1", "0", "1"]),
        (p.IntParameter(), "7,3,5..6", ["3", "5", "6", "7"]),
        (p.NumericalParameter(var_type=int, min_value=0, max_value=10), "2..8/3", ["2", "5", "8"]),
        (p.OptionalIntParameter(), "1..2", ["1", "2"]),
        (p.EnumParameter(enum=Color), "GREEN..WHITE", ["GREEN", "BLUE", "WHITE"]),
        (p.EnumParameter(enum=Color), "BLUE,RED", ["RED", "BLUE"]),
        (p.ChoiceParameter(choices=["n", "s", "a..b"]), "s,n", ["s", "n"]),
        (p.ChoiceParameter(choices=["n", "s", "a..b"]), "a..b", ["a..b"]),
        (p.BoolParameter(), "true,false", ["True", "False"]),
        (p.FloatParameter(), "0.5,2", ["0.5", "2.0"]),
        (p.StrParameter(), "a..b,c", ["a..b,c"]),
        (p.Parameter(), "a..b,c", ["a..b,c"]),
        (p.ListParameter(), "[1,2]", ["[1, 2]"]),
        (Weekday(), "tu..th", ["tu", "we", "th"]),
        (Weekday(), "mo..su/3", ["mo", "th", "su"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_text_means(parameter: p.Parameter[Any], text: str, found: list[str]) -> None:
    assert texts(parameter, text) == found
    assert texts(parameter, row_of(parameter, text).spelled) == found


def test_moments_are_counted_in_steps_of_a_length() -> None:
    found = row_of(p.DateTimeParameter(), "2013-01-01T00..2013-01-02/6h")
    assert [value.hour for value in found] == [0, 6, 12, 18, 0]
    assert found.spelled == "2013-01-01T00:00:00..2013-01-02T00:00:00/6h"


def test_a_day_has_24_hours_also_where_clocks_are_turned() -> None:
    """A range counts values; who wants local hours names them, and aware moments are UTC."""
    assert len(row_of(p.DateHourParameter(), "2013-03-31T00..2013-03-31T23")) == 24
    found = row_of(p.DateTimeParameter(), "2013-03-31T00:00:00+01:00..2013-03-31T04:00:00+02:00/1h")
    assert [value.hour for value in found] == [23, 0, 1, 2]
    assert {value.tzinfo for value in found} == {UTC}


@given(DAYS, st.integers(0, 5000), st.integers(1, 40))
def test_a_span_of_days_reads_back_from_its_text(first: date, days: int, step: int) -> None:
    last = min(date(9999, 12, 31).toordinal(), first.toordinal() + days)
    row = row_of(p.DateParameter(), span(first, date.fromordinal(last), step))
    assert row[0] == first
    assert row[-1] <= date.fromordinal(last) < date.fromordinal(min(row[-1].toordinal() + step, 3652059)) or last == 3652059
    assert list(row) == list(row_of(p.DateParameter(), row.spelled))
    assert [b - a for a, b in pairwise(row)] == [timedelta(step)] * (len(row) - 1)


@given(MOMENTS, st.integers(0, 2000), st.integers(1, 50))
def test_a_span_of_hours_reads_back_from_its_text(first: datetime, hours: int, step: int) -> None:
    parameter = p.DateHourParameter()
    start = parameter.normalize(first)
    last = min(start + timedelta(hours=min(hours, 24)), datetime(9999, 12, 31, 23))
    row = row_of(parameter, span(start, last, timedelta(hours=step)))
    assert list(row) == list(row_of(parameter, row.spelled))
    assert len(row) == int((last - start) / timedelta(hours=1)) // step + 1


@given(DAYS, DAYS, st.integers(1, 30))
def test_a_span_of_months_and_years_has_both_ends(one: date, other: date, step: int) -> None:
    for parameter in (p.MonthParameter(), p.YearParameter()):
        first, last = sorted((parameter.normalize(one), parameter.normalize(other)))
        row = row_of(parameter, span(first, last))
        assert (row[0], row[-1]) == (first, last)
        assert len({*row[:500]}) == min(500, len(row))
        stepped = row_of(parameter, f"{row.spelled}/{step}")
        assert list(stepped) == row[::step]


@given(st.integers(-(2**62), 2**62), st.integers(0, 10**6), st.integers(1, 1000))
def test_a_span_of_numbers_is_python_s_range_with_its_end(first: int, more: int, step: int) -> None:
    row = row_of(p.IntParameter(), f"{first}..{first + more}/{step}")
    assert len(row) == len(range(first, first + more + 1, step))
    assert (row[0], row[-1]) == (first, range(first, first + more + 1, step)[-1])


@given(st.lists(st.sampled_from(Color), min_size=1))
def test_a_list_has_each_value_once_in_the_order_of_its_kind(colors: list[Color]) -> None:
    found = list(row_of(p.EnumParameter(enum=Color), colors))
    assert found == [color for color in Color if color in colors]


@pytest.mark.parametrize(
    ("parameter", "text", "words"),
    [
        (p.DateParameter(), "2013-12-31..2013-01-01", ["2013-12-31..2013-01-01", "earlier one first", "Write 2013-01-01..2013-12-31"]),
        (p.DateParameter(), "2013-01-01..", ["2013-01-01..", "FIRST..LAST", "without an end"]),
        (p.DateParameter(), "..2013-01-01", ["two ends"]),
        (p.DateParameter(), "2013-01-01..2013-02-30", ["'2013-02-30' is not a date", "YYYY-MM-DD"]),
        (p.DateParameter(), "2013-01-01...2013-02-03", ["'.2013-02-03' is not a date"]),
        (p.DateParameter(), "2013-01-01,", ["'' is not a date"]),
        (p.DateParameter(), "yesterday..today", ["'yesterday' is not a date"]),
        (p.DateParameter(), "2013-01-01..2013-02-01/0", ["a step of 1 or more"]),
        (p.DateParameter(), "2013-01-01..2013-02-01/-1", ["a step of 1 or more"]),
        (p.DateParameter(), "2013-01-01..2013-02-01/6h", ["a multiple of that unit"]),
        (p.MonthParameter(), "2013-01..2013-12/2w", ["a step of 1 or more"]),
        (p.MonthParameter(), "2013-01-01..2013-12", ["'2013-01-01' is not a month"]),
        (p.DateTimeParameter(), "2013-01-01..2013-01-02", ["/STEP", "15m"]),
        (p.DateTimeParameter(), "2013-01-01..2013-01-02/7", ["/STEP", "15m"]),
        (p.DateTimeParameter(), "2013-01-01T00+00:00..2013-01-02T00/1h", ["time zone"]),
        (p.IntParameter(), "1..x", ["'x' is not a whole number"]),
        (p.IntParameter(), f"0..{MOST}", ["10,000,001 values", "10,000,000 at most"]),
        (p.FloatParameter(), "0..1", ["a finite number"]),
        (p.ChoiceParameter(choices=["n", "s"]), "n..s", ["one of n, s"]),
        (p.EnumParameter(enum=Color), "WHITE..RED", ["Write RED..WHITE"]),
        (p.OptionalIntParameter(), "1..", ["two ends"]),
        (Weekday(), "fr..tu", ["LAST follows FIRST"]),
        (Weekday(), "fr..xx", ["Weekday cannot read 'xx'"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_range_that_is_none_is_refused_with_what_was_expected(parameter: p.Parameter[Any], text: str, words: list[str]) -> None:
    with pytest.raises(ParameterError) as fault:
        row_of(parameter, text)
    assert [word for word in words if word not in str(fault.value)] == []


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ParameterError, match="one value or more"):
        row_of(p.IntParameter(), [])


# -- several parameters --------------------------------------------------------------------------


class RangedSales(lv.Task):
    day: date
    shop: str
    level: int = 3

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{self.day}-{self.shop}-{self.level}")

    def run(self) -> None:
        self.output().write_text("")


def made(task: lv.Partitions) -> list[str]:
    return [f"{one.day}-{one.shop}-{one.level}" for one in task.requires()]


def test_several_ranges_are_their_product_the_first_slowest() -> None:
    task = partitions(RangedSales, day="2013-01-01..2013-01-02", shop=each("a,b", "c"), level=[1, 2])
    assert made(task) == [f"2013-01-0{day}-{shop}-{level}" for day in (1, 2) for shop in ("a,b", "c") for level in (1, 2)]


def test_newest_first_what_is_of_time_varies_slowest() -> None:
    class Shops(lv.Task):
        shop: str
        day: date

        def run(self) -> None: ...

    task = partitions(Shops, shop=each("a", "b"), day="2013-01-01..2013-01-03", newest_first=True)
    assert [one.day.day for one in task.requires()] == [3, 3, 2, 2, 1, 1]


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
def test_a_place_of_a_product_is_what_walking_to_it_finds(a: int, b: int, c: int) -> None:
    grid = Grid({name: row_of(p.IntParameter(), f"1..{count}") for name, count in (("a", a), ("b", b), ("c", c))})
    assert len(grid) == a * b * c
    assert [grid[at] for at in range(len(grid))] == list(grid)
    assert list(reversed(grid)) == list(grid)[::-1]
    assert grid[-1] == {"a": a, "b": b, "c": c}


def test_a_product_that_is_too_large_is_refused_before_it_is_made() -> None:
    with pytest.raises(ParameterError, match=r"25,000,000 partitions \(day 5,000 x level 5,000\); expected 10,000,000 at most"):
        partitions(RangedSales, day=span(date(2000, 1, 1), date(2000, 1, 1) + timedelta(4999)), shop="x", level="1..5000")


def test_a_range_is_a_task_that_its_texts_bring_back() -> None:
    task = partitions(RangedSales, day=span(date(2013, 1, 1), date(2013, 1, 31), 7), shop=each("a,b", "c"))
    assert task.to_texts() == {
        "of": "RangedSales", "over": '{"day": "2013-01-01..2013-01-31/7", "shop": ["a,b", "c"]}', "newest_first": "False",
    }  # fmt: skip
    assert lv.Partitions.from_texts(task.to_texts()) is task
    assert task.title() == "RangedSales(day=2013-01-01..2013-01-31/7, shop=a,b,c)"
    assert task.family == "levada.Partitions"


def test_two_spellings_of_a_range_are_one_task() -> None:
    one = partitions(RangedSales, day="2013-1-1..2013-1-9", shop="x")
    assert one is partitions(RangedSales, day=span(date(2013, 1, 1), date(2013, 1, 9)), shop=each("x"))


def test_all_that_is_wrong_is_told_together() -> None:
    with pytest.raises(ParameterError, match=r"(?s)RangedSales: day: .*2013-02-01.*\n  level: 'x' is not a whole number"):
        partitions(RangedSales, day="2013-02-01..2013-01-01", shop="a", level="x")
    with pytest.raises(UnknownParameter, match="no parameter days"):
        partitions(RangedSales, days="2013-02-01")


def test_a_hundred_thousand_partitions_are_counted_and_found_before_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hours(lv.Task):
        hour = lv.DateHourParameter()

        def run(self) -> None: ...

    task = partitions(Hours, hour=span(datetime(2000, 1, 1), datetime(2011, 5, 29, 15)))
    asked: list[int] = []
    at = Row.__getitem__
    monkeypatch.setattr(Row, "__getitem__", lambda self, place: asked.append(place) or at(self, place))
    assert len(task.grid()) == 100_000
    assert asked == []
    assert task.grid()[99_999] == {"hour": datetime(2011, 5, 29, 15)}
    walk = task.requires()
    first = next(walk)
    assert first.hour == datetime(2000, 1, 1)
    assert len(Hours._interned) == 1

"""The algebra of date intervals."""

from __future__ import annotations

import copy
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada.params.intervals import Custom, Date, DateInterval, Month, Week, Year

days = st.dates(date(5, 1, 1), date(9990, 1, 1))
grids = st.sampled_from([Date, Week, Month, Year])
customs = st.builds(lambda a, n: Custom(a, a + timedelta(n)), days, st.integers(1, 400))
spans = st.builds(lambda kind, day: kind.from_date(day), grids, days) | customs


@given(days, st.integers(1, 400))
def test_an_interval_reads_back_from_its_text(start: date, length: int) -> None:
    span = DateInterval(start, start + timedelta(length))
    assert DateInterval.parse(str(span)) == span


@given(spans)
def test_every_kind_reads_back_from_its_text_and_survives_copies(span: DateInterval) -> None:
    assert DateInterval.parse(str(span)) == span
    assert type(span).parse(str(span)) == span
    assert copy.copy(span) == copy.deepcopy(span) == span
    assert hash(copy.copy(span)) == hash(span)


@given(spans)
def test_neighbours_meet_and_lead_back(span: DateInterval) -> None:
    assert span.next().date_a == span.date_b
    assert span.prev().date_b == span.date_a
    assert span.next().prev() == span == span.prev().next()
    assert span.prev() < span < span.next()
    assert span.prev() <= span >= span.prev()
    assert not span > span.next()


@given(spans)
def test_an_interval_holds_exactly_its_days(span: DateInterval) -> None:
    dates = span.dates()
    assert dates == list(span)
    assert len(dates) == span.days()
    assert dates[0] == span.date_a
    assert dates[-1] + timedelta(1) == span.date_b
    assert all(day in span for day in dates[:40])
    assert span.date_b not in span
    assert span.date_a - timedelta(1) not in span
    assert datetime.combine(dates[-1], datetime.max.time()) in span
    assert "2013" not in span  # type: ignore[comparison-overlap]


@given(grids, days)
def test_every_day_lies_in_the_interval_of_its_date(kind: type[DateInterval], day: date) -> None:
    span = kind.from_date(day)
    assert day in span
    assert kind.from_date(span.date_a) == span


@given(days)
def test_hours_are_twenty_four_a_day(day: date) -> None:
    hours = list(Week.from_date(day).hours())
    assert len(hours) == 7 * 24
    assert hours[1] - hours[0] == timedelta(hours=1)
    assert hours == sorted(set(hours))


@given(spans, spans)
def test_intervals_are_equal_exactly_when_their_texts_are(one: DateInterval, other: DateInterval) -> None:
    assert (one == other) is (str(one) == str(other))
    if one == other:
        assert hash(one) == hash(other)


def test_kinds_are_not_mixed_up() -> None:
    month = Month(2013, 1)
    assert month != Custom(month.date_a, month.date_b)
    assert Year(2013) != Date(2013, 1, 1)
    with pytest.raises(TypeError, match="no order"):
        _ = month < Year(2013)
    with pytest.raises(ValueError, match="is a Month, not a Week"):
        Week.parse("2013-01")
    with pytest.raises(ValueError, match="not a date interval"):
        DateInterval.parse("2013-1")


@pytest.mark.parametrize(
    "text", ["", "13", "2013-W54", "2013-13", "2013-02-30", "01-01-0001", "2013-02-02-2013-02-01", "20-0001", "2013-W", "２０１３"]
)
def test_texts_that_are_no_interval_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a date interval"):
        DateInterval.parse(text)


def test_intervals_do_not_change() -> None:
    with pytest.raises(AttributeError, match="do not change"):
        Year(2013).date_a = date(2014, 1, 1)


def test_the_calendars_ends_are_told() -> None:
    with pytest.raises(ValueError, match="9999"):
        Year(9999)
    with pytest.raises(ValueError, match="9999"):
        Month(9999, 11).next()
    with pytest.raises(ValueError, match="first"):
        Year(1).prev()
    with pytest.raises(ValueError, match="before it begins"):
        Custom(date(2013, 1, 2), date(2013, 1, 1))


def test_weeks_are_those_of_iso_8601() -> None:
    assert str(Week.from_date(date(2008, 12, 29))) == "2009-W01"
    assert str(Week.from_date(date(2010, 1, 3))) == "2009-W53"
    assert Week(2013, 52).next() == Week(2014, 1)

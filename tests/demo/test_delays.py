"""What the demo's tasks compute: sums by carrier, and the table of them."""

from __future__ import annotations

import io
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.flights.delays import Row, Sums, add_day, read_table, table, write_table

HEADER = "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight\n"


def day(*flights: tuple[str, str, str]) -> list[str]:
    """A day's raw CSV of (departure delay, arrival delay, carrier)."""
    return [HEADER, *(f"2013,1,5,517,515,{dep},830,819,{arr},{carrier},1545\n" for dep, arr, carrier in flights)]


def added(*days: list[str]) -> list[Row]:
    sums: dict[str, Sums] = {}
    for lines in days:
        add_day(lines, sums)
    return table(sums)


def test_days_add_up_by_carrier_in_order_of_the_carriers_code() -> None:
    rows = added(day(("2", "11", "UA"), ("-4", "-9", "AA")), day(("5", "20", "UA")))
    assert rows == [Row("AA", 1, 0, -4.0, -9.0), Row("UA", 2, 0, 3.5, 15.5)]


@pytest.mark.parametrize("unknown", ["", "NA"])
def test_a_flight_that_never_left_is_cancelled_and_has_no_say_in_the_means(unknown: str) -> None:
    assert added(day((unknown, unknown, "UA"), ("10", "20", "UA"))) == [Row("UA", 2, 1, 10.0, 20.0)]


def test_a_diverted_flight_counts_for_the_departure_alone() -> None:
    assert added(day(("10", "NA", "UA"), ("20", "4", "UA"))) == [Row("UA", 2, 0, 15.0, 4.0)]


def test_a_carrier_whose_flights_were_all_cancelled_has_no_means() -> None:
    rows = added(day(("", "", "YV")))
    assert rows == [Row("YV", 1, 1, None, None)]


def test_a_raw_file_without_the_columns_is_an_error_not_an_empty_table() -> None:
    with pytest.raises(ValueError, match="carrier"):
        added(["<html>\n", "<p>Sorry\n"])


minutes = st.none() | st.integers(-10_000, 10_000).map(lambda hundredths: hundredths / 100)
rows = st.builds(Row, st.text("ABC9", min_size=2, max_size=2), st.integers(0, 9999), st.integers(0, 99), minutes, minutes)


@given(st.lists(rows))
def test_a_table_reads_back_from_its_text(rows: list[Row]) -> None:
    out = io.StringIO()
    write_table(out, rows)
    assert read_table(io.StringIO(out.getvalue())) == rows


@given(st.lists(st.lists(st.tuples(minutes, minutes, st.sampled_from(["UA", "AA"])), max_size=4), max_size=4), st.randoms())
def test_the_order_of_the_days_changes_nothing(flights: list[list[tuple[float | None, float | None, str]]], random: Random) -> None:
    days = [day(*((text(dep), text(arr), carrier) for dep, arr, carrier in one)) for one in flights]
    shuffled = list(days)
    random.shuffle(shuffled)
    assert added(*days) == added(*shuffled)


def text(value: float | None) -> str:
    return "NA" if value is None else str(round(value))

"""Fire times of schedules: start, end, jitter, notes, and what clocks do."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st

from levada._model.triggers import Cron, Every, Rule, Trigger, When
from levada._server.schedule import Schedule


def schedule(when: When, **more: object) -> Schedule:
    return Schedule(Trigger("daily", "Report", (), when)._replace(**more))


def fires(of: Schedule, start: str, stop: str, most: int = 100) -> list[str]:
    zone = of.calendar.zone
    begin, end = (datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() for text in (start, stop))
    return [datetime.fromtimestamp(fire, zone).strftime("%m-%dT%H:%M%z") for fire in of.between(begin, end, most)]


def test_times_that_clocks_skip_fire_once_right_after() -> None:
    several = schedule(Cron("0,30 2 * * *", "Europe/Berlin"))
    assert fires(several, "2024-03-30T12:00", "2024-03-31T12:00") == ["03-31T03:00+0200"]
    assert several.note(datetime(2024, 3, 31, 1, tzinfo=UTC).timestamp()) == "clocks skip 02:00 and 1 more, fires at 03:00"
    both = schedule(Cron("0 2,3 * * *", "Europe/Berlin"))
    assert fires(both, "2024-03-30T12:00", "2024-03-31T12:00") == ["03-31T03:00+0200"]


def test_a_time_that_comes_twice_fires_the_first_time() -> None:
    line = schedule(Cron("30 2 * * *", "Europe/Berlin"))
    assert fires(line, "2024-10-26T12:00", "2024-10-27T12:00") == ["10-27T02:30+0200"]
    assert line.note(datetime(2024, 10, 27, 0, 30, tzinfo=UTC).timestamp()) == "first of two 02:30"


def test_who_asks_within_the_second_of_two_hours_is_not_sent_back() -> None:
    line = schedule(Cron("15,45 2 * * *", "Europe/Berlin"))
    second = datetime(2024, 10, 27, 1, 20, tzinfo=UTC).timestamp()
    assert line.after(second) == datetime(2024, 10, 28, 1, 15, tzinfo=UTC).timestamp()


def test_a_line_with_a_wildcard_follows_the_minutes_that_come() -> None:
    line = schedule(Cron("*/30 2 * * *", "Europe/Berlin"))
    assert fires(line, "2024-03-30T12:00", "2024-03-31T12:00") == []
    assert fires(line, "2024-10-26T12:00", "2024-10-27T12:00") == [
        "10-27T02:00+0200",
        "10-27T02:30+0200",
        "10-27T02:00+0100",
        "10-27T02:30+0100",
    ]
    assert line.note(datetime(2024, 10, 27, 1, 30, tzinfo=UTC).timestamp()) == "second of two 02:30"


def test_a_day_that_a_zone_skipped_fires_when_the_next_begins() -> None:
    """Samoa had no 30 December 2011."""
    line = schedule(Cron("0 6 * * *", "Pacific/Apia"))
    assert fires(line, "2011-12-29T00:00", "2011-12-31T12:00") == ["12-29T06:00-1000", "12-31T00:00+1400", "12-31T06:00+1400"]


def test_a_schedule_fires_from_its_start_on_and_before_its_end() -> None:
    line = schedule(Cron("0 6 * * *", "Europe/Lisbon"), start="2024-01-02T06:00", end="2024-01-04T06:00")
    assert fires(line, "2023-01-01T00:00", "2025-01-01T00:00") == ["01-02T06:00+0000", "01-03T06:00+0000"]
    assert line.after(datetime(2024, 1, 3, 6, tzinfo=UTC).timestamp()) is None


def test_an_interval_counts_seconds_from_its_anchor() -> None:
    assert schedule(Every(3600, "Asia/Kathmandu")).after(1.0) == 3600.0
    anchored = schedule(Every(5400, "Asia/Kathmandu", "2024-01-01T00:00"))
    midnight = datetime(2024, 1, 1, tzinfo=ZoneInfo("Asia/Kathmandu")).timestamp()
    assert anchored.after(midnight - 1) == midnight
    assert anchored.after(midnight) == midnight + 5400


def test_jitter_is_drawn_from_the_name_and_the_fire_time() -> None:
    line = schedule(Cron("0 6 * * *", "UTC"), jitter=60.0)
    draws = [line.due(86400.0 * n) - 86400 * n for n in range(100)]
    assert all(0 <= draw < 60 for draw in draws)
    assert len(set(draws)) > 90
    assert draws == [schedule(Cron("0 6 * * *", "UTC"), jitter=60.0).due(86400.0 * n) - 86400 * n for n in range(100)]
    assert schedule(Cron("0 6 * * *", "UTC")).due(5.0) == 5.0


def test_a_rule_runs_on_the_clocks_of_its_zone() -> None:
    rule = schedule(Rule("DTSTART:20240101T023000\nRRULE:FREQ=WEEKLY;BYDAY=SU", "Europe/Berlin"))
    assert fires(rule, "2024-03-20T00:00", "2024-04-08T00:00") == ["03-24T02:30+0100", "03-31T03:00+0200", "04-07T02:30+0200"]


def test_minutes_that_come_again_are_seen_though_the_next_wall_time_lies_a_year_ahead() -> None:
    """25 October 2026 is when clocks are set back in Lisbon; a year later they are not."""
    line = schedule(Cron("*/30 1 25 10 *", "Europe/Lisbon"))
    found = fires(line, "2026-01-01T00:00", "2028-01-01T00:00")
    assert found == ["10-25T01:00+0100", "10-25T01:30+0100", "10-25T01:00+0000", "10-25T01:30+0000", "10-25T01:00+0100", "10-25T01:30+0100"]


def test_a_rare_line_is_found_across_many_changes_of_clocks() -> None:
    line = schedule(Cron("* * 29 2 *", "Europe/Lisbon"))
    assert line.after(datetime(2024, 3, 1, tzinfo=UTC).timestamp()) == datetime(2028, 2, 29, tzinfo=UTC).timestamp()


@given(
    st.sampled_from(["30 2 * * *", "0 0 L * *", "*/7 1-3 * * SUN", "@hourly", "0 12 29 2 *"]),
    st.sampled_from(["Europe/Lisbon", "Australia/Lord_Howe", "Africa/Casablanca", "America/Sao_Paulo", "Africa/Monrovia"]),
    st.floats(-2e9, 4e9),
)
def test_fire_times_rise_and_are_the_same_from_wherever_one_asks(line: str, zone: str, at: float) -> None:
    of = schedule(Cron(line, zone))
    first = of.after(at)
    assert first is not None
    second = of.after(first)
    assert second is not None
    assert at < first < second
    assert of.between(at, second, 10) == [first, second]
    assert of.between(at, second, 1) == [first]
    assert of.after((first + second) / 2) == second
    assert of.before(second) == first
    assert of.before(first + 1e-3) == first


def test_the_fire_before_lies_after_the_start() -> None:
    line = schedule(Cron("0 6 * * *", "UTC"), start="2024-01-02")
    first = datetime(2024, 1, 2, 6, tzinfo=UTC).timestamp()
    assert line.before(first) is None
    assert line.before(first + 7 * 86400 + 1) == first + 7 * 86400
    assert schedule(Cron("0 6 29 2 *", "UTC")).before(first) == datetime(2020, 2, 29, 6, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "rule",
    ["FREQ=MINUTELY;INTERVAL=7", "FREQ=HOURLY;INTERVAL=5", "FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU", "FREQ=MONTHLY",
     "FREQ=SECONDLY;INTERVAL=100", "FREQ=DAILY;COUNT=5000", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,FR;WKST=SU"],
)  # fmt: skip
def test_a_rule_begun_anew_near_a_moment_is_the_rule_from_its_start(rule: str) -> None:
    """dateutil, from DTSTART on, says the same, whether one asks onwards, backwards or from afar."""
    text = f"DTSTART:20200215T013015\nRRULE:{rule}"
    whole: list[float] = []
    for wall in rrulestr(text):
        whole.append(wall.replace(tzinfo=UTC).timestamp())
        if len(whole) == 3000:
            break
    of = schedule(Rule(text, "UTC"))
    assert of.between(whole[0] - 1, whole[-1], 3000) == whole
    for at in (whole[2000], whole[5], whole[2990] + 0.5, whole[0] - 1e6, whole[1500]):
        assert of.after(at) == whole[bisect_right(whole, at)]


def test_a_rule_may_have_dates_of_its_own_and_leave_some_out() -> None:
    text = "DTSTART:20240101T060000\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20240102T060000\nRDATE:20240110T060000"
    assert fires(schedule(Rule(text, "Asia/Tokyo")), "2023-01-01T00:00", "2025-01-01T00:00") == [
        "01-01T06:00+0900",
        "01-03T06:00+0900",
        "01-10T06:00+0900",
    ]
    assert schedule(Rule(text, "Asia/Tokyo")).after(2e9) is None


def test_until_is_a_moment_in_utc_as_the_standard_has_it() -> None:
    text = "DTSTART;TZID=Asia/Tokyo:20240101T060000\nRRULE:FREQ=DAILY;UNTIL=20240102T210000Z"
    assert fires(schedule(Rule(text, "Asia/Tokyo")), "2023-01-01T00:00", "2025-01-01T00:00")[-1] == "01-03T06:00+0900"

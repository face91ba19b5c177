"""Fire times of schedules: start, end, jitter, notes, and what clocks do."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

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

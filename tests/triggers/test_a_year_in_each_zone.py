"""A year in each of fourteen zones: schedules fire exactly when a second computation says, which shares nothing with the first.

It walks all minutes of the year and notes what the wall shows at each (zoneinfo is all that it believes). From
that, and from the stated rule, it makes the list of fire times of a schedule, whose meaning is given beside it as plain
sets and a function of the day: no cron line and no recurrence rule is read here.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from levada._model.triggers import Cron, Every, Rule, Trigger, When
from levada._server.schedule import Schedule

ZONES = {
    "UTC": 2024,
    "Europe/Lisbon": 2024,
    "America/New_York": 2023,
    "America/Sao_Paulo": 2018,  # clocks set forward at midnight
    "Australia/Lord_Howe": 2024,  # by half an hour
    "Asia/Kathmandu": 2024,  # +05:45
    "Asia/Kolkata": 1945,  # +06:30 until October
    "Africa/Casablanca": 2024,  # back for Ramadan
    "Pacific/Apia": 2011,  # without 30 December
    "Pacific/Chatham": 2024,  # +12:45, south
    "America/Caracas": 2016,  # changed its rules: from -04:30 to -04:00 in May
    "America/Scoresbysund": 2024,  # changed its rules: another offset, and clocks set on the same night
    "Asia/Pyongyang": 2018,  # changed its rules: from +08:30 to +09:00 in May
    "Antarctica/Troll": 2024,  # by two hours
}
QUICK = ("UTC", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe")  # CI plays all
PLAYED = [zone if zone in QUICK else pytest.param(zone, marks=pytest.mark.slow) for zone in ZONES]
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(1)


class Stretch(NamedTuple):
    """Clocks that are not set: what the wall shows first, what it would show next when they are set, and how far it is from UTC."""

    first: datetime
    next: datetime
    offset: timedelta


class Year(NamedTuple):
    start: datetime  # naive UTC, like all instants here
    stop: datetime
    stretches: list[Stretch]

    def comes(self, wall: datetime) -> list[datetime]:
        """All instants at which the wall shows this."""
        return [wall - each.offset for each in self.stretches if each.first <= wall < each.next]


@cache
def walked(name: str) -> Year:
    """The stretches of a year, from a walk through all of its minutes; a day more at either end.

    An hour that begins and ends with the same offset is passed over: nobody sets clocks twice in an hour.
    """
    zone, year = ZoneInfo(name), ZONES[name]
    start, stop = datetime(year, 1, 1) - DAY, datetime(year + 1, 1, 1) + DAY
    first = int(start.replace(tzinfo=UTC).timestamp())
    stretches: list[Stretch] = []
    last, begin = None, start
    for hour in range(0, int((stop - start) / MINUTE), 60):
        if last is not None and last == datetime.fromtimestamp(first + 60 * (hour + 59), zone).utcoffset():
            continue
        for at in range(hour, hour + 60):
            offset = datetime.fromtimestamp(first + 60 * at, zone).utcoffset()
            if offset != last:
                if last is not None:
                    stretches.append(Stretch(begin + last, start + MINUTE * at + last, last))
                last, begin = offset, start + MINUTE * at
    assert last is not None
    stretches.append(Stretch(begin + last, stop + last, last))
    return Year(datetime(year, 1, 1), datetime(year + 1, 1, 1), stretches)


def seconds(instants: Iterable[datetime]) -> list[float]:
    return [(each - datetime(1970, 1, 1)) / timedelta(seconds=1) for each in instants]


def by_wall(year: Year, walls: Iterable[datetime]) -> list[datetime]:
    """Each time on the wall once: the first of two; one that never comes as soon as the wall goes on after it."""
    fires = set()
    for wall in walls:
        comes = year.comes(wall)
        later = [each.first - each.offset for before, each in pairwise(year.stretches) if before.next <= wall < each.first]
        fires.update(comes[:1] or later)
    return within(year, fires)


def as_it_comes(year: Year, walls: Iterable[datetime]) -> list[datetime]:
    """Each minute that comes and shows one of these."""
    return within(year, {instant for wall in walls for instant in year.comes(wall)})


def within(year: Year, fires: Iterable[datetime]) -> list[datetime]:
    return sorted(fire for fire in fires if year.start < fire <= year.stop)


def walls(year: Year, minutes: Iterable[int], hours: Iterable[int], day: Callable[[date], bool]) -> list[datetime]:
    """All times on walls of these minutes and hours, on days that fit; whether they ever come or not."""
    first = year.start - 2 * DAY
    days = [first + DAY * n for n in range((year.stop - first).days + 2)]
    return [each + HOUR * hour + MINUTE * minute for each in days if day(each.date()) for hour in hours for minute in minutes]


def any_day(day: date) -> bool:
    return True


def is_sunday(day: date) -> bool:
    return day.isoweekday() == 7


def is_last(day: date) -> bool:
    return (day + DAY).day == 1


def is_last_friday(day: date) -> bool:
    return day.isoweekday() == 5 and (day + 7 * DAY).month != day.month


def is_13th_or_friday(day: date) -> bool:
    return day.day == 13 or day.isoweekday() == 5


def is_odd_and_monday(day: date) -> bool:
    return day.day % 2 == 1 and day.isoweekday() == 1


ALL, Q = range(24), (0, 15, 30, 45)
# line, how it follows clocks, minutes, hours, day
LINES: dict[str, tuple[object, Iterable[int], Iterable[int], Callable[[date], bool]]] = {
    "0 6 * * *": (by_wall, [0], [6], any_day),
    "30 2 * * *": (by_wall, [30], [2], any_day),
    "0,15,30,45 0-3 * * *": (by_wall, Q, range(4), any_day),
    "5 0 * * SUN": (by_wall, [5], [0], is_sunday),
    "59 23 L * *": (by_wall, [59], [23], is_last),
    "45 2,14 * 3-5,9-11 *": (by_wall, [45], [2, 14], lambda day: day.month in (3, 4, 5, 9, 10, 11)),
    "0 0 13 * FRI": (by_wall, [0], [0], is_13th_or_friday),
    "30 1 29 2 *": (by_wall, [30], [1], lambda day: (day.month, day.day) == (2, 29)),
    "10 4 */2 * MON": (by_wall, [10], [4], is_odd_and_monday),
    "0 9 * * MON#2": (by_wall, [0], [9], lambda day: day.isoweekday() == 1 and 8 <= day.day <= 14),
    "@daily": (by_wall, [0], [0], any_day),
    "7 * * * *": (as_it_comes, [7], ALL, any_day),
    "*/30 * * * *": (as_it_comes, [0, 30], ALL, any_day),
    "*/20 1-2 * * *": (as_it_comes, [0, 20, 40], [1, 2], any_day),
    "* 2 25-31 3,10 SUN": (as_it_comes, range(60), [2], lambda day: day.month in (3, 10) and (day.day >= 25 or is_sunday(day))),
    "30 */3 * * *": (as_it_comes, [30], range(0, 24, 3), any_day),
}
RULES = {
    "FREQ=DAILY": ([30], [2], any_day),
    "FREQ=WEEKLY;BYDAY=SU;BYHOUR=0,2": ([30], [0, 2], is_sunday),
    "FREQ=MONTHLY;BYDAY=-1FR": ([30], [2], is_last_friday),
    "FREQ=HOURLY;INTERVAL=2": ([30], range(0, 24, 2), any_day),
    "FREQ=YEARLY;BYMONTH=3,10;BYMONTHDAY=-1": ([30], [2], lambda day: day.month in (3, 10) and is_last(day)),
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1": (
        [30], [2], lambda day: day.isoweekday() < 6 and (day.day == 1 or (day.isoweekday() == 1 and day.day < 4)),
    ),
}  # fmt: skip


def agree(when: When, expected: list[datetime], year: Year, dice: random.Random) -> None:
    """The schedule fires when expected: asked for all, and asked from wherever, most often near where clocks are set."""
    schedule = Schedule(Trigger("t", "Family", (), when))
    start, stop = seconds([year.start, year.stop])
    wanted = seconds(expected)
    found = schedule.between(start, stop, len(wanted) + 2)
    odd = sorted(set(found) ^ set(wanted))
    assert found == wanted, (when, [datetime.fromtimestamp(fire, UTC) for fire in odd[:5]])
    if not wanted:
        return
    set_at = seconds(each.first - each.offset for each in year.stretches[1:]) or [start]
    for _ in range(30):
        at = dice.choice([dice.uniform(start, wanted[-1] - 1), dice.choice(wanted), dice.choice(set_at) + dice.randint(-99, 99) * 60.0])
        at = min(max(at, start), wanted[-1] - 1)
        assert schedule.after(at) == wanted[bisect_right(wanted, at)], datetime.fromtimestamp(at, UTC)


@pytest.mark.parametrize("zone", PLAYED)
def test_cron_lines_fire_as_the_wall_says(zone: str) -> None:
    year, dice = walked(zone), random.Random(zone)
    for line, (follows, minutes, hours, day) in LINES.items():
        agree(Cron(line, zone), follows(year, walls(year, minutes, hours, day)), year, dice)  # type: ignore[operator]


@pytest.mark.parametrize("zone", PLAYED)
def test_rules_fire_as_the_wall_says(zone: str) -> None:
    year, dice = walked(zone), random.Random(zone)
    for rule, (minutes, hours, day) in RULES.items():
        text = f"DTSTART:{year.start.year - 7}0104T023000\nRRULE:{rule}"
        agree(Rule(text, zone), by_wall(year, walls(year, minutes, hours, day)), year, dice)
    begin = datetime(year.start.year - 2, 3, 1, 0, 1)
    each = [begin + 50 * MINUTE * n for n in range(int((year.stop + 2 * DAY - begin) / MINUTE) // 50)]
    text = f"DTSTART:{begin:%Y%m%dT%H%M%S}\nRRULE:FREQ=MINUTELY;INTERVAL=50"
    agree(Rule(text, zone), by_wall(year, [wall for wall in each if wall > year.start - 2 * DAY]), year, dice)


@pytest.mark.parametrize("zone", PLAYED)
def test_intervals_count_seconds_whatever_clocks_do(zone: str) -> None:
    year, dice = walked(zone), random.Random(zone)
    for each in (3600.0, 86400.0, 5000.5):
        anchor = year.stretches[0].first - year.stretches[0].offset
        step = timedelta(seconds=each)
        expected = [anchor + step * n for n in range(1, int((year.stop - anchor) / step) + 1)]
        agree(Every(each, zone, anchor.isoformat() + "+00:00"), within(year, expected), year, dice)


def test_the_zones_are_worth_it() -> None:
    """Clocks are set forward and back, by half an hour to a day, north and south; three zones changed their rules that year."""
    steps = {name: [b.offset - a.offset for a, b in pairwise(walked(name).stretches)] for name in ZONES}
    assert {step for each in steps.values() for step in each} >= {-2 * HOUR, -HOUR, -HOUR / 2, HOUR / 2, HOUR, 2 * HOUR, DAY}
    assert steps["America/Caracas"] == steps["Asia/Pyongyang"] == [HOUR / 2]

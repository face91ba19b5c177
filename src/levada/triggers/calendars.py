"""When schedules fire: cron lines, intervals and recurrence rules on the clocks of a zone. Pure: no clock is read.

The rule for clocks that are set forward or back, whatever the reason and by however much:

* An **interval** counts seconds that pass. Clocks are nothing to it.
* A **line of fixed times** (neither its minute nor its hour begins with ``*``) and a **recurrence rule** name times on the
  wall. One that is skipped fires as soon as clocks show a whole minute again, once for all that were skipped. One that comes twice
  fires the first time.
* A **line with a wildcard** (minute or hour begins with ``*``) fires at each minute that really comes and whose time on the wall
  it names: none for what is skipped, two for what comes twice.

So it is with Debian's cron for changes of up to three hours; here it holds for all. No two fire times are equal; each is later than
the one before. A line is read by cronsim, a rule by dateutil; the search is ours, since theirs, begun within a doubled hour, goes back.

The search is cheap: some microseconds a fire. A wall time is a naive datetime, an instant whole microseconds since 1970 (UTC).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, cast

from .._model.triggers import Cron, Every, Rule, When, instant, zone_of
from ..errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from cronsim import CronSim

MICRO = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(1)
US = 1_000_000
EPOCH = datetime(1970, 1, 1)
LATEST = datetime(9998, 12, 31)  # beyond it there is no room for an offset
HORIZON = 50  # years without a fire, after which a line is taken to fire never again: cronsim's own
SHIFT = 26 * 3600 * US  # clocks are never set by more than a day, nor twice within this time: at least four days lie between
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
RANGES = ("0-59", "0-23", "1-31, L or LW", "1-12 or JAN-DEC", "0-7 or SUN-SAT, such as MON#2, 5L")


class Calendar(Protocol):
    """The fire times of a schedule, from the first that there is to the last."""

    zone: ZoneInfo

    def after(self, at: int) -> int | None:
        """The first fire later than ``at``; None: never again."""
        ...

    def note(self, fire: int) -> str:
        """What clocks had to do with a fire; "" for nothing."""
        ...


def calendar_of(when: When, where: str = "when") -> Calendar:
    """The calendar of a schedule. Raises ConfigError: what is wrong with it, what was expected; also where it never fires."""
    if isinstance(when, Cron):
        return Line(when, where)
    if isinstance(when, Every):
        return Interval(when, where)
    if isinstance(when, Rule):
        return Recurrence(when, where)
    raise ConfigError(f"{where} is {when!r:.80}, which has no fire times", hint="Schedules are cron lines, intervals and rules.")


# -- instants and walls ------------------------------------------------------------------------------


def wall_of(at: int, zone: ZoneInfo) -> datetime:
    """The time on the wall at an instant."""
    return (EPOCH + timedelta(microseconds=at)).replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(at: int, zone: ZoneInfo) -> int:
    wall = wall_of(at, zone)
    return (wall - EPOCH) // MICRO - at


def _shown(wall: datetime, zone: ZoneInfo) -> tuple[int, int]:
    """The instants by the offsets before and after a change of clocks; equal where there is none near."""
    local = (wall - EPOCH) // MICRO
    first, second = wall.replace(tzinfo=zone, fold=0).utcoffset(), wall.replace(tzinfo=zone, fold=1).utcoffset()
    return local - cast(timedelta, first) // MICRO, local - cast(timedelta, second) // MICRO


def _change(low: int, high: int, zone: ZoneInfo) -> int:
    """The first second with the offset of ``high``, where ``low`` has another one and clocks are set once between them."""
    low, high = low // US, -(-high // US)
    wanted = _offset(high * US, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle * US, zone) == wanted:
            high = middle
        else:
            low = middle
    return high * US


def first_shown(wall: datetime, zone: ZoneInfo) -> int:
    """When a wall time is there: the first of two; for one that clocks skip, the first whole minute that they show after it."""
    first, second = _shown(wall, zone)
    if first <= second:
        return first
    change = _change(second, first, zone)
    seconds = wall_of(change, zone).second
    return change + (60 - seconds) % 60 * US


def _is_skipped(wall: datetime, zone: ZoneInfo) -> bool:
    first, second = _shown(wall, zone)
    return first > second


def _doubled(fire: int, zone: ZoneInfo) -> str:
    """Which of two equal times on the wall an instant is; "" where there is one."""
    wall = wall_of(fire, zone)
    first, second = _shown(wall, zone)
    if first >= second:
        return ""
    return f"{'first' if fire == first else 'second'} of two {_clock(wall)}"


def _clock(wall: datetime) -> str:
    return wall.isoformat(timespec="seconds" if wall.second else "minutes").partition("T")[2]


class _Walls:
    """The law of times on the wall, for lines of fixed times and for rules. ``walls`` gives wall times from one on, rising."""

    zone: ZoneInfo

    def walls(self, start: datetime) -> Iterator[datetime]:
        raise NotImplementedError

    def after(self, at: int) -> int | None:
        """The first fire later than ``at``."""
        zone = self.zone
        try:
            for wall in self.walls(wall_of(at, zone).replace(second=0, microsecond=0)):
                fire = first_shown(wall, zone)
                if fire > at:
                    return fire
        except OverflowError:  # the calendar's end
            pass
        return None

    def note(self, fire: int) -> str:
        """Whether its time was skipped or comes twice."""
        zone = self.zone
        shown = wall_of(fire, zone)
        before = wall_of(fire - US, zone)
        if shown - before > 2 * MICRO * US:  # clocks were set forward just before
            skipped = []
            for wall in self.walls(before.replace(second=0, microsecond=0)):
                if wall >= shown:
                    break
                if _is_skipped(wall, zone):
                    skipped.append(wall)
            if skipped:
                several = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
                return f"clocks skip {_clock(skipped[0])}{several}, fires at {_clock(shown)}"
        return _doubled(fire, zone)


# -- cron lines ----------------------------------------------------------------------------------------


class Line(_Walls):
    """A cron line on the clocks of a zone."""

    def __init__(self, cron: Cron, where: str) -> None:
        self.zone = zone_of(cron.zone, f"{where}: zone")
        text = NICKNAMES.get(cron.line.strip().lower(), cron.line)
        self.cron = _read_line(text, cron.line, where)
        minute, hour, *_ = text.split()
        self.by_wall = not minute.startswith("*") and not hour.startswith("*")
        self.minutes, self.hours = sorted(self.cron.minutes), sorted(self.cron.hours)
        if self.match(datetime(2000, 1, 1)) is None:
            raise _never(cron.line, where)

    def after(self, at: int) -> int | None:
        """The first fire later than ``at``."""
        if self.by_wall:
            return super().after(at)
        try:
            return self._really_after(at)
        except OverflowError:  # the calendar's end
            return None

    def _really_after(self, at: int) -> int | None:
        """The first minute that really comes and that the line names.

        Wall times between here and the next that is named are none of its own, so only clocks set back right here, or set at all
        before that one, can change the answer: it looks a day ahead, or goes on from a day before it.
        """
        zone = self.zone
        at -= at % US
        while True:
            here = wall_of(at, zone)
            offset = (here - EPOCH) // MICRO - at
            wall = self.match(here.replace(second=0) + MINUTE)
            if wall is None:
                return None
            fire = (wall - EPOCH) // MICRO - offset
            near = min(fire, at + SHIFT)
            if _offset(near, zone) != offset:
                at = _change(at, near, zone)
                start = wall_of(at, zone)
                if not start.second and self.match(start) == start:
                    return at
            elif near == fire:
                return fire
            else:
                at = fire - SHIFT

    def walls(self, start: datetime) -> Iterator[datetime]:
        """Wall times that the line names, from ``start`` on."""
        wall = self.match(start)
        while wall is not None:
            yield wall
            wall = self.match(wall + MINUTE)

    def match(self, start: datetime) -> datetime | None:
        """The first wall time at or after ``start``, a whole minute; None: not within 50 years."""
        day, hour, minute = start.date(), start.hour, start.minute
        if self._fits(day):
            at = bisect_left(self.hours, hour)
            if at < len(self.hours):
                if self.hours[at] == hour:
                    later = bisect_left(self.minutes, minute)
                    if later < len(self.minutes):
                        return datetime(day.year, day.month, day.day, hour, self.minutes[later])
                    at += 1
                if at < len(self.hours):
                    return datetime(day.year, day.month, day.day, self.hours[at], self.minutes[0])
        found = self._day(day + DAY)
        return datetime(found.year, found.month, found.day, self.hours[0], self.minutes[0]) if found else None

    def _fits(self, day: date) -> bool:
        return day.month in self.cron.months and self.cron.match_day(day)

    def _day(self, day: date) -> date | None:
        months, match = self.cron.months, self.cron.match_day
        last = min(day.year + HORIZON, LATEST.year)
        while day.year <= last:
            if day.month not in months:
                day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
            elif match(day):
                return day
            else:
                day += DAY
        return None

    def note(self, fire: int) -> str:
        """Whether its time was skipped or comes twice."""
        return super().note(fire) if self.by_wall else _doubled(fire, self.zone)


@lru_cache(4096)
def _simulated(line: str) -> CronSim:
    from cronsim import CronSim

    return CronSim(line, datetime(2000, 1, 1))


def _read_line(text: str, written: str, where: str) -> CronSim:
    from cronsim import CronSimError

    fields = text.split()
    if len(fields) != 5:
        hint = f"Words there are, too: {', '.join(NICKNAMES)}." if text.startswith("@") else "Such as `0 6 * * *`: each day at 06:00."
        raise ConfigError(f"{where}: {written!r} has {len(fields)} fields; expected five: {', '.join(FIELDS)}", hint=hint)
    try:
        return _simulated(" ".join(fields))
    except (CronSimError, ValueError, AssertionError) as fault:
        for name, field, span, alone in zip(FIELDS, fields, RANGES, range(5), strict=True):
            try:
                _simulated(" ".join(field if at == alone else "*" for at in range(5)))
            except (CronSimError, ValueError, AssertionError):
                raise ConfigError(
                    f"{where}: {written!r}: the {name} is {field!r}; expected {span}, a list (1,15), a range (1-5), a step (*/10) or *"
                ) from fault
        raise _never(written, where) from fault


def _never(line: str, where: str) -> ConfigError:
    return ConfigError(
        f"{where}: {line!r} never fires: no month that it names has such a day",
        hint="For the last day of a month write L as its day: `0 6 L * *`.",
    )


# -- intervals -------------------------------------------------------------------------------------------


class Interval:
    """Each so-many seconds."""

    def __init__(self, every: Every, where: str) -> None:
        self.zone = zone_of(every.zone, f"{where}: zone")
        self.step = round(every.seconds * US)
        if self.step < US:
            raise ConfigError(f"{where}: it is to fire every {every.seconds:g} s; expected 1 second or more")
        self.anchor = round(instant(every.at, self.zone, f"{where}: at") * US) if every.at else 0

    def after(self, at: int) -> int | None:
        """The first fire later than ``at``."""
        return at + self.step - (at - self.anchor) % self.step

    def note(self, fire: int) -> str:
        """Which of two equal times on the wall it is."""
        return _doubled(fire, self.zone)


# -- recurrence rules --------------------------------------------------------------------------------------

UNTIL = r"(?i)(UNTIL=)(\d{8}T\d{6})Z"
START = r"(?im)^DTSTART(?:;TZID=([^:;\s]+))?:(\d{8}T\d{6})(Z?)$"
RULES = r"(?im)^(?:RRULE:)?(FREQ=[^\n]*|[^\n:]*;FREQ=[^\n]*)$"
UNITS = {"DAILY": DAY, "WEEKLY": 7 * DAY, "HOURLY": timedelta(hours=1), "MINUTELY": MINUTE, "SECONDLY": timedelta(seconds=1)}
MOST = 256  # wall times kept
STEPS = 50_000  # times of a rule that are gone through to find one; with COUNT from DTSTART on
DAYS = ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY", "BYWEEKDAY", "BYEASTER")  # what names days
WEEK = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
LINES = ("DTSTART", "RRULE", "RDATE", "EXDATE")
MOST_RULES = 10  # of one text
LONGEST_INTERVAL = 100_000_000
IN_A_DAY = {"HOURLY": 24, "MINUTELY": 1_440, "SECONDLY": 86_400}
SEEN_DAYS = 500  # of those that a rule names
RAREST = 366  # days between two of a rule by the hour, minute or second
EFFORT = 200_000  # hours, minutes or seconds that are looked at to find one time of a rule
FAULTS = (ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError)  # of dateutil, for what it cannot read


class Recurrence(_Walls):
    """A recurrence rule on the clocks of a zone.

    A rule without COUNT is begun anew near the moment that is asked for, a whole number of its periods after DTSTART, so that a rule
    by the minute from long ago costs what a new one does. Wall times that were asked for are kept, for the next question is mostly
    the one after.
    """

    def __init__(self, rule: Rule, where: str) -> None:
        self.zone = zone_of(rule.zone, f"{where}: zone")
        self.where, self.written = where, rule.text
        self.text, self.start = self._read(rule)
        found = re.findall(RULES, self.text)
        parts = dict(part.upper().split("=", 1) for part in found[0].split(";") if "=" in part) if len(found) == 1 else {}
        only = len(self.text.split("\n")) == 2 and "COUNT" not in parts
        if len(found) > MOST_RULES:
            raise self._wrong(f"at most {MOST_RULES} lines RRULE")
        self.period = UNITS.get(parts.get("FREQ", "")) if only else None
        if self.period is not None:
            self.period *= self._interval(parts)
        self.known: list[datetime] = []
        self.coming: Iterator[datetime] | None = None
        self._parsed(self.start)
        try:
            for line in found:
                self._has_times(dict(part.upper().split("=", 1) for part in line.split(";") if "=" in part), begun_anew=only)
        except FAULTS as fault:
            raise self._wrong("a rule that names times", f"dateutil says: {fault}") from fault
        first = next(self.walls(self.start), None)
        if first is None:
            raise ConfigError(f"{where}: {rule.text!r} never fires", hint="Does UNTIL lie before DTSTART, or is there no such day?")

    def _read(self, rule: Rule) -> tuple[str, datetime]:
        """The text with local times alone, and DTSTART."""
        lines = rule.text.replace("\\n", "\n").split()
        for line in lines:
            name = re.split("[:;]", line)[0] if ":" in line else "RRULE"
            if name.upper() not in LINES:
                raise self._wrong(f"lines {', '.join(LINES)}, and none {name[:80]!r}", "EXDATE leaves single times out.")
        text = "\n".join(lines)
        found = re.findall(START, text)
        if len(found) != 1:
            raise self._wrong("a line DTSTART:20240101T060000, and one RRULE:FREQ=...")
        named, start, utc = found[0]
        if (named and named != rule.zone) or (utc and rule.zone != "UTC"):
            raise self._wrong(f"DTSTART without a zone, or of the zone {rule.zone}", f"The rule runs on the clocks of {rule.zone}.")
        text = re.sub(START, lambda line: f"DTSTART:{line[2]}", text)
        text = re.sub(UNTIL, lambda part: part[1] + self._local(part[2]), text)
        return text, datetime.strptime(start, "%Y%m%dT%H%M%S")

    def _local(self, utc: str) -> str:
        moment = datetime.strptime(utc, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return moment.astimezone(self.zone).strftime("%Y%m%dT%H%M%S")

    def _wrong(self, expected: str, hint: str | None = None) -> ConfigError:
        return ConfigError(f"{self.where}: the rule is {self.written!r}; expected {expected}", hint=hint)

    def _parsed(self, start: datetime) -> Any:
        """dateutil's rule or set of rules, begun at ``start``."""
        try:
            from dateutil.rrule import rrulestr
        except ImportError as cause:
            raise ConfigError(
                f"{self.where}: recurrence rules need python-dateutil, which is not installed here",
                hint="pip install 'levada[rrule]'",
            ) from cause
        text = re.sub(START, f"DTSTART:{start:%Y%m%dT%H%M%S}", self.text)
        try:
            return rrulestr(text, forceset=False)
        except FAULTS as fault:
            raise self._wrong("a rule of RFC 5545, as in RRULE:FREQ=MONTHLY;BYDAY=-1FR", f"dateutil says: {fault}") from fault

    def _interval(self, parts: dict[str, str]) -> int:
        text = parts.get("INTERVAL", "1")
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not 1 <= int(text) <= LONGEST_INTERVAL:
            raise self._wrong(f"an INTERVAL of 1 to {LONGEST_INTERVAL:,}")
        return int(text)

    def _has_times(self, parts: dict[str, str], *, begun_anew: bool) -> None:
        """Whether there is a time that a rule names: dateutil seeks it in each hour or second of 8,000 years.

        Its days are sought in the 400 years after which the calendar comes again.
        """
        self._interval(parts)
        if "BYSETPOS" in parts and parts.get("FREQ") in UNITS and parts["FREQ"] != "WEEKLY":
            day = [len(parts[name].split(",")) if name in parts else 1 for name in ("BYHOUR", "BYMINUTE", "BYSECOND")]
            if parts["FREQ"] != "DAILY" or all(abs(int(one)) > prod(day) for one in re.findall(r"\d+", parts["BYSETPOS"])):
                raise self._wrong("BYSETPOS that chooses among several times of a day, a week, a month or a year")
        named = {name: parts[name] for name in DAYS if name in parts}
        if not named:
            self._refuse_long_search(parts, 1, begun_anew)
            return
        for name in ("BYDAY", "BYWEEKDAY"):
            if name in named:
                named[name] = ",".join(re.findall("[A-Z]{2}", named[name]))
                if parts.get("FREQ") == "DAILY" and not self._interval(parts) % 7 and WEEK[self.start.weekday()] not in named[name]:
                    raise self._wrong(f"{name}={WEEK[self.start.weekday()]}, the day of DTSTART, as INTERVAL is whole weeks")
        from dateutil.rrule import rrulestr

        rule = rrulestr(f"DTSTART:95990101T000000\nRRULE:FREQ=YEARLY;{';'.join(f'{name}={text}' for name, text in named.items())}")
        gap, before = -1, datetime(9599, 1, 1)
        for later in islice(rule, SEEN_DAYS if parts.get("FREQ") in IN_A_DAY else 1):
            gap, before = max(gap, (later - before).days), later
            if gap > RAREST:
                break
        if gap < 0:
            raise ConfigError(f"{self.where}: {self.written!r} never fires: there is no such day")
        self._refuse_long_search(parts, gap, begun_anew)

    def _refuse_long_search(self, parts: dict[str, str], gap: int, begun_anew: bool) -> None:
        """Raises ConfigError where dateutil goes through too many hours, minutes or seconds. gap: days between two that may have a time."""
        timed = any(name in parts for name in ("BYHOUR", "BYMINUTE", "BYSECOND"))
        in_a_day = IN_A_DAY.get(parts.get("FREQ", ""))
        if in_a_day is None:
            return
        least, most = {"MINUTELY": ("BYMINUTE", 24), "SECONDLY": ("BYSECOND", 1_440)}.get(parts["FREQ"], ("", 0))
        looks = most * (parts[least].count(",") + 1) if least in parts else in_a_day
        effort = max(gap, 1) * (looks if timed else 1)
        if in_a_day % self._interval(parts):
            effort *= 24  # not each of these days has one
        if timed and not begun_anew:
            effort *= 1_000  # days since DTSTART
        if effort > EFFORT or gap > RAREST:
            raise self._wrong(
                "a rule whose times need no long search", "Write it by the day: FREQ=DAILY (or YEARLY), with BYHOUR, BYMINUTE and BYSECOND."
            )

    def walls(self, start: datetime) -> Iterator[datetime]:
        """Wall times of the rule, from ``start`` on, each once."""
        at = self._reach(start)
        while True:
            if at == len(self.known):
                wall = self._next()
                if wall is None:
                    self.coming = None
                    return
                if self.known and wall <= self.known[-1]:
                    continue
                self.known.append(wall)
            yield self.known[at]
            at += 1

    def _next(self) -> datetime | None:
        """The next time that dateutil finds. Raises ConfigError: of some rules it sees only now that they cannot be."""
        try:
            return next(self.coming, None) if self.coming is not None else None
        except FAULTS as fault:
            if isinstance(fault, OverflowError):
                raise
            raise self._wrong("a rule that names times", f"dateutil says: {fault}") from fault

    def _reach(self, start: datetime) -> int:
        """Where in ``known`` the wall times from ``start`` on begin."""
        if self.known and self.known[0] <= start <= self.known[-1]:
            if len(self.known) > MOST:
                del self.known[: min(bisect_left(self.known, start), len(self.known) - 1)]
            return bisect_left(self.known, start)
        begin = self.start
        if self.period is not None and start - begin > self.period:
            begin += (start - begin) // self.period * self.period
        self.coming = iter(self._parsed(begin))
        self.known = []
        for step, wall in enumerate(iter(self._next, None)):
            if wall >= start:
                self.known.append(wall)
                break
            if step == STEPS:
                raise ConfigError(
                    f"{self.where}: the rule is {self.written!r}, with more than {STEPS:,} times between DTSTART and {start}",
                    hint="Leave COUNT out, or write UNTIL in its place; or let DTSTART be later.",
                )
        else:
            self.coming = None
        return 0

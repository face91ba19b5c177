"""Days, months, years, and moments to the hour, minute, second or microsecond.

Luigi's kinds cut values to their grid (``interval`` steps from ``start``) and know no time zones: an
aware datetime is refused there, since its text would lose the zone. ``DateTimeParameter`` takes both:
naive ones stay as they are, aware ones become UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import ParameterDefinitionError
from .base import NO_VALUE, OptionalParameterMixin, Parameter, none_is_kept

if TYPE_CHECKING:
    from typing import Unpack

    from .base import NoValue, Options

EPOCH = date(1970, 1, 1)
DAY = timedelta(1)


def _number(text: str, shortest: int, longest: int) -> int:
    """A number of so many ASCII digits; ValueError otherwise (``int`` alone takes signs and underscores)."""
    if not (shortest <= len(text) <= longest and text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def read_day(text: str) -> date:
    """The day of ``YYYY-MM-DD`` (or, as Luigi reads it, ``2013-1-5``); ValueError otherwise."""
    if len(text) == 10 and text[4] == "-" and text[7] == "-":
        return date.fromisoformat(text)
    year, month, day = text.split("-")
    return date(_number(year, 4, 4), _number(month, 1, 2), _number(day, 1, 2))


def as_day(value: date) -> date:
    """A plain ``date`` of the same day, for datetimes and other subclasses too."""
    return value if type(value) is date else date(value.year, value.month, value.day)


# -- days, months, years -----------------------------------------------------------------------


class DateParameter(Parameter[date]):
    """A day, ``2013-01-31``. Datetimes from code are cut to their day.

    interval: only each so-manieth day, counted from ``start`` (default 1970-01-01); others are cut to
    the one before.
    """

    exact = True
    plain = True
    keep = none_is_kept
    takes = "a date"
    expected = "YYYY-MM-DD, e.g. 2013-01-31"

    def __init__(
        self,
        default: date | NoValue = NO_VALUE,
        interval: int = 1,
        start: date | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(default=default, **options)
        if interval < 1:
            raise ParameterDefinitionError(f"interval is {interval!r}; expected 1 or more")
        self.interval = interval
        self.start = EPOCH if start is None else as_day(start)
        self._each = interval == 1

    def parse(self, text: str) -> date:
        """``YYYY-MM-DD``."""
        try:
            value = read_day(text)
        except ValueError:
            return self.misread(text)
        return value if self._each else self._on_grid(value)

    def serialize(self, value: date | None) -> str:
        """``YYYY-MM-DD``."""
        return value.isoformat() if value is not None else "None"

    def normalize(self, value: Any) -> date:
        """A plain ``date`` on the grid."""
        if type(value) is not date:
            if not isinstance(value, date):
                return self.refuse(value)
            value = as_day(value)
        return value if self._each else self._on_grid(value)

    def _on_grid(self, value: date) -> date:
        try:
            return value - timedelta((value - self.start).days % self.interval)
        except OverflowError:
            raise self.wrong(value, f"{self.takes} that the calendar goes back to") from None

    def next_in_enumeration(self, value: date) -> date | None:
        """The next day of the grid; None after the calendar's last."""
        try:
            return value + timedelta(self.interval)
        except OverflowError:
            return None

    def expected_in_code(self) -> str:
        """A date."""
        return "datetime.date(2013, 1, 31)"


class OptionalDateParameter(OptionalParameterMixin[date], DateParameter):  # type: ignore[misc]  # they differ in what __get__ gives
    """A day or None."""

    exact = plain = True
    expected_type = date


class DayParameter(DateParameter):
    """What the annotation ``date`` makes: like DateParameter, but a datetime is refused."""

    exact = plain = True

    def normalize(self, value: Any) -> date:
        """A plain ``date``."""
        if isinstance(value, datetime):
            raise self.wrong(
                value, "a date but a datetime", "datetime.date(2013, 1, 31)", "Write value.date() where the time of day does not matter."
            )
        return super().normalize(value)


class MonthParameter(DateParameter):
    """The first day of a month, ``2013-01``. From code a date or an ``intervals.Month``."""

    exact = plain = True
    takes = "a month"
    expected = "YYYY-MM, e.g. 2013-01"

    def parse(self, text: str) -> date:
        """``YYYY-MM``."""
        try:
            year, month = text.split("-")
            return self._on_grid(date(_number(year, 4, 4), _number(month, 1, 2), 1))
        except ValueError:
            return self.misread(text)

    def serialize(self, value: date | None) -> str:
        """``YYYY-MM``."""
        return value.isoformat()[:7] if value is not None else "None"

    def normalize(self, value: Any) -> date:
        """The first day of the month, on the grid."""
        if not isinstance(value, date):
            from .intervals import Month

            if not isinstance(value, Month):
                return self.refuse(value)
            value = value.date_a
        return self._on_grid(value)

    def _on_grid(self, value: date) -> date:
        ahead = _months(value) - _months(self.start)
        return self._month(_months(value) - ahead % self.interval, value)

    def _month(self, months: int, value: date) -> date:
        if months < 12:
            raise self.wrong(value, f"{self.takes} that the calendar goes back to")
        return date(months // 12, months % 12 + 1, 1)

    def next_in_enumeration(self, value: date) -> date | None:
        """The next month of the grid; None after the calendar's last."""
        months = _months(value) + self.interval
        return date(months // 12, months % 12 + 1, 1) if months < 120_000 else None


def _months(value: date) -> int:
    return value.year * 12 + value.month - 1


class YearParameter(DateParameter):
    """The first day of a year, ``2013``. From code a date or an ``intervals.Year``."""

    exact = plain = True
    takes = "a year"
    expected = "YYYY, e.g. 2013"

    def parse(self, text: str) -> date:
        """``YYYY``."""
        try:
            return self._on_grid(date(_number(text, 4, 4), 1, 1))
        except ValueError:
            return self.misread(text)

    def serialize(self, value: date | None) -> str:
        """``YYYY``."""
        return value.isoformat()[:4] if value is not None else "None"

    def normalize(self, value: Any) -> date:
        """The first day of the year, on the grid."""
        if not isinstance(value, date):
            from .intervals import Year

            if not isinstance(value, Year):
                return self.refuse(value)
            value = value.date_a
        return self._on_grid(value)

    def _on_grid(self, value: date) -> date:
        year = value.year - (value.year - self.start.year) % self.interval
        if year < 1:
            raise self.wrong(value, f"{self.takes} that the calendar goes back to")
        return date(year, 1, 1)

    def next_in_enumeration(self, value: date) -> date | None:
        """The next year of the grid; None after the calendar's last."""
        year = value.year + self.interval
        return date(year, 1, 1) if year < 10_000 else None


# -- moments on a grid -------------------------------------------------------------------------


class _MomentParameter(Parameter[datetime]):
    """A naive datetime, cut to each so-manieth unit counted from ``start`` (default 1970-01-01)."""

    keep = none_is_kept
    unit = timedelta(seconds=1)
    form = ""
    digits = 6

    def __init__(
        self,
        default: datetime | NoValue = NO_VALUE,
        interval: int = 1,
        start: datetime | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(default=default, **options)
        if interval < 1:
            raise ParameterDefinitionError(f"interval is {interval!r}; expected 1 or more")
        self.interval = interval
        self.start = start if start is not None else datetime(1970, 1, 1)
        self._step = self.unit * interval
        if self.start.tzinfo is not None or (self.start - datetime.min) % self.unit:
            raise ParameterDefinitionError(f"start is {self.start}; expected a whole {self.takes.rpartition(' ')[2]} without time zone")

    def parse(self, text: str) -> datetime:
        """Luigi's form; colons between hours, minutes and seconds are fine too."""
        try:
            day, clock = text.split("T")
            value = datetime.combine(read_day(day), self._clock(clock))
        except ValueError:
            return self.misread(text)
        return self.normalize(value)

    def _clock(self, text: str) -> time:
        text = text.replace(":", "")
        if len(text) != self.digits:
            raise ValueError(text)
        hour, minute, second = [_number(text[at : at + 2] or "00", 2, 2) for at in (0, 2, 4)]
        return time(hour, minute, second)

    def serialize(self, value: datetime | None) -> str:
        """The form without colons, which file names can bear."""
        return value.isoformat(timespec=self.form).replace(":", "") if value is not None else "None"

    def normalize(self, value: Any) -> datetime:
        """A naive datetime on the grid; a date is its midnight."""
        if not isinstance(value, datetime):
            if not isinstance(value, date):
                return self.refuse(value)
            value = datetime(value.year, value.month, value.day)
        elif type(value) is not datetime or value.fold:
            value = datetime.combine(value.date(), value.timetz().replace(fold=0))
        if value.tzinfo is not None:
            hint = "Convert it, as in value.astimezone(zone).replace(tzinfo=None), or annotate it as `datetime`, which keeps UTC."
            raise self.wrong(value, f"{self.takes} without time zone", hint=hint)
        try:
            return value - (value - self.start) % self._step  # type: ignore[no-any-return]  # value is Any here
        except OverflowError:
            raise self.wrong(value, f"{self.takes} that the calendar goes back to") from None

    def next_in_enumeration(self, value: datetime) -> datetime | None:
        """The next of the grid; None after the calendar's last."""
        try:
            return value + self._step
        except OverflowError:
            return None

    def expected_in_code(self) -> str:
        """A datetime."""
        return "datetime.datetime(2013, 1, 31, 19)"


class DateHourParameter(_MomentParameter):
    """A moment to the hour, ``2013-01-31T19``."""

    exact = plain = True
    unit = timedelta(hours=1)
    form = "hours"
    digits = 2
    takes = "a date and hour"
    expected = "YYYY-MM-DDTHH, e.g. 2013-01-31T19"


class DateMinuteParameter(_MomentParameter):
    """A moment to the minute, ``2013-01-31T1907``."""

    exact = plain = True
    unit = timedelta(minutes=1)
    form = "minutes"
    digits = 4
    takes = "a date and minute"
    expected = "YYYY-MM-DDTHHMM, e.g. 2013-01-31T1907"

    def _clock(self, text: str) -> time:
        if len(text) == 5 and text[2] == "H":
            import warnings

            warnings.warn('Using "H" between hours and minutes is deprecated, omit it instead.', DeprecationWarning, stacklevel=4)
            text = text[:2] + text[3:]
        return super()._clock(text)


class DateSecondParameter(_MomentParameter):
    """A moment to the second, ``2013-01-31T190738``."""

    exact = plain = True
    unit = timedelta(seconds=1)
    form = "seconds"
    digits = 6
    takes = "a date, time and second"
    expected = "YYYY-MM-DDTHHMMSS, e.g. 2013-01-31T190738"


# -- any moment --------------------------------------------------------------------------------


class DateTimeParameter(Parameter[datetime]):
    """What the annotation ``datetime`` makes: any moment; aware ones become UTC, naive ones stay naive.

    ``exact`` is False: before they are made UTC, two moments of the repeated hour when clocks go back
    compare equal.
    """

    plain = True
    takes = "a date and time"
    expected = "ISO 8601, e.g. 2013-01-31T19:07:38 or 2013-01-31T19:07:38+00:00"

    def parse(self, text: str) -> datetime:
        """ISO 8601; a day alone is its midnight."""
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            return self.misread(text)
        return self.normalize(value)

    def serialize(self, value: datetime | None) -> str:
        """ISO 8601, with ``+00:00`` where aware."""
        return value.isoformat() if value is not None else "None"

    def normalize(self, value: Any) -> datetime:
        """The same moment, in UTC where aware."""
        if not isinstance(value, datetime):
            hint = "A date has no time of day; write datetime.combine(day, time())." if isinstance(value, date) else None
            return self.refuse(value, hint=hint)
        if value.tzinfo is None:
            return datetime.combine(value.date(), value.time().replace(fold=0)) if value.fold or type(value) is not datetime else value
        try:
            there = value.astimezone(UTC)
        except OverflowError:
            raise self.wrong(value, "a moment that the calendar has in UTC") from None
        return datetime.combine(there.date(), there.time(), UTC)

    def expected_in_code(self) -> str:
        """A datetime."""
        return "datetime.datetime(2013, 1, 31, 19, 7)"

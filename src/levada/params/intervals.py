"""Intervals of days: a Date, an ISO Week, a Month, a Year, or Custom; half-open, ``date_a`` to ``date_b``.

Laws: ``DateInterval.parse(str(span)) == span``; intervals are equal when kind and days are (a Month is
not the Custom of the same days, since their texts differ); ``span.next().prev() == span``; kinds are
ordered among themselves only.

>>> Week(2013, 52).next(), Month(2012, 2).days(), datetime.date(2012, 2, 29) in Month(2012, 2)
(Week('2014-W01'), 29, True)
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final

from .base import NO_VALUE, Parameter, none_is_kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import ClassVar, NoReturn, Self, Unpack

    from .base import NoValue, Options

ONE_DAY: Final = datetime.timedelta(1)


class DateInterval:
    """The days from ``date_a`` up to, not including, ``date_b``; ``DateInterval(a, b)`` is a Custom.

    Raises ValueError where ``date_b`` is before ``date_a``, or beyond the calendar (9999-12-31).
    """

    __slots__ = ("date_a", "date_b")
    date_a: datetime.date
    date_b: datetime.date
    forms: ClassVar[str] = "2013-01-31, 2013-01, 2013, 2013-W05 or 2013-01-31-2013-02-05"

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        return object.__new__(Custom if cls is DateInterval else cls)  # type: ignore[return-value]  # Custom is one of us

    def __init__(self, date_a: datetime.date, date_b: datetime.date) -> None:
        first, end = _day(date_a), _day(date_b)
        if end < first:
            raise ValueError(f"an interval cannot end ({end}) before it begins ({first})")
        object.__setattr__(self, "date_a", first)
        object.__setattr__(self, "date_b", end)

    # -- texts

    @classmethod
    def parse(cls, text: str) -> Self:
        """The interval of this kind (of any, for ``DateInterval``) that a text stands for; ValueError if none."""
        try:
            found = _read(text)
        except (ValueError, OverflowError) as fault:
            raise ValueError(f"{text!r} is not a date interval ({fault}); expected {cls.forms}") from None
        if not isinstance(found, cls):
            raise ValueError(f"{text!r} is a {type(found).__name__}, not a {cls.__name__}; expected {cls.forms}")
        return found

    def to_string(self) -> str:
        """The ISO 8601 text."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.to_string()

    def __format__(self, form: str) -> str:
        return format(self.to_string(), form)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_string()!r})"

    # -- days

    def days(self) -> int:
        """How many days it has."""
        return (self.date_b - self.date_a).days

    def dates(self) -> list[datetime.date]:
        """Its days in order."""
        first = self.date_a
        return [first + datetime.timedelta(n) for n in range(self.days())]

    def hours(self) -> Iterator[datetime.datetime]:
        """The beginnings of its hours in order, 24 a day, naive."""
        for day in self.dates():
            for hour in range(24):
                yield datetime.datetime(day.year, day.month, day.day, hour)

    def __iter__(self) -> Iterator[datetime.date]:
        return iter(self.dates())

    def __contains__(self, day: object) -> bool:
        """Whether a day (of a datetime: its own calendar day) lies in it."""
        return isinstance(day, datetime.date) and self.date_a <= _day(day) < self.date_b

    # -- neighbours

    @classmethod
    def from_date(cls, d: datetime.date) -> Self:
        """The interval of this kind that the day lies in; NotImplementedError where kinds have no grid."""
        raise NotImplementedError(f"{cls.__name__} does not say which interval a day lies in")

    def prev(self) -> Self:
        """The one of the same kind that ends where this begins; ValueError before the year 1."""
        return self._neighbour(self.date_a, -1)

    def next(self) -> Self:
        """The one of the same kind that begins where this ends; ValueError after the year 9999."""
        return self._neighbour(self.date_b, 0)

    def _neighbour(self, edge: datetime.date, shift: int) -> Self:
        try:
            return self.from_date(edge + shift * ONE_DAY)
        except OverflowError:
            raise ValueError(f"{self} is the calendar's {'first' if shift else 'last'} {type(self).__name__}") from None

    # -- values

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"intervals do not change: cannot set {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"intervals do not change: cannot delete {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (_read, (self.to_string(),))

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.date_a, self.date_b))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DateInterval):
            return NotImplemented
        return type(self) is type(other) and self.date_a == other.date_a and self.date_b == other.date_b

    def _bounds(self, other: DateInterval) -> tuple[datetime.date, datetime.date]:
        if type(self) is not type(other):
            raise TypeError(f"a {type(self).__name__} and a {type(other).__name__} have no order: {self}, {other}")
        return other.date_a, other.date_b

    def __lt__(self, other: DateInterval) -> bool:
        return (self.date_a, self.date_b) < self._bounds(other)

    def __le__(self, other: DateInterval) -> bool:
        return (self.date_a, self.date_b) <= self._bounds(other)

    def __gt__(self, other: DateInterval) -> bool:
        return (self.date_a, self.date_b) > self._bounds(other)

    def __ge__(self, other: DateInterval) -> bool:
        return (self.date_a, self.date_b) >= self._bounds(other)


class Date(DateInterval):
    """One day, ``2013-01-31``."""

    __slots__ = ()
    forms = "YYYY-MM-DD, e.g. 2013-01-31"

    def __init__(self, y: int, m: int, d: int) -> None:
        first = datetime.date(y, m, d)
        super().__init__(first, _after(first, 1))

    @classmethod
    def from_date(cls, d: datetime.date) -> Self:
        """The day itself."""
        return cls(d.year, d.month, d.day)

    def to_string(self) -> str:
        """``YYYY-MM-DD``."""
        return self.date_a.isoformat()


class Week(DateInterval):
    """An ISO 8601 week, Monday to Sunday, ``2013-W05``; the days about New Year may lie in the other year's."""

    __slots__ = ()
    forms = "YYYY-Www, e.g. 2013-W05"

    def __init__(self, y: int, w: int) -> None:
        first = datetime.date.fromisocalendar(y, w, 1)
        super().__init__(first, _after(first, 7))

    @classmethod
    def from_date(cls, d: datetime.date) -> Self:
        """The week that the day lies in."""
        year, week, _ = d.isocalendar()
        return cls(year, week)

    def to_string(self) -> str:
        """``YYYY-Www``."""
        year, week, _ = self.date_a.isocalendar()
        return f"{year:04}-W{week:02}"


class Month(DateInterval):
    """A calendar month, ``2013-01``."""

    __slots__ = ()
    forms = "YYYY-MM, e.g. 2013-01"

    def __init__(self, y: int, m: int) -> None:
        first = datetime.date(y, m, 1)
        super().__init__(first, _first_of(y + m // 12, m % 12 + 1))

    @classmethod
    def from_date(cls, d: datetime.date) -> Self:
        """The month that the day lies in."""
        return cls(d.year, d.month)

    def to_string(self) -> str:
        """``YYYY-MM``."""
        return self.date_a.isoformat()[:7]


class Year(DateInterval):
    """A calendar year, ``2013``."""

    __slots__ = ()
    forms = "YYYY, e.g. 2013"

    def __init__(self, y: int) -> None:
        super().__init__(datetime.date(y, 1, 1), _first_of(y + 1, 1))

    @classmethod
    def from_date(cls, d: datetime.date) -> Self:
        """The year that the day lies in."""
        return cls(d.year)

    def to_string(self) -> str:
        """``YYYY``."""
        return self.date_a.isoformat()[:4]


class Custom(DateInterval):
    """Any days, ``2013-01-31-2013-02-05`` (the end is not included). Neighbours have the same length."""

    __slots__ = ()
    forms = "YYYY-MM-DD-YYYY-MM-DD, e.g. 2013-01-31-2013-02-05"

    def to_string(self) -> str:
        """First day and end, joined by a dash (a slash would be at odds with paths)."""
        return f"{self.date_a.isoformat()}-{self.date_b.isoformat()}"

    def _neighbour(self, edge: datetime.date, shift: int) -> Self:
        length = self.date_b - self.date_a
        try:
            return type(self)(edge + shift * length, edge + (shift + 1) * length)
        except OverflowError:
            raise ValueError(f"{self} has no {'earlier' if shift else 'later'} neighbour in the calendar") from None


def _day(value: datetime.date) -> datetime.date:
    return value if type(value) is datetime.date else datetime.date(value.year, value.month, value.day)


def _after(first: datetime.date, days: int) -> datetime.date:
    try:
        return first + datetime.timedelta(days)
    except OverflowError:
        raise ValueError(f"an interval from {first} would end after 9999-12-31") from None


def _first_of(year: int, month: int) -> datetime.date:
    if year > 9999:
        raise ValueError("the interval would end after 9999-12-31")
    return datetime.date(year, month, 1)


def _read(text: str) -> DateInterval:
    """The interval of a text; ValueError when it is none. Length and dashes tell the kinds apart."""
    parts = [_digits(part) for part in text.replace("-W", "-").split("-")]
    found: DateInterval | None = None
    match len(text), "W" in text:
        case 4, False:
            found = Year(*parts)
        case 7, False:
            found = Month(*parts)
        case 8, True:
            found = Week(*parts)
        case 10, False:
            found = Date(*parts)
        case 21, False:
            found = Custom(datetime.date(*parts[:3]), datetime.date(*parts[3:]))
    if found is None or found.to_string() != text:
        raise ValueError("wrong form")
    return found


def _digits(text: str) -> int:
    if len(text) not in (2, 4) or not (text.isascii() and text.isdigit()):
        raise ValueError("wrong form")
    return int(text)


KINDS: Final = (Date, Week, Month, Year, Custom)


class DateIntervalParameter(Parameter[DateInterval]):
    """A DateInterval. kind: one class of them alone (Month, ...)."""

    exact = True
    plain = True
    keep = none_is_kept
    takes = "a date interval"

    def __init__(
        self, default: DateInterval | NoValue = NO_VALUE, *, kind: type[DateInterval] = DateInterval, **options: Unpack[Options]
    ) -> None:
        super().__init__(default=default, **options)
        self.kind = kind
        self.expected = kind.forms
        if kind is not DateInterval:
            self.takes = f"a {kind.__name__} interval"

    def parse(self, text: str) -> DateInterval:
        """Any of the forms that intervals have."""
        try:
            return self.kind.parse(text)
        except ValueError:
            return self.misread(text)

    def normalize(self, value: Any) -> DateInterval:
        """Lets one of the five kinds pass."""
        if isinstance(value, self.kind) and type(value) in KINDS:
            return value
        return self.refuse(value)

    def next_in_enumeration(self, value: DateInterval) -> DateInterval | None:
        """Its right neighbour; None after the calendar's last."""
        try:
            return value.next()
        except ValueError:
            return None

    def expected_in_code(self) -> str:
        """An interval."""
        return "Month(2013, 1)"

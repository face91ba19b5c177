"""Ranges of partitions: ``2013-01-01..2013-12-31`` as text, ``span(date(2013, 1, 1), date(2013, 12, 31))`` in code.

The laws: both ends of what is written are in it (inside it is a half-open row of places, counted before one
value is made); a range that was spelled reads back as the same values; an order is an order of values, never of
clocks, so no day has 23 hours; what is wrong is refused with the value, what was expected, and the next step.

``A..B/N`` takes each so-manieth; ``a,b,c`` is a list, of values and of ranges. Several ranged parameters are their
product: the first varies slowest. Text that is a value of its own (``str``, lists, paths, ...) is never a range.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from math import prod
from typing import TYPE_CHECKING, Any, overload

from ._model.values import NamedTuple
from .errors import ParameterError, UnknownParameter
from .params.base import OptionalParameterMixin, Parameter, shown
from .params.choices import EnumParameter, NumericalParameter, _OneOf
from .params.containers import DictParameter
from .params.dates import DateHourParameter, DateParameter, DateTimeParameter, MonthParameter, YearParameter, _MomentParameter, _months
from .params.frozen import FrozenDict
from .params.scalars import BoolParameter, FloatParameter, IntParameter, StrParameter
from .task import Task, WrapperTask, parameters_of, registry

MOST = 10_000_000
"""Partitions of one range; more are refused, as each would be a task."""

DOTS, COMMA, SLASH = "..", ",", "/"


# -- as values ---------------------------------------------------------------------------------


class Span(NamedTuple):
    """From ``first`` to ``last``, both included, each ``step``-th: a number in the parameter's own unit, or a timedelta."""

    first: Any
    last: Any
    step: int | timedelta = 1


class Each(NamedTuple):
    """These values."""

    values: tuple[Any, ...]


def span(first: Any, last: Any, step: int | timedelta = 1) -> Span:
    """All values from ``first`` to ``last``, both included; with a step each so-manieth, counted from ``first``.

    >>> from levada.params import DateParameter
    >>> [str(day) for day in row_of(DateParameter(), span(date(2024, 2, 28), date(2024, 3, 1)))]
    ['2024-02-28', '2024-02-29', '2024-03-01']
    """
    return Span(first, last, step)


def each(*values: Any) -> Each:
    """These values, as the list of a parameter of any kind, text and lists included.

    >>> from levada.params import StrParameter
    >>> row_of(StrParameter(), each("north", "south"))[:]
    ['north', 'south']
    """
    return Each(values)


class Row(Sequence[Any]):
    """The values that a range gives one parameter, counted and found by their place, not kept.

    spelled: the range as canonical text; a tuple of texts where the kind has no text for a list.
    """

    __slots__ = ("_at", "_count", "spelled")

    def __init__(self, count: int, at: Callable[[int], Any], spelled: str | tuple[str, ...]) -> None:
        self._count, self._at, self.spelled = count, at, spelled

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> list[Any]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return [self._at(place) for place in range(*at.indices(self._count))]
        if not -self._count <= at < self._count:
            raise IndexError(at)
        return self._at(at % self._count)

    def __iter__(self) -> Iterator[Any]:
        return map(self._at, range(self._count))

    def __repr__(self) -> str:
        return f"<Row {self.spelled}>"


# -- how kinds are counted ---------------------------------------------------------------------


class _Kind(NamedTuple):
    """How values of a kind lie in a row: by whole numbers of a unit.

    distance: units from one value to another, rounded down. add: the value so many units on. unit: of time, where it is
    one. stepless: whether a step of 1 means anything. is_time: newest first, it is what varies slowest.
    """

    distance: Callable[[Any, Any], int]
    add: Callable[[Any, int], Any]
    unit: timedelta | None = None
    stepless: bool = True
    is_time: bool = False


def _kind_of(parameter: Parameter[Any]) -> _Kind | None:
    """How the parameter's values are counted; None where they are in no row that is known by arithmetic."""
    if _has_own_order(parameter):
        return None
    if isinstance(parameter, MonthParameter):
        return _Kind(
            lambda a, b: (_months(b) - _months(a)) // parameter.interval, lambda a, n: _month(a, n * parameter.interval), is_time=True
        )
    if isinstance(parameter, YearParameter):
        return _Kind(
            lambda a, b: (b.year - a.year) // parameter.interval, lambda a, n: date(a.year + n * parameter.interval, 1, 1), is_time=True
        )
    if isinstance(parameter, DateParameter):
        return _of_time(timedelta(parameter.interval))
    if isinstance(parameter, _MomentParameter):
        return _of_time(parameter._step)
    if isinstance(parameter, DateTimeParameter):
        return _of_time(timedelta(microseconds=1))._replace(stepless=False)
    if isinstance(parameter, IntParameter) or (isinstance(parameter, NumericalParameter) and isinstance(parameter.number, IntParameter)):
        return _Kind(lambda a, b: b - a, lambda a, n: a + n)
    if isinstance(parameter, EnumParameter):
        members = list(parameter.choices.by_value)
        places = {member: at for at, member in enumerate(members)}
        return _Kind(lambda a, b: places[b] - places[a], lambda a, n: members[places[a] + n])
    return None


def _of_time(unit: timedelta) -> _Kind:
    return _Kind(lambda a, b: (b - a) // unit, lambda a, n: a + n * unit, unit, is_time=True)


def _month(first: date, months: int) -> date:
    year, month = divmod(_months(first) + months, 12)
    return date(year, month + 1, 1)


_OURS = tuple(
    kind.next_in_enumeration
    for kind in (
        Parameter, OptionalParameterMixin, DateParameter, MonthParameter, YearParameter, _MomentParameter, DateHourParameter, IntParameter,
    )
)  # fmt: skip
_LISTED = (_OneOf, FloatParameter, BoolParameter, NumericalParameter)
"""Kinds whose texts have no comma by nature, or are known: ``a,b`` is a list of them, and there is no next."""


# -- steps -------------------------------------------------------------------------------------

_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(1), "w": timedelta(7)}
_STEP = re.compile(r"(\d{1,12})([smhdw]?)", re.ASCII)


def _step(parameter: Parameter[Any], kind: _Kind, given: str | int | timedelta, where: str) -> int:
    """A step as a number of units: ``7``, and for what is of time ``6h``. Raises ParameterError."""
    wanted: timedelta | None = None
    number = 0
    if isinstance(given, timedelta):
        wanted = given
    elif isinstance(given, int):
        number = given
    elif found := _STEP.fullmatch(given):
        number = int(found[1])
        wanted = number * _UNITS[found[2]] if found[2] and number < 10**6 else None
        number = 0 if found[2] else number
    if wanted is not None and kind.unit is not None and wanted % kind.unit == timedelta(0):
        number = wanted // kind.unit
    whole = kind.stepless or (wanted is not None and wanted % _UNITS["s"] == timedelta(0))
    if number < 1 or not whole:
        raise parameter.wrong(where, "a range with a step that fits", _steps_expected(kind))
    return number


def _steps_expected(kind: _Kind) -> str:
    if not kind.stepless:
        return "FIRST..LAST/STEP with a step such as 1h, 15m, 30s, 1d or 2w: any moment may be a value, so there is no next one"
    text = "a step of 1 or more, in the parameter's own unit, as in FIRST..LAST/7"
    return text if kind.unit is None else f"{text}, or a multiple of that unit, such as 12h, 2d or 1w"


def _step_text(kind: _Kind, units: int) -> str:
    """What stands behind the range: "" for each value."""
    if kind.stepless:
        return "" if units == 1 else f"/{units}"
    length = units * (kind.unit or timedelta(0))
    name = next((name for name in ("d", "h", "m", "s") if length % _UNITS[name] == timedelta(0)), "s")
    return f"/{length // _UNITS[name]}{name}"


# -- reading -----------------------------------------------------------------------------------


def row_of(parameter: Parameter[Any], given: object) -> Row:
    """The values that are meant: by a Span, by a list, by text (also of a range), or by the one value itself.

    A list is a list of values where the parameter's own value is none. Raises ParameterError.

    >>> from levada.params import DateHourParameter, IntParameter
    >>> row_of(IntParameter(), "1..10/3")[:], len(row_of(DateHourParameter(), "2013-01-01T00..2013-12-31T23"))
    ([1, 4, 7, 10], 8760)
    """
    if isinstance(given, Span):
        return _spanned(parameter, given)
    if isinstance(given, Each):
        return _listed(parameter, [_read(parameter, one) if isinstance(one, str) else _one(parameter, one) for one in given.values])
    if isinstance(given, str):
        return _read(parameter, given)
    if isinstance(given, (list, tuple, range)) and not _is_many(parameter):
        return _listed(parameter, [row_of(parameter, value) for value in given])
    return _one(parameter, given)


def _is_many(parameter: Parameter[Any]) -> bool:
    """Whether a list may be one value of the kind."""
    known = type(parameter) in (Parameter, StrParameter) or isinstance(parameter, _LISTED) or _kind_of(parameter) is not None
    return not known and not _has_own_order(parameter)


def _has_own_order(parameter: Parameter[Any]) -> bool:
    """Whether somebody's own kind says which value follows."""
    return type(parameter).next_in_enumeration not in _OURS


def _one(parameter: Parameter[Any], value: object) -> Row:
    """A row of the one value. A text is what the parameter reads."""
    known = _parsed(parameter, value) if isinstance(value, str) else parameter.normalize(value)
    return Row(1, lambda at: known, parameter.serialize(known))


def _parsed(parameter: Parameter[Any], text: str) -> Any:
    """What the parameter reads; what somebody's own kind raises becomes a ParameterError."""
    try:
        return parameter.parse(text)
    except ParameterError:
        raise
    except (ValueError, TypeError, LookupError) as fault:
        name = f"{parameter.name}: " if parameter.name else ""
        what = "***" if parameter.secret else f"{shown(text)}: {fault}"
        raise ParameterError(f"{name}{type(parameter).__name__} cannot read {what}") from None


def _read(parameter: Parameter[Any], text: str) -> Row:
    if DOTS not in text and COMMA not in text:
        return _one(parameter, text)
    kind = _kind_of(parameter)
    if kind is None:
        try:
            return _one(parameter, text)  # dots and commas may be part of a value
        except ParameterError:
            if not _has_own_order(parameter) and (not isinstance(parameter, _LISTED) or DOTS in text):
                raise
    return _listed(parameter, [_piece(parameter, kind, piece) for piece in text.split(COMMA)])


def _piece(parameter: Parameter[Any], kind: _Kind | None, text: str) -> Row:
    first, dots, rest = text.partition(DOTS)
    if not dots:
        return _one(parameter, text)
    last, slash, step = rest.partition(SLASH)
    if not first or not last:
        raise parameter.wrong(text, "a range with two ends", "FIRST..LAST, both included", hint=_HINT_OPEN)
    if kind is None:
        return _walked(parameter, text, first, last, int(step) if step.isdecimal() else 1)
    return _between(parameter, kind, text, _parsed(parameter, first), _parsed(parameter, last), step if slash else None)


_HINT_OPEN = "A range without an end would grow while it is worked on; in a shell `$(date -u -d yesterday +%F)` is the day before."


def _spanned(parameter: Parameter[Any], given: Span) -> Row:
    first, last, step = given
    first = _parsed(parameter, first) if isinstance(first, str) else parameter.normalize(first)
    last = _parsed(parameter, last) if isinstance(last, str) else parameter.normalize(last)
    where = f"{parameter.serialize(first)}..{parameter.serialize(last)}"
    kind = _kind_of(parameter)
    if kind is None:
        return _walked(parameter, where, parameter.serialize(first), parameter.serialize(last), step if isinstance(step, int) else 1)
    return _between(parameter, kind, where, first, last, None if step == 1 and kind.stepless else step)


def _between(parameter: Parameter[Any], kind: _Kind, text: str, first: Any, last: Any, given: str | int | timedelta | None) -> Row:
    """The row from one value to another."""
    if first is None or last is None:
        raise parameter.wrong(text, "a range of values", "FIRST..LAST, both included")
    units = 1 if given is None and kind.stepless else _step(parameter, kind, given or "", text)
    try:
        apart = kind.distance(first, last)
    except TypeError:  # of a moment with a zone and one without
        raise parameter.wrong(text, "a range", "two moments with a time zone, or two without") from None
    if apart < 0:
        turned = f"{parameter.serialize(last)}..{parameter.serialize(first)}"
        raise parameter.wrong(
            text, "a range", "FIRST..LAST with the earlier one first", f"Write {turned}; --newest-first begins at its end."
        )
    count = apart // units + 1
    _bounded(parameter, text, count)
    spelled = f"{parameter.serialize(first)}..{parameter.serialize(last)}{_step_text(kind, units)}"
    add = kind.add
    return Row(count, lambda at: add(first, at * units), spelled)


def _walked(parameter: Parameter[Any], text: str, first: str, last: str, step: int) -> Row:
    """The row of a kind that knows what follows a value, and nothing more."""
    value, end = _parsed(parameter, first), _parsed(parameter, last)
    found = [value]
    while value != end:
        value = parameter.next_value(value)
        if value is None or len(found) == MOST:
            raise parameter.wrong(text, "a range", f"FIRST..LAST where LAST follows FIRST within {MOST:,} values")
        found.append(value)
    kept = found[:: max(1, step)]
    spelled = f"{parameter.serialize(kept[0])}..{parameter.serialize(end)}{f'/{step}' if step > 1 else ''}"
    return Row(len(kept), kept.__getitem__, spelled)


def _listed(parameter: Parameter[Any], rows: list[Row]) -> Row:
    """Several rows as one: each value once, in order where the kind has one."""
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise parameter.wrong("", "a list of values", "one value or more")
    texts = tuple(text for row in rows for text in ((row.spelled,) if isinstance(row.spelled, str) else row.spelled))
    _bounded(parameter, COMMA.join(texts[:3]), sum(map(len, rows)))
    kind = _kind_of(parameter)
    values = list(dict.fromkeys(value for row in rows for value in row))
    if kind is not None and None not in values:
        first = values[0]
        try:
            values.sort(key=lambda value: kind.distance(first, value))
        except TypeError:
            raise parameter.wrong(COMMA.join(texts), "a list", "moments with a time zone, or all without") from None
    joined = COMMA.join(texts)
    readable = (kind is not None or isinstance(parameter, _LISTED)) and sum(text.count(COMMA) for text in texts) == 0
    return Row(len(values), values.__getitem__, joined if readable and "" not in texts else texts)


def _bounded(parameter: Parameter[Any], text: str, count: int) -> None:
    if count > MOST:
        name = f"{parameter.name}: " if parameter.name else ""
        raise ParameterError(f"{name}{shown(text)} has {count:,} values; expected {MOST:,} at most", hint=_HINT_MOST)


_HINT_MOST = "Take a part of it at a time, or a step: what is complete is not made again."


# -- several parameters ------------------------------------------------------------------------


class Grid(Sequence[dict[str, Any]]):
    """The product of the rows of several parameters: values by name. The first varies slowest.

    Raises ParameterError where there are more than ten million.
    """

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self.rows = dict(rows)
        count = prod(map(len, self.rows.values()))
        if count > MOST:
            sizes = " x ".join(f"{name} {len(row):,}" for name, row in self.rows.items() if len(row) > 1)
            raise ParameterError(f"{count:,} partitions ({sizes}); expected {MOST:,} at most", hint=_HINT_MOST)
        self._count = count
        self._base = {name: row[0] for name, row in self.rows.items() if len(row) == 1}
        self._varying = [(name, row) for name, row in self.rows.items() if len(row) != 1]

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, at: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return [self._at(place) for place in range(*at.indices(self._count))]
        if not -self._count <= at < self._count:
            raise IndexError(at)
        return self._at(at % self._count)

    def _at(self, place: int) -> dict[str, Any]:
        values = dict(self._base)
        for name, row in reversed(self._varying):
            place, at = divmod(place, len(row))
            values[name] = row[at]
        return values

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if len(self._varying) == 1:
            ((name, row),) = self._varying
            return ({**self._base, name: value} for value in row)
        return map(self._at, range(self._count))


# -- a range as a task -------------------------------------------------------------------------


class Partitions(WrapperTask):
    """All partitions of a family in a range: complete when each of them is.

    Made by ``levada.partitions(Family, day=levada.span(...))``. of: the family. over: the texts of its parameters,
    ``{"day": "2013-01-01..2013-12-31"}``; a list of texts gives each of them.
    """

    task_namespace = "levada"
    of = StrParameter()
    over = DictParameter(default=FrozenDict())
    newest_first = BoolParameter(default=False, significant=False)

    if TYPE_CHECKING:

        def __init__(self, of: str, over: Mapping[str, Any] = ..., newest_first: bool = ...) -> None: ...

    def requires(self) -> Any:
        """The partitions, one after the other."""
        grid, cls = self.grid(), self.family_class()
        return (cls(**values) for values in (reversed(grid) if self.newest_first else grid))

    def family_class(self) -> type[Task]:
        """The class of the family. Raises UnknownTask."""
        return registry.find(self.of)

    def grid(self) -> Grid:
        """The values of each partition. Raises ParameterError."""
        rows = _rows(
            self.family_class(), {name: Each(tuple(given)) if isinstance(given, tuple) else given for name, given in self.over.items()}
        )
        return Grid(_time_first(self.family_class(), rows) if self.newest_first else rows)

    def title(self) -> str:
        """The range as people write it: ``DailyRevenue(day=2013-01-01..2013-12-31)``."""
        texts = {name: ",".join(given) if isinstance(given, tuple) else given for name, given in self.over.items()}
        return f"{self.of}({', '.join(f'{name}={text}' for name, text in texts.items())})"


def partitions(of: type[Task], /, *, newest_first: bool = False, **over: Any) -> Partitions:
    """A task that requires all partitions of a range: ``partitions(DailyRevenue, day=span(first, last), shop="north")``.

    over: by parameter a ``span``, a list, the text of a range, or one value; the others get what is configured, or their
    defaults. Raises ParameterError for what is wrong with any of them, all together.
    """
    rows = _rows(of, over)
    texts = {name: row.spelled if isinstance(row.spelled, str) else list(row.spelled) for name, row in rows.items()}
    Grid(rows)
    return Partitions(of=of.get_task_family(), over=texts, newest_first=newest_first)


def _rows(cls: Any, over: Mapping[str, Any]) -> dict[str, Row]:
    """A row for each given parameter, in the order of the family's parameters."""
    known = dict(parameters_of(cls))
    unknown = [name for name in over if name not in known]
    if unknown:
        raise UnknownParameter(f"{cls.family} has no parameter {unknown[0]}", hint=f"Parameters: {', '.join(known) or 'none'}.")
    rows: dict[str, Row] = {}
    faults: list[ParameterError] = []
    for name, parameter in known.items():
        if name not in over:
            continue
        try:
            if parameter.secret:
                raise ParameterError(f"{name} is secret, and would stand in the text of the range", hint="Set it in the configuration.")
            rows[name] = row_of(parameter, over[name])
        except ParameterError as fault:
            faults.append(fault)
    if faults:
        raise ParameterError(f"{cls.family}: " + "\n  ".join(fault.message for fault in faults), hint=faults[0].hint)
    return rows


def _time_first(cls: Any, rows: dict[str, Row]) -> dict[str, Row]:
    """What is of time varies slowest: the newest of all shops before the second of any."""
    kinds = {name: _kind_of(parameter) for name, parameter in parameters_of(cls)}
    return dict(sorted(rows.items(), key=lambda pair: not ((kind := kinds[pair[0]]) is not None and kind.is_time)))

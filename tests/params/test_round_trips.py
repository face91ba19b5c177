"""For each kind: what it writes it reads back exactly, and canonical values are stable."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import levada.params as lv
from levada.errors import ParameterError
from levada.params import Parameter, from_annotation
from levada.params.frozen import FrozenDict
from levada.params.intervals import Custom, Date, DateInterval, Month, Week, Year


class Color(enum.Enum):
    RED = 1
    GREEN = 2
    ROUGE = 1


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True)
class Window:
    day: date
    size: int = 7
    names: tuple[str, ...] = ()
    inner: "Inner | None" = None  # noqa: UP037 - a string inside, on purpose


@dataclass(frozen=True)
class Inner:
    weights: dict[str, float] = field(default_factory=FrozenDict)
    note: str | None = None


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ints = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
naive = st.datetimes()
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), ZoneInfo("America/New_York"), ZoneInfo("Europe/Lisbon")])
aware = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=zones)
moments = naive | aware
days = st.dates()
middle_days = st.dates(date(5, 1, 1), date(9990, 1, 1))
customs = st.builds(lambda a, n: Custom(a, a + timedelta(n)), middle_days, st.integers(0, 400))
intervals = st.one_of(*[st.builds(kind.from_date, middle_days) for kind in (Date, Week, Month, Year)], customs)
json_values = st.recursive(
    st.none() | st.booleans() | ints | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
paths = st.builds(Path, texts)
inners = st.builds(Inner, st.dictionaries(texts, floats, max_size=3), st.none() | texts)
windows = st.builds(Window, days, ints, st.lists(texts, max_size=3).map(tuple), st.none() | inners)

LUIGI: list[tuple[Parameter[Any], st.SearchStrategy[Any]]] = [
    (lv.Parameter(), texts),
    (lv.StrParameter(), texts),
    (lv.OptionalParameter(), st.none() | texts),
    (lv.OptionalStrParameter(), st.none() | texts),
    (lv.IntParameter(), ints),
    (lv.OptionalIntParameter(), st.none() | ints),
    (lv.FloatParameter(), floats),
    (lv.OptionalFloatParameter(), st.none() | floats),
    (lv.BoolParameter(), st.booleans()),
    (lv.OptionalBoolParameter(), st.none() | st.booleans()),
    (lv.DateParameter(), days | naive),
    (lv.DateParameter(interval=7, start=date(2013, 1, 7)), middle_days),
    (lv.MonthParameter(), days | st.builds(Month.from_date, middle_days)),
    (lv.MonthParameter(interval=5), middle_days),
    (lv.YearParameter(), days | st.builds(Year.from_date, middle_days)),
    (lv.YearParameter(interval=4, start=date(2012, 1, 1)), middle_days),
    (lv.DateHourParameter(), naive),
    (lv.DateHourParameter(interval=5), st.datetimes(datetime(5, 1, 1))),
    (lv.DateMinuteParameter(), naive | days),
    (lv.DateMinuteParameter(interval=15, start=datetime(2013, 1, 1, 0, 7)), st.datetimes(datetime(5, 1, 1))),
    (lv.DateSecondParameter(), naive),
    (lv.DateTimeParameter(), moments),
    (lv.DateIntervalParameter(), intervals),
    (lv.TimeDeltaParameter(), st.timedeltas()),
    (lv.ListParameter(), st.lists(json_values, max_size=4)),
    (lv.OptionalListParameter(), st.none() | st.lists(json_values, max_size=4)),
    (lv.TupleParameter(), st.lists(json_values, max_size=4).map(tuple)),
    (lv.OptionalTupleParameter(), st.none() | st.lists(json_values, max_size=4)),
    (lv.DictParameter(), st.dictionaries(texts, json_values, max_size=4)),
    (lv.OptionalDictParameter(), st.none() | st.dictionaries(texts, json_values, max_size=4)),
    (lv.EnumParameter(enum=Color), st.sampled_from(Color)),
    (lv.EnumParameter(enum=Level), st.sampled_from([1, 2, *Level])),
    (lv.EnumListParameter(enum=Color), st.lists(st.sampled_from(Color))),
    (lv.ChoiceParameter(choices=["a", "b c", "é"]), st.sampled_from(["a", "b c", "é"])),
    (lv.ChoiceParameter(choices=[0.1, 2.0], var_type=float), st.sampled_from([0.1, 2.0, 2])),
    (lv.OptionalChoiceParameter(choices=[1, 2], var_type=int), st.sampled_from([None, 1, 2])),
    (lv.ChoiceListParameter(choices=[1, 2, 3], var_type=int), st.lists(st.sampled_from([1, 2, 3]))),
    (lv.NumericalParameter(var_type=int, min_value=-3, max_value=7), st.integers(-3, 6)),
    (lv.NumericalParameter(var_type=float, min_value=0.0, max_value=1.0), st.floats(0, 1, exclude_max=True)),
    (lv.OptionalNumericalParameter(var_type=int, min_value=-3, max_value=7), st.none() | st.integers(-3, 6)),
    (lv.PathParameter(), paths | texts),
    (lv.OptionalPathParameter(), st.none() | paths),
    (lv.IntParameter(default=None), st.none() | ints),  # type: ignore[arg-type]  # Luigi's programs do this
    (lv.Parameter(default=None), st.none() | texts | st.just("None")),
    (lv.DateParameter(default=None), st.none() | days),  # type: ignore[arg-type]
    (lv.DateHourParameter(default=None), st.none() | naive),  # type: ignore[arg-type]
    (lv.TimeDeltaParameter(default=None), st.none() | st.timedeltas()),  # type: ignore[arg-type]
    (lv.ListParameter(default=None), st.none() | st.lists(ints)),  # type: ignore[arg-type]
    (lv.EnumParameter(default=None, enum=Color), st.none() | st.sampled_from(Color)),  # type: ignore[type-var]
    (lv.PathParameter(default=None), st.none() | paths),  # type: ignore[arg-type]
]

TYPED: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, texts),
    (int, ints),
    (float, floats | st.integers(-(2**53), 2**53)),
    (bool, st.booleans()),
    (date, days),
    (datetime, moments),
    (timedelta, st.timedeltas()),
    (Path, paths),
    (Color, st.sampled_from(Color)),
    (Literal["a", "b", 3, None], st.sampled_from(["a", "b", 3, None])),
    (DateInterval, intervals),
    (Month, st.builds(Month.from_date, middle_days)),
    (str | None, st.none() | texts | st.text('"')),
    (int | None, st.none() | ints),
    (list[int], st.lists(ints)),
    (tuple[date, ...], st.lists(days).map(tuple)),
    (tuple[datetime, ...], st.lists(moments, max_size=3)),
    (tuple[int, str | None, Color], st.tuples(ints, st.none() | texts, st.sampled_from(Color))),
    (tuple[()], st.just(())),
    (list[tuple[str, float]], st.lists(st.tuples(texts, floats))),
    (dict[str, int], st.dictionaries(texts, ints)),
    (dict[date, list[timedelta]], st.dictionaries(days, st.lists(st.timedeltas(), max_size=3), max_size=3)),
    (dict[str | None, Any], st.dictionaries(st.none() | texts, json_values, max_size=3)),
    (list[Any], st.lists(json_values, max_size=4)),
    (dict[str, Any] | None, st.none() | st.dictionaries(texts, json_values, max_size=3)),
    (list, st.lists(json_values, max_size=4)),
    (dict, st.dictionaries(texts, json_values, max_size=4)),
    (Window, windows),
    (Window | None, st.none() | windows),
    (tuple[Window, ...], st.lists(windows, max_size=3)),
    (list[bool | None], st.lists(st.none() | st.booleans())),
    (list[Month], st.lists(st.builds(Month.from_date, middle_days))),
]


def reads_back(kind: Parameter[Any], raw: Any) -> None:
    value = kind.normalize(raw)
    text = kind.serialize(value)
    again = kind.parse(text)
    assert type(text) is str
    assert type(again) is type(value)
    assert again == value
    assert kind.serialize(again) == text, "an equal value with another text"
    stable = kind.normalize(value)
    assert stable == value
    assert kind.serialize(stable) == text
    hash(value)
    if isinstance(value, float):
        assert repr(value) == repr(again)
    if kind.plain:
        assert text.isascii()
        assert text.isprintable()
        assert '"' not in text
        assert "\\" not in text


@pytest.mark.parametrize(("kind", "values"), LUIGI, ids=lambda v: type(v).__name__ if isinstance(v, Parameter) else "")
def test_luigis_kinds_read_back_what_they_write(kind: Parameter[Any], values: st.SearchStrategy[Any]) -> None:
    @settings(max_examples=25, deadline=None)
    @given(values)
    def holds(raw: Any) -> None:
        reads_back(kind, raw)

    holds()


@pytest.mark.parametrize(("annotation", "values"), TYPED, ids=lambda v: str(v) if not isinstance(v, st.SearchStrategy) else "")
def test_annotated_kinds_read_back_what_they_write(annotation: Any, values: st.SearchStrategy[Any]) -> None:
    kind = from_annotation(annotation, lv.NO_VALUE, None, __name__)

    @settings(max_examples=25, deadline=None)
    @given(values)
    def holds(raw: Any) -> None:
        reads_back(kind, raw)

    holds()


EXACT = [kind for kind, _ in LUIGI if kind.exact] + [kind for a, _ in TYPED if (kind := from_annotation(a, owner_module=__name__)).exact]
STRANGE = st.one_of(
    texts,
    ints,
    floats,
    st.booleans(),
    st.none(),
    moments,
    days,
    st.timedeltas(),
    intervals,
    st.sampled_from(Level),
    st.decimals(allow_nan=False),
    st.fractions(),
)
LIKE = [1, 1.0, True, Level.LOW, 0, 0.0, -0.0, False, "", "1", "None", None, (1, 2), (1.0, 2.0), (True, 2)]


@settings(max_examples=60, deadline=None)
@given(st.lists(STRANGE | st.sampled_from(LIKE), max_size=6))
def test_equal_raw_values_of_exact_kinds_become_equal_values_with_equal_texts(raws: list[Any]) -> None:
    """The law that lets a class intern its instances by raw arguments."""
    for kind in EXACT:
        seen: dict[Any, tuple[Any, str]] = {}
        for raw in [*raws, *LIKE]:
            try:
                value = kind.normalize(raw)
            except ParameterError:
                assert raw not in seen, f"{kind} refuses {raw!r}, which equals a value that it took"
                continue
            known = seen.setdefault(raw, (value, kind.serialize(value)))
            assert known == (value, kind.serialize(value))


@settings(max_examples=60, deadline=None)
@given(st.text() | st.binary().map(lambda b: b.decode("utf-8", "surrogateescape")))
def test_any_text_is_read_or_refused_with_a_parameter_error(text: str) -> None:
    kinds = [kind for kind, _ in LUIGI] + [from_annotation(a, owner_module=__name__) for a, _ in TYPED]
    for kind in kinds:
        try:
            value = kind.parse(text)
        except ParameterError:
            continue
        assert kind.parse(kind.serialize(kind.normalize(value))) == kind.normalize(value)

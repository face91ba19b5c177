"""The typed spelling: from annotations to parameters."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional
from zoneinfo import ZoneInfo

import pytest

from levada.errors import DefinitionError, ParameterError
from levada.params import NO_VALUE, Param, ParameterVisibility, from_annotation, param
from levada.params.frozen import FrozenDict
from levada.params.intervals import Month, Year
from levada.task import Task

ShopId = NewType("ShopId", int)


class Mode(enum.Enum):
    FULL = "full"
    DELTA = "delta"


@dataclass(frozen=True)
class Span:
    first: date
    days: int = 7

    def __post_init__(self) -> None:
        if self.days < 1:
            raise ValueError(f"days must be 1 or more, got {self.days}")


@dataclass(frozen=True)
class Tree:
    children: tuple[Tree, ...] = ()


@dataclass
class Loose:
    a: int = 1


@dataclass(frozen=True)
class Noted:
    a: int
    note: str = field(default="", compare=False)


def test_defaults_are_checked_and_made_canonical() -> None:
    assert from_annotation(list[int], [1, 2]).default == (1, 2)
    assert from_annotation(float, 3).default == 3.0
    assert from_annotation(int | None, None).default is None
    assert from_annotation(int | None, None).has_default
    assert not from_annotation(int).has_default
    with pytest.raises(DefinitionError, match="its default does not fit its annotation: 'x' is not a whole number"):
        from_annotation(int, "x")
    with pytest.raises(DefinitionError, match=r"Annotate it with `\| None`"):
        from_annotation(int, None)


def test_options_come_from_param_and_from_annotated() -> None:
    told = Annotated[int, Param(help="inner", significant=False, batch=max), Param(secret=True)]
    made = from_annotation(told, param(default=3, help="outer", positional=False, visibility=ParameterVisibility.HIDDEN))
    assert (made.help, made.significant, made.batch_method, made.secret, made.positional) == ("outer", False, max, True, False)
    assert made.default == 3
    assert made.typed
    assert from_annotation(Annotated[int, "a remark"], 4, Param(help="extra")).help == "extra"


def test_none_and_the_empty_text_are_told_apart() -> None:
    made = from_annotation(str | None)
    assert [made.serialize(value) for value in (None, "", '"', "a")] == ["", '""', '"""', "a"]
    assert [made.parse(text) for text in ("", '""', '"""', "a", '"')] == [None, "", '"', "a", '"']
    assert from_annotation(Optional[int]).parse("") is None  # noqa: UP045 - the old spelling


def test_moments_are_kept_in_utc_where_they_have_a_zone() -> None:
    made = from_annotation(datetime)
    lisbon = datetime(2013, 7, 1, 12, tzinfo=ZoneInfo("Europe/Lisbon"))
    assert made.serialize(made.normalize(lisbon)) == "2013-07-01T11:00:00+00:00"
    assert made.normalize(lisbon).tzinfo is UTC
    assert made.parse("2013-07-01T11:00:00Z") == lisbon
    assert made.normalize(datetime(2013, 7, 1)).tzinfo is None
    late = datetime(2013, 10, 27, 1, 30, tzinfo=ZoneInfo("Europe/Lisbon"), fold=1)
    assert made.normalize(late) - made.normalize(late.replace(fold=0)) == timedelta(hours=1)
    assert made.normalize(datetime(2013, 10, 27, 1, 30, fold=1)).fold == 0
    with pytest.raises(ParameterError, match="in UTC"):
        made.normalize(datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))))


def test_dates_and_datetimes_are_not_mixed_up() -> None:
    with pytest.raises(ParameterError, match=r"is not a date but a datetime(.|\n)*value\.date\(\)"):
        from_annotation(date).normalize(datetime(2013, 1, 1))
    with pytest.raises(ParameterError, match="A date has no time of day"):
        from_annotation(datetime).normalize(date(2013, 1, 1))


def test_containers_convert_their_items_and_tell_which_one_is_wrong() -> None:
    made = from_annotation(dict[date, list[int]])
    made.__set_name__(object, "sizes")
    assert made.parse('{"2013-01-02": [1], "2013-01-01": []}') == {date(2013, 1, 1): (), date(2013, 1, 2): (1,)}
    with pytest.raises(ParameterError, match=r"sizes\['2013-01-02'\]\[1\]: 'x' is not a whole number"):
        made.parse('{"2013-01-02": [1, "x"]}')
    with pytest.raises(ParameterError, match=r"sizes\[0\]: '2013' is not a date"):
        made.parse('{"2013": []}')
    with pytest.raises(ParameterError, match="is not a list of 2"):
        from_annotation(tuple[int, str]).normalize((1, "a", 2))


def test_equal_dicts_have_equal_texts() -> None:
    made = from_annotation(dict[str, int])
    one, other = made.normalize({"b": 1, "a": 2}), made.normalize({"a": 2, "b": 1})
    assert made.exact
    assert made.serialize(one) == made.serialize(other) == '{"a": 2, "b": 1}'
    assert type(one) is FrozenDict


def test_abstract_containers_say_what_the_value_is() -> None:
    assert from_annotation(Sequence[int]).normalize([1]) == (1,)
    assert from_annotation(Mapping[str, int]).normalize({"a": 1}) == {"a": 1}


def test_frozen_dataclasses_are_json_objects() -> None:
    made = from_annotation(Span)
    made.__set_name__(object, "span")
    assert made.serialize(Span(date(2013, 1, 1))) == '{"first": "2013-01-01", "days": 7}'
    assert made.parse('{"first": "2013-01-01"}') == Span(date(2013, 1, 1), 7)
    assert made.exact
    wrong = {
        '{"first": "2013-01-01", "days": "x"}': "span.days: 'x' is not a whole number",
        '{"first": "2013-01-01", "size": 3}': "unknown field size",
        '{"days": 3}': "no field first",
        '{"first": "2013-01-01", "days": 0}': "span: days must be 1 or more, got 0",
        "[]": "is not a Span",
    }
    for text, message in wrong.items():
        with pytest.raises(ParameterError) as fault:
            made.parse(text)
        assert message in fault.value.message
    with pytest.raises(ParameterError, match=r"span\.first: .* is not a date"):
        made.normalize(Span("2013"))  # type: ignore[arg-type]


def test_a_field_that_is_not_compared_costs_the_dataclass_its_exactness() -> None:
    assert not from_annotation(Noted).exact


def test_dataclasses_that_change_or_contain_themselves_are_refused() -> None:
    with pytest.raises(DefinitionError, match=r"frozen=True"):
        from_annotation(Loose)
    with pytest.raises(DefinitionError, match="contains itself"):
        from_annotation(Tree)


def test_new_types_and_strings_inside_are_followed() -> None:
    assert from_annotation(ShopId).parse("3") == 3
    assert from_annotation(list["ShopId"], owner_module=__name__).parse("[3]") == (3,)
    with pytest.raises(DefinitionError, match="cannot be evaluated"):
        from_annotation(list["NoSuchName"], owner_module=__name__)  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (complex, "`complex` is not a kind of parameter; expected str, int, float"),
        (int | str, "which of several types"),
        (set[int], "A set has no order"),
        (type[int], "is not a kind of parameter"),
        (list[complex], "`complex`"),
        (Any, "`Any`"),
        (3, "`3`"),
        (None, "`None`"),
        (Literal["1", 1], "cannot be told apart"),
        (bytes, "param\\(parse=..., serialize=...\\)"),
    ],
)
def test_unknown_annotations_are_named_with_what_is_accepted(annotation: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        from_annotation(annotation)


def test_types_of_ones_own_need_a_reading_and_are_read_back() -> None:
    made = from_annotation(complex, param(default=1j, parse=complex))
    assert made.parse("(1+2j)") == 1 + 2j
    assert made.serialize(1 + 2j) == "(1+2j)"
    with pytest.raises(ParameterError, match="is not a complex"):
        made.normalize("1")
    with pytest.raises(ParameterError, match="ValueError"):
        made.parse("x")
    rounded = from_annotation(complex, param(parse=complex, serialize=lambda v: f"{v:.1f}"))
    with pytest.raises(ParameterError, match="reads as"):
        rounded.normalize(1.23j)


def test_a_known_type_may_read_other_texts_too() -> None:
    made = from_annotation(date, param(parse=lambda t: date(2013, 1, 1) if t == "start" else date.fromisoformat(t)))
    assert made.parse("start") == date(2013, 1, 1)
    assert made.serialize(date(2013, 1, 1)) == "2013-01-01"
    with pytest.raises(ParameterError):
        made.parse("nonsense")


def test_kinds_of_intervals_are_kept_apart() -> None:
    made = from_annotation(Month)
    assert made.parse("2013-01") == Month(2013, 1)
    with pytest.raises(ParameterError, match="is not a Month interval; expected YYYY-MM"):
        made.parse("2013")
    with pytest.raises(ParameterError):
        made.normalize(Year(2013))


# -- tasks as values ---------------------------------------------------------------------------


class Raw(Task):
    day: date
    note: str = param(default="", significant=False)


class Refined(Raw):
    size: int = 3


class Guarded(Task):
    password: str = param(secret=True)


def test_tasks_are_values_and_come_back_as_the_same_object() -> None:
    made = from_annotation(Raw)
    task = Refined(day=date(2013, 1, 1), note="ä", size=4)
    text = made.serialize(made.normalize(task))
    assert made.parse(text) is task
    assert '"family": "' + Refined.get_task_family() in text
    assert from_annotation(tuple[Raw, ...]).parse(f"[{text}]") == (task,)
    for wrong in ("x", "[]", '{"family": "Raw"}', '{"family": "NoSuch", "params": {}}', '{"family": "Raw", "params": {"day": "x"}}'):
        with pytest.raises(ParameterError):
            made.parse(wrong)
    with pytest.raises(ParameterError, match="is not a task of class Refined"):
        from_annotation(Refined).normalize(Raw(day=date(2013, 1, 1)))


def test_tasks_with_secrets_are_no_values() -> None:
    with pytest.raises(ParameterError, match="without secrets"):
        from_annotation(Task).normalize(Guarded(password="hunter2"))


def test_task_classes_are_values_by_their_family() -> None:
    made = from_annotation(type[Raw])
    assert made.parse(Refined.get_task_family()) is Refined
    assert made.serialize(Refined) == Refined.get_task_family()
    with pytest.raises(ParameterError, match="is not a task class below Raw"):
        made.normalize(Guarded)


def test_a_class_with_typed_parameters_works_end_to_end(tmp_path: Path) -> None:
    class Report(Task):
        day: date
        mode: Mode = Mode.FULL
        shops: list[int] = param(default_factory=list, help="shop numbers")
        place: Path | None = None
        limits: Annotated[dict[str, float], Param(significant=False)] = FrozenDict()

    one = Report(date(2013, 1, 1), shops=[1, 2], place=tmp_path)
    assert one is Report(day=date(2013, 1, 1), mode=Mode.FULL, shops=(1, 2), place=tmp_path, limits={})
    assert Report.from_texts(one.to_texts()) is one
    assert one.shops == (1, 2)
    assert NO_VALUE not in one.to_texts().values()

"""What each kind takes, refuses and says about it."""

from __future__ import annotations

import enum
import json
import operator
import pickle
import subprocess
import sys
import warnings
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import levada.params as lv
from levada.errors import DefinitionError, ParameterError
from levada.params import NO_VALUE, Parameter
from levada.params.base import is_marker
from levada.params.frozen import FrozenDict, freeze
from levada.params.intervals import Month, Year


class Color(enum.Enum):
    RED = 1
    GREEN = 2
    ROUGE = 1


def named(kind: Parameter[Any], name: str = "x") -> Any:
    kind.__set_name__(object, name)
    return kind


# -- the base ----------------------------------------------------------------------------------


def test_luigis_constructor_is_taken_by_position_and_by_name() -> None:
    one: Any = Parameter("a", False, False, "what", {"section": "s", "name": "n"}, False, True, max, lv.ParameterVisibility.HIDDEN)
    assert (one.default, one.significant, one.description, one.positional, one.always_in_help) == ("a", False, "what", False, True)
    assert one.batch_method is max
    assert one.visibility is lv.ParameterVisibility.HIDDEN
    assert one.config_path == {"section": "s", "name": "n"}
    assert lv.DateParameter(date(2013, 1, 1), 7, date(2013, 1, 7), significant=False).interval == 7
    with pytest.warns(DeprecationWarning, match="positional=False"):
        assert not Parameter(is_global=True).positional
    with pytest.raises(DefinitionError, match="section and name"):
        Parameter(config_path={"section": "s"})


def test_parameters_are_counted_in_order_of_creation() -> None:
    first, second = lv.IntParameter(), lv.DateParameter()
    assert first._counter < second._counter


def test_a_parameter_gives_itself_on_the_class_and_the_value_on_the_instance() -> None:
    class Holder:
        size = lv.IntParameter(default=3)

    holder = Holder()
    assert isinstance(Holder.size, lv.IntParameter)
    assert (Holder.size.name, Holder.size.owner, Holder.size.default, Holder.size.has_default) == ("size", Holder, 3, True)
    with pytest.raises(AttributeError, match=r"Holder\.size has no value"):
        _ = holder.size
    holder.__dict__["size"] = 5
    assert holder.size == 5


def test_a_default_that_can_be_called_is_a_value_and_a_factory_is_called_each_time() -> None:
    assert Parameter(default=len).default is len
    days = iter([date(2013, 1, 1), date(2013, 1, 2)])
    made = lv.from_annotation(date, lv.param(default_factory=lambda: next(days)))
    assert made.has_default
    assert (made.default, made.default) == (date(2013, 1, 1), date(2013, 1, 2))


def test_plain_parameters_keep_what_is_no_text_and_warn_once() -> None:
    kind = named(Parameter())
    with pytest.warns(UserWarning, match="x is text, but got 5"):
        assert kind.normalize(5) == 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kind.normalize(6) == 6
    assert kind.serialize(6) == "6"
    assert not kind.exact
    with pytest.raises(ParameterError, match="ListParameter"):
        kind.normalize([1])


def test_a_default_of_none_makes_none_a_value() -> None:
    assert lv.IntParameter(default=None).normalize(None) is None  # type: ignore[arg-type]
    assert Parameter(default=None).parse("None") is None
    with pytest.raises(ParameterError):
        lv.IntParameter().normalize(None)


def test_an_old_programs_own_kind_needs_parse_and_serialize_alone() -> None:
    class Commas(Parameter[list[str]]):
        def parse(self, text: str) -> list[str]:
            return text.split(",")

        def serialize(self, value: list[str]) -> str:
            return ",".join(value)

    kind = Commas()
    assert kind.normalize(kind.parse("a,b")) == ["a", "b"]
    assert not kind.exact
    assert not kind.plain

    class Even(lv.IntParameter):
        def normalize(self, value: Any) -> int:
            return super().normalize(value) // 2 * 2

    assert Even().parse("5") == 4
    assert not Even().exact, "a subclass vouches for itself"


def test_batched_values_are_combined() -> None:
    assert lv.IntParameter(batch_method=max).parse_many(["1", "10", "9"]) == 10
    assert lv.DateParameter(batch_method=max)._parse_list(["2013-01-01", "2013-01-02"]) == date(2013, 1, 2)
    assert lv.Parameter(batch_method=",".join)._is_batchable()
    with pytest.raises(ParameterError, match="no batch_method"):
        lv.IntParameter().parse_many(["1"])
    with pytest.raises(ParameterError, match="no values"):
        lv.IntParameter(batch_method=max).parse_many([])


def refusal(way: Any, value: Any) -> str:
    try:
        way(value)
    except ParameterError as fault:
        return str(fault)
    return ""


def test_secrets_do_not_stand_in_errors_or_reprs() -> None:
    for kind in (
        named(lv.IntParameter(secret=True, default=4711)),
        named(lv.from_annotation(list[int], lv.param(secret=True))),
        named(lv.from_annotation(dict[str, int | None], lv.param(secret=True))),
        named(lv.DictParameter(secret=True, schema={"type": "object", "required": ["a"]})),
    ):
        assert kind.visibility is lv.ParameterVisibility.PRIVATE
        assert "4711" not in repr(kind)
        for value in ("hunter2", ["hunter2"], {"hunter2": "hunter2"}, {"a": ["hunter2"]}):
            for way in (kind.parse, kind.normalize):
                fault = refusal(way, json.dumps(value) if way == kind.parse else value)
                assert "hunter2" not in fault
                assert not fault or "***" in fault


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (lv.DateParameter(), "2013-13-01", "x: '2013-13-01' is not a date; expected YYYY-MM-DD, e.g. 2013-01-31"),
        (lv.IntParameter(), "seven", "x: 'seven' is not a whole number; expected a whole number, e.g. 7"),
        (lv.IntParameter(), str(2**63), "is not within 64 bit; expected a number from"),
        (lv.IntParameter(), "1" * 5000, "is not a whole number"),
        (lv.FloatParameter(), "nan", "x: 'nan' is not a finite number"),
        (lv.FloatParameter(), "1e999", "is not a finite number"),
        (lv.BoolParameter(), "yes", "is not true or false"),
        (lv.MonthParameter(), "2013-1-1", "is not a month; expected YYYY-MM, e.g. 2013-01"),
        (lv.YearParameter(), "13", "is not a year; expected YYYY"),
        (lv.DateHourParameter(), "2013-01-01", "is not a date and hour; expected YYYY-MM-DDTHH"),
        (lv.DateMinuteParameter(), "2013-01-01T25:00", "is not a date and minute"),
        (lv.TimeDeltaParameter(), "1 fortnight", "is not a length of time; expected such as 90"),
        (lv.TimeDeltaParameter(), "1 w foo", "is not a length of time"),
        (lv.DateIntervalParameter(), "2013-W60", "is not a date interval; expected 2013-01-31, 2013-01"),
        (lv.ListParameter(), '{"a": 1}', "is not a list; expected a JSON list"),
        (lv.ListParameter(), "[1, NaN]", "NaN is not a finite number"),
        (lv.ListParameter(), "[" * 100_000, "nested more than 32 levels deep"),
        (lv.ListParameter(), "[" * 40 + "]" * 40, "nested more than 32 levels deep"),
        (lv.TupleParameter(), "'abc'", "is not a tuple"),
        (lv.TupleParameter(), "(1", "neither JSON nor a Python literal"),
        (lv.DictParameter(), "[1]", "is not a dict"),
        (lv.EnumParameter(enum=Color), "BLUE", "is not a member of Color; expected one of RED, GREEN"),
        (lv.ChoiceParameter(choices=["a", "b"]), "c", "is not one of the choices; expected one of a, b"),
        (lv.ChoiceListParameter(choices=["a", "b"]), "a,c", "expected some of a, b, joined by commas"),
        (lv.NumericalParameter(var_type=int, min_value=0, max_value=7), "7", "is not a permitted int; expected int in [0, 7)"),
        (lv.PathParameter(exists=True), "/no/such/place", "x: The path /no/such/place does not exist"),
        (lv.StrParameter(), "a\0b", "is not text; expected text without NUL"),
        (lv.Parameter(), "\ud800", "is not text"),
        (lv.TaskParameter(), "NoSuchTaskAnywhere", "is not a task class"),
    ],
)
def test_wrong_texts_are_refused_with_what_was_expected(kind: Parameter[Any], text: str, message: str) -> None:
    with pytest.raises(ParameterError) as fault:
        named(kind).parse(text)
    assert message in fault.value.message
    assert len(fault.value.message) < 400


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (lv.IntParameter(), "3", "x: '3' is not a whole number but text; expected the value itself, e.g. 7"),
        (lv.IntParameter(), 1.5, "1.5 is not a whole number"),
        (lv.FloatParameter(), 2**53 + 1, "No float is exactly that"),
        (lv.FloatParameter(), Decimal("0.1"), "No float is exactly that"),
        (lv.FloatParameter(), float("inf"), "is not a finite number"),
        (lv.DateParameter(), "2013-01-01", "is not a date but text; expected the value itself, e.g. datetime.date(2013, 1, 31)"),
        (lv.DateHourParameter(), datetime(2013, 1, 1, tzinfo=UTC), "is not a date and hour without time zone"),
        (lv.DateTimeParameter(), date(2013, 1, 1), "A date has no time of day"),
        (lv.TimeDeltaParameter(), 90, "timedelta(seconds=90)"),
        (lv.ListParameter(), "abc", "is not a list but text"),
        (lv.ListParameter(), {1, 2}, "is not a list"),
        (lv.ListParameter(), [date(2013, 1, 1)], "annotate the parameter"),
        (lv.ListParameter(), [2**64], "not within 64 bit"),
        (lv.DictParameter(), {1: 2}, "the key 1 is not text"),
        (lv.EnumParameter(enum=Color), "RED", "but text; expected the value itself, e.g. Color.RED"),
        (lv.TaskParameter(), Color, "is not a task class"),
        (lv.StrParameter(), 5, "5 is not text"),
    ],
)
def test_wrong_values_from_code_are_refused_like_texts(kind: Parameter[Any], value: Any, message: str) -> None:
    with pytest.raises(ParameterError) as fault:
        named(kind).normalize(value)
    assert message in str(fault.value)


@pytest.mark.parametrize(
    "define",
    [
        lambda: lv.EnumParameter(),
        lambda: lv.ChoiceParameter(),
        lambda: lv.ChoiceParameter(choices=["a", 1]),
        lambda: lv.ChoiceListParameter(choices=["a,b"]),
        lambda: lv.ChoiceParameter(choices=[]),
        lambda: lv.NumericalParameter(var_type=int, min_value=1),
        lambda: lv.NumericalParameter(var_type=str, min_value=1, max_value=2),  # type: ignore[type-var]
        lambda: lv.DateParameter(interval=0),
        lambda: lv.DateHourParameter(start=datetime(2013, 1, 1, 0, 30)),
        lambda: lv.BoolParameter(parsing="maybe"),
        lambda: lv.param(1, default_factory=int),
    ],
)
def test_wrong_definitions_are_refused_when_they_are_made(define: Any) -> None:
    with pytest.raises(DefinitionError):
        define()


# -- kinds -------------------------------------------------------------------------------------


def test_numbers_that_equal_a_whole_number_are_taken_as_it() -> None:
    for value in (1, 1.0, True, Decimal(1)):
        assert type(lv.IntParameter().normalize(value)) is int
    assert repr(lv.FloatParameter().normalize(-0.0)) == "0.0"
    assert repr(lv.FloatParameter().parse("-0")) == "0.0"
    assert lv.BoolParameter().normalize(1) is True


def test_flags_are_false_where_nothing_is_given_in_luigis_spelling_alone() -> None:
    assert lv.BoolParameter().default is False
    assert lv.OptionalBoolParameter().default is None
    assert lv.BoolParameter().parsing == lv.BoolParameter.IMPLICIT_PARSING
    assert lv.BoolParameter(parsing=lv.BoolParameter.EXPLICIT_PARSING).parsing == "explicit"
    assert lv.BoolParameter().normalize("TRUE") is True, "Luigi takes it"
    assert not lv.from_annotation(bool).has_default


def test_dates_are_cut_to_their_grid() -> None:
    weekly = lv.DateParameter(interval=7, start=date(2013, 1, 7))
    assert weekly.normalize(datetime(2013, 1, 9, 23)) == date(2013, 1, 7)
    assert weekly.next_value(date(2013, 1, 7)) == date(2013, 1, 14)
    assert lv.DateParameter().parse("2013-1-5") == date(2013, 1, 5)
    assert lv.MonthParameter().normalize(Month(2013, 2)) == date(2013, 2, 1)
    assert lv.MonthParameter(interval=3).normalize(date(2013, 6, 30)) == date(2013, 4, 1)
    assert lv.MonthParameter().next_in_enumeration(date(2013, 12, 1)) == date(2014, 1, 1)
    assert lv.YearParameter().normalize(Year(2013)) == date(2013, 1, 1)
    assert lv.DateHourParameter(interval=6).normalize(datetime(2013, 1, 1, 17, 59)) == datetime(2013, 1, 1, 12)
    assert lv.DateMinuteParameter().serialize(datetime(2013, 7, 10, 19, 7)) == "2013-07-10T1907"
    assert lv.DateSecondParameter().serialize(datetime(2013, 7, 10, 19, 7, 38)) == "2013-07-10T190738"
    assert lv.DateHourParameter().serialize(datetime(2013, 7, 10, 19)) == "2013-07-10T19"
    with pytest.warns(DeprecationWarning, match="omit it instead"):
        assert lv.DateMinuteParameter().parse("2013-07-10T19H07") == datetime(2013, 7, 10, 19, 7)


def test_nothing_follows_the_calendars_end() -> None:
    assert lv.DateParameter().next_value(date.max) is None
    assert lv.MonthParameter().next_value(date(9999, 12, 1)) is None
    assert lv.YearParameter().next_value(date(9999, 1, 1)) is None
    assert lv.DateHourParameter().next_value(datetime(9999, 12, 31, 23)) is None
    assert lv.DateIntervalParameter().next_value(Month(9999, 11)) is None
    assert lv.IntParameter().next_value(2**63 - 1) is None
    assert lv.IntParameter().next_value(1) == 2
    assert lv.StrParameter().next_value("a") is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("1.5", 1.5), ("-3", -3), ("1 w", 604800), ("1w 2d", 777600), ("1 week 2 days", 777600), ("4 weeks", 2419200),
        ("1d 2h", 93600), ("2 hours 3 minutes 4 seconds", 7384), ("1 h 30 m", 5400), ("P1DT2H", 93600), ("PT1M", 60), ("P2W", 1209600),
        ("PT1.5S", 1.5), ("0 w 0 d 0 h 0 m 0 s", 0), (" 5 s ", 5), ("-1 w 6 d 23 h 59 m 59.999999 s", -0.000001),
    ],
)  # fmt: skip
def test_lengths_of_time_are_read_in_luigis_forms(text: str, seconds: float) -> None:
    assert lv.TimeDeltaParameter().parse(text) == timedelta(seconds=seconds)


def test_luigis_text_of_a_length_of_time_is_kept() -> None:
    assert lv.TimeDeltaParameter().serialize(timedelta(days=9, hours=1, seconds=61)) == "1 w 2 d 1 h 1 m 1 s"


def test_tuples_are_read_from_json_and_from_python() -> None:
    kind = lv.TupleParameter()
    assert kind.parse("((1,2),(3,4))") == kind.parse("[[1, 2], [3, 4]]") == ((1, 2), (3, 4))
    assert kind.serialize(((1, 2), ("a", None))) == '[[1, 2], ["a", null]]'


def test_dicts_keep_their_order_and_do_not_change() -> None:
    value = lv.DictParameter().normalize(OrderedDict([("b", [1, {"c": 2}]), ("a", None)]))
    assert list(value) == ["b", "a"]
    assert lv.DictParameter().serialize(value) == '{"b": [1, {"c": 2}], "a": null}'
    assert value == {"a": None, "b": (1, {"c": 2})}
    assert hash(value) == hash(lv.DictParameter().parse('{"a": null, "b": [1, {"c": 2}]}'))
    changes: list[Any] = [
        lambda: operator.setitem(value, "a", 1), lambda: operator.delitem(value, "a"), value.clear, lambda: value.pop("a"),
        lambda: value.update(a=1), lambda: value.setdefault("z", 1), value.popitem, lambda: operator.ior(value, {"z": 1}),
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(TypeError, match="does not change"):
            change()
    assert pickle.loads(pickle.dumps(value)) == value
    assert type(value | {"z": 1}) is dict
    assert json.loads(json.dumps(value)) == {"b": [1, {"c": 2}], "a": None}


def test_schemas_are_checked_and_may_fill_in_defaults() -> None:
    kind = named(lv.DictParameter(schema={"type": "object", "additionalProperties": {"enum": ["web", "staging"]}}))
    assert kind.parse('{"role": "web"}') == {"role": "web"}
    with pytest.raises(ParameterError, match=r"x: .*what the schema wants at \['role'\]: 'db' is not one of"):
        kind.normalize({"role": "db"})

    class Filling:
        def validate(self, value: dict[str, Any]) -> None:
            value.setdefault("role", "web")

    assert lv.DictParameter(schema=Filling()).normalize({}) == {"role": "web"}
    numbers = lv.ListParameter(schema={"type": "array", "items": {"type": "number"}, "minItems": 1})
    assert numbers.parse("[1, 2.5]") == (1, 2.5)
    with pytest.raises(ParameterError):
        numbers.normalize(())


def test_a_missing_jsonschema_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(DefinitionError, match="jsonschema is missing"):
        lv.DictParameter(schema={}).normalize({})


def test_values_inside_lists_become_what_json_has() -> None:
    class Word(str):
        __slots__ = ()

    class Number(enum.IntEnum):
        ONE = 1

    frozen = freeze([Word("a"), Number.ONE, -0.0, [True]])
    assert [type(item) for item in frozen] == [str, int, float, tuple]
    assert repr(frozen) == "('a', 1, 0.0, (True,))"


def test_aliases_of_enums_are_the_members_they_stand_for() -> None:
    kind = lv.EnumParameter(enum=Color)
    assert kind.parse("ROUGE") is Color.RED
    assert kind.serialize(Color.ROUGE) == "RED"
    assert lv.EnumListParameter(enum=Color).parse("RED,GREEN,RED") == (Color.RED, Color.GREEN, Color.RED)
    assert lv.EnumListParameter(enum=Color).parse("") == ()


def test_choices_stand_in_the_help() -> None:
    assert lv.ChoiceParameter(choices=[1, 2], var_type=int, description="size.").description == "size. Choices: {1, 2}"
    assert lv.NumericalParameter(var_type=int, min_value=-3, max_value=7, left_op=operator.lt, right_op=operator.le).help == (
        "permitted values: int in (-3, 7]"
    )


def test_paths_are_made_absolute_and_looked_for(tmp_path: Path) -> None:
    assert lv.PathParameter(exists=True).normalize(str(tmp_path)) == tmp_path
    assert lv.PathParameter(absolute=True).parse("a").is_absolute()
    assert not lv.PathParameter(absolute=True).exact, "another working folder, another path"


def test_optional_kinds_have_none_as_default_and_empty_text() -> None:
    for kind in (lv.OptionalParameter(), lv.OptionalIntParameter(), lv.OptionalDictParameter(), lv.OptionalPathParameter()):
        assert kind.default is None
        assert kind.parse("") is None
        assert kind.serialize(None) == ""
    assert lv.OptionalParameter().normalize("") is None
    assert lv.OptionalParameter().normalize("None") == "None"
    assert lv.OptionalIntParameter(default=3).default == 3
    assert not lv.OptionalNumericalParameter(var_type=int, min_value=0, max_value=2, default=NO_VALUE).has_default


def test_markers_are_known() -> None:
    assert is_marker(lv.param(default=3))
    assert not is_marker(3)


def test_every_name_of_the_room_is_there() -> None:
    for name in lv.__all__:
        assert getattr(lv, name) is not None
    assert set(lv.__all__) <= set(dir(lv))
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = lv.Nonsense  # type: ignore[attr-defined]


def test_the_base_is_imported_without_heavy_modules() -> None:
    code = (
        "import sys, levada.params as p; p.DateParameter(); p.IntParameter(); p.BoolParameter(); p.ChoiceParameter(choices='ab');"
        "p.ListParameter(); p.PathParameter(); p.DateIntervalParameter(); p.TimeDeltaParameter(); p.from_annotation(int, 3);"
        "heavy = 'dataclasses inspect json pathlib ast jsonschema hashlib tempfile threading'.split();"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": "src"})
    assert done.stdout.strip() == "[]"


def test_frozen_dicts_are_dicts() -> None:
    assert isinstance(FrozenDict(a=1), dict)
    assert FrozenDict(a=1).get_wrapped() == {"a": 1}

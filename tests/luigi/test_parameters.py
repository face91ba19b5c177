"""What old programs may rely on of parameters, and what stays strict."""

from __future__ import annotations

import abc
import warnings
from datetime import date
from typing import Any

import pytest

import levada as lv
import levada.luigi as luigi
from levada.luigi.parameter import OptionalParameterTypeWarning, ParameterException

NO: Any = None


class Old(luigi.Task):  # type: ignore[misc]
    limit = lv.IntParameter(default=10)
    rate = lv.FloatParameter(default=0.5)
    sizes = lv.DictParameter(default={})
    names = lv.ListParameter(default=())
    flag = lv.BoolParameter()
    day = lv.DateParameter(default=date(2013, 1, 31))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"limit": None}, None),
        ({"limit": "7"}, "7"),
        ({"limit": 1 << 70}, 1 << 70),
        ({"rate": float("inf")}, float("inf")),
        ({"rate": "fast"}, "fast"),
        ({"sizes": {1: [2, 3]}}, {1: (2, 3)}),
        ({"names": {"a"}}, ("a",)),
        ({"flag": None}, None),
        ({"flag": "maybe"}, None),
        ({"day": None}, None),
    ],
)
def test_values_that_luigi_does_not_check_are_kept(given: dict[str, Any], kept: object) -> None:
    task = Old(**given)

    assert getattr(task, *given) == kept
    assert Old(**given) is task
    assert lv.task.key_of(task) == lv.task.key_of(Old.from_texts({}) if given == {} else task)


class Names(luigi.Task):  # type: ignore[misc]
    """Values that stand in the names of files, each as Luigi writes it there."""

    rate = lv.FloatParameter(default=1)
    share = lv.NumericalParameter(var_type=float, min_value=0, max_value=2, default=1)
    ending = lv.OptionalParameter(default="")
    sizes = lv.DictParameter(default={"a": [{"b": 1}]})
    hour = lv.DateHourParameter(default=date(2013, 1, 31))
    text = lv.Parameter(default="")


def test_values_look_in_names_of_files_as_in_luigi() -> None:
    task = Names()
    assert f"{task.rate}-{task.share}{task.ending}-{task.sizes}" == "1-1-{'a': ({'b': 1},)}"
    assert task.to_str_params()["rate"] == "1"
    assert Names(rate=1.5, share=0.5, ending=None, hour=None).hour is None


def test_the_text_of_a_number_is_held_to_its_range() -> None:
    assert Names(share=5).share == 5
    with pytest.raises(ParameterException, match=r"share: '5' is not a permitted float; expected float in \[0, 2\)"):
        Names.from_str_params({"share": "5"})


def test_a_text_and_a_number_that_looks_like_it_are_two_values() -> None:
    with pytest.warns(UserWarning, match="not of type string"):
        assert [type(Names(text=value).text) for value in (5, "5", 5)] == [int, str, int]


def test_a_task_may_stand_where_its_class_is_wanted() -> None:
    class Over(luigi.Task):  # type: ignore[misc]
        first = lv.TaskParameter()

    assert Over(first=Names()).first is Names()
    assert Over(first=Names()).to_str_params() == {"first": "Names"}
    with pytest.raises(ParameterException, match="is not a task class"):
        Over(first=5)


@pytest.mark.parametrize("given", [{"limit": None}, {"limit": "7"}, {"sizes": 5}, {"flag": None}, {"day": None}, {"rate": 'a"b'}])
def test_a_kept_value_has_a_text_that_json_can_carry(given: dict[str, Any]) -> None:
    import json

    task = Old(**given)

    assert json.loads(lv.task.canonical_of(task)).keys() == {name for name, _ in Old.get_params()}


def test_what_luigi_refuses_is_refused() -> None:
    with pytest.raises(lv.errors.ParameterError, match="not a date"):
        Old(day="tomorrow")


def test_the_typed_spelling_stays_strict() -> None:
    class New(lv.Task):
        limit: int = 10
        pair: tuple[int, ...] = ()

    for given in ({"limit": NO}, {"limit": "7"}, {"pair": ("7",)}):
        with pytest.raises(lv.errors.ParameterError):
            New(**given)


def test_optional_kinds_warn_of_other_types_in_luigis_words() -> None:
    class Part(luigi.Task):  # type: ignore[misc]
        n = lv.OptionalIntParameter()
        day = lv.OptionalDateParameter()

    with pytest.warns(OptionalParameterTypeWarning, match='OptionalIntParameter "n" with value "x" is not of type "int" or None.'):
        assert Part(n="x").n == "x"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Part(n=None, day=None).n is None
        assert Part(n=5, day=date(2013, 1, 31)).day == date(2013, 1, 31)


def test_a_wrong_definition_is_a_parameter_exception() -> None:
    for make in (lv.ChoiceParameter, lv.EnumParameter, lambda: lv.NumericalParameter(var_type=int)):
        with pytest.raises(ParameterException):
            make()


def test_a_value_that_cannot_be_hashed_is_kept_by_plain_parameters() -> None:
    class Plain(luigi.Task):  # type: ignore[misc]
        x = lv.Parameter()

    with pytest.warns(UserWarning, match='Parameter "x" with value "{}" is not of type string.'):
        assert Plain(x={}).x == {}


def test_an_old_kind_may_put_its_own_in_place_of_luigis_methods() -> None:
    class Shouted(luigi.Parameter):
        def _parser_kwargs(self, param_name: str, task_name: str | None = None) -> dict[str, Any]:
            return {**super()._parser_kwargs(param_name, task_name), "metavar": "LOUD"}

        def parse(self, x: str) -> str:
            return super().parse(x).upper()

    class Speech(luigi.Task):  # type: ignore[misc]
        word = Shouted(default="a")

    from levada.luigi.cmdline_parser import CmdlineParser

    with CmdlineParser.global_instance(["Speech", "--word", "hear"]) as line:
        assert line.get_task_obj().word == "HEAR"
    assert Speech.word.has_task_value("Speech", "word")
    assert Speech.word.task_value("Speech", "word") == "a"


def test_tasks_may_be_mixed_with_abstract_classes() -> None:
    class Readable(abc.ABC):
        @abc.abstractmethod
        def read(self) -> str: ...

    class Half(luigi.Task, Readable):  # type: ignore[misc]
        pass

    class Whole(Half):
        def read(self) -> str:
            return "read"

    with pytest.raises(TypeError, match="abstract"):
        Half()
    assert Whole().read() == "read"
    assert isinstance(Whole(), Readable)


def test_what_is_noted_on_a_task_is_there_on_the_next_with_equal_values() -> None:
    class Once(luigi.Task):  # type: ignore[misc]
        n = lv.IntParameter()

    Once(n=1).seen = True
    assert Once(n=1).seen

    luigi.task_register.Register.clear_instance_cache()
    assert not hasattr(Once(n=1), "seen")


def test_a_class_may_say_itself_which_values_a_call_means() -> None:
    class Doubled(luigi.Task):  # type: ignore[misc]
        n = lv.IntParameter()

        @classmethod
        def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> list[tuple[str, Any]]:
            return [("n", 2 * (args[0] if args else kwargs["n"]))]

    assert Doubled(3).n == Doubled(n=3).n == 6
    assert Doubled(3) is Doubled(n=3)
    assert Doubled(6).n == 12


def test_metaclasses_of_old_programs_may_go_past_ours() -> None:
    register = luigi.task_register.Register

    class Meta(register):  # type: ignore[misc, valid-type]
        def __new__(mcs, name: str, bases: Any, namespace: Any) -> Any:
            cls = abc.ABCMeta.__new__(mcs, name, bases, namespace)
            cls._namespace_at_class_time = mcs._get_namespace(cls.__module__)
            mcs._reg.append(cls)
            return cls

    class Made(luigi.Task, metaclass=Meta):  # type: ignore[misc]
        n = lv.IntParameter(default=1)

    assert Made().n == 1
    assert Made(n=2) is Made(2)
    assert register.get_task_cls("Made") is Made


def test_programs_may_put_a_list_in_place_of_the_registry() -> None:
    register = luigi.task_register.Register

    class Known(luigi.Task):  # type: ignore[misc]
        pass

    before = register._get_reg()

    class Gone(luigi.Task):  # type: ignore[misc]
        pass

    register._reg = [each for each in register._reg if each.__name__ != "Gone"]

    class Later(luigi.Task):  # type: ignore[misc]
        pass

    assert Gone not in register._get_reg().values()
    assert Later in register._get_reg().values()

    register._reg = []
    register._set_reg(before)
    assert Known in register._get_reg().values()
    assert Later not in register._get_reg().values()


def test_an_old_kind_of_list_may_change_what_it_read() -> None:
    class Sorted(luigi.ListParameter):
        def parse(self, x: str) -> Any:
            values: Any = super().parse(x)
            values.sort()
            return values

    class Row(luigi.Task):  # type: ignore[misc]
        numbers = Sorted()

    assert Row.from_texts({"numbers": "[3, 1, 2]"}).numbers == (1, 2, 3)
    assert lv.TupleParameter().parse("[1, [2]]") == (1, (2,))

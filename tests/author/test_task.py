"""Identity, interning, definitions, the registry, inheritance of parameters, events."""

from __future__ import annotations

import copy
import enum
import gc
import pickle
import subprocess
import sys
from collections import OrderedDict
from datetime import date, datetime
from typing import Any, ClassVar, NamedTuple

import pytest

import levada as lv
from levada.errors import (
    AmbiguousTask,
    DefinitionError,
    DuplicateParameter,
    MissingParameter,
    ParameterError,
    UnknownParameter,
    UnknownTask,
)
from levada.params import ParameterVisibility
from levada.task import batch_group_of, canonical_of, combined, info_of, key_of, policy_of, registry, repr_of, task_id_str


class Daily(lv.Task):
    """Typed spelling."""

    day: date
    window: int = 7
    note: str = lv.param(default="", significant=False)


class Old(lv.Task):
    """Luigi's spelling."""

    date = lv.DateParameter()
    window = lv.IntParameter(default=7)
    note = lv.Parameter(default="", significant=False)


def test_both_spellings_give_the_same_parameters_and_texts() -> None:
    new, old = Daily(date(2013, 1, 5)), Old(date(2013, 1, 5))
    assert [n for n, _ in Daily.parameters()] == ["day", "window", "note"]
    assert [n for n, _ in Old.parameters()] == ["date", "window", "note"]
    assert list(new.to_texts().values()) == list(old.to_texts().values()) == ["2013-01-05", "7", ""]


def test_equal_values_give_one_instance_however_they_are_spelled() -> None:
    one = Daily(date(2013, 1, 5), 3)
    assert one is Daily(day=date(2013, 1, 5), window=3)
    assert one is Daily(date(2013, 1, 5), window=3, note="")
    assert one is Daily.from_texts({"day": "2013-01-05", "window": "3"})
    assert one is copy.deepcopy(one) is copy.copy(one)
    assert one is pickle.loads(pickle.dumps(one))
    assert one is not Daily(date(2013, 1, 5), 4)


def test_instances_are_freed_when_nobody_holds_them() -> None:
    Daily(date(1999, 1, 1))
    gc.collect()
    assert not any(values[0] == date(1999, 1, 1) for values in Daily._interned)


def test_the_key_is_the_same_in_every_process_and_ignores_what_is_not_significant() -> None:
    task = Daily(date(2013, 1, 5), 3, note="a")
    assert canonical_of(task) == '{"day":"2013-01-05","window":"3"}'
    assert key_of(task) == key_of(Daily(date(2013, 1, 5), 3, note="b"))
    assert key_of(task).hex() == _key_in_another_process("1") == _key_in_another_process("2")


def _key_in_another_process(hash_seed: str) -> str:
    program = (
        "import levada as lv, datetime\n"
        "class Daily(lv.Task):\n    window: int = 7\n    day: datetime.date\n"
        "print(lv.task.key_of(Daily(window=3, day=datetime.date(2013, 1, 5))).hex())"
    )
    src = str(__import__("pathlib").Path(lv.__file__).parent.parent)
    result = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": src, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_the_task_id_has_luigis_form() -> None:
    assert Daily(date(2013, 1, 5), 3).task_id.startswith("Daily_2013_01_05_3_")
    assert len(Daily(date(2013, 1, 5), 3).task_id.rsplit("_", 1)[1]) == 10


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Daily(), MissingParameter, "no value for day"),
        (lambda: Daily(date(2013, 1, 5), wnidow=3), UnknownParameter, "Did you mean window"),
        (lambda: Daily(date(2013, 1, 5), day=date(2013, 1, 5)), DuplicateParameter, "day"),
        (lambda: Daily("2013-01-05"), ParameterError, "day"),
        (lambda: Daily(date(2013, 1, 5), "3"), ParameterError, "window"),
        (lambda: Daily(None, "3"), ParameterError, "2 parameters are wrong"),
        (lambda: Daily(1, 2, 3, 4, 5), UnknownParameter, "by position"),
        (lambda: Daily.from_texts({"day": "2013-13-05"}), ParameterError, "2013-13-05"),
    ],
)
def test_wrong_arguments_are_explained(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_a_wrong_definition_tells_all_its_faults_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:

        class Wrong(lv.Task):
            a: object
            b: int = "no"  # type: ignore[assignment]  # that is the point
            run: int = 3  # type: ignore[assignment]

    assert "a:" in str(caught.value)
    assert "b:" in str(caught.value)
    assert "run" in str(caught.value)


def test_class_variables_and_the_attributes_of_a_task_are_no_parameters() -> None:
    class Plain(lv.Task):
        limit: ClassVar[int] = 3
        priority: int = 5  # type: ignore[misc]  # allowed at run time
        _hidden: int = 1
        x: int = 0

    assert [n for n, _ in Plain.parameters()] == ["x"]


def test_parameters_can_be_added_after_the_class_was_made() -> None:
    class Late(lv.Task):
        a: int = 1

    class Child(Late):
        pass

    assert repr(Child()) == "Child(a=1)"
    Late.b = lv.IntParameter(default=2)  # type: ignore[attr-defined]
    assert repr(Child()) == "Child(a=1, b=2)"


def test_a_subclass_keeps_the_order_that_type_checkers_see() -> None:
    class Left(lv.Task):
        a: int

    class Right(lv.Task):
        b: int

    class Both(Right, Left):
        c: int
        a: int = 4

    assert [n for n, _ in Both.parameters()] == ["a", "b", "c"]


def test_positional_only_by_name() -> None:
    class Named(lv.Task):
        a: int
        b: int = lv.param(default=1, positional=False)

    assert Named(1, b=2).b == 2
    with pytest.raises(UnknownParameter):
        Named(1, 2)


def test_an_own_constructor_is_called_with_the_values() -> None:
    class Own(lv.Task):
        a: int

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.twice = self.a * 2

    assert Own(4).twice == 8
    assert Own(4) is Own(a=4)


def test_an_own_constructor_without_room_for_all_values_gets_those_that_were_given() -> None:
    """Old programs narrow a constructor: what it does not take has its default, and is part of the identity all the same."""

    class Narrow(lv.Task):
        a: int = 1
        b: int = 2
        c: int = 3

        def __init__(self, b: int) -> None:
            super().__init__(b=b)

    assert (Narrow(b=5).a, Narrow(b=5).b, Narrow(b=5).c) == (1, 5, 3)
    assert Narrow(b=5).to_texts() == {"a": "1", "b": "5", "c": "3"}


def test_containers_become_immutable_and_intern_by_text() -> None:
    class Lists(lv.Task):
        items: tuple[int, ...]
        anything = lv.ListParameter(default=[1])

    assert Lists([1, 2]) is Lists((1, 2))
    assert Lists((1,), anything=[True]) is not Lists((1,), anything=[1])


def test_names_lead_to_classes_and_unknown_ones_to_the_nearest() -> None:
    assert registry.find("Daily") is Daily
    with pytest.raises(UnknownTask, match="Daily"):
        registry.find("Dialy")


def test_two_tasks_of_one_name_are_ambiguous_and_can_be_told_apart_by_module() -> None:
    def define(module: str) -> type[lv.Task]:
        return type(lv.Task)("Twin", (lv.Task,), {"__module__": module, "__qualname__": "Twin"})  # type: ignore[return-value]

    first, second = define("one"), define("two")
    with pytest.raises(AmbiguousTask, match="one:Twin, two:Twin"):
        registry.find("Twin")
    assert registry.find("one:Twin") is first
    assert registry.find("two:Twin") is second


def test_luigis_names_for_family_and_parameters_work_on_classes_and_instances() -> None:
    task = Daily(date(2013, 1, 5))
    assert Daily.get_task_family() == task.get_task_family() == Daily.task_family == task.task_family == "Daily"
    assert [name for name, _ in task.get_params()] == ["day", "window", "note"]


def test_an_attribute_of_a_task_without_a_value_is_no_parameter_and_told() -> None:
    with pytest.raises(DefinitionError, match="tags: an attribute with a meaning of its own"):

        class Tagged(lv.Task):
            tags: tuple[str, ...]  # type: ignore[misc]  # that is the point


def test_a_namespace_goes_before_the_name() -> None:
    class Spaced(lv.Task):
        task_namespace = "shop.north"

    assert Spaced.family == "shop.north.Spaced"
    assert registry.find("shop.north.Spaced") is registry.find("Spaced") is Spaced


def test_policies_understand_both_spellings_of_retries() -> None:
    class Ours(lv.Task):
        retry = lv.Retry(attempts=5)
        resources: ClassVar[dict[str, int]] = {"db": 2, "api": 1}
        timeout = 9.0

    class Luigis(lv.Task):
        retry_count = 3
        disable_window = 100
        worker_timeout = 4

    assert policy_of(Ours()).retry.attempts == 5
    assert policy_of(Ours()).resources == (("api", 1), ("db", 2))
    assert policy_of(Ours()).timeout == 9.0
    assert policy_of(Luigis()).retry.disable_after == 3
    assert policy_of(Luigis()).timeout == 4
    assert policy_of(Ours()) is policy_of(Ours())


def test_policies_may_depend_on_parameters() -> None:
    class Varied(lv.Task):
        n: int

        @property
        def priority(self) -> int:  # type: ignore[override]
            return self.n

        def process_resources(self) -> dict[str, int]:
            return {"slots": self.n}

    assert policy_of(Varied(3)).resources == (("slots", 3),)
    assert info_of(Varied).priority is None


def test_batched_parameters_combine_several_tasks_into_one() -> None:
    class Batched(lv.Task):
        day = lv.DateParameter(batch_method=max)
        shop = lv.Parameter()

    tasks = [Batched(date(2013, 1, n), "north") for n in (1, 2, 3)]
    assert len({batch_group_of(task) for task in tasks}) == 1
    assert batch_group_of(Batched(date(2013, 1, 1), "south")) != batch_group_of(tasks[0])
    assert combined(tasks) is tasks[2]


def test_secrets_are_masked_wherever_a_task_is_shown() -> None:
    class Safe(lv.Task):
        password: str = lv.param(secret=True)

    task = Safe(password="hunter2")
    assert "hunter2" not in repr(task)
    assert "hunter2" not in repr_of(task)


def test_requires_passes_parameters_down() -> None:
    class Orders(lv.Task):
        shop: str
        day: date = date(2013, 1, 1)

    @lv.requires(Orders)
    class Revenue(lv.Task):
        day: date = date(2014, 1, 1)

    assert Revenue(shop="north").requires() is Orders("north", date(2014, 1, 1))

    @lv.requires(first=Orders, second=Revenue)
    class Named(lv.Task):
        pass

    assert set(Named(shop="south").requires()) == {"first", "second"}


def test_external_versions_of_a_task_have_no_run_and_the_same_key() -> None:
    made = Daily(date(2013, 1, 5))
    other = lv.externalize(made)
    assert other.run is None
    assert made.run is not None
    assert key_of(other) == key_of(made)


def test_handlers_hear_events_of_their_class_and_what_they_raise_stays_with_them() -> None:
    class Loud(lv.Task):
        pass

    heard: list[lv.Task] = []

    @Loud.event_handler(lv.Event.SUCCESS)
    def on_success(task: lv.Task) -> None:
        heard.append(task)
        raise RuntimeError

    Loud().trigger_event(lv.Event.SUCCESS, Loud())
    Daily(date(2013, 1, 1)).trigger_event(lv.Event.SUCCESS, Daily(date(2013, 1, 1)))
    assert heard == [Loud()]
    Loud.remove_event_handler(lv.Event.SUCCESS, on_success)


def test_a_task_without_output_and_run_is_complete_when_its_requirements_are() -> None:
    class Leaf(lv.Task):
        done: bool

        def complete(self) -> bool:
            return self.done

    class Group(lv.Task):
        done: bool

        def requires(self) -> Any:
            yield Leaf(self.done)

    class Works(Group):
        def run(self) -> None: ...

    assert Group(True).complete()
    assert not Group(False).complete()
    assert not Works(True).complete()


def test_input_mirrors_the_nesting_of_requires() -> None:
    class Leaf(lv.Task):
        n: int

        def output(self) -> Any:
            return lv.LocalTarget(f"/tmp/{self.n}")

    class Root(lv.Task):
        def requires(self) -> Any:
            return {"a": Leaf(1), "b": [Leaf(2), Leaf(3)]}

    given = Root().input()
    assert given["a"].path == "/tmp/1"
    assert [target.path for target in given["b"]] == ["/tmp/2", "/tmp/3"]
    assert [task.n for task in Root().deps()] == [1, 2, 3]


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def test_annotations_in_local_scopes_are_understood() -> None:
    class Local(lv.Task):
        colour: Colour
        at: datetime
        maybe: int | None = None

    task = Local(Colour.RED, datetime(2013, 1, 5, 3))
    assert Local.from_texts(task.to_texts()) is task


def test_clone_takes_what_both_have_in_common() -> None:
    assert Daily(date(2013, 1, 5), 3).clone(window=4) is Daily(date(2013, 1, 5), 4)


def test_an_instance_is_no_larger_than_needed() -> None:
    """The graph of a million tasks rests on this: attributes share their keys."""

    class Small(lv.Task):
        a: int
        b: int

    task = Small(1, 2)
    assert sys.getsizeof(task) <= 64


def test_an_unknown_family_is_answered_with_those_that_users_define() -> None:
    with pytest.raises(UnknownTask) as told:
        registry.find("Zzzz")
    for base in ("JobTask", "ExternalTask", "WrapperTask", "ExternalProgramTask"):
        assert base not in str(told.value)
    from levada.contrib.programs.tasks import ExternalProgramTask  # a base, which is known when it is imported

    assert not [name for name in registry.own() if name in ("JobTask", "ExternalProgramTask", "Task")]
    assert registry.families()["ExternalProgramTask"] is ExternalProgramTask
    with pytest.raises(UnknownTask) as told:
        registry.find("ExternalProgramTaks")
    assert "ExternalProgramTask" not in str(told.value)


def test_input_keeps_kinds_of_tuples_and_dicts() -> None:
    class Pair(NamedTuple):
        first: Any
        second: Any

    class One(lv.Task):
        n: int

        def output(self) -> Any:
            return lv.LocalTarget(str(self.n))

    class All(lv.Task):
        def requires(self) -> Any:
            return {
                "pair": Pair(One(1), One(2)),
                "ordered": OrderedDict(a=One(3)),
                "tuple": (One(4),),
                "generator": (One(n) for n in (5, 6)),
            }

    given: Any = All().input()
    assert given["pair"].second.path == "2"
    assert type(given["ordered"]) is OrderedDict
    assert type(given["tuple"]) is tuple
    assert [target.path for target in given["generator"]] == ["5", "6"]


def test_a_clone_takes_attributes_for_parameters_and_leaves_out_what_the_other_lacks() -> None:
    class Source(lv.Task):
        day: date
        shop: str = "n"

        @property
        def month(self) -> int:
            return self.day.month

    class Other(lv.Task):
        day: date
        month: int
        tags: str = "none"  # an attribute of every task, and no parameter of Source

    other = Source(date(2013, 1, 5)).clone(Other, shop="s")
    assert (other.month, other.tags) == (1, "none")
    with pytest.raises(UnknownParameter, match="shup"):
        Source(date(2013, 1, 5)).clone(Other, shup="s")


class Outside(lv.Task):
    """Made by others, sometimes."""

    day: date

    def run(self) -> None: ...


def test_an_external_version_is_not_found_by_name_and_can_be_pickled() -> None:
    registry.add(Outside)  # another test may have put the registry back
    outside = lv.externalize(Outside(date(2013, 1, 5)))
    assert outside.run is None
    assert registry.find(f"{__name__}:Outside") is Outside
    assert pickle.loads(pickle.dumps(outside)) is outside
    assert outside.task_id == Outside(date(2013, 1, 5)).task_id


def test_the_task_id_is_luigis_to_the_letter_unless_a_value_is_hidden() -> None:
    class Shop(lv.Task):
        name: str
        city: str
        door = lv.Parameter(default="front", visibility=ParameterVisibility.HIDDEN)

    class Plain(lv.Task):
        name: str
        city: str

    values = {"city": "Bonn", "name": "north"}
    assert Plain(**values).task_id == task_id_str("Plain", values)
    assert Shop(**values).task_id.startswith("Shop_Bonn_north_")
    assert Shop(**values).task_id != Shop(**values, door="back").task_id


def test_names_that_python_has_for_itself_may_be_those_of_a_class_made_by_a_program() -> None:
    made: Any = type("Made", (lv.Task,), {"in": lv.IntParameter(), "out": lv.IntParameter(default=2)})
    task = made(**{"in": 1})
    assert task is made(1)
    assert task.to_texts() == {"in": "1", "out": "2"}
    assert made.from_texts({"in": "1"}) is task


def test_a_parameter_in_luigis_spelling_may_be_called_input() -> None:
    class Copy(lv.Task):
        input = lv.Parameter()  # type: ignore[assignment]

    assert Copy("a").to_texts() == {"input": "a"}
    with pytest.raises(DefinitionError, match="input"):

        class Typed(lv.Task):
            input: str  # type: ignore[assignment]


def test_handlers_are_given_names_too() -> None:
    heard: list[Any] = []

    @Old.event_handler("seen")
    def seen(task: Any, *, by: str) -> None:
        heard.append((task, by))

    task = Old(date=date(2013, 1, 5))
    task.trigger_event("seen", task, by="ana")
    Old.remove_event_handler("seen", seen)
    assert heard == [(task, "ana")]


def test_a_changed_attribute_of_the_class_leaves_its_tasks_what_they_are() -> None:
    class Counted(lv.Task):
        n: int
        runs: ClassVar[int] = 0

    task = Counted(1)
    Counted.runs += 1
    assert Counted(1) is task
    Counted.more = lv.IntParameter(default=1)  # type: ignore[attr-defined]
    assert Counted(1).to_texts() == {"n": "1", "more": "1"}


def test_classes_that_nobody_holds_are_found_while_the_registry_keeps_them() -> None:
    def define(name: str) -> None:
        type(name, (lv.Task,), {"__module__": __name__})
        gc.collect()

    registry.keep()
    try:
        define("Kept")
        assert registry.find(f"{__name__}:Kept").__name__ == "Kept"
    finally:
        registry.keep(False)
    define("Unkept")
    with pytest.raises(UnknownTask):
        registry.find(f"{__name__}:Unkept")

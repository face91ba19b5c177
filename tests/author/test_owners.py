from __future__ import annotations

import pytest

import levada as lv
from levada.errors import DefinitionError
from levada.task import policy_of


def test_owners_of_a_class_are_part_of_its_policy() -> None:
    class One(lv.Task):
        owners = ("ana", "ben")

    class Two(One):
        owners = "carl"  # type: ignore[assignment]  # one name is a text, too

    class Neither(lv.Task):
        pass

    assert [policy_of(task()).owners for task in (One, Two, Neither)] == ["ana,ben", "carl", ""]


@pytest.mark.parametrize("owners", [("ana,ben",), ("",), (7,), ["a\nb"], ("x",) * 21])
def test_what_is_no_name_is_refused(owners: object) -> None:
    bad = type("Bad", (lv.Task,), {"owners": owners})
    with pytest.raises(DefinitionError, match="expected names without commas"):
        policy_of(bad())


def test_a_parameter_named_owners_is_no_list_of_names() -> None:
    class Luigis(lv.Task):
        owners = lv.ListParameter(default=["a table, say"])

    assert policy_of(Luigis()).owners == ""

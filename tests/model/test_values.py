"""Our NamedTuple is the one of ``typing`` to whoever uses it."""

from __future__ import annotations

import copy
import typing

import pytest

from levada._model import values


class Theirs(typing.NamedTuple):
    first: int
    second: str = "b"
    third: tuple[int, ...] = ()


class Ours(values.NamedTuple):
    first: int
    second: str = "b"
    third: tuple[int, ...] = ()

    def told(self) -> str:
        return f"{self.first}{self.second}"


def test_it_is_built_by_position_and_by_name_with_defaults() -> None:
    for cls in (Theirs, Ours):
        assert tuple(cls(1)) == (1, "b", ())
        assert tuple(cls(1, "c", third=(2,))) == (1, "c", (2,))
        assert cls(third=(), first=3) == (3, "b", ())
    assert Ours(1).told() == "1b"


@pytest.mark.parametrize(("values", "named"), [((), {}), ((1, "b", (), 4), {}), ((1,), {"first": 2}), ((1,), {"fourth": 2})])
def test_wrong_values_are_refused(values: tuple[object, ...], named: dict[str, object]) -> None:
    for cls in (Theirs, Ours):
        with pytest.raises(TypeError):
            cls(*values, **named)  # type: ignore[arg-type]


def test_it_reads_replaces_and_shows_like_the_original() -> None:
    ours, theirs = Ours(1, third=(5,)), Theirs(1, third=(5,))
    assert (ours.first, ours.second, ours.third) == tuple(ours) == tuple(theirs)
    assert ours == theirs
    assert hash(ours) == hash(theirs)
    assert type(ours._replace(second="z")) is Ours
    assert ours._replace(second="z") == theirs._replace(second="z")
    assert ours._asdict() == theirs._asdict()
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert Ours._fields == Theirs._fields
    assert copy.deepcopy(ours) == ours
    match ours:
        case Ours(first, second, _):
            assert (first, second) == (1, "b")


def test_a_field_without_default_after_one_with_it_is_refused() -> None:
    with pytest.raises(TypeError, match="default"):
        exec("class Wrong(values.NamedTuple):\n    a: int = 1\n    b: int\n", {"values": values})


def test_its_places_cannot_be_written_to() -> None:
    with pytest.raises(AttributeError):
        Ours(1).first = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Ours(1).other = 2  # type: ignore[attr-defined]

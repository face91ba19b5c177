"""Keys and values come back from their text as they were."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada.contrib.hadoop import records

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.dates(), st.datetimes(), st.times(),
    st.timedeltas(), st.decimals(allow_nan=False),
)  # fmt: skip
KEYS = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
VALUES = st.recursive(KEYS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(), inner, max_size=3), max_leaves=8)


@given(VALUES)
def test_a_value_comes_back_with_its_type(value: Any) -> None:
    found = records.load(records.dump(value))
    assert type(found) is type(value)
    assert found == value


@given(VALUES)
def test_a_text_is_one_field_of_one_line_of_ascii(value: Any) -> None:
    text = records.dump(value)
    assert text.isascii()
    assert not {"\t", "\n", "\r", "\v", "\f"} & set(text)


@given(st.lists(st.tuples(KEYS, VALUES), max_size=8))
def test_pairs_come_back_in_groups(pairs: list[tuple[Any, Any]]) -> None:
    lines = sorted(records.write_pairs(pairs), key=lambda line: line.partition("\t")[0])
    groups = [(key, list(values)) for key, values in records.read_groups(lines)]
    assert sum(len(values) for _, values in groups) == len(pairs)
    assert len(groups) == len({records.dump(key) for key, _ in pairs})


def test_equal_sets_have_equal_texts() -> None:
    assert records.dump(frozenset({"a", "b", "c"})) == records.dump(frozenset({"c", "b", "a"}))


@pytest.mark.parametrize(
    "value", [{"@list": [1]}, {"@x": 1}, {"a": 1, "@b": 2}, {1: 2}, datetime(2024, 1, 1, tzinfo=UTC), time(1), timedelta(1)]
)
def test_what_looks_like_a_mark_comes_back_too(value: Any) -> None:
    assert records.load(records.dump(value)) == value


class Point(NamedTuple):
    x: int


@pytest.mark.parametrize("value", [object(), Point(1), 1j, [Point(1)], {"a": {1: Point(2)}}])
def test_what_would_come_back_as_something_else_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="does not travel"):
        records.dump(value)


def test_a_pair_that_is_none_is_told() -> None:
    with pytest.raises(TypeError, match=r"\(key, value\) pairs, got 'abc'"):
        list(records.write_pairs(["abc"]))  # type: ignore[list-item]


@pytest.mark.parametrize("text", ["", "{", '{"@nothing":1}', '{"@date":"today"}', '{"@decimal":"x"}'])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the text"):
        records.load(text)


def test_nothing_that_is_read_is_run() -> None:
    with pytest.raises(ValueError, match="not the text"):
        records.load("__import__('os').getcwd()")

"""Attempts that ended well come back from their blob as they went in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada._model.ports import Attempt
from levada._store.packing import packed, unpacked, with_key

from .values import attempt, key

texts = st.text(max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1)
times = st.floats(allow_nan=False)
keys = st.sampled_from([key(0), key(1), b"\x00" * 15 + b"\x01", bytes(range(16)), b"\xff" * 16])
attempts = st.builds(Attempt, keys, texts, texts, numbers, times, times, st.just("ok"), st.just(""), st.just(""), times, numbers, texts)


@given(st.lists(attempts, min_size=1, max_size=30))
def test_attempts_come_back_as_they_went_in(some: list[Attempt]) -> None:
    assert unpacked(packed(some)) == some


@given(st.lists(attempts, min_size=1, max_size=30), keys)
def test_those_of_a_task_are_found_without_the_rest(some: list[Attempt], wanted: bytes) -> None:
    """Also where the bytes of two keys, end to end, spell a third one between them."""
    found = list(with_key(packed(some), wanted))
    assert found == [(place, one) for place, one in enumerate(some) if one.key == wanted]


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        packed([attempt(1), attempt(2)._replace(key=b"short")])

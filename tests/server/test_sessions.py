"""What sessions may ask of the server's memory, and what they leave of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from levada._server import work
from levada._wire import messages as w
from levada._wire.problems import Refusal
from tests.server.hosting import KINDS, S1, S2, Served, key, refusal, served

S3 = "3" * 32


@pytest.fixture(params=KINDS)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    with served(request.param, tmp_path) as made:
        yield made


def test_the_modules_of_all_sessions_are_bounded(house: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound for each session is none while there may be 100,000 of them."""
    monkeypatch.setattr(work, "ALL_MODULES", 10)
    house.hello(S1, modules=["flights"])
    with pytest.raises(Refusal, match="all workers offer have more than 10 characters") as refused:
        house.hello(S2, modules=["reports"])
    assert refused.value.code == "busy"
    assert S2 not in house.host.members
    house.hello(S2, modules=["rep"])
    house.hello(S1, modules=["flights"])
    house.again()  # a server that starts anew counts what it reads
    assert refusal(lambda: house.hello(S3, modules=["x"])) == "busy"
    house.work(w.Bye, S2)
    house.hello(S3, modules=["x"])
    house.hello(S3)
    house.hello(S2, modules=["rep"])
    assert house.host.offered == 10


def test_the_modules_of_one_session_are_bounded(house: Served) -> None:
    assert refusal(lambda: house.hello(S1, modules=["m" * 500] * 33)) == "too-large"
    assert house.host.members == {}


def test_a_requirement_that_is_named_twice_is_one(house: Served) -> None:
    house.add({0: [], 1: [0, 0, 0]})
    assert list(house.host.brain.state.edges.requirements(1)) == [0]
    assert house.claim() == [0]
    house.add({2: []}, "B")
    nap = w.SuspendedItem(key(0), *house.fence(0), requires=key(2) * 2)
    assert house.claim(suspended=[nap]) == [2]
    assert list(house.host.brain.state.edges.requirements(0)) == [2]

"""Claims that are held open: answered when there is something, and never with what is not written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from levada._server import host as hosts
from levada._wire import messages as w
from levada._wire import operators as o
from levada._wire.problems import Refusal
from levada.errors import LevadaError, StoreBroken, StoreFull
from tests.server.hosting import S1, S2, Place, Served, heard, key, served

S3 = "3" * 32


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Served]:
    with served("memory", tmp_path) as made:
        yield made


def hold(house: Served, session: str) -> Any:
    """A claim that waits; where its answer arrives."""
    if session not in house.numbers:
        house.hello(session)
    return house.begin(w.Sync(session=session, seq=next(house.numbers[session]), room=1, wait=30.0), role="worker", token="w")


def test_a_claim_hears_of_tasks_that_others_came_to_share_while_it_waited(house: Served) -> None:
    """A third run adds the same tasks: from then on they belong to all three, and what becomes ready is told to who waits."""
    house.add({0: []}, session=S2)
    assert house.claim(session=S2) == [0]
    house.add({0: [], 1: [0]}, session=S1)
    waits = hold(house, S1)
    house.add({0: [], 1: [0]}, session=S3)

    house.done(0, session=S2)

    assert [row[0] for row in heard(waits, 5.0).granted] == [key(1)]


def test_a_server_that_stops_without_room_grants_nothing_that_is_not_written(house: Served) -> None:
    """The next server knows nothing of what was not written: it would give the same task to another."""
    house.add({0: [], 1: []}, retry={"attempts": 2, "first": 1_000.0})
    assert house.claim(room=2) == [0, 1]
    house.fail(0, final=False)
    waits = hold(house, S1)
    house.hello(S2)
    house.place.disk.full = True
    with pytest.raises(StoreFull):
        house.add({2: []}, session=S2)

    house.host._base += 2_000.0  # the retry is due, by the brain's time
    house.host.stop()

    with pytest.raises(LevadaError, match="the server stops"):
        heard(waits, 5.0)
    house.place.disk.full = False
    house.again()
    assert [house.status(0), house.status(1)] == ["retrying", "running"]


def test_the_last_answers_of_a_server_are_written_first(tmp_path: Path) -> None:
    """Where there is no room for them, they are refused, and the host has ended well all the same."""
    house = Served(Place("memory", tmp_path))
    house.add({0: [], 1: []})
    house.claim(room=1)
    house.host.held_until = house.host.clock() + 100.0  # so that the claim is held though there is something
    waits = hold(house, S1)
    house.host.held_until = 0.0
    house.place.disk.full = True

    house.host.stop()

    with pytest.raises(LevadaError, match=r"the server stops|there is no room"):
        heard(waits, 5.0)
    assert house.host.failed is None


@pytest.mark.parametrize("slow", [False, True])
def test_a_store_that_breaks_answers_what_it_could_not_write(house: Served, monkeypatch: pytest.MonkeyPatch, slow: bool) -> None:
    """No caller waits for an answer that can never come."""
    house.add({0: []})
    monkeypatch.setattr(house.host, "_quick_disk", not slow)

    def broken(_: object) -> None:
        raise StoreBroken("/dev/sda: EIO")

    monkeypatch.setattr(house.host.store, "commit", broken)
    with pytest.raises(LevadaError, match="EIO"):
        house.claim()


def test_refusals_are_for_callers() -> None:
    assert hosts._refusal(KeyError("x")).code == "internal"
    assert hosts._refusal(Refusal("busy", "later")).code == "busy"


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_nothing_is_granted_to_a_claim_whose_token_counts_no_more(how: str, house: Served) -> None:
    """Its worker could neither renew nor report: the task would stand for a lease."""
    made = house.ask(o.CreateToken(role="worker", days=1.0))
    who = {"role": "worker", "token": made.id}
    house.ask(w.Hello(session=S1, wire=[1], levada="9.9"), **who)
    policies, tasks = [w.PolicySpec(family="A")], [w.TaskItem(key(0), 0, "{}")]
    house.ask(w.AddTasks(session=S1, seq=1, policies=policies, tasks=tasks, growth=[w.GrowthItem(key(0), "", True)]), **who)
    house.ask(o.Pause())
    waits = house.begin(w.Sync(session=S1, seq=2, room=1, wait=30.0), **who)
    if how == "revoked":
        house.ask(o.RevokeToken(made.id))
    else:
        house.host.tokens._clock = lambda: made.expires + 1.0
    house.ask(o.Resume())

    with pytest.raises(Refusal, match="while its request waited"):
        heard(waits, 5.0)
    assert house.status(0) == "ready"

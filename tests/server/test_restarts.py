"""What a worker holds when the server dies and starts again, once and more often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from levada._server import work
from levada._server.host import Host, boottime
from levada._wire import kinds
from levada._wire import messages as w
from levada.errors import Deposed

from .hosting import KINDS, S1, Place, Served, key


@pytest.mark.parametrize("kind", KINDS)
def test_a_fence_of_the_first_epoch_is_the_newest_after_any_number_of_restarts(kind: str, tmp_path: Path) -> None:
    """The journal tells no epoch before the second one; what it tells then must not be taken for the newest."""
    served = Served(Place(kind, tmp_path))
    try:
        served.add({1: [], 2: []})
        assert served.claim(room=2) == [1, 2]
        fences = {number: served.fence(number) for number in (1, 2)}
        for _ in range(3):
            served.again()
            assert {number: served.fence(number) for number in (1, 2)} == fences
        held = [kinds.Held(key(number), *fence) for number, fence in fences.items()]
        renewed = served.ask(w.Renew(session=S1, held=held), role="worker", token="w")
        assert "lost" not in renewed
        assert "lost" not in served.work(w.Sync, done=held)
        assert [served.status(number) for number in (1, 2)] == ["done", "done"]
    finally:
        served.host.stop()


def test_a_server_that_was_stopped_within_a_drain_answers_nothing_that_is_anothers_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop is noticed before the answer, not before the next drain only."""
    place, skew = Place("memory", tmp_path), [0.0]
    host = Host(place.store(), version="9.9", contested=True, clock=lambda: boottime() + skew[0])
    renew = work.HANDLERS[w.Renew]

    def stopped(desk: Any, call: Any) -> Any:
        skew[0] += 30.0
        place.disk.epoch += 1  # another one took over meanwhile
        return renew(desk, call)

    house = Served.__new__(Served)
    house.host, house.numbers = host, {}
    host.start("test")
    try:
        house.add({0: []})
        house.claim()
        monkeypatch.setitem(work.HANDLERS, w.Renew, stopped)
        with pytest.raises(Deposed):
            house.ask(w.Renew(session=S1, held=[kinds.Held(key(0), 1, 1)]), role="worker", token="w")
        assert isinstance(host.failed, Deposed)
    finally:
        host.stop()

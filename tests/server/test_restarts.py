"""What a worker holds when the server dies and starts again, once and more often."""

from __future__ import annotations

from pathlib import Path

import pytest

from levada._wire import kinds
from levada._wire import messages as w

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

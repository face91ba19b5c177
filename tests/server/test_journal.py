"""What the journal and the snapshot keep is what the brain was."""

from __future__ import annotations

import random
from typing import Any

import pytest

from levada._core import brain as brain_module
from levada._core import laws
from levada._core.brain import Brain
from levada._core.changes import Change
from levada._server import journal
from levada.testing.worlds import World

Log = list[tuple[list[Change], float]]


def played(seed: int, patch: pytest.MonkeyPatch) -> tuple[Brain, Log]:
    """A world's brain, and what changed in it by and by."""
    log: Log = []
    handle, restart = Brain.handle, Brain.restart

    def noted_handle(self: Brain, command: Any, now: float) -> Any:
        changes, reply = handle(self, command, now)
        log.append((list(changes), now))
        return changes, reply

    def noted_restart(self: Brain, epoch: int, now: float) -> list[Change]:
        log.append((restart(self, epoch, now), now))
        return log[-1][0]

    with patch.context() as patched:
        patched.setattr(brain_module.Brain, "handle", noted_handle)
        patched.setattr(brain_module.Brain, "restart", noted_restart)
        world = World(seed)
        world.run(steps=80)
    return world.brain, log


def fresh(like: Brain) -> Brain:
    rules = like.state.rules
    return Brain(1, rules.lease, lock_delay=rules.lock_delay, cancel_grace=rules.cancel_grace)


def write_and_read(brain: Brain, log: Log) -> None:
    for changes, now in log:
        row = journal.to_bytes(changes, now)
        if row is not None:
            then, read = journal.from_bytes(row)
            assert then == now
            brain.resume(None, read)


@pytest.mark.parametrize("seed", range(40))
def test_a_brain_comes_back_from_a_snapshot_and_the_journal_since(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    original, log = played(seed, monkeypatch)
    cut = random.Random(seed).randrange(len(log))
    before = fresh(original)
    write_and_read(before, log[:cut])

    now, saved = journal.saved_of(dict(journal.parts_of(before.save(), 17.5)))
    after = fresh(original)
    after.resume(saved, ())

    assert now == 17.5
    assert after.state.dump() == before.state.dump()
    write_and_read(after, log[cut:])
    assert laws.check(after) == []
    due, found = original.state.dump(), after.state.dump()
    assert set(due.pop("until")) == set(found.pop("until"))  # ends of leases are not written
    assert found == due


def test_what_only_extends_leases_is_not_written() -> None:
    from levada._core.changes import LeasesExtended

    assert journal.to_bytes([LeasesExtended([(0, 5.0)])], 1.0) is None


def test_an_empty_store_has_no_snapshot() -> None:
    assert journal.saved_of({}) == (0.0, None)


def test_each_kind_of_change_has_a_number_that_stays() -> None:
    """A journal of an older version must read on: append new kinds, never reorder."""
    assert [kind.__name__ for kind in journal.KINDS[:24]] == [
        "EpochBegan", "SessionOpened", "SessionDrained", "SessionClosed", "TasksAdded", "TasksShared", "Grown", "FoundWhilePlanning",
        "BecameReady", "WaitsAgain", "Granted", "LeasesExtended", "LeasesForgiven", "Reinstated", "Finished", "Ended", "Slept", "Resumed",
        "CancelWished", "BecameCancelled", "StartedOver", "PrioritySet", "ResourceSet", "PauseSet",
    ]  # fmt: skip

"""The host inside a run: which locks it holds while tasks run, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from levada._model.messages import AddTasks, SessionId, Sync
from levada._model.spec import Growth, Policy, TaskSpec
from levada._server.embedded import MANY, Embedded
from levada._server.locks import RangeLocks

Host = Callable[[str], Embedded]


def key_of(index: int) -> bytes:
    return (index * 64 + 64).to_bytes(8, "big") * 2


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return lambda name: Embedded(SessionId(name), key_of=key_of, locks=RangeLocks(str(tmp_path / "lock")))


def add(host: Embedded, count: int, batch: str | None = None) -> None:
    policy = Policy("Task", batch_limit=count if batch else 1)
    host.add(AddTasks(host.session, [TaskSpec(i, policy, 0, batch) for i in range(count)], [Growth(i, []) for i in range(count)]))


def test_what_still_runs_stays_locked_when_many_others_end_at_once(host: Host) -> None:
    """Else a second run of this host would start it, too."""
    ours, other = host("ours"), host("other")
    add(ours, MANY + 2)
    granted = ours.sync(Sync(ours.session, room=MANY + 2)).granted
    running = granted[-1]
    ours.sync(Sync(ours.session, done=[(one.index, one.fence) for one in granted[:-1]]))
    add(other, MANY + 2)
    taken = other.sync(Sync(other.session, room=MANY + 2)).granted
    assert sorted(one.index for one in taken) == [index for index in range(MANY + 2) if index != running.index]


def test_a_batch_that_cannot_be_had_whole_leaves_no_lock_behind(host: Host, tmp_path: Path) -> None:
    """Else nobody could run its other members as long as this run lives."""
    others = RangeLocks(str(tmp_path / "lock"))
    assert others.take(key_of(2))
    ours = host("ours")
    add(ours, 3, batch="together")
    assert ours.sync(Sync(ours.session, room=1)).granted == []
    assert others.take(key_of(0))
    assert others.take(key_of(1))

"""With NORMAL a power cut may cost the last commits: what that must not bring about (proofs/README.md)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from levada._server.host import Host, Rules
from levada._store.memory import Disk, MemoryStore
from levada._store.ports import Batch
from levada._wire import messages as w
from levada._wire.kinds import Held

from .calls import Worker, key_of

LEASE = 0.6


class Watched(MemoryStore):
    """Remembers which commits were to be flushed."""

    def __init__(self, disk: Disk | None = None) -> None:
        super().__init__(disk)
        self.flushed: list[bool] = []

    def commit(self, batch: Batch) -> None:
        self.flushed.append(batch.flush)
        super().commit(batch)


def started(store: MemoryStore, boot: str) -> Host:
    host = Host(store, Rules(lease=LEASE), boot=boot)
    host.start("test")
    return host


def room_for(host: Host, number: int) -> Any:
    worker = Worker(host)
    worker.add(number)
    return worker.numbered(w.Sync, room=1).get("granted", [])


@pytest.mark.parametrize(("before", "after", "holds"), [("a", "a", False), ("a", "b", True), ("?", "?", True)])
@pytest.mark.slow
def test_nothing_is_granted_for_a_lease_after_the_machine_started_anew(before: str, after: str, holds: bool) -> None:
    disk = Disk()
    started(MemoryStore(disk), before).stop()
    host = started(MemoryStore(disk), after)
    try:
        assert bool(room_for(host, 1)) is not holds
        time.sleep(LEASE + 0.6)
        assert room_for(host, 2)
    finally:
        host.stop()


def test_a_server_that_ends_during_the_hold_holds_again() -> None:
    disk = Disk()
    started(MemoryStore(disk), "a").stop()
    started(MemoryStore(disk), "b").stop()
    host = started(MemoryStore(disk), "b")
    try:
        assert not room_for(host, 1)
    finally:
        host.stop()


def test_a_second_grant_of_a_task_is_flushed_and_a_first_is_not() -> None:
    store = Watched()
    host = started(store, "a")
    try:
        worker = Worker(host)
        worker.add(1)
        store.flushed.clear()
        (row,) = worker.numbered(w.Sync, room=1)["granted"]
        assert not any(store.flushed)
        failed = w.HandedBackItem(key=key_of(1), epoch=row[1], number=row[2])
        assert worker.numbered(w.Sync, handed_back=[failed], room=1)["granted"][0][2] == 2
        assert any(store.flushed)
        worker.numbered(w.Sync, done=[Held(key_of(1), row[1], 2)])
    finally:
        host.stop()

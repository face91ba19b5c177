"""A server that runs for months does not grow: old tasks go from brain, registry and store, and their places serve others."""

from __future__ import annotations

import time
from typing import Any

import pytest

from levada._server.ages import Ages
from levada._server.host import Host, Rules
from levada._store.memory import MemoryStore
from levada._store.opening import open_store

from .calls import Worker


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def host_of(store: Any, wall: Clock) -> Host:
    host = Host(store, Rules(keep=86_400.0), wall=wall)
    host.start("test")
    return host


def turn_over(host: Host) -> None:
    """Let the host do its housekeeping now."""
    host._keep_at = 0.0
    until = time.monotonic() + 10
    while host._keep_at == 0.0 and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.4)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_old_tasks_go_and_their_places_serve_others_also_after_a_restart(kind: str, tmp_path: Any) -> None:
    wall = Clock()
    memory = MemoryStore()
    path = str(tmp_path / "levada.db")
    host = host_of(memory if kind == "memory" else open_store(path), wall)
    try:
        worker = Worker(host)
        worker.make(1, 2, 3)
        assert len(host.registry.index_of) == 3
        wall.ahead = 3 * 86_400.0
        turn_over(host)
        assert len(host.registry.index_of) == 0
        assert host.store.task_page().rows == []
        worker.make(4)
        assert len(host.registry.keys) == 3
        worker.make(1)
    finally:
        host.stop()
    again = host_of(MemoryStore(memory.disk) if kind == "memory" else open_store(path), wall)
    try:
        assert len(again.registry.index_of) == 2
        assert len(again.registry.keys) == 3
        Worker(again).make(7, 8)
    finally:
        again.stop()


def test_ages_are_read_back_and_unknown_ones_count_from_now() -> None:
    ages = Ages(None, 0.0, 0)
    from levada._core import changes as ch

    ages.note([ch.Finished([0, 2])], 100 * 3600.0)
    again = Ages(ages.to_bytes(), 500 * 3600.0, 5)
    assert again.older_than(200 * 3600.0, 100) == [0, 1, 2]
    assert again.older_than(600 * 3600.0, 100) == [0, 1, 2, 3, 4]

"""What an agent watches: changes as the server tells them, however many come at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from levada._wire.triggers import Watched
from levada._worker.agent.process import Watcher
from levada.targets.watching import Seen
from tests.faults.command import soon


class Told:
    """A watcher with its thread, and what it told."""

    def __init__(self, poll: float | None = None) -> None:
        self.seen: list[Seen] = []
        self.watcher = Watcher(self.seen.extend, poll)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.watcher.run, args=(self._stop,))
        self._thread.start()
        self._seq = 0

    def heed(self, acts: str, url: str, interval: float = 30.0) -> None:
        entries = []
        for act in acts:
            self._seq += 1
            entries.append(Watched(self._seq, act, url, False, interval))
        self.watcher.heed(entries)

    def close(self) -> None:
        self._stop.set()
        self.watcher.heed(())
        self._thread.join()
        self.watcher.close()


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.close()


def test_what_is_dropped_and_wanted_again_at_once_is_told_again(told: Told, tmp_path: Path) -> None:
    """Its goal was unfolded while the file came, elsewhere perhaps, and has parked again: who waits now has not heard of it."""
    (tmp_path / "a").touch()
    for times, acts in enumerate(("+", "-+", "-+-+"), 1):
        told.heed(acts, f"{tmp_path}/a")
        assert soon(lambda times=times: len(told.seen) == times, 10, 0.01)  # type: ignore[misc]
    told.heed("-", f"{tmp_path}/a")


def test_a_server_that_begins_anew_is_told_anew(told: Told, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    told.heed("+", f"{tmp_path}/a")
    assert soon(lambda: len(told.seen) == 1, 10, 0.01)
    told.watcher.forget()
    told.heed("+", f"{tmp_path}/a")
    assert soon(lambda: len(told.seen) == 2, 10, 0.01)


def test_a_place_that_cannot_be_asked_is_a_warning_once(told: Told, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told.heed("+", "nowhere://bucket/a")
    assert soon(told.watcher.troubles, 10, 0.01)
    told.heed("+", f"{tmp_path}/b")
    (tmp_path / "b").touch()
    assert soon(lambda: told.seen, 10, 0.01)
    said = [record.getMessage() for record in caplog.records if record.name == "levada.agent"]
    assert len([line for line in said if line.startswith("nowhere://bucket/a: ")]) == 1, said


@pytest.mark.parametrize(("poll", "wished", "interval"), [(None, 30.0, 30.0), (2.0, 30.0, 2.0), (60.0, 30.0, 30.0), (0.0, 5.0, 1.0)])
def test_poll_bounds_the_interval_of_every_wish(tmp_path: Path, poll: float | None, wished: float, interval: float) -> None:
    watcher = Watcher(lambda seen: None, poll)
    try:
        watcher.heed([Watched(1, "+", f"{tmp_path}/a", False, wished)])
        assert [wanted.interval for wanted in watcher._wanted.values()] == [interval]
    finally:
        watcher.close()

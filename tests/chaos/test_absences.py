"""The server's own absences (docs/chaos.md): no healthy attempt fails of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .absences import faketime, leap, stop_the_server, time_until_a_dead_worker_is_replaced

pytestmark = pytest.mark.ci


@pytest.mark.timeout(180)
def test_no_attempt_fails_because_the_server_was_stopped_for_longer_than_a_lease(tmp_path: Path) -> None:
    found = stop_the_server(tmp_path, 3)
    print(found)
    found.check()


@pytest.mark.skipif(faketime() is None, reason="by design: libfaketime is not installed (Debian: apt-get install libfaketime)")
def test_no_attempt_fails_because_the_clock_of_the_wall_leaps(tmp_path: Path) -> None:
    found = leap(tmp_path, 2)
    print(found)
    found.check()


def test_the_task_of_a_dead_worker_is_granted_again_within_lease_and_five_seconds(tmp_path: Path) -> None:
    seconds = time_until_a_dead_worker_is_replaced(tmp_path)
    print(f"granted again after {seconds:.1f} s, with a lease of 5 s")
    assert 5.0 <= seconds < 10.0

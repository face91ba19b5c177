"""Workers that are stopped past their leases and woken (docs/chaos.md): one output, one commit, and the late one says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from .pauses import pause_workers

pytestmark = pytest.mark.ci


@pytest.mark.timeout(180)
def test_of_two_workers_one_commits_when_the_first_was_stopped_past_its_lease(tmp_path: Path) -> None:
    found = pause_workers(tmp_path, 10, 1)
    print(found)
    found.verdict.check()
    assert found.seen["were refused"] >= 3, found  # it was a proof

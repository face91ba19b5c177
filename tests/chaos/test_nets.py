"""Networks that are cut between hosts (docs/chaos.md): the laws hold, and all is done soon after the healing."""

from __future__ import annotations

from pathlib import Path

import pytest

from .nets import can_cut, cut_the_network

pytestmark = pytest.mark.ci


@pytest.mark.skipif(not can_cut(), reason="by design: network namespaces cannot be made here")
@pytest.mark.timeout(240)
def test_workers_and_servers_that_are_cut_off_from_each_other_break_no_law(tmp_path: Path) -> None:
    found = cut_the_network(tmp_path, 2, 1)
    print(found)
    found.verdict.check()
    assert max(found.healing) < 60

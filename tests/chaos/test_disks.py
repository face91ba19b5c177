"""Disks that are full or slow (docs/chaos.md): nothing acknowledged is lost, and running attempts keep their leases."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .disks import can_mount, fill_the_disk, slow_disk

pytestmark = pytest.mark.ci


@pytest.mark.skipif(not can_mount(), reason="by design: no file system can be mounted here")
def test_a_full_disk_is_told_and_survived_while_leases_are_renewed(tmp_path: Path) -> None:
    found = fill_the_disk(tmp_path)
    print(found)
    found.check()
    assert found.refusals == {"507 store-full"}
    assert found.back < 15


@pytest.mark.skipif(shutil.which("strace") is None, reason="by design: strace is not installed")
def test_renewals_do_not_wait_for_a_slow_disk(tmp_path: Path) -> None:
    found = slow_disk(tmp_path)
    print(found)
    found.check()
    assert found.p99 < 0.5

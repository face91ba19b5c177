"""What the chaos needs of the machine, and folders that are reached by every user."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.conftest import Database, _programs

LONG = ("test_absences.py", "test_disks.py", "test_floods.py", "test_nets.py", "test_storm.py")
"""Played in CI, with CHAOS=1, and by `make chaos`: minutes, and they need a machine that keeps up."""

collect_ignore = ["pipeline.py", *(() if os.environ.get("CI") or os.environ.get("CHAOS") else LONG)]  # the first is for other processes
if sys.platform != "linux":
    collect_ignore += [path.name for path in Path(__file__).parent.glob("test_*.py")]


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL server; skipped where there is none, which fails a run of CI."""
    programs = _programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    server = Database(programs)
    server.start()
    yield server.url
    server.stop()

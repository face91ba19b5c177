"""A real pool for the session, and an engine on it for each test, which speaks as nobody."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from levada.contrib.htcondor import HTCondorEngine
from tests.conftest import extra

from .pool import NOBODY, ROOT, Pool


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the real system runs in one process, so that there is one of it."""
    for item in items:
        if "pool" in getattr(item, "fixturenames", ()) and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("htcondor"))
            item.add_marker(pytest.mark.timeout(150))


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """A pool of one machine."""
    pytest.importorskip("htcondor2", reason="htcondor is not installed (levada[htcondor])")
    if not (ROOT / "ready").exists() or os.getuid() != 0:
        pytest.skip(extra("there is no HTCondor (as root: tools/condor_root.sh)"))
    pool = Pool()
    try:
        pool.start()
        yield pool
    finally:
        pool.stop()


@pytest.fixture
def engine(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Iterator[HTCondorEngine]:
    """An engine on a schedd that answers; this process is nobody's meanwhile, since HTCondor takes no jobs of root."""
    for name, value in pool.environ.items():
        monkeypatch.setenv(name, value)
    import_module("htcondor2").reload_config()
    engine = HTCondorEngine(folder=str(pool.folder / "jobs" / "ümläut $(x)"))
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        answers(engine)
        yield engine
    finally:
        os.seteuid(0)
        os.setegid(0)


def answers(engine: HTCondorEngine) -> None:
    """Wait until the schedd answers."""
    until = time.monotonic() + 60
    while True:
        try:
            engine.find("none")
            return
        except Exception:
            assert time.monotonic() < until
            time.sleep(0.2)

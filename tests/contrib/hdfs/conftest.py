"""A real HDFS for the session, and a folder in it for each test."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from levada.contrib.hdfs import client
from tools.hadoop_jars import Missing, cached, jars

from .cluster import Cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the real server runs in one process, so that there is one; minutes for it, of which it may need one to start."""
    for item in items:
        if "hdfs" in getattr(item, "fixturenames", ()) and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("hdfs"))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(180))


def hadoop() -> Path:
    """The folder of Hadoop's jars; skips where they or Java are not to be had, which fails a run of CI."""
    pytest.importorskip("hdfs_native", reason="hdfs-native is not installed (levada[hdfs])")
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        pytest.skip("there is no Java (Debian: apt-get install openjdk-17-jre-headless)")
    try:
        return cached() or jars()
    except Missing as reason:
        pytest.skip(f"no jars of Hadoop: {reason}")


@pytest.fixture(scope="session")
def hdfs() -> Iterator[Cluster]:
    """A name node and a data node."""
    cluster = Cluster(hadoop())
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def home(hdfs: Cluster) -> str:
    """A folder of HDFS of the test's own (not made yet), as a path."""
    return f"/{uuid.uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the developer's Hadoop, clients that are made anew, and little patience with servers that are away."""
    for name in [name for name in os.environ if name.startswith("HADOOP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(client, "_clients", {})
    monkeypatch.setattr(client, "_away", {})
    monkeypatch.setattr(client, "PATIENCE", {client.ATTEMPTS: "2", "dfs.client.failover.sleep.base.millis": "100"})

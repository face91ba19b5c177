"""A real Hadoop for the session, and a folder of its HDFS for each test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from levada.targets import stores
from tests.contrib.hdfs.conftest import hadoop as jars_of_hadoop

from .cluster import Yarn


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the cluster runs in one process, so that there is one; a job takes ten to thirty seconds."""
    for item in items:
        if "yarn" in getattr(item, "fixturenames", ()) and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("yarn"))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def yarn_cluster() -> Iterator[Yarn]:
    """HDFS, YARN and the history server, started once."""
    jars = jars_of_hadoop()
    if not any(jars.glob("hadoop-yarn-server-resourcemanager-*.jar")):
        pytest.skip(f"no resource manager among the jars of {jars.name} (Debian: apt-get install maven)")
    cluster = Yarn(jars)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def yarn(yarn_cluster: Yarn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yarn]:
    """The cluster, which HADOOP_HOME and HADOOP_CONF_DIR lead to, as on the machine of a user."""
    for name in [name for name in os.environ if name.startswith("HADOOP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HADOOP_HOME", str(yarn_cluster.home))
    monkeypatch.setenv("HADOOP_CONF_DIR", yarn_cluster.conf)
    stores._open.clear()
    yield yarn_cluster
    stores._open.clear()


@pytest.fixture
def home(yarn: Yarn) -> str:
    """A folder of HDFS of the test's own (not made yet), as a URL."""
    return f"{yarn.hdfs.url}/{uuid.uuid4().hex[:12]}"

"""Two name nodes behind a name service, as the Hadoop configuration names them: standby is an error, failover is survived."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from levada.contrib.hdfs import HdfsTarget, client
from levada.errors import TargetError, TargetUnreachable

from .cluster import HA_ADMIN, SERVICE, Cluster, wait_for
from .conftest import hadoop


@pytest.fixture
def hdfs() -> Iterator[Cluster]:
    """A cluster of its own with two name nodes, both standby."""
    cluster = Cluster(hadoop(), names=2)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def test_a_name_service_is_spoken_to_whichever_of_its_name_nodes_is_active(hdfs: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADOOP_CONF_DIR", hdfs.conf)
    target = HdfsTarget("/a/b")  # fs.defaultFS is the name service
    wait_for(lambda: hdfs.listens(1))
    with pytest.raises(TargetUnreachable, match="no name node is active"):
        target.exists()
    with pytest.raises(TargetError, match="no name node is active"):
        target.write_text("x")

    hdfs.run(HA_ADMIN, "-transitionToActive", "nn0")
    wait_for(hdfs.takes_files, 90)
    target.write_text("x")
    assert HdfsTarget(f"hdfs://{SERVICE}/a/b").read_text() == "x"

    hdfs.kill_name_node(0)
    hdfs.run(HA_ADMIN, "-transitionToActive", "--forceactive", "nn1")
    monkeypatch.setattr(client, "_away", {})
    wait_for(hdfs.takes_files, 90)
    assert target.read_text() == "x"
    target.write_text("y")
    assert HdfsTarget(f"hdfs://{SERVICE}/a/b").read_text() == "y"

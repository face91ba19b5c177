"""The first program from two hosts: what the first has made, the second finds, and has nothing to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from levada.contrib.hdfs.store import HdfsStore
from tests.chaos.nets import can_cut
from tests.contrib.ports import free_port
from tests.faults.command import ROOT, ended
from tests.served.conftest import Served
from tests.served.second_host import Hosts, second_host

from .cluster import Cluster
from .conftest import hadoop
from .test_first_program import NOTED, all_well, counts_of, put_readings, start_three, when

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("hdfs"),
    pytest.mark.skipif(not can_cut(), reason="by design: network namespaces cannot be made here"),
]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with second_host() as made:
        yield made


@pytest.fixture(scope="module")
def reached(hosts: Hosts) -> Iterator[Cluster]:
    """An HDFS that both hosts reach."""
    cluster = Cluster(hadoop(), host=hosts.address)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def test_a_second_host_finds_all_made_and_does_nothing(tmp_path: Path, hosts: Hosts, reached: Cluster) -> None:
    port = free_port()
    served = Served(tmp_path, "--lease", "10", "--bind", f"{hosts.address}:{port}", "--behind-proxy")
    try:
        (tmp_path / "noted.py").write_text(NOTED)
        first = put_readings(reached)
        all_well(start_three(served, HADOOP_CONF_DIR=reached.conf))
        counts, ran = counts_of(reached, first), served.ran()
        assert len(ran) == len(counts)
        if date.today() > first:
            return
        written = [when(reached, name) for name in counts]

        done = from_second_host(served, hosts, f"http://{hosts.address}:{port}", reached)

        assert done.returncode == 0, done.stdout + done.stderr
        assert served.ran() == ran
        assert [when(reached, name) for name in counts] == written
        assert len(list(HdfsStore(reached.authority).list("/gauges/counts"))) == len(counts)
    finally:
        served.close()


def from_second_host(served: Served, hosts: Hosts, url: str, hdfs: Cluster) -> subprocess.CompletedProcess[str]:
    """The program there, with a state folder and a token of its own."""
    environ = {
        "HADOOP_CONF_DIR": hdfs.conf,
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}{os.pathsep}{served.folder}",
        "LEVADA_STATE": str(served.folder / "second"),
        "LEVADA_TOKEN": (served.state / "admin.token").read_text().strip(),
    }
    words = [sys.executable, "-m", "levada", "run", "--scheduler", url, "--no-console", "--module", "noted", "RunAll"]
    return ended(served._start([*hosts.second, *words], environ), 150)

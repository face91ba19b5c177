"""The program in Luigi's spelling as it is, its files in a real HDFS: three workers, one server, each count made once."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from levada.contrib.hdfs import HdfsTarget
from levada.contrib.hdfs.store import HdfsStore
from tests.faults.command import ROOT, ended, soon
from tests.served.conftest import Served

from .cluster import Cluster, wait_for

NOTED = '''
"""examples/aggregation.py, with a note of each run() that began."""

import os

from examples import aggregation
from examples.aggregation import RunAll

HERE = os.path.dirname(os.path.abspath(__file__))
count = aggregation.CountReadings.run

def run(self):
    fd = os.open(os.path.join(HERE, "ran.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{self.date}-{self.window} {os.getpid()}\\n".encode())
    os.close(fd)
    count(self)

aggregation.CountReadings.run = run
'''


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path, "--lease", "10")
    (tmp_path / "noted.py").write_text(NOTED)
    yield served
    served.close()


@pytest.fixture
def readings(hdfs: Cluster) -> Iterator[None]:
    """What the program counts."""
    put_readings(hdfs)
    yield
    HdfsTarget(f"{hdfs.url}/gauges").remove()


def put_readings(hdfs: Cluster) -> date:
    """A day more of readings on each day before, and one of tomorrow, so that midnight may pass; the day on which this was."""
    first = date.today()
    for back in range(-1, 24):
        HdfsTarget(f"{hdfs.url}/gauges/readings/{first - timedelta(back)}.txt").write_text("17:00 4.2\n" * (back + 2))
    return first


def start_three(served: Served, **where: str) -> list[subprocess.Popen[str]]:
    """where: says to the program which name node ``/gauges`` is on."""
    environ = {**where, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}{os.pathsep}{served.folder}"}
    words = ["run", "--scheduler", served.url, "--no-console", "--module", "noted", "RunAll"]
    return [served.start(*words, environ=environ) for _ in range(3)]


def all_well(runs: list[subprocess.Popen[str]]) -> None:
    for done in [ended(process, 150) for process in runs]:
        assert done.returncode == 0, done.stdout + done.stderr


def counts_of(hdfs: Cluster, first: date) -> list[str]:
    """The names of the counts, each of which is right (first: the day on which the readings were put there)."""
    names = sorted(entry.name for entry in HdfsStore(hdfs.authority).list("/gauges/counts") if not entry.name.endswith(".part"))
    for name in names:
        day, window = date.fromisoformat(name[:10]), int(name[11:])
        wanted = sum((first - day).days + back + 2 for back in range(window))
        assert int(HdfsTarget(f"{hdfs.url}/gauges/counts/{name}").read_text()) == wanted
    return names


@pytest.mark.usefixtures("readings")
def test_three_workers_make_each_count_once_and_find_nothing_to_do_afterwards(served: Served, hdfs: Cluster) -> None:
    first = date.today()
    all_well(start_three(served, HADOOP_CONF_DIR=hdfs.conf))

    counts = counts_of(hdfs, first)
    assert len(counts) == 30 or date.today() > first
    assert len(list(HdfsStore(hdfs.authority).list("/gauges/counts"))) == len(counts)  # no temporaries
    ran = served.ran()
    assert Counter(name for name, _ in ran) == Counter(counts)
    if date.today() > first:
        return
    written = [when(hdfs, name) for name in counts]

    all_well(start_three(served, LEVADA_HDFS__NAMENODE=hdfs.authority))

    assert served.ran() == ran
    assert [when(hdfs, name) for name in counts] == written


def when(hdfs: Cluster, name: str) -> int:
    found = HdfsStore(hdfs.authority).status(f"/gauges/counts/{name}")
    assert found is not None
    return found.modification_time


@pytest.mark.usefixtures("readings")
def test_a_name_node_that_dies_meanwhile_costs_time_and_nothing_else(served: Served, hdfs: Cluster) -> None:
    first = date.today()
    runs = start_three(served, HADOOP_CONF_DIR=hdfs.conf)
    assert soon(lambda: len(served.ran()) > 3, 30, 0.05)
    hdfs.kill_name_node()
    hdfs.start_name_node()
    all_well(runs)

    wait_for(hdfs.takes_files, 90)
    assert len(counts_of(hdfs, first)) == 30 or date.today() > first

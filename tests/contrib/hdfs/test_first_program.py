"""The program in Luigi's spelling as it is, its files in a real HDFS: three workers, one server, each count made once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from levada.contrib.hdfs import HdfsTarget
from levada.contrib.hdfs.store import HdfsStore
from tests.faults.command import ROOT, ended
from tests.served.conftest import Served

from .cluster import Cluster

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
    """A day more of readings on each day before, and one of tomorrow, so that midnight may pass."""
    for back in range(-1, 24):
        day = date.today() - timedelta(back)
        HdfsTarget(f"{hdfs.url}/gauges/readings/{day}.txt").write_text("17:00 4.2\n" * (back + 2))
    yield
    HdfsTarget(f"{hdfs.url}/gauges").remove()


def run_three(served: Served, **where: str) -> None:
    """where: says to the program which name node ``/gauges`` is on."""
    environ = {**where, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}{os.pathsep}{served.folder}"}
    words = ["run", "--scheduler", served.url, "--no-console", "--module", "noted", "RunAll"]
    for done in [ended(process, 100) for process in [served.start(*words, environ=environ) for _ in range(3)]]:
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("readings")
def test_three_workers_make_each_count_once_and_find_nothing_to_do_afterwards(served: Served, hdfs: Cluster) -> None:
    before = date.today()
    run_three(served, HADOOP_CONF_DIR=hdfs.conf)

    store = HdfsStore(hdfs.authority)
    counts = sorted(entry.name for entry in store.list("/gauges/counts"))
    assert len(counts) == 30  # and no temporaries
    for name in counts:
        day, window = date.fromisoformat(name[:10]), int(name[11:])
        wanted = sum((date.today() - day).days + back + 2 for back in range(window))
        assert int(HdfsTarget(f"{hdfs.url}/gauges/counts/{name}").read_text()) == wanted or date.today() > before
    ran = served.ran()
    assert Counter(name for name, _ in ran) == Counter(counts)
    if date.today() > before:
        return
    written = [store.status(f"/gauges/counts/{name}") for name in counts]

    run_three(served, LEVADA_HDFS__NAMENODE=hdfs.authority)

    assert served.ran() == ran
    again = [store.status(f"/gauges/counts/{name}") for name in counts]
    assert [found and found.modification_time for found in again] == [found and found.modification_time for found in written]

"""A real Spark for the session, and programs that use it in a folder of their own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.command import ROOT, Command
from tools.spark import Missing, cached, spark

from .cluster import QUICK, Cluster, without_spark

REAL = {"spark_home", "cluster", "program"}
"""Fixtures that need Spark itself."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the real Spark runs in one process; minutes for it, since each application starts Java anew."""
    for item in items:
        if REAL.intersection(getattr(item, "fixturenames", ())) and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("spark"))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def spark_home() -> Path:
    """The folder of Spark; skips where it or Java is not to be had, which fails a run of CI."""
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        pytest.skip("there is no Java (Debian: apt-get install openjdk-17-jre-headless)")
    try:
        return cached() or spark()
    except Missing as reason:
        pytest.skip(f"no Spark: {reason}")


@pytest.fixture(scope="session")
def cluster(spark_home: Path) -> Iterator[Cluster]:
    """A master and a worker."""
    cluster = Cluster(spark_home)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(autouse=True)
def _none_of_the_developers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - set(without_spark(os.environ)) - {"LEVADA_STATE"}:
        monkeypatch.delenv(name)


@pytest.fixture
def program(spark_home: Path, tmp_path: Path) -> Iterator[Command]:
    """``levada`` with this Spark, two threads of it unless told otherwise; what it leaves running is ended."""
    found = Command(
        tmp_path,
        PYTHONPATH=f"{ROOT / 'src'}{os.pathsep}{ROOT}{os.pathsep}{tmp_path}",
        LEVADA_SPARK__SUBMIT=str(spark_home / "bin" / "spark-submit"),
        LEVADA_SPARK__MASTER="local[2]",
        LEVADA_RUN__ATTEMPTS="1",
        SPARK_LOCAL_IP="127.0.0.1",
        SPARK_SUBMIT_OPTS=QUICK,
        PYSPARK_PYTHON=sys.executable,
    )
    yield found
    for pid in found.alive():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

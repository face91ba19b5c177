"""A real Slurm for the session, without accounting, and an engine on it for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from levada.contrib.slurm import SlurmEngine

from .cluster import PROGRAMS, Cluster

NEEDED = {"slurmctld": "slurm-wlm", "slurmd": "slurm-wlm", "sbatch": "slurm-wlm", "munged": "munge", "setpriv": "util-linux"}
FOR_ACCOUNTING = {"slurmdbd": "slurmdbd", "sacctmgr": "slurm-wlm", "mariadbd": "mariadb-server", "mariadb-install-db": "mariadb-server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs one of the two clusters runs in one process, so that there is one of it."""
    for item in items:
        clusters = {"slurm", "accounted"} & {*getattr(item, "fixturenames", ())}
        if clusters and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group(clusters.pop()))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(120))


def need(programs: dict[str, str]) -> None:
    """Skips where a program is not there, which fails a run of CI."""
    for program, package in programs.items():
        if shutil.which(program, path=PROGRAMS) is None:
            pytest.skip(f"there is no {program} (Debian: apt-get install {package})")


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """A cluster of one node."""
    need(NEEDED)
    cluster = Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def accounted() -> Iterator[Cluster]:
    """A cluster with accounting, whose controller forgets jobs as soon as it can."""
    need(NEEDED | FOR_ACCOUNTING)
    cluster = Cluster(accounting=True, remembers=2)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(autouse=True)
def _no_slurm_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the developer's cluster."""
    for name in [name for name in os.environ if name.startswith(("SLURM", "SBATCH", "SQUEUE", "SACCT"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def engine(slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmEngine:
    """An engine whose commands speak to the cluster."""
    return engine_of(slurm, tmp_path, monkeypatch)


@pytest.fixture
def accounted_engine(accounted: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmEngine:
    """The same for the cluster with accounting."""
    return engine_of(accounted, tmp_path, monkeypatch)


def engine_of(cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmEngine:
    for name, value in cluster.environ.items():
        monkeypatch.setenv(name, value)
    return SlurmEngine(folder=str(folder / "jobs of ümläut"))

"""A real server of Kubernetes for the session, and a node that is played."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from levada.contrib.kubernetes import KubernetesEngine, open_engine
from levada.handover import JobSpec
from tests.conftest import extra
from tools.kube_binary import cached

from .cluster import HELD, Cluster, Node


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the real server runs in one process, so that there is one; minutes for it, of which it may need one to start."""
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()) and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("kubernetes"))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Skips where it is not to be had, which fails a run of CI."""
    pytest.importorskip("lightkube", reason="lightkube is not installed (levada[kubernetes])")
    if shutil.which("etcd") is None:
        pytest.skip(extra("there is no etcd (Debian: apt-get install etcd-server)"))
    binary = cached()
    if binary is None:
        pytest.skip(extra("there is no server of Kubernetes (python tools/kube_binary.py builds it)"))
    cluster = Cluster(binary)
    try:
        cluster.start()
        node = Node(cluster)
        node.start()
        yield cluster
        node.stop()
    finally:
        cluster.stop()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None of the developer's own clusters."""
    for name in [name for name in os.environ if name.startswith(("KUBE", "HTTP", "http"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def engine(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> KubernetesEngine:
    monkeypatch.setenv("KUBECONFIG", str(cluster.config))
    return open_engine("")


@pytest.fixture
def job() -> Callable[..., JobSpec]:
    """Makes jobs under new names; held: no node takes it."""

    def make(*argv: str, options: dict[str, object] | None = None, held: bool = False, **more: object) -> JobSpec:
        name = f"levada-{uuid.uuid4().hex[:12]}"
        given: dict[str, object] = {"image": "busybox:1", **({"node_selector": {HELD: "yes"}} if held else {}), **(options or {})}
        return JobSpec(name, f"Test({name})", argv, options=given, **more)  # type: ignore[arg-type]

    return make

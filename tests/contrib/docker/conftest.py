"""A real engine for the session, and names that no other test has."""

from __future__ import annotations

import gc
import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from levada.contrib.docker import DockerEngine, open_engine
from levada.handover import JobSpec

from .podman import IMAGE, Podman, podman


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the real engine runs in one process, so that there is one."""
    for item in items:
        if "service" in getattr(item, "fixturenames", ()) and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("podman"))
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def service() -> Iterator[Podman]:
    pytest.importorskip("docker", reason="docker is not installed (levada[docker])")
    with podman() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the developer's own engine."""
    for name in [name for name in os.environ if name.startswith("DOCKER_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _swept() -> Iterator[None]:
    """The client leaves sockets open that it could not connect: they are found here rather than after the session."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture
def engine(service: Podman) -> DockerEngine:
    return open_engine(service.socket)


@pytest.fixture
def job() -> Iterator[Callable[..., JobSpec]]:
    """Makes jobs of the image, under new names."""

    def make(*argv: str, options: dict[str, object] | None = None, **more: object) -> JobSpec:
        name = f"levada-{uuid.uuid4().hex[:12]}"
        return JobSpec(name, f"Test({name})", argv, options={"image": IMAGE, **(options or {})}, **more)  # type: ignore[arg-type]

    yield make

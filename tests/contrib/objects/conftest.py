"""Real object stores for the session, and a new bucket for each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from levada.targets import stores

from . import servers
from .servers import Server


def _started(start: Callable[[], object]) -> Callable[[], Iterator[Server]]:
    def fixture() -> Iterator[Server]:
        with start() as server:  # type: ignore[attr-defined]  # a context manager
            yield server

    return fixture


moto = pytest.fixture(scope="session", name="moto")(_started(servers.moto))
seaweed = pytest.fixture(scope="session", name="seaweed")(_started(servers.seaweed))
locked_seaweed = pytest.fixture(scope="session", name="locked_seaweed")(_started(servers.locked_seaweed))
fake_gcs = pytest.fixture(scope="session", name="fake_gcs")(_started(servers.fake_gcs))
careless_gcs = pytest.fixture(scope="session", name="careless_gcs")(_started(servers.careless_gcs))
rclone = pytest.fixture(scope="session", name="rclone")(_started(servers.rclone))
azurite = pytest.fixture(scope="session", name="azurite")(_started(servers.azurite))


class Bucket:
    """A new bucket of a server, which the environment of the test leads to."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name

    def url(self, path: str) -> str:
        return f"{self.server.scheme}://{self.name}/{path}"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """None of the developer's own credentials, and none of the stores that an earlier test had opened."""
    pytest.importorskip("obstore", reason="obstore is not installed")
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    stores._open.clear()
    yield
    stores._open.clear()


@pytest.fixture
def new_bucket(monkeypatch: pytest.MonkeyPatch) -> Callable[[Server], Bucket]:
    """Makes a bucket of a server and sets the environment for it."""

    def make(server: Server) -> Bucket:
        name = f"levada-{os.urandom(6).hex()}"
        server.make_bucket(name)
        for key, value in server.environment.items():
            monkeypatch.setenv(key, value)
        return Bucket(server, name)

    return make

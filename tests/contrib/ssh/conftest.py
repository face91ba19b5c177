"""A real sshd for the session; for each test a folder on it, and a home whose keys it takes."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from levada.contrib.ssh import client
from levada.targets import stores

from .sshd import SSHD, Desk, Sshd


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two minutes for what needs the server: machines that are busy start processes slowly."""
    here = f"{Path(__file__).parent}{os.sep}"
    for item in items:
        if str(item.path).startswith(here) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(120))


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    pytest.importorskip("asyncssh", reason="asyncssh is not installed (levada[ssh])")
    if not os.access(SSHD, os.X_OK):
        pytest.skip("there is no sshd (Debian: apt-get install openssh-server)")
    server = Sshd()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def home(sshd: Sshd) -> str:
    """A folder of the host of the test's own (not made yet), as a path."""
    return f"{sshd.home}/{uuid.uuid4().hex[:12]}"


@pytest.fixture
def desk(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The test's own home, as `~/.ssh` is read from."""
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return Desk(folder, sshd)


@pytest.fixture(autouse=True)
def _own_connections(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """None of the developer's keys, and connections of the test's own."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(stores, "_open", {})
    monkeypatch.setattr(client, "_hosts", {})
    yield
    for host in list(client._hosts.values()):
        host.close()

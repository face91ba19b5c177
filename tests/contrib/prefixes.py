"""Where a pipeline may live: URL prefixes of real stores. One more is a line in `PREFIXES`."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.contrib.ftp.conftest import Ftp, ftpd, vsftpd
from tests.contrib.hdfs.cluster import Cluster
from tests.contrib.hdfs.conftest import hadoop
from tests.contrib.objects import servers
from tests.contrib.objects.servers import Server
from tests.contrib.ssh.sshd import SSHD, Desk, Sshd


@contextmanager
def local() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="levada-local-")
    yield folder
    shutil.rmtree(folder)


@contextmanager
def memory() -> Iterator[str]:
    yield f"memory:///{uuid.uuid4().hex}"


@contextmanager
def hdfs() -> Iterator[str]:
    cluster = Cluster(hadoop())
    try:
        cluster.start()
        yield f"{cluster.url}/shops"
    finally:
        cluster.stop()


def bucket(start: Callable[[], AbstractContextManager[Server]]) -> Callable[[], AbstractContextManager[str]]:
    """The prefix of a new bucket of a server."""

    @contextmanager
    def prefix() -> Iterator[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GOOGLE_", "AZURE_"))}
        with start() as server, patch.dict(os.environ, {**clean, **server.environment}, clear=True):
            name = f"levada-{uuid.uuid4().hex[:12]}"
            server.make_bucket(name)
            yield f"{server.scheme}://{name}/shops"

    return prefix


def ftp(start: Callable[[], AbstractContextManager[Ftp]]) -> Callable[[], AbstractContextManager[str]]:
    """The prefix of an FTP server."""

    @contextmanager
    def prefix() -> Iterator[str]:
        with start() as server, tempfile.TemporaryDirectory() as folder:
            Path(folder, "netrc").write_text("machine 127.0.0.1 login ada password secret\n")
            with patch.dict(os.environ, {"NETRC": f"{folder}/netrc"}):
                yield server.url("shops")

    return prefix


@contextmanager
def sftp() -> Iterator[str]:
    if not os.access(SSHD, os.X_OK):
        pytest.skip("there is no sshd (Debian: apt-get install openssh-server)")
    server = Sshd()
    try:
        with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"HOME": folder, "SSH_AUTH_SOCK": ""}):
            Desk(Path(folder), server.start())
            yield f"{server.url}{server.home}/shops"
    finally:
        server.remove()


PREFIXES: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "local": local,
    "memory": memory,
    "hdfs": hdfs,
    "s3-seaweed": bucket(servers.seaweed),
    "s3-moto": bucket(servers.moto),
    "gs-fake": bucket(servers.fake_gcs),
    "az-azurite": bucket(servers.azurite),
    "sftp": sftp,
    "ftp-pyftpdlib": ftp(ftpd),
    "ftp-vsftpd": ftp(vsftpd),
}
FAST = ("local", "memory", "ftp-pyftpdlib", "s3-moto")

"""The store of SFTP and the targets in it keep the laws that all are held to, on a real sshd."""

from __future__ import annotations

import pytest

from levada._model.ports import Store
from levada.contrib.ssh import RemoteTarget
from levada.contrib.ssh.client import read_place
from levada.contrib.ssh.store import SftpStore
from levada.targets import FileTarget, formats
from levada.targets.base import FileLike
from levada.testing.conformance import FileTargetConformance, StoreConformance

from .sshd import Sshd


class _OnHost:
    @pytest.fixture(autouse=True)
    def _place(self, sshd: Sshd, home: str) -> None:
        self.sshd, self.folder = sshd, home


class TestSftpStore(_OnHost, StoreConformance):
    def make_store(self) -> Store:
        return SftpStore(read_place(self.sshd.authority, self.sshd.url))


class TestSftpUrl(_OnHost, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return FileTarget(f"{self.sshd.url}{self.folder}/ümläut and space/{name}", mode=mode)


class TestRemoteTarget(_OnHost, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        folder = self.folder.rpartition("/")[2]  # from the login's own folder
        return RemoteTarget(f"{folder}/{name}", "127.0.0.1", user=self.sshd.user, port=self.sshd.port, mode=mode)


class TestCompressedOnHost(_OnHost, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return FileTarget(f"{self.sshd.url}{self.folder}/{name}.xz", formats.Text >> formats.Xz, mode=mode, durable=False)

"""The store of HDFS and the targets in it keep the laws that all are held to, on a real server."""

from __future__ import annotations

import pytest

from levada._model.ports import Store
from levada.contrib.hdfs import HdfsTarget
from levada.contrib.hdfs.store import HdfsStore
from levada.targets import FileTarget, formats
from levada.targets.base import FileLike
from levada.testing.conformance import FileTargetConformance, StoreConformance

from .cluster import Cluster


class _OnHdfs:
    @pytest.fixture(autouse=True)
    def _place(self, hdfs: Cluster, home: str) -> None:
        self.hdfs, self.folder = hdfs, home


class TestHdfsStore(_OnHdfs, StoreConformance):
    def make_store(self) -> Store:
        return HdfsStore(self.hdfs.authority)


class TestHdfsTarget(_OnHdfs, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return HdfsTarget(f"{self.hdfs.url}{self.folder}/{name}", mode=mode)


class TestHdfsUrl(_OnHdfs, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return FileTarget(f"{self.hdfs.url}{self.folder}/ümläut and space/{name}", mode=mode)


class TestCompressedInHdfs(_OnHdfs, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return HdfsTarget(f"{self.hdfs.url}{self.folder}/{name}.xz", formats.Text >> formats.Xz, mode=mode, durable=False)

"""Our own stores and file targets keep the laws that outsiders' are held to."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from levada._model.ports import Store
from levada.contrib.hdfs import HdfsTarget
from levada.targets import FileTarget, LocalStore, LocalTarget, MemoryStore, MemoryTarget, formats, open_store, set_root
from levada.targets.base import FileLike
from levada.testing.conformance import FileTargetConformance, StoreConformance, run_all


class _InFolder:
    @pytest.fixture(autouse=True)
    def _folder(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory() as folder:
            self.home = folder
            yield


class TestLocalStore(_InFolder, StoreConformance):
    def make_store(self) -> Store:
        self.folder = f"{self.home}/data"
        return LocalStore()


class TestLocalStoreUnderARoot(_InFolder, StoreConformance):
    def make_store(self) -> Store:
        self.folder = "/data"
        return LocalStore(self.home, "hdfs")


class TestMemoryStore(StoreConformance):
    def make_store(self) -> Store:
        return MemoryStore()


class TestLocalTarget(_InFolder, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return LocalTarget(f"{self.home}/deep/{name}", mode=mode)


class TestScratchTarget(_InFolder, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return LocalTarget(f"{self.home}/{name}", mode=mode, durable=False)


class TestCompressedTarget(_InFolder, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return LocalTarget(f"{self.home}/{name}", formats.Text >> formats.Gzip, mode=mode)


class TestFileUrl(_InFolder, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return FileTarget(f"file://{self.home}/{name}", mode=mode)


class TestMemoryTarget(FileTargetConformance):
    @pytest.fixture(autouse=True)
    def _store(self) -> None:
        self.store = MemoryStore()

    def make_target(self, name: str, mode: str) -> FileLike:
        return MemoryTarget(name, store=self.store, mode=mode)


class TestMemoryStoreByUrl(StoreConformance):
    def make_store(self) -> Store:
        store, self.folder = open_store(f"memory:///{uuid.uuid4().hex}")
        return store


class TestMemoryUrl(FileTargetConformance):
    @pytest.fixture(autouse=True)
    def _home(self) -> None:
        self.home = f"memory:///{uuid.uuid4().hex}"

    def make_target(self, name: str, mode: str) -> FileLike:
        return FileTarget(f"{self.home}/ümläut and space/{name}", mode=mode)


class TestHdfsTarget(_InFolder, FileTargetConformance):
    @pytest.fixture(autouse=True)
    def _root(self, _folder: None) -> Iterator[None]:
        set_root("hdfs", self.home)
        yield
        set_root("hdfs", None)

    def make_target(self, name: str, mode: str) -> FileLike:
        return HdfsTarget(f"/var/{name}", mode=mode)


class _LosesTheFirst(MemoryStore):
    """A planted fault: write-once is not kept."""

    def put(self, path: str, *, replace: bool, durable: bool = True, tag: str = ""):  # type: ignore[no-untyped-def]
        return super().put(path, replace=True, durable=durable, tag=tag)


def test_a_store_that_breaks_a_law_is_found_and_the_law_is_named() -> None:
    class Suite(StoreConformance):
        def make_store(self) -> Store:
            return _LosesTheFirst()

    with pytest.raises(AssertionError, match="write-once"):
        Suite().test_write_once_keeps_the_first()


def test_the_suite_runs_without_pytest(tmp_path: Path) -> None:
    class Suite(StoreConformance):
        def make_store(self) -> Store:
            return MemoryStore()

    assert len(run_all(Suite())) >= 10

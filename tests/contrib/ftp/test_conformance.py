"""FTP keeps the laws that every store keeps, as far as it promises, on two real servers; on one of them in two ways."""

from __future__ import annotations

import pytest

from levada._model.ports import Store
from levada.targets import FileTarget, formats, open_store
from levada.targets.base import FileLike
from levada.testing.conformance import FileTargetConformance, StoreConformance

from .conftest import Ftp

pytestmark = pytest.mark.xdist_group("ftp")


class _OnFtp:
    @pytest.fixture(autouse=True)
    def _server(self, server: Ftp) -> None:
        self.server = server


class TestFtpStore(_OnFtp, StoreConformance):
    refused = ("new\nline",)

    def make_store(self) -> Store:
        self.folder = f"{self.server.base}/conformance"
        return open_store(self.server.url("a"))[0]


class TestFtpTarget(_OnFtp, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return FileTarget(self.server.url(f"deep/ümläut and space/{name}"), mode=mode)


class TestCompressedOnFtp(_OnFtp, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return FileTarget(self.server.url(f"deep/{name}.gz"), formats.Text >> formats.Gzip, mode=mode)

"""Buckets keep the laws that every store keeps, on real servers of the three kinds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from levada._model.ports import Store
from levada.targets import FileTarget, open_store
from levada.targets.base import FileLike
from levada.testing.conformance import FileTargetConformance, StoreConformance

from .conftest import Bucket
from .servers import Server

SERVERS = [
    pytest.param("moto", id="s3-moto"),
    pytest.param("seaweed", id="s3-seaweed", marks=pytest.mark.slow),
    pytest.param("fake_gcs", id="gs-fake", marks=pytest.mark.slow),
    pytest.param("azurite", id="az-azurite", marks=pytest.mark.slow),
]
pytestmark = pytest.mark.xdist_group("objects")


@pytest.fixture(params=SERVERS)
def bucket(request: pytest.FixtureRequest, new_bucket: Callable[[Server], Bucket]) -> Bucket:
    return new_bucket(request.getfixturevalue(request.param))


class TestObjectStore(StoreConformance):
    refused = ("new\nline",)

    @pytest.fixture(autouse=True)
    def _bucket(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def make_store(self) -> Store:
        return open_store(self.bucket.url("a"))[0]


class TestObjectTarget(FileTargetConformance):
    @pytest.fixture(autouse=True)
    def _bucket(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def make_target(self, name: str, mode: str) -> FileLike:
        return FileTarget(self.bucket.url(f"deep/{name}"), mode=mode)

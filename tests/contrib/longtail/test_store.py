"""fsspec's file systems as stores: WebHDFS of a real Hadoop, a local one that renames, one in memory that does not, and one that lies."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from levada._model.ports import Store
from levada.contrib.longtail.store import FsspecStore
from levada.errors import TargetError, TargetUnreachable, TargetWriteError
from levada.targets import FileTarget, atomic, open_store, stores
from levada.targets.base import FileLike
from levada.testing.conformance import FileTargetConformance, StoreConformance
from tests.contrib.hdfs.cluster import Cluster, wait_for
from tests.contrib.hdfs.conftest import hadoop
from tests.contrib.objects.servers import speaks

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
memory = pytest.importorskip("fsspec.implementations.memory")


class Plain(memory.MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """In memory; it has no rename of its own."""

    protocol = "plain"
    store: dict[str, Any] = {}
    pseudo_dirs = [""]


class Lying(Plain):
    """Everything that goes wrong is called an absent file, as some of fsspec's do."""

    protocol = "lying"

    def info(self, path: str, **_: object) -> dict[str, Any]:
        try:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        except OSError as cause:
            raise FileNotFoundError(path) from cause

    ls = info


@pytest.fixture(autouse=True)
def _systems() -> Iterator[None]:
    for kind in (Plain, Lying):
        fsspec.register_implementation(kind.protocol, kind, clobber=True)
    stores._open.clear()
    yield
    Plain.store.clear()
    Plain.pseudo_dirs[:] = [""]
    stores._open.clear()


class TestFsspecStoreThatRenames(StoreConformance):
    refused = ()

    @pytest.fixture(autouse=True)
    def _home(self, tmp_path: Path) -> None:
        self.folder = str(tmp_path / "home")

    def make_store(self) -> Store:
        return FsspecStore("local", "")


class TestFsspecStoreThatDoesNot(StoreConformance):
    folder = "/conformance"

    def make_store(self) -> Store:
        return FsspecStore("plain", "")


class TestFsspecTarget(FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return FileTarget(f"plain:///deep/ümläut and space/{name}", mode=mode)


# -- a real one, with a server -----------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A Hadoop that speaks HTTP."""
    jars = hadoop()
    if not any(jars.glob("jaxb-api-*.jar")):
        pytest.skip("these jars of Hadoop are without JAXB, which WebHDFS wants: remove .venvs/hadoop, and run tools/hadoop_jars.py")
    cluster = Cluster(jars, web=True)
    try:
        cluster.start()
        wait_for(
            lambda: speaks(f"{cluster.webhdfs.replace('webhdfs', 'http')}/webhdfs/v1/?op=LISTSTATUS"), 120
        )  # it is made when first asked
        yield cluster
    finally:
        cluster.stop()


_WEB = (pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("webhdfs"))


class _OnWebHdfs:
    pytestmark = list(_WEB)

    @pytest.fixture(autouse=True)
    def _place(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(fsspec.config.conf, "webhdfs", {"user": "root"})
        self.url = f"{cluster.webhdfs}/{uuid.uuid4().hex}"


class TestWebHdfsStore(_OnWebHdfs, StoreConformance):
    refused = ("a?b*c[d]", "new\nline")

    def make_store(self) -> Store:
        store, self.folder = open_store(self.url)
        return store


class TestWebHdfsTarget(_OnWebHdfs, FileTargetConformance):
    def make_target(self, name: str, mode: str) -> FileLike:
        return FileTarget(f"{self.url}/ümläut and space/{name}", mode=mode)


# -- absent, or not known ----------------------------------------------------------------------


def test_an_absence_with_another_error_behind_it_is_not_known() -> None:
    target = FileTarget("lying:///a")
    with pytest.raises(TargetUnreachable, match="reset by peer"):
        target.exists()
    with pytest.raises(TargetUnreachable, match="reset by peer"):
        list(target.store.list("/"))
    with pytest.raises(TargetUnreachable):
        target.read_text()
    with pytest.raises(TargetUnreachable):
        target.write_text("x")


def test_a_server_that_is_away_is_not_an_absent_file() -> None:
    with pytest.raises(TargetUnreachable, match="refused"):
        FileTarget("webhdfs://127.0.0.1:1/a").exists()


def test_an_answer_of_404_is_absence() -> None:
    from levada.contrib.longtail.store import says_absent

    class Answer(Exception):
        status = 404

    absent, hidden = FileNotFoundError("a"), FileNotFoundError("a")
    absent.__cause__, hidden.__cause__ = Answer(), TimeoutError()
    assert says_absent(absent)
    assert not says_absent(hidden)
    assert not says_absent(PermissionError("a"))


# -- what cannot be used is told ---------------------------------------------------------------


def test_a_scheme_that_nobody_knows_is_told() -> None:
    with pytest.raises(TargetError, match="no store is installed for nonsense://"):
        FileTarget("nonsense://a/b").exists()


def test_without_fsspec_the_hint_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.registry", None)
    with pytest.raises(TargetError, match=r"levada\[fsspec\]"):
        FileTarget("smb://host/share/a").exists()


def test_a_file_system_that_wants_more_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "smbprotocol", None)
    with pytest.raises(TargetError, match="smbprotocol"):
        FileTarget("smb://host/share/a").exists()


def test_a_name_that_fsspec_would_cut_is_refused() -> None:
    with pytest.raises(TargetError, match="would take that for"):
        FileTarget("webhdfs://127.0.0.1:1/a?b").exists()


# -- whole or absent ---------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["local", "plain"])
def test_a_write_that_breaks_off_leaves_nothing(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = FileTarget(f"{scheme}://{tmp_path}/home/a", mode="replace")
    target.write_text("before")
    store = target.store
    assert isinstance(store, FsspecStore)

    class Stream:
        """A file that takes three bytes."""

        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __enter__(self) -> Stream:
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

        def write(self, data: bytes) -> int:
            self.stream.write(data[:3])
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    real = store.fs.open
    monkeypatch.setattr(
        store.fs, "open", lambda path, mode="rb", **more: Stream(real(path, mode, **more)) if "w" in mode else real(path, mode)
    )
    with pytest.raises(TargetWriteError, match="reset by peer"):
        target.write_text("after, and longer")
    monkeypatch.undo()
    names = [entry.name for entry in store.list(f"{tmp_path}/home")]
    if scheme == "local":
        assert names == ["a"]
        assert target.read_text() == "before"
    else:
        assert names == []  # it was begun to be written over, and what is half is removed


def test_a_zombie_whose_temporary_was_swept_is_told_and_takes_nothing(tmp_path: Path) -> None:
    target = FileTarget(f"local://{tmp_path}/a", mode="replace")

    def late() -> None:
        (temporary,) = [name for name in os.listdir(tmp_path) if name.endswith(".part")]
        (tmp_path / temporary).unlink()
        (tmp_path / "a").write_text("newer")

    atomic.set_tag("0badcafe", "1.1", late)
    try:
        with pytest.raises(TargetWriteError, match="removed before the end"):
            target.write_text("of a zombie")
    finally:
        atomic.clear_tag()
    assert target.read_text() == "newer"


@pytest.mark.parametrize("scheme", ["local", "plain"])
def test_the_lease_is_asked_before_anything_is_seen(scheme: str, tmp_path: Path) -> None:
    def refuse() -> None:
        raise RuntimeError("the lease is another's")

    atomic.set_tag("0badcafe", "1.1", refuse)
    try:
        with pytest.raises(RuntimeError, match="another"):
            FileTarget(f"{scheme}://{tmp_path}/home/a").write_text("late")
    finally:
        atomic.clear_tag()
    assert list(open_store(f"{scheme}://{tmp_path}/home")[0].list(f"{tmp_path}/home")) == []


def test_a_seek_reads_on_from_there() -> None:
    content = os.urandom(3 << 20)
    target = FileTarget("plain:///a")
    target.write_bytes(content)
    with target.open("rb") as stream:
        assert stream.read(10) == content[:10]
        stream.seek(2_000_000)
        assert stream.read(10) == content[2_000_000:2_000_010]
        stream.seek(0)
        assert stream.read() == content

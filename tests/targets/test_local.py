"""LocalTarget and FileTarget: spelling, answers, and what the package loads."""

from __future__ import annotations

import errno
import gc
import getpass
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from levada import targets
from levada.contrib.hdfs import HdfsTarget
from levada.errors import TargetError, TargetExists, TargetUnreachable
from levada.targets import FileTarget, FolderTarget, LocalTarget, MemoryStore, MemoryTarget, Target, open_store, register_scheme, set_root


def test_every_public_name_is_there_and_none_is_loaded_before_it_is_used() -> None:
    for name in targets.__all__:
        assert getattr(targets, name) is not None
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = targets.Nonsense
    code = (
        "import sys, levada.targets\n"
        "assert not [m for m in sys.modules if m.startswith('levada.targets.')]\n"
        "from levada.targets import LocalTarget; LocalTarget('a').exists()\n"
        "heavy = {'levada.targets.atomic', 'levada.targets.writing', 'json', 'hashlib', 'tempfile', 'threading', 'shutil', 'dataclasses',"
        " 'pathlib', 'subprocess', 'gzip', 'importlib.metadata'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("src"))}
    subprocess.run([sys.executable, "-S", "-c", code], check=True, env=environment)


def test_a_target_is_the_same_by_its_path() -> None:
    assert LocalTarget("a") == LocalTarget(Path("a"))
    assert len({LocalTarget("a"), LocalTarget("a"), LocalTarget("b")}) == 2
    assert LocalTarget("a") != FileTarget("a")
    assert repr(LocalTarget("a/ä")) == "LocalTarget('a/ä')"
    assert str(LocalTarget("a/ä")) == "a/ä" == LocalTarget("a/ä").fn


def test_a_target_is_small() -> None:
    assert sys.getsizeof(LocalTarget("a")) <= 80
    assert not hasattr(LocalTarget("a"), "__dict__")


@pytest.mark.parametrize("make", [LocalTarget, FileTarget, FolderTarget, MemoryTarget, HdfsTarget])
def test_an_unknown_mode_is_refused_at_once(make: Any) -> None:
    with pytest.raises(ValueError, match="once"):
        make("a", mode="append")


def test_no_path_and_no_temporary_is_refused() -> None:
    with pytest.raises(ValueError, match="path"):
        LocalTarget()
    with pytest.raises(TypeError, match="text"):
        LocalTarget(b"a")  # type: ignore[arg-type]


def test_a_temporary_goes_with_its_object() -> None:
    target = LocalTarget(is_tmp=True)
    target.write_text("x")
    path = target.path
    assert target.is_tmp
    assert os.path.exists(path)
    del target
    gc.collect()
    assert not os.path.exists(path)


def test_moving_copying_and_removing(in_tmp: Path) -> None:
    target = LocalTarget("a")
    target.write_text("x")
    assert (target.size(), target.mtime() > 0) == (1, True)
    target.copy("deep/b")
    assert LocalTarget("deep/b").read_text() == "x" == target.read_text()
    with pytest.raises(TargetExists):
        target.copy("deep/b", raise_if_exists=True)
    with pytest.raises(TargetExists):
        target.move("deep/b", raise_if_exists=True)
    target.rename("c")
    assert not target.exists()
    LocalTarget("c").move("deep/b")
    LocalTarget("deep").move_dir("other")
    with pytest.raises(TargetExists):
        LocalTarget("other").move_dir("other")
    assert os.listdir("other") == ["b"]
    LocalTarget("other/b").remove()
    LocalTarget("other/b").remove()
    LocalTarget("new/folder/x").makedirs()
    assert os.path.isdir("new/folder")
    assert sorted(os.listdir()) == ["new", "other"]


def test_exists_is_one_system_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    stat = os.stat

    def counted(path: str) -> os.stat_result:
        calls.append(path)
        return stat(path)

    monkeypatch.setattr(os, "stat", counted)
    LocalTarget(tmp_path / "a").exists()
    assert len(calls) == 1


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN])
def test_what_cannot_be_told_is_not_called_absent(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(path: str) -> None:
        raise OSError(number, os.strerror(number))

    for target in (LocalTarget("/data/a"), FileTarget("/data/a"), FolderTarget("/data/a")):
        with monkeypatch.context() as patch, pytest.raises(TargetUnreachable, match="/data/a") as caught:
            patch.setattr(os, "stat", refuse)
            target.exists()
        assert isinstance(caught.value.__cause__, OSError)


def test_a_path_with_a_nul_is_an_error_of_the_target() -> None:
    with pytest.raises(TargetUnreachable, match="null"):
        LocalTarget("a\0b").exists()
    with pytest.raises(TargetError, match="null"):
        LocalTarget("a\0b").write_text("x")


def test_streams_are_real_ones(tmp_path: Path) -> None:
    with LocalTarget(tmp_path / "a").open("w") as text:
        assert isinstance(text, io.TextIOWrapper)
    with LocalTarget(tmp_path / "b").open("wb") as raw:
        assert isinstance(raw, io.BufferedWriter)
        raw.write(memoryview(b"abc"))
    assert LocalTarget(tmp_path / "b").read_bytes() == b"abc"


# -- stores by URL -----------------------------------------------------------------------------


@pytest.fixture
def _no_registrations() -> Any:
    yield
    from levada.targets import stores

    stores._factories.clear()
    stores._roots.clear()
    stores._open.clear()


def test_an_unknown_scheme_names_it_and_what_would_help() -> None:
    with pytest.raises(TargetError, match=r"lftp://.*\n.*levada.stores"):
        FileTarget("lftp://host/a").exists()
    with pytest.raises(TargetError, match=r"no store is installed for nonsense://.*\n.*levada.stores"):
        FileTarget("nonsense://x/a").write_text("x")
    with pytest.raises(TargetError, match="three slashes"):
        FileTarget("file://data/a").exists()


@pytest.mark.usefixtures("_no_registrations")
def test_a_registered_scheme_is_made_once_for_each_authority() -> None:
    made = []

    def make(authority: str) -> MemoryStore:
        made.append(authority)
        return MemoryStore()

    register_scheme("s3", make)
    FileTarget("s3://one/a").write_text("x")
    assert FileTarget("s3://one/a").read_text() == "x"
    assert not FileTarget("S3://two/a").exists()
    assert made == ["one", "two"]
    assert open_store("s3://one/deep/a")[1] == "/deep/a"


@pytest.mark.usefixtures("_no_registrations")
def test_an_entry_point_brings_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    class Found:
        def load(self) -> Any:
            return lambda authority: MemoryStore()

    known = {("levada.stores", "swift"): [Found()]}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group, name: known.get((group, name), []))
    FileTarget("swift://bucket/a").write_text("x")
    assert FileTarget("swift://bucket/a").exists()


def test_removing_what_is_absent_is_no_error(tmp_path: Path) -> None:
    for target in (FileTarget(tmp_path / "a"), MemoryTarget("absent"), LocalTarget(tmp_path / "a"), FolderTarget(tmp_path / "a")):
        target.remove()


def test_memory_targets_share_their_content_by_path() -> None:
    store = MemoryStore()
    MemoryTarget("a/b", "text", store=store)
    assert MemoryTarget("a/b", store=store).contents == "text"
    assert MemoryTarget("a/b", store=store).exists()
    assert not MemoryTarget("a/b", store=MemoryStore()).exists()


def test_a_memory_store_can_be_away_and_fail() -> None:
    store = MemoryStore()
    target = MemoryTarget("a", "x", store=store, mode="replace")
    store.failing = OSError("quota")
    with pytest.raises(TargetError, match="quota"):
        target.write_text("y")
    store.unreachable = "cable cut"
    with pytest.raises(TargetUnreachable, match="cable cut"):
        target.exists()
    store.unreachable = None
    assert target.contents == "x"


# -- HDFS over a local folder ------------------------------------------------------------------


@pytest.mark.usefixtures("_no_registrations")
def test_hdfs_paths_live_in_the_folder_that_is_set(tmp_path: Path) -> None:
    target = HdfsTarget("/var/log/a.txt")
    with pytest.raises(TargetError, match=r"\[hdfs\] local_root"):
        target.exists()
    set_root("hdfs", str(tmp_path))
    target.write_text("x")
    target.write_text("xy")  # replaces, as old programs expect
    assert (tmp_path / "var/log/a.txt").read_text() == "xy"
    assert FileTarget("hdfs://namenode/var/log/a.txt").read_text() == "xy"
    assert (target.path, target.fn) == ("/var/log/a.txt", "/var/log/a.txt")
    target.move("/b/c")
    HdfsTarget("/b/c").copy("/b/d")
    HdfsTarget("/b").move_dir("/e")
    assert sorted(os.listdir(tmp_path / "e")) == ["c", "d"]
    with HdfsTarget("/f").temporary_path() as path:
        Path(path).touch()
    HdfsTarget("/e").remove()
    HdfsTarget("/e").remove()
    HdfsTarget("/g/h").makedirs()
    assert sorted(os.listdir(tmp_path)) == ["f", "g", "var"]
    with pytest.raises(TargetError, match="leads out of"):
        HdfsTarget("/../secret").exists()
    user = os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
    HdfsTarget("relative").write_text("z")  # in the user's folder, as everywhere in Hadoop
    assert (tmp_path / "user" / user / "relative").read_text() == "z"
    set_root("hdfs", None)
    with pytest.raises(TargetError, match="local_root"):
        target.exists()


@pytest.mark.parametrize(
    "url", ["s3://bucket/a.txt", "gs://b/a", "az://b/a", "hdfs://nn/a", "sftp://h/a", "ftp://h/a", "https://h/a", "memory://x/y"]
)
def test_the_url_of_a_store_is_no_local_path(url: str) -> None:
    with pytest.raises(TargetError, match=rf"LocalTarget\('{url}'\): that is no path of this machine\n  Write FileTarget\('{url}'\)\."):
        LocalTarget(url)


@pytest.mark.parametrize("path", ["file:///x", "file:/x", "a://b", "dir/s3://b", "s3:/bucket/a", "S3://b"])
def test_other_odd_paths_are_what_they_are(in_tmp: Path, path: str) -> None:
    target = LocalTarget(path)
    assert target.path == path
    target.write_text("here")
    assert (in_tmp / path).read_text() == "here"


@pytest.mark.parametrize("make", [LocalTarget, FileTarget])
@pytest.mark.parametrize(("given", "name"), [("gzip", "Gzip"), ("Zstd", "Zstd"), (7, "Gzip"), (open, "Gzip")])
def test_what_is_no_format_is_refused_at_once_with_those_that_there_are(make: type, given: object, name: str) -> None:
    with pytest.raises(
        TargetError, match=f"(?s)expected one of levada.targets.formats: .*Gzip, Bzip2.*import {name}. and format={name}"
    ) as refused:
        make("a.gz", format=given)
    assert repr(given)[:20] in str(refused.value)


def test_a_temporary_file_may_be_kept_after_all(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "a", is_tmp=True)
    target.write_text("x")
    target.is_tmp = False
    del target
    assert (tmp_path / "a").exists()

    again = LocalTarget(tmp_path / "a")
    again.is_tmp = True
    del again
    assert not (tmp_path / "a").exists()


def test_a_target_that_cannot_tell_whether_it_exists_is_refused_when_it_is_made() -> None:
    class Forgetful(Target):
        pass

    with pytest.raises(TypeError, match="exists"):
        Forgetful()  # type: ignore[abstract]


def test_an_error_of_targets_without_words_has_those_of_its_class() -> None:
    assert str(TargetExists()) == "A write-once target was there already when it was to be committed; the first one stays."

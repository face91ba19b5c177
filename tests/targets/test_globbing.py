"""`glob` finds what a pattern says, by one listing a folder; sizes, times and marks are told as far as a store knows them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from levada._model.ports import Promise
from levada.errors import TargetError, TargetUnreachable
from levada.targets import FileTarget, LocalTarget, MemoryStore, formats, glob, register_scheme, stores

FILES = ("a.txt", "b.txt", "c.csv", ".hidden.txt", "day=1/part-0", "day=1/part-1", "day=2/part-0", "day=2/deep/er/part-9", "odd [x]/a?b")


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    store = MemoryStore(remote=True)
    register_scheme("play", lambda authority: store)
    for name in FILES:
        FileTarget(f"play://any/home/{name}").write_text(name)
    store.calls.clear()
    yield store
    stores._factories.pop("play")
    stores._drop("play")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.txt", ["a.txt", "b.txt"]),
        ("?.txt", ["a.txt", "b.txt"]),
        ("[!a].*", ["b.txt", "c.csv"]),
        (".*", [".hidden.txt"]),
        ("a.txt", ["a.txt"]),
        ("day=*/part-0", ["day=1/part-0", "day=2/part-0"]),
        ("day=2/*", ["day=2/part-0"]),
        ("**/part-*", ["day=1/part-0", "day=1/part-1", "day=2/deep/er/part-9", "day=2/part-0"]),
        ("day=2/**", ["day=2/deep/er/part-9", "day=2/part-0"]),
        ("*/deep/*/part-9", ["day=2/deep/er/part-9"]),
        ("odd [[]x]/a[?]b", ["odd [x]/a?b"]),
        ("nothing/*", []),
        ("a.txt/*", []),
    ],
)
@pytest.mark.parametrize("where", ["store", "disk"])
def test_a_pattern_finds_files(where: str, pattern: str, found: list[str], store: MemoryStore, tmp_path: Path) -> None:
    base = "play://any/home"
    if where == "disk":
        base = str(tmp_path)
        for name in FILES:
            LocalTarget(f"{base}/{name}").write_text(name)
    targets = glob(f"{base}/{pattern}")
    assert [target.url.removeprefix(f"{base}/") for target in targets] == found
    assert [target.read_text() for target in targets] == found


def test_a_relative_pattern_gives_relative_targets(in_tmp: Path) -> None:
    LocalTarget("a/b.txt").write_text("b")
    assert [target.url for target in glob("*/*.txt")] == ["a/b.txt"]
    assert [target.url for target in glob("a/*")] == ["a/b.txt"]
    LocalTarget("c.gz", formats.Gzip).write_bytes(b"c")
    assert [target.read_bytes() for target in glob("*.gz", formats.Gzip)] == [b"c"]


def test_a_folder_is_listed_once(store: MemoryStore) -> None:
    glob("play://any/home/day=*/part-*")
    assert store.calls == Counter(list=3)


def test_what_cannot_be_listed_is_told_and_not_left_out(store: MemoryStore) -> None:
    store.unreachable = "the network is down"
    with pytest.raises(TargetUnreachable):
        glob("play://any/home/*")
    store.unreachable = None
    store.promise = Promise(True, True, listing=False, remote=True)
    with pytest.raises(TargetError, match="does not list"):
        glob("play://any/home/*")


def test_a_write_that_is_under_way_is_not_found(in_tmp: Path) -> None:
    LocalTarget("a.txt").write_text("a")
    stream = FileTarget("b.txt").open("w")
    try:
        assert [target.url for target in glob("*")] == ["a.txt"]
        assert [target.url for target in glob("**")] == ["a.txt"]
    finally:
        stream.abort()


# -- sizes, times, marks -----------------------------------------------------------------------


def test_size_and_time_of_a_local_file(tmp_path: Path) -> None:
    target = FileTarget(tmp_path / "a")
    target.write_text("12345")
    assert target.size() == 5
    assert abs((target.mtime() or 0) - time.time()) < 60
    assert target.etag() is None


def test_what_a_store_does_not_know_is_none_and_what_is_absent_an_error(store: MemoryStore) -> None:
    target = FileTarget("play://any/home/a.txt")
    assert (target.size(), target.mtime(), target.etag()) == (5, None, None)
    for ask in (target.size, target.mtime, target.etag):
        target.remove()
        with pytest.raises(FileNotFoundError):
            ask()


def test_a_store_without_the_verb_knows_nothing_more_than_that_it_is_there(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "info", None)
    assert FileTarget("play://any/home/a.txt").size() is None
    with pytest.raises(FileNotFoundError):
        FileTarget("play://any/home/none").size()

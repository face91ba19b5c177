"""Outputs that are moved aside: all or none that can be told before, over nothing, and with what zombies had begun."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from levada.contrib.hdfs import HdfsTarget
from levada.errors import TargetError, TargetExists, TargetWriteError
from levada.targets import FileTarget, FolderTarget, LocalTarget, MemoryStore, MemoryTarget, atomic, set_root, stores
from levada.targets.aside import carry_out, clear, planned

KEY8 = "0badcafe"


def written(target: LocalTarget, text: str = "old") -> LocalTarget:
    target.write_text(text)
    return target


def test_files_folders_links_and_stores_in_folders_are_moved(tmp_path: Path) -> None:
    file = written(LocalTarget(tmp_path / "a.txt"))
    folder = FolderTarget(tmp_path / "parts")
    with folder.writing() as path:
        Path(path, "one").write_text("1")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    set_root("hdfs", str(tmp_path))
    try:
        stored = FileTarget("hdfs://nn/b.txt")
        stored.write_text("b")
        moves = planned([file, folder, LocalTarget(tmp_path / "link"), stored, LocalTarget(tmp_path / "none"), file], 3)
    finally:
        set_root("hdfs", None)
    assert [move.there for move in moves] == [True, True, True, True, False]
    assert [carry_out(move) for move in moves] == [True, True, True, True, False]
    assert sorted(os.listdir(tmp_path)) == ["a.txt.invalidated-3", "b.txt.invalidated-3", "link.invalidated-3", "parts.invalidated-3"]
    assert (tmp_path / "parts.invalidated-3" / "one").read_text() == "1"


@pytest.mark.parametrize("url", ["/b.txt", "hdfs://nn/b.txt"])
def test_a_target_of_hdfs_in_a_folder_is_moved_however_it_is_spelled(tmp_path: Path, url: str) -> None:
    set_root("hdfs", str(tmp_path))
    try:
        target = HdfsTarget(url)
        target.write_text("b")
        assert [carry_out(move) for move in planned([target], 1)] == [True]
    finally:
        set_root("hdfs", None)
    assert os.listdir(tmp_path) == ["b.txt.invalidated-1"]


def test_what_cannot_be_moved_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    file, taken = written(LocalTarget(tmp_path / "a")), written(LocalTarget(tmp_path / "b"))
    written(LocalTarget(tmp_path / "b.invalidated-1"))
    with pytest.raises(TargetError) as fault:
        planned([file, MemoryTarget("memory://x"), taken], 1)
    assert "a MemoryTarget cannot be moved aside" in fault.value.message
    assert f"{taken.path}.invalidated-1: exists already" in fault.value.message
    assert file.exists()
    assert [move.aside for move in planned([taken], 2)] == [f"{taken.path}.invalidated-2"]


def test_a_folder_that_may_not_be_changed_is_found_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(LocalTarget(tmp_path / "a"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(TargetError, match="may not rename"):
        planned([file], 1)


@pytest.mark.parametrize("folder", [False, True])
def test_nothing_is_overwritten_also_what_came_meanwhile(tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "a"
    (path.mkdir() or (path / "x").touch()) if folder else path.write_text("old")
    (move,) = planned([LocalTarget(path)], 1)
    Path(move.aside).write_text("of somebody else")
    with pytest.raises(TargetExists):
        carry_out(move)
    assert path.exists()
    assert Path(move.aside).read_text() == "of somebody else"


def test_whoever_was_killed_between_two_steps_may_say_it_again(tmp_path: Path) -> None:
    """The file has both names for an instant, so that it is never without one."""
    file = written(LocalTarget(tmp_path / "a"))
    os.link(file.path, f"{file.path}.invalidated-1")
    (move,) = planned([file], 1)
    assert carry_out(move)
    assert os.listdir(tmp_path) == ["a.invalidated-1"]
    assert not carry_out(move)


def test_a_living_attempt_of_the_task_loses_what_it_has_begun_and_others_keep_theirs(tmp_path: Path) -> None:
    file = written(LocalTarget(tmp_path / "a"))
    late = atomic.LocalPending(f"{tmp_path}/b", replace=False, tag=f"{KEY8}.1.1")
    other = atomic.LocalPending(f"{tmp_path}/c", replace=False, tag="deadbeef.1.1")
    moves = planned([file, LocalTarget(tmp_path / "b")], 1)
    assert [os.path.basename(path) for path in clear(moves, KEY8)] == [f".b.{KEY8}.1.1.part"]
    with pytest.raises(TargetWriteError):
        late.commit()
    other.commit()
    assert sorted(os.listdir(tmp_path)) == ["a", "c"]
    assert clear(planned([LocalTarget(tmp_path / "nowhere" / "x")], 1), KEY8) == []


def test_what_cannot_be_removed_is_told_before_anything_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pending = atomic.LocalPending(f"{tmp_path}/a", replace=False, tag=f"{KEY8}.1.1")
    monkeypatch.setattr(atomic, "remove_temporary", lambda *_: False)
    with pytest.raises(TargetError, match="cannot be removed"):
        clear(planned([LocalTarget(tmp_path / "a")], 1), KEY8)
    pending.abort()


def test_a_slower_second_one_does_not_take_what_was_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It had seen that the other one had moved the output, and then waited until the next attempt had made it again."""
    out = tmp_path / "out"
    out.write_text("old")
    (move,) = planned([LocalTarget(out)], 1)
    os.link(out, move.aside)  # the first one has come so far
    rename = os.rename

    def late(source: str, target: str) -> None:
        out.unlink()
        out.write_text("new")
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    with pytest.raises(TargetError, match="made again meanwhile"):
        carry_out(move)
    assert (out.read_text(), Path(move.aside).read_text()) == ("new", "old")
    assert sorted(os.listdir(tmp_path)) == ["out", "out.invalidated-1"]


# -- in stores ---------------------------------------------------------------------------------


class Renaming(MemoryStore):
    """In memory, with a rename."""

    def url(self, path: str) -> str:
        return f"moving://any{path}"

    def move(self, path: str, new: str, *, replace: bool) -> None:
        if self.exists(new):
            raise TargetExists(f"{new}: exists already")
        content = self.open(path).read()
        self.remove(path)
        self._store(new, content, replace=replace)


@pytest.fixture
def renaming() -> Iterator[Renaming]:
    store = Renaming()
    stores.register_scheme("moving", lambda authority: store)
    yield store
    stores._factories.pop("moving")
    stores._drop("moving")


def test_a_file_of_a_store_that_renames_is_moved_and_what_zombies_had_begun_is_removed(renaming: Renaming) -> None:
    target = FileTarget("moving://any/out/a b.txt")
    target.write_text("old")
    for tag in (f"{KEY8}.1.1", "deadbeef.1.1"):
        FileTarget(f"moving://any/out/.a b.txt.{tag}.part").write_text("half")
    moves = planned([target, FileTarget("moving://any/out/none"), target], 3)
    assert [(move.path, move.aside, move.there) for move in moves] == [
        ("moving://any/out/a b.txt", "moving://any/out/a b.txt.invalidated-3", True),
        ("moving://any/out/none", "moving://any/out/none.invalidated-3", False),
    ]
    assert clear(moves, KEY8) == [f"moving://any/out/.a b.txt.{KEY8}.1.1.part"]
    assert [carry_out(move) for move in moves] == [True, False]
    assert sorted(entry.name for entry in renaming.list("/out")) == [".a b.txt.deadbeef.1.1.part", "a b.txt.invalidated-3"]
    target.write_text("new")
    with pytest.raises(TargetExists):
        carry_out(moves[0])
    with pytest.raises(TargetError, match="exists already"):
        planned([target], 3)
    assert target.read_text() == "new"


def test_what_a_store_cannot_rename_is_not_moved() -> None:
    with pytest.raises(TargetError, match="has no rename that is safe"):
        planned([MemoryTarget("memory:///a/b")], 1)

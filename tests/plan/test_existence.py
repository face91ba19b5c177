"""Asking many targets at once gives what asking each would give, for far fewer calls."""

from __future__ import annotations

import os
import string
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada._plan import existence
from levada._plan.existence import Existence
from levada.errors import TargetError, TargetUnreachable
from levada.targets import FileTarget, FolderTarget, LocalTarget, MemoryStore, MemoryTarget, set_root


class Counted:
    """Counts os.stat and os.scandir."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stats = self.listings = 0
        stat, scandir = os.stat, os.scandir

        def counted_stat(*args: Any, **more: Any) -> Any:
            self.stats += 1
            return stat(*args, **more)

        def counted_scandir(*args: Any) -> Any:
            self.listings += 1
            return scandir(*args)

        monkeypatch.setattr(os, "stat", counted_stat)
        monkeypatch.setattr(os, "scandir", counted_scandir)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def files(folder: Path, count: int) -> list[LocalTarget]:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"f{number}").touch()
    return [LocalTarget(f"{folder}/f{number}") for number in range(count)]


def test_answers_stand_in_the_order_of_the_questions(tmp_path: Path) -> None:
    there = files(tmp_path / "a", 40) + files(tmp_path / "b", 3)
    absent = [LocalTarget(f"{target.path}.absent") for target in there]
    asked = [target for pair in zip(there, absent, strict=True) for target in pair]
    assert Existence().ask(asked) == [True, False] * 43
    assert Existence(listing=False).ask(asked) == [True, False] * 43
    assert Existence().ask([]) == []


def test_a_folder_is_listed_once_when_it_was_asked_often(tmp_path: Path, counted: Counted) -> None:
    targets, asker = files(tmp_path, 1000), Existence()
    counted.stats = 0
    for start in range(0, 1000, 10):
        assert all(asker.ask(targets[start : start + 10]))
    assert (counted.stats, counted.listings) == (10 + 1, 1)  # ten before it was worth it, and a look for folded names


def test_few_questions_are_not_worth_a_listing(tmp_path: Path, counted: Counted) -> None:
    targets = [target for number in range(20) for target in files(tmp_path / str(number), 5)]
    counted.stats = 0
    assert all(Existence().ask(targets))
    assert (counted.stats, counted.listings) == (100, 0)


def test_a_missing_folder_answers_for_all_its_files(tmp_path: Path, counted: Counted) -> None:
    targets = [LocalTarget(f"{tmp_path}/nowhere/{number}") for number in range(1000)]
    assert not any(Existence().ask(targets))
    assert (counted.stats, counted.listings) == (0, 1)


def test_a_crowded_folder_is_not_listed_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: Counted) -> None:
    monkeypatch.setattr(existence, "LISTED_AT_LEAST", 100)
    monkeypatch.setattr(existence, "LISTED_PER_QUESTION", 2)
    targets = files(tmp_path, 200)
    asker = Existence()
    counted.stats = 0
    assert all(asker.ask(targets[:20]))
    assert all(asker.ask(targets[20:]))
    assert (counted.stats, counted.listings) == (200, 1)


def test_symbolic_links_are_asked_themselves(tmp_path: Path) -> None:
    files(tmp_path, 30)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "good").symlink_to(tmp_path / "f1")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    asked = [LocalTarget(tmp_path / name) for name in ("dangling", "good", "loop", *(f"f{number}" for number in range(30)))]
    assert Existence().ask(asked) == [False, True, False] + [True] * 30


def test_a_file_system_that_folds_names_is_asked_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path, 30)
    stat = os.stat

    def folding(path: Any, **more: Any) -> Any:
        folder, _, name = str(path).rpartition("/")
        return stat(f"{folder}/{name.lower()}", **more)

    monkeypatch.setattr(os, "stat", folding)
    assert all(Existence().ask([LocalTarget(f"{tmp_path}/F{number}") for number in range(30)]))


def test_a_folder_that_may_not_be_read_is_asked_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = files(tmp_path, 30)

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    assert all(Existence().ask(targets))


def test_a_disk_that_does_not_answer_is_an_answer_for_each_of_its_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    good = files(tmp_path, 2)
    stat, scandir = os.stat, os.scandir

    def away(path: Any, *args: Any, **more: Any) -> Any:
        if str(path).startswith("/mnt/away"):
            raise OSError(5, "Input/output error")
        return stat(path, *args, **more)

    monkeypatch.setattr(os, "stat", away)
    monkeypatch.setattr(os, "scandir", lambda path: away(path) and scandir(path))
    asked = [LocalTarget(f"/mnt/away/{number}") for number in range(20)]
    answers = Existence().ask([*asked, *good])
    assert all(isinstance(answer, TargetUnreachable) for answer in answers[:20])
    assert answers[20:] == [True, True]


def test_one_question_is_never_answered_from_memory(tmp_path: Path) -> None:
    targets, asker = files(tmp_path, 20), Existence()
    assert all(asker.ask(targets))
    os.remove(targets[0].path)
    assert asker.ask([targets[0]]) == [True]  # one plan, one picture of the world
    assert asker.ask_one(targets[0]) is False


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existence, "REMEMBERED", 50)
    asker = Existence()
    for number in range(6):
        assert all(asker.ask(files(tmp_path / str(number), 20)))
    assert asker._local._memory._names <= 50
    assert all(asker.ask(files(tmp_path / "0", 20)))


NAMES = st.text(string.ascii_letters + "ß.é ~\n", min_size=1, max_size=8)


@given(there=st.sets(NAMES, max_size=30), asked=st.lists(st.tuples(st.sampled_from(["", "sub/", "./", "no/"]), NAMES), max_size=60))
def test_a_listing_says_what_a_stat_says(there: set[str], asked: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/sub")
        for name in there - {".", "..", "sub"}:
            open(f"{folder}/{name}", "w").close()
        targets = [LocalTarget(f"{folder}/{where}{name}") for where, name in asked]
        targets += [LocalTarget(f"{folder}/{odd}") for odd in ("", ".", "..", "sub/", "sub", "sub/.", "//sub")] * 3
        assert Existence().ask(targets) == [os.path.exists(target.path) for target in targets]


def test_relative_and_root_paths_are_asked_where_they_are(in_tmp: Path) -> None:
    targets = files(Path("rel"), 20) + [LocalTarget(f"here{number}") for number in range(20)]
    Path("here3").touch()
    top = [LocalTarget(f"/{name}") for name in os.listdir("/")] + [LocalTarget(f"/nonsense{number}") for number in range(20)]
    asker = Existence()
    assert asker.ask(targets) == [True] * 20 + [number == 3 for number in range(20)]
    assert asker.ask(top) == [os.path.exists(target.path) for target in top]


# -- stores ------------------------------------------------------------------------------------


def stored(store: MemoryStore, folders: int, each: int) -> list[MemoryTarget]:
    targets = [MemoryTarget(f"d{folder}/f{number}", store=store) for folder in range(folders) for number in range(each)]
    for target in targets:
        store._files[target.path] = b""
        store._remember(target.path)
    store.calls.clear()
    return targets


@pytest.mark.parametrize("remote", [False, True])
def test_a_store_is_asked_a_listing_page_for_a_thousand(remote: bool) -> None:
    store, asker = MemoryStore(remote=remote), Existence()
    targets = stored(store, folders=5, each=2000)
    absent = [MemoryTarget(f"d{number % 5}/absent{number}", store=store) for number in range(1000)]
    for start in range(0, 10_000, 1000):
        assert all(asker.ask(targets[start : start + 1000]))
    assert not any(asker.ask(absent))
    assert set(store.calls) == {"list"}
    assert store.calls["list"] <= 10_000 / 1000 + 5


def test_a_crowded_folder_of_a_store_is_asked_singly_until_more_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existence, "LISTED_AT_LEAST", 100)
    monkeypatch.setattr(existence, "LISTED_PER_QUESTION", 2)
    store, asker = MemoryStore(remote=True), Existence()
    targets = stored(store, folders=1, each=1500)
    assert all(asker.ask(targets[:10]))
    assert store.calls == {"list": 1, "exists": 10}
    assert all(asker.ask(targets[10:]))
    assert store.calls == {"list": 1 + 2, "exists": 10}


def test_a_store_that_cannot_list_is_asked_singly() -> None:
    store = MemoryStore(remote=True, listing=False)
    targets = stored(store, folders=1, each=50)
    assert all(Existence().ask(targets))
    assert store.calls == {"exists": 50}


def test_a_store_that_is_away_is_asked_twice_not_a_thousand_times() -> None:
    store, near = MemoryStore(remote=True), MemoryStore()
    targets = stored(store, folders=1, each=1000)
    good = stored(near, folders=1, each=1)
    store.unreachable = "cable cut"
    asker = Existence()
    answers = asker.ask([*targets, *good])
    assert all(isinstance(answer, TargetUnreachable) for answer in answers[:-1])
    assert answers[-1] is True
    assert sum(store.calls.values()) == 2
    store.unreachable = None
    assert all(asker.ask(targets))


def test_where_listing_is_forbidden_questions_are_asked() -> None:
    class NoList(MemoryStore):
        def list(self, folder: str) -> Any:
            raise PermissionError("listing is forbidden")

    store = NoList()
    assert all(Existence().ask(stored(store, folders=1, each=20)))


def test_a_store_with_its_own_batches_is_asked_by_them() -> None:
    class Batched(MemoryStore):
        asked = 0

        def exists_many(self, paths: Sequence[str]) -> list[bool]:
            self.asked += 1
            return [path in self._files for path in paths]

    store = Batched(remote=True, listing=False)
    targets = stored(store, folders=1, each=50)
    assert Existence().ask([*targets, MemoryTarget("d0/absent", store=store)]) == [True] * 50 + [False]
    assert (store.asked, store.calls) == (1, {})


def test_targets_of_a_root_are_asked_as_local_files(tmp_path: Path, counted: Counted) -> None:
    files(tmp_path / "log", 100)
    set_root("hdfs", str(tmp_path))
    try:
        counted.stats = 0
        asked = [FileTarget(f"hdfs://namenode/log/f{number}") for number in range(110)]
        assert Existence().ask(asked) == [True] * 100 + [False] * 10
        assert counted.listings == 1
    finally:
        set_root("hdfs", None)


def test_a_store_that_is_not_installed_is_an_answer() -> None:
    (answer,) = Existence().ask([FileTarget("lftp://host/a")])
    assert isinstance(answer, TargetError)
    assert "levada.stores" in str(answer)


# -- anything with exists() --------------------------------------------------------------------


def test_a_target_with_an_exists_of_its_own_is_asked_by_it(tmp_path: Path) -> None:
    class Always(LocalTarget):
        def exists(self) -> bool:
            return True

    class Fresh(LocalTarget):
        """A subclass that only adds: it is a local file."""

    targets = [Always(f"{tmp_path}/absent{number}") for number in range(20)]
    assert all(Existence().ask(targets))
    assert Existence().ask([Fresh(tmp_path), Fresh(tmp_path / "absent"), FolderTarget(tmp_path)]) == [True, False, True]


def test_what_users_code_raises_is_an_answer_with_its_cause() -> None:
    class Broken:
        def __init__(self, cause: BaseException) -> None:
            self.cause = cause

        def exists(self) -> bool:
            raise self.cause

    own = TargetError("mine")
    first, second, third = Existence().ask([Broken(KeyError("x")), Broken(own), Broken(ValueError())])
    assert isinstance(first, TargetUnreachable)
    assert isinstance(first.__cause__, KeyError)
    assert second is own
    assert "ValueError" in str(third)
    with pytest.raises(KeyboardInterrupt):
        Existence().ask([Broken(KeyboardInterrupt())])


def test_far_targets_are_asked_side_by_side_and_leave_no_thread() -> None:
    import threading

    together = threading.Barrier(existence.THREADS, timeout=20)

    class Far:
        remote = True

        def exists(self) -> bool:
            together.wait()
            return True

    assert Existence().ask([Far() for _ in range(existence.THREADS)]) == [True] * existence.THREADS
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("levada-exists")]


def test_a_class_of_targets_may_answer_for_many() -> None:
    class Row:
        batches = 0

        def __init__(self, number: int) -> None:
            self.number = number

        def exists(self) -> bool:
            raise AssertionError("asked singly")

        @classmethod
        def exists_many(cls, rows: Sequence[Row]) -> list[bool]:
            cls.batches += 1
            if any(row.number < 0 for row in rows):
                raise OSError("no database")
            return [row.number % 2 == 0 for row in rows]

    class Single(Row):
        def exists(self) -> bool:
            return True

    assert Existence().ask([Row(number) for number in range(6)]) == [True, False] * 3
    assert Row.batches == 1
    assert Existence().ask([Single(1)]) == [True]
    answers = Existence().ask([Row(-1), Row(2)])
    assert all(isinstance(answer, TargetUnreachable) for answer in answers)


def test_who_answers_for_many_may_leave_some_open() -> None:
    class Row:
        def __init__(self, number: int) -> None:
            self.number = number

        @staticmethod
        def exists_many(rows: Sequence[Row]) -> list[bool | TargetUnreachable]:
            return [TargetUnreachable("row", "its database is away") if row.number == 1 else True for row in rows]

    answers = Existence().ask([Row(number) for number in range(3)])
    assert isinstance(answers[1], TargetUnreachable)
    assert (answers[0], answers[2]) == (True, True)

"""Local folders that the kernel tells of: nothing waits for the clock, whatever way a file appears."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import levada as lv
from levada.targets import notifying
from levada.targets.watching import NOTIFICATIONS, Seen, Wanted, Watching

from .conftest import urls

pytest.importorskip("watchfiles", reason="watchfiles is not installed")
SOON = 20.0  # seconds of real time: a bound for a busy machine; usual is a tenth of a second
INTERVAL = 3600.0  # the clock tells nothing within a test, once the first quick looks are over


@pytest.fixture
def told() -> Iterator[Watching]:
    made = Watching()
    yield made
    made.close()


def quiet(watching: Watching, seconds: float = 5000.0) -> float:
    """Let the quick looks pass, by a clock that runs ahead; return its time."""
    now = 0.0
    while now < seconds:
        watching.look(now)
        now = max(watching.next_look(), now + 0.001)
    return seconds


def seen_soon(watching: Watching, now: float, enough: int = 1) -> list[Seen]:
    """What is seen without the clock of the schedule moving more than a moment: only notifications can have told it."""
    end, seen = time.monotonic() + SOON, list[Seen]()
    while time.monotonic() < end and len(seen) < enough:
        watching.wait(0.2)
        seen += watching.look(now)
        now += 0.2  # rests are seconds of this clock
    return seen


def by_rename(path: Path) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text("x")
    beside.rename(path)


def by_link(path: Path) -> None:
    other = path.with_name(f".{path.name}.other")
    other.write_text("x")
    os.link(other, path)


def by_symbolic_link(path: Path) -> None:
    other = path.with_name(f".{path.name}.other")
    other.write_text("x")
    path.symlink_to(other)


def by_plain_write(path: Path) -> None:
    path.write_text("x")


def by_target(path: Path) -> None:
    lv.LocalTarget(path).write_text("x")


WAYS = [by_rename, by_link, by_symbolic_link, by_plain_write, by_target]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make_folders", [False, True])
def test_a_file_is_told_however_it_appears(told: Watching, tmp_path: Path, way: Callable[[Path], None], make_folders: bool) -> None:
    folder = tmp_path / "a" / "b" / "c"
    if not make_folders:
        folder.mkdir(parents=True)
    told.want(
        [Wanted(f"{folder}/{{x}}.csv", True, INTERVAL), Wanted(f"{folder}/7.csv", False, INTERVAL), Wanted(f"{folder}/8", False, INTERVAL)]
    )
    now = quiet(told)
    folder.mkdir(parents=True, exist_ok=True)
    way(folder / "7.csv")
    assert urls(seen_soon(told, now, 2)) == [f"{folder}/7.csv"] * 2
    assert told.troubles() == {}


def test_folders_of_a_pattern_are_watched_as_they_come(told: Watching, tmp_path: Path) -> None:
    told.want([Wanted(f"{tmp_path}/{{day}}/{{hour}}/x.csv", True, INTERVAL)])
    now = quiet(told)
    for number in range(5):
        folder = tmp_path / str(number) / "07"
        folder.mkdir(parents=True)
        by_rename(folder / "x.csv")
        assert urls(seen_soon(told, now)) == [f"{folder}/x.csv"]
        now += 10


def test_a_folder_that_is_removed_and_made_again_is_watched_again(told: Watching, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    told.want([Wanted(f"{folder}/x.csv", False, INTERVAL), Wanted(f"{folder}/y.csv", False, INTERVAL)])
    now = quiet(told)
    for _ in range(3):
        folder.mkdir()
        by_rename(folder / "x.csv")
        assert urls(seen_soon(told, now)) == [f"{folder}/x.csv"]
        shutil.rmtree(folder)
        told.wait(1)
        told.look(now + 10)
        now += 20


def test_a_folder_that_another_takes_the_place_of_is_watched_again(told: Watching, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    told.want([Wanted(f"{folder}/{{x}}.csv", True, INTERVAL)])
    now = quiet(told)
    folder.rename(tmp_path / "old")
    folder.mkdir()
    by_rename(folder / "x.csv")
    assert urls(seen_soon(told, now)) == [f"{folder}/x.csv"]
    by_rename(folder / "y.csv")
    assert urls(seen_soon(told, now + 10)) == [f"{folder}/y.csv"]


def test_a_changed_set_of_folders_loses_nothing(told: Watching, tmp_path: Path) -> None:
    """Files are dropped all the time while further folders are watched, one after the other."""
    first = tmp_path / "first"
    first.mkdir()
    wanted = [Wanted(f"{first}/{{x}}.csv", True, INTERVAL)]
    told.want(wanted)
    now, stop, dropped = quiet(told), threading.Event(), list[str]()

    def drop() -> None:
        while not stop.is_set() and len(dropped) < 500:
            path = first / f"{len(dropped)}.csv"
            by_rename(path)
            dropped.append(str(path))
            time.sleep(0.005)

    thread = threading.Thread(target=drop)
    thread.start()
    seen: list[Seen] = []
    for number in range(30):
        (tmp_path / f"more{number}").mkdir()
        wanted.append(Wanted(f"{tmp_path}/more{number}/x", False, INTERVAL))
        told.want(wanted)
        told.wait(0.05)
        seen += told.look(now)
        now += 0.5
    stop.set()
    thread.join()
    seen += seen_soon(told, now, len(dropped) - len(seen))
    assert urls(seen) == sorted(dropped)


def test_a_flood_is_told_whole(told: Watching, tmp_path: Path) -> None:
    told.want([Wanted(f"{tmp_path}/{{x}}.csv", True, INTERVAL)])
    now = quiet(told)
    for number in range(5000):
        (tmp_path / f"{number}.csv").touch()
    assert len(seen_soon(told, now, 5000)) == 5000


def test_what_does_not_matter_wakes_nobody(told: Watching, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    told.want([Wanted(f"{folder}/{{x}}.csv", True, INTERVAL), Wanted(f"{tmp_path}/later/x", False, INTERVAL)])
    now = quiet(told)
    (folder / "readme.txt").touch()
    (folder / ".hidden.csv").touch()
    (tmp_path / "elsewhere").mkdir()
    time.sleep(0.5)
    assert told.next_look() > now


def test_a_name_of_bytes_that_are_no_text_ends_no_watch(told: Watching, tmp_path: Path) -> None:
    """The library's watcher is of no use after one: another is started, and all is looked at."""
    told.want([Wanted(f"{tmp_path}/{{x}}.csv", True, INTERVAL)])
    now = quiet(told)
    with open(os.fsencode(tmp_path) + b"/\xff.csv", "w"):
        pass
    by_rename(tmp_path / "1.csv")
    assert urls(seen_soon(told, now)) == [f"{tmp_path}/1.csv"]
    by_rename(tmp_path / "2.csv")
    assert urls(seen_soon(told, now + 10)) == [f"{tmp_path}/2.csv"]
    assert told.troubles() == {}


def test_beyond_the_systems_limit_some_are_asked_by_the_clock_and_it_is_said(
    told: Watching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = notifying._maker()
    assert real is not None

    def limited(folders: list[str]) -> object:
        if len(folders) > 3:
            raise OSError(28, "OS file watch limit reached.")
        return real(folders)

    notifier = told._notifier
    assert notifier is not None
    monkeypatch.setattr(notifier, "_make", limited)
    folders = [tmp_path / str(number) for number in range(10)]
    for folder in folders:
        folder.mkdir()
    told.want([Wanted(f"{folder}/{{x}}.csv", True, 30) for folder in folders])
    now = quiet(told, 100)
    assert "max_user_watches" in told.troubles()[NOTIFICATIONS]
    for folder in folders:
        by_rename(folder / "1.csv")
    seen: list[Seen] = []
    while len(seen) < 10 and now < 140:
        now += 1
        seen += told.look(now)
    assert len(seen) == 10
    monkeypatch.setattr(notifier, "_make", real)
    told.look(now + 200)
    assert told.troubles() == {}


def test_network_file_systems_are_asked_by_the_clock_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying.Mounts, "silent", lambda self, path: str(tmp_path) if path.startswith(str(tmp_path)) else None)
    watching = Watching()
    try:
        watching.want([Wanted(f"{tmp_path}/{{x}}.csv", True)])
        (place,) = watching._places.values()
        assert (place.lane, place.on_disk) == (str(tmp_path), None)
        assert watching.look(0) == []
        by_rename(tmp_path / "1.csv")
        assert len(watching.look(30)) == 1
    finally:
        watching.close()


def test_the_kernels_list_says_which_file_systems_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    class Mount:
        def __init__(self, mountpoint: str, fstype: str) -> None:
            self.mountpoint, self.fstype = mountpoint, fstype

    listed = [Mount("/", "ext4"), Mount("/net", "nfs4"), Mount("/net/local", "xfs"), Mount("/mnt/s3", "fuse.s3fs"), Mount("/win", "cifs")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: listed)
    mounts = notifying.Mounts()
    found = [mounts.silent(path) for path in ("/data", "/net/x/y", "/network", "/net/local/x", "/mnt/s3", "/win/a")]
    assert found == [None, "/net", None, None, "/mnt/s3", "/win"]


def test_without_the_library_folders_are_asked_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("levada.targets.notifying._maker", lambda: None)
    watching = Watching()
    watching.want([Wanted(f"{tmp_path}/{{x}}.csv", True)])
    assert watching.look(0) == []
    by_rename(tmp_path / "1.csv")
    assert len(watching.look(31)) == 1
    assert "pip install 'levada[watch]'" in watching.troubles()[NOTIFICATIONS]


def test_threads_end_with_the_watching(tmp_path: Path) -> None:
    watching = Watching()
    watching.want([Wanted(f"{tmp_path}/x")])
    watching.look(0)
    watching.close()
    end = time.monotonic() + SOON
    while any(thread.name == "levada-notified" for thread in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [thread for thread in threading.enumerate() if thread.name == "levada-notified"]


def test_how_soon_it_is_told(told: Watching, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Recorded, not asserted."""
    told.want([Wanted(f"{tmp_path}/{{x}}.csv", True, INTERVAL)])
    now, took = quiet(told), list[float]()
    for number in range(9):
        began = time.monotonic()
        by_rename(tmp_path / f"{number}.csv")
        assert len(seen_soon(told, now + number)) == 1
        took.append(time.monotonic() - began)
    took.sort()
    record_property("median seconds", took[4])
    record_property("longest seconds", took[-1])

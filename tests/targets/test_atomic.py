"""Whole or absent: under kill -9, full disks, forbidden folders, and many writers at once."""

from __future__ import annotations

import errno
import gc
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada.errors import LeaseLost, TargetError, TargetExists, TargetWriteError
from levada.targets import FolderTarget, LocalTarget, atomic
from levada.targets.writing import TextWriter

CONTENT = "whole\n" * 40_000


@pytest.fixture(autouse=True)
def _no_attempt() -> Iterator[None]:
    yield
    atomic.clear_tag()


def temporaries(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if re.fullmatch(atomic.TEMPORARY, name, re.DOTALL))


def in_child(act: Callable[[], None]) -> int:
    """How a forked child ended that did nothing else than this (an os.waitpid status)."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(7)
    return os.waitpid(pid, 0)[1]


STEPS = ["open", "fsync", "link", "unlink", "replace", "stat", "lstat", "fstat", "close", "mkdir", "rename"]


def _kill_at(step: int) -> None:
    """Let this process die by SIGKILL just before its n-th system call of the list (both sides of each are so covered)."""
    left = step

    def doomed(call: Callable[..., Any]) -> Callable[..., Any]:
        def one(*args: Any, **more: Any) -> Any:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return call(*args, **more)

        return one

    for name in STEPS:
        setattr(os, name, doomed(getattr(os, name)))


@pytest.mark.parametrize("mode", ["once", "replace"])
@pytest.mark.slow
def test_killed_before_any_system_call_a_target_is_absent_or_whole(tmp_path: Path, mode: str) -> None:
    finished = False
    for step in range(60):
        folder = tmp_path / str(step)
        target = LocalTarget(folder / "deep" / "a.txt", mode=mode)

        def write(step: int = step, target: LocalTarget = target) -> None:
            _kill_at(step)
            target.write_text(CONTENT)

        status = in_child(write)
        if target.exists():
            assert target.read_text() == CONTENT
        if folder.joinpath("deep").is_dir():
            atomic.sweep(str(folder / "deep"))
            assert temporaries(folder / "deep") == []
        if not os.WIFSIGNALED(status):
            finished = True
            assert target.exists()
            break
        LocalTarget(target.path, mode="replace").write_text(CONTENT)  # the next run completes it
    assert finished, "60 steps were not enough"
    assert step > 8


def test_a_folder_target_killed_at_any_step_is_absent_or_whole(tmp_path: Path) -> None:
    for step in range(80):
        target = FolderTarget(tmp_path / f"out{step}")

        def write(step: int = step, target: FolderTarget = target) -> None:
            _kill_at(step)
            with target.writing() as folder:
                for name in ("a", "b"):
                    Path(folder, name).write_text(CONTENT)

        status = in_child(write)
        if target.exists():
            assert [Path(path).read_text() for path in target.files()] == [CONTENT] * 2
        atomic.sweep(str(tmp_path))
        assert temporaries(tmp_path) == []
        if not os.WIFSIGNALED(status):
            assert target.exists()
            return
    raise AssertionError("80 steps were not enough")


WRITER = """
import sys
from levada.targets import LocalTarget, atomic
atomic.set_tag("00c0ffee", "1.%s" % sys.argv[2])
print("ready", flush=True)
for number in range(100_000):
    LocalTarget(f"{sys.argv[1]}/{number % 50}.txt", mode="replace", durable=False).write_text("whole\\n" * 40_000)
"""


def test_killed_at_random_moments_nothing_torn_is_left_and_leftovers_are_swept(tmp_path: Path) -> None:
    dice = random.Random(20130101)
    for life in range(12):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(life)], stdout=subprocess.PIPE, env=_with_path())
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(dice.uniform(0, 0.03))
        child.kill()
        child.wait()
        child.stdout.close()
        for path in tmp_path.glob("*.txt"):
            assert path.read_text() == CONTENT
    atomic.sweep(str(tmp_path))
    assert temporaries(tmp_path) == []


def _with_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


# -- writers -----------------------------------------------------------------------------------


def test_of_two_writers_at_once_the_first_to_commit_stays(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "a")
    first, second = target.open("w"), target.open("w")
    first.write("first")
    second.write("second")
    first.close()
    with pytest.raises(TargetExists, match="what was there first stays"):
        second.close()
    second.close()  # harmless
    assert target.read_text() == "first"
    assert temporaries(tmp_path) == []


def test_writers_in_many_threads_have_one_winner(tmp_path: Path) -> None:
    target, ends = LocalTarget(tmp_path / "a"), []

    def write(number: int) -> None:
        try:
            target.write_text(str(number) * 1000)
            ends.append(number)
        except TargetExists:
            ends.append(-1)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [end for end in ends if end >= 0]
    assert target.read_text() == str(winner) * 1000
    assert temporaries(tmp_path) == []


def test_a_forked_child_neither_commits_nor_spoils_its_parents_file(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "a")
    stream = target.open("w")
    stream.write("parent\n")
    in_child(stream.close)
    in_child(cast("TextWriter", stream).abort)
    assert not target.exists()
    stream.close()
    assert target.read_text() == "parent\n"


def test_a_writer_that_was_forgotten_warns_and_leaves_nothing(tmp_path: Path) -> None:
    stream = LocalTarget(tmp_path / "a").open("wb")
    stream.write(b"half")
    with pytest.warns(ResourceWarning, match="never closed"):
        del stream
        gc.collect()
    assert os.listdir(tmp_path) == []


def test_the_lease_is_asked_when_the_file_is_on_the_disk_and_before_it_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "link", "unlink"):
        monkeypatch.setattr(os, name, _noting(calls, name, getattr(os, name)))
    atomic.set_tag("0badcafe", "3.7", lambda: calls.append("lease"))
    LocalTarget(tmp_path / "a").write_text("x")
    assert calls == ["fsync", "lease", "link", "unlink", "fsync"]


def _noting(calls: list[str], name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def one(*args: Any, **more: Any) -> Any:
        calls.append(name)
        return call(*args, **more)

    return one


def test_who_lost_the_lease_commits_nothing(tmp_path: Path) -> None:
    def refuse() -> None:
        raise LeaseLost("Daily(day=1)", held="1.1", newest="1.2")

    atomic.set_tag("0badcafe", "1.1", refuse)
    with pytest.raises(LeaseLost):
        LocalTarget(tmp_path / "a").write_text("late")
    with pytest.raises(LeaseLost), FolderTarget(tmp_path / "f").writing() as folder:
        Path(folder, "x").touch()
    assert os.listdir(tmp_path) == []


def test_scratch_files_cost_no_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(os, "fsync", _noting(calls, "fsync", os.fsync))
    LocalTarget(tmp_path / "new" / "a", durable=False).write_text("x")
    assert calls == []
    LocalTarget(tmp_path / "other" / "a").write_text("x")
    assert calls == ["fsync"] * 3  # the new folder's parent, the file, its folder


# -- temporaries -------------------------------------------------------------------------------


def test_a_temporary_names_its_attempt(tmp_path: Path) -> None:
    atomic.set_tag(lambda: "0badcafe", "3.7")
    stream = LocalTarget(tmp_path / "a.txt").open("w")
    second = LocalTarget(tmp_path / "a.txt").open("w")
    assert temporaries(tmp_path) == [".a.txt.0badcafe.3.7.part", ".a.txt.0badcafe.3.7~1.part"]
    cast("TextWriter", stream).abort()
    cast("TextWriter", second).abort()


def test_the_tag_of_a_thread_does_not_reach_other_threads(tmp_path: Path) -> None:
    seen = []

    def attempt() -> None:
        atomic.set_tag("0badcafe", "1.1", process_wide=False)
        seen.append(atomic.current_tag())

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert seen == ["0badcafe.1.1"]
    assert atomic.current_tag().startswith(f"p{os.getpid()}.")


def test_a_sweep_takes_what_the_dead_left_and_nothing_else(tmp_path: Path) -> None:
    users_own = [".hidden.part", "a.part", ".a.txt.0badcafe.part", "a.txt", ".a.12345678.1.2.part.bak"]
    for name in users_own:
        (tmp_path / name).touch()
    (tmp_path / ".a.txt.0badcafe.1.1.part").touch()
    (tmp_path / ".a.txt.0badcafe.1.2.part").touch()
    (tmp_path / ".dir.p12.00c0ffee.part").mkdir()
    (tmp_path / ".dir.p12.00c0ffee.part" / "inner").touch()
    (tmp_path / ".link.0badcafe.1.1.part").symlink_to(tmp_path / "a.txt")
    living = LocalTarget(tmp_path / "b").open("w")

    removed = atomic.sweep(str(tmp_path), keep={"0badcafe.1.2"})

    assert removed == [".a.txt.0badcafe.1.1.part", ".dir.p12.00c0ffee.part"]
    living.close()
    assert LocalTarget(tmp_path / "b").exists()
    assert set(users_own) <= set(os.listdir(tmp_path))


def test_a_superseded_attempt_is_swept_although_it_lives_and_cannot_commit(tmp_path: Path) -> None:
    atomic.set_tag("0badcafe", "1.1")
    slow = LocalTarget(tmp_path / "a").open("w")
    slow.write("old")
    atomic.set_tag("0badcafe", "1.2")
    assert atomic.sweep(str(tmp_path), {"0badcafe.1.2"}, superseded="0badcafe") == [".a.0badcafe.1.1.part"]
    LocalTarget(tmp_path / "a").write_text("new")
    with pytest.raises(TargetError):
        slow.close()
    assert LocalTarget(tmp_path / "a").read_text() == "new"


def test_a_sweep_of_no_folder_finds_nothing(tmp_path: Path) -> None:
    assert atomic.sweep(str(tmp_path / "nowhere")) == []


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=300))
def test_a_temporary_name_fits_and_is_recognised_whatever_the_name(name: str) -> None:
    short = atomic.temporary_name(f"/data/{name}", "0badcafe.4294967295.123456789", 999)
    folder, _, last = short.rpartition("/")
    assert folder == "/data"
    assert len(os.fsencode(last)) <= 255
    found = re.fullmatch(atomic.TEMPORARY, last, re.DOTALL)
    assert found is not None
    assert found["tag"] == "0badcafe.4294967295.123456789"


# -- what the system refuses -------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 64 KiB; skips the test where none can be mounted."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("by design: mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_in_the_middle_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small") as disk:
        with pytest.raises(TargetWriteError, match=r"a\.txt: could not be written: No space left") as caught:
            LocalTarget(disk / "a.txt").write_text("x" * 200_000)
        assert "Make room" in str(caught.value)
        assert caught.value.errno == errno.ENOSPC
        assert os.listdir(disk) == []
        with pytest.raises(TargetWriteError), LocalTarget(disk / "b.txt").open("w") as stream:
            for _ in range(100_000):
                stream.write("line\n")
        assert os.listdir(disk) == []
        LocalTarget(disk / "c.txt").write_text("there is room again")


def test_a_write_that_failed_is_not_committed_though_the_program_goes_on(tmp_path: Path) -> None:
    """A program that swallows the error and writes on would leave a hole in the middle."""
    with small_disk(tmp_path / "small") as disk:
        stream = LocalTarget(disk / "a.txt").open("w")
        filler = disk / "filler"
        filler.write_bytes(b"x" * 50_000)
        with pytest.raises(TargetWriteError):
            for _ in range(10_000):
                stream.write("0123456789")
        filler.unlink()
        stream.write("the end")
        with pytest.raises(TargetWriteError):
            stream.close()
        assert os.listdir(disk) == []


def test_a_file_limit_is_a_write_error(tmp_path: Path) -> None:
    def write() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        try:
            LocalTarget(tmp_path / "a").write_text("x" * 50_000)
        except TargetWriteError as error:
            os._exit(0 if error.errno == errno.EFBIG else 1)

    assert in_child(write) == 0
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("step", ["fsync", "link", "open"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_each_refused_step_is_a_write_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    real = getattr(os, step)

    def refuse(path: Any, *args: Any, **more: Any) -> Any:
        if step == "open" and not str(path).endswith(".part"):
            return real(path, *args, **more)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(TargetWriteError) as caught:
        LocalTarget(tmp_path / "a").write_text("x")
    assert str(tmp_path / "a") in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


def test_where_there_are_no_hard_links_the_first_still_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    target = LocalTarget(tmp_path / "a")
    late = target.open("w")
    target.write_text("first")
    with pytest.raises(TargetExists):
        late.close()
    assert target.read_text() == "first"
    assert os.listdir(tmp_path) == ["a"]
    assert atomic.promise_of(str(tmp_path)) == "checked"
    monkeypatch.undo()
    assert atomic.promise_of(str(tmp_path)) == "exact"
    assert os.listdir(tmp_path) == ["a"]


def test_a_link_whose_answer_was_lost_counts_as_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system repeats a request: the link is there, the answer says it was there before."""
    link = os.link

    def twice(*args: Any) -> None:
        link(*args)
        link(*args)

    monkeypatch.setattr(os, "link", twice)
    LocalTarget(tmp_path / "a").write_text("mine")
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = LocalTarget(tmp_path / "file" / "a")
    assert not target.exists()
    with pytest.raises(TargetWriteError, match="a file where a folder is needed"):
        target.write_text("x")


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    if os.geteuid() == 0:  # root passes modes by, not this
        if subprocess.run(["chattr", "+i", str(folder)], capture_output=True, check=False).returncode:
            pytest.skip("by design: neither modes nor attributes hold root back here")
    else:
        folder.chmod(0o500)
    try:
        with pytest.raises(TargetWriteError, match=r"closed/a: could not be written") as caught:
            LocalTarget(folder / "a").write_text("x")
        assert caught.value.hint is not None
        assert str(folder) in caught.value.hint
    finally:
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-i", str(folder)], check=True)
        folder.chmod(0o700)


def test_a_link_that_leads_nowhere_is_absent_and_not_written_through(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "a")
    os.symlink(tmp_path / "nowhere", target.path)
    assert not target.exists()
    with pytest.raises(TargetWriteError, match="leads nowhere"):
        target.write_text("x")


def test_names_of_255_bytes_are_written_and_longer_ones_refused_before_the_work(tmp_path: Path) -> None:
    for name in ("a" * 255, "ä" * 127 + "a", "🌊" * 63):
        target = LocalTarget(tmp_path / name)
        target.write_text(name)
        assert target.read_text() == name
    too_long = LocalTarget(tmp_path / ("ä" * 128))
    assert not too_long.exists()
    with pytest.raises(TargetWriteError, match="shorter name"):
        too_long.open("w")


# -- folders -----------------------------------------------------------------------------------


def test_a_folder_that_raises_or_stays_empty_leaves_nothing(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "out")
    with pytest.raises(KeyError), target.writing() as folder:
        Path(folder, "half").touch()
        raise KeyError
    with pytest.raises(TargetWriteError, match="nothing was written"), target.writing():
        pass
    assert os.listdir(tmp_path) == []


def test_the_second_of_two_folders_is_refused(tmp_path: Path) -> None:
    target = FolderTarget(tmp_path / "out")
    with pytest.raises(TargetExists), target.writing() as late:
        Path(late, "late").touch()
        with target.writing() as folder:
            Path(folder, "first").touch()
    assert [os.path.basename(path) for path in target.files()] == ["first"]
    again = FolderTarget(tmp_path / "out", mode="replace")
    with again.writing() as folder:
        Path(folder, "second").touch()
    assert [os.path.basename(path) for path in target.files()] == ["second"]
    target.remove()
    target.remove()
    assert os.listdir(tmp_path) == []


def test_a_temporary_path_becomes_the_target_whether_file_or_folder(tmp_path: Path) -> None:
    for mode in ("once", "replace"):
        file = LocalTarget(tmp_path / f"{mode}.csv", mode=mode)
        with file.temporary_path() as path:
            assert path.endswith(f"/{mode}.csv")
            Path(path).write_text("x")
            assert not file.exists()
        assert file.read_text() == "x"
        folder = LocalTarget(tmp_path / f"{mode}.d", mode=mode)
        with folder.temporary_path() as path:
            Path(path).mkdir()
            Path(path, "part").touch()
        assert folder.exists()
    with pytest.raises(TargetWriteError, match="nothing was written"), LocalTarget(tmp_path / "none").temporary_path():
        pass
    with pytest.raises(KeyError), LocalTarget(tmp_path / "none").temporary_path() as path:
        Path(path).touch()
        raise KeyError
    assert sorted(os.listdir(tmp_path)) == ["once.csv", "once.d", "replace.csv", "replace.d"]


def test_a_living_temporary_path_is_not_swept(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path / "a")
    with target.temporary_path() as path:
        Path(path).write_text("slow program")
        assert atomic.sweep(str(tmp_path)) == []
    assert target.exists()


def test_no_warning_is_given_for_what_was_closed(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LocalTarget(tmp_path / "a").write_text("x")
        gc.collect()


def test_a_scratch_file_that_a_network_disk_refuses_at_its_end_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an fsync, such a disk says that it is full when the file is closed."""

    def refuse(fd: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "dup", refuse)
    with pytest.raises(TargetWriteError, match="No space left"):
        LocalTarget(tmp_path / "a", durable=False).write_text("x")
    assert os.listdir(tmp_path) == []

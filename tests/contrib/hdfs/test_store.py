"""HDFS as it is: races, kills, refusals; on a real server."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from levada._plan.existence import Existence
from levada.contrib.hdfs import HdfsFlagTarget, HdfsTarget, client, sweep
from levada.contrib.hdfs.store import HdfsStore
from levada.errors import LeaseLost, TargetError, TargetExists, TargetUnreachable, TargetWriteError
from levada.targets import FileTarget, aside, atomic

from .cluster import Cluster

PROGRAMS = str(Path(__file__).with_name("programs.py"))
SRC = str(Path(__file__).parents[3] / "src")


@pytest.fixture(autouse=True)
def _no_attempt() -> Iterator[None]:
    yield
    atomic.clear_tag()


def start(*words: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": SRC}
    return subprocess.Popen([sys.executable, PROGRAMS, *words], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    return out.strip()


def names(hdfs: Cluster, folder: str) -> list[str]:
    return sorted(entry.name for entry in HdfsStore(hdfs.authority).list(folder))


# -- whole or absent ---------------------------------------------------------------------------


def test_of_eight_processes_that_write_once_one_wins(hdfs: Cluster, home: str) -> None:
    url = f"{hdfs.url}{home}/a"
    moment = str(time.time() + 8)
    ends = [ended(process) for process in [start("race", url, str(number), moment) for number in range(8)]]
    assert sorted(ends) == ["lost"] * 7 + ["won"]
    assert FileTarget(url).read_bytes() == str(ends.index("won")).encode() * 200_000
    assert names(hdfs, home) == ["a"]


@pytest.mark.timeout(280)
@pytest.mark.parametrize("mode", ["once", "replace"])
def test_killed_before_any_step_a_file_is_absent_or_whole(hdfs: Cluster, home: str, mode: str) -> None:
    finished = False
    for step in range(30):
        folder = f"{home}/{step}"
        target = FileTarget(f"{hdfs.url}{folder}/a", mode="replace")
        process = start("die", target.url, mode, str(step))
        out, err = process.communicate(timeout=60)
        if target.exists():
            assert target.read_bytes() == b"whole\n" * 400_000
        left = [name for name in names(hdfs, folder) if name != "a"]
        assert len(left) <= 1
        assert sweep(f"{hdfs.url}{folder}", "0badcafe", epoch=3) == left
        target.write_text("the next run completes it")
        assert names(hdfs, folder) == ["a"]
        if process.returncode != -signal.SIGKILL:
            assert out.strip() == "ended", err
            finished = True
            break
    assert finished, "30 steps were not enough"
    assert step > 5


def test_the_next_attempt_removes_what_the_dead_one_left(hdfs: Cluster, home: str) -> None:
    target = HdfsTarget(f"{hdfs.url}{home}/a")
    atomic.set_tag("0badcafe", "7.1")
    dead = target.open("w")
    dead.write("half")
    atomic.set_tag("0badcafe", "7.2")
    target.write_text("whole")
    assert names(hdfs, home) == ["a"]
    with pytest.raises(TargetWriteError, match="removed before the end"):
        dead.close()
    assert target.read_text() == "whole"


def test_a_sweep_takes_the_temporaries_of_one_task_and_nothing_else(hdfs: Cluster, home: str) -> None:
    kept = [".a.0badcafe.1.1.part", ".a.12345678.2.1.part", ".hidden.part", "a"]
    for name in [*kept, ".a.0badcafe.2.1.part"]:
        FileTarget(f"{hdfs.url}{home}/{name}").write_text("")
    assert sweep(f"{hdfs.url}{home}", "0badcafe", epoch=2) == [".a.0badcafe.2.1.part"]
    assert names(hdfs, home) == kept


def test_who_lost_the_lease_commits_nothing(hdfs: Cluster, home: str) -> None:
    def refuse() -> None:
        assert [name[:3] for name in names(hdfs, home)] == [".a."]  # the file is closed by now
        raise LeaseLost("Daily(day=1)", held="1.1", newest="1.2")

    atomic.set_tag("0badcafe", "1.1", refuse)
    with pytest.raises(LeaseLost):
        FileTarget(f"{hdfs.url}{home}/a").write_text("late")
    assert names(hdfs, home) == []


def test_what_a_failed_attempt_left_of_several_outputs_is_replaced(hdfs: Cluster, home: str) -> None:
    first = FileTarget(f"{hdfs.url}{home}/first")
    first.write_text("of the attempt before")
    atomic.set_tag("0badcafe", "1.2", leftover=lambda place: place == first.url)
    first.write_text("of this one")
    assert first.read_text() == "of this one"


def test_an_answer_that_was_lost_counts_as_what_was_done(hdfs: Cluster, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is cut after the name node renamed: the client asks again, and hears that there is nothing to rename."""
    from levada.contrib.hdfs import store

    real = store.ask

    def twice(act: Callable[..., object], *arguments: object, **more: object) -> object:
        answer = real(act, *arguments, **more)
        return real(act, *arguments, **more) if getattr(act, "__name__", "") == "rename" else answer

    monkeypatch.setattr(store, "ask", twice)
    for mode in ("once", "replace"):
        FileTarget(f"{hdfs.url}{home}/{mode}", mode=mode).write_text("mine")
    HdfsTarget(f"{hdfs.url}{home}/once").move(f"{hdfs.url}{home}/folder/moved")
    HdfsTarget(f"{hdfs.url}{home}/folder").move_dir(f"{hdfs.url}{home}/other")
    monkeypatch.undo()
    assert names(hdfs, home) == ["other", "replace"]
    assert HdfsTarget(f"{hdfs.url}{home}/other/moved").read_text() == "mine"


def test_a_large_file_is_read_from_any_place(hdfs: Cluster, home: str) -> None:
    content = os.urandom(5_000_000)
    target = FileTarget(f"{hdfs.url}{home}/a")
    target.write_bytes(content)
    assert target.read_bytes() == content
    with target.open("rb") as stream:
        stream.seek(4_000_000)
        assert stream.read(10) == content[4_000_000:4_000_010]
        stream.seek(5)
        assert stream.read(2_000_000) == content[5:2_000_005]
        stream.seek(-3, os.SEEK_END)
        assert (stream.read(), stream.read()) == (content[-3:], b"")


@pytest.mark.parametrize("what", ["fork", "leave"])
def test_forked_children_speak_for_themselves(hdfs: Cluster, home: str, what: str) -> None:
    assert ended(start(what, f"{hdfs.url}{home}")) == "ended"


# -- what is asked -----------------------------------------------------------------------------


def test_ten_thousand_targets_cost_one_listing_a_folder(hdfs: Cluster, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = HdfsStore(hdfs.authority)
    for folder in range(4):
        store.make_folder(f"{home}/{folder}")
        for number in range(3):
            FileTarget(f"{hdfs.url}{home}/{folder}/{number * 1000}", durable=False).write_text("")
    listed: list[str] = []
    singly: list[str] = []
    real = HdfsStore.list
    monkeypatch.setattr(HdfsStore, "list", lambda self, folder: listed.append(folder) or real(self, folder))
    monkeypatch.setattr(HdfsStore, "exists", lambda self, path: singly.append(path) or False)
    targets = [HdfsTarget(f"{hdfs.url}{home}/{number % 5}/{number // 5}") for number in range(10_000)]
    answers = Existence().ask(targets)
    assert sorted(listed) == [f"{home}/{folder}" for folder in range(5)]  # one of them is absent
    assert singly == []
    there = {target.url for target, answer in zip(targets, answers, strict=True) if answer is True}
    assert there == {f"{hdfs.url}{home}/{folder}/{number}" for folder in range(4) for number in (0, 1000)}
    assert answers.count(False) == 10_000 - len(there)


def test_a_listing_of_many_pages_is_whole(hdfs: Cluster, home: str) -> None:
    store = HdfsStore(hdfs.authority)
    for number in range(2_100):
        client.ask(store.client.create, f"{home}/{number}").close()
    assert names(hdfs, home) == sorted(map(str, range(2_100)))


def test_a_folder_is_no_file_and_a_file_no_folder(hdfs: Cluster, home: str) -> None:
    file = FileTarget(f"{hdfs.url}{home}/file")
    file.write_text("x")
    below = FileTarget(f"{file.url}/a")
    assert not below.exists()
    assert names(hdfs, f"{home}/file") == names(hdfs, f"{home}/file/a") == []
    with pytest.raises(FileNotFoundError):
        below.read_text()
    with pytest.raises(TargetWriteError, match="a file where a folder is needed"):
        below.write_text("x")
    with pytest.raises(IsADirectoryError):
        FileTarget(f"{hdfs.url}{home}").read_text()
    with pytest.raises(TargetWriteError, match="there is a folder of this name"):
        FileTarget(f"{hdfs.url}{home}", mode="replace").write_text("x")


def test_the_path_alone_means_the_name_node_of_the_settings(hdfs: Cluster, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    HdfsTarget(f"{hdfs.url}{home}/a").write_text("x")
    with pytest.raises(TargetError, match="no name node is named") as caught:
        HdfsTarget(f"{home}/a").exists()
    assert "local_root" in str(caught.value)
    monkeypatch.setenv("HADOOP_CONF_DIR", hdfs.conf)
    assert HdfsTarget(f"{home}/a").read_text() == "x"
    assert FileTarget(f"hdfs://{home}/a").exists()


def test_who_asks_is_told_by_the_environment(hdfs: Cluster, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "bob")
    with pytest.raises(TargetWriteError, match="permission denied: Permission denied: user=bob, access=WRITE") as caught:
        HdfsTarget(f"{hdfs.url}{home}/a").write_text("x")
    assert caught.value.errno == errno.EACCES
    assert "HADOOP_USER_NAME" in str(caught.value)


def test_a_folder_that_may_not_be_looked_into_is_not_an_empty_one(hdfs: Cluster, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = HdfsStore(hdfs.authority)
    HdfsTarget(f"{hdfs.url}{home}/a").write_text("x")
    client.ask(store.client.set_permission, home, 0o700)
    monkeypatch.setenv("HADOOP_USER_NAME", "bob")
    monkeypatch.setattr(client, "_clients", {})
    target = HdfsTarget(f"{hdfs.url}{home}/a")
    for act in (target.exists, target.read_text, lambda: names(hdfs, home)):
        with pytest.raises(TargetUnreachable, match="permission denied"):
            act()


# -- what HDFS refuses -------------------------------------------------------------------------


def test_a_quota_that_is_used_up_is_named(hdfs: Cluster, home: str) -> None:
    HdfsStore(hdfs.authority).make_folder(home)
    hdfs.admin("-setQuota", "2", home)
    target = HdfsTarget(f"{hdfs.url}{home}/a")
    target.write_text("x")
    with pytest.raises(TargetWriteError, match="quota is used up") as caught:
        HdfsTarget(f"{hdfs.url}{home}/b").write_text("x")
    assert caught.value.errno == errno.EDQUOT
    hdfs.admin("-clrQuota", home)
    hdfs.admin("-setSpaceQuota", "1", home)
    with pytest.raises(TargetWriteError, match="quota is used up"):
        HdfsTarget(f"{hdfs.url}{home}/b").write_text("x")
    assert names(hdfs, home) == ["a"]


@pytest.mark.parametrize("name", ["a:b", "ä" * 128])
def test_names_that_hdfs_does_not_take_are_refused(hdfs: Cluster, home: str, name: str) -> None:
    target = HdfsTarget(f"{hdfs.url}{home}/{name}")
    assert not target.exists()
    with pytest.raises(TargetWriteError, match=r"HDFS takes (no such name|255 bytes)|name is too long"):
        target.write_text("x")


def test_safe_mode_is_named_and_nothing_is_absent_for_it(hdfs: Cluster, home: str) -> None:
    there = HdfsTarget(f"{hdfs.url}{home}/there")
    there.write_text("x")
    hdfs.admin("-safemode", "enter")
    try:
        assert there.read_text() == "x"
        with pytest.raises(TargetWriteError, match="safe mode"):
            HdfsTarget(f"{hdfs.url}{home}/new").write_text("x")
        for act in (there.remove, lambda: there.move(f"{hdfs.url}{home}/other")):
            with pytest.raises(TargetError, match="safe mode"):
                act()
    finally:
        hdfs.admin("-safemode", "leave")
    HdfsTarget(f"{hdfs.url}{home}/new").write_text("x")
    assert names(hdfs, home) == ["new", "there"]


def test_a_name_node_that_dies_is_not_an_empty_one(hdfs: Cluster, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there, late = HdfsTarget(f"{hdfs.url}{home}/there"), HdfsTarget(f"{hdfs.url}{home}/late")
    there.write_text("x")
    stream = late.open("w")
    stream.write("half")
    hdfs.kill_name_node()
    try:
        for act in (there.exists, there.read_text, lambda: names(hdfs, home), lambda: late.write_text("x")):
            with pytest.raises(TargetError, match="no connection to HDFS"):
                act()
        began = time.monotonic()
        answers = Existence().ask([HdfsTarget(f"{hdfs.url}{home}/{number}/a") for number in range(2_000)])
        assert all(isinstance(answer, TargetUnreachable) for answer in answers)
        assert time.monotonic() - began < 20
        with pytest.raises(TargetWriteError, match="no connection"):
            stream.close()
    finally:
        hdfs.start_name_node()
    wait_until_files_are_taken(hdfs)
    monkeypatch.setattr(client, "_away", {})
    assert there.read_text() == "x"
    assert not late.exists()
    late.write_text("whole")
    assert late.read_text() == "whole"


def test_without_a_data_node_nothing_is_half_there(hdfs: Cluster, home: str) -> None:
    there, late = HdfsTarget(f"{hdfs.url}{home}/there"), HdfsTarget(f"{hdfs.url}{home}/late")
    there.write_text("x")
    try:
        with pytest.raises(TargetWriteError, match="late: could not be written"), late.open("wb") as stream:
            stream.write(b"half" * 1_000_000)
            hdfs.kill_data_node()
            stream.write(b"half" * 1_000_000)
        assert there.exists()
        with pytest.raises(TargetUnreachable, match="there: cannot be read: no data node gave the bytes: All DataNodes failed\n"):
            there.read_text()
        with pytest.raises(TargetWriteError, match="other: could not be written"):
            HdfsTarget(f"{hdfs.url}{home}/other").write_text("x")
    finally:
        hdfs.start_data_node()
    wait_until_files_are_taken(hdfs)
    assert names(hdfs, home) == ["there"]
    assert there.read_text() == "x"
    late.write_text("whole")


def wait_until_files_are_taken(hdfs: Cluster) -> None:
    from .cluster import wait_for

    wait_for(hdfs.takes_files, 90)


def test_a_write_goes_on_when_the_name_node_comes_back(hdfs: Cluster, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client waits for it, and the connections to it are made anew."""
    monkeypatch.setattr(client, "PATIENCE", {client.ATTEMPTS: "30", "dfs.client.failover.sleep.max.millis": "1000"})
    target = HdfsTarget(f"{hdfs.url}{home}/a")
    stream = target.open("w")
    stream.write("the beginning, ")
    hdfs.kill_name_node()
    hdfs.start_name_node()
    wait_until_files_are_taken(hdfs)
    stream.write("the end")
    stream.close()
    assert target.read_text() == "the beginning, the end"


def test_a_name_node_that_hangs_is_an_error_after_a_while(hdfs: Cluster, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER", 1.0)
    target = HdfsTarget(f"{hdfs.url}{home}/a")
    assert not target.exists()
    with hdfs.hanging_name_node(), pytest.raises(TargetUnreachable, match="no answer for 1 s"):
        target.exists()
    monkeypatch.setattr(client, "_away", {})
    assert not target.exists()


def test_a_question_is_interrupted_by_a_signal(hdfs: Cluster, home: str) -> None:
    target = HdfsTarget(f"{hdfs.url}{home}/a")
    assert not target.exists()
    began = time.monotonic()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins without
    try:
        with hdfs.hanging_name_node():
            timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                target.exists()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 10


# -- the targets of Luigi's spelling -----------------------------------------------------------


def test_files_and_folders_are_moved_copied_and_removed(hdfs: Cluster, home: str) -> None:
    at = f"{hdfs.url}{home}"
    target = HdfsTarget(f"{at}/a b")
    target.write_text("x")
    target.copy(f"{at}/deep/er/ü")
    target.move(f"{at}/deep/b")
    assert not target.exists()
    target.write_text("new")
    target.rename(f"{at}/deep/b")  # replaces, as old programs expect
    target.write_text("newer")
    with pytest.raises(TargetExists):
        target.move(f"{at}/deep/b", raise_if_exists=True)
    with pytest.raises(TargetExists):
        target.copy(f"{at}/deep/b", raise_if_exists=True)
    HdfsTarget(f"{at}/deep").move_dir(f"{at}/other")
    assert HdfsTarget(f"{at}/other/b").read_text() == "new"
    assert HdfsTarget(f"{at}/other/er/ü").read_text() == "x"
    with pytest.raises(FileNotFoundError):
        HdfsTarget(f"{at}/deep").move(f"{at}/elsewhere")
    with pytest.raises(TargetError, match="folder with files"):
        HdfsTarget(f"{at}/other").remove(recursive=False)
    HdfsTarget(f"{at}/other").remove()
    HdfsTarget(f"{at}/other").remove()
    HdfsTarget(f"{at}/made/c").makedirs()
    assert names(hdfs, home) == ["a b", "made"]


@pytest.mark.parametrize("mode", ["once", "replace"])
def test_other_programs_write_at_a_temporary_path(hdfs: Cluster, home: str, mode: str) -> None:
    target = HdfsTarget(f"{hdfs.url}{home}/a.csv", mode=mode)
    with target.temporary_path() as path:
        assert path.startswith(hdfs.url)
        assert path.endswith("/a.csv")
        HdfsTarget(path).write_text("x")
        assert not target.exists()
    assert target.read_text() == "x"
    folder = HdfsTarget(f"{hdfs.url}{home}/d", mode=mode)
    with folder.temporary_path() as path:
        HdfsTarget(f"{path}/part-0").write_text("y")
    assert HdfsTarget(f"{folder.url}/part-0").read_text() == "y"
    with pytest.raises(TargetWriteError, match="nothing was written"), HdfsTarget(f"{hdfs.url}{home}/n").temporary_path():
        pass
    with pytest.raises(KeyError), HdfsTarget(f"{hdfs.url}{home}/n").temporary_path() as path:
        HdfsTarget(path).write_text("x")
        raise KeyError
    if mode == "once":
        with pytest.raises(TargetExists), target.temporary_path():
            pass
    else:
        with folder.temporary_path() as path:
            HdfsTarget(f"{path}/part-1").write_text("z")
        assert names(hdfs, f"{home}/d") == ["part-1"]
    assert names(hdfs, home) == ["a.csv", "d"]


def test_a_folder_with_a_flag_exists_when_the_flag_does(hdfs: Cluster, home: str) -> None:
    target = HdfsFlagTarget(f"{hdfs.url}{home}/out/")
    HdfsTarget(f"{target.path}part-0").write_text("x")
    assert not target.exists()
    assert Existence().ask([target]) == [False]
    HdfsTarget(f"{target.path}_SUCCESS").write_text("")
    assert target.exists()
    assert Existence().ask([target]) == [True]
    with pytest.raises(TargetError, match="is a folder"):
        target.open()
    target.move_dir(f"{hdfs.url}{home}/moved")
    assert HdfsFlagTarget(f"{hdfs.url}{home}/moved/", flag="part-0").exists()
    HdfsFlagTarget(f"{hdfs.url}{home}/moved/").remove()
    assert names(hdfs, home) == []


def test_a_folder_with_a_flag_is_moved_aside_and_what_a_zombie_had_begun_is_removed(hdfs: Cluster, home: str) -> None:
    for name in ("day/part-0", "day/_SUCCESS", ".day.0badcafe.1.1.part/day/part-0"):
        FileTarget(f"{hdfs.url}{home}/{name}").write_text("1")
    moves = aside.planned([HdfsFlagTarget(f"{hdfs.url}{home}/day/")], 4)
    assert aside.clear(moves, "0badcafe") == [f"{hdfs.url}{home}/.day.0badcafe.1.1.part"]
    assert [aside.carry_out(move) for move in moves] == [True]
    store = HdfsStore(hdfs.authority)
    assert [entry.name for entry in store.list(home)] == ["day.invalidated-4"]
    assert sorted(entry.name for entry in store.list(f"{home}/day.invalidated-4")) == ["_SUCCESS", "part-0"]

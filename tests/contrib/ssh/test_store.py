"""Files of another host as they are: races, kills, cuts, refusals; on a real sshd."""

from __future__ import annotations

import asyncio
import errno
import gc
import io
import logging
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import pytest

import levada as lv
from levada._plan.existence import Existence
from levada.contrib.ssh import RemoteTarget, client, sweep
from levada.contrib.ssh.store import SftpStore, open_store
from levada.errors import ConfigError, LeaseLost, TargetError, TargetExists, TargetUnreachable, TargetWriteError
from levada.targets import FileTarget, atomic

from .sshd import Desk, Sshd

PROGRAMS = str(Path(__file__).with_name("programs.py"))
SRC = str(Path(__file__).parents[3] / "src")


@pytest.fixture(autouse=True)
def _no_attempt() -> Iterator[None]:
    yield
    atomic.clear_tag()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[list[Sshd]]:
    """Servers of the test's own are put here, and ended with it."""
    servers: list[Sshd] = []
    yield servers
    for server in servers:
        server.remove()


def own_server(other: list[Sshd], desk: Desk, **options: object) -> Sshd:
    server = Sshd(**options)  # type: ignore[arg-type]  # as they are
    other.append(server.start())
    desk.server = server
    desk.know(server.folder / "host_key.pub")
    desk.configure(f"Host *\n  IdentityFile {server.key}\n")
    return server


def start(*words: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": SRC}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, PROGRAMS, *words], env=environ, text=True, **pipes)


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    return out.strip()


def names(sshd: Sshd, folder: str) -> list[str]:
    return sorted(entry.name for entry in open_store(sshd.authority).list(folder))


# -- whole or absent ---------------------------------------------------------------------------


@pytest.mark.timeout(120)
@pytest.mark.slow
def test_of_eight_processes_that_write_once_one_wins(sshd: Sshd, home: str) -> None:
    url = f"{sshd.url}{home}/a"
    writers = [start("race", url, str(number)) for number in range(8)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    ends = [ended(writer) for writer in writers]
    assert sorted(ends) == ["lost"] * 7 + ["won"]
    assert FileTarget(url).read_bytes() == str(ends.index("won")).encode() * 200_000
    assert names(sshd, home) == ["a"]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("mode", ["once", "replace"])
def test_killed_before_any_step_a_file_is_absent_or_whole(sshd: Sshd, home: str, mode: str) -> None:
    for step in range(30):
        folder = f"{home}/{step}"
        target = FileTarget(f"{sshd.url}{folder}/a", mode="replace")
        process = start("die", target.url, mode, str(step))
        out, err = process.communicate(timeout=60)
        if target.exists():
            assert target.read_bytes() == b"whole\n" * 1_000_000
        left = [name for name in names(sshd, folder) if name != "a"]
        assert len(left) <= 1
        assert sweep(f"{sshd.url}{folder}", "0badcafe", epoch=3) == left
        target.write_text("the next run completes it")
        assert names(sshd, folder) == ["a"]
        if process.returncode != -signal.SIGKILL:
            assert out.strip() == "ended", err
            break
    else:
        raise AssertionError("30 steps were not enough")
    assert step > 8


def test_the_next_attempt_removes_what_the_dead_one_left(sshd: Sshd, home: str) -> None:
    target = FileTarget(f"{sshd.url}{home}/a", mode="replace")
    atomic.set_tag("0badcafe", "7.1")
    dead = target.open("w")
    dead.write("half")
    atomic.set_tag("0badcafe", "7.2")
    target.write_text("whole")
    assert names(sshd, home) == ["a"]
    with pytest.raises(TargetWriteError, match="removed before the end"):
        dead.close()
    assert target.read_text() == "whole"


def test_who_lost_the_lease_commits_nothing(sshd: Sshd, home: str) -> None:
    def refuse() -> None:
        assert [name[:3] for name in names(sshd, home)] == [".a."]  # the file is closed by now
        raise LeaseLost("Daily(day=1)", held="1.1", newest="1.2")

    atomic.set_tag("0badcafe", "1.1", refuse)
    with pytest.raises(LeaseLost):
        FileTarget(f"{sshd.url}{home}/a").write_text("late")
    assert names(sshd, home) == []


def test_what_a_failed_attempt_left_of_several_outputs_is_replaced(sshd: Sshd, home: str) -> None:
    first = FileTarget(f"{sshd.url}{home}/first")
    first.write_text("of the attempt before")
    atomic.set_tag("0badcafe", "1.2", leftover=lambda place: place == first.url)
    first.write_text("of this one")
    assert first.read_text() == "of this one"
    assert names(sshd, home) == ["first"]


# -- cut connections ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["once", "replace"])
def test_cut_in_the_middle_of_a_write_nothing_is_there(sshd: Sshd, home: str, mode: str) -> None:
    target = FileTarget(f"{sshd.url}{home}/a", mode=mode)
    with pytest.raises(TargetWriteError, match="a: could not be written: no connection"), target.open("wb") as stream:
        stream.write(b"half" * 1_000_000)
        assert sshd.cut() > 0
        stream.write(b"half" * 1_000_000)
    assert names(sshd, home) == []  # the temporary, too, is gone: over a new connection
    target.write_text("whole")
    assert target.read_text() == "whole"


def test_questions_and_reading_go_on_over_a_new_connection(sshd: Sshd, home: str) -> None:
    content = os.urandom(6_000_000)
    target = FileTarget(f"{sshd.url}{home}/a")
    target.write_bytes(content)
    with target.open("rb") as stream:
        begin = stream.read(100)
        assert sshd.cut() > 0
        assert target.exists()
        assert begin + stream.read() == content
    sshd.cut()
    assert names(sshd, home) == ["a"]


def test_a_file_that_was_replaced_meanwhile_is_not_read_on(sshd: Sshd, home: str) -> None:
    target = FileTarget(f"{sshd.url}{home}/a", mode="replace")
    target.write_bytes(b"x" * 5_000_000)
    with target.open("rb") as stream:
        stream.read(10)
        target.write_bytes(b"y" * 5_000_001)
        sshd.cut()
        with pytest.raises(TargetError, match="replaced while it was read"):
            stream.read()


@pytest.mark.parametrize("step", ["link", "posix_rename"])
def test_an_answer_that_was_lost_counts_as_what_was_done(sshd: Sshd, home: str, step: str) -> None:
    """The connection is cut after the server linked, or renamed."""
    with losing_answers(sshd, step, done=True):
        FileTarget(f"{sshd.url}{home}/a", mode="once" if step == "link" else "replace").write_text("mine")
    assert FileTarget(f"{sshd.url}{home}/a").read_text() == "mine"
    assert names(sshd, home) == ["a"]


@pytest.mark.parametrize("step", ["link", "posix_rename"])
def test_a_question_that_was_lost_is_asked_again(sshd: Sshd, home: str, step: str) -> None:
    with losing_answers(sshd, step, done=False):
        FileTarget(f"{sshd.url}{home}/a", mode="once" if step == "link" else "replace").write_text("mine")
    assert names(sshd, home) == ["a"]


def test_who_lost_an_answer_is_not_taken_for_the_winner(sshd: Sshd, home: str) -> None:
    """Another one, with the same bytes at the same time, was first."""
    target = FileTarget(f"{sshd.url}{home}/a")
    stream = target.open("w")
    stream.write("same")
    target.write_text("same")
    with losing_answers(sshd, "link", done=True), pytest.raises(TargetExists):
        stream.close()
    assert names(sshd, home) == ["a"]


@contextmanager
def losing_answers(sshd: Sshd, step: str, *, done: bool) -> Iterator[None]:
    """The next such step is done, or not, and then the connection is cut."""
    real = getattr(asyncssh.SFTPClient, step)
    lost: list[bool] = []

    async def cut(self: asyncssh.SFTPClient, old: bytes, new: bytes) -> None:
        if lost:
            return await real(self, old, new)
        lost.append(True)
        try:
            if done:
                await real(self, old, new)
        except asyncssh.SFTPError:
            pass
        sshd.cut()
        raise asyncssh.SFTPConnectionLost("cut by the test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncssh.SFTPClient, step, cut)
        yield
    assert lost


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", ["once", "replace"])
def test_whoever_cuts_the_connections_a_write_is_done_or_said_not_to_be(sshd: Sshd, home: str, mode: str) -> None:
    """Two writers a file, of which one may win; and again and again all connections are cut."""
    won: dict[int, list[str]] = {number: [] for number in range(40)}
    over = threading.Event()

    def write(writer: str) -> None:
        for number in won:
            try:
                FileTarget(f"{sshd.url}{home}/{number}", mode=mode).write_text(f"{writer} {number}\n" * 50_000)
                won[number].append(writer)
            except TargetError:
                pass

    def cut() -> None:
        while not over.wait(random.uniform(0.1, 1.5)):
            sshd.cut()

    cutter = threading.Thread(target=cut)
    writers = [threading.Thread(target=write, args=(writer,)) for writer in "ab"]
    for thread in (cutter, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    cutter.join()
    for host in client._hosts.values():
        host._away = None
    there = [name for name in names(sshd, home) if name.isdecimal()]
    for number, winners in won.items():
        assert len(winners) <= (1 if mode == "once" else 2), number
        assert not winners or str(number) in there
    for name in there:
        content = FileTarget(f"{sshd.url}{home}/{name}").read_text()
        assert content in [f"{writer} {name}\n" * 50_000 for writer in (won[int(name)] if mode == "once" and won[int(name)] else "ab")]
    assert sum(map(len, won.values())) > 10


def test_a_large_file_is_read_from_any_place(sshd: Sshd, home: str) -> None:
    content = os.urandom(5_000_000)
    target = FileTarget(f"{sshd.url}{home}/a")
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
def test_forked_children_speak_for_themselves(sshd: Sshd, home: str, what: str) -> None:
    assert ended(start(what, f"{sshd.url}{home}")) == "ended"


class Copy(lv.Task):
    url: str
    number: int

    def output(self) -> FileTarget:
        return FileTarget(f"{self.url}/{self.number}.txt")

    def run(self) -> None:
        self.output().write_text(str(self.number))


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_tasks_of_any_executor_write_there(sshd: Sshd, home: str, executor: str) -> None:
    tasks = [Copy(url=f"{sshd.url}{home}", number=number) for number in range(6)]
    assert lv.run(tasks, executor=executor, workers=2).exit_code == 0
    assert names(sshd, home) == [f"{number}.txt" for number in range(6)]


# -- what is asked -----------------------------------------------------------------------------


def test_ten_thousand_targets_cost_one_listing_a_folder(sshd: Sshd, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in range(4):
        Path(home, str(folder)).mkdir(parents=True)
        for number in range(0, 2_000, 2):
            Path(home, str(folder), str(number)).touch()
    listed: list[str] = []
    singly: list[str] = []
    real = SftpStore.list
    monkeypatch.setattr(SftpStore, "list", lambda self, folder: listed.append(folder) or real(self, folder))
    monkeypatch.setattr(SftpStore, "exists", lambda self, path: singly.append(path) or False)
    targets = [FileTarget(f"{sshd.url}{home}/{number % 5}/{number // 5}") for number in range(10_000)]
    answers = Existence().ask(targets)
    assert sorted(listed) == [f"{home}/{folder}" for folder in range(5)]  # one of them is absent
    assert singly == []
    there = {target.url for target, answer in zip(targets, answers, strict=True) if answer is True}
    assert there == {f"{sshd.url}{home}/{folder}/{number}" for folder in range(4) for number in range(0, 2_000, 2)}
    assert answers.count(False) == 10_000 - len(there)


def test_a_listing_of_many_pages_is_whole_also_when_the_connection_is_cut(sshd: Sshd, home: str) -> None:
    Path(home).mkdir()
    for number in range(2_500):
        Path(home, str(number)).touch()
    assert names(sshd, home) == sorted(map(str, range(2_500)))
    entries = open_store(sshd.authority).list(home)
    found = [next(entries).name for _ in range(1_200)]
    sshd.cut()
    found += [entry.name for entry in entries]
    assert sorted(found) == sorted(map(str, range(2_500)))


def test_links_are_followed_in_listings_as_in_questions(sshd: Sshd, home: str) -> None:
    Path(home, "folder").mkdir(parents=True)
    for name, to in (("a", "/etc/hostname"), ("nowhere", "nothing"), ("d", "folder")):
        Path(home, name).symlink_to(to)
    store = open_store(sshd.authority)
    assert {entry.name: entry.is_folder for entry in store.list(home)} == {"a": False, "d": True, "folder": True}
    assert [store.exists(f"{home}/{name}") for name in ("a", "nowhere", "d")] == [True, False, True]
    with pytest.raises(TargetExists):
        FileTarget(f"{sshd.url}{home}/nowhere").write_text("a link that leads nowhere is in its place")


def test_a_folder_is_no_file_and_a_file_no_folder(sshd: Sshd, home: str) -> None:
    file = FileTarget(f"{sshd.url}{home}/file")
    file.write_text("x")
    below = FileTarget(f"{file.url}/a")
    assert not below.exists()
    assert names(sshd, f"{home}/file") == names(sshd, f"{home}/file/a") == []
    with pytest.raises(FileNotFoundError):
        below.read_text()
    with pytest.raises(TargetWriteError):
        below.write_text("x")
    with pytest.raises(IsADirectoryError):
        FileTarget(f"{sshd.url}{home}").read_text()
    for act in (lambda: FileTarget(f"{sshd.url}{home}", mode="replace").write_text("x"), FileTarget(f"{sshd.url}{home}").remove):
        with pytest.raises(TargetWriteError, match="or the path a folder"):
            act()
    assert names(sshd, home) == ["file"]


def test_a_path_below_the_tilde_is_one_of_the_login_s_folder(sshd: Sshd, home: str) -> None:
    folder = home.rpartition("/")[2]
    FileTarget(f"{sshd.url}/~/{folder}/a").write_text("x")
    assert FileTarget(f"{sshd.url}{home}/a").read_text() == "x"
    assert names(sshd, f"/~/{folder}") == ["a"]
    assert folder in names(sshd, "/~")


@pytest.mark.parametrize("authority", ["", "ana@", "a b", "ana:secret@host", "host:0", "host:70000", "host:x", "-oProxyCommand=x", "[::1"])
def test_an_address_that_names_no_host_is_refused(authority: str) -> None:
    with pytest.raises(ConfigError, match="names no host"):
        FileTarget(f"sftp://{authority}/a").exists()


# -- who may come in ---------------------------------------------------------------------------


def test_a_host_that_is_not_known_is_not_spoken_to(sshd: Sshd, desk: Desk, home: str) -> None:
    target = FileTarget(f"{sshd.url}{home}/a")
    for known in (None, sshd.folder / "stranger.pub"):
        desk.know(known)
        with pytest.raises(TargetUnreachable, match="the key of the host is not known, or is another one") as caught:
            target.exists()
        assert "known_hosts" in str(caught.value)
        client._hosts.clear()
    with pytest.raises(TargetWriteError, match="the key of the host"):
        FileTarget(target.url, mode="replace").write_text("x")


def test_a_key_that_the_host_does_not_take_is_said(sshd: Sshd, desk: Desk, home: str) -> None:
    desk.configure(f"Host *\n  IdentityFile {sshd.folder}/stranger\n")
    with pytest.raises(TargetUnreachable, match="lets nobody in with these keys") as caught:
        FileTarget(f"{sshd.url}{home}/a").exists()
    assert "agent" in str(caught.value)
    target = RemoteTarget(f"{home}/a", "127.0.0.1", user=sshd.user, port=sshd.port, key_file=sshd.key)
    target.write_text("with a key of its own")
    assert target.exists()
    with pytest.raises(TargetUnreachable, match="No such file"):
        RemoteTarget(f"{home}/a", "127.0.0.1", user=sshd.user, port=sshd.port, key_file="/no/such/key").exists()


def test_names_of_the_configuration_are_hosts(sshd: Sshd, desk: Desk, home: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = f"Host lab\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {sshd.user}\n  IdentityFile {sshd.key}\n"
    desk.configure(text)
    FileTarget(f"sftp://lab{home}/a").write_text("x")
    assert RemoteTarget(f"{home}/a", "lab").read_text() == "x"
    client._hosts.clear()
    desk.configure("")
    (tmp_path / "elsewhere").write_text(text)
    monkeypatch.setattr(client, "_configured", lambda: str(tmp_path / "elsewhere"))
    assert FileTarget(f"sftp://lab{home}/a").exists()


def test_files_are_put_and_got(sshd: Sshd, home: str, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"\x00\r\n")
    target = RemoteTarget(f"{home}/a", "127.0.0.1", user=sshd.user, port=sshd.port)
    target.put(tmp_path / "local")
    target.get(tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"\x00\r\n"
    target.put(tmp_path / "back")
    target.remove()
    target.remove()
    assert names(sshd, home) == []


# -- what servers refuse, and how they fail ----------------------------------------------------


def test_a_host_that_is_away_is_not_an_empty_one(desk: Desk, other: list[Sshd]) -> None:
    server = own_server(other, desk)
    there, late = (FileTarget(f"{server.url}{server.home}/{name}") for name in ("there", "late"))
    there.write_text("x")
    stream = late.open("w")
    stream.write("half")
    server.stop()
    for act in (there.exists, there.read_text, lambda: names(server, str(server.home)), lambda: late.write_text("x")):
        with pytest.raises(TargetError, match="no connection"):
            act()
    answers = Existence().ask([FileTarget(f"{server.url}{server.home}/{number}/a") for number in range(2_000)])
    assert all(isinstance(answer, TargetUnreachable) for answer in answers)
    with pytest.raises(TargetWriteError, match="no connection"):
        stream.close()
    server.start()
    for host in client._hosts.values():
        host._away = None
    assert there.read_text() == "x"
    assert not late.exists()
    late.write_text("whole")


def test_a_host_that_hangs_is_an_error_after_a_while(desk: Desk, other: list[Sshd], monkeypatch: pytest.MonkeyPatch) -> None:
    server = own_server(other, desk)
    target = FileTarget(f"{server.url}{server.home}/a")
    assert not target.exists()
    monkeypatch.setattr(client, "ANSWER", 1.0)
    server.hang()
    try:
        with pytest.raises(TargetUnreachable, match="no answer for 1 s"):
            target.exists()
        with pytest.raises(TargetUnreachable):  # nor does it take a new connection
            target.exists()
    finally:
        server.go_on()


def test_a_question_is_interrupted_by_a_signal(desk: Desk, other: list[Sshd]) -> None:
    server = own_server(other, desk)
    target = FileTarget(f"{server.url}{server.home}/a")
    assert not target.exists()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins without
    server.hang()
    try:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            target.exists()
    finally:
        server.go_on()
        signal.signal(signal.SIGINT, before)
    assert not target.exists()


def test_a_full_disk_is_named(desk: Desk, other: list[Sshd], tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", str(folder)], check=False, capture_output=True).returncode:
        pytest.skip("by design: a small disk can only be made by root")
    full = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"', str(folder))
    server = own_server(other, desk, within=full)
    with pytest.raises(TargetWriteError, match="there is no room") as caught:
        FileTarget(f"{server.url}{folder}/a").write_bytes(b"x" * 3_000_000)
    assert caught.value.errno == errno.ENOSPC
    assert names(server, str(folder)) == []
    FileTarget(f"{server.url}{folder}/a").write_text("small")


def test_a_server_that_only_gives_says_so(desk: Desk, other: list[Sshd]) -> None:
    server = own_server(other, desk, sftp="-R")
    (server.home / "a").write_text("x")
    assert FileTarget(f"{server.url}/~/a").read_text() == "x"
    for act in (lambda: FileTarget(f"{server.url}/~/b").write_text("x"), FileTarget(f"{server.url}/~/a").remove):
        with pytest.raises(TargetWriteError, match="permission denied") as caught:
            act()
        assert caught.value.errno == errno.EACCES


def test_a_folder_that_may_not_be_looked_into_is_not_an_empty_one(desk: Desk, other: list[Sshd]) -> None:
    server = own_server(other, desk, sftp="-P opendir,stat,open")
    target = FileTarget(f"{server.url}/~/a")
    for act in (target.exists, target.read_text, lambda: names(server, "/~")):
        with pytest.raises(TargetUnreachable, match="permission denied"):
            act()
    assert isinstance(Existence().ask([target])[0], TargetUnreachable)


def test_a_name_that_is_too_long_is_refused(sshd: Sshd, home: str) -> None:
    with pytest.raises(TargetError, match="longer than 255 bytes"):
        FileTarget(f"{sshd.url}{home}/{'ä' * 128}").write_text("x")


def test_a_path_with_a_nul_is_refused(sshd: Sshd, home: str) -> None:
    target = FileTarget(f"{sshd.url}{home}/a\0b")
    for act in (target.exists, target.read_text, lambda: target.write_text("x"), target.remove, lambda: names(sshd, f"{home}\0")):
        with pytest.raises(TargetError, match="null byte"):
            act()


@pytest.mark.parametrize("sftp", ["-P hardlink", "-P hardlink,posix-rename,fsync", "-P hardlink,posix-rename,fsync,limits,statvfs"])
def test_without_the_extensions_of_openssh_a_rename_that_refuses_will_do(desk: Desk, other: list[Sshd], sftp: str) -> None:
    server = own_server(other, desk, sftp=sftp)
    once, again = FileTarget(f"{server.url}/~/d/once"), FileTarget(f"{server.url}/~/d/again", mode="replace")
    first, second = once.open("w"), once.open("w")
    first.write("first")
    second.write("second")
    first.close()
    with pytest.raises(TargetExists):
        second.close()
    assert once.read_text() == "first"
    again.write_text("first")
    again.write_text("second")
    assert again.read_text() == "second"
    assert names(server, "/~/d") == ["again", "once"]
    assert once.store.promise.create_if_absent
    assert again.store.promise.atomic_replace == ("posix" not in sftp)


class Lax(asyncssh.SFTPServer):
    """A server whose rename takes names that are taken."""

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        os.replace(self.map_path(oldpath), self.map_path(newpath))


def test_a_server_that_renames_onto_names_that_are_taken_is_found_out(
    sshd: Sshd, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = asyncssh.sftp.SFTPServerHandler._extensions
    monkeypatch.setattr(asyncssh.sftp.SFTPServerHandler, "_extensions", [each for each in real if not each[0].startswith(b"hardlink")])
    keys = {"server_host_keys": [str(sshd.folder / "host_key")], "authorized_client_keys": str(sshd.folder / "authorized_keys")}

    async def listening() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen("127.0.0.1", 0, sftp_factory=Lax, **keys)  # type: ignore[arg-type]  # a mapping of options

    server = client._start(listening()).result(10)
    port = server.get_port()
    (desk.ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {(sshd.folder / 'host_key.pub').read_text()}")
    target = FileTarget(f"sftp://anybody@127.0.0.1:{port}{tmp_path}/a")
    try:
        with caplog.at_level(logging.WARNING, "levada"):
            target.write_text("first")
        assert "renames onto names that are taken" in caplog.text
        assert not target.store.promise.create_if_absent
        late = FileTarget(f"sftp://anybody@127.0.0.1:{port}{tmp_path}/b")
        stream = late.open("w")
        late.write_text("first")
        with pytest.raises(TargetExists):
            stream.close()
        assert late.read_text() == "first"
        assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "desk"}
    finally:
        server.close()


def test_no_stream_of_a_wing_writes_past_its_end(sshd: Sshd, home: str) -> None:
    pending = open_store(sshd.authority).put(f"{home}/a", replace=False)
    pending.abort()
    with pytest.raises((ValueError, io.UnsupportedOperation)):
        pending.stream.write(b"late")
    assert names(sshd, home) == []


def test_a_writer_that_is_collected_in_the_loops_thread_does_not_wait_for_itself(sshd: Sshd, home: str) -> None:
    """Garbage is collected in any thread, also in the one that would have to answer."""
    target = FileTarget(f"{sshd.url}{home}/collected")
    writers = [target.open("w")]
    writers[0].write("never closed")
    done = threading.Event()

    def collect() -> None:
        writers.clear()
        gc.collect()
        done.set()

    client._running().call_soon_threadsafe(collect)
    assert done.wait(10)
    assert not target.exists()


def test_nor_does_one_that_is_collected_where_a_connection_is_prepared(sshd: Sshd, home: str) -> None:
    """asyncssh reads its configuration in a thread for which the loop waits, while all questions wait for the connection."""
    target = FileTarget(f"{sshd.url}{home}/collected")
    writers = [target.open("w")]
    writers[0].write("never closed")
    loop, host = client._running(), open_store(sshd.authority).host

    def collect() -> None:
        writers.clear()
        gc.collect()

    async def connecting() -> None:
        async with host._connecting:
            await loop.run_in_executor(None, collect)

    asyncio.run_coroutine_threadsafe(connecting(), loop).result(10)
    assert not target.exists()

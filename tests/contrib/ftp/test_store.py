"""FTP when things go wrong: absent or not known, whole or absent, and told in words."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread

import pytest

from levada.contrib.ftp import client
from levada.contrib.ftp.store import FtpStore
from levada.errors import TargetError, TargetExists, TargetUnreachable, TargetWriteError
from levada.targets import FileTarget, atomic, sweep_store

from .conftest import Ftp, ftpd

pytestmark = pytest.mark.xdist_group("ftp")
WRITERS = Path(__file__).with_name("writers.py")


@pytest.fixture
def own() -> Iterator[Ftp]:
    """A server that the test may kill."""
    with ftpd() as server:
        yield server
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGCONT)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(WRITERS), *words], check=False, capture_output=True, text=True, timeout=60)


def end_all(store: FtpStore) -> None:
    """The idle dialogues end, and nobody is told."""
    for connection in store.connections._idle:
        assert connection.sock is not None
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


# -- absent, or not known ----------------------------------------------------------------------


def test_a_wrong_password_is_not_an_absent_file(pyftpd: Ftp, netrc: Path) -> None:
    netrc.write_text("machine 127.0.0.1 login ada password swordfish\n")
    with pytest.raises(TargetUnreachable, match="did not let us in") as told:
        FileTarget(pyftpd.url("a")).exists()
    assert "swordfish" not in str(told.value)
    assert "netrc" in str(told.value.hint)
    with pytest.raises(TargetUnreachable):
        FileTarget(pyftpd.url("a")).write_text("x")


def test_a_server_that_is_away_is_not_an_absent_file(own: Ftp) -> None:
    target = FileTarget(own.url("a"))
    assert not target.exists()
    own.process.kill()
    own.process.wait()
    for _ in range(2):  # the second answer comes from memory
        with pytest.raises(TargetUnreachable, match="no connection"):
            target.exists()
    with pytest.raises(TargetUnreachable):
        list(target.store.list("/"))
    with pytest.raises(TargetUnreachable):
        target.read_text()
    with pytest.raises(TargetError):
        target.remove()


def test_a_server_that_hangs_is_given_up(own: Ftp, monkeypatch: pytest.MonkeyPatch) -> None:
    target = FileTarget(own.url("a"))
    assert isinstance(target.store, FtpStore)
    monkeypatch.setattr(target.store.connections, "_make", partial(client.Connection.to, timeout=0.3))
    own.process.send_signal(signal.SIGSTOP)
    with pytest.raises(TargetUnreachable, match="timed out"):
        target.exists()


def test_a_dialogue_that_the_server_has_ended_is_begun_anew(server: Ftp) -> None:
    target = FileTarget(server.url("a"))
    target.write_text("a")
    store = target.store
    assert isinstance(store, FtpStore)
    end_all(store)
    assert target.exists()
    end_all(store)
    assert target.read_text() == "a"


def test_a_folder_that_may_not_be_looked_into_is_not_empty(very_secure: Ftp) -> None:
    shut = very_secure.home / "shut"
    shut.mkdir(mode=0o700)
    (shut / "a").write_text("x")
    try:
        with pytest.raises(TargetUnreachable, match="refused"):
            FileTarget(very_secure.url("shut/a")).exists()
        with pytest.raises(TargetUnreachable, match="refused"):
            list(FileTarget(very_secure.url("a")).store.list(f"{very_secure.base}/shut"))
        shut.chmod(0o711)  # passed through, not read
        with pytest.raises(TargetUnreachable, match="refused"):
            FileTarget(very_secure.url("shut/b")).exists()
    finally:
        (shut / "a").unlink()
        shut.rmdir()


def test_links_count_by_what_they_lead_to(server: Ftp) -> None:
    (server.home / "whole").write_text("12345")
    (server.home / "here").symlink_to("whole")
    (server.home / "nowhere").symlink_to("absent")
    store = FileTarget(server.url("a")).store
    names = {entry.name for entry in store.list(server.base or "/")}
    assert {name: store.exists(f"{server.base}/{name}") for name in ("whole", "here", "nowhere")} == {
        "whole": True,
        "here": True,
        "nowhere": False,
    }
    assert {"whole", "here"} <= names
    assert "nowhere" not in names


@pytest.mark.parametrize("name", ["one\u2028two", "one\x0btwo", "one\x85two"])
def test_what_other_alphabets_call_a_line_end_is_a_letter_of_a_name(pyftpd: Ftp, name: str) -> None:
    """The server's answer repeats the name in its first line."""
    target = FileTarget(pyftpd.url(f"{name}.txt"))
    target.write_text("here")
    assert target.exists()
    assert target.read_text() == "here"


# -- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://ada:secret@host/a", "a password in a URL"),
        ("ftp:///a", "names no server"),
        ("ftp://host:port/a", "names no server"),
        ("ftp://host:99999/a", "names no server"),
    ],
)
def test_an_address_that_is_none_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(TargetError, match=words) as told:
        FileTarget(url).exists()
    assert "secret" not in str(told.value)
    assert told.value.hint


def test_a_netrc_that_cannot_be_read_is_told(pyftpd: Ftp, netrc: Path) -> None:
    netrc.write_text("machine 127.0.0.1 word ada\n")
    with pytest.raises(TargetError, match="cannot be read"):
        FileTarget(pyftpd.url("a")).exists()


# -- whole or absent ---------------------------------------------------------------------------


@pytest.mark.parametrize("step", range(0, 24, 3))
def test_a_writer_that_is_killed_leaves_nothing_under_the_name_and_the_next_attempt_tidies_up(pyftpd: Ftp, step: int) -> None:
    url = pyftpd.url(f"killed-{step}/ümläut and space")
    ended = run("die", url, "once", str(step))
    target = FileTarget(url)
    if ended.returncode == 0:
        assert target.read_bytes() == b"whole\n" * 400_000
        return
    assert ended.returncode == -signal.SIGKILL
    if target.exists():
        assert target.read_bytes() == b"whole\n" * 400_000
        return
    atomic.set_tag("0badcafe", "3.2")
    try:
        target.write_text("again")
    finally:
        atomic.clear_tag()
    assert os.listdir(pyftpd.home / f"killed-{step}") == ["ümläut and space"]


def test_a_sweep_takes_the_temporaries_of_one_task_and_nothing_else(server: Ftp) -> None:
    names = ("a", ".a.0badcafe.1.1.part", ".b.0badcafe.2.1~3.part", ".a.deadbeef.1.1.part")
    for name in names:
        FileTarget(server.url(f"swept/{name}")).write_text("x")
    assert sweep_store(server.url("swept"), "0badcafe", epoch=2) == [names[2]]
    assert sweep_store(server.url("swept"), "0badcafe") == [names[1]]
    assert sorted(os.listdir(server.home / "swept")) == sorted([names[0], names[3]])


def test_a_server_that_goes_in_the_middle_of_a_write_leaves_nothing_under_the_name(own: Ftp) -> None:
    target = FileTarget(own.url("a"))
    stream = target.open("wb")
    stream.write(b"x" * (30 << 20))
    connections = target.store.connections  # type: ignore[attr-defined]  # it is an FtpStore
    transfer = client.Connection.transfercmd

    def cut(self: client.Connection, command: str, rest: object = None) -> socket.socket:
        data = transfer(self, command)
        data.sendall(b"x" * 1000)
        own.process.kill()
        own.process.wait()
        return data

    try:
        client.Connection.transfercmd = cut  # type: ignore[assignment,method-assign]  # the planted fault
        with pytest.raises(TargetError):
            stream.close()
    finally:
        client.Connection.transfercmd = transfer  # type: ignore[method-assign]
    assert connections._away is not None
    assert not (own.home / "a").exists()


def test_a_rename_whose_answer_was_lost_counts_when_it_was_made(server: Ftp, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = client.Connection.rename

    def deaf(self: client.Connection, old: str, new: str) -> str:
        rename(self, old, new)
        raise EOFError

    monkeypatch.setattr(client.Connection, "rename", deaf)
    target = FileTarget(server.url("a"))
    target.write_text("made")
    assert target.read_text() == "made"


def test_a_server_that_renames_onto_nothing_is_helped(server: Ftp, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = client.Connection.rename

    def careful(self: client.Connection, old: str, new: str) -> str:
        if (server.home / "a").exists():
            raise client.ftplib.error_perm("553 exists")
        return rename(self, old, new)

    monkeypatch.setattr(client.Connection, "rename", careful)
    target = FileTarget(server.url("a"), mode="replace")
    target.write_text("first")
    target.write_text("second")
    assert target.read_text() == "second"
    assert os.listdir(server.home) == ["a"]


@pytest.mark.parametrize("mode", ["once", "replace"])
def test_a_zombie_does_not_remove_what_a_newer_attempt_has_made(server: Ftp, mode: str) -> None:
    """Its temporary was removed, and the server refuses to rename what is not there."""
    target = FileTarget(server.url("a"), mode=mode)

    def late() -> None:
        (temporary,) = [name for name in os.listdir(server.home) if name.endswith(".part")]
        (server.home / temporary).unlink()
        (server.home / "a").write_text("newer")

    atomic.set_tag("0badcafe", "1.1", late)
    try:
        with pytest.raises(TargetExists if mode == "once" else TargetWriteError):
            target.write_text("of a zombie")
    finally:
        atomic.clear_tag()
    assert target.read_text() == "newer"


def test_the_lease_is_asked_before_the_rename_and_its_refusal_leaves_nothing(server: Ftp) -> None:
    def refuse() -> None:
        raise RuntimeError("the lease is another's")

    atomic.set_tag("0badcafe", "1.1", refuse)
    try:
        with pytest.raises(RuntimeError, match="another"):
            FileTarget(server.url("a")).write_text("late")
    finally:
        atomic.clear_tag()
    assert os.listdir(server.home) == []


def test_a_folder_where_a_file_is_to_be_is_told(server: Ftp) -> None:
    (server.home / "a").mkdir(mode=0o777)
    (server.home / "a" / "b").write_text("")
    with pytest.raises((TargetExists, TargetWriteError)):
        FileTarget(server.url("a"), mode="replace").write_text("x")
    with pytest.raises(IsADirectoryError):
        FileTarget(server.url("a")).read_text()
    with pytest.raises(TargetWriteError):
        FileTarget(server.url("a/b/c")).write_text("x")


# -- reading -----------------------------------------------------------------------------------


def test_a_seek_reads_on_from_there(server: Ftp) -> None:
    content = os.urandom(1 << 20)
    target = FileTarget(server.url("a"))
    target.write_bytes(content)
    with target.open("rb") as stream:
        assert stream.read(10) == content[:10]
        stream.seek(700_000)
        assert stream.read(10) == content[700_000:700_010]
        stream.seek(0)
        assert stream.read() == content
    assert target.exists()


def test_a_server_that_goes_while_it_is_read_is_told(own: Ftp) -> None:
    target = FileTarget(own.url("a"))
    (own.home / "a").write_bytes(b"x" * (20 << 20))
    with target.open("rb") as stream:
        stream.read(10)
        own.process.kill()
        own.process.wait()
        with pytest.raises(TargetUnreachable, match="broke off"):
            stream.read()


def test_many_ask_at_once(server: Ftp) -> None:
    for number in range(5):
        FileTarget(server.url(f"f{number}")).write_text(str(number))
    found: list[bool] = []
    threads = [Thread(target=lambda n=n: found.append(FileTarget(server.url(f"f{n}")).exists())) for n in range(10)]  # type: ignore[misc]  # a default
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False] * 5 + [True] * 5


def test_forked_children_have_connections_of_their_own(pyftpd: Ftp) -> None:
    ended = run("fork", pyftpd.url("forks"))
    assert ended.stdout == "ended\n", ended.stderr

"""Luigi's files of other hosts, by a real sshd and a real FTP server."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from levada.errors import TargetUnreachable
from levada.luigi import format as formats
from levada.luigi.contrib import ftp, ssh
from levada.luigi.target import FileAlreadyExists, MissingParentDirectory
from tests.contrib.ftp.conftest import Ftp
from tests.contrib.ports import free_port
from tests.contrib.ssh.sshd import Sshd
from tests.luigi.stores.late import refused_as_late

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("luigi-hosts")]


@pytest.fixture
def login(sshd: Sshd) -> dict[str, Any]:
    """How the host is reached."""
    return {"username": sshd.user, "port": sshd.port, "key_file": str(sshd.key), "no_host_key_check": True, "connect_timeout": 20}


@pytest.fixture
def context(login: dict[str, Any]) -> ssh.RemoteContext:
    return ssh.RemoteContext("127.0.0.1", **login)


def target(path: str, login: dict[str, Any], format: Any = None) -> ssh.RemoteTarget:
    return ssh.RemoteTarget(path, "127.0.0.1", format=format, **login)


def test_commands_run_there(context: ssh.RemoteContext) -> None:
    assert context.check_output(["echo", "-n", "luigi"]) == b"luigi"
    with pytest.raises(ssh.RemoteCalledProcessError, match=r"127\.0\.0\.1 ended with exit status 3") as told:
        context.check_output(["exit", "3"])
    assert isinstance(told.value, subprocess.CalledProcessError)


def test_a_file_of_another_host_is_written_whole(login: dict[str, Any], tmp_path: Path) -> None:
    """Folders are made, blanks in names are borne, and a block that raises leaves nothing, temporaries included."""
    made = target(f"{tmp_path}/new folder/it's.txt", login)
    with made.open("w") as out:
        out.write("Grüezi\n")
        assert not made.exists()
        assert made.fs.exists(out.tmp_path)
    assert made.exists()
    with made.open("r") as lines:
        assert lines.read() == "Grüezi\n"
    with pytest.raises(KeyError), made.open("w") as out:
        out.write("half")
        raise KeyError("the user's own")
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["it's.txt"]
    assert (tmp_path / "new folder" / "it's.txt").read_text() == "Grüezi\n"
    made.remove()
    assert not made.exists()


def test_names_that_are_no_plain_text_are_listed_as_they_are(login: dict[str, Any], tmp_path: Path) -> None:
    """Only a line feed ends a name; bytes that are no UTF-8 come as Python has them for files here."""
    names = ["one\x0btwo", "one\u2028two", "{a,b}", os.fsdecode(b"bad\xff")]
    for name in names:
        (tmp_path / name).touch()
    files = target(str(tmp_path), login).fs
    assert sorted(files.listdir(f"{tmp_path}/")) == sorted(f"{tmp_path}/{name}" for name in names)
    with target(f"{tmp_path}/{{a,b}}", login).open("w") as out:
        out.write("here")
    assert (tmp_path / "{a,b}").read_text() == "here"
    (tmp_path / "empty").mkdir()
    assert files.listdir(f"{tmp_path}/empty") == []


def test_formats_go_over_the_wire(login: dict[str, Any], tmp_path: Path) -> None:
    made = target(f"{tmp_path}/a.gz", login, formats.Text >> formats.Gzip)
    with made.open("w") as out:
        out.write("one\ntwo\n")
    with made.open("r") as lines:
        assert list(lines) == ["one\n", "two\n"]
    assert (tmp_path / "a.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_a_path_may_begin_at_home(login: dict[str, Any], sshd: Sshd) -> None:
    """The shell there knows where that is, whatever else is in the name."""
    with target("~/from home.txt", login).open("w") as out:
        out.write("here")
    assert (sshd.home / "from home.txt").read_text() == "here"
    assert target("~/from home.txt", login).exists()


def test_a_lease_that_was_lost_names_nothing(login: dict[str, Any], tmp_path: Path) -> None:
    with refused_as_late(), target(f"{tmp_path}/late", login).open("w") as out:
        out.write("late")
    assert list(tmp_path.iterdir()) == []


def test_folders_and_copies(login: dict[str, Any], tmp_path: Path) -> None:
    fs = target(f"{tmp_path}/a", login).fs
    here = tmp_path / "here"
    here.write_bytes(b"\0\1\2")
    fs.put(str(here), f"{tmp_path}/there/copy")
    assert fs.listdir(f"{tmp_path}/there/") == [f"{tmp_path}/there/copy"]
    assert (fs.isdir(f"{tmp_path}/there"), fs.isdir(str(here))) == (True, False)
    target(f"{tmp_path}/there/copy", login).get(f"{tmp_path}/back/again")
    assert (tmp_path / "back" / "again").read_bytes() == b"\0\1\2"
    with pytest.raises(MissingParentDirectory):
        fs.mkdir(f"{tmp_path}/no/such", parents=False)
    with pytest.raises(FileAlreadyExists):
        fs.mkdir(f"{tmp_path}/there", raise_if_exists=True)


def test_a_host_that_is_away_is_not_an_absent_file(login: dict[str, Any]) -> None:
    with pytest.raises(TargetUnreachable, match="/a"):
        target("/a", {**login, "port": free_port()}).exists()


def test_a_tunnel_leads_to_a_port_that_the_host_sees(context: ssh.RemoteContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"hello")

        greeting = Thread(target=greet)
        greeting.start()
        here = free_port()
        with context.tunnel(here, listener.getsockname()[1], "127.0.0.1"), socket.create_connection(("127.0.0.1", here)) as connection:
            assert connection.recv(5) == b"hello"
        greeting.join()


# -- FTP ---------------------------------------------------------------------------------------


@pytest.fixture
def server(pyftpd: Ftp) -> Iterator[Ftp]:
    for path in pyftpd.home.iterdir():
        path.unlink() if path.is_file() else subprocess.run(["rm", "-r", str(path)], check=True)
    yield pyftpd


def remote(server: Ftp, path: str, **options: Any) -> ftp.RemoteTarget:
    host, _, port = server.authority.rpartition("@")[2].partition(":")
    given: dict[str, Any] = {"username": "ada", "password": "secret", **options}
    return ftp.RemoteTarget(path, host, port=int(port), **given)


def test_ftp_takes_a_login_of_the_program(server: Ftp) -> None:
    """Written whole in a folder that is made, read, replaced, removed; nobody looks into netrc."""
    made = remote(server, "/in/a.txt")
    assert not made.exists()
    with made.open("w") as out:
        out.write("one\n")
    with made.open("w") as out:
        out.write("two\n")
    with made.open("r") as lines:
        assert list(lines) == ["two\n"]
    assert [path.name for path in (server.home / "in").iterdir()] == ["a.txt"]
    made.fs.remove("/in")
    assert not made.exists()
    with pytest.raises(TargetUnreachable):
        remote(server, "/in/a.txt", password="wrong").exists()


def test_ftp_knows_what_was_written_since(server: Ftp, tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta

    (tmp_path / "here").write_bytes(b"\0\1")
    made = remote(server, "/b")
    made.put(str(tmp_path / "here"))
    made.get(str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == b"\0\1"
    now = datetime.now(UTC).replace(tzinfo=None)
    assert remote(server, "/b", mtime=now - timedelta(hours=1)).exists()
    assert not remote(server, "/b", mtime=now + timedelta(hours=1)).exists()
    assert [name.rpartition("/")[2] for name in made.fs.listdir("/")] == ["b"]

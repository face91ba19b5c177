"""Real FTP servers for the session, and an empty folder in each for a test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from levada.targets import stores
from tests.contrib.objects.servers import listens, running
from tests.contrib.ports import free_ports

FTPD = Path(__file__).with_name("ftpd.py")


class Ftp(NamedTuple):
    """A server that runs. home: the local folder behind ``base``, which may be filled."""

    authority: str
    home: Path
    process: subprocess.Popen[bytes]
    base: str = ""

    def url(self, path: str) -> str:
        return f"ftp://{self.authority}{self.base}/{path}"


@contextmanager
def ftpd(without: str = "") -> Iterator[Ftp]:
    """pyftpdlib's. without: commands that it does not know, with commas between them."""
    pytest.importorskip("pyftpdlib", reason="pyftpdlib is not installed")
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="levada-ftp-") as folder:
        home = Path(folder, "home")
        home.mkdir()
        command = [sys.executable, str(FTPD), str(home), str(port), without]
        with running(command, folder, lambda: listens(port)) as process:
            yield Ftp(f"ada@127.0.0.1:{port}", home, process)


@contextmanager
def vsftpd() -> Iterator[Ftp]:
    """vsftpd, which anybody may write to. It tells no reasons, and lists as ``ls`` does."""
    if os.geteuid() != 0 or shutil.which("vsftpd") is None:
        pytest.skip("there is no vsftpd, or this user may not start it (Debian: apt-get install vsftpd)")
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="levada-vsftpd-") as folder:
        os.chmod(folder, 0o755)
        home, empty, conf = Path(folder, "home"), Path(folder, "empty"), Path(folder, "vsftpd.conf")
        (home / "pub").mkdir(parents=True)  # it wants its root to be nobody's
        empty.mkdir()
        shutil.chown(home / "pub", "daemon")  # a user whose own home is there: vsftpd looks at that
        yes = [
            "listen", "anonymous_enable", "write_enable", "anon_upload_enable", "anon_mkdir_write_enable", "anon_other_write_enable",
            "no_anon_password",
        ]  # fmt: skip
        settings = {
            "listen_address": "127.0.0.1", "listen_port": port, "anon_root": home, "ftp_username": "daemon", "anon_umask": "022",
            "secure_chroot_dir": empty, "background": "NO", "seccomp_sandbox": "NO", "xferlog_enable": "NO", **dict.fromkeys(yes, "YES"),
        }  # fmt: skip
        conf.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        with running(["vsftpd", str(conf)], folder, lambda: listens(port)) as process:
            try:
                yield Ftp(f"anonymous@127.0.0.1:{port}", home / "pub", process, "/pub")
            finally:
                with suppress(ProcessLookupError):  # its dialogues are processes of their own
                    os.killpg(process.pid, signal.SIGKILL)


def _started(start: Callable[[], object]) -> Callable[[], Iterator[Ftp]]:
    def fixture() -> Iterator[Ftp]:
        with start() as server:  # type: ignore[attr-defined]  # a context manager
            yield server

    return fixture


pyftpd = pytest.fixture(scope="session", name="pyftpd")(_started(ftpd))
taciturn = pytest.fixture(scope="session", name="taciturn")(_started(lambda: ftpd("MLST,MLSD")))
very_secure = pytest.fixture(scope="session", name="very_secure")(_started(vsftpd))
SERVERS = [pytest.param("pyftpd", id="pyftpdlib"), pytest.param("taciturn", id="no-mlsd"), pytest.param("very_secure", id="vsftpd")]


@pytest.fixture(autouse=True)
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """None of the developer's passwords, and none of the stores that an earlier test had opened."""
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login ada password secret\n")
    monkeypatch.setenv("NETRC", str(file))
    stores._open.clear()
    yield file
    stores._open.clear()


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Ftp]:
    """Each of the servers, empty."""
    found: Ftp = request.getfixturevalue(request.param)
    for left in found.home.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    yield found

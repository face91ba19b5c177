"""A real sshd of OpenSSH on loopback, with keys, a configuration and a home of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from tests.contrib.ports import free_port

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
SEPARATION = Path("/run/sshd")  # where sshd, as root, takes its privileges apart


class Sshd:
    """A server, and the folder that its logins begin in. sftp: options of its internal-sftp. within: a command that it is started by."""

    def __init__(self, sftp: str = "", within: Sequence[str] = (), more: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="levada-sshd-"))
        self.home = self.folder / "home"
        self.home.mkdir()
        self.port = free_port()
        self.user = _user()
        self.key = self.folder / "id"
        self._within = within
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("host_key", "id", "stranger"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.folder / name)]
            subprocess.run(command, check=True)
        shutil.copy(self.folder / "id.pub", self.folder / "authorized_keys")
        (self.folder / "config").write_text(
            f"""Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.folder}/host_key
PidFile none
AuthorizedKeysFile {self.folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
LogLevel VERBOSE
SetEnv HOME={self.home}
Subsystem sftp internal-sftp -d {self.home} {sftp}
{more}"""
        )

    @property
    def authority(self) -> str:
        return f"{self.user}@127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"sftp://{self.authority}"

    def start(self) -> Sshd:
        if os.getuid() == 0:
            SEPARATION.mkdir(mode=0o755, exist_ok=True)
        with open(self.folder / "log", "ab") as log:
            command = [*DIE_WITH_US, *self._within, SSHD, "-D", "-e", "-f", str(self.folder / "config")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_for(self._listens)
        return self

    def stop(self) -> None:
        """End it and its connections; what was started over them goes on, and files stay."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)  # it takes no new connection
            self.cut()
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """End it and what it started, and remove its files."""
        started = descendants(self._process.pid) if self._process else []
        self.stop()
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def cut(self) -> int:
        """End all connections at once, without a word; how many processes of them there were."""
        found = self.sessions()
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(found)

    def sessions(self) -> list[int]:
        """The processes of sshd itself that serve a connection."""
        if self._process is None:
            return []
        return [pid for pid in descendants(self._process.pid) if command_of(pid).startswith("sshd: ")]

    def hang(self) -> None:
        """Let no connection be answered, nor new ones."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def _signal(self, number: int) -> None:
        assert self._process is not None
        for pid in [self._process.pid, *self.sessions()]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Desk:
    """The home of a user who speaks to it: keys, known hosts, and a configuration."""

    def __init__(self, folder: Path, server: Sshd) -> None:
        self.ssh = folder / ".ssh"
        self.ssh.mkdir(mode=0o700)
        self.server = server
        self.know(server.folder / "host_key.pub")
        self.configure(f"Host *\n  IdentityFile {server.key}\n  IdentityAgent none\n")

    def know(self, key: Path | None) -> None:
        """Make this the only known key of the host; None: none is known."""
        line = "" if key is None else f"[127.0.0.1]:{self.server.port} {key.read_text()}"
        (self.ssh / "known_hosts").write_text(line)

    def configure(self, text: str) -> None:
        (self.ssh / "config").write_text(text)


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError, IndexError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        mine = children.get(waiting.pop(), [])
        found += mine
        waiting += mine
    return found


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.05)

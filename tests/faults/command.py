"""``levada`` as people start it: another process, a folder and a state folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]


class Command:
    """Starts programs in a folder; knows all processes that came of them by a mark in their environment."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.mark = uuid.uuid4().hex
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(("LEVADA", "LUIGI"))} | {
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests' / 'faults'}",
            "PYTHONDONTWRITEBYTECODE": "",
            "HOME": str(folder),
            "LEVADA_STATE": str(self.state),
            "FAULTS_MARK": self.mark,
            **environ,
        }

    def start(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """``python -m levada ARGUMENTS``."""
        return self.python("-m", "levada", *arguments, environ=environ)

    def python(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """``python ARGUMENTS``."""
        return self._start([sys.executable, *arguments], environ)

    def shell(self, script: str, *arguments: str, wrap: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """A script to its end; ``$0`` is this Python, ``$@`` the arguments."""
        return ended(self._start([*wrap, "sh", "-c", script, sys.executable, *arguments], None))

    def _start(self, words: list[str], environ: Mapping[str, str] | None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            words, cwd=self.folder, env={**self.environ, **(environ or {})}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str, environ: Mapping[str, str] | None = None, timeout: float = 50) -> subprocess.CompletedProcess[str]:
        """``python -m levada ARGUMENTS`` to its end."""
        return ended(self.start(*arguments, environ=environ), timeout)

    def alive(self) -> list[int]:
        """Processes that came of this command and are neither dead nor zombies."""
        wanted = f"FAULTS_MARK={self.mark}".encode()
        return [pid for pid in psutil.pids() if _has(pid, wanted)]


def ended(process: subprocess.Popen[str], timeout: float = 50) -> subprocess.CompletedProcess[str]:
    """What a process said and how it ended; it is killed when it does not end in time."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"did not end within {timeout} s; it said\n{out}\n{err}") from None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def soon(condition: Callable[[], object], seconds: float = 2.0, pause: float = 0.002) -> bool:
    """Whether it becomes true within some seconds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(pause)
    return True


def _has(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            if mark not in environ.read().split(b"\0"):
                return False
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False

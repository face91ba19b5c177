"""Luigi's ``luigi.lock``: a file of process numbers, by which one command line runs once at a time.

Programs that call it themselves find it here. Runs need it no more: two that want the same task lock the task.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable


def getpcmd(pid: int) -> str:
    """The command line of a process; a placeholder where it cannot be read."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode(errors="replace").replace("\0", " ").rstrip()
    except OSError:
        pass
    try:
        found = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        found = ""
    return found or f"[PROCESS_WITH_PID={pid}]"


def get_info(pid_dir: str, my_pid: int | None = None) -> tuple[int, str, str]:
    """(process, its command line, path of the file of that command line)."""
    pid = os.getpid() if my_pid is None else my_pid
    command = getpcmd(pid)
    return pid, command, os.path.join(pid_dir, hashlib.md5(command.encode(), usedforsecurity=False).hexdigest() + ".pid")


def acquire_for(pid_dir: str, num_available: int = 1, kill_signal: int | None = None) -> bool:
    """Whether this process may run: whether fewer than ``num_available`` others run the same command line.

    kill_signal: sent to the others; one of them may then still be ending.
    """
    pid, command, path = get_info(pid_dir)
    os.makedirs(pid_dir, mode=0o700, exist_ok=True)
    others = {other for other in _read(path) if getpcmd(other) == command}
    if kill_signal is not None:
        for other in others:
            os.kill(other, kill_signal)
        print(f"Sent kill signal to Pids: {others}")
        num_available += 1
    if len(others) >= num_available:
        print(f"Pid(s) {others} already running")
        return False
    _write(path, others | {pid})
    return True


def _read(path: str) -> set[int]:
    try:
        with open(path) as file:
            return {int(line) for line in file if line.strip()}
    except FileNotFoundError:
        return set()


def _write(path: str, pids: Iterable[int]) -> None:
    with open(path, "w") as file:
        file.writelines(f"{pid}\n" for pid in pids)
    if os.stat(path).st_uid == os.getuid():
        os.chmod(path, 0o777)  # noqa: S103 - other users of the command write to it, too

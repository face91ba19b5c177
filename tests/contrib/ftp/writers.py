"""What tests start as processes of their own: `python writers.py WHAT ARGUMENTS`."""

from __future__ import annotations

import os
import signal
import sys

from levada.targets import FileTarget, atomic


def die(url: str, mode: str, step: str) -> None:
    """Write, and die by SIGKILL just before the n-th command to the server."""
    from levada.contrib.ftp.client import Connection

    left = int(step)
    say = Connection.putcmd

    def doomed(self: Connection, line: str) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        say(self, line)

    Connection.putcmd = doomed  # type: ignore[method-assign]  # the planted fault
    atomic.set_tag("0badcafe", "3.1")
    FileTarget(url, mode=mode).write_bytes(b"whole\n" * 400_000)
    print("ended")


def fork(url: str) -> None:
    """Use the server, and then in children that were forked from here, at once."""
    FileTarget(f"{url}/parent").write_text("parent")
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                assert FileTarget(f"{url}/parent").read_text() == "parent"
                FileTarget(f"{url}/{number}").write_text(str(number))
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    FileTarget(f"{url}/after").write_text("the parent goes on")
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    print("ended")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])

"""What tests start as processes of their own: `python programs.py WHAT ARGUMENTS`."""

from __future__ import annotations

import os
import signal
import sys
import time

from levada.errors import TargetExists
from levada.targets import FileTarget, atomic


def race(url: str, number: str, start: str) -> None:
    """Write a write-once file at a moment (seconds since 1970); print how that went."""
    atomic.set_tag(f"{int(number):08x}", "1.1")
    target = FileTarget(url)
    stream = target.open("wb")
    stream.write(number.encode() * 200_000)
    time.sleep(max(0.0, float(start) - time.time()))
    try:
        stream.close()
        print("won")
    except TargetExists:
        print("lost")


def die(url: str, mode: str, step: str) -> None:
    """Write, and die by SIGKILL just before the n-th question to HDFS."""
    from levada.contrib.hdfs import client, store

    left = int(step)

    def doomed(act, *arguments, **more):  # type: ignore[no-untyped-def]
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return act(*arguments, **more)

    for name in ("ask", "ask_data"):
        setattr(store, name, doomed)
    store.ask_name_node = lambda authority, act, *arguments: doomed(act, *arguments)
    assert client
    atomic.set_tag("0badcafe", "3.1")
    FileTarget(url, mode=mode).write_bytes(b"whole\n" * 400_000)
    print("ended")


def fork(url: str) -> None:
    """Use HDFS, and then in children that were forked from here, at once."""
    FileTarget(url + "/parent").write_text("x" * 1000)
    assert FileTarget(url + "/parent").read_text() == "x" * 1000
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                assert FileTarget(url + "/parent").read_text() == "x" * 1000
                FileTarget(f"{url}/{number}").write_text(str(number))
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    FileTarget(url + "/after").write_text("the parent goes on")
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    print("ended")


def leave(url: str) -> None:
    """Use HDFS in a child that ends as programs do, with all of the interpreter's own cleaning."""
    assert not FileTarget(url + "/nothing").exists()
    pid = os.fork()
    if pid == 0:
        assert not FileTarget(url + "/nothing").exists()
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    print("ended")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])

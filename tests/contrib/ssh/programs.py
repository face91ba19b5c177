"""What tests start as processes of their own: `python programs.py WHAT ARGUMENTS`."""

from __future__ import annotations

import os
import signal
import sys

from levada.errors import TargetExists
from levada.targets import FileTarget, atomic


def race(url: str, number: str) -> None:
    """Write a write-once file, and end it when told to; print how that went."""
    atomic.set_tag(f"{int(number):08x}", "1.1")
    stream = FileTarget(url).open("wb")
    stream.write(number.encode() * 200_000)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        stream.close()
        print("won")
    except TargetExists:
        print("lost")


def doom(step: int) -> None:
    """Die by SIGKILL just before the n-th thing that is asked of a host."""
    from levada.contrib.ssh import client

    real, left = client.Host.ask, step

    def doomed(self, act, **more):  # type: ignore[no-untyped-def]
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(self, act, **more)

    client.Host.ask = doomed  # type: ignore[method-assign]


def die(url: str, mode: str, step: str) -> None:
    """Write, and die before a step."""
    doom(int(step))
    atomic.set_tag("0badcafe", "3.1")
    FileTarget(url, mode=mode).write_bytes(b"whole\n" * 1_000_000)
    print("ended")


def fork(url: str) -> None:
    """Use a host, and then in children that were forked from here, at once."""
    FileTarget(url + "/parent").write_text("x" * 1000)
    stream = FileTarget(url + "/parent").open()
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                assert stream.read() == "x" * 1000
                assert FileTarget(url + "/parent").read_text() == "x" * 1000
                FileTarget(f"{url}/{number}").write_text(str(number))
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    FileTarget(url + "/after").write_text("the parent goes on")
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert stream.read() == "x" * 1000
    print("ended")


def leave(url: str) -> None:
    """Use a host in a child that ends as programs do, with all of the interpreter's own cleaning, and an unclosed writer."""
    import warnings

    warnings.simplefilter("ignore")
    assert not FileTarget(url + "/nothing").exists()
    pid = os.fork()
    if pid == 0:
        globals()["unclosed"] = FileTarget(url + "/unclosed").open("w")
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    globals()["unclosed"] = FileTarget(url + "/unclosed").open("w")
    print("ended")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])

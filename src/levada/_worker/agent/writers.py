"""Files that somebody still writes: they have their name, and not yet all their content (Linux).

The kernel gives a read lease on a file that nobody has open for writing, to its owner and to root; who is refused it waits until the
writer has closed the file. Nothing is known of files of others, on network file systems, and elsewhere: they count as whole.
Source: fcntl(2), "Leases".
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

if sys.platform == "linux":
    import fcntl

_LEASE = sys.platform == "linux" and hasattr(fcntl, "F_SETLEASE")


def prepare() -> None:
    """In the main thread, once: a writer that comes in the moment of our look sends us a signal, which means nothing to us."""
    if _LEASE:
        signal.signal(signal.SIGIO, signal.SIG_IGN)


def path_of(url: str) -> str:
    """The local path that a URL names; "" for others."""
    if url.startswith("file://"):
        return url.removeprefix("file://")
    return url if "://" not in url else ""


def is_being_written(url: str) -> bool:
    """Whether somebody has that local file open for writing; False where that cannot be known."""
    path = path_of(url)
    if not _LEASE or not path or signal.getsignal(signal.SIGIO) is not signal.SIG_IGN:
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:  # another's file, a folder, a file system without leases
        return False
    else:
        with suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False
    finally:
        os.close(fd)

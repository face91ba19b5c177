"""A bell for a waiting loop: rung by threads, and by signals that have a Python handler.

``poll`` and friends go on waiting after a signal handler has run (PEP 475); the claim loop wants to
look at what the handler noted at once. So waiting includes a pipe that Python writes to at a signal.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time


class Waker:
    """Something to wait for, with a timeout."""

    LONGEST = 1.0  # seconds without a look around: other code may have taken the signals' pipe

    def __init__(self) -> None:
        self.fd, self._bell = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._bell, False)
        self._listens = self._listen()
        self.poll = select.poll()
        self.poll.register(self.fd, select.POLLIN)

    def _listen(self) -> bool:
        """Have signals ring the bell, unless another loop (asyncio) listens already or this is not the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return False
        before = signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        if before != -1:
            signal.set_wakeup_fd(before)
        return before == -1

    def descriptors(self) -> tuple[int, int]:
        """Both ends, for a child to close."""
        return self.fd, self._bell

    def ring(self) -> None:
        """Wake the loop. May be called from any thread."""
        try:
            os.write(self._bell, b"\1")
        except (BlockingIOError, OSError):
            pass  # full: it wakes anyway; closed: nobody waits

    def wait(self, seconds: float | None) -> list[tuple[int, int]]:
        """What of the registered descriptors is ready. Our own ``fd`` among it is the bell. Waits LONGEST at most."""
        limit = self.LONGEST if seconds is None else min(self.LONGEST, max(0.0, seconds))
        ready = self.poll.poll(limit * 1000)
        return [(fd, event) for fd, event in ready if fd != self.fd or self._rang()]

    def _rang(self) -> bool:
        try:
            os.read(self.fd, 4096)
        except BlockingIOError:
            pass
        return True

    def close(self) -> None:
        """Give the descriptors back. Harmless to repeat."""
        if self.fd < 0:
            return
        if self._listens and threading.current_thread() is threading.main_thread():
            current = signal.set_wakeup_fd(-1)
            if current not in (-1, self._bell):
                signal.set_wakeup_fd(current)
        os.close(self.fd)
        os.close(self._bell)
        self.fd = self._bell = -1


class Deadline:
    """A moment some seconds from now; None is never.

    >>> Deadline(None).left() is None, Deadline(0).passed()
    (True, True)
    """

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds until then, 0 when it passed, None for never."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    def passed(self) -> bool:
        """Whether it is over."""
        return self._at is not None and time.monotonic() >= self._at

"""What attempts say, on its way to the server: pieces with their places, a bounded lot of them, sent when there is time.

Nothing here ever holds up an attempt or a report: what does not find room pushes out the oldest that waits, for the end of a log tells
most; and the place of what follows says that something is missing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from typing import NamedTuple

import msgspec

from .._model.messages import Fence
from .._wire import messages as w
from ..errors import SchedulerError
from .clock import backoff
from .session import Link

WAITING = 1 << 20  # bytes that wait to be sent
MESSAGE = 256 << 10  # bytes of one message, about
LONGEST = 16 << 10  # characters of a piece
PIECES = 500  # in one message
ATTEMPTS = 10_000  # whose places are remembered
LATEST = 60.0  # seconds between two tries while the server is away
TICK = 0.2  # seconds between two looks of the thread
log = logging.getLogger("levada.client")


class Piece(NamedTuple):
    """A part of an attempt's log. offset: bytes of the log before it."""

    key: bytes
    fence: Fence
    offset: int
    text: str


class LogSender:
    """Takes texts from any thread; ``pump`` moves them on and never waits for an answer.

    ``start`` lets a thread do that: where the one that would is busy with an attempt.
    """

    def __init__(self, link: Link, session: str) -> None:
        self._link, self._session = link._replace(connect_timeout=1.0), session
        self._transport = self._link.open("levada-logs")
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._pieces: deque[Piece] = deque()
        self._size = 0
        self._offsets: OrderedDict[tuple[bytes, Fence], int] = OrderedDict()
        self._flight: bytes | None = None
        self._sent = False
        self._failures = 0
        self._retry_at = 0.0
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._alone = False

    def note(self, key: bytes, fence: Fence, text: str) -> None:
        """Add what an attempt said."""
        with self._lock:
            offset = self._offsets.pop((key, fence), 0)
            for start in range(0, len(text), LONGEST):
                part = text[start : start + LONGEST]
                size = len(part.encode("utf-8", "replace"))
                self._pieces.append(Piece(key, fence, offset, part))
                self._size += size
                offset += size
            while self._size > WAITING:
                self._size -= len(self._pieces.popleft().text.encode("utf-8", "replace"))
            self._offsets[key, fence] = offset
            if len(self._offsets) > ATTEMPTS:
                self._offsets.popitem(last=False)
        if self._alone and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="levada-logs", daemon=True)
            self._thread.start()

    def start(self) -> None:
        """Have a thread pump from the first text on."""
        self._alone = True

    def _run(self) -> None:
        while not self._end.wait(TICK):
            self.pump()

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return self._flight is None and not self._pieces

    def pump(self) -> None:
        """Take an answer if there is one; send what waits if nothing is on its way."""
        if self.idle or not self._sending.acquire(blocking=False):
            return
        try:
            self._move()
        except SchedulerError as fault:
            self._note_failure(fault)
        finally:
            self._sending.release()

    def _move(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        if self._flight is not None and self._sent:
            if not self._transport.ready(0.0):
                return
            self._sent = False
            self._transport.read(self._transport.finish())
            self._flight, self._failures = None, 0
        if self._flight is None:
            self._flight = self._message()
        if self._flight is not None and not self._sent:
            self._transport.begin("/v1/logs", self._flight)
            self._sent = True

    def _message(self) -> bytes | None:
        chunks: list[w.LogItem] = []
        size = 0
        with self._lock:
            while self._pieces and size < MESSAGE and len(chunks) < PIECES:
                key, fence, offset, text = self._pieces.popleft()
                chunks.append(w.LogItem(key.hex(), fence[0], fence[1], offset, text))
                size += len(text.encode("utf-8", "replace"))
            self._size -= size
        return msgspec.json.encode(w.Logs(self._session, chunks)) if chunks else None

    def _note_failure(self, fault: SchedulerError) -> None:
        """Try again later what was not answered; what was refused is left out."""
        self._sent = False
        self._failures += 1
        self._retry_at = time.monotonic() + min(LATEST, backoff(self._failures, 0.5) * self._failures)
        if getattr(fault, "status", None) is not None and getattr(fault, "retry_after", None) is None:
            self._flight = None
            log.debug("a piece of a log was refused: %s", fault.message)

    def close(self, seconds: float) -> None:
        """Send the rest, for so long at most."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(TICK * 5)
        until = time.monotonic() + seconds
        while not self.idle and not self._failures and time.monotonic() < until:
            self.pump()
            time.sleep(0.005)
        self._transport.close()

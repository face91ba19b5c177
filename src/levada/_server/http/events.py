"""Changes as they happen, for people's pages: one subscription at the host, a bounded queue for each reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from ..._wire.operators import Event
from ..._wire.problems import Refusal
from .answers import GUARD, NO_STORE, Header, Receive, Send, encoded
from .bodies import until_gone
from .port import Host

ALIVE_SECONDS = 15.0
GAP = Event(kind="gap", text="some changes were left out: look anew")
OPEN = Event(kind="open")
QUEUED = 10_000  # events between the host's thread and the loop's


class Stream:
    """One reader. A slow one loses events and is told so; it never holds anybody up."""

    def __init__(self, family: str | None, limit: int) -> None:
        self.family = family
        self._limit = limit
        self._left: deque[bytes] = deque([b"retry: 3000\n\n", framed(OPEN)])
        self._news = asyncio.Event()
        self._news.set()
        self.closed = False

    def put(self, frame: bytes) -> None:
        """Queue an event, or a gap in place of all that were not read."""
        if len(self._left) >= self._limit:
            self._left.clear()
            frame = framed(GAP)
        self._left.append(frame)
        self._news.set()

    def close(self) -> None:
        """End the stream after what is queued."""
        self.closed = True
        self._news.set()

    async def next(self) -> bytes:
        """What is there; a comment when nothing came for a while, empty when the stream is closed."""
        try:
            async with asyncio.timeout(ALIVE_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return b": alive\n\n"
        self._news.clear()
        frames = b"".join(self._left)
        self._left.clear()
        return frames


class Hub:
    """Hands the host's changes to all readers."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop, *, streams: int, queue: int) -> None:
        self._loop, self._streams_limit, self._queue = loop, streams, queue
        self._streams: set[Stream] = set()
        self._left: deque[Event] = deque(maxlen=QUEUED)
        self._lost = self._woken = False
        self._stop: Callable[[], None] = host.watch(self._heard)

    def __len__(self) -> int:
        return len(self._streams)

    def _heard(self, events: Sequence[Event]) -> None:
        """In the host's thread."""
        if not self._streams:
            return
        self._lost = self._lost or len(self._left) + len(events) > QUEUED
        self._left.extend(events)
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._spread)
            except RuntimeError:  # the loop is closed
                self._left.clear()

    def _spread(self) -> None:
        self._woken = False
        if self._lost:
            self._lost = False
            self._left.clear()
            self._left.append(GAP)
        while self._left:
            event = self._left.popleft()
            frame = framed(event)
            for stream in self._streams:
                if stream.family is None or event.family in ("", stream.family):
                    stream.put(frame)

    async def serve(self, family: str | None, receive: Receive, send: Send, more: list[Header], counts: Callable[[], bool]) -> None:
        """Send changes until the client goes, the server stops, or its credential counts no more."""
        if len(self._streams) >= self._streams_limit:
            raise Refusal("too-many-waiting", f"{self._streams_limit:,} streams are open, no more are served", retry_after=30)
        stream = Stream(family, self._queue)
        self._streams.add(stream)
        left = asyncio.ensure_future(_close_when_gone(receive, stream))
        try:
            headers = [*GUARD, NO_STORE, (b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no"), *more]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while not stream.closed and counts():
                frames = await stream.next()
                if counts():  # it may have been revoked while nothing happened
                    await send({"type": "http.response.body", "body": frames, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._streams.discard(stream)
            left.cancel()

    def close(self) -> None:
        """End all streams."""
        self._stop()
        for stream in self._streams:
            stream.close()


async def _close_when_gone(receive: Receive, stream: Stream) -> None:
    await until_gone(receive)
    stream.close()


def framed(event: Event) -> bytes:
    """One event as text/event-stream has it."""
    return b"event: %s\ndata: %s\n\n" % (event.kind.encode(), encoded(event))

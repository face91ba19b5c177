"""Connections: uvicorn's protocol over httptools, with the limits that it lacks.

A request must be whole within some seconds of its first byte, its head within some kilobytes, and a client
that does not read its answers is cut off. One timer looks at all connections; a request costs no timer.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ..._wire.problems import PROBLEM_TYPE, Refusal, problem_of
from .answers import encoded
from .settings import Limits

_QUIET = logging.getLogger("uvicorn.error.connections")
_QUIET.setLevel(logging.ERROR)  # a warning for each connection that speaks no HTTP would let anybody fill the log


class Connections:
    """All connections of a server, and how many each address has."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits, self.clock = limits, clock
        self.open: set[Guarded] = set()
        self._of: Counter[str] = Counter()
        self.refused = 0

    def add(self, connection: Guarded, address: str) -> bool:
        """Whether one more is taken."""
        limits = self.limits
        if len(self.open) >= limits.connections or (address and self._of[address] >= limits.connections_per_address):
            self.refused += 1
            return False
        self.open.add(connection)
        self._of[address] += 1
        return True

    def remove(self, connection: Guarded, address: str) -> None:
        """Forget a connection; harmless to repeat."""
        if connection in self.open:
            self.open.discard(connection)
            self._of[address] -= 1
            if not self._of[address]:
                del self._of[address]

    def sweep(self) -> None:
        """Cut off who is too slow. Asked about each second."""
        now = self.clock()
        for connection in list(self.open):
            connection.judge(now)


class Guarded(HttpToolsProtocol):
    """A connection within limits."""

    shared: Connections  # set in the subclass that ``protocol_of`` makes

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.logger = _QUIET
        self.access_log = False  # else it writes paths, with the codes of login links, wherever a handler is set
        self._address = ""
        self._head = 0  # bytes that came in since a head began, in chunks after its first; -1 while a body comes
        self._lines = 0  # bytes of the lines of the head so far
        self._began: float | None = None  # when the request that is not whole yet began
        self._idle = self.shared.clock()  # when the last answer ended, or the connection began
        self._unread: tuple[int, float] = (0, 0.0)  # bytes that wait to be written, and since when so many
        self._subject: str | None = None
        self._fault: Refusal | None = None
        self._answered: Any = None  # uvicorn's cycle of the request that is being answered; ``cycle`` is that of the last that came

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
        """Take a connection, or close it when there are too many."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._subject = _subject_of(transport)
        if not self.shared.add(self, self._address):
            self.refuse(Refusal("busy", "too many connections are open", retry_after=5))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it. Its base tells only the last request that came, whose turn may be yet to come."""
        self.shared.remove(self, self._address)
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to heads, then parse."""
        if self.transport.is_closing():
            return
        if self._began is None:
            self._began = self.shared.clock()
        if self._head >= 0:
            self._head += len(data)
        super().data_received(data)
        if self._head > self.shared.limits.head:
            self.refuse(self._too_long())

    def _too_long(self) -> Refusal:
        return Refusal("headers-too-large", f"the limit of a head is {self.shared.limits.head:,} bytes")

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._head = self._lines = 0
        super().on_message_begin()
        if self._subject is not None:
            self.scope["levada.subject"] = self._subject  # type: ignore[typeddict-unknown-key]  # ours

    def on_url(self, url: bytes) -> None:
        """A piece of the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header; behind a body they are counted alone. What is raised here ends the parser."""
        self._count(len(name) + len(value))
        if self._head >= 0:  # else a proxy that takes the headers of strangers away has not seen it among them
            super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._lines += size + 4
        if self._lines > self.shared.limits.head:
            self._fault = self._too_long()
            raise ValueError("head too long")

    def on_headers_complete(self) -> None:
        """The head is whole; the body is counted elsewhere."""
        self._head = -1
        super().on_headers_complete()
        self.scope["levada.cycle"] = self.cycle  # type: ignore[typeddict-unknown-key]  # ours: see ``write_whole``

    def on_message_complete(self) -> None:
        """The request is whole: no time presses any more."""
        self._began = None
        self._head = 0
        super().on_message_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """The answer is written: the next request's turn, or the connection is idle. Its base starts a timer here for each."""
        self._idle = self.shared.clock()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def judge(self, now: float) -> None:
        """Close the connection when the client is too slow: in asking, in reading, or in asking again."""
        limits = self.shared.limits
        asking = self._began is not None and not self.pipeline  # who waits behind his own request was paused by us
        if self.transport.is_closing():
            self._abort_if_stuck(now)
        elif asking and now - (self._began or now) > limits.slow:
            self.refuse(Refusal("too-slow", f"a request must be whole within {limits.slow:g} s"))
        elif self._began is None and self._at_rest() and now - self._idle > limits.idle:
            self.transport.close()
        else:
            self._abort_if_stuck(now)

    def _at_rest(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is None or cycle.response_complete

    def _abort_if_stuck(self, now: float) -> None:
        """Cut off who reads nothing of what waits for him."""
        left = self.transport.get_write_buffer_size()
        if left != self._unread[0]:
            self._unread = (left, now)
        elif left and now - self._unread[1] > self.shared.limits.slow:
            self.transport.abort()

    def refuse(self, refusal: Refusal) -> None:
        """Answer the request that is coming in, without the application, and close. Never in the place of an earlier one's answer."""
        if self._at_rest() or (self.cycle.more_body and not self.cycle.response_started):
            self.transport.write(plain_answer(refusal))
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed."""
        self.refuse(self._fault or Refusal("malformed", "this is no HTTP"))

    def _unsupported_upgrade_warning(self) -> None:
        """Nobody is to fill the log by asking for what there is not."""


async def write_whole(cycle: Any, head: bytes, body: bytes) -> None:
    """A whole response in one write. ASGI's two messages are two packets, and each header is looked at again.

    cycle: uvicorn's, of one request. head: status line and headers, without the length.
    """
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    close = b"" if cycle.keep_alive else b"connection: close\r\n"
    cycle.response_started = cycle.response_complete = True
    cycle.transport.write(b"%scontent-length: %d\r\n%s\r\n%s" % (head, len(body), close, body))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


def plain_answer(refusal: Refusal) -> bytes:
    """A whole response, bytes and all."""
    body = encoded(problem_of(refusal))
    head = f"content-type: {PROBLEM_TYPE}\r\ncontent-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    return STATUS_LINE[refusal.status] + head.encode() + body


def protocol_of(connections: Connections) -> type[Guarded]:
    """The class of a server's connections."""
    return type("Guarded", (Guarded,), {"shared": connections})


def _subject_of(transport: asyncio.Transport) -> str | None:
    """The common name of the client's certificate; only what was verified comes here."""
    secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    certificate: Any = secured.getpeercert() if secured is not None else None
    for group in (certificate or {}).get("subject", ()):
        for name, value in group:
            if name == "commonName":
                return str(value)
    return None

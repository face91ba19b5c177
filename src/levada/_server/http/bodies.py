"""Reading bodies, within limits: of one, and of all that come in at the same time."""

from __future__ import annotations

import asyncio

from ..._wire import limits
from ..._wire.problems import Refusal
from .answers import Receive
from .head import Head

BUFFERED = 128 << 20  # bytes of unfinished bodies, all clients together
KEPT_ALIVE = 64 << 10  # bytes of a refused body that are read and forgotten, the connection kept
DRAINED, DRAIN_SECONDS = 64 << 20, 2.0  # of a longer one, before the connection is closed


class ClientGone(Exception):
    """The client closed its connection."""


class Bodies:
    """Reads bodies; knows how much of unfinished ones is held."""

    def __init__(self) -> None:
        self._held = 0

    async def read(self, head: Head, receive: Receive) -> bytes:
        """The whole body. Raises Refusal ``too-large`` or ``busy``, and ClientGone."""
        size = head.size()
        if size is not None and size > limits.BODY:
            raise too_large()
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        body: bytes = message["body"]
        return body if not message["more_body"] else await self._read_on(body, receive)

    async def _read_on(self, first: bytes, receive: Receive) -> bytes:
        pieces, total = [first], 0
        try:
            while True:
                total += len(pieces[-1])
                self._held += len(pieces[-1])
                if total > limits.BODY:
                    raise too_large()
                if self._held > BUFFERED:
                    raise Refusal("busy", "too many long requests come in at once", retry_after=1)
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGone
                pieces.append(message["body"])
                if not message["more_body"]:
                    break
        finally:
            self._held -= total
        body = b"".join(pieces)
        if len(body) > limits.BODY:
            raise too_large()
        return body


def too_large() -> Refusal:
    """The refusal of a body beyond the limit."""
    return Refusal("too-large", f"the limit of a body is {limits.BODY:,} bytes", hint="Send fewer tasks at once.")


def is_long(head: Head) -> bool:
    """Whether an unread body is not worth reading for the sake of the connection."""
    size = head.size()
    return head.coding is not None or (size is not None and size > KEPT_ALIVE)


async def drain(receive: Receive) -> None:
    """Read and forget for a moment what a client still sends: who is cut off while sending never sees the refusal."""
    seen = 0
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while seen < DRAINED:
                message = await receive()
                if message["type"] != "http.request" or not message["more_body"]:
                    return
                seen += len(message["body"])
    except TimeoutError:
        pass


async def until_gone(receive: Receive) -> None:
    """Return when the client closed its connection. What it still sends of this request is forgotten."""
    while (await receive())["type"] == "http.request":
        pass

"""Writing responses: one set of headers for everything, and problem documents for refusals."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from ..._wire.kinds import Answer
from ..._wire.problems import PROBLEM_TYPE, Problem, Refusal

Header = tuple[bytes, bytes]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

GUARD: list[Header] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
    ),
]
"""On every response (S11)."""

NO_STORE: Header = (b"cache-control", b"no-store")
JSON: Header = (b"content-type", b"application/json")
PROBLEM: Header = (b"content-type", PROBLEM_TYPE.encode())
_JSON_START = [*GUARD, NO_STORE, JSON]

_encoder = msgspec.json.Encoder()


def encoded(answer: Answer | Problem | bytes) -> bytes:
    """The JSON of an answer; bytes are JSON already."""
    return answer if isinstance(answer, bytes) else _encoder.encode(answer)


def _written(headers: Sequence[Header]) -> bytes:
    return b"".join(b"%s: %s\r\n" % header for header in headers)


GOOD = b"HTTP/1.1 200 OK\r\n" + _written(_JSON_START)
"""Status line and headers of a good answer, without its length."""


async def send_json(send: Send, body: bytes, more: Sequence[Header] = ()) -> None:
    """A good answer."""
    headers = [*_JSON_START, (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_page(send: Send, status: int, kind: bytes, body: bytes, more: Sequence[Header] = ()) -> None:
    """A page of any kind."""
    headers = [*GUARD, NO_STORE, (b"content-type", kind), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_problem(send: Send, problem: Problem, more: Sequence[Header], drain: Callable[[], Awaitable[None]] | None) -> None:
    """A refusal. drain: reads on what the client still sends, so that it gets to read; the connection is closed after it."""
    body = encoded(problem)
    headers = [*GUARD, NO_STORE, PROBLEM, (b"content-length", b"%d" % len(body)), *more]
    if drain is not None:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    if drain is not None:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await drain()
        body = b""
    await send({"type": "http.response.body", "body": body})


def headers_of(refusal: Refusal) -> list[Header]:
    """Headers that go with a refusal."""
    headers: list[Header] = []
    if refusal.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="levada"'))
    if refusal.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(refusal.retry_after))))
    return headers

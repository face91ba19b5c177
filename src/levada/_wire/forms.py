"""Requests of guests: JSON in a field of a form, as clients of another protocol send it.

The decoder checks shapes, lengths and ranges, as for messages of ours; what a guest sends beyond what its type names is passed
over, since its protocol is not ours to extend.
"""

from __future__ import annotations

import json
from functools import cache
from urllib.parse import unquote_to_bytes

import msgspec

from . import limits
from .check import deepest
from .kinds import Request
from .problems import Refusal
from .routes import Route

FIELD = b"data"
FIELDS = 8
INFINITE = b"Infinity"
_CONSTANTS = {"Infinity": 1e18, "-Infinity": -1e18}
_SHOWN = 300


def read_form(route: Route, text: bytes) -> Request:
    """The request of a route with ``form``, from a body or a query. Raises Refusal as ``check.decode`` does."""
    if len(text) > limits.BODY:
        raise Refusal("too-large", f"a body of {len(text):,} bytes, the limit is {limits.BODY:,}")
    data = _field(text)
    if b"\\u0000" in data or b"\0" in data:
        raise Refusal("invalid-message", "a text holds NUL")
    if data.count(b"[") + data.count(b"{") > limits.DEPTH and deepest(data.decode("utf-8", "replace")) > limits.DEPTH:
        raise Refusal("malformed", f"JSON is nested too deeply, the limit is {limits.DEPTH}")
    try:
        request: Request = _decoder(route.request).decode(data)
        return request
    except msgspec.ValidationError as cause:
        raise Refusal("invalid-message", str(cause)[:_SHOWN]) from None
    except msgspec.DecodeError as cause:
        if INFINITE in data:
            return _infinite(route, data)
        raise Refusal("malformed", f"the field data is no JSON: {str(cause)[:_SHOWN]}") from None
    except UnicodeDecodeError as cause:
        raise Refusal("malformed", f"not UTF-8: {cause.reason}") from None


def _infinite(route: Route, data: bytes) -> Request:
    """Python's json writes Infinity for a number without bound, which is no JSON; it stands for a very large one."""
    try:
        value = json.loads(data, parse_constant=_CONSTANTS.__getitem__)
        request: Request = _decoder(route.request).decode(json.dumps(value))
    except msgspec.ValidationError as cause:
        raise Refusal("invalid-message", str(cause)[:_SHOWN]) from None
    except (ValueError, KeyError) as cause:
        raise Refusal("malformed", f"the field data is no JSON: {str(cause)[:_SHOWN]}") from None
    return request


@cache
def _decoder(request: type[Request]) -> msgspec.json.Decoder[Request]:
    return msgspec.json.Decoder(request)


def _field(text: bytes) -> bytes:
    """The JSON; an empty object where there is none."""
    pieces = text.split(b"&", FIELDS)
    if len(pieces) > FIELDS:
        raise Refusal("malformed", f"a form has at most {FIELDS} fields")
    found = [value for name, _, value in (piece.partition(b"=") for piece in pieces) if name == FIELD]
    if len(found) > 1:
        raise Refusal("invalid-message", "the field data stands twice")
    return unquote_to_bytes(found[0].replace(b"+", b" ")) if found else b"{}"

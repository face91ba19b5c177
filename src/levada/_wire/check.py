"""From bytes to a request that every later step may trust: the one place where messages are judged.

The decoder checks shapes, lengths and ranges while it reads. What it cannot see is looked at here, before
anything else sees the message: hex digits of keys, control characters in names, NUL anywhere, parts of a
message that contradict each other. A message is taken whole or refused whole.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from msgspec import inspect

from . import limits
from .kinds import CHECK, Request
from .messages import AddTasks, AttemptItem, Sync
from .problems import Refusal
from .routes import ROUTES, Route
from .words import explained

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
QUERY_FIELDS = 32
SHOWN = 300  # characters of a decoder's message that are told

# -- decoding ----------------------------------------------------------------------------------

_DECODERS = {route.request: msgspec.json.Decoder(route.request) for route in ROUTES if route.method != "GET" and not route.fields}
_FIELDS = msgspec.json.Decoder(dict[str, Any])


def decode(route: Route, body: bytes) -> Request:
    """The request of a route whose fields all come from a JSON body. Raises Refusal.

    Refusals are ``too-large``, ``malformed`` (no JSON, no UTF-8) and ``invalid-message`` (wrong shape or value).
    """
    _within(body)
    request = _read(_DECODERS[route.request].decode, body or b"{}", route)
    check(request, may_hold_nul=b"\\u0000" in body)
    return request


def assemble(route: Route, path: str, query: bytes, body: bytes) -> Request:
    """The request of any route, from the segments of its path, and its query (GET) or its body. Raises Refusal."""
    _within(body)
    fields = _from_query(query) if route.method == "GET" else _from_body(route, query, body)
    for name, value in _from_path(route, path).items():
        if name in fields:
            raise Refusal("invalid-message", f"{name!r} stands in the path already")
        fields[name] = value
    loose = route.method == "GET"
    request = _read(lambda given: msgspec.convert(given, route.request, strict=not loose), fields, route)
    check(request, may_hold_nul=True)
    return request


def _read(decoder: Callable[[Any], Request], data: Any, route: Route) -> Request:
    try:
        return decoder(data)
    except msgspec.ValidationError as cause:
        words, hint = explained(str(cause), route.request)
        raise Refusal("invalid-message", words[:SHOWN], hint=hint or f"/openapi.json tells what {route} takes.") from None
    except msgspec.DecodeError as cause:
        said = str(cause).removeprefix("JSON is malformed: ")[:SHOWN]
        raise Refusal("malformed", f"the body is no JSON: {said}", hint=f"/openapi.json tells what {route} takes.") from None
    except UnicodeDecodeError as cause:
        raise Refusal("malformed", f"not UTF-8: {cause.reason}") from None
    except RecursionError:
        raise Refusal("malformed", f"JSON is nested too deeply, the limit is {limits.DEPTH}") from None


def _within(body: bytes) -> None:
    if len(body) > limits.BODY:
        raise Refusal("too-large", f"a body of {len(body):,} bytes, the limit is {limits.BODY:,}")


def _from_path(route: Route, path: str) -> dict[str, str]:
    parts = path[1:].split("/")
    return {want[1:-1]: _unquoted(part) for want, part in zip(route.parts, parts, strict=True) if want[0] == "{"}


def _unquoted(part: str) -> str:
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeDecodeError as cause:
        raise Refusal("malformed", f"the path is not UTF-8: {cause.reason}") from None


def _from_query(query: bytes) -> dict[str, Any]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=QUERY_FIELDS)
    except ValueError:  # UnicodeDecodeError is one
        raise Refusal("malformed", f"the query is not name=value&..., in UTF-8, of at most {QUERY_FIELDS} fields") from None
    fields: dict[str, Any] = dict(pairs)
    if len(fields) < len(pairs):
        raise Refusal("invalid-message", "a field stands twice in the query")
    return fields


def _from_body(route: Route, query: bytes, body: bytes) -> dict[str, Any]:
    if query:
        raise Refusal("invalid-message", f"{route.method} takes its fields from the body, not from the query")
    return cast("dict[str, Any]", _read(cast("Callable[[Any], Request]", _FIELDS.decode), body or b"{}", route))


# -- what the decoder cannot see -----------------------------------------------------------------


class _Look(NamedTuple):
    """Where texts stand in a request, and what they must be. steps: names of fields, ``*`` for each item of a list."""

    steps: tuple[str, ...]
    kind: str

    def texts(self, value: Any) -> Iterator[str]:
        """All texts below a value of the request's field; what is None is left out."""
        values: Iterator[Any] = iter((value,))
        for step in self.steps:
            values = chain.from_iterable(values) if step == "*" else map(attrgetter(step), values)
            values = filter(None, values)
        return values


def check(request: Request, *, may_hold_nul: bool) -> None:
    """Return when all values of a request are good. Raises Refusal ``invalid-message``."""
    for name, looks in _LOOKS[type(request)]:
        value = getattr(request, name)
        if value:
            for look in looks:
                if not _GOOD[look.kind](look.texts(value)):
                    raise _wrong(name, look, value)
    if may_hold_nul:
        _refuse_nul(request)
    more = _MORE.get(type(request))
    if more is not None:
        more(request)


def _all_hex(texts: Iterable[str]) -> bool:
    text = "".join(texts)
    try:
        unhexlify(text)
    except ValueError:
        return False
    return text.islower() or text.isdigit() or not text


def _all_keys(texts: Iterable[str]) -> bool:
    found = list(texts)
    return not any(len(text) % 32 for text in found) and _all_hex(found)


def _all_names(texts: Iterable[str]) -> bool:
    text = "".join(texts)
    return text.isprintable() or CONTROL.search(text) is None


_GOOD: Mapping[str, Callable[[Iterable[str]], bool]] = {"hex": _all_hex, "keys": _all_keys, "name": _all_names}
_EXPECTED = {
    "hex": "32 lower-case hex digits",
    "keys": "keys of 32 lower-case hex digits, one after the other",
    "name": "a text without control characters",
}


def _wrong(name: str, look: _Look, value: Any) -> Refusal:
    place = ".".join((name, *look.steps)).replace(".*", "[]")
    bad = next(text for text in look.texts(value) if not _GOOD[look.kind]((text,)))
    return Refusal("invalid-message", f"{place}: got {bad[:80]!r}, expected {_EXPECTED[look.kind]}")


def _refuse_nul(request: Request) -> None:
    """Look at every text; only called where the bytes hold what may be an escaped NUL. No recursion: messages are nested."""
    left: list[Any] = [msgspec.to_builtins(request)]
    while left:
        value = left.pop()
        if isinstance(value, str):
            if "\0" in value:
                raise Refusal("invalid-message", "a text holds NUL")
        elif isinstance(value, dict):
            left.extend(value)
            left.extend(value.values())
        elif isinstance(value, (list, tuple)):
            left.extend(value)


# -- where to look: read from the types, once ------------------------------------------------------


def _looks_of(request: type[Request]) -> list[tuple[str, list[_Look]]]:
    """Fields of a request with what is to be looked at below each. Recursion is over types, which are ours."""
    info = inspect.type_info(request)
    assert isinstance(info, inspect.StructType)  # noqa: S101
    below = [(field.name, [_Look(*look) for look in _below(field.type)]) for field in info.fields]
    return [(name, looks) for name, looks in below if looks]


def _below(kind: inspect.Type) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(kind, inspect.Metadata):
        if kind.extra and CHECK in kind.extra:
            yield (), kind.extra[CHECK]
        yield from _below(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _below(each)
    elif isinstance(kind, inspect.ListType):
        yield from ((("*", *steps), what) for steps, what in _below(kind.item_type))
    elif isinstance(kind, inspect.DictType):  # its keys: to go through a dict is to go through them
        yield from ((("*", *steps), what) for steps, what in _below(kind.key_type))
    elif isinstance(kind, inspect.StructType):
        yield from (((field.name, *steps), what) for field in kind.fields for steps, what in _below(field.type))


_LOOKS = {route.request: _looks_of(route.request) for route in ROUTES}

# -- single messages -----------------------------------------------------------------------------


def _check_tasks(request: AddTasks) -> None:
    for policy in request.policies:
        names = [name.name for name in policy.resources]
        if names != sorted(set(names)):
            raise Refusal("invalid-message", f"policies[].resources of {policy.family}: not sorted by name, each once")
    tasks = request.tasks
    if not tasks:
        return
    if max(task.policy for task in tasks) >= len(request.policies):
        raise Refusal("invalid-message", f"tasks[].policy: beyond the {len(request.policies)} policies of the message")
    if len({task.key for task in tasks}) < len(tasks):
        raise Refusal("invalid-message", "tasks[].key: a task stands twice in the message")
    for task in tasks:
        _check_params(task.params)


def _check_sync(request: Sync) -> None:
    for attempt in request.attempts:
        _check_params(attempt.params)
        _check_text(attempt)


def _check_params(params: str) -> None:
    if len(params) > limits.SPEC // 4 and len(params.encode()) > limits.SPEC:
        raise Refusal("invalid-message", f"tasks[].params: {len(params.encode()):,} bytes, the limit is {limits.SPEC:,}")
    if params.count("[") + params.count("{") > limits.DEPTH and deepest(params) > limits.DEPTH:
        raise Refusal("invalid-message", f"tasks[].params: nested deeper than {limits.DEPTH}")


def _check_text(attempt: AttemptItem) -> None:
    if len(attempt.error) > limits.TEXT // 4 and len(attempt.error.encode()) > limits.TEXT:
        raise Refusal("invalid-message", f"attempts[].error: {len(attempt.error.encode()):,} bytes, the limit is {limits.TEXT:,}")


_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def deepest(text: str) -> int:
    """How deep brackets of a JSON text are nested; those inside of strings do not count.

    >>> deepest('{"a": [1, [2]], "b": "[[[["}')
    3
    """
    depth = most = 0
    for found in _TOKENS.finditer(text):
        first = text[found.start()]
        if first in "[{":
            depth += 1
            most = max(most, depth)
        elif first != '"':
            depth -= 1
    return most


_MORE: Mapping[type, Callable[[Any], None]] = {AddTasks: _check_tasks, Sync: _check_sync}

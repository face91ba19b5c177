"""Keys and values as text, between the phases of a job: exact, the same for equal keys, without tab or line end.

JSON, in which an array is a tuple. What JSON lacks stands as an object with one name: ``{"@list": [1]}``, ``{"@date": "2024-02-29"}``.
A value comes back with the type that it had; what would not is refused. Nothing that is read is ever run.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from io import TextIOWrapper
from itertools import groupby
from operator import itemgetter
from typing import IO, Any

_AS_THEY_ARE = frozenset({str, int, float, bool, type(None)})
_TAGS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    list: ("@list", lambda value: [_frozen(item) for item in value]),
    set: ("@set", lambda value: _sorted(value)),
    frozenset: ("@frozenset", lambda value: _sorted(value)),
    bytes: ("@bytes", lambda value: b64encode(value).decode()),
    date: ("@date", date.isoformat),
    datetime: ("@datetime", datetime.isoformat),
    time: ("@time", time.isoformat),
    timedelta: ("@timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    Decimal: ("@decimal", str),
}
_FROM_TAGS: dict[str, Callable[[Any], Any]] = {
    "@list": lambda items: [_thawed(item) for item in items],
    "@set": lambda items: {_thawed(item) for item in items},
    "@frozenset": lambda items: frozenset(_thawed(item) for item in items),
    "@dict": lambda pairs: {_thawed(key): _thawed(value) for key, value in pairs},
    "@bytes": b64decode,
    "@date": date.fromisoformat,
    "@datetime": datetime.fromisoformat,
    "@time": time.fromisoformat,
    "@timedelta": lambda parts: timedelta(*parts),
    "@decimal": Decimal,
}
_encode = json.JSONEncoder(separators=(",", ":")).encode


def dump(value: Any) -> str:
    """The text of a key or value. Raises TypeError for what would not come back as it was.

    >>> print(dump(("Köln", 7)), dump([1, None]), dump(date(2024, 2, 29)), dump({"a": (1,)}))
    ["K\\u00f6ln",7] {"@list":[1,null]} {"@date":"2024-02-29"} {"a":[1]}
    """
    return _encode(value if type(value) in _AS_THEY_ARE else _frozen(value))


def load(text: str) -> Any:
    """The value of such a text. Raises ValueError for another text.

    >>> load('["K\\\\u00f6ln",7]'), load('{"@list":[1,null]}')
    (('Köln', 7), [1, None])
    """
    try:
        return _thawed(json.loads(text))
    except (ValueError, TypeError, KeyError, ArithmeticError) as cause:
        raise ValueError(f"not the text of a key or value: {text[:200]!r} ({cause})") from cause


def write_pairs(pairs: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    """A line for each pair: its key, a tab, its value."""
    for pair in pairs:
        try:
            key, value = pair
        except (TypeError, ValueError):
            raise TypeError(f"mapper and combiner give (key, value) pairs, got {pair!r}") from None
        yield f"{dump(key)}\t{dump(value)}\n"


def read_groups(lines: Iterable[str]) -> Iterator[tuple[Any, Iterator[Any]]]:
    """Each key with its values, of lines in which equal keys stand together. A group is read before the next."""
    pairs = (line.rstrip("\n").split("\t", 1) for line in lines)
    for key, group in groupby(pairs, key=itemgetter(0)):
        yield load(key), (load(value) for _, value in group)


def key_of(line: str) -> str:
    """The text of a line's key: what lines are sorted by."""
    return line.partition("\t")[0]


def as_lines(stream: IO[bytes]) -> TextIOWrapper:
    """Lines as UTF-8 that end with a line feed and with nothing else; bytes that are none survive the way in and out."""
    return TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="\n")


def _frozen(value: Any) -> Any:
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is tuple:
        return [_frozen(item) for item in value]
    if kind is dict:
        if all(type(key) is str for key in value) and not (len(value) == 1 and next(iter(value)).startswith("@")):
            return {key: _frozen(item) for key, item in value.items()}
        return {"@dict": [[_frozen(key), _frozen(item)] for key, item in value.items()]}
    if kind not in _TAGS:
        kinds = "str, int, float, bool, None, tuple, list, dict, set, bytes, Decimal, dates and times"
        raise TypeError(f"{value!r} is a {kind.__qualname__}, which does not travel between the phases of a job; give {kinds}")
    tag, freeze = _TAGS[kind]
    return {tag: freeze(value)}


def _sorted(values: Iterable[Any]) -> list[Any]:
    return sorted((_frozen(item) for item in values), key=_encode)


def _thawed(value: Any) -> Any:
    if type(value) is list:
        return tuple([_thawed(item) for item in value])
    if type(value) is dict:
        if len(value) == 1:
            (tag,) = value
            if tag.startswith("@"):
                return _FROM_TAGS[tag](value[tag])
        return {key: _thawed(item) for key, item in value.items()}
    return value

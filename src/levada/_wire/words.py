"""What the decoder says against a message, in words for people: which field, what was expected, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import inspect

from .._model.spelling import did_you_mean
from .kinds import CHECK

KINDS: Mapping[str, str] = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
_PLACE = re.compile(r" - at `\$\.?(.*)`$")
_KIND = re.compile(r"Expected `([^`]+)`, got `([^`]+)`$")
_BOUND = re.compile(r"Expected `([^`]+)` (?:(of length )?([<>]=?) (\S+)|of length (\d+)|of at least length (\d+), got (\d+))$")
_MISSING = re.compile(r"Object missing required field `(.+)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`$")
_CHOICE = re.compile(r"Invalid enum value (.+)$")
_SIGNS = {">=": "or more", "<=": "at most", ">": "more than", "<": "less than"}


def explained(said: str, request: type[Any]) -> tuple[str, str | None]:
    """(sentence, hint) for what the decoder said of a request's fields.

    >>> from .operators import SetResource
    >>> explained("Expected `int`, got `str` - at `$.total`", SetResource)
    ('total: expected a whole number, got a text', None)
    >>> explained("Expected `int` >= 0 - at `$.total`", SetResource)[0]
    'total: expected a whole number, 0 or more'
    >>> explained("Object contains unknown field `totl`", SetResource)
    ("there is no field 'totl'", 'Did you mean total?')
    """
    found = _PLACE.search(said)
    place = found.group(1) if found else ""
    rest = said[: found.start()] if found else said
    words, hint = _sentence(rest, place, request)
    return (f"{place.replace('[...]', 'a field')}: {words}" if place else words), hint


def _sentence(said: str, place: str, request: type[Any]) -> tuple[str, str | None]:
    if found := _KIND.match(said):
        return f"expected {_kinds(found.group(1))}, got {_kinds(found.group(2))}", None
    if found := _BOUND.match(said):
        if _is_key(_fields(request).get(place)):
            return "expected 32 lower-case hex digits", None
        return f"expected {_bounded(*found.groups())}", None
    if found := _MISSING.match(said):
        return f"the field {found.group(1)!r} is missing", None
    if found := _UNKNOWN.match(said):
        known = [] if place else list(_fields(request))
        return f"there is no field {found.group(1)!r}", did_you_mean(found.group(1), known) if known else None
    if found := _CHOICE.match(said):
        choices = _choices(_fields(request).get(place))
        return f"got {found.group(1)}" + (f", expected one of {', '.join(choices)}" if choices else ", which is none of the choices"), None
    return said, None


def _kinds(text: str) -> str:
    kinds = [KINDS.get(kind.strip(), kind.strip()) for kind in text.split("|")]
    return " or ".join(kinds) if len(kinds) < 4 else "a text, a number, true, false or null"


def _bounded(
    kind: str, of_length: str | None, sign: str | None, bound: str | None, exact: str | None, least: str | None, got: str | None
) -> str:
    unit, bound = "characters" if kind == "str" else "elements", bound and bound.removesuffix(".0")
    if exact is not None:
        return f"{_kinds(kind)} of {exact} {unit}"
    if least is not None:
        return f"{_kinds(kind)} of {least} {unit} or more, got {got}"
    limit = f"{bound} {_SIGNS[str(sign)]}" if sign == ">=" else f"{_SIGNS[str(sign)]} {bound}"
    return f"{_kinds(kind)} of {limit} {unit}" if of_length else f"{_kinds(kind)}, {limit}"


def _fields(request: type[Any]) -> dict[str, inspect.Type]:
    info = inspect.type_info(request)
    return {field.encode_name: field.type for field in info.fields} if isinstance(info, inspect.StructType) else {}


def _is_key(kind: inspect.Type | None) -> bool:
    kinds: Iterable[inspect.Type | None] = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return any(isinstance(one, inspect.Metadata) and (one.extra or {}).get(CHECK) == "hex" for one in kinds)


def _choices(kind: inspect.Type | None) -> list[str]:
    """The texts that a field takes, where they can be listed."""
    kinds: Iterable[inspect.Type | None] = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return [str(value) for one in kinds if isinstance(one, inspect.LiteralType) for value in one.values]

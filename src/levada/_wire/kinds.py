"""The kinds of values that messages are made of, each with the limits that a decoder checks by itself."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from .limits import EDGES, HELD, INTEGER, ITEMS, LABELS, NAME, PAGE, PRIORITY, REASON, SECONDS, SPEC, TEXT

_HEX32 = {"pattern": "^[0-9a-f]{32}$"}
_HEX = {"pattern": "^([0-9a-f]{32})*$"}
_PLAIN = {"pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"}

CHECK = "check"
"""Key of ``Meta.extra`` that tells ``check.py`` what the decoder leaves to it: ``hex``, ``keys`` or ``name``."""


def _hex32(description: str) -> Meta:
    return Meta(min_length=32, max_length=32, description=description, extra_json_schema=_HEX32, extra={CHECK: "hex"})


def _name(least: int, most: int, description: str = "without control characters") -> Meta:
    return Meta(min_length=least, max_length=most, description=description, extra_json_schema=_PLAIN, extra={CHECK: "name"})


Key = Annotated[str, _hex32("key of a task: 32 lower-case hex digits")]
Session = Annotated[str, _hex32("life of a worker process: 32 lower-case hex digits")]
KeysText = Annotated[
    str, Meta(max_length=32 * EDGES, description="keys in one text, without separator", extra_json_schema=_HEX, extra={CHECK: "keys"})
]
Name = Annotated[str, _name(1, NAME)]
Label = Annotated[str, _name(0, NAME, "a name that may be empty")]
Reason = Annotated[str, _name(0, REASON, "a line for people")]
Text = Annotated[str, Meta(max_length=TEXT)]
Params = Annotated[str, Meta(max_length=SPEC, description="canonical parameters of a task, secrets masked")]

Whole = Annotated[int, Meta(ge=0, le=INTEGER)]
Positive = Annotated[int, Meta(ge=1, le=INTEGER)]
Priority = Annotated[int, Meta(ge=-PRIORITY, le=PRIORITY)]
Limit = Annotated[int, Meta(ge=1, le=PAGE)]
Seconds = Annotated[float, Meta(ge=0, le=SECONDS)]
Moment = Annotated[float, Meta(ge=-SECONDS, le=SECONDS, description="seconds since 1970, of a wall clock: for people")]

StatusName = Literal["waiting", "ready", "running", "retrying", "done", "failed", "disabled", "cancelled"]
"""Texts of ``Status``; tests/wire holds the two against each other."""


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what clients send; an unknown field is refused, never dropped."""


class Item(Struct, frozen=True, forbid_unknown_fields=True, array_like=True, gc=False):
    """Base of what requests hold by the thousand: an array without field names."""


class Answer(Struct, frozen=True):
    """Base of what servers send; clients pass over fields that they do not know."""


class Row(Struct, frozen=True, array_like=True, gc=False):
    """Base of what answers hold by the thousand; further elements may be added at the end."""


class Held(Item, frozen=True):
    """A task under one fence, as its worker knows it."""

    key: Key
    epoch: Whole
    number: Whole


Helds = Annotated[list[Held], Meta(max_length=HELD)]
Reports = Annotated[list[Held], Meta(max_length=ITEMS)]
Keys = Annotated[list[Key], Meta(max_length=ITEMS)]
Labels = Annotated[list[Name], Meta(max_length=LABELS)]

"""The kinds of values that messages are made of, each with the limits that a decoder checks by itself."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from .limits import HELD, INTEGER, ITEMS, LABELS, NAME, PAGE, PRIORITY, REASON, SECONDS, TEXT

_HEX32 = {"pattern": "^[0-9a-f]{32}$"}

Key = Annotated[str, Meta(min_length=32, max_length=32, description="key of a task: 32 lower-case hex digits", extra_json_schema=_HEX32)]
Session = Annotated[
    str, Meta(min_length=32, max_length=32, description="life of a worker process: 32 lower-case hex digits", extra_json_schema=_HEX32)
]
Name = Annotated[str, Meta(min_length=1, max_length=NAME, description="without control characters")]
Label = Annotated[str, Meta(max_length=NAME, description="a name that may be empty")]
Reason = Annotated[str, Meta(max_length=REASON)]
Text = Annotated[str, Meta(max_length=TEXT)]
Params = Annotated[str, Meta(max_length=256 << 10, description="canonical parameters of a task, secrets masked")]

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

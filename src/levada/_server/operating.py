"""What people ask of the host: pages, commands of operators, tokens, the audit trail."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .._wire.kinds import Answer
from .._wire.operators import Event
from .desk import Desk
from .http.port import Call

Done = Answer | bytes | None


def repeated(desk: Desk, call: Call) -> Done:
    """The answer that a repeated command had; None for a new one. Raises Refusal ``key-reused``."""
    return None


def note(desk: Desk, call: Call, answer: Answer | bytes) -> None:
    """Leave a line in the audit trail."""


def events_of(desk: Desk) -> Sequence[Event]:
    """What a drain changed, for those who watch."""
    return []


HANDLERS: dict[type, Callable[[Desk, Call], Done]] = {}

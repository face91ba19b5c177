"""Guests: clients that speak another protocol than ours, let in through routes of their own. The server knows none by name.

A protocol is opened at start, by its dotted name, where the configuration asks for it; ``process.py`` has the list. Its routes
pass the same guards as ours (name of the server, token, role, rate, limits), its handlers work at the same desk: what they
change is committed with the drain, and answered after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .._wire.kinds import Answer
from .._wire.routes import Route

if TYPE_CHECKING:
    from .desk import Desk
    from .http.port import Call
    from .members import Member

Handler = Callable[["Desk", "Call"], Answer | bytes | None]


class Guests(Protocol):
    """One protocol. All of it but ``routes`` is called from the host's thread."""

    routes: Sequence[Route]
    handlers: Mapping[type, Handler]
    """By the type of the request."""

    def load(self, members: Iterable[Member], marks: Iterable[tuple[int, str]]) -> None:
        """Learn what was kept: sessions, and marks of tasks."""
        ...

    def turn(self, desk: Desk) -> None:
        """Time has passed (each quarter of a second, about)."""
        ...

    def done(self, tasks: Iterable[int]) -> None:
        """These became done, and that was committed."""
        ...

    def forget(self, tasks: Iterable[int]) -> None:
        """These indices are free."""
        ...


def opened(module: str, host: Any) -> Guests:
    """The protocol that a module opens for a host."""
    from importlib import import_module

    guests: Guests = import_module(module).opened(host)
    return guests

"""Libraries with threads of their own, after whose first use a forked child would hang in them.

Python does not know of these threads. Who starts such a library says so here; who makes processes asks, and
starts them from nothing instead.
"""

from __future__ import annotations

_started: dict[str, None] = {}


def forbid(library: str) -> None:
    """From now on a child that is to run tasks must not be forked from this process."""
    _started[library] = None


def forbidden_by() -> tuple[str, ...]:
    """The libraries that forbid it; none: a fork is safe as far as they are concerned."""
    return tuple(_started)

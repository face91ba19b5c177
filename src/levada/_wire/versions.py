"""Which version two sides speak: the newest that both know."""

from __future__ import annotations

from collections.abc import Iterable

from .limits import BODY, EDGES, HELD, ITEMS, ROOM, TASKS, VERSIONS, WAIT
from .messages import Limits
from .problems import Refusal


def choose_version(offered: Iterable[int], spoken: Iterable[int] = VERSIONS) -> int:
    """The newest version of both sides. Raises Refusal ``wire-version``.

    >>> choose_version([1, 2, 3], spoken=[2, 3, 4])
    3
    """
    offered, spoken = set(offered), set(spoken)
    if offered & spoken:
        return max(offered & spoken)
    older = "client" if max(offered, default=0) < min(spoken) else "server"
    raise Refusal(
        "wire-version",
        f"the client speaks {_listed(offered)}, the server {_listed(spoken)}",
        hint=f"Upgrade the {older}: a server takes clients of its own version and of the one before.",
    )


def _listed(versions: Iterable[int]) -> str:
    return "version " + ", ".join(map(str, sorted(versions)[:16]))


def limits_told() -> Limits:
    """What ``HelloAnswer.limits`` says."""
    return Limits(body=BODY, tasks=TASKS, items=ITEMS, edges=EDGES, held=HELD, room=ROOM, wait=WAIT)

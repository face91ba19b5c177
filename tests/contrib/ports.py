"""Ports for the servers that tests start.

They lie below those that a system gives to outgoing connections, which could take one between the choice and the start, and each
process of a run that has several chooses from a part of its own.
"""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack

_FIRST, _PART, _PARTS = 11_000, 1_250, 8
_given: set[int] = set()


def free_port() -> int:
    """A port of loopback that is free, and that nothing of this run has been given."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many of them; those 10,000 above are free, too: SeaweedFS takes them without asking."""
    first = _FIRST + _PART * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _PARTS)
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            port = first + random.randrange(_PART)
            if port in _given:
                continue
            try:
                for number in (port, port + 10_000):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            found.append(port)
            _given.add(port)
    return found

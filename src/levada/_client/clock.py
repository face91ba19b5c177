"""The clock that leases are judged by, and the wait between two attempts to reach a server."""

from __future__ import annotations

import time

FIRST, LONGEST = 0.5, 15.0  # seconds between two attempts to reach a server
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)  # Linux


def boottime() -> float:
    """Seconds of a clock that goes on while the machine is suspended (Linux); elsewhere the monotonic one, which may not."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


def margin_of(lease: float) -> float:
    """How much earlier than the server the worker takes its lease for over, in seconds (docs/promises.md, section 3).

    Two seconds at least, and never more than a lease bears.

    >>> margin_of(60), margin_of(5), margin_of(1)
    (6.0, 2.0, 0.4)
    """
    return min(max(2.0, lease / 10), 0.4 * lease)


def backoff(failures: int, draw: float) -> float:
    """Seconds to wait after so many failures in a row (1 or more): full jitter, so that a thousand workers do not come back at once.

    draw: in [0, 1).

    >>> [backoff(n, 0.999) < most for n, most in [(1, 1), (2, 2), (5, 15), (5000, 15)]], backoff(9, 0.0)
    ([True, True, True, True], 0.5)
    """
    most: float = min(LONGEST, 2.0 * FIRST * 2 ** min(failures - 1, 10))
    return FIRST + (most - FIRST) * draw

"""How many tasks an executor wants at hand: short ones by the hundred, long ones one at a time."""

from __future__ import annotations

from .executor import TARGET_BATCH

_OVERHEAD = 10e-6
"""Seconds that a task costs beside its run(): keeps the depth of no-ops within reason."""


class Pace:
    """Learns how long tasks take. ``depth``: so many fill TARGET_BATCH; 1 at first, at most ``most``.

    It grows slowly (fourfold a batch) and falls at once: a guess too small costs a message, one too
    large makes tasks wait behind each other.

    >>> pace = Pace(most=100)
    >>> pace.note(1, 0.00001)
    >>> pace.depth
    4
    >>> pace.note(4, 2.0)
    >>> pace.depth
    1
    """

    def __init__(self, most: int) -> None:
        self.depth = 1
        self._most = most
        self._mean = 0.0

    def note(self, count: int, seconds: float) -> None:
        """So many attempts took so long together."""
        if not count:
            return
        mean = seconds / count + _OVERHEAD
        self._mean = mean if mean > self._mean else (self._mean + mean) / 2
        self.depth = max(1, min(self._most, self.depth * 4, int(TARGET_BATCH / self._mean)))

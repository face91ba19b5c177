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
        if not count or (self.depth == self._most and seconds * self._most < count * TARGET_BATCH / 2):
            return  # short ones, as before: there is nothing to learn
        mean = seconds / count + _OVERHEAD
        known = self._mean
        self._mean = mean = mean if mean > known else (known + mean) / 2
        fits, grown = int(TARGET_BATCH / mean), self.depth * 4
        self.depth = max(1, min(self._most, fits, grown))

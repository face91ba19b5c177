"""How often one destination is written to: at most so many messages in a time, then one summary. Pure: no clock."""

from __future__ import annotations

import math
from collections import deque

MOST = 20  # messages
PER = 3600.0  # seconds
TITLES = 50  # of held back messages that the summary names


class Bound:
    """What may be sent to one destination. Times are of any clock that only goes forward."""

    def __init__(self, most: int = MOST, per: float = PER) -> None:
        self.most, self.per = most, per
        self.held = 0
        self.titles: list[str] = []
        self._sent: deque[float] = deque(maxlen=most)

    def may(self, now: float) -> bool:
        """Is there room for one more? Where something is held back, the summary goes first."""
        return not self.held and self._has_room(now)

    def note(self, now: float) -> None:
        """One was sent."""
        self._sent.append(now)

    def hold(self, title: str) -> None:
        """One was not."""
        self.held += 1
        if len(self.titles) < TITLES:
            self.titles.append(title)

    def summary(self, now: float) -> tuple[int, list[str]] | None:
        """How many were held back, and titles of the first, when there is room to say so; None: nothing to say now."""
        if not self.held or not self._has_room(now):
            return None
        held, titles = self.held, self.titles
        self.held, self.titles = 0, []
        return held, titles

    def next_room(self) -> float:
        """When ``summary`` has something to say; inf: never."""
        if not self.held:
            return math.inf
        return self._sent[0] + self.per if len(self._sent) == self.most else -math.inf

    def _has_room(self, now: float) -> bool:
        return len(self._sent) < self.most or now - self._sent[0] >= self.per

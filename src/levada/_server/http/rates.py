"""How often somebody may ask. Tables are bounded: who was not seen for longest is forgotten first."""

from __future__ import annotations

ADDRESSES = 10_000
MINUTE = 60.0


class Buckets:
    """How often each name may do something: ``burst`` times at once, and ``rate`` times a second in the long run.

    A try that comes too early costs nothing. Only ``names`` names are remembered: for one more, the one that came first is
    forgotten, however lately it has asked, and has a whole burst when it comes again. Times are of one monotonic clock, in seconds.
    """

    def __init__(self, rate: float, burst: float, names: int = ADDRESSES) -> None:
        self._rate, self._burst, self._names = rate, burst, names
        self._left: dict[str, list[float]] = {}

    def take(self, name: str, now: float) -> float:
        """0 when one more is allowed, else the seconds until it will be.

        >>> bucket = Buckets(rate=2, burst=1)
        >>> bucket.take("a", 0), bucket.take("a", 0), bucket.take("b", 0), bucket.take("a", 0.5)
        (0.0, 0.5, 0.0, 0.0)
        """
        bucket = self._left.get(name)
        if bucket is None:
            bucket = self._add(name, now)
        left = min(self._burst, bucket[0] + (now - bucket[1]) * self._rate)
        bucket[1] = now
        if left < 1:
            bucket[0] = left
            return (1 - left) / self._rate
        bucket[0] = left - 1
        return 0.0

    def _add(self, name: str, now: float) -> list[float]:
        if len(self._left) >= self._names:
            del self._left[next(iter(self._left))]
        self._left[name] = bucket = [self._burst, now]
        return bucket


class Failures:
    """Wrong credentials by address. Who shows a right one is let in all the same: others of his address must not lock him out."""

    def __init__(self, limit: int, addresses: int = ADDRESSES) -> None:
        self._buckets = Buckets(limit / MINUTE, limit, addresses)

    def note(self, address: str, now: float) -> float:
        """Count one more wrong credential: 0, or the seconds that the address is told to stay away."""
        return self._buckets.take(address, now)

"""The fire times of one trigger: its calendar between its start and its end, with its jitter. Pure: who asks says the time."""

from __future__ import annotations

from hashlib import blake2b

from .._model.triggers import Trigger, instant, zone_name, zone_of
from ..triggers.calendars import US, calendar_of

LONGEST = 50 * 366 * 86400 * US


class Schedule:
    """When a trigger with a cron line, an interval or a rule fires. Times are seconds since 1970 (UTC).

    No two fire times are equal, and ``after`` never gives one that is not later than what was asked for. A fire takes
    place from the trigger's start on and before its end. What clocks do to a schedule: ``levada.triggers.calendars``. Raises
    ConfigError when its line, rule, zone, start or end cannot be.

    >>> from levada._model.triggers import Cron
    >>> Schedule(Trigger("daily", "Report", (), Cron("0 6 * * *", "Europe/Lisbon"))).after(1704067200.0)
    1704088800.0
    """

    __slots__ = ("calendar", "end", "first", "trigger")

    def __init__(self, trigger: Trigger) -> None:
        where = f"trigger {trigger.name}"
        self.trigger = trigger
        self.calendar = calendar_of(trigger.when, where)
        zone = zone_of(zone_name(trigger.when), f"{where}: zone")
        self.first = round(instant(trigger.start, zone, f"{where}: start") * US) if trigger.start else None
        self.end = round(instant(trigger.end, zone, f"{where}: end") * US) if trigger.end else None

    def after(self, at: float) -> float | None:
        """The first fire time later than ``at``; None: never again. Its jitter is not in it."""
        fire = self._after(round(at * US))
        return None if fire is None else fire / US

    def _after(self, at: int) -> int | None:
        if self.first is not None and at < self.first:
            at = self.first - 1
        fire = self.calendar.after(at)
        return None if fire is None or (self.end is not None and fire >= self.end) else fire

    def between(self, start: float, stop: float, most: int) -> list[float]:
        """Fire times later than ``start``, up to and with ``stop``: the oldest so many."""
        found: list[float] = []
        at, last = round(start * US), round(stop * US)
        while len(found) < most:
            fire = self._after(at)
            if fire is None or fire > last:
                break
            found.append(fire / US)
            at = fire
        return found

    def before(self, at: float) -> float | None:
        """The last fire time earlier than ``at``; None: there was none since the start, or in fifty years."""
        end = round(at * US)
        span = 60 * US
        while True:
            begin = end - span if self.first is None else max(end - span, self.first - 1)
            fire, last = self._after(begin), None
            while fire is not None and fire < end:
                last, fire = fire, self._after(fire)
            if last is not None:
                return last / US
            if begin > end - span or span > LONGEST:
                return None
            span *= 2

    def due(self, fire: float) -> float:
        """When a fire is to take place: its time and its jitter, which is drawn from trigger and time, so the same on every machine."""
        jitter = self.trigger.jitter
        if not jitter:
            return fire
        draw = blake2b(f"{self.trigger.name}\0{round(fire * US)}".encode(), digest_size=8).digest()
        return fire + jitter * (int.from_bytes(draw, "big") / 2**64)

    def note(self, fire: float) -> str:
        """What clocks had to do with a fire time, for people: that its own was skipped, or is one of two; else ""."""
        return self.calendar.note(round(fire * US))

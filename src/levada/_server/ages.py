"""When each task was last touched, in hours: what tells which ones need not be remembered any more."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from .._core import changes as ch
from .._model.spec import Index

AGES = "host.ages"
"""Its part of a snapshot: parts that begin with ``host.`` are the host's, not the brain's."""

HOUR = 3600.0


class Ages:
    """Hours since 1970 by index; 0 for a place that is free. Read from a snapshot, unknown ones count as touched now."""

    def __init__(self, saved: bytes | None, now: float, size: int) -> None:
        self._hours = array("i")
        self._hours.frombytes(saved or b"")
        self._hours.extend([int(now / HOUR)] * (size - len(self._hours)))
        self._cursor = 0

    def to_bytes(self) -> bytes:
        """What the constructor reads."""
        return self._hours.tobytes()

    def note(self, changes: Sequence[ch.Change], now: float) -> None:
        """These changes are of now (seconds since 1970)."""
        hour = int(now / HOUR)
        for change in changes:
            if isinstance(change, (ch.Finished, ch.TasksShared)):
                self._touch(change.tasks, hour)
            elif isinstance(change, ch.TasksAdded):
                self._touch([spec.index for spec in change.tasks], hour)
            elif isinstance(change, (ch.Ended, ch.StartedOver, ch.BecameCancelled)):
                self._touch((change.task,), hour)

    def _touch(self, tasks: Sequence[Index], hour: int) -> None:
        hours = self._hours
        if tasks and (end := max(tasks)) >= len(hours):
            hours.extend([hour] * (end + 1 - len(hours)))
        for index in tasks:
            hours[index] = hour

    def older_than(self, moment: float, most: int) -> list[Index]:
        """Tasks of the next ``most`` places that were last touched before a moment (seconds since 1970)."""
        hours, limit = self._hours, int(moment / HOUR)
        if not hours:
            return []
        start = self._cursor if self._cursor < len(hours) else 0
        self._cursor = start + most
        return [index for index, hour in enumerate(hours[start : start + most], start) if 0 < hour < limit]

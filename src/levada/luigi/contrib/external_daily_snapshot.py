"""``luigi.contrib.external_daily_snapshot``: the newest of the snapshots that others make, a day each."""

from __future__ import annotations

import datetime
import logging
from typing import Any, ClassVar

from levada.params import DateParameter
from levada.task import ExternalTask

logger = logging.getLogger("luigi-interface")


class ExternalDailySnapshot(ExternalTask):
    """A snapshot of a day. `latest` finds the newest."""

    date = DateParameter()
    _found: ClassVar[list[tuple[Any, Any]]] = []

    @classmethod
    def latest(cls, *args: Any, **kwargs: Any) -> Any:
        """The newest snapshot that is there, of ``date`` (today) or up to ``lookback`` (14) days in all; the oldest of these when none is.

        The same for the same arguments as long as the process lives: ``requires`` that ask for it must not change while a graph is built.
        """
        day, lookback = kwargs.pop("date", datetime.date.today()), kwargs.pop("lookback", 14)
        if lookback < 1:
            raise ValueError(f"lookback is {lookback!r}, expected 1 day or more")
        asked = (cls, args, kwargs, lookback, day)
        for known, found in ExternalDailySnapshot._found:
            if known == asked:
                return found
        found = cls._newest(day, lookback, args, kwargs)
        ExternalDailySnapshot._found.append((asked, found))
        return found

    @classmethod
    def _newest(cls, day: datetime.date, lookback: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        make: Any = cls
        days = (day - datetime.timedelta(back) for back in range(lookback))
        task = None
        for task in (make(*args, date=each, **kwargs) for each in days):
            if task.complete():
                return task
        logger.debug("no snapshot of %s in the %d days before %s", cls.__name__, lookback, day)
        return task

"""``luigi.date_interval``: days in a row. The classes are those of ``levada.params``."""

from __future__ import annotations

from ..params.intervals import Custom as Custom
from ..params.intervals import Date as Date
from ..params.intervals import DateInterval as DateInterval
from ..params.intervals import Month as Month
from ..params.intervals import Week as Week
from ..params.intervals import Year as Year

__all__ = ["Custom", "Date", "DateInterval", "Month", "Week", "Year"]

"""The first program as it runs unattended: dumps that others leave, and their counts over windows of days.

``DUMPS`` names the place: a folder, or ``s3://bucket``. Each attempt notes itself in ``ran.log`` beside this file.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator

import levada as lv

PLACE = os.environ.get("DUMPS", "dumps")
LAST = datetime.date(2030, 1, 20)
DAYS, WINDOWS = 10, (3, 7, 14)
RAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ran.log")


class DataDump(lv.ExternalTask):
    """A day's dump, a line each; others bring it."""

    day: datetime.date

    def output(self) -> lv.FileTarget:
        return lv.FileTarget(f"{PLACE}/in/{self.day}.csv")


class Aggregation(lv.Task):
    """How many lines came in the ``window`` days that end on ``day``."""

    day: datetime.date
    window: int

    def requires(self) -> list[DataDump]:
        return [DataDump(day=self.day - datetime.timedelta(back)) for back in range(self.window)]

    def output(self) -> lv.FileTarget:
        return lv.FileTarget(f"{PLACE}/out/{self.day}-{self.window}.txt")

    def run(self) -> None:
        log = os.open(RAN, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, f"{self.day}-{self.window} {os.getpid()}\n".encode())
        os.close(log)
        lines = sum(len(dump.read_text().splitlines()) for dump in self.input())
        self.output().write_text(f"{lines}\n")


class RunAll(lv.Task):
    """Makes nothing itself; wants all the counts."""

    def requires(self) -> Iterator[Aggregation]:
        for window in WINDOWS:
            for back in range(DAYS):
                yield Aggregation(day=LAST - datetime.timedelta(back), window=window)

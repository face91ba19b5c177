"""The demo's tasks: delays by carrier over windows of days, and a report a window.

    levada run --module examples.flights.pipeline RunAll --last-day 2013-01-31

wants ten days' aggregations over 3, 7 and 14 days, and three reports. The raw data is what
``python -m examples.flights.fetch`` drops. Everything made lies under ``demo-out``; running again makes
the same bytes. All paths are relative to the folder that levada was started in, see ``Places``.

What only ``run`` needs is imported there: a run that finds nothing to do, each minute, does not pay for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import levada as lv

WINDOWS = (3, 7, 14)
DAYS = 10


class Places(lv.Config):
    """Where the files lie: ``--Places-out elsewhere``, or ``[params.Places]`` in levada.toml."""

    dump: str = lv.param(default="demo-data/dump", help="folder of the external drop")
    out: str = lv.param(default="demo-out", help="folder for all that is made")


class FlightsOfDay(lv.ExternalTask):
    """The flights that left New York on a day, as another system drops them."""

    day: date

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{Places().dump}/{self.day}.csv")


class CarrierNames(lv.ExternalTask):
    """The carriers' names by their code, from the same drop."""

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{Places().dump}/carriers.csv")


class DelaysByCarrier(lv.Task):
    """Flights, cancellations and mean delays (minutes) by carrier, over the days of a window."""

    day: date = lv.param(help="last day of the window")
    window: int = lv.param(help="days, the last one included")

    def requires(self) -> list[FlightsOfDay]:
        return [FlightsOfDay(day=self.day - timedelta(back)) for back in range(self.window)]

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{Places().out}/delays/{self.day}-{self.window}.csv")

    def run(self) -> None:
        from . import delays

        sums: dict[str, delays.Sums] = {}
        for flights in self.input():
            delays.add_day(flights.lines(), sums)
        with self.output().open("w") as out:  # takes its place only if the block ends well
            delays.write_table(out, delays.table(sums))


class WindowReport(lv.Task):
    """How the delays of one window length moved over ten days: a table and a chart."""

    last_day: date
    window: int

    def requires(self) -> dict[str, lv.Task | dict[date, DelaysByCarrier]]:
        days = [self.last_day - timedelta(back) for back in range(DAYS)]
        return {"carriers": CarrierNames(), "delays": {day: DelaysByCarrier(day=day, window=self.window) for day in days}}

    def output(self) -> lv.FolderTarget:
        return lv.FolderTarget(f"{Places().out}/reports/{self.last_day}-{self.window}")

    def run(self) -> None:
        from pathlib import Path

        from . import delays, report

        tables = {day: delays.read_table(target.lines()) for day, target in self.input()["delays"].items()}
        names = report.read_names(self.input()["carriers"].lines())
        with self.output().writing() as folder:  # appears with both files or not at all
            Path(folder, "chart.svg").write_text(report.draw(self.window, tables, names), encoding="utf-8")
            Path(folder, "report.md").write_text(report.write(self.window, tables, names, "chart.svg"), encoding="utf-8")


class RunAll(lv.WrapperTask):
    """All aggregations and all reports of the ten days that end on ``last_day``."""

    last_day: date

    def requires(self) -> Iterator[lv.Task]:
        for window in WINDOWS:
            for back in range(DAYS):
                yield DelaysByCarrier(day=self.last_day - timedelta(back), window=window)
            yield WindowReport(last_day=self.last_day, window=window)

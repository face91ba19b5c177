"""A day's flights into a table, and the delays by carrier back out of it.

    levada run --module examples.flights.tables DelaysOfDay --day 2013-01-05

Over the drop of the demo (``python -m examples.flights.fetch``), into ``demo-flights.db``: another URL, with
``--Database-url postgresql://USER@HOST/DATABASE``, and it is another database. Needs ``levada[sql]``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import date

import levada as lv
from levada.contrib.sql import CopyToTable, query

from . import delays
from .pipeline import FlightsOfDay, Places


class Database(lv.Config):
    """Where the tables are."""

    url: str = lv.param(default="sqlite:///demo-flights.db", help="as SQLAlchemy spells it")


class FlightsTable(CopyToTable):
    """The flights of a day, as rows of the table of all days."""

    day: date

    table = "flights"
    columns = [("day", "DATE"), ("carrier", "VARCHAR(2)"), ("departure", "INTEGER"), ("arrival", "INTEGER")]
    null_values = delays.NOT_KNOWN

    @property
    def url(self) -> str:  # type: ignore[override]  # computed when it is needed
        return Database().url

    def requires(self) -> FlightsOfDay:
        return FlightsOfDay(day=self.day)

    def rows(self) -> Iterator[list[str]]:
        for flight in csv.DictReader(self.input().lines()):
            yield [str(self.day), flight["carrier"], flight["dep_delay"], flight["arr_delay"]]


class DelaysOfDay(lv.Task):
    """Flights, cancellations and mean delays (minutes) by carrier, computed by the database."""

    day: date

    def requires(self) -> FlightsTable:
        return FlightsTable(day=self.day)

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{Places().out}/delays/{self.day}-by-sql.csv")

    def run(self) -> None:
        with self.output().open("w") as out:
            delays.write_table(out, self._rows())

    def _rows(self) -> Iterable[delays.Row]:
        sums = """
            select carrier, count(*), count(departure), coalesce(sum(departure), 0), count(arrival), coalesce(sum(arrival), 0)
            from flights where day = :day group by carrier order by carrier"""
        for carrier, flights, departed, departure, arrived, arrival in query(Database().url, sums, {"day": str(self.day)}):
            departure_mean, arrival_mean = delays.mean(int(departure), departed), delays.mean(int(arrival), arrived)
            yield delays.Row(carrier, flights, flights - departed, departure_mean, arrival_mean)

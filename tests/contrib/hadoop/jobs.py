"""Jobs that tests run, here and on the cluster; their module travels to the nodes."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterable, Iterator
from datetime import date

import levada as lv
from levada.contrib.hadoop import HadoopJobTask


class Given(lv.ExternalTask):
    """What lies at a URL."""

    url: str

    def output(self) -> lv.FileTarget:
        return lv.FileTarget(self.url)


class Counted(HadoopJobTask):
    """Words of a text, and how often each is in it."""

    text: str
    into: str
    note: str = ""

    n_reduce_tasks = 2

    def requires_hadoop(self) -> Given:
        return Given(url=self.text)

    def output(self) -> lv.FileTarget:
        return lv.FileTarget(self.into)

    def mapper(self, line: str) -> Iterator[tuple[str, int]]:
        for word in line.split():
            self.incr_counter("words", "read")
            yield word, 1

    def combiner(self, word: str, counts: Iterable[int]) -> Iterator[tuple[str, int]]:
        yield word, sum(counts)

    def reducer(self, word: str, counts: Iterable[int]) -> Iterator[tuple[str, int]]:
        yield word, sum(counts)


class DelayByCarrier(HadoopJobTask):
    """Flights and minutes of departure delay by the carrier's name and day: a join of the flights with the carriers' names."""

    flights: str
    carriers: str
    into: str

    n_reduce_tasks = 1

    def requires_hadoop(self) -> Given:
        return Given(url=self.flights)

    def requires_local(self) -> Given:
        return Given(url=self.carriers)

    def output(self) -> lv.FileTarget:
        return lv.FileTarget(self.into)

    def init_local(self) -> None:
        with self.input_local().open() as lines:
            self.names = {row["carrier"]: row["name"] for row in csv.DictReader(lines)}

    def mapper(self, line: str) -> Iterator[tuple[tuple[str, date], tuple[int, int]]]:
        fields = line.rstrip("\n").split(",")
        if fields[0] == "year":
            self.header = fields
            return
        year, month, day, delay, carrier = (fields[at] for at in (0, 1, 2, 5, 9))
        if delay not in ("", "NA"):
            yield (self.names[carrier], date(int(year), int(month), int(day))), (1, int(delay))

    def reducer(self, key: tuple[str, date], values: Iterable[tuple[int, int]]) -> Iterator[tuple[str, str, int, int]]:
        flights = minutes = 0
        for count, delay in values:
            flights, minutes = flights + count, minutes + delay
        name, day = key
        yield name, day.isoformat(), flights, minutes


class Copied(HadoopJobTask):
    """Lines as they are: no reducer."""

    text: str
    into: str

    def requires_hadoop(self) -> Given:
        return Given(url=self.text)

    def output(self) -> lv.FileTarget:
        return lv.FileTarget(self.into)

    def mapper(self, line: str) -> Iterator[tuple[str, ...]]:
        yield (line.removesuffix("\n"),)


class Failing(Copied):
    """Its mapper raises."""

    def jobconfs(self) -> list[str]:
        return [*super().jobconfs(), "mapreduce.map.maxattempts=1"]

    def mapper(self, line: str) -> Iterator[tuple[str, ...]]:
        raise ValueError(f"no number: {line!r}")


class Slow(Copied):
    """Its mapper sleeps on each line."""

    seconds_a_line: int = 60

    def mapper(self, line: str) -> Iterator[tuple[str, ...]]:
        time.sleep(self.seconds_a_line)
        yield ("awake",)


class Where(Copied):
    """Where the code lies that runs, what is in an extra file, and a variable."""

    extra: str

    def extra_files(self) -> list[tuple[str, str]]:
        return [(self.extra, "extra ä.txt")]

    def environment(self) -> dict[str, str]:
        return {"LEVADA_TEST_NAME": "Ä b"}

    def mapper(self, line: str) -> Iterator[tuple[str, ...]]:
        with open("extra ä.txt", encoding="utf-8") as file:
            yield lv.__file__, file.read(), os.environ["LEVADA_TEST_NAME"]

"""Luigi's spelling: a parameter is an object in the class body, and gives the attribute its type.

A checker cannot know the constructor of such a class; the annex declares an open one.
"""

from __future__ import annotations

import datetime
from typing import assert_type

import levada.luigi as luigi


class Dump(luigi.ExternalTask):
    date = luigi.DateParameter()

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(self.date.strftime("dump/%Y-%m-%d.txt"))


class Sums(luigi.Task):
    date = luigi.DateParameter()
    window = luigi.IntParameter(default=7)
    ratio = luigi.FloatParameter(default=0.5)
    shop = luigi.Parameter(default="all")
    flag = luigi.BoolParameter()

    def requires(self) -> list[Dump]:
        return [Dump(self.date - datetime.timedelta(i)) for i in range(self.window)]

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(f"sums/{self.date}-{self.window}.txt")

    def run(self) -> None:
        with self.output().open("w") as out:
            out.write("1\n")


sums = Sums(datetime.date(2013, 1, 5), 3)
Sums(date=datetime.date(2013, 1, 5), window=3, flag=True)
assert_type(sums.date, datetime.date)
assert_type(sums.window, int)
assert_type(sums.ratio, float)
assert_type(sums.shop, str)
assert_type(sums.flag, bool)

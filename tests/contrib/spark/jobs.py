"""Applications of the tests. Run as a module of their own, in a folder that has this file alone: it must bring its code itself."""

from __future__ import annotations

import os
from datetime import date, timedelta

import levada as lv
from examples.flights.pipeline import CarrierNames, FlightsOfDay, Places
from levada.contrib.spark import PySparkTask, SparkSubmitTask

QUICK = {"spark.ui.enabled": False, "spark.sql.shuffle.partitions": 2, "spark.default.parallelism": 2}


class Text(lv.ExternalTask):
    path: str

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(self.path)


class WordCount(PySparkTask):
    """How often each word stands in a text."""

    path: str
    conf = QUICK
    py_packages = ("examples",)

    def requires(self) -> Text:
        return Text(path=self.path)

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"out/{self.path}.counts")

    def main(self, sc, *args):  # type: ignore[no-untyped-def]
        lines = sc.textFile(f"file://{os.path.abspath(self.input().path)}")
        counts = lines.flatMap(words_of).map(lambda word: (word, 1)).reduceByKey(lambda one, other: one + other)
        with self.output().open("w") as out:
            out.writelines(f"{word}\t{count}\n" for word, count in sorted(counts.collect()))


def words_of(line: str) -> list[str]:
    return line.split()


class DelaysByName(PySparkTask):
    """Flights and minutes of delay by carrier over a window: a join of the flights with the carriers' names."""

    day: date
    window: int
    conf = QUICK
    session = True
    py_packages = ("examples",)

    def requires(self) -> dict[str, object]:
        return {"names": CarrierNames(), "flights": [FlightsOfDay(day=self.day - timedelta(back)) for back in range(self.window)]}

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{Places().out}/{self.day}-{self.window}.csv")

    def main(self, spark, *args):  # type: ignore[no-untyped-def]
        read = spark.read.option("header", True).option("nullValue", "NA")
        flights = read.csv([f"file://{os.path.abspath(target.path)}" for target in self.input()["flights"]])
        names = read.csv(f"file://{os.path.abspath(self.input()['names'].path)}")
        sums = flights.groupBy("carrier").agg({"*": "count", "dep_delay": "sum", "arr_delay": "sum"}).join(names, "carrier")
        rows = sums.select("carrier", "name", "count(1)", "sum(dep_delay)", "sum(arr_delay)").orderBy("carrier").collect()
        with self.output().open("w") as out:
            out.writelines(f"{code}|{name}|{count}|{departure:.0f}|{arrival:.0f}\n" for code, name, count, departure, arrival in rows)


class Fails(PySparkTask):
    """Raises in an executor, or in the driver."""

    where: str
    conf = QUICK
    session = True
    py_packages = ("examples",)

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget("never")

    def main(self, spark, *args):  # type: ignore[no-untyped-def]
        if self.where == "driver":
            raise LookupError("no flights in the drop")
        spark.sparkContext.parallelize([1, 2], 2).map(lambda number: number // 0).collect()


class Slow(PySparkTask):
    """Says that it runs, and goes on when it is told so."""

    title: str
    secret: str = lv.param(default="", secret=True, significant=False)
    conf = {**QUICK, "spark.cores.max": 1, "spark.executor.memory": "512m"}
    driver_memory = "512m"
    py_packages = ("examples",)
    session = True

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(os.path.join(os.environ["SLOW_HERE"], f"{self.title}.done"))

    def app_options(self) -> list[str]:
        return [os.environ["SLOW_HERE"], "ein Wort — und 'noch' eins"]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "SLOW_HERE": os.environ["SLOW_HERE"], "SPARK_LOCAL_IP": "127.0.0.1"}

    def main(self, spark, here, word):  # type: ignore[no-untyped-def]
        import time

        with open(os.path.join(here, "ran"), "a", encoding="utf-8") as ran:
            ran.write(f"{self.title}\n")
        while not os.path.exists(os.path.join(here, "go")):
            time.sleep(0.1)
        total = spark.sparkContext.parallelize(range(10), 2).sum()
        self.output().write_text(f"{total} {word} {self.secret}")


class SlowShown(Slow):
    """The same, with Spark's page."""

    conf = {**Slow.conf, "spark.ui.enabled": True, "spark.ui.port": 0}


class SlowInCluster(Slow):
    """The same, with its driver in the cluster."""

    deploy_mode = "cluster"
    pyspark_python = os.environ.get("PYSPARK_PYTHON")


class FailsInCluster(Fails):
    """The same, with its driver in the cluster."""

    deploy_mode = "cluster"
    driver_memory = "512m"
    conf = {**QUICK, "spark.cores.max": 1, "spark.executor.memory": "512m"}
    pyspark_python = os.environ.get("PYSPARK_PYTHON")

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "SPARK_LOCAL_IP": "127.0.0.1"}


class Echo(SparkSubmitTask):
    """A plain application, which knows nothing of Levada."""

    words: tuple[str, ...]
    app = "echo.py"

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget("echoed")

    def app_options(self) -> list[str]:
        return [self.partial(self.output()), *self.words]

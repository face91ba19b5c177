"""A program in Luigi's spelling, as it would run there: only the import names another engine.

Gauges along a water channel send their readings to a cluster, a file a day. For each of the last ten
days we count the readings of the 3, 7 and 14 days before. Each run makes what is missing:

    python examples/aggregation.py
    levada run --module examples.aggregation RunAll

Without a cluster, ``local_root`` in section ``[hdfs]`` of ``levada.toml`` (or ``LEVADA_HDFS__LOCAL_ROOT``)
names a folder that stands for the root of ``hdfs://``.
"""

# Old programs have no annotations. Type checkers know their constructors under `import levada.luigi as luigi`.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, call-arg"
# pyright: reportCallIssue=false

import datetime

import levada as luigi


class GaugeReadings(luigi.ExternalTask):
    """A day's readings, a line each; the gauges put them there."""

    date = luigi.DateParameter()

    def output(self):
        return luigi.hdfs.HdfsTarget(self.date.strftime("/gauges/readings/%Y-%m-%d.txt"))


class CountReadings(luigi.Task):
    """How many readings came in the ``window`` days that end on ``date``."""

    date = luigi.DateParameter()
    window = luigi.IntParameter()

    def requires(self):
        return [GaugeReadings(self.date - datetime.timedelta(back)) for back in range(self.window)]

    def run(self):
        count = 0
        for readings in self.input():
            with readings.open("r") as lines:
                count += sum(1 for _ in lines)
        with self.output().open("w") as out:
            out.write(f"{count}\n")

    def output(self):
        return luigi.hdfs.HdfsTarget(f"/gauges/counts/{self.date}-{self.window}")


class RunAll(luigi.Task):
    """Makes nothing itself; wants all the counts."""

    def requires(self):
        for window in [3, 7, 14]:
            for back in range(10):
                yield CountReadings(datetime.date.today() - datetime.timedelta(back), window)


if __name__ == "__main__":
    luigi.run(main_task_cls=RunAll)

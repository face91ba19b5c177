"""The driver of a ``PySparkTask``: ``spark-submit pyspark_runner.py TASK [ARGUMENT...]``, where TASK is the file that the task wrote."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path.append(sys.path.pop(0))  # the folder of this file, whose modules would hide those that they are named after

from levada.handover.shipping import task_of
from levada.luigi.contrib._settings import flag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def context_entry_point(conf: Any) -> Iterator[tuple[Any, Any]]:
    """A SparkContext, twice, which ends with the block."""
    from pyspark import SparkContext  # type: ignore[import-not-found, unused-ignore]  # Spark's Python has it

    sc = SparkContext(conf=conf)
    try:
        yield sc, sc
    finally:
        sc.stop()


@contextmanager
def session_entry_point(conf: Any) -> Iterator[tuple[Any, Any]]:
    """A SparkSession and its context, which end with the block. Raises RuntimeError for Spark 1, which has none."""
    from pyspark import __version__  # type: ignore[import-not-found, unused-ignore]
    from pyspark.sql import SparkSession  # type: ignore[import-not-found, unused-ignore]

    if int(__version__.split(".")[0]) < 2:
        raise RuntimeError(f"Spark {__version__} has no SparkSession: set [pyspark_runner] use_spark_session to false, or update Spark")
    spark = SparkSession.builder.config(conf=conf).enableHiveSupport().getOrCreate()
    try:
        yield spark, spark.sparkContext
    finally:
        spark.stop()


class _Runner:
    """Runs the task of a file."""

    _entry_point: Callable[[Any], AbstractContextManager[tuple[Any, Any]]]

    def __init__(self, job: str, *args: str) -> None:
        folder = os.path.dirname(job)
        sys.path.append(folder)  # the task's module lies beside it
        with open(job, encoding="utf-8") as file:
            self.job = task_of(json.load(file))
        if not self.job.run_path:
            self.job.run_path = tempfile.mkdtemp()
        self.args = args

    def run(self) -> None:
        """Make the context, and call ``main``."""
        from pyspark import SparkConf  # type: ignore[import-not-found, unused-ignore]

        conf = SparkConf()
        self.job.setup(conf)
        with type(self)._entry_point(conf) as (entry_point, sc):
            self.job.setup_remote(sc)
            self.job.main(entry_point, *self.args)


class PySparkRunner(_Runner):
    """With a SparkContext."""

    _entry_point = staticmethod(context_entry_point)


class PySparkSessionRunner(_Runner):
    """With a SparkSession."""

    _entry_point = staticmethod(session_entry_point)


def main(arguments: list[str]) -> None:
    """Run the task of a command line, with the kind of entry that ``[pyspark_runner] use_spark_session`` says."""
    logging.basicConfig(level=logging.WARNING)
    kind = PySparkSessionRunner if flag("pyspark_runner", "use_spark_session") else PySparkRunner
    kind(*arguments).run()


if __name__ == "__main__":
    main(sys.argv[1:])

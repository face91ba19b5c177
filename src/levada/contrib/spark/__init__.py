"""Spark: `SparkSubmitTask` for applications, `PySparkTask` for those written as a method, and the engine behind ``spark``.

Applications are handed over by Spark's own ``spark-submit``, which the wing finds; nothing of Spark is imported by a worker.
"""

from __future__ import annotations

from .task import PySparkTask, SparkSubmitTask

__all__ = ["PySparkTask", "SparkSubmitTask"]

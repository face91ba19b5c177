"""Hadoop MapReduce: `HadoopJobTask` (mapper and reducer in Python), `HadoopJarJobTask`, and the engine ``hadoop`` behind both.

Submitting needs Hadoop's own command (HADOOP_HOME) and Java; all else is asked over HTTP. Without a cluster a job runs in this
process: ``[hadoop] local = true``.
"""

from __future__ import annotations

from .jar import HadoopJarJobTask
from .local import LocalJobRunner
from .task import BaseHadoopJobTask, HadoopJobTask

JobTask = HadoopJobTask  # Luigi's name

__all__ = ["BaseHadoopJobTask", "HadoopJarJobTask", "HadoopJobTask", "JobTask", "LocalJobRunner"]

"""The driver of a `PySparkTask`: builds the task from its texts, a session for it, and calls its ``main``.

    spark-submit ... run.py ENTRY [ARGUMENT ...]

Runs in Spark's Python, with the archive of the task's code on its path; it is the only module of the wing that imports pyspark.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
import traceback
from typing import Any

from levada.errors import FROM_USERS

SECRETS = "LEVADA_SPARK_SECRETS"
"""Variable with the secret parameters (JSON), which are not on the command line."""

URL_MARK = "levada: the application is shown at "
"""Begins the line by which the driver tells where people see it."""


def main() -> None:
    """Run the task of the command line. The exit status is 1, and a traceback is the last that is said, when it fails."""
    entry, arguments = json.loads(sys.argv[1]), sys.argv[2:]
    secrets = json.loads(os.environ.pop(SECRETS, "{}"))
    threading.Thread(target=end_with, args=(os.getppid(),), name="levada-watch", daemon=True).start()
    try:
        _configure()
        task = _task_of(entry, secrets)
        _run(task, arguments)
    except SystemExit as leave:
        if leave.code not in (None, 0):
            raise
    except FROM_USERS as fault:
        sys.stdout.flush()
        sys.stderr.write(told(fault))
        sys.stderr.flush()
        sys.exit(1)


def end_with(parent: int) -> None:
    """End this process when the one that started it has ended: Spark kills the Java part of a driver, and this one would go on."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _configure() -> None:
    """The settings of the folder that the driver runs in, and of its environment."""
    from levada.config import use
    from levada.config.settings import load
    from levada.task import set_value_source

    settings = load(dict(os.environ), os.getcwd())
    use(settings)
    set_value_source(settings.parameter)


def _task_of(entry: dict[str, Any], secrets: dict[str, str]) -> Any:
    from levada.handover.shipping import task_of
    from levada.targets.atomic import set_tag

    task = task_of(entry, secrets)
    task._fence = fence = os.environ.get("LEVADA_FENCE", "")
    task.submission = os.environ.get("LEVADA_SUBMISSION", "")
    if fence:
        set_tag(entry["key"][:8], fence)
    return task


def _run(task: Any, arguments: list[str]) -> None:
    from pyspark import SparkConf  # type: ignore[import-not-found, unused-ignore]  # Spark's Python has it
    from pyspark.sql import SparkSession  # type: ignore[import-not-found, unused-ignore]

    conf = SparkConf()
    task.setup(conf)
    spark = SparkSession.builder.config(conf=conf).getOrCreate()
    try:
        context = spark.sparkContext
        if context.uiWebUrl:
            sys.stderr.write(f"{URL_MARK}{context.uiWebUrl}\n")
        task.setup_remote(context)
        task.main(spark if task.session else context, *arguments)
    finally:
        spark.stop()


def told(fault: BaseException) -> str:
    """The traceback of the user's code, without Java's stacks, and the one of an executor where that is the cause.

    >>> print(told(ValueError("no flights")), end="")
    ValueError: no flights
    """
    lines = "".join(traceback.format_exception(fault)).splitlines(keepends=True)
    return "".join(line for line in lines if not _OF_JAVA.match(line))


_OF_JAVA = re.compile(r"\s+at [\w.$<>/]+\(|\s*\.\.\. \d+ more$|Driver stacktrace:$")

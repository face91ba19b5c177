"""From a `HadoopJobTask` to the words of Hadoop Streaming."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from levada.config import setting
from levada.errors import JobRefused
from levada.handover.book import state
from levada.task import flatten

from . import outputs, places, shipping

if TYPE_CHECKING:
    from .task import HadoopJobTask

CODE = "levada-code"  # folder of a container in which the code lies


def arguments(task: HadoopJobTask, output: str) -> list[str]:
    """What is to be read, written and run. output: the folder that the job makes. Raises JobRefused."""
    program = f"{task.node_python or places.python()} -m levada.contrib.hadoop.runner"
    words = ["streaming"]
    for url in _inputs(task):
        words += ["-input", url]
    words += ["-output", with_name_node(output), "-mapper", f"{program} map", "-cmdenv", f"PYTHONPATH={CODE}"]
    if task.has("reducer"):
        words += ["-reducer", f"{program} reduce"]
    for name, value in task.extra_streaming_arguments():
        words += [f"-{name.lstrip('-')}", value]
    return words


def options(task: HadoopJobTask) -> dict[str, Any]:
    """Properties of the job, and what the nodes get."""
    code = shipping.archive(task, os.path.join(state(), "code"))
    extra = [f"{path}#{there}" for there, (path, _) in shipped(task).items()]
    files = len(task.extra_files())
    return {
        "jobconf": {**_layout(task), **task._jobconf()},
        "texts": {shipping.TASK_FILE: shipping.describe(task, {there: name for there, (_, name) in shipped(task).items()})},
        "files": extra[:files],
        "archives": [f"{code}#{CODE}", *extra[files:]],
        **task._programs(),
    }


def _layout(task: HadoopJobTask) -> dict[str, str]:
    """Lines reach the mapper as they are in the files, byte by byte; in what is written carriage returns end lines, too."""
    phase = "reduce" if task.has("reducer") else "map"
    return {
        "mapreduce.job.reduces": str(task.n_reduce_tasks if task.has("reducer") else 0),
        "textinputformat.record.delimiter": "\n",
        f"stream.{phase}.output": "keyonlytext",  # else a line without a tab gets one at its end
    }


def _inputs(task: HadoopJobTask) -> Iterable[str]:
    found = [outputs.url_of(target, task) for target in flatten(task.input_hadoop())]
    if not found:
        raise JobRefused(f"{task}: the job has nothing to read", hint="requires() names tasks whose outputs are in HDFS.")
    for url in found:
        if "://" not in url:
            raise JobRefused(
                f"{task}: {url}: is a local file, which the nodes cannot read", hint="Copy it to HDFS, or name it in extra_files()."
            )
        yield literal(with_name_node(url))


def with_name_node(url: str) -> str:
    """The URL for Hadoop: of those without a name node, ``[hdfs] namenode`` says it to Levada, and is not known there."""
    if not url.startswith("hdfs:///"):
        return url
    named = str(setting("hdfs", "namenode") or "").removeprefix("hdfs://").rstrip("/")
    return f"hdfs://{named}{url[7:]}"


def literal(url: str) -> str:
    """A path as Hadoop takes it, which reads some characters as patterns and a comma as the end of a path.

    >>> print(literal("hdfs://nn/a [b]*.txt"))
    hdfs://nn/a \\[b\\]\\*.txt
    """
    if "," in url:
        raise JobRefused(f"{url}: Hadoop Streaming takes a comma for the end of a path", hint="Give the file or its folder another name.")
    return re.sub(r"([\\*?\[\]{}^])", r"\\\1", url)


def shipped(task: HadoopJobTask) -> dict[str, tuple[str, str]]:
    """What the nodes get, by the plain name that Hadoop lets through: path or URL, and the name that the author wants."""
    given = [*task.extra_files(), *task.extra_archives()]
    return {f"levada-{number}": named(one) for number, one in enumerate(given)}


def named(one: Any) -> tuple[str, str]:
    """Path or URL, and name there, of what ``extra_files`` or ``extra_archives`` gave.

    >>> named("/a/b.txt"), named(("/a/b.txt", "c d.txt")), named("hdfs://nn/a.zip#data")
    (('/a/b.txt', 'b.txt'), ('/a/b.txt', 'c d.txt'), ('hdfs://nn/a.zip', 'data'))
    """
    path, name = one if isinstance(one, tuple) else (one, "")
    path, _, mark = os.fspath(path).partition("#")
    return path, name or mark or path.rstrip("/").rpartition("/")[2]

"""A job in this process: map, sort, reduce. For tests and desks; the files of one map and one reduce."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from levada.targets.atomic import current_tag
from levada.targets.folder import FolderTarget
from levada.targets.stores import LocalStore, open_store
from levada.task import flatten

from . import outputs, records, shipping
from .counters import Counters

if TYPE_CHECKING:
    from levada._model.ports import Store

    from .task import HadoopJobTask

log = logging.getLogger("levada.jobs")
PART = "part-00000"
_HIDDEN = ("_", ".")  # names with which Hadoop, too, passes files over


class LocalJobRunner:
    """Runs jobs in this process; all between map and reduce is kept in memory.

    A subclass may take lines from elsewhere, and put the output elsewhere.
    """

    def run_job(self, task: HadoopJobTask) -> dict[str, int]:
        """Run it, and give its output its name; what it counted, by "group/name"."""
        shipping.prepare(task)
        return self.run_prepared(task)

    def run_prepared(self, task: HadoopJobTask) -> dict[str, int]:
        """The same, where ``init_local`` was called before."""
        counters = vars(task)["_counting"] = Counters(told=False)
        with self.output(task) as out:
            self._run(task, out)
        counts = {f"{group}/{name}": count for (group, name), count in sorted(counters.sums.items())}
        for name, count in counts.items():
            log.info("%s: counted %s: %d", task, name, count)
        return counts

    def lines(self, task: HadoopJobTask) -> Iterator[str]:
        """The lines of all inputs, each with its end, as Hadoop gives them."""
        return _lines(task)

    def output(self, task: HadoopJobTask) -> AbstractContextManager[IO[str]]:
        """Where the records go; it appears if the block ends well."""
        return _output(task)

    def _run(self, task: HadoopJobTask, out: IO[str]) -> None:
        lines, ended = self.lines(task), cast("IO[str]", _Ended(out))
        if not task.has("reducer"):
            task.run_mapper(lines, ended)
            return
        pairs = io.StringIO(newline="\n")
        task.run_mapper(lines, pairs)
        pairs.seek(0)
        task.run_reducer(sorted(pairs, key=records.key_of), ended)


class _Ended:
    """A stream that ends lines where Hadoop Streaming ends them: at carriage returns, too."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def write(self, text: str) -> int:
        return self._out.write(re.sub("\r\n?", "\n", text))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)


def _lines(task: HadoopJobTask) -> Iterator[str]:
    """The lines of all inputs, each with its end, as Hadoop gives them."""
    for target in flatten(task.input_hadoop()):
        for stream in _files(target, task):
            with records.as_lines(stream) as text:
                for line in text:
                    yield line if line.endswith("\n") else f"{line}\n"


def _files(target: Any, task: HadoopJobTask) -> Iterable[IO[bytes]]:
    """The file of a target, or those of its folder."""
    url = outputs.url_of(target, task)
    store, path = open_store(url)
    names = sorted(entry.name for entry in store.list(path) if not entry.is_folder and not entry.name.startswith(_HIDDEN))
    try:
        yield store.open(path)
    except IsADirectoryError:
        for name in names:
            yield store.open(f"{path}/{name}")


@contextmanager
def _output(task: HadoopJobTask) -> Iterator[IO[str]]:
    """The one file of the output's folder, which appears with it if the block ends well."""
    url = task._output_url()
    store, path = open_store(url)
    if isinstance(store, LocalStore):
        with FolderTarget(store.local_path(path), mode="replace" if task._replaces() else "once").writing() as folder:
            with records.as_lines(open(f"{folder}/{PART}", "wb")) as out:
                yield out
            open(f"{folder}/{outputs.SUCCESS}", "wb").close()
        return
    submission = f"local-{task.key.hex()[:16]}"
    outputs.drop(url, submission)
    made = open_store(outputs.draft(url, submission))[1]
    with _put(store, f"{made}/{PART}") as stream:
        out = records.as_lines(stream)
        yield out
        out.flush()
        out.detach()
    with _put(store, f"{made}/{outputs.SUCCESS}"):
        pass
    outputs.commit(url, submission, replace=task._replaces())


@contextmanager
def _put(store: Store, path: str) -> Iterator[IO[bytes]]:
    pending = store.put(path, replace=False, durable=True, tag=current_tag())
    try:
        yield pending.stream
        pending.commit()
    except BaseException:
        pending.abort()
        raise

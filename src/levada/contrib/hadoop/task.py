"""`HadoopJobTask`: mapper and reducer as methods, in Luigi's spelling, run by Hadoop Streaming or in this process.

What is called where: ``requires``, ``output``, ``jobconfs``, ``extra_...`` and ``init_local`` in the worker; ``mapper``, ``combiner``,
``reducer``, their ``init_...`` and ``final_...``, ``reader`` and ``writer`` on the nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import IO, TYPE_CHECKING, Any, ClassVar

from levada.config import setting
from levada.errors import JobRefused
from levada.handover.task import JobTask
from levada.task import flatten, map_structure

from . import outputs, records
from .counters import Counters

if TYPE_CHECKING:
    from levada._model.engines import JobSpec, JobStatus

_COMBINED = 100_000  # pairs of a map that are held and combined together


class BaseHadoopJobTask(JobTask):
    """What Hadoop's jobs have in common.

    The job writes to a temporary folder beside its output, a folder, which takes the output's name in one step when the job has
    ended well. engine: "hadoop", or the address of a cluster. queue: where YARN runs it (`pool` is Luigi's name for that).
    hadoop_command: the program that submits, in the place of the configured one.
    """

    engine: ClassVar[Any] = "hadoop"
    queue: ClassVar[Any] = None
    pool: ClassVar[Any] = None
    hadoop_command: ClassVar[Any] = None

    def jobconfs(self) -> list[str]:
        """Properties of the job, each as ``name=value``; a later one counts."""
        queue = self.queue or self.pool
        return [f"mapreduce.job.queuename={queue}"] if queue else []

    def finished(self, status: JobStatus) -> None:
        """Give the job's output its name. Raises TargetExists when another was first."""
        outputs.commit(self._output_url(), self.submission, replace=self._replaces())

    def give_up(self, status: JobStatus) -> None:
        """Remove what the job has written."""
        super().give_up(status)
        outputs.drop(self._output_url(), self.submission)

    def _programs(self) -> dict[str, str]:
        return {"command": str(self.hadoop_command)} if self.hadoop_command else {}

    def _jobconf(self) -> dict[str, str]:
        found = {}
        for one in self.jobconfs():
            name, equals, value = str(one).partition("=")
            if not equals or not name.strip():
                raise JobRefused(f"{self}: jobconfs() gave {one!r}, expected texts like 'mapreduce.map.memory.mb=2048'")
            found[name.strip()] = value
        return found

    def _output_url(self) -> str:
        """The folder that the job makes. Raises JobRefused where there are several outputs, or none."""
        targets = flatten(self.output())
        if len(targets) != 1:
            raise JobRefused(f"{self}: output() gave {len(targets)} targets; a job of Hadoop makes one, a folder")
        return outputs.url_of(targets[0], self)

    def _replaces(self) -> bool:
        return getattr(flatten(self.output())[0], "mode", "once") == "replace"


class HadoopJobTask(BaseHadoopJobTask):
    """A MapReduce job: define ``mapper``, and ``reducer`` unless each record stands for itself.

    ``[hadoop] local = true`` runs it in this process instead, and so does an output that is a local folder. n_reduce_tasks: how many
    files its output has. The class's own package goes to the nodes, with Levada; they need Python 3.11 (``[hadoop] python``).
    streaming_jar, node_python: the jar of Hadoop Streaming and the nodes' Python, in the place of the configured ones.
    """

    n_reduce_tasks: ClassVar[Any] = 25
    streaming_jar: ClassVar[Any] = None
    node_python: ClassVar[Any] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if _defines(cls, "requires_local") and _defines(cls, "requires") and not _defines(cls, "requires_hadoop"):
            raise TypeError(
                f"{cls.__qualname__} defines requires and requires_local, so that what is local would not be waited for; "
                "call the first one requires_hadoop"
            )

    # -- what authors define

    def mapper(self, item: Any, /) -> Iterable[Any]:
        """(key, value) pairs of one record: a line of the inputs, with its end, unless ``reader`` makes something else of them."""
        return [(None, item)]

    def reducer(self, key: Any, values: Iterator[Any], /) -> Iterable[Any]:
        """Records of the output, of a key and all its values, which can be read once. Not defined: what ``mapper`` gives is the output."""
        raise NotImplementedError

    def combiner(self, key: Any, values: Iterator[Any], /) -> Iterable[tuple[Any, Any]]:
        """(key, value) pairs in the place of a key's values of one map, to have fewer of them to send. Not defined: all are sent."""
        raise NotImplementedError

    def init_local(self) -> None:
        """Called in the worker before the job is submitted. What it sets on ``self`` reaches the nodes, if it is plain data."""

    def init_hadoop(self) -> None:
        """Called on the nodes before each phase."""

    def init_mapper(self) -> None:
        """Called before the first record of a map."""

    def init_combiner(self) -> None:
        """Called before a combiner's first key."""

    def init_reducer(self) -> None:
        """Called before a reducer's first key."""

    def final_mapper(self) -> Iterable[tuple[Any, Any]]:
        """Further pairs after the last record of a map."""
        return ()

    def final_combiner(self) -> Iterable[tuple[Any, Any]]:
        """Further pairs after a combiner's last key."""
        return ()

    def final_reducer(self) -> Iterable[Any]:
        """Further records after a reducer's last key."""
        return ()

    def reader(self, input_stream: Iterable[str]) -> Iterable[tuple[Any, ...]]:
        """Records of a map's lines, each a tuple of the arguments of ``mapper``."""
        for line in input_stream:
            yield (line,)

    def writer(self, outputs: Iterable[Any], stdout: IO[str]) -> None:
        """Write the records of the output: a line for each, what is in it with tabs between."""
        for record in outputs:
            stdout.write("\t".join(map(str, flatten(record))) + "\n")

    def requires_hadoop(self) -> Any:
        """What the job reads: all of ``requires`` unless defined."""
        return [] if type(self).requires is HadoopJobTask.requires else self.requires()

    def requires_local(self) -> Any:
        """What ``init_local`` reads beside that. Who defines it defines ``requires_hadoop``, and leaves ``requires`` alone."""
        return []

    def requires(self) -> Any:
        """What must be there first."""
        return [self.requires_hadoop(), self.requires_local()]

    def extra_modules(self) -> Sequence[Any]:
        """Further modules or packages, or names of them, that the nodes need."""
        return []

    def extra_files(self) -> Sequence[Any]:
        """Paths or URLs of files that lie in the nodes' current folder; (path, name) where another name is wanted."""
        return []

    def extra_archives(self) -> Sequence[Any]:
        """Paths or URLs of archives that are unpacked there, in a folder of the archive's name; (path, name) as with files."""
        return []

    def extra_streaming_arguments(self) -> Sequence[tuple[str, str]]:
        """Further options of Hadoop Streaming with their values, as ("inputformat", "org...")."""
        return []

    # -- what authors use

    def input_hadoop(self) -> Any:
        """The outputs of ``requires_hadoop``, in the same nesting."""
        return map_structure(lambda task: task.output(), self.requires_hadoop())

    def input_local(self) -> Any:
        """The outputs of ``requires_local``, in the same nesting."""
        return map_structure(lambda task: task.output(), self.requires_local())

    def incr_counter(self, *args: Any) -> None:
        """Count: (group, name, by) or (group, name); Hadoop adds them up, and the job's status has the sums."""
        self._counters().add(*args)

    # -- run, and what the phases consist of

    def run(self) -> None:
        """Run the job, here or there, and give its output its name. Raises JobFailed, with the traceback of what failed on a node."""
        from .local import LocalJobRunner

        if self.is_local():
            LocalJobRunner().run_job(self)
        else:
            super().run()

    def is_local(self) -> bool:
        """Whether the job runs in this process."""
        return bool(setting("hadoop", "local")) or outputs.is_local(self._output_url())

    def job(self, submission: str) -> JobSpec:
        """The whole description, after ``init_local``. Variables travel with the task, exactly: YARN's scripts would read them."""
        from . import shipping

        shipping.prepare(self)
        return super().job(submission)._replace(env={})

    def command(self) -> Sequence[str]:
        """The arguments of Hadoop Streaming."""
        from . import streaming

        return streaming.arguments(self, outputs.draft(self._output_url(), self.submission))

    def options(self) -> Mapping[str, object]:
        """Properties of the job, and what the nodes get."""
        from . import streaming

        return streaming.options(self)

    def _programs(self) -> dict[str, str]:
        return {**super()._programs(), **({"streaming_jar": str(self.streaming_jar)} if self.streaming_jar else {})}

    def has(self, phase: str) -> bool:
        """Whether the class defines "reducer" or "combiner"."""
        return _defines(type(self), phase) and getattr(self, phase) is not NotImplemented

    def run_mapper(self, stdin: Iterable[str], stdout: IO[str]) -> None:
        """The map phase: lines in; lines of pairs out, or records where there is no reducer."""
        self.init_hadoop()
        self.init_mapper()
        pairs = self._mapped(stdin)
        if not self.has("reducer"):
            self.writer(pairs, stdout)
        elif self.has("combiner"):
            self.init_combiner()
            stdout.writelines(self._combined(records.write_pairs(pairs)))
        else:
            stdout.writelines(records.write_pairs(pairs))
        self._counters().tell()

    def run_reducer(self, stdin: Iterable[str], stdout: IO[str]) -> None:
        """The reduce phase: lines of pairs in, records out."""
        self.init_hadoop()
        self.init_reducer()
        self.writer(chain(_reduced(stdin, self.reducer), _called(self.final_reducer)), stdout)
        self._counters().tell()

    def _mapped(self, stdin: Iterable[str]) -> Iterator[Any]:
        for record in self.reader(stdin):
            yield from self.mapper(*record) or ()
        yield from self.final_mapper() or ()

    def _combined(self, lines: Iterable[str]) -> Iterator[str]:
        """Lines of pairs, each key's of some together combined; here, since Hadoop Streaming would start a process for each spill."""
        lines = iter(lines)
        while some := sorted(islice(lines, _COMBINED), key=records.key_of):
            yield from records.write_pairs(_reduced(some, self.combiner))
        yield from records.write_pairs(self.final_combiner() or ())

    def _counters(self) -> Counters:
        counters: Counters = vars(self).setdefault("_counting", Counters())
        return counters


def _called(final: Any) -> Iterator[Any]:
    yield from final() or ()


def _defines(cls: type, name: str) -> bool:
    return getattr(cls, name) is not getattr(HadoopJobTask, name)


def _reduced(stdin: Iterable[str], reduce: Any) -> Iterator[Any]:
    for key, values in records.read_groups(stdin):
        yield from reduce(key, values) or ()

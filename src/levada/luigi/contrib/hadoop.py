"""``luigi.contrib.hadoop``: MapReduce jobs with Luigi's names, spellings and runners, over `levada.contrib.hadoop`.

A job whose outputs are in HDFS is handed over to the engine ``hadoop`` (`DefaultHadoopJobRunner`): it outlives the worker and runs once.
Other outputs run in this process (`LocalJobRunner`). `HadoopJobRunner`, for programs that build one, starts ``hadoop jar`` as a child of
the attempt, with Luigi's words. Nothing is pickled: keys and values travel as text, and so does the task.
"""

# pyright: reportIncompatibleVariableOverride=false
# What the house has as values are properties here, as in Luigi: programs override them as such.

from __future__ import annotations

import glob
import logging
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from itertools import islice
from types import ModuleType
from typing import IO, Any, ClassVar

import levada
from levada.contrib import hadoop as house
from levada.contrib.hadoop import shipping
from levada.contrib.hdfs import HdfsTarget
from levada.errors import FROM_USERS, JobFailed
from levada.handover import JobTask as HandedOver
from levada.handover import attached
from levada.params import OptionalParameter
from levada.task import Config
from levada.task import flatten as leaves

from . import mrrunner
from ._settings import configured
from .hdfs.config import load_hadoop_cmd

logger = logging.getLogger("luigi-interface")

TRACKING_RE = re.compile(r"(tracking url|the url to track the job):\s+(?P<url>.+)$", re.IGNORECASE)
_JOB_ID = re.compile(r"running job: (\S+)|submitted hadoop job: (\S+)", re.IGNORECASE)
_APPLICATION_ID = re.compile(r"submitted application (\S+)", re.IGNORECASE)

_attached_packages: list[ModuleType] = []


class hadoop(Config):
    """The section ``[hadoop]`` as far as tasks read it."""

    pool = OptionalParameter(default=None, description="pool, or queue, of all jobs that name none.")
    scheduler = OptionalParameter(default=None, description="fair or capacity: how the pool is told.")
    streaming_jar = OptionalParameter(default=None, description="the jar of Hadoop Streaming.")
    python_executable = OptionalParameter(default=None, description="the Python of the nodes.")
    command = OptionalParameter(default=None, description="Hadoop's command.")
    version = OptionalParameter(default=None, description="Hadoop's release.")


# -- what travels --------------------------------------------------------------------------------


def attach(*packages: ModuleType) -> None:
    """Send these packages along with each job that `HadoopJobRunner` submits."""
    _attached_packages.extend(packages)


def dereference(f: str) -> str:
    """The file that a chain of links leads to."""
    while os.path.islink(f):
        f = os.path.join(os.path.dirname(f), os.readlink(f))
    return f


def flatten(sequence: Iterable[Any]) -> Iterator[Any]:
    """The items, and in the place of an iterable (text is none) what it gives; one level deep.

    >>> list(flatten((1, (2, 3), "ab")))
    [1, 2, 3, 'ab']
    """
    for item in sequence:
        if hasattr(item, "__iter__") and not isinstance(item, (str, bytes)):
            yield from item
        else:
            yield item


def get_extra_files(extra_files: Iterable[Any]) -> list[tuple[str, str]]:
    """(path here, name there) of what a job's ``extra_files`` gave; a folder stands for all files in it."""
    found: list[tuple[str, str]] = []
    for given in extra_files:
        source, name = given if isinstance(given, tuple) else (given, os.path.basename(given))
        if not os.path.isdir(source):
            found.append((source, name))
            continue
        for folder, _, files in os.walk(source):
            inside = os.path.relpath(folder, source)
            found += [(os.path.join(folder, file), os.path.normpath(os.path.join(name, inside, file))) for file in files]
    return found


def create_packages_archive(packages: Iterable[ModuleType], filename: str) -> None:
    """Write a tar with the code of modules and packages: of a submodule its whole package, with the ``__init__`` of those above."""
    archive = tarfile.open(filename, "w")  # noqa: SIM115 - closed below
    try:
        for package in packages:
            for path, name in _files_of(package):
                archive.add(path, name)
    finally:
        archive.close()


def _files_of(package: ModuleType) -> Iterator[tuple[str, str]]:
    if not getattr(package, "__path__", None) and "." in package.__name__:
        package = import_module(package.__name__.rpartition(".")[0])
    if not getattr(package, "__path__", None):
        file = str(package.__file__).removesuffix("c")
        yield dereference(file), os.path.basename(file)
        return
    parts = package.__name__.split(".")
    for count in range(1, len(parts)):
        above = import_module(".".join(parts[:count]))
        if above.__file__ is not None:  # else a namespace, which has no file
            yield dereference(f"{above.__path__[0]}/__init__.py"), f"{'/'.join(parts[:count])}/__init__.py"
    root, name = package.__path__[0], "/".join(parts)
    for folder in (root, *glob.glob(f"{root}*.egg-info")):
        for where, folders, files in os.walk(folder):
            folders[:] = [each for each in folders if each not in (".svn", "__pycache__")]
            into = where.replace(root, name, 1)
            yield from (
                (dereference(f"{where}/{file}"), f"{into}/{file}") for file in files if not file.endswith(".pyc") and file[0] != "."
            )


# -- a command of Hadoop, followed -----------------------------------------------------------------


class HadoopJobError(JobFailed, RuntimeError):
    """A command of Hadoop ended without success; out, err: what it said."""

    code = "hadoop-job-failed"

    def __init__(self, message: str, out: str | None = None, err: str | None = None) -> None:
        super().__init__(message, hint=f"It said last:\n{err[-2000:]}" if err else None)
        self.out, self.err = out, err


class HadoopRunContext:
    """What a command has started, which is killed if the ``with`` block is left by an error that did not come from it."""

    def __init__(self) -> None:
        self.job_id: str | None = None
        self.application_id: str | None = None

    def __enter__(self) -> HadoopRunContext:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None:
            self.kill_job()

    def kill_job(self, captured_signal: int | None = None, stack_frame: object = None) -> None:
        """Have Hadoop kill the application, or the job where that is all that is known."""
        if self.application_id:
            subprocess.call(["yarn", "application", "-kill", self.application_id])
        elif self.job_id:
            subprocess.call(["mapred", "job", "-kill", self.job_id])


def run_and_track_hadoop_job(
    arglist: Sequence[str], tracking_url_callback: Callable[[str], Any] | None = None, env: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Run a command that submits a job, to its end; what it said on stdout and on stderr. Raises HadoopJobError.

    tracking_url_callback: told each address of a job's page. The last application that it started is killed if this is interrupted.
    """
    logger.info("%s", " ".join(map(str, arglist)))
    with tempfile.TemporaryFile("w+t", encoding="utf-8", errors="replace") as kept:
        process = subprocess.Popen(
            arglist, stdout=kept, stderr=subprocess.PIPE, env=env, close_fds=True, encoding="utf-8", errors="replace"
        )
        err, url = _followed(process, tracking_url_callback)
        kept.seek(0)
        out = kept.read()
    if process.returncode == 0:
        return out, err
    told = f"its page was {url}" if url else "it named no page"
    raise HadoopJobError(f"Streaming job failed with exit code {process.returncode}: {told}", out, err)


def _followed(process: Any, tell: Callable[[str], Any] | None) -> tuple[str, str]:
    """All that it says on stderr, and the last address in that."""
    lines, url = [], ""
    with process.stderr, HadoopRunContext() as context:
        for line in attached.lines_of(process, process.stderr):
            lines.append(line)
            if text := line.strip():
                logger.info("%s", text)
            if found := TRACKING_RE.search(text):
                url = found["url"].strip()
                tell = _told(tell, url)
            if found := _JOB_ID.search(text):
                context.job_id = found[1] or found[2]
            if found := _APPLICATION_ID.search(text):
                context.application_id = found[1]
    return "".join(lines), url


def _told(tell: Callable[[str], Any] | None, url: str) -> Callable[[str], Any] | None:
    """Tell it; None where that went wrong, so that it is not tried again."""
    if tell is None:
        return None
    try:
        tell(url)
    except Exception as error:
        logger.error("the tracking URL %s could not be told, none will be: %s", url, error)
        return None
    return tell


# -- runners ---------------------------------------------------------------------------------------


class JobRunner:
    """Runs jobs: ``run_job(task)``."""

    run_job: Any = NotImplemented


class DefaultHadoopJobRunner(JobRunner):
    """Hands the job over to the engine ``hadoop``, see `levada.contrib.hadoop`: it outlives the worker, and is run once."""

    def run_job(self, job: Any) -> None:
        """Hand over, and wait until the job has ended well."""
        job.hand_over()


class HadoopJobRunner(JobRunner):
    """Submits by ``hadoop jar STREAMING_JAR``, a child of the attempt, with the options that it was made with.

    end_job_with_atomic_move_dir: the job writes beside its output, a folder, which takes its name when the job has ended well.
    """

    def __init__(
        self,
        streaming_jar: str,
        modules: Sequence[ModuleType] | None = None,
        streaming_args: Sequence[str] | None = None,
        libjars: Sequence[str] | None = None,
        libjars_in_hdfs: Sequence[str] | None = None,
        jobconfs: Mapping[str, Any] | None = None,
        input_format: str | None = None,
        output_format: str | None = None,
        end_job_with_atomic_move_dir: bool = True,
        archives: Sequence[str] | None = None,
    ) -> None:
        self.streaming_jar = streaming_jar
        self.modules = list(modules or ())
        self.streaming_args = list(streaming_args or ())
        self.libjars, self.libjars_in_hdfs = list(libjars or ()), list(libjars_in_hdfs or ())
        self.jobconfs = dict(jobconfs or {})
        self.input_format, self.output_format = input_format, output_format
        self.end_job_with_atomic_move_dir = end_job_with_atomic_move_dir
        self.archives = list(archives or ())
        self.tmp_dir = ""

    def run_job(self, job: Any, tracking_url_callback: Callable[[str], Any] | None = None) -> None:
        """Submit it, and wait until it has ended well. Raises HadoopJobError."""
        self.tmp_dir = tempfile.mkdtemp()
        try:
            final = job.output().path
            written = f"{final}-temp-{datetime.now().isoformat().replace(':', '-')}" if self.end_job_with_atomic_move_dir else final
            arguments = self._arguments(job, written)
            self._pack(job)
            run_and_track_hadoop_job(arguments, tracking_url_callback=tracking_url_callback or job.set_tracking_url)
            if self.end_job_with_atomic_move_dir:
                HdfsTarget(written).move_dir(final)
        finally:
            self.finish()

    def finish(self) -> None:
        """Remove what was gathered for the nodes."""
        if self.tmp_dir:
            shutil.rmtree(self.tmp_dir, ignore_errors=True)

    def _arguments(self, job: Any, output: str) -> list[str]:
        words = [*load_hadoop_cmd(), "jar", self.streaming_jar, *self._generic(job)]
        for conf in [*job.jobconfs(), *(f"{name}={value}" for name, value in self.jobconfs.items())]:
            words += ["-D", conf]
        words += self.streaming_args
        for name, value in job.extra_streaming_arguments():
            words += [name if name.startswith("-") else f"-{name}", value]
        program = f"{configured('hadoop', 'python-executable', 'python')} {'mrrunner.py' if job.package_binary is None else 'mrrunner.pex'}"
        words += ["-mapper", f"{program} map"]
        if job.has("reducer"):
            words += ["-reducer", f"{program} reduce"]
        for path in self._packed(job):
            words += ["-file", path]
        for option, given in (("-outputformat", self.output_format), ("-inputformat", self.input_format)):
            words += [option, given] if given else []
        for target in leaves(job.input_hadoop()):
            words += ["-input", target.path]
        return [*words, "-output", output]

    def _generic(self, job: Any) -> list[str]:
        """Options that Hadoop wants first."""
        libjars = list(self.libjars)
        for one in self.libjars_in_hdfs:
            subprocess.call([*load_hadoop_cmd(), "fs", "-get", one, self.tmp_dir])
            libjars.append(os.path.join(self.tmp_dir, os.path.basename(one)))
        files = [f"{source}#{_plain(name)}" for source, name in get_extra_files(job.extra_files())]
        lists = (("-libjars", libjars), ("-archives", [*self.archives, *job.extra_archives()]), ("-files", files))
        return [word for option, items in lists if items for word in (option, ",".join(items))]

    def _packed(self, job: Any) -> list[str]:
        names = ("mrrunner.pex",) if job.package_binary is not None else ("packages.tar",)
        runner = () if job.package_binary is not None else (mrrunner.__file__,)
        return [*runner, *(os.path.join(self.tmp_dir, name) for name in (*names, shipping.TASK_FILE))]

    def _pack(self, job: Any) -> None:
        """The files that go with it: its code, and itself as text."""
        if job.package_binary is not None:
            shutil.copy(job.package_binary, os.path.join(self.tmp_dir, "mrrunner.pex"))
        else:
            modules = [levada, *self.modules, *job.extra_modules(), *_attached_packages, import_module(type(job).__module__)]
            create_packages_archive(modules, os.path.join(self.tmp_dir, "packages.tar"))
        job.dump(self.tmp_dir)


def _plain(name: str) -> str:
    """A name that Hadoop lets through, for a file that gets its own on the node."""
    return name.replace("/", "__")


class LocalJobRunner(JobRunner, house.LocalJobRunner):
    """Runs a job in this process; its inputs and outputs are targets of any kind, opened as they open. samplelines: of each input."""

    def __init__(self, samplelines: int | None = None) -> None:
        self.samplelines = samplelines

    def run_job(self, job: Any) -> dict[str, int]:  # pyright: ignore[reportIncompatibleMethodOverride]  # Luigi's name
        """Run it; what it counted, by "group/name"."""
        return self.run_prepared(job)

    def lines(self, task: Any) -> Iterator[str]:
        """The lines of all inputs, each with its end."""
        for target in leaves(task.input_hadoop()):
            for line in islice(_lines_of(target), self.samplelines):
                yield line if line.endswith("\n") else f"{line}\n"

    @contextmanager
    def output(self, task: Any) -> Iterator[IO[str]]:
        """The output, opened."""
        stream = task.output().open("w")
        try:
            yield stream
        except BaseException:
            getattr(stream, "abort", lambda: None)()
            raise
        stream.close()


def _lines_of(target: Any) -> Iterator[str]:
    """Its lines, opened as it opens."""
    with target.open("r") as stream:
        yield from stream


# -- tasks -----------------------------------------------------------------------------------------


class BaseHadoopJobTask(house.BaseHadoopJobTask):
    """What jobs have in common: a pool, properties, and the runner that runs them."""

    pool = OptionalParameter(default=None, significant=False, positional=False)
    batch_counter_default: ClassVar[Any] = 1
    mr_priority: ClassVar[Any] = NotImplemented
    package_binary: ClassVar[Any] = None
    data_interchange_format: ClassVar[Any] = "python"

    def job_runner(self) -> Any:
        """The runner."""
        raise NotImplementedError(f"{type(self).__name__} has to define job_runner()")

    def jobconfs(self) -> list[str]:
        """Properties of the job, as ``name=value``, with Hadoop's old names."""
        found = [f"mapred.job.name={self}"]
        if self.mr_priority is not NotImplemented:
            found.append(f"mapred.job.priority={self.mr_priority()}")
        found += [f"{name}={pool}" for name, pool in self._pool_property().items()]
        return found

    def _pool_property(self) -> dict[str, str]:
        pool = self._get_pool()
        names = {"fair": "mapred.fairscheduler.pool", "capacity": "mapred.job.queue.name"}
        name = names.get(configured("hadoop", "scheduler", "fair"))
        return {} if pool is None or name is None else {name: pool}

    def _get_pool(self) -> str | None:
        return self.pool or hadoop().pool or None

    @property
    def hadoop_command(self) -> Any:
        """``[hadoop] command`` of luigi.cfg, for the hand-over; None where it does not say it."""
        return configured("hadoop", "command") or configured("hadoopcli", "command")

    def _jobconf(self) -> dict[str, str]:
        """Without the old name of the job's name, by which the engine finds it."""
        return {name: value for name, value in super()._jobconf().items() if name != "mapred.job.name"}

    def init_local(self) -> None:
        """Called before the job is submitted."""

    def is_local(self) -> bool:
        """Whether it takes a slot of the worker: unless it is handed over, and does nothing else in ``run``."""
        if type(self).run is not BaseHadoopJobTask.run:
            return True
        try:
            return not isinstance(self.job_runner(), DefaultHadoopJobRunner)
        except FROM_USERS:  # ``run`` meets it, too, and its error is that of the attempt
            return True

    def run(self) -> None:
        """Let the runner run it."""
        runner = self.job_runner()
        if not isinstance(runner, DefaultHadoopJobRunner):  # that calls init_local by itself
            shipping.prepare(self)
        runner.run_job(self)

    def hand_over(self) -> None:
        """Hand it over to the engine, and wait until it has ended well."""
        HandedOver.run(self)  # past `is_local`: it was asked for

    def on_failure(self, exception: BaseException) -> Any:
        """The text of a failure's report."""
        if isinstance(exception, HadoopJobError):
            return f"Hadoop job failed with message: {exception.message}\n\nstdout:\n{exception.out}\n\nstderr:\n{exception.err}"
        return super().on_failure(exception)


class JobTask(BaseHadoopJobTask, house.HadoopJobTask):
    """A job of Hadoop Streaming: ``mapper``, and ``reducer`` unless each record stands for itself."""

    jobconf_truncate: ClassVar[Any] = 20000
    n_reduce_tasks: ClassVar[Any] = 25
    reducer: ClassVar[Any] = NotImplemented
    combiner: ClassVar[Any] = NotImplemented
    init_local = house.HadoopJobTask.init_local  # pyright: ignore[reportAssignmentType]  # a JobTask is both

    @property
    def streaming_jar(self) -> Any:
        """``[hadoop] streaming-jar`` of luigi.cfg; None where it does not say it."""
        return configured("hadoop", "streaming-jar")

    @property
    def node_python(self) -> Any:
        """``[hadoop] python-executable`` of luigi.cfg, likewise."""
        return configured("hadoop", "python-executable")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A class that defines ``requires`` and ``requires_local`` alone means both; the house would see the first only."""
        own = cls.requires
        ours = house.HadoopJobTask
        if own is not ours.requires and cls.requires_local is not ours.requires_local and cls.requires_hadoop is ours.requires_hadoop:
            cls.requires_hadoop = own  # type: ignore[method-assign]
            cls.requires = ours.requires  # type: ignore[method-assign]
        super().__init_subclass__(**kwargs)

    def job_runner(self) -> Any:
        """The engine where all outputs are in HDFS, else this process."""
        if all(isinstance(target, HdfsTarget) for target in leaves(self.output())) and not house.HadoopJobTask.is_local(self):
            return DefaultHadoopJobRunner()
        return LocalJobRunner()

    def jobconfs(self) -> list[str]:
        """Those of all jobs, and how many reduces there are."""
        found = super().jobconfs()
        found.append(f"mapred.reduce.tasks={self.n_reduce_tasks if self.has('reducer') else 0}")
        if self.jobconf_truncate >= 0:
            found.append(f"stream.jobconf.truncate.limit={self.jobconf_truncate}")
        return found

    def run_mapper(self, stdin: Iterable[str] = sys.stdin, stdout: IO[str] = sys.stdout) -> None:
        """The map phase, whose lines come without their ends."""
        super().run_mapper((line.removesuffix("\n") for line in stdin), stdout)

    def run_reducer(self, stdin: Iterable[str] = sys.stdin, stdout: IO[str] = sys.stdout) -> None:
        """The reduce phase."""
        super().run_reducer(stdin, stdout)

    def writer(self, outputs: Iterable[Any], stdout: IO[str], stderr: IO[str] = sys.stderr) -> None:
        """A line for each record, tabs between what is in it; with the format "json" without what is empty, and not as text again."""
        for record in outputs:
            items = flatten(record)
            texts = [str(item) for item in items if item or self.data_interchange_format != "json"]
            stdout.write("\t".join(texts) + "\n")

    def incr_counter(self, *args: Any, **kwargs: Any) -> None:
        """Count: (group, name, by), or ("group,name", by)."""
        if len(args) == 2 and not isinstance(args[1], str):
            group, _, name = str(args[0]).partition(",")
            args = (group, name or group, args[1])
        super().incr_counter(*args)

    def add_link(self, src: str, dst: str) -> None:
        """Have a file that lies under one name on the nodes get another."""
        vars(self).setdefault("_links", []).append((src, dst))

    def dump(self, directory: str = "") -> None:
        """Write the task as text, for `mrrunner` on the nodes."""
        names = {_plain(name): name for _, name in get_extra_files(self.extra_files())}
        names.update(dict(vars(self).get("_links", ())))
        with open(os.path.join(directory, shipping.TASK_FILE), "w", encoding="utf-8") as file:
            file.write(shipping.describe(self, {there: name for there, name in names.items() if there != name}))


def fetch_task_failures(tracking_url: str) -> str:
    """Nothing: what nodes said is asked of YARN by the engine ``hadoop`` alone."""
    warnings.warn("fetch_task_failures finds nothing: the engine hadoop shows what failed nodes said", DeprecationWarning, stacklevel=2)
    return ""

"""``luigi.contrib.beam_dataflow``: jobs of Apache Beam by the command line of their SDK, a child of the attempt."""

from __future__ import annotations

import json
import logging
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from levada.errors import JobFailed
from levada.handover import attached
from levada.luigi.target import Target
from levada.luigi.task import MixinNaiveBulkComplete
from levada.targets import LocalTarget
from levada.task import Task, flatten

logger = logging.getLogger("luigi-interface")

_OPTIONS = (
    "project", "zone", "region", "staging_location", "temp_location", "gcp_temp_location", "num_workers", "autoscaling_algorithm",
    "max_num_workers", "disk_size_gb", "worker_machine_type", "worker_disk_type", "network", "subnetwork", "job_name", "service_account",
)  # fmt: skip
RUNNERS = ("DataflowRunner", "DirectRunner")


class BeamJobFailed(JobFailed):
    """The program of a job ended with another status than 0."""

    code = "beam-failed"


class DataflowParamKeys(ABC):
    """The names that an SDK has for the options of a job: an attribute for each of them, and ``runner`` and ``labels``."""

    @property
    @abstractmethod
    def runner(self) -> str:
        """The name of the runner."""

    @property
    @abstractmethod
    def labels(self) -> str:
        """The name of the labels."""

    project: Any
    zone: Any
    region: Any
    staging_location: Any
    temp_location: Any
    gcp_temp_location: Any
    num_workers: Any
    autoscaling_algorithm: Any
    max_num_workers: Any
    disk_size_gb: Any
    worker_machine_type: Any
    worker_disk_type: Any
    job_name: Any
    service_account: Any
    network: Any
    subnetwork: Any


class _CmdLineRunner:
    """Runs a command, and logs what it says."""

    @staticmethod
    def run(cmd: Sequence[str], task: Any = None) -> None:
        """Run it to its end. Raises CalledProcessError."""
        said: list[str] = []

        def note(line: str) -> None:
            said.append(line)
            logger.info(line.rstrip("\n"))

        with attached.program(cmd, look=note, stderr=subprocess.STDOUT) as process:
            status = attached.wait_for(process)
        if status:
            raise subprocess.CalledProcessError(status, list(cmd), output="".join(said))


class BeamDataflowJobTask(MixinNaiveBulkComplete, Task):
    """A job of Beam: define `dataflow_executable`, and `dataflow_params`, the names of its options.

    The options are class attributes; None leaves one out. runner: DirectRunner, unless it is said.
    """

    project: ClassVar[Any] = None
    runner: ClassVar[Any] = None
    temp_location: ClassVar[Any] = None
    staging_location: ClassVar[Any] = None
    gcp_temp_location: ClassVar[Any] = None
    num_workers: ClassVar[Any] = None
    autoscaling_algorithm: ClassVar[Any] = None
    max_num_workers: ClassVar[Any] = None
    network: ClassVar[Any] = None
    subnetwork: ClassVar[Any] = None
    disk_size_gb: ClassVar[Any] = None
    worker_machine_type: ClassVar[Any] = None
    job_name: ClassVar[Any] = None
    worker_disk_type: ClassVar[Any] = None
    service_account: ClassVar[Any] = None
    zone: ClassVar[Any] = None
    region: ClassVar[Any] = None
    labels: ClassVar[Any] = {}

    cmd_line_runner: ClassVar[Any] = _CmdLineRunner
    dataflow_params: ClassVar[Any] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not isinstance(self.dataflow_params, DataflowParamKeys):
            raise ValueError(f"{type(self).__name__}: dataflow_params is {self.dataflow_params!r}, expected DataflowParamKeys")
        super().__init__(*args, **kwargs)

    # -- what authors define

    def dataflow_executable(self) -> list[str]:
        """The program of the job and its first arguments."""
        raise NotImplementedError(f"{type(self).__name__} has to define dataflow_executable()")

    def args(self) -> list[str]:
        """Further arguments."""
        return []

    def file_pattern(self) -> Mapping[str, str]:
        """Name of an input -> the pattern of its files, where that is not ``part-*``."""
        return {}

    def before_run(self) -> None:
        """Called before the job begins."""

    def on_successful_run(self) -> None:
        """Called when it has ended well, before its output is looked at."""

    def validate_output(self) -> bool:
        """Whether its output is good."""
        return True

    def on_successful_output_validation(self) -> None:
        """Called when it is."""

    def cleanup_on_error(self, error: BaseException) -> None:
        """Called when the job failed, or its output is not good."""

    # -- run

    def run(self) -> None:
        """Run the job to its end. Raises BeamJobFailed, or ValueError for output that is not good."""
        command = self._mk_cmd_line()
        logger.info(" ".join(command))
        self.before_run()
        try:
            self.cmd_line_runner.run(command, self)
        except subprocess.CalledProcessError as error:
            self.cleanup_on_error(error)
            raise BeamJobFailed(f"{self}: ended with exit code {error.returncode}", hint=str(error.output or "")[-4000:] or None) from error
        self.on_successful_run()
        if not self.validate_output():
            bad = ValueError(f"{self}: Output validation failed")
            self.cleanup_on_error(bad)
            raise bad
        self.on_successful_output_validation()

    # -- the command line

    def _mk_cmd_line(self) -> list[str]:
        return [
            *self.dataflow_executable(),
            *self._get_dataflow_args(),
            *self.args(),
            *self._format_input_args(),
            *self._format_output_args(),
        ]

    def _get_runner(self) -> str:
        runner = str(self.runner or "DirectRunner")
        if runner not in RUNNERS:
            raise ValueError(f"{self}: runner is {runner!r}, expected one of {', '.join(RUNNERS)}")
        return runner

    def _get_dataflow_args(self) -> list[str]:
        names = self.dataflow_params
        words = [f"--{names.runner}={self._get_runner()}"]
        words += [f"--{getattr(names, name)}={value}" for name in _OPTIONS if (value := getattr(self, name))]
        return [*words, *([f"--{names.labels}={json.dumps(self.labels)}"] if self.labels else [])]

    def _format_input_args(self) -> list[str]:
        patterns = self.file_pattern()
        if not isinstance(patterns, dict):
            raise ValueError(f"{self}: file_pattern() gave {patterns!r}, expected a dict")
        words: dict[str, list[str]] = {}
        for name, targets in self._inputs().items():
            pattern = patterns.get(name, "part-*")
            keys = [f"{name}-{key}" for key in targets] if isinstance(targets, dict) else None
            for at, target in enumerate(flatten(targets)):
                words.setdefault(keys[at] if keys else name, []).append(f"{self.get_target_path(target).rstrip('/')}/{pattern}")
        return [f"--{name}={','.join(paths)}" for name, paths in words.items()]

    def _inputs(self) -> dict[str, Any]:
        """Inputs by name: those without one are called "input"."""
        given = self.input()
        if isinstance(given, dict):
            return given
        if isinstance(given, tuple):
            return {given[0]: given[1]}
        if isinstance(given, list):
            return dict(given) if all(isinstance(each, tuple) for each in given) else {"input": given}
        if _is_target(given):
            return {"input": given}
        raise ValueError(f"{self}: requires() leads to {given!r}; expected targets, alone, in a list, or named by tuples or a dict")

    def _format_output_args(self) -> list[str]:
        given = self.output()
        named = {"output": given} if _is_target(given) else given
        if not isinstance(named, dict):
            raise ValueError(f"{self}: output() gave {given!r}, expected a target, or a dict of targets by name")
        return [f"--{name}={self.get_target_path(target)}" for name, target in named.items()]

    @staticmethod
    def get_target_path(target: Any) -> str:
        """A target as Beam names it. Raises ValueError for one that it does not know."""
        from .bigquery import BigQueryTarget
        from .gcs import GCSTarget

        if isinstance(target, (LocalTarget, GCSTarget)):
            return str(target.path)
        if isinstance(target, BigQueryTarget):
            return f"{target.table.project_id}:{target.table.dataset_id}.{target.table.table_id}"
        raise ValueError(f"{target!r}: Beam is told of files here or in Google's storage, and of tables of BigQuery")


def _is_target(one: Any) -> bool:
    return isinstance(one, Target) or (hasattr(one, "exists") and not isinstance(one, (dict, list, tuple)))

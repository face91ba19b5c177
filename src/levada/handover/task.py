"""`JobTask`: a task whose work another system does, while the worker waits for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from levada._model.engines import JobSpec, JobStatus
from levada.config import setting
from levada.errors import EngineError
from levada.targets import FileTarget, LocalTarget
from levada.task import Task, flatten, repr_of

from .working import HandOver


class JobTask(Task):
    """A task that hands its work to an engine: say what to run in `command`, and perhaps where.

    engine: an address ("slurm", "ssh://ana@node7"); "": the one of ``[jobs] engine``, else "local", a process of this machine.
    cpus, memory (bytes), seconds: what the job may take, None for the engine's default. folder: where it runs; "" for the folder of the
    worker (engine local) or the engine's own choice.
    The job runs once: when the worker dies, the next attempt of the task goes on with it. Many of them wait at a time in one
    worker (``[jobs] slots``), beside the tasks that it runs itself.
    """

    engine: ClassVar[Any] = ""
    cpus: ClassVar[Any] = None
    memory: ClassVar[Any] = None
    seconds: ClassVar[Any] = None
    folder: ClassVar[Any] = ""
    batch_limit = 1  # a job belongs to one task: another set of tasks would not find it again
    submission: ClassVar[str] = ""  # set on the instance while it runs: the name of the submission
    _last_words: ClassVar[str] = ""  # the same: the end of what a job said that ended well, in case its outputs are not there

    # -- what authors define

    def command(self) -> Sequence[str]:
        """Program and arguments, each a text; no shell reads them."""
        raise NotImplementedError(f"{type(self).__name__} has to define command()")

    def environment(self) -> Mapping[str, str]:
        """Variables that the job gets beside those of its engine."""
        return {}

    def options(self) -> Mapping[str, object]:
        """What only its engine understands: see there."""
        return {}

    def job(self, submission: str) -> JobSpec:
        """The whole description; override `command` and its like rather than this."""
        return JobSpec(
            submission, repr_of(self), tuple_of(self.command()), {**self._own_environment(), **self.environment()},
            str(self.folder), self.cpus, self.memory, self.seconds, self.options(),
        )  # fmt: skip

    def finished(self, status: JobStatus) -> None:
        """Called in the worker when the job has ended well, before the outputs are looked for; may be called again after a crash."""

    # -- what authors use

    def partial(self, target: FileTarget | LocalTarget) -> str:
        """Path at which the job writes a local output: it gets its name when the job has ended well, so that it is whole or absent.

        The same for each attempt that follows one job. Raises EngineError for a target that is not a local file.
        """
        if not _is_local(target):
            raise EngineError(f"{target}: only local files have a partial path", hint="Let the job write it whole or absent by itself.")
        part = self._part(target)
        os.makedirs(os.path.dirname(part), exist_ok=True)
        return part

    def run(self) -> None:
        """Hand over, and wait until the job has ended well. Raises JobFailed."""
        HandOver(self).go()

    # -- what the hand-over uses

    def is_local(self) -> bool:
        """Whether it does its work itself here, instead of waiting for a job: then it takes a slot as other tasks do."""
        return False

    def engine_address(self) -> str:
        """Where the job goes."""
        return str(self.engine or setting("jobs", "engine") or "local")

    def finish(self, status: JobStatus) -> None:
        """Give partial outputs their names, after the author's own words."""
        from levada.targets.atomic import before_commit, publish, sync_folder

        self.finished(status)
        for target, part in self._partials():
            _sync(part)
            before_commit()
            publish(part, str(target.path), replace=target.mode == "replace")
            sync_folder(os.path.dirname(part))

    def give_up(self, status: JobStatus) -> None:
        """Remove partial outputs of a job that has not ended well."""
        for _, part in self._partials():
            if os.path.isdir(part) and not os.path.islink(part):
                shutil.rmtree(part)
            else:
                os.unlink(part)

    def _partials(self) -> list[tuple[Any, str]]:
        """Local outputs, and what the job has written of each; those of which there is nothing are left out."""
        parts = [(target, self._part(target)) for target in flatten(self.output()) if _is_local(target)]
        return [(target, part) for target, part in parts if os.path.lexists(part)]

    def _part(self, target: Any) -> str:
        folder, name = os.path.split(os.path.abspath(target.path))
        return os.path.join(folder, f".{name}.{self.submission or 'none'}.job")

    def _own_environment(self) -> dict[str, str]:
        return {"LEVADA_TASK": repr_of(self), "LEVADA_FENCE": str(self.fence or ""), "LEVADA_SUBMISSION": self.submission}


def tuple_of(words: Any) -> tuple[str, ...]:
    """The words, paths as texts; what is no text stays, so that the hand-over can say what is wrong with it."""
    if isinstance(words, str):
        return words  # type: ignore[return-value]  # refused later
    return tuple(os.fspath(word) if isinstance(word, os.PathLike) else word for word in words)


def _is_local(target: Any) -> bool:
    text = str(target)
    return isinstance(target, (FileTarget, LocalTarget)) and ("://" not in text or text.startswith("file://"))


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

"""``luigi.contrib.external_program``: programs as tasks, run as old programs expect it.

A program is a child of the attempt and ends with it, gets the environment that ``program_environment`` gives and no other, and fails
with `ExternalProgramRunError`. A task with ``engine = "local"`` (or "slurm", "ssh://HOST"...) hands it over instead, as
`levada.contrib.programs` does: it outlives the worker and runs once.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import IO, Any

from levada.contrib import programs
from levada.errors import JobFailed
from levada.handover import attached
from levada.params import BoolParameter, ChoiceParameter, OptionalParameter, ParameterVisibility

logger = logging.getLogger("luigi-interface")

__all__ = ["ExternalProgramRunContext", "ExternalProgramRunError", "ExternalProgramTask", "ExternalPythonProgramTask"]


class ExternalProgramRunError(JobFailed, RuntimeError):
    """A program ended with another status than 0. out, err: what it said, None where that was not captured; env: its environment."""

    code = "program-failed"

    def __init__(
        self,
        message: str,
        args: Sequence[str],
        env: Mapping[str, str] | None = None,
        stdout: str | None = None,
        stderr: str | None = None,
    ) -> None:
        said = f"{message}\nCOMMAND: {' '.join(args)}\nSTDOUT: {stdout or '[empty]'}\nSTDERR: {stderr or '[empty]'}"
        super().__init__(said)  # the environment stays out of the text: it holds what nobody should read in a log
        self.args, self.env, self.out, self.err = tuple(args), env, stdout, stderr


class ExternalProgramTask(programs.ExternalProgramTask):
    """Runs the program that ``program_args`` names.

    capture_output: what it says is logged when it has ended; else it goes where the worker's own words go. A line of
    ``stream_for_searching_tracking_url`` that matches ``tracking_url_pattern`` tells where the work is shown.
    """

    capture_output = BoolParameter(default=True, significant=False, positional=False)
    stream_for_searching_tracking_url = ChoiceParameter(
        default="none",
        choices=("none", "stdout", "stderr"),
        var_type=str,
        significant=False,
        positional=False,
        visibility=ParameterVisibility.HIDDEN,
        description="where the program tells its page: stdout, stderr or none.",
    )
    tracking_url_pattern = OptionalParameter(
        default=None,
        significant=False,
        positional=False,
        visibility=ParameterVisibility.HIDDEN,
        description="pattern whose first group, or all of it, is the address of the program's page.",
    )

    # -- what old programs define

    def program_args(self) -> Sequence[Any]:
        """The program and its arguments."""
        raise NotImplementedError(f"{type(self).__name__} has to define program_args()")

    def program_environment(self) -> dict[str, str]:
        """All variables that the program gets."""
        return dict(os.environ)

    @property
    def always_log_stderr(self) -> bool:
        """Whether stderr is logged of programs that ended well, too."""
        return True

    def build_tracking_url(self, logs_output: str) -> str:
        """The address that a match stands for."""
        return logs_output

    # -- run

    def is_local(self) -> bool:
        """Whether the program is a child of the attempt: unless the class names an engine."""
        return not self.engine

    def run(self) -> None:
        """Run it to its end. Raises ExternalProgramRunError, or JobFailed where it was handed over."""
        if not self.is_local():
            super().run()
            return
        args = [str(arg) for arg in self.program_args()]
        logger.info("Running command: %s", " ".join(args))
        env = self.program_environment()
        with ExitStack() as files:
            kept: dict[str, Any] = {}
            if self.capture_output:
                kept = {name: files.enter_context(tempfile.TemporaryFile()) for name in ("stdout", "stderr")}
            with self._started(args, {"env": env, **kept}) as process:
                status = attached.wait_for(process)
            self._judge(status, args, env, {name: self._clean_output_file(file) for name, file in kept.items()})

    def environment(self) -> Mapping[str, str]:
        """For the hand-over: how ``program_environment`` differs from the worker's."""
        return {name: value for name, value in self.program_environment().items() if os.environ.get(name) != value}

    def _started(self, args: list[str], kwargs: dict[str, Any]) -> AbstractContextManager[subprocess.Popen[bytes]]:
        if self.stream_for_searching_tracking_url != "none" and self.tracking_url_pattern is not None:
            return self._proc_with_tracking_url_context(proc_args=args, proc_kwargs=kwargs)
        return attached.program(args, **kwargs)

    def _proc_with_tracking_url_context(
        self, proc_args: list[str], proc_kwargs: dict[str, Any]
    ) -> AbstractContextManager[subprocess.Popen[bytes]]:
        at = self.stream_for_searching_tracking_url
        return attached.program(proc_args, look=self._look_for_url(), at=at, **proc_kwargs)

    def _look_for_url(self) -> Callable[[str], None]:
        pattern = re.compile(str(self.tracking_url_pattern))

        def look(line: str) -> None:
            if found := pattern.search(line):
                self.set_tracking_url(self.build_tracking_url(found[min(1, pattern.groups)]))

        return look

    def _judge(self, status: int, args: list[str], env: Mapping[str, str], said: Mapping[str, str]) -> None:
        out, err = said.get("stdout"), said.get("stderr")
        if out:
            _log("Program stdout", out)
        if err and (self.always_log_stderr or status != 0):
            _log("Program stderr", err)
        if status != 0:
            raise ExternalProgramRunError(f"Program failed with return code={status}:", args, env=env, stdout=out, stderr=err)

    def _clean_output_file(self, file_object: IO[bytes]) -> str:
        file_object.seek(0)
        return file_object.read().decode("utf-8", "replace")


def _log(what: str, said: str) -> None:
    """One record, whose text is whole: old programs look for it."""
    words = f"{what}:\n{said}"
    logger.info(words)


class ExternalPythonProgramTask(ExternalProgramTask):
    """Runs a program of Python, in a virtual environment or with folders that are searched first."""

    virtualenv = OptionalParameter(default=None, positional=False, description="folder of a virtual environment whose programs come first")
    extra_pythonpath = OptionalParameter(default=None, positional=False, description="folders where modules are sought first")

    def program_environment(self) -> dict[str, str]:
        """The worker's variables, changed as the environment's ``activate`` would."""
        env = super().program_environment()
        if self.extra_pythonpath:
            env["PYTHONPATH"] = ":".join([self.extra_pythonpath, env.get("PYTHONPATH", "")])
        if self.virtualenv:
            env["PATH"] = ":".join([f"{self.virtualenv}/bin", env.get("PATH", "")])
            env["VIRTUAL_ENV"] = self.virtualenv
            env.pop("PYTHONHOME", None)
        return env


class ExternalProgramRunContext:
    """For programs that start a process by themselves: it ends with the ``with`` block where that is left by an error."""

    def __init__(self, proc: attached.Process) -> None:
        self.proc = proc

    def __enter__(self) -> ExternalProgramRunContext:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None:
            self.kill_job()

    def kill_job(self, captured_signal: int | None = None, stack_frame: object = None) -> None:
        """End the process."""
        attached.end(self.proc)

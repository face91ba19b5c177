"""``luigi.contrib.pig``: scripts of Pig by its own program, a child of the attempt. There is no wing for it."""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any

from levada.errors import JobFailed
from levada.handover import attached
from levada.task import Task

from ._settings import configured

logger = logging.getLogger("luigi-interface")


class PigJobError(JobFailed, RuntimeError):
    """A script failed; out, err: what Pig said."""

    code = "pig-failed"

    def __init__(self, message: str, out: str | None = None, err: str | None = None) -> None:
        said = "".join(f"\n{name}: {text}" for name, text in (("STDOUT", out), ("STDERR", err)) if text)
        super().__init__(message + said)
        self.out, self.err = out, err


class PigJobTask(Task):
    """Runs the script that `pig_script_path` names."""

    def pig_home(self) -> str:
        """Pig's folder: ``[pig] home``."""
        return str(configured("pig", "home", "/usr/share/pig"))

    def pig_command_path(self) -> str:
        """The program."""
        return os.path.join(self.pig_home(), "bin/pig")

    def pig_env_vars(self) -> Mapping[str, str]:
        """Variables that Pig gets beside those of the worker."""
        return {}

    def pig_properties(self) -> Mapping[str, Any]:
        """Properties of Pig."""
        return {}

    def pig_parameters(self) -> Mapping[str, Any]:
        """Parameters of the script."""
        return {}

    def pig_options(self) -> Sequence[str]:
        """Further options of the program."""
        return []

    def output(self) -> Any:
        """What the script makes."""
        raise NotImplementedError(f"{type(self).__name__} has to define output()")

    def pig_script_path(self) -> str:
        """The script."""
        raise NotImplementedError(f"{type(self).__name__} has to define pig_script_path()")

    def run(self) -> None:
        """Run it to its end. Raises PigJobError."""
        with self._build_pig_cmd() as command:
            self.track_and_progress(command)

    @contextmanager
    def _build_pig_cmd(self) -> Iterator[list[str]]:
        words = [self.pig_command_path(), *self.pig_options()]
        with tempfile.NamedTemporaryFile() as parameters, tempfile.NamedTemporaryFile() as properties:
            for option, file, given in (
                ("-param_file", parameters, self.pig_parameters()),
                ("-propertyFile", properties, self.pig_properties()),
            ):
                if given:
                    file.writelines(f"{name}={value}{os.linesep}".encode() for name, value in given.items())
                    file.flush()
                    words += [option, file.name]
            yield [*words, "-f", self.pig_script_path()]

    def track_and_progress(self, cmd: Sequence[str]) -> None:
        """Run a command of Pig, and log what it says. Raises PigJobError."""
        env = {**os.environ, "PIG_HOME": self.pig_home(), **self.pig_env_vars()}
        process = subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        said: list[str] = []
        reader = Thread(target=_log_all, args=(process.stdout, []), daemon=True)
        reader.start()
        with attached.ending_with(process):
            _log_all(process.stderr, said)
            attached.wait_for(process)
            reader.join()
        if process.returncode != 0:
            raise PigJobError(f"{self.pig_script_path()}: Pig script failed with return value: {process.returncode}", err="".join(said))


def _log_all(stream: Any, said: list[str]) -> None:
    """Log each line, and keep it."""
    with stream:
        for line in stream:
            text = line.decode("utf-8", "replace")
            said.append(text)
            if words := text.rpartition(" - ")[2].strip():
                logger.info(words)

"""Programs as tasks, in Luigi's spelling."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from levada.errors import EngineError
from levada.handover.task import JobTask
from levada.task import repr_of


class ExternalProgramTask(JobTask):
    """Runs a program: `program_args` says which. It outlives the worker, and is run once."""

    def program_args(self) -> Sequence[Any]:
        """Program and arguments; what is no text becomes one."""
        raise NotImplementedError(f"{type(self).__name__} has to define program_args()")

    def program_environment(self) -> Mapping[str, str]:
        """Variables that it gets beside those of the worker."""
        return {}

    def command(self) -> Sequence[str]:
        """The arguments as texts."""
        args: Any = self.program_args()
        if isinstance(args, str):
            raise EngineError(f"{repr_of(self)}: program_args() gave {args!r}, expected a list", hint='As ["ls", "-l", path].')
        return [os.fspath(arg) if isinstance(arg, os.PathLike) else str(arg) for arg in args]

    def environment(self) -> Mapping[str, str]:
        """As Luigi names it."""
        return self.program_environment()


class ExternalPythonProgramTask(ExternalProgramTask):
    """Runs a program of Python.

    virtualenv: folder of the environment whose programs come first. extra_pythonpath: where modules are sought first.
    """

    virtualenv: ClassVar[Any] = None
    extra_pythonpath: ClassVar[Any] = None

    def program_environment(self) -> Mapping[str, str]:
        """PATH and PYTHONPATH with what was named in front."""
        found: dict[str, str] = {}
        if self.virtualenv:
            found["PATH"] = os.pathsep.join([os.path.join(str(self.virtualenv), "bin"), os.environ.get("PATH", os.defpath)])
            found["VIRTUAL_ENV"] = str(self.virtualenv)
        if self.extra_pythonpath:
            found["PYTHONPATH"] = os.pathsep.join([str(self.extra_pythonpath), *filter(None, [os.environ.get("PYTHONPATH")])])
        return found

"""Programs of this machine as tasks: `ExternalProgramTask`, and the engine ``local`` behind it."""

from __future__ import annotations

from .tasks import ExternalProgramTask, ExternalPythonProgramTask

__all__ = ["ExternalProgramTask", "ExternalPythonProgramTask"]

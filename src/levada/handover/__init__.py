"""Handing execution to another system, visibly and per task: `JobTask`, and the engines by address."""

from __future__ import annotations

from levada._model.engines import Engine, JobSpec, JobState, JobStatus

from .engines import open_engine, register_engine, split_address
from .task import JobTask

__all__ = ["Engine", "JobSpec", "JobState", "JobStatus", "JobTask", "open_engine", "register_engine", "split_address"]

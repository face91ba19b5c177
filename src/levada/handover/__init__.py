"""Handing execution to another system, visibly and per task: `JobTask`, and the engines by address."""

from __future__ import annotations

from levada._model.engines import Engine, JobSpec, JobState, JobStatus

from .engines import open_engine, register_engine, split_address

__all__ = ["Engine", "JobSpec", "JobState", "JobStatus", "open_engine", "register_engine", "split_address"]

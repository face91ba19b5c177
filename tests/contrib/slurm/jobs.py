"""Jobs for tests, and how often Slurm was asked."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from levada._model.engines import Engine, JobSpec, JobStatus

from .cluster import wait_for


def spec(*argv: str, **more: object) -> JobSpec:
    """A new job."""
    return JobSpec(f"t-{uuid.uuid4().hex[:12]}", "Count(day=2024-02-29)", argv, **more)  # type: ignore[arg-type]


def end_of(engine: Engine, handle: str) -> JobStatus:
    """How it ended, waited for."""
    wait_for(lambda: engine.poll([handle])[0].state.is_ended)
    return engine.poll([handle])[0]


def counted(folder: Path, monkeypatch: pytest.MonkeyPatch, *programs: str) -> Callable[[], int]:
    """Has the programs note each of their starts; how many there were."""
    notes, shims = folder / "asked", folder / "shims"
    shims.mkdir()
    notes.touch()
    for program in programs:
        (shims / program).write_text(f'#!/bin/sh\necho {program} >> "{notes}"\nexec {shutil.which(program)} "$@"\n')
        (shims / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{shims}{os.pathsep}{os.environ['PATH']}")
    return lambda: len(notes.read_text().split())

"""The engine keeps the laws that all are held to, on a real Slurm."""

from __future__ import annotations

import pytest

from levada.contrib.slurm import SlurmEngine
from levada.testing.engines import EngineLaws


class TestSlurm(EngineLaws):
    @pytest.fixture(autouse=True)
    def _place(self, engine: SlurmEngine) -> None:
        self.folder = engine._folder

    def make_engine(self) -> SlurmEngine:
        return SlurmEngine(folder=self.folder)

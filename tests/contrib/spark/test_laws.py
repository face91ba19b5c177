"""The laws of engines, on spark-submit: an application that runs a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from levada.contrib.spark.engine import SparkEngine
from levada.testing.engines import EngineLaws
from tests.conftest import takes_minutes

from .cluster import QUICK

SHELL = "import os, sys\nos.execvp('sh', ['sh', '-c', sys.argv[1], 'sh', *sys.argv[2:]])\n"


@takes_minutes
@pytest.mark.timeout(600)
class TestLaws(EngineLaws):
    patience = 300.0

    @pytest.fixture(autouse=True)
    def _spark(self, spark_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = tmp_path
        (tmp_path / "shell.py").write_text(SHELL)
        monkeypatch.setenv("SPARK_HOME", str(spark_home))
        monkeypatch.setenv("SPARK_SUBMIT_OPTS", QUICK)

    def make_engine(self) -> SparkEngine:
        return SparkEngine("local[1]", str(self.folder / "jobs"))

    def argv(self, script: str, *words: str) -> tuple[str, ...]:
        return (str(self.folder / "shell.py"), script, *words)

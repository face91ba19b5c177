"""Streams that the caller closed, or whose disk is full: the work is done, and the exit code tells so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import levada

PIPELINE = """
import levada as lv
class Done(lv.Task):
    def output(self):
        return lv.LocalTarget("done.txt")
    def run(self):
        self.output().write_text("x")
"""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_a_run_is_made_and_ends_with_0_whatever_became_of_its_streams(tmp_path: Path, closed: str) -> None:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    environment = {**os.environ, "PYTHONPATH": str(Path(levada.__file__).parent.parent), "LEVADA_STATE": str(tmp_path / "state")}
    command = f"{sys.executable} -m levada run pipeline.py Done {closed}"
    ended = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, env=environment, timeout=30, check=False)
    assert ended.returncode == 0
    assert (tmp_path / "done.txt").read_text() == "x"

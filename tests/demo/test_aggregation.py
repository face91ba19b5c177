"""The program in Luigi's spelling runs as it is: from the command line and as a script."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AS_SCRIPT = [str(ROOT / "examples" / "aggregation.py")]
AS_MODULE = ["-m", "levada", "run", "--module", "examples.aggregation", "RunAll"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that stands for the root of the cluster, with a day more of readings on each day before."""
    readings = tmp_path / "cluster" / "gauges" / "readings"
    readings.mkdir(parents=True)
    for back in range(-1, 24):  # tomorrow too, so that midnight may pass
        day = date.today() - timedelta(back)
        (readings / f"{day}.txt").write_text("17:00 4.2\n" * (back + 2))
    return tmp_path / "cluster"


def run(root: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "LEVADA_HDFS__LOCAL_ROOT": str(root),
        "LEVADA_STATE": str(root.parent / "state"),
    }
    return subprocess.run(
        [sys.executable, *arguments], cwd=root.parent, env=environ, capture_output=True, text=True, check=False, timeout=50
    )


@pytest.mark.parametrize("arguments", [AS_SCRIPT, AS_MODULE])
def test_the_old_spelling_runs_as_it_is_written(root: Path, arguments: list[str]) -> None:
    before = date.today()
    done = run(root, arguments)
    assert done.returncode == 0, done.stdout + done.stderr

    counts = {path.name: int(path.read_text()) for path in (root / "gauges" / "counts").iterdir()}
    assert len(counts) == 30
    for name, count in counts.items():
        day, window = date.fromisoformat(name[:10]), int(name[11:])
        lines = [root / "gauges" / "readings" / f"{day - timedelta(back)}.txt" for back in range(window)]
        assert count == sum(len(path.read_text().splitlines()) for path in lines)
    assert before in {date.fromisoformat(name[:10]) for name in counts} or date.today() > before


def test_a_second_run_of_the_old_program_makes_nothing(root: Path) -> None:
    assert run(root, AS_SCRIPT).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in (root / "gauges" / "counts").iterdir()}
    assert run(root, AS_SCRIPT).returncode == 0
    after = {path: path.stat().st_mtime_ns for path in (root / "gauges" / "counts").iterdir()}
    assert {path: after[path] for path in before} == before

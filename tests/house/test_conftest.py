"""In CI a test that does not run is a failure, unless that is meant."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"

BY_DESIGN = "import pytest\n@pytest.mark.skipif(True, reason='by design: no Windows here')\ndef test_a(): pass\ndef test_b(): pass\n"
UNMEANT = "import pytest\n@pytest.mark.skip(reason='no java found')\ndef test_a(): pass\ndef test_b(): pass\n"
MODULE = "import pytest\npytest.importorskip('no_such_module_here')\n"


def session(folder: Path, text: str, *options: str, ci: bool) -> subprocess.CompletedProcess[str]:
    shutil.copy(CONFTEST, folder)
    (folder / "test_it.py").write_text(text)
    environment = {**os.environ, "CI": "1" if ci else "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "1")])
def test_an_unmeant_skip_fails_a_run_in_ci(tmp_path: Path, options: tuple[str, ...]) -> None:
    result = session(tmp_path, UNMEANT, *options, ci=True)
    assert result.returncode == 1, result.stdout
    assert "test_it.py::test_a: no java found" in result.stdout


def test_a_module_that_skips_itself_fails_a_run_in_ci(tmp_path: Path) -> None:
    assert session(tmp_path, MODULE, ci=True).returncode == 1


def test_a_skip_by_design_passes_in_ci(tmp_path: Path) -> None:
    assert session(tmp_path, BY_DESIGN, ci=True).returncode == 0


def test_desks_may_skip_what_they_do_not_have(tmp_path: Path) -> None:
    assert session(tmp_path, UNMEANT, ci=False).returncode == 0


def test_a_module_that_is_slow_as_a_whole_is_not_imported_where_slow_tests_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "test_fast.py").write_text("def test_a(): pass\n")
    slow = "import pytest\nassert False, 'imported'\npytestmark = [pytest.mark.timeout(9), pytest.mark.slow]\n"
    assert session(tmp_path, slow, "-m", "not slow and not ci", ci=False).returncode == 0
    assert session(tmp_path, slow, ci=False).returncode == 2


def test_what_tests_start_is_not_imported_to_look_for_examples(tmp_path: Path) -> None:
    (tmp_path / "started.py").write_text("assert False, 'imported'\n")
    assert session(tmp_path, "def test_a(): pass\n", "--doctest-modules", ci=False).returncode == 0

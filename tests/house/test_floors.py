"""A test of the tests: a wrong import breaks a contract, and a room without a floor is seen.

The scratch house has every room that the contracts name, each empty but for its sign, so that a verdict
is about the contracts and not about what the real rooms import today.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def rooms() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return [room for layer in contracts[0]["layers"] for room in re.findall(r"\w+", layer)]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A house of empty rooms under the real contracts."""
    house = tmp_path / "src" / "levada"
    for room in [*rooms(), "contrib/s3", "contrib/hadoop"]:
        (house / room).mkdir(parents=True, exist_ok=True)
        (house / room / "__init__.py").write_text('"""A room."""\n')
    (house / "__init__.py").write_text('"""The house."""\n')
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = "import sys; from importlinter.cli import lint_imports_command as lint; sys.path.insert(0, 'src'); lint(['--no-cache'])"
    return subprocess.run([sys.executable, "-c", command], cwd=root, capture_output=True, text=True, check=False)


def check_floors(root: Path) -> subprocess.CompletedProcess[str]:
    script = str(ROOT / "tools" / "check_floors.py")
    return subprocess.run([sys.executable, script, str(root)], capture_output=True, text=True, check=False)


def test_the_house_keeps_its_contracts() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


def test_every_room_of_the_house_has_a_floor() -> None:
    result = check_floors(ROOT)
    assert result.returncode == 0, result.stdout


def test_empty_rooms_break_no_contract(scratch: Path) -> None:
    """Else the failures below would show nothing."""
    assert lint(scratch).returncode == 0
    assert check_floors(scratch).returncode == 0


@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("_model", "import levada.task", "floors"),
        ("_core", "from levada import _server", "floors"),
        ("_core", "import levada._store", "floors"),
        ("_server", "import levada._worker", "floors"),
        ("_plan", "def f():\n    import levada._worker", "floors"),
        ("ui", "import levada.cli", "floors"),
        ("params", "import levada._plan", "floors"),
        ("task", "import levada._core", "floors"),
        ("_core", "import levada.task", "hall"),
        ("_store", "import levada.targets", "hall"),
        ("_worker", "import levada._store", "the brain and the memory"),
        ("_run", "import levada._core", "the brain and the memory"),
        ("cli", "import levada.luigi", "nothing uses the annex"),
        ("testing", "import levada.contrib.s3", "wings are opened"),
        ("contrib/s3", "import levada._worker", "wings stand on author"),
        ("contrib/s3", "import levada.contrib.hadoop", "wings do not know"),
        ("_core", "import time", "the brain has no clock"),
        ("_core", "from random import random", "the brain has no clock"),
        ("_model", "import msgspec", "ground, brain"),
        ("_plan", "def f():\n    import rich", "ground, brain"),
    ],
)
def test_a_wrong_import_breaks_its_contract(scratch: Path, room: str, line: str, contract: str) -> None:
    (scratch / "src" / "levada" / room / "wrong.py").write_text(f'"""Wrong."""\n{line}\n')
    result = lint(scratch)
    broken = [text for text in result.stdout.splitlines() if text.endswith("BROKEN")]
    assert result.returncode == 1, result.stdout
    assert any(text.startswith(contract) for text in broken), result.stdout


def test_a_right_import_breaks_nothing(scratch: Path) -> None:
    house = scratch / "src" / "levada"
    (house / "_server" / "right.py").write_text("import time\nimport levada._core\nimport levada._store\nimport levada._model\n")
    (house / "luigi" / "right.py").write_text("import levada.contrib.s3\nimport levada.cli\nimport levada.task\n")
    (house / "contrib" / "s3" / "right.py").write_text("import levada.task\nimport levada.errors\n")
    result = lint(scratch)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", ["attic/__init__.py", "attic/room.py", "attic.py"])
def test_a_room_without_a_floor_is_seen(scratch: Path, name: str) -> None:
    file = scratch / "src" / "levada" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text('"""Nobody said where this belongs."""\n')
    result = check_floors(scratch)
    assert result.returncode == 1
    assert "attic has no floor" in result.stdout


def test_a_folder_that_the_contracts_cannot_see_is_seen(scratch: Path) -> None:
    file = scratch / "src" / "levada" / "_core" / "deep" / "rows.py"
    file.parent.mkdir()
    file.write_text("import levada.cli\n")
    result = check_floors(scratch)
    assert "has no __init__.py" in result.stdout


def test_a_brain_that_opens_a_file_is_seen(scratch: Path) -> None:
    (scratch / "src" / "levada" / "_core" / "rows.py").write_text('text = open("rows").read()\n')
    result = check_floors(scratch)
    assert "_core/rows.py:1: open()" in result.stdout

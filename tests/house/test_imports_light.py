"""What cron pays each minute stays light: `sys.modules` is compared with a list, no time is measured.

The child runs with -S: site-packages do not exist for it, so the path stands on the standard library.
"""

from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = [line for line in (Path(__file__).parent / "light_modules.txt").read_text().splitlines() if line and line[0] != "#"]
HEAVY = ["asyncio", "dataclasses", "http", "inspect", "logging.config", "multiprocessing", "pathlib", "pickle", "socket", "subprocess"]
HEAVY_ROOMS = ["levada._worker", "levada._server", "levada._client", "levada.luigi", "levada.contrib", "levada.ui", "levada.testing"]

# Prints what the statements loaded, on stdout's last line.
CHILD = """
import sys
sys.path[:0] = [{src!r}, {folder!r}]
before = set(sys.modules)
{statements}
print(*sorted(set(sys.modules) - before))
"""

TASKS = """
import datetime
import levada as lv


class Dump(lv.ExternalTask):
    day: datetime.date

    def output(self):
        return lv.LocalTarget(f"dump/{self.day}.txt")


class Sums(lv.Task):
    day: datetime.date
    window: int = 7

    def requires(self):
        return [Dump(day=self.day - datetime.timedelta(i)) for i in range(self.window)]

    def output(self):
        return lv.LocalTarget(f"sums/{self.day}-{self.window}.txt")

    def run(self):
        raise AssertionError("was not needed")


class All(lv.WrapperTask):
    def requires(self):
        return [Sums(day=datetime.date(2013, 1, 20) - datetime.timedelta(i), window=w) for w in (3, 7, 14) for i in range(10)]
"""


def loaded(statements: str, folder: Path) -> list[str]:
    """Modules that the statements load in a fresh, isolated interpreter."""
    code = CHILD.format(src=str(ROOT / "src"), folder=str(folder), statements=statements)
    result = subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()[-1].split()


def not_allowed(modules: list[str]) -> list[str]:
    return [name for name in modules if not any(fnmatchcase(name, pattern) for pattern in ALLOWED)]


@pytest.fixture
def all_there(tmp_path: Path) -> Path:
    """A folder with the program, where each output of its thirty aggregations exists."""
    (tmp_path / "light_tasks.py").write_text(TASKS)
    (tmp_path / "sums").mkdir()
    for window in (3, 7, 14):
        for day in range(11, 21):
            (tmp_path / "sums" / f"2013-01-{day}-{window}.txt").touch()
    return tmp_path


def test_import_levada_loads_nothing_else(tmp_path: Path) -> None:
    """Its names are loaded when they are first used."""
    assert set(loaded("import levada", tmp_path)) <= {"levada", "__future__"}


def test_defining_a_task_is_light(tmp_path: Path) -> None:
    (tmp_path / "light_tasks.py").write_text(TASKS)
    modules = loaded("import light_tasks", tmp_path)
    modules.remove("light_tasks")
    assert not_allowed(modules) == []


def nothing_to_do(folder: Path, environ: str = "{}") -> list[str]:
    run = f"""
import os
os.environ.update({environ})
import levada.cli
code = levada.cli.main(["run", "--module", "light_tasks", "All"])
sys.stdout.flush()
assert code in (0, None), code
"""
    modules = loaded(run, folder)
    modules.remove("light_tasks")
    return modules


def test_a_run_with_nothing_to_do_loads_only_what_is_listed(all_there: Path) -> None:
    assert not_allowed(nothing_to_do(all_there)) == []


def test_a_run_with_nothing_to_do_opens_no_heavy_room(all_there: Path) -> None:
    """Workers and hosts are loaded when the first incomplete task is found."""
    modules = nothing_to_do(all_there)
    assert [name for name in modules if any(name == room or name.startswith(room + ".") for room in HEAVY_ROOMS)] == []


def test_a_run_that_shares_its_tasks_asks_no_server_before_there_is_something_to_do(all_there: Path) -> None:
    modules = nothing_to_do(all_there, '{"LEVADA_SCHEDULER": "http://localhost:1"}')
    assert not_allowed(modules) == []
    assert [name for name in modules if name.startswith(("levada._client", "levada._wire", "levada._served", "msgspec"))] == []


@pytest.mark.parametrize("name", HEAVY)
def test_the_list_does_not_admit_what_is_heavy(name: str) -> None:
    assert not_allowed([name]) == [name]

"""What `pip install levada` brings, and what the lock files promise."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ["run", "dev"]


def locked(name: str) -> dict[str, str]:
    """Distribution -> version, as the lock file pins them."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", text, re.MULTILINE))


def needed_by_users() -> set[str]:
    """Distributions that come with levada: all of run.lock but those that only building needs."""
    text = (ROOT / "requirements" / "run.lock").read_text()
    wanted = {re.split(r"[<>=]", requirement)[0] for requirement in PROJECT["project"]["dependencies"]}
    parents = {
        name: set(re.findall(r"^    #(?: via)? +([a-z0-9-]+)", block, re.MULTILINE))
        for name, block in re.findall(r"^([a-z0-9-]+)==(.*?)(?=^[a-z]|\Z)", text, re.MULTILINE | re.DOTALL)
    }
    while more := {name for name, via in parents.items() if via & wanted} - wanted:
        wanted |= more
    return wanted


def test_eight_distributions_in_all_come_with_levada() -> None:
    assert len(needed_by_users()) == 8, sorted(needed_by_users())


def test_each_pinned_version_has_a_hash() -> None:
    for name in LOCKS:
        text = (ROOT / "requirements" / f"{name}.lock").read_text()
        for block in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]:
            assert "--hash=sha256:" in block, block.splitlines()[0]


def test_lock_files_name_no_registry() -> None:
    for name in LOCKS:
        text = (ROOT / "requirements" / f"{name}.lock").read_text()
        assert "://" not in text
        assert "--index" not in text


def test_what_is_tested_is_what_users_get() -> None:
    tested = locked("dev")
    assert {name: tested.get(name) for name in locked("run")} == locked("run")


@pytest.mark.parametrize("dependency", PROJECT["project"]["dependencies"])
def test_each_dependency_is_locked(dependency: str) -> None:
    assert re.split(r"[<>=]", dependency)[0] in locked("run")


def test_names_for_checkers_and_names_at_run_time_are_the_same() -> None:
    """`levada/__init__.py` says its names twice: for type checkers, and for loading when first used."""
    import levada.params

    tree = ast.parse((ROOT / "src/levada/__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    shown = {alias.asname or alias.name for node in imports for alias in node.names} - {"*"}
    at_run_time = {name for name in dir(levada) if not name.startswith("_")} - set(levada.params.__all__)
    assert shown == at_run_time

"""Fail when something under src/levada stands on no floor, or when the brain reaches outside.

The import contracts in pyproject.toml judge the imports between rooms that Python can see. This script
adds what they cannot: a folder without ``__init__.py`` is invisible to them, and ``open`` needs no import.

    python tools/check_floors.py [ROOT]     ROOT: the project's folder, by default the one above
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

OUTSIDE = frozenset({"open", "print", "input", "breakpoint", "exec", "eval", "__import__"})
"""Builtins that the brain may not call: they reach the world, and need no import for it."""


def declared(pyproject: Path) -> set[str]:
    """Names of the rooms that the contract of the floors knows."""
    contracts = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    floors = next(contract for contract in contracts if contract["name"].startswith("floors"))
    return {room for layer in floors["layers"] for room in re.findall(r"\w+", layer)}


def built(package: Path) -> Iterator[str]:
    """Top-level modules and folders of the package that hold Python files."""
    for entry in sorted(package.iterdir()):
        if entry.is_dir() and any(entry.rglob("*.py")):
            yield entry.name
        elif entry.suffix == ".py" and entry.name != "__init__.py":
            yield entry.stem


def unsigned(package: Path) -> Iterator[Path]:
    """Folders with Python files but no ``__init__.py``: import contracts cannot see them."""
    for folder in sorted({file.parent for file in package.rglob("*.py")}):
        if not (folder / "__init__.py").exists():
            yield folder


def reaching_out(brain: Path) -> Iterator[str]:
    """Places where the brain calls a builtin that reaches outside."""
    for file in sorted(brain.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(), str(file))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OUTSIDE:
                yield f"{file.name}:{node.lineno}: {node.func.id}()"


def faults(root: Path) -> Iterator[str]:
    """One readable line for each thing that stands where it should not."""
    package = root / "src" / "levada"
    floors = declared(root / "pyproject.toml")
    for room in built(package):
        if room not in floors:
            yield f"src/levada/{room} has no floor: put it into [tool.importlinter], contract 'floors' (ARCHITECTURE.md tells which floor)"
    for folder in unsigned(package):
        yield f"{folder.relative_to(root)} has no __init__.py: the import contracts do not see it"
    for place in reaching_out(package / "_core"):
        yield f"src/levada/_core/{place}: the brain has no clock, no dice, no disk, no socket"


def main(argv: list[str]) -> int:
    """Exit status: 0 when all stands on its floor."""
    root = Path(argv[0]) if argv else Path(__file__).resolve().parent.parent
    found = list(faults(root))
    print("\n".join(found) or "floors: every room stands on one")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

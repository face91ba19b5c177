"""What run() yields: any nesting of tasks, answered with the same nesting of their outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import RunError


def frozen(structure: Any) -> Any:
    """The same nesting with lists in place of generators and sets, so that it can be gone through twice."""
    if isinstance(structure, Mapping):
        return {name: frozen(part) for name, part in structure.items()}
    if structure is None or isinstance(structure, (str, bytes)) or not hasattr(type(structure), "__iter__"):
        return structure
    return [frozen(part) for part in structure]


def tasks_of(structure: Any) -> list[Any]:
    """The tasks of a frozen structure, flat. Raises RunError for anything else in it."""
    if structure is None:
        return []
    if isinstance(structure, dict):
        return [task for part in structure.values() for task in tasks_of(part)]
    if isinstance(structure, list):
        return [task for part in structure for task in tasks_of(part)]
    if isinstance(structure, type) or not hasattr(structure, "output"):
        raise RunError(f"run() yielded {structure!r:.200}, which is not a task", hint="Yield tasks, or lists, tuples or dicts of them.")
    return [structure]


def outputs_of(structure: Any) -> Any:
    """The structure with each task's ``output()`` in its place; this is what the yield expression gives."""
    if structure is None:
        return []
    if isinstance(structure, dict):
        return {name: outputs_of(part) for name, part in structure.items()}
    if isinstance(structure, list):
        return [outputs_of(part) for part in structure]
    return structure.output()

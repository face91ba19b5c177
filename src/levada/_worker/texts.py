"""A task as family and parameter texts, and back: how it enters a process that does not hold it."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ..errors import RegistryError, RunError
from ..task import Task, can_be_named, key_of, registry


def entry_of(task: Any, key: bytes = b"") -> dict[str, Any]:
    """What another process needs to build the task again; plain values only. key: of the task, where it is known."""
    cls = type(task)
    return {"family": cls.get_task_family(), "module": cls.__module__, "texts": Task.to_texts(task), "key": (key or key_of(task)).hex()}


def task_from(entry: dict[str, Any]) -> Any:
    """The task of an entry. Raises RunError when it is not the same one: a parameter does not survive its text."""
    cls: Any = _class_of(entry["family"], entry["module"])
    task = cls.from_texts(entry["texts"])
    if not can_be_named(task):
        return task  # a spawned child knows no key for secrets: whoever sent the entry answers for it
    if key_of(task).hex() != entry["key"]:
        raise RunError(
            f"{entry['family']} is another task in this process: {_difference(task, entry)}",
            hint="A parameter's parse(serialize(value)) must give the value back, in every process.",
        )
    return task


def _class_of(family: str, module: str) -> type[Task]:
    if module not in sys.modules:
        importlib.import_module(module)
    try:
        return registry.find(f"{module}:{family}")
    except RegistryError:  # a program's __main__ has another name in a spawned process
        return registry.find(family)


def _difference(task: Any, entry: dict[str, Any]) -> str:
    texts: dict[str, str] = entry["texts"]
    now = Task.to_texts(task)
    changed = [name for name in now if now[name] != texts.get(name)]
    if not changed:
        return f"its class here ({type(task).__module__}) counts other parameters, or another key for secrets is used"
    return "; ".join(f"{name} went out as {texts.get(name)!r:.80} and reads back as {now[name]!r:.80}" for name in changed)

"""What travels to the nodes: an archive with Levada and the packages of the task's class, and the task as text.

No object is pickled: the text says module, family and parameters, and the nodes make the task anew from its own code. What
``init_local`` set on the task travels as text, too (see `records`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from levada.errors import JobRefused
from levada.handover.shipping import entry_of, module_name, module_of, packed, secrets_of, task_of
from levada.task import Task

from . import records

if TYPE_CHECKING:
    from .task import HadoopJobTask

TASK_FILE = "levada-task.json"
_LEFT_OUT = frozenset({"__pycache__", ".git", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
_OURS = {"_set_locally", "_counting"}  # attributes of a task that are not its author's


def archive(task: HadoopJobTask, folder: str) -> str:
    """Path of the archive of the task's code in a folder, made when it is not there yet. Raises JobRefused for what cannot travel."""
    modules = [module_name(type(task).__module__), "levada", *map(_name, task.extra_modules())]
    return packed(dict(entry for module in modules for entry in files_of(module)), folder)


def prepare(task: Any) -> None:
    """Call ``init_local``, and remember which attributes it set; another attempt of the task sets them again."""
    before = dict(vars(task))
    task.init_local()
    changed = {name for name, value in vars(task).items() if name not in before or before[name] is not value}
    vars(task)["_set_locally"] = sorted({*vars(task).get("_set_locally", ()), *changed} - _OURS)


def state_of(task: Task) -> dict[str, str]:
    """What ``init_local`` set, as texts. Raises JobRefused for what has none."""
    found = {}
    for name in vars(task).get("_set_locally", ()):
        try:
            found[name] = records.dump(vars(task)[name])
        except TypeError as cause:
            raise JobRefused(
                f"{task}: init_local set {name!r}, which cannot travel to the nodes: {cause}",
                hint="Set plain values there, and make others on the nodes, where they are used (Hadoop: in init_mapper, init_reducer).",
            ) from cause
    return found


def set_state(task: Task, state: Mapping[str, str]) -> None:
    """Set it again, on the node."""
    for name, text in state.items():
        setattr(task, name, records.load(text))


def describe(task: HadoopJobTask, names: Mapping[str, str]) -> str:
    """The task as text, secret parameters included: what `read_task` makes it of. names: of files there, as the author has them."""
    known = {
        "entry": entry_of(task),
        "secrets": secrets_of(task),
        "state": state_of(task),
        "environment": {**task._own_environment(), **task.environment()},
        "names": dict(names),
    }
    return json.dumps(known)


def read_task(text: str) -> HadoopJobTask:
    """The task that `describe` wrote, made of the code that is here; its variables are set in this process, its files have their names."""
    known = json.loads(text)
    os.environ.update(known["environment"])
    for there, name in known["names"].items():
        if folder := os.path.dirname(name):
            os.makedirs(folder, exist_ok=True)
        with suppress(FileExistsError):
            os.symlink(os.path.abspath(there) if folder else there, name)
    task: HadoopJobTask = task_of(known["entry"], known["secrets"])
    set_state(task, known["state"])
    return task


def files_of(module: str) -> Iterator[tuple[str, str]]:
    """Names in the archive, and paths here, of the package that a module belongs to; of the module alone where there is none."""
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        found = module_of(name)
        file = getattr(found, "__file__", None)
        if file is None:  # a namespace: it is not one package's, what is in it is
            continue
        at = "/".join(parts[:count])
        if hasattr(found, "__path__"):
            yield from _files_below(os.path.dirname(file), at)
        else:
            yield f"{at}{os.path.splitext(file)[1]}", file
        return
    raise JobRefused(
        f"{module}: has no file, so it cannot travel to the nodes", hint="extra_modules() are importable modules and packages."
    )


def _files_below(folder: str, at: str) -> Iterator[tuple[str, str]]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        inside = os.path.relpath(where, folder)
        into = at if inside == "." else f"{at}/{inside}"
        for name in names:
            if not name.endswith((".pyc", ".pyo")):
                yield f"{into}/{name}", os.path.join(where, name)


def _name(module: object) -> str:
    return str(getattr(module, "__name__", module))

"""What travels to the nodes: an archive with Levada and the packages of the task's class, and the task as text.

No object is pickled: the text says module, family and parameters, and the nodes make the task anew from its own code. What
``init_local`` set on the task travels as text, too (see `records`).
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from types import ModuleType
from typing import TYPE_CHECKING

from levada.errors import JobRefused

from . import records

if TYPE_CHECKING:
    from .task import HadoopJobTask

TASK_FILE = "levada-task.json"
_LEFT_OUT = frozenset({"__pycache__", ".git", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
_OURS = {"_set_locally", "_counting"}  # attributes of a task that are not its author's
_KEPT = 30 * 86400.0  # seconds that an archive stays after its last use
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same content makes the same bytes


def archive(task: HadoopJobTask, folder: str) -> str:
    """Path of the archive of the task's code in a folder, made when it is not there yet. Raises JobRefused for what cannot travel."""
    modules = [module_of(task), "levada", *map(_name, task.extra_modules())]
    members = sorted(dict(entry for module in modules for entry in files_of(module)).items())
    content = _zipped(members)
    path = os.path.join(folder, f"hadoop-{sha256(content).hexdigest()[:24]}.zip")
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        draft = f"{path}.{os.getpid()}-{os.urandom(4).hex()}"
        with open(draft, "wb") as file:
            file.write(content)
        os.replace(draft, path)
        _remove_old(folder)
    os.utime(path)
    return path


def _zipped(members: list[tuple[str, str]]) -> bytes:
    """The same files make the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, path in members:
            with open(path, "rb") as file:
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), file.read(), zipfile.ZIP_DEFLATED, 1)
    return stream.getvalue()


def _remove_old(folder: str) -> None:
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):
            if entry.name.startswith("hadoop-") and entry.stat().st_mtime < time.time() - _KEPT:
                os.unlink(entry.path)


def prepare(task: HadoopJobTask) -> None:
    """Call ``init_local``, and remember which attributes it set; another attempt of the task sets them again."""
    before = dict(vars(task))
    task.init_local()
    changed = {name for name, value in vars(task).items() if name not in before or before[name] is not value}
    vars(task)["_set_locally"] = sorted({*vars(task).get("_set_locally", ()), *changed} - _OURS)


def describe(task: HadoopJobTask, names: Mapping[str, str]) -> str:
    """The task as text, secret parameters included: what `read_task` makes it of. names: of files there, as the author has them."""
    attributes = {}
    for name in vars(task).get("_set_locally", ()):
        try:
            attributes[name] = records.dump(vars(task)[name])
        except TypeError as cause:
            raise JobRefused(
                f"{task}: init_local set {name!r}, which cannot travel to the nodes: {cause}",
                hint="Set plain values there, or make it in init_mapper and init_reducer, which run on the nodes.",
            ) from cause
    environment = {**task._own_environment(), **task.environment()}
    known = {
        "module": module_of(task),
        "family": task.family,
        "parameters": task.to_texts(),
        "state": attributes,
        "environment": environment,
        "names": dict(names),
    }
    return json.dumps(known)


def read_task(text: str) -> HadoopJobTask:
    """The task that `describe` wrote, made of the code that is here; its variables are set in this process, its files have their names."""
    from importlib import import_module

    from levada.task import registry

    known = json.loads(text)
    os.environ.update(known["environment"])
    for there, name in known["names"].items():
        if folder := os.path.dirname(name):
            os.makedirs(folder, exist_ok=True)
        with suppress(FileExistsError):
            os.symlink(os.path.abspath(there) if folder else there, name)
    import_module(known["module"])
    task: HadoopJobTask = registry.find(known["family"]).from_texts(known["parameters"])  # type: ignore[assignment]
    for name, value in known["state"].items():
        setattr(task, name, records.load(value))
    return task


def module_of(task: HadoopJobTask) -> str:
    """The module that defines the task's class, by the name that nodes import it by."""
    name = type(task).__module__
    if name != "__main__":
        return name
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m package.module
        return str(spec.name)
    file = getattr(main, "__file__", None)
    if file is None:
        hint = "Define it in a module that can be imported."
        raise JobRefused(f"{task}: its class is defined in no file, so it cannot travel to the nodes", hint=hint)
    return str(os.path.splitext(os.path.basename(file))[0])


def files_of(module: str) -> Iterator[tuple[str, str]]:
    """Names in the archive, and paths here, of the package that a module belongs to; of the module alone where there is none."""
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        found = _imported(name)
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


def _imported(name: str) -> ModuleType:
    from importlib import import_module

    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file and name not in sys.modules and os.path.splitext(os.path.basename(file))[0] == name:
        return main
    try:
        return import_module(name)
    except ImportError as cause:
        hint = "extra_modules() are importable modules and packages, or their names."
        raise JobRefused(f"{name}: cannot be imported, so it cannot travel to the nodes ({cause})", hint=hint) from cause


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

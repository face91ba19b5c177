"""A task on its way to a machine that has none of its code: itself as texts, the code as an archive. No pickle.

Who runs it there puts the archive on its path and calls `task_of`; the task is the same one, which its key proves.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from levada.config import current
from levada.errors import EngineError, JobRefused, RegistryError
from levada.task import Task, can_be_named, info_of, key_of, registry

_LEVADA = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_SKIPPED = (".pyc", ".pyo")
_KEPT = 30 * 86400.0  # seconds that an archive stays after its last use
_OLDEST = (1980, 1, 1, 0, 0, 0)  # of all members, so that the same code gives the same bytes

# -- the task ----------------------------------------------------------------------------------


def entry_of(task: Any) -> dict[str, Any]:
    """What another process needs to build the task again, plain values only; secret parameters are not among them.

    With it go the values of other families that the command line gave, which tasks that this one asks for may read.
    """
    cls = type(task)
    secret = {name for name, parameter in info_of(cls).params if parameter.secret}
    texts = {name: text for name, text in Task.to_texts(task).items() if name not in secret}
    name = {"module": module_name(cls.__module__), "family": cls.get_task_family()}
    return {**name, "texts": texts, "key": key_of(task).hex(), "given": _given()}


def _given() -> list[tuple[str, str, str]]:
    settings = current()
    given = [] if settings is None else settings.given()
    return [(family, name, value) for family, name, value in given if isinstance(value, str) and not _is_secret(family, name)]


def _is_secret(family: str, name: str) -> bool:
    try:
        return any(known == name and parameter.secret for known, parameter in info_of(registry.find(family)).params)
    except RegistryError:
        return True  # nothing is known of it


def secrets_of(task: Any) -> dict[str, str]:
    """The texts of its secret parameters by name, which travel by another way than its entry."""
    texts = Task.to_texts(task)
    return {name: texts[name] for name, parameter in info_of(type(task)).params if parameter.secret}


def task_of(entry: dict[str, Any], secrets: dict[str, str] | None = None) -> Any:
    """The task of an entry. Raises EngineError when it is another one: a parameter does not survive its text, or the code differs."""
    if (settings := current()) is not None:
        for family, name, value in entry["given"]:
            settings.give(family, name, value, "the command line of the worker")
    cls = _class_of(entry["module"], entry["family"])
    task = cls.from_texts({**entry["texts"], **(secrets or {})})
    if can_be_named(task) and key_of(task).hex() != entry["key"]:
        raise EngineError(
            f"{entry['family']} is another task in this process: {_difference(task, entry['texts'])}",
            hint="A parameter's parse(serialize(value)) must give the value back, and the code must be the same on both sides.",
        )
    return task


def _class_of(module: str, family: str) -> type[Task]:
    importlib.import_module(module)
    try:
        return registry.find(f"{module}:{family}")
    except RegistryError:  # defined by another module that this one imports
        return registry.find(family)


def _difference(task: Any, texts: dict[str, str]) -> str:
    now = Task.to_texts(task)
    changed = [name for name in texts if now.get(name) != texts[name]]
    if not changed:
        return f"its class here ({type(task).__module__}) counts other parameters"
    return "; ".join(f"{name} went out as {texts[name]!r:.80} and reads back as {now.get(name)!r:.80}" for name in changed)


def module_name(name: str) -> str:
    """The name by which another process imports a module: that of its file, for the program itself. Raises JobRefused."""
    if name not in ("__main__", "__mp_main__"):
        return name
    main = sys.modules[name]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return str(spec.name).removesuffix(".__main__")
    file: str | None = getattr(main, "__file__", None)
    if file is None:
        raise JobRefused("the task is defined in an interactive session, which cannot be sent", hint="Define it in a module.")
    return os.path.basename(file).removesuffix(".py")


# -- its code ----------------------------------------------------------------------------------


def archive_of(cls: type, folder: str, more: Iterable[str] = ()) -> str:
    """Path of a zip in ``folder`` with Levada and the code of a task class, made when it is not there yet; its name tells its content.

    In it are the top-level modules and packages that the class and its bases come from, what else was imported from the same
    folders (not from site-packages), and ``more``, names of modules. Raises JobRefused when there is no source of one.
    """
    return packed(_members(_sources(cls, more)), folder)


def packed(members: Mapping[str, str], folder: str) -> str:
    """Path of a zip in ``folder`` of the files of ``members`` (name there -> file here), made when it is not there yet."""
    content = _zipped(sorted(members.items()))
    path = os.path.join(folder, f"code-{sha256(content).hexdigest()[:24]}.zip")
    keep(path, content)
    return path


def keep(path: str, content: bytes) -> None:
    """Have a file whose name tells its content; those of its folder that nobody used for a month are removed."""
    try:
        os.utime(path)
        return
    except FileNotFoundError:
        pass
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    draft = f"{path}.{os.getpid()}-{os.urandom(4).hex()}"
    with open(draft, "wb") as file:
        file.write(content)
    os.replace(draft, path)
    _sweep(folder)


def _sweep(folder: str) -> None:
    for found in os.scandir(folder):
        try:
            if found.name.startswith("code-") and found.stat().st_mtime < time.time() - _KEPT:
                os.unlink(found.path)
        except FileNotFoundError:  # another was quicker
            continue


def _sources(cls: type, more: Iterable[str]) -> dict[str, str]:
    """Top-level name -> its file, or the folder of its package."""
    own = {module_name(each.__module__).partition(".")[0] for each in cls.__mro__ if each.__module__ not in ("builtins", "abc", "typing")}
    sources = {name: _source(name) for name in sorted({*own, *more} - {"levada"})}
    for root in {os.path.dirname(path) for path in sources.values()}:
        if not _is_installed(root):
            sources.update(_imported_from(root))
    return {**sources, "levada": _LEVADA}


def _source(name: str) -> str:
    found = _place(module_of(name))
    if found is None:
        raise JobRefused(f"module {name} has no source that could be sent", hint="Only modules and packages of .py files are sent.")
    return found


def module_of(name: str) -> Any:
    """The module of a name by which others import it, the program itself too; it is imported if need be. Raises JobRefused."""
    if name in sys.modules:
        return sys.modules[name]
    main = sys.modules["__main__"]
    if getattr(main, "__file__", None) and module_name("__main__") == name:
        return main
    try:
        return importlib.import_module(name)
    except ImportError as cause:
        raise JobRefused(f"module {name}, which is to be sent, cannot be imported: {cause}") from cause


def _place(module: Any) -> str | None:
    file: str | None = getattr(module, "__file__", None)
    if file is None:  # a package without __init__.py
        folders = list(getattr(module, "__path__", ()))
        return os.path.abspath(folders[0]) if folders else None
    if not file.endswith(".py"):
        return None
    path = os.path.abspath(file)
    return os.path.dirname(path) if os.path.basename(path) == "__init__.py" else path


def _is_installed(root: str) -> bool:
    return os.path.basename(root) in ("site-packages", "dist-packages") or root == os.path.dirname(os.__file__)


def _imported_from(root: str) -> dict[str, str]:
    """Top-level modules of this process that lie in a folder."""
    found = {}
    for name, module in list(sys.modules.items()):
        if "." not in name and name not in ("__main__", "__mp_main__"):
            path = _place(module)
            if path is not None and os.path.dirname(path) == root:
                found[name] = path
    return found


def _members(sources: dict[str, str]) -> dict[str, str]:
    """Name in the archive -> file."""
    members = {}
    for source in sources.values():
        for path in _files(source):
            members[os.path.relpath(path, os.path.dirname(source))] = path
    return members


def _files(source: str) -> Iterator[str]:
    if os.path.isfile(source):
        yield source
        return
    for folder, below, names in os.walk(source):
        below[:] = [name for name in below if name != "__pycache__" and not name.startswith(".")]
        yield from (os.path.join(folder, name) for name in names if not name.endswith(_SKIPPED) and not name.startswith("."))


_made: dict[tuple[tuple[str, int, int], ...], bytes] = {}


def _zipped(members: list[tuple[str, str]]) -> bytes:
    """The archive's bytes, which are the same for the same files; made anew only when a file changed."""
    stats = [os.stat(path) for _, path in members]
    stamp = tuple((name, stat.st_mtime_ns, stat.st_size) for (name, _), stat in zip(members, stats, strict=True))
    if stamp not in _made:
        _made.clear()
        _made[stamp] = _zip(members)
    return _made[stamp]


def _zip(members: list[tuple[str, str]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in members:
            with open(path, "rb") as file:
                archive.writestr(zipfile.ZipInfo(name, _OLDEST), file.read(), zipfile.ZIP_DEFLATED)
    return stream.getvalue()

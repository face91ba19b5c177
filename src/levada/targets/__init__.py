"""Targets: things in the world that exist or not, and the stores and formats under them.

Laws of the room: a target that exists is whole; absent and unreachable are two answers (False, and
`TargetUnreachable`); a write that does not end well leaves nothing. Importing this package loads nothing
else: each name brings its module when it is first used, since cron pays for imports every minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from levada._model.ports import Store, Target

    from . import formats
    from .folder import FolderTarget
    from .globbing import glob
    from .local import LocalTarget
    from .memory import MemoryStore, MemoryTarget
    from .stores import FileTarget, LocalStore, open_store, register_scheme, set_root
    from .sweeping import sweep_store

__all__ = [
    "FileTarget",
    "FolderTarget",
    "LocalStore",
    "LocalTarget",
    "MemoryStore",
    "MemoryTarget",
    "Store",
    "Target",
    "formats",
    "glob",
    "open_store",
    "register_scheme",
    "set_root",
    "sweep_store",
]

_HOMES = {
    "FileTarget": "levada.targets.stores",
    "FolderTarget": "levada.targets.folder",
    "LocalStore": "levada.targets.stores",
    "LocalTarget": "levada.targets.local",
    "MemoryStore": "levada.targets.memory",
    "MemoryTarget": "levada.targets.memory",
    "Store": "levada._model.ports",
    "Target": "levada._model.ports",
    "glob": "levada.targets.globbing",
    "open_store": "levada.targets.stores",
    "register_scheme": "levada.targets.stores",
    "set_root": "levada.targets.stores",
    "sweep_store": "levada.targets.sweeping",
}


def __getattr__(name: str) -> object:
    """The public name, from the module it lives in."""
    from importlib import import_module

    if name == "formats":
        return import_module("levada.targets.formats")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

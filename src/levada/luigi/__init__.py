"""Luigi's names over Levada's house: spellings only, every behaviour lives elsewhere.

``import levada.luigi as luigi`` (or ``import levada as luigi``) runs programs that were written for
Luigi. ``levada.luigi.Task is levada.Task``; for type checkers alone it is declared without the field
transform, since ``date = luigi.DateParameter()`` tells them nothing of the constructor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..inherit import copies as copies
    from ..inherit import inherits as inherits
    from ..inherit import requires as requires
    from ..params import *  # noqa: F403
    from ..targets import LocalTarget as LocalTarget
    from ..task import Config as Config
    from ..task import Event as Event
    from .interface import build as build
    from .interface import run as run

    class Task:
        """Levada's Task, seen by a type checker: any constructor, any parameter."""

        priority: Any
        resources: Any

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def requires(self) -> Any: ...
        def output(self) -> Any: ...
        def input(self) -> Any: ...
        def run(self) -> Any: ...
        def complete(self) -> bool: ...
        def deps(self) -> list[Any]: ...
        def clone(self, cls: Any = None, **kwargs: Any) -> Any: ...

    class ExternalTask(Task):
        """Something that others make."""

    class WrapperTask(Task):
        """Groups other tasks."""


_HOMES = {"run": "interface", "build": "interface"}


def __getattr__(name: str) -> object:
    """A name of Luigi: from here, else from the house."""
    from importlib import import_module

    if name.startswith("__"):
        raise AttributeError(name)
    if name == "hdfs":
        return import_module("levada.contrib.hdfs")
    if name == "tools":
        import_module(f"{__name__}.tools.range")
        return import_module(f"{__name__}.tools")
    if name in _HOMES:
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        house = import_module("levada")
        if name not in dir(house):
            raise AttributeError(f"Luigi's name {name!r} is not there in Levada")
        found = getattr(house, name)
    globals()[name] = found
    return found

"""Lets programs that say ``import luigi`` find Levada, in this process and in those that it starts.

While the door is open, ``luigi`` is the module ``levada.luigi`` itself, ``luigi.contrib.hdfs`` is
``levada.luigi.contrib.hdfs``, and so on: the same module objects, so a class has one identity by whichever name it
was imported. A real Luigi that is installed, or imported already, does not come in.

Children get the door by ``PYTHONPATH``, whose first folder is then ``doorway`` beside this file: Python imports the
``sitecustomize`` there when it starts. Nothing is installed, nothing is left behind, and a program that clears its
children's environment (or starts ``python -I``) decides against it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType, ModuleType
from typing import Final

from . import absent

DOORWAY: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "doorway")
"""The folder that opens the door in every Python that has it on its PYTHONPATH."""


_AROUND: Final = os.path.dirname(os.path.dirname(os.path.dirname(DOORWAY)))
"""The folder that has the package ``levada``."""


def install(*, children: bool = True, forget: bool = True) -> None:
    """Open the door for the rest of this process; children: also in processes that it starts from now on.

    forget: modules of a real Luigi that were imported before are so no more.
    """
    if not any(isinstance(each, _Finder) for each in sys.meta_path):
        if forget:
            _taken_out()
        sys.meta_path.insert(0, _Finder())
    if children:
        os.environ["PYTHONPATH"] = _with_doorway(os.environ.get("PYTHONPATH"))


@contextmanager
def opened() -> Iterator[None]:
    """``luigi`` is ours inside of the block, in children that it starts too; afterwards what it was before."""
    if any(isinstance(each, _Finder) for each in sys.meta_path):
        yield  # by somebody who shuts it
        return
    path, before = os.environ.get("PYTHONPATH"), _taken_out()
    install()
    try:
        yield
    finally:
        sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, _Finder)]
        _taken_out()
        sys.modules.update(before)
        if path is None:
            os.environ.pop("PYTHONPATH", None)
        else:
            os.environ["PYTHONPATH"] = path


def home_of(name: str) -> str | None:
    """The module of Levada that a module's name of Luigi stands for; None for names of others.

    >>> home_of("luigi.util"), home_of("luigi.contrib.hdfs.target"), home_of("luigipro")
    ('levada.luigi.util', 'levada.luigi.contrib.hdfs.target', None)
    """
    return f"levada.{name}" if name == "luigi" or name.startswith("luigi.") else None


def _with_doorway(path: str | None) -> str:
    rest = [part for part in (path or "").split(os.pathsep) if part and part != DOORWAY]
    return os.pathsep.join([DOORWAY, *rest])


def _taken_out() -> dict[str, ModuleType]:
    """Luigi's names in ``sys.modules``, removed from there."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name == "luigi" or name.startswith("luigi.")}


class _Finder:
    """Asked before all others; knows Luigi's names alone."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """How to load the module. ModuleNotFoundError for a name of Luigi that is not there."""
        home = home_of(name)
        if home is None and not name.startswith("levada.luigi."):
            return None
        found = _spec_of(home or name)
        if found is None:
            raise absent.missing((home or name).removeprefix("levada.luigi."))
        if home is None:
            return None  # it is there: for the finders that know files
        return ModuleSpec(name, _Loader(home), origin=found.origin, is_package=found.submodule_search_locations is not None)


def _spec_of(home: str) -> ModuleSpec | None:
    """Imports nothing: Python asks finders under the lock of all imports, so waiting for another thread's would be for ever."""
    return PathFinder.find_spec(home, [os.path.join(_AROUND, *home.split(".")[:-1])])


class _Loader(Loader):
    """Gives Levada's module for Luigi's name."""

    def __init__(self, home: str) -> None:
        self._home = home

    def create_module(self, spec: ModuleSpec) -> None:
        """A plain module, for a moment."""

    def exec_module(self, module: ModuleType) -> None:
        """Put Levada's module in its place; the import system gives what stands there."""
        sys.modules[module.__name__] = import_module(self._home)

    def get_code(self, name: str) -> CodeType | None:
        """The code of the module, for ``python -m luigi``."""
        found = _spec_of(self._home)
        get = getattr(found.loader, "get_code", None) if found is not None else None
        code: CodeType | None = get(self._home) if get is not None else None
        return code

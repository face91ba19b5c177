"""Lets programs that say ``import luigi`` find Levada: for the length of one command, in this process.

While the door is open, ``luigi`` is the module ``levada.luigi`` itself, ``luigi.contrib.hdfs`` is
``levada.contrib.hdfs``, and so on: the same module objects, so a class has one identity by whichever name it
was imported. A real Luigi that is installed, or imported already, does not come in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


@contextmanager
def opened() -> Iterator[None]:
    """``luigi`` is ours inside of the block; afterwards what it was before."""
    finder = _Finder()
    before = _taken_out()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _taken_out()
        sys.modules.update(before)


def home_of(name: str) -> str | None:
    """The module of Levada that a module's name of Luigi stands for; None for names of others.

    >>> home_of("luigi.util"), home_of("luigi.contrib.hdfs.target"), home_of("luigipro")
    ('levada.luigi.util', 'levada.contrib.hdfs.target', None)
    """
    first, _, rest = name.partition(".")
    if first != "luigi":
        return None
    if rest == "contrib" or rest.startswith("contrib."):
        return f"levada.{rest}"
    return f"levada.luigi.{rest}" if rest else "levada.luigi"


def _taken_out() -> dict[str, ModuleType]:
    """Luigi's names in ``sys.modules``, removed from there."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name == "luigi" or name.startswith("luigi.")}


class _Finder:
    """Asked before all others; knows Luigi's names alone."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """How to load the module. ModuleNotFoundError for a name of Luigi that is not there yet."""
        home = home_of(name)
        if home is not None and _exists(home):
            return ModuleSpec(name, _Loader(home))
        if home is not None or (_is_ours(name) and not _exists(name)):
            called = "luigi." + name.removeprefix("levada.").removeprefix("luigi.")
            raise ModuleNotFoundError(f"{called} is not there in Levada yet", name=called)
        return None


def _is_ours(name: str) -> bool:
    """``from luigi import util`` asks for ``levada.luigi.util`` where the package has no such attribute."""
    return name.startswith(("levada.luigi.", "levada.contrib."))


def _exists(home: str) -> bool:
    parent = home.rpartition(".")[0]
    return home in sys.modules or PathFinder.find_spec(home, getattr(import_module(parent), "__path__", ())) is not None


class _Loader(Loader):
    def __init__(self, home: str) -> None:
        self._home = home

    def create_module(self, spec: ModuleSpec) -> None:
        """A plain module, for a moment."""

    def exec_module(self, module: ModuleType) -> None:
        """Put Levada's module in its place; the import system gives what stands there."""
        sys.modules[module.__name__] = import_module(self._home)

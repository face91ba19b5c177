"""Fail when a name that users import has no docstring, or when a public method of it has none.

    python tools/check_docs.py

Read from ``dir(levada)``, so that nothing is exported unseen.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import ModuleType

import levada
import levada.errors


def documented(value: object) -> bool:
    """Whether the value says by itself what it is; plain data does not need to."""
    if not (inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)):
        return True
    return bool((getattr(value, "__doc__", None) or "").strip())


def own_methods(cls: type) -> Iterator[tuple[str, object]]:
    """Public functions that the class itself defines, and that no base has documented."""
    for name, value in vars(cls).items():
        function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if not name.startswith("_") and (inspect.isfunction(function) or isinstance(function, property)):
            yield name, inspect.getdoc(getattr(cls, name)) if inspect.isfunction(function) else function.__doc__


def public_names(module: ModuleType) -> list[str]:
    """What the module offers: ``dir()`` of it, which lists names that are loaded when first used, too."""
    return [name for name in dir(module) if not name.startswith("_") and name not in ("annotations", "TYPE_CHECKING")]


def undocumented(module: ModuleType) -> Iterator[str]:
    """Dotted names without a docstring."""
    for name in public_names(module):
        value = getattr(module, name)
        if not documented(value):
            yield f"{module.__name__}.{name}"
        elif inspect.isclass(value) and value.__module__.startswith("levada"):
            yield from (f"{module.__name__}.{name}.{method}" for method, doc in own_methods(value) if not doc)


def main() -> int:
    """Exit status: 0 when every public name speaks."""
    silent = sorted({*undocumented(levada), *undocumented(levada.errors)})
    for name in silent:
        print(f"{name} has no docstring: its first line says what the caller gets")
    if not silent:
        print(f"docstrings: all {len(public_names(levada))} public names have one")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())

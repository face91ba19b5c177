"""What there is of Luigi here: asked of the annex itself, so that no second list can be wrong.

Importing the annex is all that happens; nothing of the program that is checked is imported.
"""

from __future__ import annotations

import inspect
import logging
import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

from ...task import Config, Task
from .. import absent
from ..door import home_of


class Found(NamedTuple):
    """What a dotted name of Luigi is here.

    missing: the part of the name that is not there, "" when all of it is. why: what the annex says of that, "" when nothing.
    """

    thing: Any
    missing: str = ""
    why: str = ""


@cache
def find(name: str) -> Found:
    """Follow the name through modules and classes, as ``import luigi`` would.

    >>> find("luigi.LocalTarget").missing, find("luigi.contrib.sqqqla.SQLAlchemyTarget").missing
    ('', 'luigi.contrib.sqqqla')
    """
    parts = name.split(".")
    thing: Any = None
    for at in range(1, len(parts) + 1):
        called = ".".join(parts[:at])
        if thing is not None and not isinstance(thing, (ModuleType, type)):
            return Found(thing)  # attributes of values are known when the program runs
        module = _module(called) if thing is None or isinstance(thing, ModuleType) else Found(None, called)
        if not module.missing:
            thing = module.thing
        elif thing is None:
            return module
        else:
            try:
                thing = _attribute(thing, parts[at - 1])
            except Exception as fault:  # what a lazy name raises when it is asked for
                why = module.why or (str(fault) if isinstance(fault, ImportError) or "is left out" in str(fault) else "")
                return Found(None, called, why)
    return Found(thing)


def _attribute(owner: Any, name: str) -> Any:
    if isinstance(owner, type) and name not in dir(owner):
        return inspect.getattr_static(owner, name)
    return getattr(owner, name)


@cache
def _module(name: str) -> Found:
    """A module of Luigi, if there is one of that name."""
    home = home_of(name) or name
    try:
        if find_spec(home) is None:
            return Found(None, name)
    except ImportError as fault:
        why = absent.sentence(name.removeprefix("luigi."))
        return Found(None, name, why or ("" if isinstance(fault, ModuleNotFoundError) else str(fault)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            return Found(import_module(home))
        except ImportError as fault:
            if fault.name and not fault.name.startswith(("levada", "luigi")):
                return Found(home)  # it is here; the client that it needs is not, on this machine
            return Found(None, name, str(fault))
        finally:
            logging.disable(logging.NOTSET)


def is_task(name: str) -> bool:
    """Whether the name is one of a class of tasks."""
    thing = find(name).thing
    return isinstance(thing, type) and issubclass(thing, Task)


def task_words() -> frozenset[str]:
    """Attributes and methods that every task has."""
    return frozenset(dir(Task))


@cache
def keys_of(section: str) -> frozenset[str]:
    """The keys of a section that are read: parameters of the annex's own configuration classes, with underscores.

    None where there is no such class: the section's module looks each text up when it wants it, and passes over the others as Luigi does.
    Classes are known once their module was imported, which who looks for the section's module does.
    """
    keys: set[str] = set()
    for cls in _config_classes():
        for name, parameter in cls.get_params():
            place = parameter.config_path or {}
            if cls.get_task_family() == section:
                keys.add(name)
            if place.get("section") == section:
                keys.add(str(place["name"]).replace("-", "_"))
    return frozenset(keys)


def _config_classes() -> list[Any]:
    waiting, found = [Config], []
    while waiting:
        cls = waiting.pop()
        found.append(cls)
        waiting += type.__subclasses__(cls)
    return [cls for cls in found if cls.__module__.startswith("levada.")]


def starting_options() -> frozenset[str]:
    """Options of ``luigi.build`` and ``luigi.run`` by keyword, which are the keys of section [core] too."""
    find("luigi.interface.core")  # its class is known from then on
    words = set(keys_of("core"))
    for name in ("luigi.build", "luigi.run", "luigi.interface._run"):
        try:
            words |= set(inspect.signature(find(name).thing).parameters)
        except (TypeError, ValueError):
            continue
    return frozenset(words)

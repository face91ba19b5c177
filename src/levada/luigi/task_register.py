"""``luigi.task_register``: all task classes by name. The metaclass and the registry are Levada's.

Luigi's programs call the registry's methods on the metaclass, so Luigi's spellings are attached to it here, when
this module is first imported: ``luigi.task_register.Register is levada.Register``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableSequence
from importlib import import_module
from typing import Any, Final

from .. import task as house
from ..errors import AmbiguousTask as TaskClassAmbigiousException
from ..errors import RegistryError as TaskClassException
from ..errors import UnknownTask as TaskClassNotFoundException
from ..task import Register, registry

__all__ = ["Register", "TaskClassAmbigiousException", "TaskClassException", "TaskClassNotFoundException", "load_task"]

AMBIGUOUS_CLASS: Final[Any] = object()
"""Stands in ``_get_reg()`` for a name that two classes have."""

_PACKAGE = __name__.partition(".")[0] + "."


class _Reg(MutableSequence[Any]):
    """All classes as a list, which programs change to forget some."""

    def __init__(self) -> None:
        self.seen: set[Any] = set()

    def _all(self) -> list[Any]:
        classes: list[Any] = registry.classes()
        self.seen = set(classes)
        return classes

    def __len__(self) -> int:
        return len(self._all())

    def __getitem__(self, at: Any) -> Any:
        return self._all()[at]

    def __setitem__(self, at: Any, cls: Any) -> None:
        classes = self._all()
        classes[at] = cls
        registry.replace(classes)

    def __delitem__(self, at: Any) -> None:
        classes = self._all()
        del classes[at]
        registry.replace(classes)

    def insert(self, index: int, value: Any) -> None:
        """Know this class too."""
        registry.add(value)


_reg = _Reg()


def _is_ours(cls: Any) -> bool:
    """Whether it is a class of Levada's: old programs rely on its sections, and do not know its package by name."""
    return bool(cls.__module__.startswith(_PACKAGE))


def _settle() -> None:
    """Programs that put a list in the place of ``Register._reg`` mean: know those, and what was defined since they looked."""
    put = Register.__dict__["_reg"]
    if put is not _reg:
        since = [each for each in registry.classes() if each not in _reg.seen or _is_ours(each)]
        registry.replace(dict.fromkeys([*put, *since]))
        Register._reg = _reg  # type: ignore[attr-defined]


def _get_namespace(cls: Any, module_name: str) -> str:
    """The namespace of tasks that the module defines."""
    return house.namespace_of(module_name)


def _get_reg(cls: Any = None) -> dict[str, Any]:
    """Name -> class, or AMBIGUOUS_CLASS; of a class and its subclass of one name the subclass."""
    _settle()
    found: dict[str, Any] = {}
    for each in registry.classes():
        if not getattr(each, "_visible_in_registry", True):
            continue
        name = each.get_task_family()
        other = found.get(name)
        alone = other is None or (other is not AMBIGUOUS_CLASS and issubclass(each, other))
        found[name] = each if alone else AMBIGUOUS_CLASS
    return found


def _set_reg(cls: Any, reg: Mapping[str, Any]) -> None:
    """Know the classes of ``reg`` alone, and those of Levada itself, whose configuration old programs rely on."""
    Register._reg = _reg  # type: ignore[attr-defined]
    ours = [each for each in registry.classes() if _is_ours(each)]
    theirs = [each for each in reg.values() if each is not AMBIGUOUS_CLASS and each not in ours]
    registry.replace([*ours, *theirs])


def task_names(cls: Any = None) -> list[str]:
    """The names of all classes, sorted."""
    return sorted(_get_reg())


def tasks_str(cls: Any = None) -> str:
    """The names of all classes, with commas between."""
    return ",".join(task_names())


def get_task_cls(cls: Any, name: str) -> Any:
    """The class of that name. Raises TaskClassNotFoundException with the nearest names, TaskClassAmbigiousException."""
    found = _get_reg().get(name) or (house.Task if name == "Task" else None)  # which nobody wants, but which has always been there
    if found is None:
        raise TaskClassNotFoundException(f"No task {name}.", hint=_nearest(name))
    if found is AMBIGUOUS_CLASS:
        registry.find(name)  # tells where they are
        raise TaskClassAmbigiousException(f"Task {name!r} is ambiguous", hint="Give one of them a task_namespace.")
    return found


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    names = task_names()
    near = get_close_matches(name, names, 5, 0.6)
    if near:
        return "Did you mean:\n" + "\n".join(near)
    return f"Candidates are: {','.join(names)}"


def get_all_params(cls: Any = None) -> Iterator[tuple[str, bool, str, Any]]:
    """(task name, whether its options go without the task's name, parameter name, parameter) of all classes."""
    for name, each in _get_reg().items():
        if each is not AMBIGUOUS_CLASS:
            for parameter_name, parameter in each.get_params():
                yield name, not getattr(each, "use_cmdline_section", True), parameter_name, parameter


def load_task(module: str | None, task_name: str, params_str: Mapping[str, str]) -> Any:
    """The task with these texts as parameters, after its module was imported."""
    if module is not None:
        import_module(module)
    return get_task_cls(None, task_name).from_str_params(params_str)


def _attach(target: Any, methods: Iterable[Any]) -> None:
    for method in methods:
        if method.__name__ not in target.__dict__:
            setattr(target, method.__name__, classmethod(method))


def clear_instance_cache(cls: Any = None) -> None:
    """Make new tasks from now on, whatever tasks there are."""
    house.forget_instances()


def disable_instance_cache(cls: Any = None) -> None:
    """Make a new task with each call of a class from now on."""
    house.intern_instances(False)


_attach(
    Register,
    (_get_reg, _set_reg, _get_namespace, task_names, tasks_str, get_task_cls, get_all_params, clear_instance_cache, disable_instance_cache),
)
Register._reg = _reg  # type: ignore[attr-defined]
Register.AMBIGUOUS_CLASS = AMBIGUOUS_CLASS  # type: ignore[attr-defined]  # Luigi's name on a class of the house

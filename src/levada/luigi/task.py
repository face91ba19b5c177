"""Luigi's ``luigi.task``: ``Task`` is Levada's. What of its methods only Luigi has is attached to it here, once.

New programs have ``to_texts`` and ``from_texts``, ``family``, ``key`` and ``param_kwargs``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from .. import task as house
from ..params import Parameter
from ..params.base import NO_VALUE, ParameterVisibility
from ..task import ID_DIGITS as TASK_ID_TRUNCATE_HASH
from ..task import ID_PARAMS as TASK_ID_INCLUDE_PARAMS
from ..task import ID_TEXT as TASK_ID_TRUNCATE_PARAMS
from ..task import (
    Config,
    ExternalTask,
    Register,
    Task,
    WrapperTask,
    auto_namespace,
    externalize,
    flatten,
    info_of,
    map_structure,
    namespace,
    task_id_str,
)

__all__ = [
    "BulkCompleteNotImplementedError", "Config", "DynamicRequirements", "ExternalTask", "MixinNaiveBulkComplete", "Parameter", "Register",
    "TASK_ID_INCLUDE_PARAMS", "TASK_ID_INVALID_CHAR_REGEX", "TASK_ID_TRUNCATE_HASH", "TASK_ID_TRUNCATE_PARAMS", "Task", "WrapperTask",
    "auto_namespace", "externalize", "flatten", "flatten_output", "getpaths", "namespace", "task_id_str",
]  # fmt: skip

TASK_ID_INVALID_CHAR_REGEX = re.compile(r"[^A-Za-z0-9_]")


class BulkCompleteNotImplementedError(NotImplementedError):
    """The class has no ``bulk_complete`` of its own."""


class MixinNaiveBulkComplete:
    """``bulk_complete`` for classes that answer ``complete()`` quickly: one question after the other."""

    @classmethod
    def bulk_complete(cls, parameter_tuples: Iterable[Any]) -> list[Any]:
        """Those of the values (single ones, tuples or dicts) whose task is complete."""
        return [values for values in parameter_tuples if _task_of(cls, values).complete()]


def _task_of(cls: Any, values: Any) -> Any:
    if isinstance(values, Mapping):
        return cls(**values)
    return cls(*values) if isinstance(values, (list, tuple)) else cls(values)


class DynamicRequirements:
    """What ``run()`` may yield in place of tasks: the tasks, and a quick way to tell whether all of them are complete.

    custom_complete: takes the function that asks one task, and answers for all.
    """

    def __init__(self, requirements: Any, custom_complete: Any = None) -> None:
        self.requirements, self.custom_complete = requirements, custom_complete
        self._flat: list[Any] | None = None
        self._paths: Any = None

    def __iter__(self) -> Iterator[Any]:
        return iter(self.flat_requirements)

    @property
    def flat_requirements(self) -> list[Any]:
        """The tasks as a flat list."""
        if self._flat is None:
            self._flat = flatten(self.requirements)
        return self._flat

    @property
    def paths(self) -> Any:
        """Their outputs, in the nesting of ``requirements``."""
        if self._paths is None:
            self._paths = getpaths(self.requirements)
        return self._paths

    def complete(self, complete_fn: Any = None) -> bool:
        """Whether all are complete. complete_fn: asks one task."""
        ask = complete_fn or (lambda task: task.complete())
        return bool(self.custom_complete(ask)) if self.custom_complete else all(map(ask, self.flat_requirements))


def getpaths(struct: Any) -> Any:
    """The outputs of the tasks of a structure, in the same nesting."""
    return map_structure(lambda task: task.output(), struct)


def flatten_output(task: Any) -> list[Any]:
    """All targets of a task; of one that has none, those of what it requires."""
    found: dict[Any, None] = {}
    waiting = [task]
    for one in waiting:
        if flatten(one.output()):
            found[one] = None
        else:
            waiting += flatten(one.requires())
    return flatten([one.output() for one in found])


def _task_wraps(task_class: Any) -> Any:
    """A decorator that gives a class the name and the place of ``task_class``, which it stands for from now on."""

    def named(cls: Any) -> Any:
        house.registry.replace(each for each in house.registry.classes() if each is not cls)
        for word in ("__module__", "__name__", "__qualname__", "__doc__"):
            type.__setattr__(cls, word, getattr(task_class, word))
        type.__setattr__(cls, "_own_namespace", task_class.__dict__.get("_own_namespace", ""))
        house.registry.add(cls)
        return cls

    return named


# -- attached to Task --------------------------------------------------------------------------


class _Spellings:
    """Methods and attributes that Luigi's Task has beside those of Levada's."""

    accepts_messages: Any = False
    use_cmdline_section: Any = True
    _visible_in_registry = True

    @property
    def batchable(self) -> bool:
        """Whether several may run as one: whether any parameter says how its values are put together."""
        return bool(info_of(type(self)).batched)

    @property
    def disable_window_seconds(self) -> Any:
        """``disable_window``."""
        warnings.warn("disable_window_seconds is called disable_window", DeprecationWarning, stacklevel=2)
        return self.disable_window  # type: ignore[attr-defined]  # of Task

    @property
    def task_module(self) -> str:
        """The module that has the class."""
        return type(self).__module__

    def initialized(self) -> bool:
        """Whether the constructor has run."""
        return all(name in self.__dict__ for name in info_of(type(self)).names)

    @classmethod
    def batch_param_names(cls) -> list[str]:
        """Names of parameters that say how several values are put together."""
        return list(info_of(cls).batched)

    @classmethod
    def get_param_names(cls, include_significant: bool = False) -> list[str]:
        """Names of significant parameters; include_significant: of all."""
        return [name for name, parameter in info_of(cls).params if include_significant or parameter.significant]

    @classmethod
    def get_param_values(cls, params: Sequence[tuple[str, Any]], args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """(name, value) of these parameters, as a call with these arguments gives them. Raises what the call would."""
        positional = [name for name, parameter in params if parameter.positional]
        given = dict(zip(positional, args, strict=False))
        if len(args) > len(positional) or given.keys() & kwargs.keys() or kwargs.keys() - dict(params).keys():
            raise house._explain_arguments(cls, info_of(cls), tuple(args), dict(kwargs))
        values = given | dict(kwargs)
        found = []
        for name, parameter in params:
            value = values[name] if name in values else house.value_without_argument(cls, name, parameter)[0]
            if value is NO_VALUE:
                raise house.MissingParameter(f"{cls.family}: no value for {name}")  # type: ignore[attr-defined]  # of Register
            found.append((name, parameter.normalize(value)))
        return found

    @classmethod
    def from_str_params(cls, params_str: Mapping[str, Any]) -> Any:
        """The task with these texts as values; a list of texts is of a task that stands for several. Names that it has not are let pass."""
        params = info_of(cls).params
        values = {
            name: parameter.parse_many(text) if isinstance(text := params_str[name], list) else parameter.parse(text)
            for name, parameter in params
            if name in params_str
        }
        return cls(**values)

    def to_str_params(self, only_significant: bool = False, only_public: bool = False) -> dict[str, str]:
        """Values as texts by name, without private ones."""
        seen = (ParameterVisibility.PUBLIC,) if only_public else (ParameterVisibility.PUBLIC, ParameterVisibility.HIDDEN)
        return {
            name: parameter.serialize(getattr(self, name))
            for name, parameter in info_of(type(self)).params
            if parameter.visibility in seen and (parameter.significant or not only_significant)
        }

    def _get_param_visibilities(self) -> dict[str, int]:
        private = ParameterVisibility.PRIVATE
        return {name: p.visibility.serialize() for name, p in info_of(type(self)).params if p.visibility != private}

    def _owner_list(self) -> list[str]:
        owners = self.owner_email  # type: ignore[attr-defined]  # of Task
        return [] if owners is None else owners.split(",") if isinstance(owners, str) else list(owners)

    @classmethod
    def bulk_complete(cls, parameter_tuples: Iterable[Any]) -> list[Any]:
        """Those of the values whose task is complete; a class that can ask for many at once overrides this."""
        raise BulkCompleteNotImplementedError

    @contextmanager
    def no_unpicklable_properties(self) -> Iterator[None]:
        """A block in which the task can be pickled; that is always so, as its parameters are all that is kept of it."""
        yield


for _name, _value in vars(_Spellings).items():
    if not _name.startswith("__") and _name not in Task.__dict__:
        type.__setattr__(Task, _name, _value)

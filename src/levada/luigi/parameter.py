"""``luigi.parameter``: all kinds of parameters. They are those of ``levada.params``."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any, TypedDict

from ..errors import DuplicateParameter as DuplicateParameterException
from ..errors import MissingParameter as MissingParameterException
from ..errors import ParameterError as ParameterException
from ..errors import UnknownParameter as UnknownParameterException
from ..params import NO_VALUE as _no_value
from ..params import (
    BoolParameter,
    ChoiceListParameter,
    ChoiceParameter,
    DateHourParameter,
    DateIntervalParameter,
    DateMinuteParameter,
    DateParameter,
    DateSecondParameter,
    DictParameter,
    EnumListParameter,
    EnumParameter,
    FloatParameter,
    FrozenDict,
    IntParameter,
    ListParameter,
    MonthParameter,
    NumericalParameter,
    OptionalBoolParameter,
    OptionalChoiceParameter,
    OptionalDateParameter,
    OptionalDictParameter,
    OptionalFloatParameter,
    OptionalIntParameter,
    OptionalListParameter,
    OptionalNumericalParameter,
    OptionalParameter,
    OptionalParameterMixin,
    OptionalPathParameter,
    OptionalStrParameter,
    OptionalTupleParameter,
    Parameter,
    ParameterVisibility,
    PathParameter,
    StrParameter,
    TaskParameter,
    TimeDeltaParameter,
    TupleParameter,
    YearParameter,
)
from ..params.base import NoValue
from ..task import value_without_argument

_JSONSCHEMA_ENABLED = find_spec("jsonschema") is not None


class OptionalParameterTypeWarning(UserWarning):
    """A value of an optional parameter has another type than it says."""


class UnconsumedParameterWarning(UserWarning):
    """A configuration file has a value for a parameter that the task does not have."""


def warn_of_wrong_type(parameter: Any, value: object) -> None:
    """Warn, where Luigi does, of a value that its parameter does not expect but keeps; in Luigi's words, which filters name."""
    name = parameter.name
    if type(parameter)._warn_on_wrong_param_type is not _warn_on_wrong_param_type:
        parameter._warn_on_wrong_param_type(name, value)
    elif isinstance(parameter, OptionalParameterMixin):
        expected: Any = parameter.expected_type
        if value is None or isinstance(value, expected) or issubclass(type(parameter), BoolParameter):
            return
        if isinstance(expected, tuple):
            wanted = "any type in [" + ", ".join(f'"{each.__name__}"' for each in expected) + "]"
        else:
            wanted = f'type "{_OLD_NAMES.get(expected, expected.__name__)}"'
        text = f'{type(parameter).__name__} "{name}" with value "{value}" is not of {wanted} or None.'
        warnings.warn(text, OptionalParameterTypeWarning)  # noqa: B028 - who called is far above
    elif type(parameter) is TimeDeltaParameter:
        warnings.warn(f'Parameter "{name}" with value "{value}" is not of type timedelta.')  # noqa: B028 - the same
    elif type(parameter) is Parameter:
        warnings.warn(f'Parameter "{name}" with value "{value}" is not of type string.')  # noqa: B028 - the same


_OLD_NAMES = {FrozenDict: "FrozenOrderedDict"}


_NoValueType = NoValue


class ConfigPath(TypedDict):
    """An older place of a parameter's value."""

    section: str
    name: str


class _ParameterKwargs(TypedDict, total=False):
    """What every kind takes besides its default."""

    is_global: bool
    significant: bool
    description: str | None
    config_path: ConfigPath | None
    positional: bool
    always_in_help: bool
    batch_method: Any
    visibility: ParameterVisibility


# -- names that kinds of old programs call on their base class, or put their own in the place of ---------------------


def _parser_global_dest(param_name: str, task_name: str) -> str:
    return f"{task_name}_{param_name}"


def _parser_kwargs(cls: Any, param_name: str, task_name: str | None = None) -> dict[str, Any]:
    """How argparse reads the parameter."""
    return {"action": "store", "dest": _parser_global_dest(param_name, task_name) if task_name else param_name}


def _parser_kwargs_of_flags(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The same; flags may go without a value."""
    how = _parser_kwargs(None, *args, **kwargs)
    if self.parsing == BoolParameter.IMPLICIT_PARSING:
        return {**how, "action": "store_true"}
    return {**how, "nargs": "?", "const": True}


def _get_value(self: Any, task_name: str, param_name: str) -> Any:
    """The value that a task gets which code gives none; ``_no_value`` where there is none."""
    return value_without_argument(_Named(task_name), param_name, self)[0]


class _Named:
    """Stands for a task class of which only the name is known."""

    def __init__(self, family: str) -> None:
        self.family = family

    def get_task_family(self) -> str:
        """The name."""
        return self.family


def has_task_value(self: Any, task_name: str, param_name: str) -> bool:
    """Whether a task of that name can be made without giving the parameter."""
    return _get_value(self, task_name, param_name) is not _no_value


def task_value(self: Any, task_name: str, param_name: str) -> Any:
    """The value that a task of that name gets which code gives none; raises MissingParameterException."""
    value = _get_value(self, task_name, param_name)
    if value is _no_value:
        raise MissingParameterException(f"{task_name}: no value for {param_name}", hint=f"Give --{task_name}-{param_name} or a default.")
    return self.normalize(value)


def _parse_or_no_value(self: Any, text: str | None) -> Any:
    return self.parse(text) if text else _no_value


def _warn_on_wrong_param_type(self: Any, param_name: str, param_value: object) -> None:
    """Nothing: a value is looked at when it is taken."""


for _method in (_get_value, has_task_value, task_value, _parse_or_no_value, _warn_on_wrong_param_type):
    setattr(Parameter, _method.__name__, _method)
Parameter._parser_global_dest = staticmethod(_parser_global_dest)  # type: ignore[attr-defined]  # Luigi's name on a class of the house
Parameter._parser_kwargs = classmethod(_parser_kwargs)  # type: ignore[attr-defined]
BoolParameter._parser_kwargs = _parser_kwargs_of_flags  # type: ignore[attr-defined]
Parameter._batch_method = property(  # type: ignore[attr-defined]
    lambda self: self.batch_method, lambda self, method: setattr(self, "batch_method", method)
)
Parameter._config_path = property(lambda self: self.config_path)  # type: ignore[attr-defined]


__all__ = [
    "BoolParameter", "ChoiceListParameter", "ChoiceParameter", "DateHourParameter", "DateIntervalParameter", "DateMinuteParameter",
    "DateParameter", "DateSecondParameter", "DictParameter", "DuplicateParameterException", "EnumListParameter", "EnumParameter",
    "FloatParameter", "IntParameter", "ListParameter", "MissingParameterException", "MonthParameter", "NumericalParameter",
    "OptionalBoolParameter", "OptionalChoiceParameter", "OptionalDateParameter", "OptionalDictParameter",
    "OptionalFloatParameter", "OptionalIntParameter",
    "OptionalListParameter", "OptionalNumericalParameter", "OptionalParameter", "OptionalParameterMixin",
    "OptionalParameterTypeWarning", "OptionalPathParameter", "OptionalStrParameter", "OptionalTupleParameter", "Parameter",
    "ParameterException", "ParameterVisibility", "PathParameter", "StrParameter", "TaskParameter", "TimeDeltaParameter",
    "TupleParameter", "UnconsumedParameterWarning", "UnknownParameterException", "YearParameter", "_no_value",
]  # fmt: skip

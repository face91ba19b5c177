"""``luigi.parameter``: all kinds of parameters. They are those of ``levada.params``."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any

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

_JSONSCHEMA_ENABLED = find_spec("jsonschema") is not None


class OptionalParameterTypeWarning(UserWarning):
    """A value of an optional parameter has another type than it says."""


class UnconsumedParameterWarning(UserWarning):
    """A configuration file has a value for a parameter that the task does not have."""


def warn_of_wrong_type(parameter: Any, value: object) -> None:
    """Warn, where Luigi does, of a value that its parameter does not expect but keeps; in Luigi's words, which filters name."""
    name = parameter.name
    if isinstance(parameter, OptionalParameterMixin):
        expected: Any = parameter.expected_type
        if value is None or isinstance(value, expected) or issubclass(type(parameter), BoolParameter):
            return
        if isinstance(expected, tuple):
            wanted = "any type in [" + ", ".join(f'"{each.__name__}"' for each in expected) + "]"
        else:
            wanted = f'type "{_OLD_NAMES.get(expected, expected.__name__)}"'
        text = f'{type(parameter).__name__} "{name}" with value "{value}" is not of {wanted} or None.'
        warnings.warn(text, OptionalParameterTypeWarning, stacklevel=2)
    elif type(parameter) is Parameter:
        warnings.warn(f'Parameter "{name}" with value "{value}" is not of type string.', stacklevel=2)


_OLD_NAMES = {FrozenDict: "FrozenOrderedDict"}


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

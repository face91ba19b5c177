"""``luigi.parameter``: all kinds of parameters. They are those of ``levada.params``."""

from __future__ import annotations

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
    IntParameter,
    ListParameter,
    MonthParameter,
    NumericalParameter,
    OptionalBoolParameter,
    OptionalChoiceParameter,
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
from . import _values as _values  # where values come from that code did not give


class OptionalParameterTypeWarning(UserWarning):
    """A value of an optional parameter has another type than it says."""


class UnconsumedParameterWarning(UserWarning):
    """A configuration file has a value for a parameter that the task does not have."""


__all__ = [
    "BoolParameter", "ChoiceListParameter", "ChoiceParameter", "DateHourParameter", "DateIntervalParameter", "DateMinuteParameter",
    "DateParameter", "DateSecondParameter", "DictParameter", "DuplicateParameterException", "EnumListParameter", "EnumParameter",
    "FloatParameter", "IntParameter", "ListParameter", "MissingParameterException", "MonthParameter", "NumericalParameter",
    "OptionalBoolParameter", "OptionalChoiceParameter", "OptionalDictParameter", "OptionalFloatParameter", "OptionalIntParameter",
    "OptionalListParameter", "OptionalNumericalParameter", "OptionalParameter", "OptionalParameterMixin",
    "OptionalParameterTypeWarning", "OptionalPathParameter", "OptionalStrParameter", "OptionalTupleParameter", "Parameter",
    "ParameterException", "ParameterVisibility", "PathParameter", "StrParameter", "TaskParameter", "TimeDeltaParameter",
    "TupleParameter", "UnconsumedParameterWarning", "UnknownParameterException", "YearParameter", "_no_value",
]  # fmt: skip

"""Parameters: typed, named values that make a task's identity.

The typed spelling (``day: date``, ``param``, ``Param``) and Luigi's (``day = DateParameter()``) lead
to the same kinds. Only the base is imported at once; a kind's module is loaded when it is first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import (
    NO_VALUE,
    OptionalParameter,
    OptionalParameterMixin,
    Param,
    Parameter,
    ParameterVisibility,
    param,
)

if TYPE_CHECKING:
    from .annotations import from_annotation
    from .choices import (
        ChoiceListParameter,
        ChoiceParameter,
        EnumListParameter,
        EnumParameter,
        NumericalParameter,
        OptionalChoiceParameter,
        OptionalNumericalParameter,
    )
    from .containers import (
        DictParameter,
        ListParameter,
        OptionalDictParameter,
        OptionalListParameter,
        OptionalTupleParameter,
        TupleParameter,
    )
    from .dates import (
        DateHourParameter,
        DateMinuteParameter,
        DateParameter,
        DateSecondParameter,
        DateTimeParameter,
        MonthParameter,
        OptionalDateParameter,
        YearParameter,
    )
    from .durations import TimeDeltaParameter
    from .frozen import FrozenDict
    from .intervals import DateInterval, DateIntervalParameter
    from .places import OptionalPathParameter, PathParameter
    from .scalars import (
        BoolParameter,
        FloatParameter,
        IntParameter,
        OptionalBoolParameter,
        OptionalFloatParameter,
        OptionalIntParameter,
        OptionalStrParameter,
        StrParameter,
    )
    from .tasks import TaskParameter

_KINDS = {
    "annotations": "from_annotation",
    "choices": "ChoiceListParameter ChoiceParameter EnumListParameter EnumParameter NumericalParameter "
    "OptionalChoiceParameter OptionalNumericalParameter",
    "containers": "DictParameter ListParameter OptionalDictParameter OptionalListParameter OptionalTupleParameter TupleParameter",
    "dates": "DateHourParameter DateMinuteParameter DateParameter DateSecondParameter DateTimeParameter MonthParameter "
    "OptionalDateParameter YearParameter",
    "durations": "TimeDeltaParameter",
    "frozen": "FrozenDict",
    "intervals": "DateInterval DateIntervalParameter",
    "places": "OptionalPathParameter PathParameter",
    "scalars": "BoolParameter FloatParameter IntParameter OptionalBoolParameter OptionalFloatParameter "
    "OptionalIntParameter OptionalStrParameter StrParameter",
    "tasks": "TaskParameter",
}
_HOME = {name: module for module, names in _KINDS.items() for name in names.split()}

__all__ = [  # one literal list, so that type checkers see it
    "NO_VALUE", "Param", "Parameter", "ParameterVisibility", "param", "from_annotation", "FrozenDict", "DateInterval",
    "StrParameter", "IntParameter", "FloatParameter", "BoolParameter", "NumericalParameter",
    "DateParameter", "MonthParameter", "YearParameter", "DateHourParameter", "DateMinuteParameter", "DateSecondParameter",
    "DateTimeParameter", "DateIntervalParameter", "TimeDeltaParameter",
    "ListParameter", "TupleParameter", "DictParameter",
    "EnumParameter", "EnumListParameter", "ChoiceParameter", "ChoiceListParameter", "PathParameter", "TaskParameter",
    "OptionalParameter", "OptionalParameterMixin", "OptionalStrParameter", "OptionalIntParameter", "OptionalFloatParameter",
    "OptionalBoolParameter", "OptionalDateParameter", "OptionalDictParameter", "OptionalListParameter", "OptionalTupleParameter",
    "OptionalNumericalParameter", "OptionalChoiceParameter", "OptionalPathParameter",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """A kind, loaded when it is first named."""
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})

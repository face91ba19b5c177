"""Luigi's names over Levada's house: spellings only, every behaviour lives elsewhere.

``import levada.luigi as luigi`` (or ``import levada as luigi``) runs programs that were written for
Luigi. ``levada.luigi.Task is levada.Task``; for type checkers alone it is declared without the field
transform, since ``date = luigi.DateParameter()`` tells them nothing of the constructor.

Names and modules are loaded when first used; with the first comes what makes parameters look into luigi.cfg.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import __version__ as _version
from . import absent, habits

if TYPE_CHECKING:
    from .._run import build as build
    from ..inherit import copies as copies
    from ..inherit import inherits as inherits
    from ..inherit import requires as requires
    from ..params import *  # noqa: F403
    from ..targets import LocalTarget as LocalTarget
    from ..targets import Target as Target
    from ..task import Config as Config
    from ..task import Event as Event
    from ..task import auto_namespace as auto_namespace
    from ..task import namespace as namespace
    from .interface import run as run

    class Task:
        """Levada's Task, seen by a type checker: any constructor, any parameter."""

        priority: Any
        resources: Any

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def requires(self) -> Any: ...
        def output(self) -> Any: ...
        def input(self) -> Any: ...
        def run(self) -> Any: ...
        def complete(self) -> bool: ...
        def deps(self) -> list[Any]: ...
        def clone(self, cls: Any = None, **kwargs: Any) -> Any: ...

    class ExternalTask(Task):
        """Something that others make."""

    class WrapperTask(Task):
        """Groups other tasks."""


PARAMETERS = (
    "BoolParameter", "ChoiceListParameter", "ChoiceParameter", "DateHourParameter", "DateIntervalParameter", "DateMinuteParameter",
    "DateParameter", "DateSecondParameter", "DictParameter", "EnumListParameter", "EnumParameter", "FloatParameter", "IntParameter",
    "ListParameter", "MonthParameter", "NumericalParameter", "OptionalBoolParameter", "OptionalChoiceParameter", "OptionalDateParameter",
    "OptionalDictParameter", "OptionalFloatParameter", "OptionalIntParameter", "OptionalListParameter",
    "OptionalNumericalParameter", "OptionalParameter", "OptionalPathParameter", "OptionalStrParameter", "OptionalTupleParameter",
    "Parameter", "PathParameter", "StrParameter", "TaskParameter", "TimeDeltaParameter", "TupleParameter", "YearParameter",
)  # fmt: skip
"""Luigi's kinds of parameters."""

_HOMES = {
    **dict.fromkeys(PARAMETERS, "parameter"),
    **dict.fromkeys(("Task", "Config", "ExternalTask", "WrapperTask", "namespace", "auto_namespace", "DynamicRequirements"), "task"),
    "Target": "target",
    "LocalTarget": "local_target",
    "RemoteScheduler": "rpc",
    "RPCError": "rpc",
    "run": "interface",
    "build": "interface",
    "Event": "event",
    "LuigiStatusCode": "execution_summary",
}
"""Public name -> module of the annex that has it."""

MODULES = frozenset(
    "absent batch_notifier cmdline cmdline_parser configuration contrib date_interval db_task_history door event execution_summary "
    "format freezing habits interface local_target lock metrics mock mypy notifications parameter process retcodes rpc "
    "safe_extractor scheduler server setup_logging target task task_history task_register task_status tools util worker".split()
)
"""Modules that are attributes after ``import luigi``, as most are there."""

_PUBLIC_MODULES = "configuration event interface local_target parameter rpc target task task_register range".split()
__all__ = [*_HOMES, *_PUBLIC_MODULES, "__version__"]  # noqa: PLE0604 - texts, all of them

__version__ = _version.VERSION  # of the Luigi that is answered for: old programs choose by it; levada.__version__ is ours

absent.have_the_last_word()
habits.keep()

if not TYPE_CHECKING:  # a checker must see a misspelt name as what it is

    def __getattr__(name: str) -> object:
        """A name of Luigi, loaded when it is first used; what only Levada has comes from there."""
        if name.startswith("__"):
            raise AttributeError(name)
        found = _found(name)
        globals()[name] = found
        return found


def _found(name: str) -> object:
    from importlib import import_module

    if name == "hdfs":
        return import_module(f"{__name__}.contrib.hdfs")
    if name == "range":
        return import_module(f"{__name__}.tools.range")
    if name in MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    house = import_module("levada")
    if name in dir(house):
        return getattr(house, name)
    raise AttributeError(f"module 'luigi' has no attribute {name!r}: Luigi's name is not there in Levada")


def __dir__() -> list[str]:
    return sorted({*__all__, *MODULES, "range"})

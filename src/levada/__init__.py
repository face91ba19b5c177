"""Levada: a workflow engine for batch data.

A task declares what it requires, what it outputs and how it runs; its parameters are its identity;
it is complete when its outputs exist. ``import levada`` is light: names are loaded when first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import errors as errors
    from ._backfill import backfill as backfill
    from ._model.spec import Retry as Retry
    from ._model.status import Status as Status
    from ._run import RunResult as RunResult
    from ._run import build as build
    from ._run import configure as configure
    from ._run import run as run
    from .contrib import hdfs as hdfs
    from .errors import LevadaError as LevadaError
    from .handover.task import JobTask as JobTask
    from .inherit import copies as copies
    from .inherit import inherits as inherits
    from .inherit import requires as requires
    from .params import *  # noqa: F403
    from .ranges import Partitions as Partitions
    from .ranges import each as each
    from .ranges import partitions as partitions
    from .ranges import span as span
    from .targets import FileTarget as FileTarget
    from .targets import FolderTarget as FolderTarget
    from .targets import LocalTarget as LocalTarget
    from .targets import MemoryTarget as MemoryTarget
    from .targets import Target as Target
    from .task import Config as Config
    from .task import Event as Event
    from .task import ExternalTask as ExternalTask
    from .task import Register as Register
    from .task import Task as Task
    from .task import WrapperTask as WrapperTask
    from .task import auto_namespace as auto_namespace
    from .task import externalize as externalize
    from .task import flatten as flatten
    from .task import namespace as namespace
    from .triggers import after as after
    from .triggers import arrival as arrival
    from .triggers import cron as cron
    from .triggers import ended as ended
    from .triggers import event as event
    from .triggers import every as every
    from .triggers import fire as fire
    from .triggers import on as on
    from .triggers import path as path
    from .triggers import rrule as rrule
    from .triggers import schedule as schedule
    from .triggers import trigger as trigger

__version__ = "0.1.0.dev0"

_HOMES = {
    "LevadaError": "errors",
    "Retry": "_model.spec",
    "Status": "_model.status",
    "Task": "task",
    "ExternalTask": "task",
    "WrapperTask": "task",
    "Config": "task",
    "Event": "task",
    "Register": "task",
    "namespace": "task",
    "auto_namespace": "task",
    "externalize": "task",
    "flatten": "task",
    "JobTask": "handover.task",
    "requires": "inherit",
    "inherits": "inherit",
    "copies": "inherit",
    "Partitions": "ranges",
    "each": "ranges",
    "partitions": "ranges",
    "span": "ranges",
    "FileTarget": "targets",
    "FolderTarget": "targets",
    "LocalTarget": "targets",
    "MemoryTarget": "targets",
    "Target": "targets",
    "backfill": "_backfill",
    "build": "_run",
    "configure": "_run",
    "RunResult": "_run",
    "after": "triggers",
    "arrival": "triggers",
    "cron": "triggers",
    "ended": "triggers",
    "event": "triggers",
    "every": "triggers",
    "fire": "triggers",
    "on": "triggers",
    "path": "triggers",
    "rrule": "triggers",
    "schedule": "triggers",
    "trigger": "triggers",
}


_ROOMS = frozenset(
    {"cli", "config", "contrib", "handover", "inherit", "luigi", "params", "ranges", "targets", "task", "testing", "triggers"}
)

if not TYPE_CHECKING:  # a checker must see a misspelt name as what it is

    def run(tasks=None, **options):
        """Make the wanted tasks, and what they need, in this process; see ``levada._run.run``.

        Without tasks: Luigi's ``run(main_task_cls=...)``, which reads the command line.
        """
        from importlib import import_module

        if tasks is None or "main_task_cls" in options or (isinstance(tasks, (list, tuple)) and any(isinstance(t, str) for t in tasks)):
            return import_module(f"{__name__}.luigi._command").run_as_levada(tasks, **options)
        return import_module(f"{__name__}._run").run(tasks, **options)

    def __getattr__(name):
        """Load a public name from its room; names that only Luigi has come from the annex."""
        from importlib import import_module

        if name.startswith("_"):
            raise AttributeError(f"module 'levada' has no attribute {name!r}")
        if name in _ROOMS or name == "errors":
            return import_module(f"{__name__}.{name}")
        if name == "hdfs":
            return import_module(f"{__name__}.contrib.hdfs")
        if name in _HOMES:
            source = import_module(f"{__name__}.{_HOMES[name]}")
        else:
            params = import_module(f"{__name__}.params")
            source = params if name in params.__all__ else import_module(f"{__name__}.luigi")
        try:
            found = getattr(source, name)
        except AttributeError:
            raise AttributeError(f"module 'levada' has no attribute {name!r}") from None
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    from importlib import import_module

    return sorted({*_HOMES, "errors", "hdfs", "run", *import_module(f"{__name__}.params").__all__, "__version__"})

"""The workloads as doit tasks: a task is a dict with an action; its state goes to a database in the current folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import shape
from child import Section
from doit.cmd_base import ModuleTaskLoader  # type: ignore[import-not-found]  # lives in an environment of its own
from doit.doit_cmd import DoitMain  # type: ignore[import-not-found]
from shape import done


def _ran(task: int) -> None:
    done[task] = 1


def _run(size: int, section: Section, needs: Callable[[int], Any]) -> None:
    def task_t() -> Iterator[dict[str, Any]]:
        for task in range(size):
            yield {"name": str(task), "actions": [(_ran, (task,))], "task_dep": [f"t:{need}" for need in needs(task)], "verbosity": 0}

    shape.prepare(size)
    with section:
        status = DoitMain(ModuleTaskLoader({"task_t": task_t, "DOIT_CONFIG": {"reporter": "zero"}})).run([])
    if status:
        raise SystemExit(f"doit ended with {status}")
    shape.must_be_done(size)


def fan(size: int, section: Section) -> None:
    _run(size, section, lambda task: ())


def chain(size: int, section: Section) -> None:
    _run(size, section, lambda task: (task - 1,) if task else ())


def layered(size: int, section: Section) -> None:
    _run(size, section, shape.needs)

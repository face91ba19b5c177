"""The workloads as a Dask graph, computed by its scheduler in this thread; Dask knows no completeness and keeps no records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask  # type: ignore[import-not-found]  # lives in an environment of its own
import shape
from child import Section
from shape import done


def _ran(task: int, *needs: object) -> int:
    done[task] = 1
    return task


def _run(size: int, section: Section, needs: Callable[[int], Any], wanted: list[str]) -> None:
    shape.prepare(size)
    with section:
        graph = {f"t{task}": (_ran, task, *(f"t{need}" for need in needs(task))) for task in range(size)}
        dask.get(graph, wanted)
    shape.must_be_done(size)


def fan(size: int, section: Section) -> None:
    _run(size, section, lambda task: (), [f"t{task}" for task in range(size)])


def chain(size: int, section: Section) -> None:
    _run(size, section, lambda task: (task - 1,) if task else (), [f"t{size - 1}"])


def layered(size: int, section: Section) -> None:
    _run(size, section, shape.needs, [f"t{task}" for task in shape.last_layer(size)])

"""The graphs, the same for every engine, and what "ran" means: a flag a task."""

from __future__ import annotations

import os
from functools import cache

WIDTH = 100
EDGES = 10

done = bytearray()
"""done[i] is 1 when task i ran; a task is complete when its flag is set."""


def prepare(tasks: int) -> None:
    """Flags for so many tasks, none set."""
    done[:] = bytes(tasks)


def must_be_done(tasks: int) -> None:
    """Raise when a task did not run: a fast figure for half the work is none."""
    ran = done.count(1)
    if ran != tasks:
        raise SystemExit(f"only {ran} of {tasks} tasks ran")


def needs(task: int) -> range | list[int]:
    """What a task of the layered graph needs: ten of the layer above."""
    layer, place = divmod(task, WIDTH)
    if not layer:
        return []
    above = (layer - 1) * WIDTH
    if place + EDGES <= WIDTH:
        return range(above + place, above + place + EDGES)
    return [above + (place + edge) % WIDTH for edge in range(EDGES)]


def last_layer(tasks: int) -> range:
    """The tasks that the layered graph is asked for."""
    return range(tasks - WIDTH, tasks)


@cache
def folder() -> str:
    """Where the files of this measurement are."""
    return os.environ["BENCH_FOLDER"]


def made(task: int) -> str:
    """The path of a target that exists; a thousand in a folder."""
    return f"{folder()}/made/{task // 1000:04}/{task % 1000:03}.txt"

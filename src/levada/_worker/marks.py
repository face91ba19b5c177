"""What surrounds a run: the fence on the task and on its temporaries, events and callbacks of the author."""

from __future__ import annotations

from _thread import get_ident
from functools import partial
from typing import Any

from .._plan.complete import is_leftover
from ..targets.atomic import Writing, write_as
from ..task import Event, has_handlers
from .executor import Job

_new = tuple.__new__  # builds a NamedTuple in half the time
_MAIN = get_ident()  # a pool's child runs attempts in the thread that it was forked from

_EVENTS = {"start": Event.START, "success": Event.SUCCESS, "failure": Event.FAILURE, "time": Event.PROCESSING_TIME}


def begin(job: Job) -> None:
    """Mark the task and, from here on, this process's temporary files with the attempt's key and fence."""
    job.task._fence = job.fence
    write_as((_writing, job), process_wide=get_ident() == _MAIN)


def _writing(job: Job) -> Writing:
    _, task, _, _, fence, key, _ = job
    return _new(Writing, (key[:4].hex(), fence, None, partial(is_leftover, task)))


def end(job: Job) -> None:
    """Take the mark of the task back; the name of temporaries stays until the next attempt, or the end of the run."""
    job.task._fence = None


def event(name: str, task: Any, detail: object) -> None:
    """Tell the author's handlers."""
    known = _EVENTS[name]
    if has_handlers(known):
        task.trigger_event(known, task, *(() if detail is None else (detail,)))

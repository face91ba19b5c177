"""What surrounds a run: the fence on the task and on its temporaries, events and callbacks of the author."""

from __future__ import annotations

from typing import Any

from .._model.messages import Fence
from ..task import Event, has_handlers
from .executor import Job

_EVENTS = {"start": Event.START, "success": Event.SUCCESS, "failure": Event.FAILURE, "time": Event.PROCESSING_TIME}


def begin(job: Job) -> None:
    """Mark the task and, from here on, this process's temporary files with the attempt's key and fence."""
    epoch, _, number = job.fence.partition(".")
    job.task.__dict__["_fence"] = Fence(int(epoch or 0), int(number or 0))


def end(job: Job) -> None:
    """Take the marks back."""
    job.task.__dict__.pop("_fence", None)


def event(name: str, task: Any, detail: object) -> None:
    """Tell the author's handlers."""
    known = _EVENTS[name]
    if has_handlers(known):
        task.trigger_event(known, task, *(() if detail is None else (detail,)))

"""luigid's calls as typed requests, and the lines that they are in the server's table of routes."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..._wire.kinds import Answer, Request
from ..._wire.limits import EDGES, INTEGER, LABELS, NAME, REASON, SPEC
from ..._wire.routes import OPERATORS, READERS, WORKERS, Lane, Route

Id = Annotated[str, Meta(min_length=1, max_length=2 * NAME)]
Worker = Annotated[str, Meta(min_length=1, max_length=NAME)]
Short = Annotated[str, Meta(max_length=NAME)]
Line = Annotated[str, Meta(max_length=REASON)]
Long = Annotated[str, Meta(max_length=SPEC)]
Number = Annotated[float, Meta(ge=-1e18, le=1e18)]


class Verb(Request, frozen=True, forbid_unknown_fields=False):
    """Base of Luigi's calls; what a newer Luigi sends besides is passed over."""


class OfWorker(Verb, frozen=True, forbid_unknown_fields=False):
    """A call that a worker makes for itself."""

    worker: Worker


class Response(Answer, frozen=True):
    """Every answer of luigid."""

    response: Any = None


class AddWorker(OfWorker, frozen=True, forbid_unknown_fields=False):
    """What a worker says of itself."""

    info: dict[Short, Any] | list[tuple[Short, Any]] = {}


class AddTask(OfWorker, frozen=True, forbid_unknown_fields=False):
    """What a worker says of a task: it wants it, it was complete, it ended."""

    task_id: Id
    status: Short = "PENDING"
    runnable: bool | None = True
    deps: Annotated[list[Id], Meta(max_length=EDGES)] | None = None
    new_deps: Annotated[list[Id], Meta(max_length=EDGES)] | None = None
    expl: Any = None
    resources: dict[Short, Number] | None = None
    priority: Number = 0
    family: Short | None = ""
    module: Short | None = None
    params: dict[Short, Any] | None = None
    param_visibilities: dict[Short, int] | None = None
    batchable: bool | None = None
    batch_id: Short | None = None
    retry_policy_dict: dict[Short, Number | None] | None = None
    owners: Annotated[list[Short], Meta(max_length=LABELS)] | None = None
    tracking_url: Line | None = None
    assistant: bool = False


class AddTaskBatcher(OfWorker, frozen=True, forbid_unknown_fields=False):
    """Which parameters of a family the worker can take several of."""

    task_family: Short
    batched_args: Annotated[list[Short], Meta(max_length=LABELS)]
    max_batch_size: float | None = None  # JSON has no infinity: a worker that sends one is read as None


class GetWork(OfWorker, frozen=True, forbid_unknown_fields=False):
    """A claim. current_tasks: what the worker runs, by its own account."""

    host: Short | None = None
    assistant: bool = False
    current_tasks: list[Id] | None = None


class CountPending(OfWorker, frozen=True, forbid_unknown_fields=False):
    """How much there is for a worker that runs nothing itself."""


class Ping(OfWorker, frozen=True, forbid_unknown_fields=False):
    """The heartbeat: renews what the worker holds."""


class AnnounceSchedulingFailure(OfWorker, frozen=True, forbid_unknown_fields=False):
    """A task that could not be told, since its own code failed."""

    task_name: Long = ""
    family: Short = ""
    expl: Any = None


# -- what running tasks say of themselves ---------------------------------------------------------


class OfTask(Verb, frozen=True, forbid_unknown_fields=False):
    """A call about one task."""

    task_id: Id


class SetTaskStatusMessage(OfTask, frozen=True, forbid_unknown_fields=False):
    """A line of a running task."""

    status_message: Long | None = None


class SetTaskProgressPercentage(OfTask, frozen=True, forbid_unknown_fields=False):
    """How far a running task has come."""

    progress_percentage: Number | None = None


class DecreaseRunningTaskResources(OfTask, frozen=True, forbid_unknown_fields=False):
    """A running task gives some of its resources back; what it holds stays as it was granted."""

    decrease_resources: dict[Short, Number] = {}


class ReportTaskStatistics(OfTask, frozen=True, forbid_unknown_fields=False):
    """Figures for Luigi's own metrics; nothing is kept of them."""


class AddSchedulerMessageResponse(OfTask, frozen=True, forbid_unknown_fields=False):
    """What a task answers to a message."""

    message_id: Short
    response: Any = None


# -- what tools read ---------------------------------------------------------------------------------


class GetTaskStatusMessage(OfTask, frozen=True, forbid_unknown_fields=False):
    """The line of a running task."""


class GetTaskProgressPercentage(OfTask, frozen=True, forbid_unknown_fields=False):
    """How far it has come."""


class FetchError(OfTask, frozen=True, forbid_unknown_fields=False):
    """Why a task failed."""


class GetSchedulerMessageResponse(OfTask, frozen=True, forbid_unknown_fields=False):
    """What a task answered to a message."""

    message_id: Short


class TaskList(Verb, frozen=True, forbid_unknown_fields=False):
    """Tasks of a status."""

    status: Short = ""
    upstream_status: Short = ""
    limit: bool = True
    search: Line | None = None
    max_shown_tasks: int | None = None


class TaskSearch(Verb, frozen=True, forbid_unknown_fields=False):
    """Tasks whose id holds a text."""

    task_str: Line


class Graph(Verb, frozen=True, forbid_unknown_fields=False):
    """All tasks with what they require."""


class DepGraph(OfTask, frozen=True, forbid_unknown_fields=False):
    """One task and what it requires."""

    include_done: bool = True


class WorkerList(Verb, frozen=True, forbid_unknown_fields=False):
    """Workers, of Luigi and ours."""

    include_running: bool = True


class ResourceList(Verb, frozen=True, forbid_unknown_fields=False):
    """Resources and who uses them."""


class IsPaused(Verb, frozen=True, forbid_unknown_fields=False):
    """Whether nothing is granted."""


class IsPauseEnabled(Verb, frozen=True, forbid_unknown_fields=False):
    """Whether that can be wished."""


class HasTaskHistory(Verb, frozen=True, forbid_unknown_fields=False):
    """Whether there are pages of Luigi's own history."""


# -- what operators say --------------------------------------------------------------------------------


class Pause(Verb, frozen=True, forbid_unknown_fields=False):
    """Grant nothing."""


class Unpause(Verb, frozen=True, forbid_unknown_fields=False):
    """Go on."""


class DisableWorker(OfWorker, frozen=True, forbid_unknown_fields=False):
    """Grant nothing more to it."""


class SetWorkerProcesses(OfWorker, frozen=True, forbid_unknown_fields=False):
    """How many tasks a worker is to run at once."""

    n: Annotated[int, Meta(ge=1, le=10_000)]


class SendSchedulerMessage(OfWorker, frozen=True, forbid_unknown_fields=False):
    """Say something to a running task."""

    task: Id
    content: Any = None


class UpdateResource(Verb, frozen=True, forbid_unknown_fields=False):
    """How much there is of a resource."""

    resource: Annotated[str, Meta(min_length=1, max_length=NAME)]
    amount: Annotated[int, Meta(le=INTEGER)]


class ForgiveFailures(OfTask, frozen=True, forbid_unknown_fields=False):
    """Let a failed task wait anew."""


class MarkAsDone(OfTask, frozen=True, forbid_unknown_fields=False):
    """A task is done, since somebody says so."""


class ReEnableTask(OfTask, frozen=True, forbid_unknown_fields=False):
    """Let a disabled task wait anew."""


_WORK = (
    AddWorker, AddTask, AddTaskBatcher, GetWork, CountPending, AnnounceSchedulingFailure, SetTaskStatusMessage,
    SetTaskProgressPercentage, DecreaseRunningTaskResources, ReportTaskStatistics, AddSchedulerMessageResponse,
)  # fmt: skip
_READ = (
    GetSchedulerMessageResponse, GetTaskStatusMessage, GetTaskProgressPercentage, FetchError, TaskList, TaskSearch, Graph, DepGraph,
    WorkerList, ResourceList, IsPaused, IsPauseEnabled, HasTaskHistory,
)  # fmt: skip
_OPERATE = (
    Pause,
    Unpause,
    DisableWorker,
    SetWorkerProcesses,
    UpdateResource,
    ForgiveFailures,
    MarkAsDone,
    ReEnableTask,
    SendSchedulerMessage,
)


def _path(request: type[Request]) -> str:
    """``/api/add_task`` for AddTask."""
    name = request.__name__
    return "/api/" + "".join(f"_{char.lower()}" if char.isupper() and at else char.lower() for at, char in enumerate(name))


def _route(request: type[Request], roles: frozenset[str], lane: Lane, method: str = "POST") -> Route:
    route = Route(method, _path(request), request, Response, roles, lane, form=True)
    route.__dict__["name"] = f"luigi-{_path(request)[5:].replace('_', '-')}"  # for metrics and logs: ours have the plain names
    return route


_encode = msgspec.json.Encoder().encode


def answer(response: Any) -> bytes:
    """An answer of luigid."""
    return _encode({"response": response})


ROUTES: tuple[Route, ...] = (
    *(_route(request, WORKERS, Lane.WORK) for request in _WORK),
    _route(Ping, WORKERS, Lane.URGENT),
    *(_route(request, READERS, Lane.READ, method) for request in _READ for method in ("POST", "GET")),
    *(_route(request, OPERATORS, Lane.WORK) for request in _OPERATE),
)

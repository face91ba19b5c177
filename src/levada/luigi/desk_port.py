"""What Luigi's scheduler verbs talk to: a host of the brain, seen through one small port.

``desk.Desk`` translates verbs (``add_task``, ``get_work``, ``ping``, ...) into the brain's commands and keeps only texts. It
decides nothing: each decision is the brain's, asked for by ``Port.handle``. There are two ports: ``levada._server.together``
holds a brain in the same process (``luigi.scheduler.Scheduler``), and the server puts its own host behind one, so that
Luigi's workers and ours share the brain, its store and its fences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .._model.messages import Fence, SessionId
    from .._model.spec import Index
    from .._model.status import Status


class Named(Protocol):
    """What a host may know of a task: what Luigi's worker said of it."""

    id: str  # Luigi's task id; the desk's name of the task
    family: str
    module: str | None
    params: dict[str, Any]  # parameter -> its text; secrets among them, a host that keeps texts asks ``public_params``
    public_params: dict[str, Any]


class Port(Protocol):
    """A host of the brain. Calls come from one thread at a time, and an answer is whole when the call returns.

    touched: set by the desk. The host calls it with the indices of tasks that changed in whatever way (by a command of the desk,
    before ``handle`` returns; by others' commands or by time, whenever it suits it), so that the desk sees where they stand now.
    Indices that the desk never placed may be among them; they are ignored.
    """

    lease: float
    """Seconds that a grant lasts without renewal; the desk renews when a worker speaks, at most each twentieth of it."""
    touched: Callable[[Iterable[Index]], None]

    def handle(self, command: Any) -> Any:
        """Let the brain carry out a command of ``_model/messages.py``; its reply, as the message's docstring says.

        Commands that the desk sends: Hello, AddTasks, Sync, Renew, Bye, Drain, Revise, Take, Release, MarkDone, MarkFailed, Hurry,
        RetryTask, Invalidate, Disable, Cancel, Forget, SetPriority, SetResource, Pause, Tick. A host that judges time by itself
        answers a Tick by doing nothing.
        """
        ...

    def session(self, worker: str) -> SessionId:
        """The session of a worker (Luigi's worker id), the same each time; it need not be open yet."""
        ...

    def worker(self, session: SessionId) -> str:
        """What people read for a session: the worker id of one of Luigi's workers, some name for one of ours."""
        ...

    def place(self, task: Named) -> Index:
        """The index of a task that the desk knows by family and parameters now, and is about to add (AddTasks).

        That of the task where the host knows it already (from a worker of ours, or from before a restart), else the next free
        one. Asked once a task while the desk knows it.
        """
        ...

    def knows(self, index: Index) -> bool:
        """Whether the brain has the task of this index: then it is added again, not new."""
        ...

    def forgot(self, index: Index) -> None:
        """The brain has let go of a task (Forget): its index is free, its names too."""
        ...

    # -- where things stand, each a look into a column

    def status(self, index: Index) -> Status: ...

    def fence(self, index: Index) -> Fence | None:
        """The newest fence of a task; None before the first grant."""
        ...

    def holder(self, index: Index) -> SessionId | None:
        """The session that runs the task."""
        ...

    def priority(self, index: Index) -> int:
        """The effective priority, with what passed upstream."""
        ...

    def is_disabled_for_a_time(self, index: Index) -> bool:
        """Whether a disabled task was disabled by its failures (its time ends), and not by somebody's word."""
        ...

    def used(self) -> dict[str, int]:
        """Amounts in use by resource."""
        ...

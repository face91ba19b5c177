"""The brain: ``handle(command, now)`` decides, applies, follows until quiet.

Pure: no clock, no disk, no socket, no dice. Time is what the caller passes, a monotonic clock in
seconds that never goes back. Nothing here recurses on the graph, and no command looks at all tasks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, overload

from .._model import messages as m
from .._model.spec import Index
from .._model.status import Status
from ..errors import InvalidCommand
from . import adding, passing, swift, views
from .apply import apply
from .changes import Change
from .state import EXCUSED_LIMIT, FREE, Decision, Rules, State
from .validate import validate


class Brain:
    """All decisions about one set of tasks."""

    def __init__(
        self,
        epoch: int = 1,
        lease: float = math.inf,
        *,
        lock_delay: float = 0.0,
        cancel_grace: float = 30.0,
        excused_limit: int = EXCUSED_LIMIT,
        failed_pause: float = math.inf,
        reserve: bool = False,
    ) -> None:
        """Take no tasks yet.

        epoch: of the server that owns the state, part of every fence. lease: seconds a grant lasts
        without renewal, inf where it never lapses. lock_delay: seconds between a lapse and the next
        grant. cancel_grace: seconds for which a task that is asked to stop is still renewed.
        excused_limit: failures in a row that count nothing (``infra``) and yet fail the task. failed_pause:
        seconds after which a failed task starts over when it is added again by a goal that has seen it fail.
        reserve: less urgent tasks leave alone what an urgent one needs that is ready, as long as somebody who may run it waits
        for work; else what needs much of a resource may be overtaken for ever.
        """
        self.state = State(epoch, Rules(lease, lock_delay, cancel_grace, excused_limit, failed_pause, reserve))

    @overload
    def handle(self, command: m.Sync, now: float) -> tuple[list[Change], m.SyncReply]: ...
    @overload
    def handle(self, command: m.Renew, now: float) -> tuple[list[Change], m.RenewReply]: ...
    @overload
    def handle(self, command: m.Hello, now: float) -> tuple[list[Change], m.HelloReply]: ...
    @overload
    def handle(self, command: m.Confirm, now: float) -> tuple[list[Change], bool]: ...
    @overload
    def handle(self, command: m.Take, now: float) -> tuple[list[Change], m.Grant | None]: ...
    @overload
    def handle(self, command: m.Release, now: float) -> tuple[list[Change], bool]: ...
    @overload
    def handle(self, command: m.Forget, now: float) -> tuple[list[Change], list[Index]]: ...
    @overload
    def handle(
        self,
        command: m.Cancel | m.RetryTask | m.Hurry | m.Disable | m.Forgive | m.Invalidate | m.MarkDone | m.MarkFailed,
        now: float,
    ) -> tuple[list[Change], Status]: ...
    @overload
    def handle(
        self, command: m.AddTasks | m.Revise | m.Bye | m.Drain | m.Tick | m.SetPriority | m.SetResource | m.Pause, now: float
    ) -> tuple[list[Change], None]: ...

    def handle(self, command: Any, now: float) -> tuple[list[Change], Any]:
        """What became true, and the reply that the message's docstring names.

        now: the host's monotonic clock, seconds. Raises InvalidCommand where the caller erred, before
        anything changed. An older fence is no error: it is answered in ``lost``.
        """
        if type(command) is m.Sync and (answered := swift.sync(self.state, command, now)) is not None:
            return answered
        validate(self.state, command)
        changes: list[Change] = []
        if type(command) not in _DECISIONS:
            _learn()
        decision = _DECISIONS[type(command)](self.state, command, now)
        try:
            while True:
                self._carry_out(next(decision), changes)
        except StopIteration as end:
            return changes, end.value

    def _carry_out(self, change: Change, log: list[Change]) -> None:
        state = self.state
        apply(state, change)
        log.append(change)
        while state.freed or state.stalled:
            for brought in passing.follow(state):
                apply(state, brought)
                log.append(brought)

    @classmethod
    def replay(
        cls, changes: Iterable[Change], epoch: int = 1, lease: float = math.inf, *, lock_delay: float = 0.0, cancel_grace: float = 30.0
    ) -> Brain:
        """A brain in the state that these changes led to; what they brought about is among them."""
        brain = cls(epoch, lease, lock_delay=lock_delay, cancel_grace=cancel_grace)
        brain.resume(None, changes)
        return brain

    def save(self) -> dict[str, Any]:
        """The state as plain values and bytes (``snapshot.py``)."""
        from . import snapshot

        return snapshot.save(self.state)

    def resume(self, saved: dict[str, Any] | None, changes: Iterable[Change]) -> None:
        """Bring an empty brain to where another was: its snapshot, and what changed since."""
        if saved is not None:
            from . import snapshot

            snapshot.load(self.state, saved)
        for change in changes:
            apply(self.state, change)
        self.state.freed.clear()
        self.state.stalled.clear()

    def may_work(self, session: m.SessionId) -> bool:
        """Whether a claim of the session may find something; a cheap look that can say yes too often, never no."""
        state = self.state
        return session in state.woken or any(state.groups[number].front for number in state.sessions[session].groups)

    def outlook(self, session: m.SessionId) -> tuple[int, int]:
        """How many tasks that the session may run are unfinished, and how many of them can move by themselves."""
        return views.outlook(self.state, session)

    def restart(self, epoch: int, now: float) -> list[Change]:
        """Begin a new epoch after a replay: everything that runs gets one full lease from now.

        Nobody is robbed because the server was away. Raises InvalidCommand for an epoch that is not higher.
        """
        if epoch <= self.state.epoch:
            raise InvalidCommand(f"epoch {epoch} does not follow epoch {self.state.epoch}")
        changes: list[Change] = []
        for change in passing.restart(self.state, epoch, now):
            self._carry_out(change, changes)
        return changes

    def progress(self) -> m.Progress:
        """Counters kept up to date."""
        return views.progress(self.state)

    def view(self, index: Index, now: float) -> m.TaskView:
        """One task, with why it stands where it stands. Raises InvalidCommand for an unknown one."""
        if not 0 <= index < len(self.state.status):
            raise InvalidCommand(f"task {index!r} is not known, known are {len(self.state.status)}")
        if self.state.status[index] == FREE:
            raise InvalidCommand(f"task {index!r} was forgotten")
        return views.view(self.state, index, now)

    def chain(self, index: Index) -> list[Index]:
        """From a task down to what keeps it waiting, or waits itself for something else than a task (``views.chain``)."""
        if not 0 <= index < len(self.state.status):
            raise InvalidCommand(f"task {index!r} is not known, known are {len(self.state.status)}")
        return views.chain(self.state, index)

    def having(self, *statuses: Status) -> Iterator[Index]:
        """Indices of the tasks that stand so, ascending. Looks at all tasks: for summaries."""
        return views.having(self.state, statuses)


_DECISIONS: dict[type, Callable[[State, Any, float], Decision[Any]]] = {
    m.Hello: adding.hello,
    m.AddTasks: adding.add_tasks,
    m.Revise: adding.revise,
    m.Drain: adding.drain,
    m.Bye: adding.bye,
    m.Tick: passing.tick,
}


def _learn() -> None:
    """Load the other decisions: a run in one process that goes well needs none of them, and starts a millisecond sooner."""
    from . import forgetting, grants, operators, reports

    others: dict[type, Callable[[State, Any, float], Decision[Any]]] = {
        m.Sync: reports.sync,
        m.Renew: reports.renew,
        m.Confirm: reports.confirm,
        m.Release: reports.release,
        m.Take: grants.take,
        m.Cancel: operators.cancel,
        m.RetryTask: operators.retry_task,
        m.Hurry: operators.hurry,
        m.Disable: operators.disable,
        m.MarkFailed: operators.mark_failed,
        m.Forgive: operators.forgive,
        m.Invalidate: operators.invalidate,
        m.MarkDone: operators.mark_done,
        m.SetPriority: operators.set_priority,
        m.SetResource: operators.set_resource,
        m.Pause: operators.pause,
        m.Forget: forgetting.forget,
    }
    for command, decide in others.items():
        _DECISIONS.setdefault(command, decide)

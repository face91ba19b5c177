"""Commands of operators, and the table of all that people ask of the host.

Each command is a small one of the brain's, or several for the tasks of a family; what it changed is committed with its line in
the audit trail. A command that does not fit changes nothing, and its answer says how the task stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from .._core.state import DEFAULT_TOTAL
from .._model import messages as m
from .._model.messages import SessionId
from .._model.spec import Index
from .._model.status import Status
from .._wire import operators as o
from .._wire.kinds import Answer
from .._wire.problems import Refusal
from . import admin, logs, pages
from .auditing import note as note
from .auditing import repeated as repeated
from .desk import Desk
from .finding import number_of, place, search, wanted
from .http.port import Call
from .news import events_of as events_of
from .office import Continued, go_on
from .triggers import handlers as triggers

Done = Answer | bytes | None

PIECE = 500
"""Tasks that one command for a family changes at most: some milliseconds; its answer says where to go on."""

# -- one task ------------------------------------------------------------------------------------


def _on_task(command: Callable[[Index], Any]) -> Callable[[Desk, Call], Done]:
    def handle(desk: Desk, call: Call) -> Done:
        asked = cast("o.TaskCommand", call.request)
        index = desk.host.registry.index(asked.key)
        state = desk.host.brain.state
        before = Status(state.status[index])
        status: Status = desk.handle(command(index))
        desk.stirred = True
        return o.TaskCommandAnswer(asked.key, str(before), str(status), state.epoch)

    return handle


def invalidate(desk: Desk, call: Call) -> Done:
    """Let a task be made again; with what was seen of it, only if that still holds."""
    asked = cast("o.Invalidate", call.request)
    before = len(desk.changes)
    answer = _on_task(lambda index: m.Invalidate(index, asked.generation, asked.number))(desk, call)
    if len(desk.changes) == before and (asked.generation, asked.number) != (None, None):
        state, index = desk.host.brain.state, desk.host.registry.index(asked.key)
        fence = state.fence(index)
        raise Refusal(
            "conflict",
            f"task {asked.key} is {Status(state.status[index])} by now, generation {state.generation.get(index, 1)}, "
            f"fence {fence.number if fence else 0}; seen were generation {asked.generation}, fence {asked.number}",
            hint="Somebody was faster. `levada why` tells how it stands.",
        )
    return answer


def set_priority(desk: Desk, call: Call) -> Done:
    """Change a task's own priority."""
    asked = cast("o.SetPriority", call.request)
    state = desk.host.brain.state
    index = desk.host.registry.index(asked.key)
    before = state.own_priority.get(index, 0)
    desk.handle(m.SetPriority(index, asked.priority))
    desk.stirred = True
    return o.Changed(state.epoch, str(before), str(asked.priority))


# -- a family ------------------------------------------------------------------------------------

_LIVE = (Status.WAITING, Status.READY, Status.RETRYING, Status.RUNNING)
_BAD = (Status.FAILED, Status.DISABLED, Status.CANCELLED)


def _on_family(command: Callable[[Index], Any], fits: tuple[Status, ...]) -> Callable[[Desk, Call], Done]:
    """fits: statuses of tasks that the command may concern."""

    def handle(desk: Desk, call: Call) -> Done:
        asked, state = cast("o.FamilyCommand", call.request), desk.host.brain.state
        family = number_of(state, asked.family)
        statuses = wanted(asked.status) if asked.status else frozenset(map(int, fits))
        page = search(state, statuses, family, after=place(asked.after), limit=min(asked.limit, PIECE))
        changed = 0
        for index in page.found:
            before = len(desk.changes)
            if state.status[index] in fits:
                desk.handle(command(index))
            changed += len(desk.changes) > before
        desk.stirred = True
        following = None if page.next is None else str(page.next)
        return o.FamilyCommandAnswer(changed, len(page.found) - changed, following, state.epoch)

    return handle


# -- workers, resources, the whole ----------------------------------------------------------------


def _pausing(paused: bool) -> Callable[[Desk, Call], Done]:
    def handle(desk: Desk, call: Call) -> Done:
        before = desk.host.brain.state.paused
        desk.handle(m.Pause(paused))
        desk.stirred = True
        return o.Changed(desk.host.brain.state.epoch, _paused(before), _paused(paused))

    return handle


def _paused(paused: bool) -> str:
    return "paused" if paused else "running"


def drain_worker(desk: Desk, call: Call) -> Done:
    """Grant nothing more to a session."""
    asked, host = cast("o.DrainWorker", call.request), desk.host
    name = SessionId(asked.session)
    member, session = host.members.get(name), host.brain.state.sessions.get(name)
    if member is None or session is None:
        raise Refusal("not-found", f"no worker has the session {asked.session}", hint="`levada workers` lists them.")
    before = session.draining
    if not before:
        desk.handle(m.Drain(name))
    member.draining = True
    return o.Changed(host.brain.state.epoch, "draining" if before else "", "draining")


def set_resource(desk: Desk, call: Call) -> Done:
    """How much of a resource there is."""
    asked, state = cast("o.SetResource", call.request), desk.host.brain.state
    before = state.total.get(asked.name, DEFAULT_TOTAL)
    desk.handle(m.SetResource(asked.name, asked.total))
    desk.stirred = True
    return o.Changed(state.epoch, str(before), str(asked.total))


HANDLERS: dict[type, Callable[[Desk, Call], Done]] = {
    **pages.HANDLERS,
    **logs.HANDLERS,
    **admin.HANDLERS,
    **triggers.HANDLERS,
    Continued: go_on,
    o.Cancel: _on_task(m.Cancel),
    o.Retry: _on_task(m.RetryTask),
    o.Forgive: _on_task(m.Forgive),
    o.Invalidate: invalidate,
    o.MarkDone: _on_task(m.MarkDone),
    o.SetPriority: set_priority,
    o.CancelFamily: _on_family(m.Cancel, _LIVE),
    o.RetryFamily: _on_family(m.RetryTask, _BAD),
    o.ForgiveFamily: _on_family(m.Forgive, (Status.RETRYING, Status.FAILED, Status.DISABLED)),
    o.InvalidateFamily: _on_family(m.Invalidate, (Status.DONE, *_BAD)),
    o.Pause: _pausing(True),
    o.Resume: _pausing(False),
    o.DrainWorker: drain_worker,
    o.SetResource: set_resource,
}
"""By the type of the request; what workers ask stands in ``work.py``."""

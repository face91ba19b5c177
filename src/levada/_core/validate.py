"""Whether a command fits the state: all of it is looked at before anything changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from .._model import messages as m
from .._model.spec import Growth, Index, Policy, TaskSpec
from .._model.status import ExitClass
from ..errors import InvalidCommand
from .state import State

TASKS_LIMIT = 4_096  # a message; the wire says 1,000 to outsiders
EDGES_LIMIT = 100_000  # a growth
PRIORITY_LIMIT = 1 << 20
SESSIONS_LIMIT = 100_000
NUMBER_LIMIT = 1 << 63
_FAILURES = frozenset(ExitClass) - {ExitClass.OK}


def validate(state: State, command: object) -> None:
    """Return when the command can be carried out whole. Raises InvalidCommand, saying what is wrong."""
    check = _CHECKS.get(type(command))
    if check is None:
        raise InvalidCommand(f"{command!r} is no command of the scheduler")
    try:
        check(state, command)
    except (TypeError, ValueError, AttributeError, OverflowError) as cause:
        if isinstance(cause, InvalidCommand):
            raise
        raise InvalidCommand(f"a {type(command).__name__} holds a value of a wrong type: {cause}") from cause


def _check(good: bool, text: str) -> None:
    if not good:
        raise InvalidCommand(text)


def _session(state: State, session: object) -> None:
    if session in state.sessions:
        return
    _check(type(session) is str, f"a session is a text, got {session!r}")
    _check(len(state.sessions) < SESSIONS_LIMIT, f"{SESSIONS_LIMIT:,} sessions are open, no more are taken")


# -- a plan ------------------------------------------------------------------------------------


def _add_tasks(state: State, command: m.AddTasks) -> None:
    _session(state, command.session)
    for name, items in (("tasks", command.tasks), ("growth", command.growth)):
        _check(len(items) <= TASKS_LIMIT, f"{len(items):,} {name} in one message, the limit is {TASKS_LIMIT:,}")
    _check(type(command.complete) is int and 0 <= command.complete < NUMBER_LIMIT, f"complete is a count, got {command.complete!r}")
    known = len(state.status)
    end = _check_specs(state, command.tasks, known)
    _check_growth(command.growth, end)
    if state.free:
        _check_free(state, command)


def _check_free(state: State, command: m.AddTasks) -> None:
    """Indices of forgotten tasks are taken by new tasks of the message, each once, and named by nothing else."""
    added = [spec.index for spec in command.tasks if spec.index in state.free]
    if len(set(added)) != len(added):
        raise InvalidCommand("a message adds a task twice")
    free = state.free.keys() - added
    for index, requires, _ in command.growth:
        if index in free or not free.isdisjoint(requires):
            raise InvalidCommand(f"task {index} or one that it requires is not known: it was forgotten")


def _check_specs(state: State, specs: Iterable[TaskSpec], known: int) -> int:
    """The first index that is free after these tasks."""
    following = known
    last = None  # most neighbours share their policy
    for spec in specs:
        index, policy, priority, batch = spec
        if type(index) is not int or not 0 <= index <= following or known <= index < following:
            raise InvalidCommand(f"task {index!r} is out of order: the next new task is {following}, known are those before {known}")
        following += index == following
        if policy is not last:
            last = policy
            if id(policy) not in state.policy_ids:
                _check_policy(policy)
        if priority:
            _check_priority(priority)
        if batch is not None:
            _check(type(batch) is str, f"task {index}: a batch group is a text, got {batch!r}")
    return following


def _check_priority(priority: object) -> None:
    good = type(priority) is int and abs(priority) <= PRIORITY_LIMIT
    _check(good, f"a priority is an integer from {-PRIORITY_LIMIT} to {PRIORITY_LIMIT}, got {priority!r}")


def _check_policy(policy: Policy) -> None:
    hash(policy)
    names = [name for name, amount in policy.resources]
    _check(names == sorted(set(names)), f"resources of {policy.family} are sorted by name, each once, got {names}")
    for name, amount in policy.resources:
        good = type(name) is str and type(amount) is int and 0 < amount < NUMBER_LIMIT
        _check(good, f"{policy.family} needs {amount!r} of {name!r}, not 1 or more")
    retry = policy.retry
    times = (retry.first, retry.longest, retry.window, retry.disabled_for or 0.0, retry.give_up_after or 0.0)
    _check(all(0 <= time < math.inf for time in times), f"{policy.family}: times of {retry} are 0 or more")
    counts = (retry.attempts, retry.disable_after or 1, policy.batch_limit, *(attempts for _, attempts in retry.exceptions))
    _check(all(type(count) is int and count >= 1 for count in counts), f"{policy.family}: a limit is below 1: {retry} {policy.batch_limit}")


def _check_growth(growth: Iterable[Growth], end: int) -> None:
    edges: list[Index] = []
    for index, requires, _closed in growth:
        if type(index) is not int or not 0 <= index < end:
            _check_index(index, end)
        if requires:
            edges += requires
            if index in requires:
                raise InvalidCommand(f"task {index} requires itself")
            if len(requires) > EDGES_LIMIT:
                raise InvalidCommand(f"task {index} gets {len(requires):,} requirements at once, the limit is {EDGES_LIMIT:,}")
    if edges:
        if not {int}.issuperset(map(type, edges)):
            raise InvalidCommand(
                f"a requirement is an integer, the number of a task, got {next(one for one in edges if type(one) is not int)!r}"
            )
        _check_index(min(edges), end)
        _check_index(max(edges), end)


def _check_index(index: object, end: int) -> None:
    if type(index) is not int or not 0 <= index < end:
        raise InvalidCommand(f"task {index!r} is not known, known are {end}")


# -- reports -----------------------------------------------------------------------------------


def _sync(state: State, command: m.Sync) -> None:
    _session(state, command.session)
    end = len(state.status)
    if type(command.room) is not int or command.room < 0:
        raise InvalidCommand(f"room is a count, got {command.room!r}")
    _check_fences(command.done, end)
    if command.failed or command.handed_back or command.suspended or command.found_complete:
        _other_reports(state, command, end)


def _other_reports(state: State, command: m.Sync, end: int) -> None:
    for failed in command.failed:
        _check_fences(((failed.index, failed.fence),), end)
        _check(0 <= failed.draw < 1, f"task {failed.index}: a draw lies in [0, 1), got {failed.draw!r}")
        _check(type(failed.final) is bool, f"task {failed.index}: final is yes or no, got {failed.final!r}")
        _check(failed.exit in _FAILURES, f"task {failed.index}: failed with {failed.exit!r}")
        _check(all(type(name) is str for name in failed.errors), f"task {failed.index}: errors are names, got {failed.errors!r}")
    for back in command.handed_back:
        _check_fences(((back.index, back.fence),), end)
        _check(0 <= back.after < math.inf, f"task {back.index}: after is a number of seconds, got {back.after!r}")
        _check(type(back.reason) is str, f"task {back.index}: a reason is a text, got {back.reason!r}")
    for nap in command.suspended:
        _check_fences(((nap.index, nap.fence),), end)
        _check_growth((Growth(nap.index, nap.requires),), end)
    for index in command.found_complete:
        _check_index(index, end)


def _check_fences(held: Iterable[tuple[Index, m.Fence]], end: int) -> None:
    for index, (epoch, number) in held:
        if type(index) is not int or not 0 <= index < end or type(epoch) is not int or type(number) is not int:
            raise InvalidCommand(f"task {index!r} with fence {epoch!r}.{number!r} is not known, known are {end}")


def _renew(state: State, command: m.Renew) -> None:
    _check(type(command.session) is str, f"a session is a text, got {command.session!r}")
    _check_fences(command.held, len(state.status))


def _confirm(state: State, command: m.Confirm) -> None:
    _check(type(command.session) is str, f"a session is a text, got {command.session!r}")
    _check_fences(((command.index, command.fence),), len(state.status))


# -- sessions and operators --------------------------------------------------------------------


def _hello(state: State, command: m.Hello) -> None:
    _session(state, command.session)
    _check(all(type(label) is str for label in command.labels), f"labels are texts, got {command.labels!r}")


def _bye_or_drain(state: State, command: m.Bye | m.Drain) -> None:
    _session(state, command.session)


def _one_task(state: State, command: m.Cancel | m.Hurry | m.Disable | m.Forgive | m.MarkDone) -> None:
    _check_index(command.index, len(state.status))


def _retry_task(state: State, command: m.RetryTask) -> None:
    _check_index(command.index, len(state.status))
    _check(0 <= command.after < math.inf, f"task {command.index}: after is a number of seconds, got {command.after!r}")


def _mark_failed(state: State, command: m.MarkFailed) -> None:
    _check_index(command.index, len(state.status))
    _check(0 <= command.draw < 1, f"task {command.index}: a draw lies in [0, 1), got {command.draw!r}")
    _check(command.exit in _FAILURES, f"task {command.index}: failed with {command.exit!r}")
    _check(all(type(name) is str for name in command.errors), f"task {command.index}: errors are names, got {command.errors!r}")


def _take(state: State, command: m.Take) -> None:
    _session(state, command.session)
    _check_index(command.index, len(state.status))


def _release(state: State, command: m.Release) -> None:
    _check(type(command.session) is str, f"a session is a text, got {command.session!r}")
    _check_fences(((command.index, command.fence),), len(state.status))
    for name, amount in command.resources:
        _check(type(name) is str and type(amount) is int and amount >= 0, f"what is given back is an amount, got {amount!r} of {name!r}")


def _revise(state: State, command: m.Revise) -> None:
    spec, end = command.spec, len(state.status)
    _check_index(spec.index, end)
    _check(spec.index not in state.free, f"task {spec.index} is not known: it was forgotten")
    _check_specs(state, (spec,), end)
    if command.requires is not None:
        _check_growth((Growth(spec.index, command.requires),), end)
        _check(state.free.keys().isdisjoint(command.requires), f"task {spec.index} requires one that was forgotten")


def _invalidate(state: State, command: m.Invalidate) -> None:
    _check_index(command.index, len(state.status))
    for seen in (command.generation, command.number):
        _check(seen is None or (type(seen) is int and seen >= 0), f"task {command.index}: a generation or number is a count, got {seen!r}")


def _forget(state: State, command: m.Forget) -> None:
    for index in command.tasks:
        _check_index(index, len(state.status))


def _set_priority(state: State, command: m.SetPriority) -> None:
    _check_index(command.index, len(state.status))
    _check_priority(command.priority)


def _set_resource(state: State, command: m.SetResource) -> None:
    good = type(command.name) is str and type(command.total) is int and 0 <= command.total < NUMBER_LIMIT
    _check(good, f"a resource is a name and a number, 0 or more, got {command.name!r}: {command.total!r}")


def _pause(state: State, command: m.Pause) -> None:
    _check(type(command.paused) is bool, f"paused is true or false, got {command.paused!r}")


def _tick(state: State, command: m.Tick) -> None:
    _check(0 <= command.lag < math.inf, f"a lag is a number of seconds, got {command.lag!r}")


_CHECKS: dict[type, Callable[[State, Any], None]] = {
    m.Hello: _hello,
    m.AddTasks: _add_tasks,
    m.Sync: _sync,
    m.Renew: _renew,
    m.Confirm: _confirm,
    m.Bye: _bye_or_drain,
    m.Drain: _bye_or_drain,
    m.Cancel: _one_task,
    m.RetryTask: _retry_task,
    m.Hurry: _one_task,
    m.Disable: _one_task,
    m.MarkFailed: _mark_failed,
    m.Take: _take,
    m.Release: _release,
    m.Revise: _revise,
    m.Forgive: _one_task,
    m.Invalidate: _invalidate,
    m.MarkDone: _one_task,
    m.SetPriority: _set_priority,
    m.SetResource: _set_resource,
    m.Pause: _pause,
    m.Tick: _tick,
    m.Forget: _forget,
}

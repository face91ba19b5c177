"""Decisions about plans and sessions: what a worker registers, and its coming and going."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .._model import messages as m
from .._model.spec import Growth, Index, TaskSpec
from .._model.status import Status
from . import changes as ch
from .state import Decision, State

_ENDED_BADLY = (Status.FAILED, Status.CANCELLED)


def hello(state: State, command: m.Hello, now: float) -> Decision[m.HelloReply]:
    """Open a session; saying hello again changes labels only."""
    session = state.sessions.get(command.session)
    if session is None or (session.labels, session.goal) != (command.labels, command.goal):
        yield ch.SessionOpened(command.session, command.labels, command.goal)
    return m.HelloReply(state.epoch, state.rules.lease)


def open_session(state: State, session: m.SessionId) -> Iterator[ch.Change]:
    """A session that speaks without Hello is opened as it speaks (the embedded host never says it)."""
    if session not in state.sessions:
        yield ch.SessionOpened(session, ())


def drain(state: State, command: m.Drain, now: float) -> Decision[None]:
    """Grant nothing more to the session; what it holds or has suspended goes on."""
    yield from open_session(state, command.session)
    yield ch.SessionDrained(command.session)


def bye(state: State, command: m.Bye, now: float) -> Decision[None]:
    """End a session: what it runs goes back at once and counts as no attempt. Costs a look at all leases."""
    if command.session not in state.sessions:
        return
    for index in [index for index, holder in state.holder.items() if holder == command.session]:
        if state.status[index] == Status.RUNNING:
            status = Status.CANCELLED if index in state.wishes else Status.WAITING
            yield ch.Ended(index, status, "handed back: its worker left", counted=False)
    yield ch.SessionClosed(command.session)


def add_tasks(state: State, command: m.AddTasks, now: float) -> Decision[None]:
    """Register a slice of a plan: new tasks, tasks added again, and requirements."""
    yield from open_session(state, command.session)
    known = len(state.status)
    free = state.free
    again = [spec for spec in command.tasks if spec.index < known and spec.index not in free]
    new = command.tasks
    if again or free:
        new = [spec for spec in command.tasks if spec.index in free] + [spec for spec in command.tasks if spec.index >= known]
    if new:
        yield ch.TasksAdded(command.session, new)
    if again:
        yield from _add_again(state, command, again, now)
    if growth := _news(state, command.growth, known):
        yield ch.Grown(growth)
    if command.complete:
        yield ch.FoundWhilePlanning(command.complete)


def _add_again(state: State, command: m.AddTasks, specs: Sequence[TaskSpec], now: float) -> Iterator[ch.Change]:
    newcomers = [spec.index for spec in specs if command.session not in state.groups[state.group[spec.index]].sessions]
    alone = frozenset(index for index in newcomers if not state.groups[state.group[index]].sessions)
    if newcomers:
        yield ch.TasksShared(command.session, newcomers)
        for index in newcomers:  # they cannot know what an attempt of others had yielded
            if index in state.naps and state.status[index] != Status.RUNNING:
                yield ch.TakenBack(index)
    yield from _needs(state, specs, alone)
    goal = state.sessions[command.session].goal or command.session
    for spec in specs:
        if spec.priority > state.own_priority.get(spec.index, 0):
            yield ch.PrioritySet(spec.index, spec.priority)
        if _starts_over(state, spec.index, now, goal, reopen=command.reopen):
            yield ch.StartedOver(spec.index, invalid=state.status[spec.index] == Status.DONE)


def _needs(state: State, specs: Sequence[TaskSpec], alone: frozenset[Index]) -> Iterator[ch.Change]:
    """What runs of known tasks hold, as it is said now: by the only one who wants them (alone), or beside what others have said.

    Of what others say nothing is taken away, so two who want a task never undo each other's words (a backfill's limit, as a
    rule). What runs holds what it was granted with.
    """
    changed: dict[tuple[tuple[str, int], ...], list[Index]] = {}
    for index, policy, _, _ in specs:
        before = state.policy_of(index).resources
        if policy.resources == before or state.status[index] == Status.RUNNING:
            continue
        after = policy.resources if index in alone else tuple(sorted({**dict(policy.resources), **dict(before)}.items()))
        if after != before:
            changed.setdefault(after, []).append(index)
    for resources, tasks in changed.items():
        yield ch.NeedsSet(tasks, resources)


def _starts_over(state: State, index: Index, now: float, goal: str, *, reopen: bool) -> bool:
    """Does adding it again set a task that came to an end going?

    Failed and cancelled tasks start over when a goal wants them that did not see them end so; failed ones also when
    their pause is over (cron adds the same goal each minute); disabled ones when their window is over, whoever adds them.
    """
    status = state.status[index]
    if status == Status.DONE:
        return reopen
    if status == Status.DISABLED:
        return state.at.get(index, now + 1) <= now
    if status not in _ENDED_BADLY:
        return False
    return goal not in state.seen_by.get(index, ()) or state.again.get(index, now + 1) <= now


def revise(state: State, command: m.Revise, now: float) -> Decision[None]:
    """Make a known task what it is said to be now."""
    (index, policy, priority, batch), requires, closed = command
    if (policy, batch) != (state.policy_of(index), state.batch.get(index)):
        yield ch.Revised(index, policy, batch)
    if priority != state.own_priority.get(index, 0):
        yield ch.PrioritySet(index, priority)
    if requires is not None and (closed == (index in state.open) or sorted(requires) != sorted(state.edges.requirements(index))):
        yield ch.Replanned(index, requires, closed)


def _news(state: State, growth: Sequence[Growth], known: int) -> Sequence[Growth]:
    """Growth without what a second plan says again about tasks that were closed before."""
    if not [index for index, _, _ in growth if index < known and index not in state.open]:
        return growth
    return [one for one in (_new_part(state, one) for one in growth) if one.requires or one.index in state.open]


def _new_part(state: State, growth: Growth) -> Growth:
    if growth.index in state.open:
        return growth
    known = set(state.edges.requirements(growth.index))
    return growth._replace(requires=[index for index in growth.requires if index not in known])

"""``apply(state, change)``: the only writer of the state, at reload and in a standby too.

Nothing is decided or refused here. What a change implies by arithmetic is done on the spot; tasks whose
count of unmet requirements fell to 0 or rose from it are noted in ``freed`` and ``stalled`` for ``follow``.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from .._model.messages import SessionId
from .._model.spec import Growth, Index, Policy, TaskSpec
from .._model.status import Status
from . import changes as ch
from . import priorities, ready
from .state import DEFAULT_TOTAL, FREE, Group, Resources, Session, State
from .timers import forget

WAITING, READY, RUNNING, RETRYING = int(Status.WAITING), int(Status.READY), int(Status.RUNNING), int(Status.RETRYING)
DONE = int(Status.DONE)
MOST_COUNTED = 1 << 62  # a counter for people need not go beyond
ENDED_BADLY = frozenset({Status.FAILED, Status.DISABLED, Status.CANCELLED})


def apply(state: State, change: ch.Change) -> None:
    """Write what became true."""
    _WRITERS[type(change)](state, change)


# -- sessions and the whole --------------------------------------------------------------------


def _epoch_began(state: State, change: ch.EpochBegan) -> None:
    state.epoch = change.epoch


def _session_opened(state: State, change: ch.SessionOpened) -> None:
    """Opening again changes labels and goal; a session that drains goes on draining."""
    name, labels, goal = change
    is_known = name in state.sessions
    draining = is_known and state.sessions[name].draining
    session = state.sessions[name] = Session(labels, goal, draining=draining)
    state.assistants.pop(name, None)
    if labels:
        state.assistants[name] = None
    if is_known or labels:  # else there is no group of it
        session.groups.extend(group.number for group in state.groups if group.is_for(name, labels))


def _session_drained(state: State, change: ch.SessionDrained) -> None:
    state.sessions[change.session].draining = True


def _session_closed(state: State, change: ch.SessionClosed) -> None:
    """What lapsed under the session and nobody else has got can no longer be reported by it either."""
    for number in state.sessions.pop(change.session).groups:
        group = state.groups[number]
        if change.session in group.sessions and (twin := state.leave_group(group, change.session)) is not group:
            from .merging import merge

            merge(state, group, twin)
    state.woken.pop(change.session, None)
    state.assistants.pop(change.session, None)
    for index in [index for index, holder in state.holder.items() if holder == change.session]:
        del state.holder[index]


def _resource_set(state: State, change: ch.ResourceSet) -> None:
    state.total[change.name] = change.total
    _judge_use(state, change.name)
    ready.wake(state, change.name)


def _pause_set(state: State, change: ch.PauseSet) -> None:
    state.paused = change.paused


def _found_while_planning(state: State, change: ch.FoundWhilePlanning) -> None:
    state.complete = min(state.complete + change.found, MOST_COUNTED)


# -- tasks and edges ---------------------------------------------------------------------------


def _tasks_added(state: State, change: ch.TasksAdded) -> None:
    """New tasks are open: they keep one extra unmet count until a Growth closes them."""
    if state.free and (reused := [spec for spec in change.tasks if spec.index in state.free]):
        _tasks_reused(state, change.session, reused)
        change = change._replace(tasks=change.tasks[len(reused) :])
        if not change.tasks:
            return
    session, tasks = change
    first, count = len(state.status), len(tasks)
    _join_groups(state, session, [policy for _, policy, _, _ in tasks])
    state.status.extend(bytes(count))  # WAITING is 0
    state.fence_epoch.extend([0] * count)
    state.number.extend([state.next_floor] * count)
    state.floor.extend(array("i", [state.next_floor]) * count)
    state.unmet.extend([1] * count)
    state.edges.add_nodes(count)
    added = range(first, first + count)
    state.open.update(added)
    state.counts[WAITING] += count
    for family, number in state.families_of(added):
        state.by_family[WAITING][family] += number
    for index, policy, priority, batch in tasks:
        if priority or batch is not None or policy.disabled:
            _add_rarities(state, index, priority, batch, disabled=policy.disabled)


def _tasks_reused(state: State, session: SessionId, specs: list[TaskSpec]) -> None:
    """New tasks in the places of forgotten ones."""
    for spec in specs:
        index, policy = spec.index, state.intern_policy(spec.policy)
        del state.free[index]
        group = state.intern_group(frozenset((session,)), spec.policy.module)
        state.status[index], state.unmet[index], state.policy[index], state.group[index] = WAITING, 1, policy, group
        state.number[index] = state.floor[index] = state.next_floor
        state.fence_epoch[index] = 0
        state.open.add(index)
        state.counts[WAITING] += 1
        state.by_family[WAITING][state.family_of[policy]] += 1
        state.groups[group].reach(index, index)
        if state.is_split:
            state.groups[group].counts[WAITING] += 1
        _add_rarities(state, index, spec.priority, spec.batch, disabled=spec.policy.disabled)


def _forgotten(state: State, change: ch.Forgotten) -> None:
    for index in change.tasks:
        status, policy = state.status[index], state.policy[index]
        _forget_troubles(state, index)
        for few in (state.own_priority, state.priority, state.batch, state.uncounted, state.generation, state.holder, state.naps):
            few.pop(index, None)
        state.open.discard(index)
        state.counts[status] -= 1
        state.by_family[status][state.family_of[policy]] -= 1
        if state.is_split:
            state.groups[state.group[index]].counts[status] -= 1
        state.next_floor = max(state.next_floor, state.number[index])
        state.status[index], state.unmet[index], state.fence_epoch[index] = FREE, 0, 0
        state.free[index] = None
    ready.purge(state, frozenset(change.tasks))
    state.free_empty_groups(sorted({state.group[index] for index in change.tasks}))
    touched = state.edges.forget(change.tasks)
    if state.priority or state.own_priority:
        priorities.lower(state, touched)


def _join_groups(state: State, session: SessionId, policies: list[Policy]) -> None:
    """Fill the columns of policy and group.

    Before the tasks are counted: the first group of all takes the counters as they stand when there is a second.
    """
    count, sessions = len(policies), frozenset((session,))
    kinds = {id(policy): policy for policy in policies}  # few, and many tasks of each
    modules = {policy.module for policy in kinds.values()}
    groups = {module: state.intern_group(sessions, module) for module in sorted(modules)}
    first = len(state.group)
    for number in groups.values():
        state.groups[number].reach(first, first + count - 1)
    if len(kinds) == 1:
        (policy,) = kinds.values()
        state.policy.extend(array("i", [state.intern_policy(policy)]) * count)
        state.group.extend(array("i", [groups[policy.module]]) * count)
    else:
        state.policy.extend(map(state.intern_policy, policies))
        state.group.extend([groups[policy.module] for policy in policies])
    if state.is_split:
        for number in state.group[-count:]:
            state.groups[number].counts[WAITING] += 1


def _add_rarities(state: State, index: Index, priority: int, batch: str | None, *, disabled: bool) -> None:
    if batch is not None:
        state.batch[index] = batch
        state.is_plain = False
    if priority:
        priorities.set_own(state, index, priority)
    if disabled:
        state.reason[index] = "disabled where it is defined"
        state.set_status(index, Status.DISABLED)


def _tasks_shared(state: State, change: ch.TasksShared) -> None:
    joined: dict[int, Group] = {}  # by the number of the group that tasks leave
    for index in change.tasks:
        before = state.groups[state.group[index]]
        after = joined.get(before.number)
        if after is None:
            number = state.intern_group(before.sessions | {change.session}, before.module)
            after = joined[before.number] = state.groups[number]
        state.group[index] = after.number
        after.reach(index, index)
        status = state.status[index]
        before.counts[status] -= 1
        after.counts[status] += 1
        if status == READY:
            ready.enter(state, index)
    state.free_empty_groups(joined)


def _grown(state: State, change: ch.Grown) -> None:
    for growth in change.growth:
        _grow(state, growth)


def _grow(state: State, growth: Growth) -> None:
    index, requires, closed = growth
    unmet = state.unmet[index]
    if requires:
        state.edges.grow(index, requires)
        added = len(requires)
        if state.counts[DONE]:
            added -= bytes(map(state.status.__getitem__, requires)).count(DONE)
        if not unmet and added:
            state.stalled.append(index)
        unmet += added
        if state.priority:
            priorities.raise_requirements(state, index)
    if closed and index in state.open:
        state.open.remove(index)
        unmet -= 1
        if not unmet:
            state.freed.append(index)
    state.unmet[index] = unmet


def _needs_set(state: State, change: ch.NeedsSet) -> None:
    for index in change.tasks:
        state.policy[index] = state.intern_policy(state.policy_of(index)._replace(resources=change.resources))
    ready.purge(state, frozenset(change.tasks))  # from the lines of what they held before, where an entry may stand that is stale by now
    for index in change.tasks:
        if state.status[index] == READY:
            ready.enter(state, index)


def _revised(state: State, change: ch.Revised) -> None:
    index, policy, batch = change
    before, number, status = state.policy_of(index), state.intern_policy(policy), state.status[index]
    alone = status == RUNNING and index not in state.crew and index not in state.suspended
    if alone and policy.resources != before.resources:
        state.holds.setdefault(index, before.resources)
    family = state.family_of[state.policy[index]]
    state.policy[index] = number
    state.by_family[status][family] -= 1
    state.by_family[status][state.family_of[number]] += 1
    if batch is None:
        state.batch.pop(index, None)
    else:
        state.batch[index] = batch
        state.is_plain = False
    group = state.groups[state.group[index]]
    if policy.module != group.module:
        _move(state, index, group, policy.module)
    if status == Status.DISABLED and index in state.at:
        state.retries.clear(index)
        if state.comes_back(index):
            state.retries.set(index, state.at[index])
    if before.resources or before.batch_limit > 1:
        ready.purge(state, frozenset((index,)))  # from the line and the batch where an entry may stand, stale or not
    if status == READY:
        ready.enter(state, index)


def _move(state: State, index: Index, before: Group, module: str) -> None:
    """Into the group of another module."""
    after = state.groups[state.intern_group(before.sessions, module)]
    state.group[index] = after.number
    after.reach(index, index)
    before.counts[state.status[index]] -= 1
    after.counts[state.status[index]] += 1
    state.free_empty_groups([before.number])


def _replanned(state: State, change: ch.Replanned) -> None:
    index, requires, closed = change
    before, status = state.unmet[index], state.status
    state.naps.pop(index, None)
    removed = state.edges.clear(index)
    unmet = before - sum(status[one] != DONE for one in removed) - (index in state.open)
    if requires:
        state.edges.grow(index, requires)
        unmet += sum(status[one] != DONE for one in requires)
    if closed:
        state.open.discard(index)
    else:
        state.open.add(index)
        unmet += 1
    state.unmet[index] = unmet
    if state.priority or state.own_priority:
        priorities.lower(state, removed)
        priorities.raise_requirements(state, index)
    if unmet and not before:
        state.stalled.append(index)
    elif before and not unmet:
        state.freed.append(index)
        _wake_sleeper(state, index)


def _released(state: State, change: ch.Released) -> None:
    index, after = change
    before, kept = state.held_by(index), dict(after)
    if index in state.crew:
        crew = state.crew[index]
        state.crews[crew] = (after, state.crews[crew][1])
    else:
        state.holds[index] = after
    for name, amount in before:
        if amount != kept.get(name, 0):
            state.used[name] -= amount - kept.get(name, 0)
            _judge_use(state, name)
            ready.wake(state, name)


def _priority_set(state: State, change: ch.PrioritySet) -> None:
    priorities.set_own(state, change.task, change.priority)


# -- the way to a grant ------------------------------------------------------------------------


def _became_ready(state: State, change: ch.BecameReady) -> None:
    if len(change.tasks) == 1:
        state.set_status(change.tasks[0], READY)
    else:
        state.set_statuses(change.tasks, READY)
    ready.enter_all(state, change.tasks)
    if state.at:
        for index in change.tasks:
            _clear_time(state, index)
    state.freed.clear()


def _waits_again(state: State, change: ch.WaitsAgain) -> None:
    for index in change.tasks:
        state.set_status(index, Status.WAITING)
        _clear_time(state, index)
    state.stalled.clear()


def _clear_time(state: State, index: Index) -> None:
    if state.at.pop(index, None) is not None:
        state.retries.clear(index)


def granted(state: State, change: ch.Granted) -> None:
    session, tasks, until, _ = change
    epoch, holder = state.epoch, state.holder
    number, fence_epoch = state.number, state.fence_epoch
    for index in tasks:
        number[index] += 1
        fence_epoch[index] = epoch
        holder[index] = session
    if not state.is_plain:
        _hold_for_all(state, change)
    if len(tasks) == 1:
        state.set_status(tasks[0], RUNNING)
    else:
        state.set_statuses(tasks, RUNNING)
    if state.reason:
        for index in tasks:
            state.reason.pop(index, None)
    if until != math.inf:
        end = until - state.forgiven
        state.until.update(dict.fromkeys(tasks, end))
        state.expiries.set_all(tasks, end)


def _hold_for_all(state: State, change: ch.Granted) -> None:
    members: set[Index] = set()
    for leader, others in change.crews:
        _form_crew(state, leader, others)
        members.update(others)
    for index in change.tasks:
        if index not in members:
            _hold(state, state.policy_of(index).resources)


def _form_crew(state: State, leader: Index, others: tuple[Index, ...]) -> None:
    """What the leader's resources allow is held until the last of the batch has ended."""
    state.crews_made += 1
    state.crews[state.crews_made] = (state.policy_of(leader).resources, 1 + len(others))
    for index in (leader, *others):
        state.crew[index] = state.crews_made


def _hold(state: State, resources: Resources) -> None:
    for name, amount in resources:
        state.used[name] = state.used.get(name, 0) + amount


def _lease(state: State, index: Index, until: float) -> None:
    """The end stands there as if the server had never been away; what it forgave is added when it is read."""
    state.until[index] = until - state.forgiven
    state.expiries.set(index, state.until[index])


def _leases_extended(state: State, change: ch.LeasesExtended) -> None:
    for index, until in change.until:
        _lease(state, index, until)


def _leases_forgiven(state: State, change: ch.LeasesForgiven) -> None:
    state.forgiven += change.seconds


def _reinstated(state: State, change: ch.Reinstated) -> None:
    state.set_status(change.task, Status.RUNNING)
    _hold(state, state.policy_of(change.task).resources)
    _lease(state, change.task, change.until)
    _clear_time(state, change.task)
    state.reason.pop(change.task, None)


# -- the end of an attempt ---------------------------------------------------------------------


def _let_go(state: State, index: Index) -> None:
    """Give back what a running task holds; it is about to get another status."""
    if state.until.pop(index, None) is not None:
        state.expiries.clear(index)
    state.wishes.pop(index, None)
    if index in state.suspended:
        _forget_sleep(state, index)
    else:
        _give_back(state, index)


def _forget_sleep(state: State, index: Index) -> None:
    del state.suspended[index]
    woken = state.woken.get(state.holder[index])
    if woken is not None:
        woken.pop(index, None)


def _give_back(state: State, index: Index) -> None:
    resources = state.holds.pop(index, None) if state.holds else None
    if resources is None:
        resources = state.policy_of(index).resources
    crew = state.crew.pop(index, None)
    if crew is not None:
        resources, left = state.crews[crew]
        if left > 1:
            state.crews[crew] = (resources, left - 1)
            return
        del state.crews[crew]
    for name, amount in resources:
        state.used[name] -= amount
        _judge_use(state, name)
        ready.wake(state, name)


def _judge_use(state: State, name: str) -> None:
    """Remember whether more is in use than there is: only a lowered total may bring that about."""
    if state.used.get(name, 0) > state.total.get(name, DEFAULT_TOTAL):
        state.lowered.add(name)
    else:
        state.lowered.discard(name)


def finished(state: State, change: ch.Finished) -> None:
    tasks, holder = change.tasks, state.holder
    if not state.is_plain or state.until or state.wishes or state.suspended:  # else there is nothing to let go
        _let_all_go(state, tasks)
    if len(tasks) == 1:
        holder.pop(tasks[0], None)
    else:
        forget(holder, tasks)
    if state.naps:
        for index in tasks:
            state.naps.pop(index, None)
    if state.at or state.reason or state.trouble:
        for index in tasks:
            _forget_troubles(state, index)
    if len(tasks) == 1:
        state.set_status(tasks[0], DONE)
    else:
        state.set_statuses(tasks, DONE)
    _meet(state, change)


def _let_all_go(state: State, tasks: Sequence[Index]) -> None:
    if not state.is_plain or state.wishes or state.suspended:
        for index in tasks:
            if state.status[index] == RUNNING:
                _let_go(state, index)
        return
    forget(state.until, tasks)  # plain ones have nothing to let go but their leases
    state.expiries.clear_all(tasks)


def _forget_troubles(state: State, index: Index) -> None:
    _clear_time(state, index)
    state.reason.pop(index, None)
    state.trouble.pop(index, None)
    state.again.pop(index, None)
    state.seen_by.pop(index, None)


def _meet(state: State, change: ch.Finished) -> None:
    """Count the requirement as met for all that need it: the inner loop of a run."""
    unmet, freed, dependants = state.unmet, state.freed, state.edges.dependants
    for index in change.tasks:
        needed_by = dependants[index]
        for dependant in (needed_by,) if isinstance(needed_by, int) else needed_by or ():
            left = unmet[dependant] - 1
            unmet[dependant] = left
            if not left:
                freed.append(dependant)
    if state.suspended:
        for index in freed:
            _wake_sleeper(state, index)


def _wake_sleeper(state: State, index: Index) -> None:
    if index in state.suspended and not state.unmet[index]:
        state.woken.setdefault(state.holder[index], {})[index] = None


def _ended(state: State, change: ch.Ended) -> None:
    index = change.task
    asleep = index in state.suspended
    if state.status[index] == RUNNING:
        _let_go(state, index)
    else:
        _clear_time(state, index)
    if index in state.naps and (change.counted or not asleep):  # who hands a sleeper back still has what it yielded in its plan
        _take_back(state, index)
    if not change.lapsed:
        state.holder.pop(index, None)
    if not change.counted:
        state.uncounted[index] = state.uncounted.get(index, 0) + 1
    if change.trouble is not None:
        state.trouble[index] = change.trouble
    state.reason[index] = change.reason
    if change.status in ENDED_BADLY:
        state.seen_by[index] = state.goals_of(index)
    if change.status is Status.FAILED and change.at is not None:
        state.again[index] = change.at
    elif change.at is not None:
        state.at[index] = change.at
        if change.status is Status.RETRYING or state.comes_back(index):
            state.retries.set(index, change.at)
    state.set_status(index, change.status)
    if change.status is Status.WAITING and not state.unmet[index]:
        state.freed.append(index)


def _take_back(state: State, index: Index) -> None:
    removed = state.edges.shrink(index, state.naps.pop(index))
    state.unmet[index] -= sum(state.status[required] != DONE for required in removed)
    if state.priority or state.own_priority:  # below 0 perhaps, and what needed it kept it at 0
        priorities.lower(state, removed)


def _taken_back(state: State, change: ch.TakenBack) -> None:
    index = change.task
    _take_back(state, index)
    if state.status[index] == WAITING and not state.unmet[index]:
        state.freed.append(index)


def _slept(state: State, change: ch.Slept) -> None:
    index = change.task
    _give_back(state, index)
    state.suspended[index] = None
    if change.requires:
        state.naps[index] = state.naps.get(index, 0) + 1
    _grow(state, Growth(index, list(change.requires), closed=False))
    _wake_sleeper(state, index)


def _resumed(state: State, change: ch.Resumed) -> None:
    for index in change.tasks:
        _forget_sleep(state, index)
        _hold(state, state.policy_of(index).resources)


def _cancel_wished(state: State, change: ch.CancelWished) -> None:
    state.wishes[change.task] = change.deadline


def _became_cancelled(state: State, change: ch.BecameCancelled) -> None:
    state.set_status(change.task, Status.CANCELLED)
    _clear_time(state, change.task)
    state.reason[change.task] = "cancelled by an operator"
    state.seen_by[change.task] = state.goals_of(change.task)


def _started_over(state: State, change: ch.StartedOver) -> None:
    index, was_done = change.task, state.status[change.task] == DONE
    _forget_troubles(state, index)
    state.uncounted[index] = state.number[index] - state.floor[index]
    if index in state.naps:
        _take_back(state, index)
    if change.invalid:
        state.generation[index] = state.generation.get(index, 1) + 1
        state.holder.pop(index, None)  # its late success would be of the old generation
    state.set_status(index, Status.WAITING)
    if was_done:
        for dependant in state.edges.dependants_of(index):
            if not state.unmet[dependant]:
                state.stalled.append(dependant)
            state.unmet[dependant] += 1
    if not state.unmet[index]:
        state.freed.append(index)


def _forgiven(state: State, change: ch.Forgiven) -> None:
    state.trouble.pop(change.task, None)


_WRITERS: dict[type, Callable[[State, Any], None]] = {
    ch.EpochBegan: _epoch_began,
    ch.SessionOpened: _session_opened,
    ch.SessionDrained: _session_drained,
    ch.SessionClosed: _session_closed,
    ch.TasksAdded: _tasks_added,
    ch.TasksShared: _tasks_shared,
    ch.Grown: _grown,
    ch.FoundWhilePlanning: _found_while_planning,
    ch.BecameReady: _became_ready,
    ch.WaitsAgain: _waits_again,
    ch.Granted: granted,
    ch.LeasesExtended: _leases_extended,
    ch.LeasesForgiven: _leases_forgiven,
    ch.Reinstated: _reinstated,
    ch.Finished: finished,
    ch.Ended: _ended,
    ch.Slept: _slept,
    ch.TakenBack: _taken_back,
    ch.Resumed: _resumed,
    ch.CancelWished: _cancel_wished,
    ch.BecameCancelled: _became_cancelled,
    ch.StartedOver: _started_over,
    ch.Forgotten: _forgotten,
    ch.Forgiven: _forgiven,
    ch.NeedsSet: _needs_set,
    ch.Revised: _revised,
    ch.Replanned: _replanned,
    ch.Released: _released,
    ch.PrioritySet: _priority_set,
    ch.ResourceSet: _resource_set,
    ch.PauseSet: _pause_set,
}

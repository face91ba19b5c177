"""Tests of the tests: each fault planted into the real brain is found by the worlds.

A mutant replaces one function of the brain; it is found when a world breaks or the brain raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from levada._core import adding, apply, grants, passing, priorities, ready, reports, retry, swift
from levada._core import changes as ch
from levada._core.state import State
from levada._model import messages as m
from levada._model.spec import Growth
from levada._model.status import Status
from levada.testing.judge import WorldBroken
from levada.testing.worlds import World

WITHIN = 1000  # seeds; all but a few are found within ten
ROUGH = {"lose": 0.25, "die": 0.06}  # every second world

Patch = pytest.MonkeyPatch
MUTANTS: dict[str, Callable[[Patch], None]] = {}


def mutant(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
    MUTANTS[plant.__name__.replace("_", " ")] = plant
    return plant


def writer(patch: Patch, change: type, write: Callable[[State, Any], None]) -> None:
    patch.setitem(apply._WRITERS, change, write)


# -- fencing and leases ------------------------------------------------------------------------


@mutant
def the_fence_of_a_success_is_not_checked(patch: Patch) -> None:
    def successes(state: State, command: m.Sync, answer: Any) -> list[int]:
        return list(dict.fromkeys(index for index, _ in command.done if state.status[index] == Status.RUNNING))

    patch.setattr(reports, "_successes", successes)


@mutant
def the_short_way_wakes_nobody(patch: Patch) -> None:
    def finish(state: State, tasks: list[int], changes: list[ch.Change]) -> list[int]:
        changes.append(ch.Finished(tasks))
        apply.apply(state, changes[-1])
        state.freed.clear()
        return []

    patch.setattr(swift, "_finish", finish)


@mutant
def the_fence_of_a_failure_is_not_checked(patch: Patch) -> None:
    patch.setattr(reports, "_speaks", lambda state, session, index, fence, answer: state.status[index] == Status.RUNNING)


@mutant
def fences_do_not_rise(patch: Patch) -> None:
    original = apply.granted

    def granted(state: State, change: ch.Granted) -> None:
        for index in change.tasks:
            if state.number[index]:
                state.number[index] -= 1
        original(state, change)

    writer(patch, ch.Granted, granted)
    patch.setattr(swift, "granted", granted)


@mutant
def a_lease_lapses_early(patch: Patch) -> None:
    original = apply._lease
    patch.setattr(apply, "_lease", lambda state, index, until: original(state, index, until - 6.0))


@mutant
def the_servers_own_absence_is_not_forgiven(patch: Patch) -> None:
    writer(patch, ch.LeasesForgiven, lambda state, change: None)


@mutant
def renewing_does_not_extend(patch: Patch) -> None:
    writer(patch, ch.LeasesExtended, lambda state, change: None)


@mutant
def a_lapsed_lease_is_not_taken_back(patch: Patch) -> None:
    def tick(state: State, command: m.Tick, now: float) -> Iterator[ch.Change]:
        yield from passing.retries_due(state, now)

    from levada._core import brain

    patch.setitem(brain._DECISIONS, m.Tick, tick)  # type: ignore[arg-type]


@mutant
def an_old_generation_may_still_report(patch: Patch) -> None:
    original = apply._started_over

    def started_over(state: State, change: ch.StartedOver) -> None:
        holder = state.holder.get(change.task)
        original(state, change)
        if holder is not None:
            state.holder[change.task] = holder

    writer(patch, ch.StartedOver, started_over)


# -- resources ---------------------------------------------------------------------------------


@mutant
def resources_are_not_given_back(patch: Patch) -> None:
    patch.setattr(apply, "_give_back", lambda state, index: state.crew.pop(index, None))


@mutant
def resources_are_not_taken(patch: Patch) -> None:
    patch.setattr(apply, "_hold", lambda state, resources: None)


@mutant
def what_one_decision_promised_is_forgotten(patch: Patch) -> None:
    patch.setattr(ready.Draft, "take", lambda draft, index, resources: draft.chosen.update({index: None}))


@mutant
def nobody_wakes_a_line(patch: Patch) -> None:
    patch.setattr(ready, "wake", lambda state, name: None)


@mutant
def a_sleeper_keeps_its_resources(patch: Patch) -> None:
    def slept(state: State, change: ch.Slept) -> None:
        state.suspended[change.task] = None
        apply._grow(state, Growth(change.task, list(change.requires), closed=False))
        apply._wake_sleeper(state, change.task)

    writer(patch, ch.Slept, slept)


@mutant
def a_resumed_task_holds_nothing(patch: Patch) -> None:
    def resumed(state: State, change: ch.Resumed) -> None:
        for index in change.tasks:
            apply._forget_sleep(state, index)

    writer(patch, ch.Resumed, resumed)


# -- counting dependencies ---------------------------------------------------------------------


@mutant
def a_met_requirement_counts_twice(patch: Patch) -> None:
    original = apply._meet

    def meet(state: State, change: ch.Finished) -> None:
        original(state, change)
        original(state, ch.Finished(change.tasks[:1]))

    patch.setattr(apply, "_meet", meet)


@mutant
def a_met_requirement_does_not_count(patch: Patch) -> None:
    original = apply._meet
    patch.setattr(apply, "_meet", lambda state, change: original(state, ch.Finished(change.tasks[1:])))


@mutant
def a_requirement_that_is_done_counts_as_unmet(patch: Patch) -> None:
    original = apply._grow

    def grow(state: State, growth: Growth) -> None:
        counts, state.counts = state.counts, [0] * 8
        original(state, growth)
        state.counts = counts

    patch.setattr(apply, "_grow", grow)


@mutant
def later_growth_is_ignored(patch: Patch) -> None:
    original = apply._grow
    patch.setattr(apply, "_grow", lambda state, growth: original(state, growth if growth.closed else growth._replace(requires=())))


@mutant
def an_open_task_counts_as_closed(patch: Patch) -> None:
    original = apply._grow
    patch.setattr(apply, "_grow", lambda state, growth: original(state, growth._replace(closed=True)))


@mutant
def dependants_are_not_told_of_an_invalidation(patch: Patch) -> None:
    original = apply._started_over

    def started_over(state: State, change: ch.StartedOver) -> None:
        known, state.edges.dependants[change.task] = state.edges.dependants[change.task], None
        original(state, change)
        state.edges.dependants[change.task] = known

    writer(patch, ch.StartedOver, started_over)


@mutant
def a_sleeper_is_not_woken(patch: Patch) -> None:
    patch.setattr(apply, "_wake_sleeper", lambda state, index: None)


# -- who, when, how often ----------------------------------------------------------------------


@mutant
def priorities_are_not_passed_upstream(patch: Patch) -> None:
    patch.setattr(priorities, "raise_requirements", lambda state, index: None)


@mutant
def the_queue_ignores_priorities(patch: Patch) -> None:
    patch.setattr(State, "key", lambda state, index: index)


@mutant
def the_number_of_attempts_is_ignored(patch: Patch) -> None:
    patch.setattr(retry, "attempts_allowed", lambda policy, errors: 99)


@mutant
def the_delay_of_a_retry_is_ignored(patch: Patch) -> None:
    patch.setattr(retry, "retry_delay", lambda failures, policy, draw: 0.0)


@mutant
def a_retry_never_comes_due(patch: Patch) -> None:
    patch.setattr(passing, "retries_due", lambda state, now: iter(()))
    patch.setattr(reports, "retries_due", lambda state, now: iter(()))


@mutant
def handing_back_counts_as_an_attempt(patch: Patch) -> None:
    original = reports._hand_back
    patch.setattr(reports, "_hand_back", lambda state, back, now: original(state, back, now)._replace(counted=True))


@mutant
def a_member_of_a_batch_is_forgotten(patch: Patch) -> None:
    original = grants._letters
    patch.setattr(grants, "_letters", lambda state, leaders, crews: [one._replace(batch=()) for one in original(state, leaders, crews)])


@mutant
def a_member_of_a_batch_stays_in_the_queue(patch: Patch) -> None:
    original = ready.pick_crew

    def pick_crew(state: State, leader: int, draft: ready.Draft) -> tuple[int, ...]:
        members = original(state, leader, draft)
        for index in members:
            del draft.chosen[index]
        return members

    patch.setattr(grants, "pick_crew", pick_crew)


@mutant
def a_pause_is_ignored(patch: Patch) -> None:
    writer(patch, ch.PauseSet, lambda state, change: None)


@mutant
def done_is_opened_again_by_adding(patch: Patch) -> None:
    patch.setattr(adding, "_starts_over", lambda state, index, now, **why: state.status[index] == Status.DONE)


@mutant
def a_cancelled_task_is_granted_all_the_same(patch: Patch) -> None:
    original = ready._holds

    def holds(state: State, group: Any, key: int, draft: Any = None) -> bool:
        index = key & 0xFFFFFFFF
        return original(state, group, key, draft) or (
            state.status[index] == Status.CANCELLED and index not in (draft.chosen if draft else ())
        )

    patch.setattr(ready, "_holds", holds)


@mutant
def work_is_kept_back(patch: Patch) -> None:
    original = grants.claim
    patch.setattr(reports, "claim", lambda state, name, room, now: original(state, name, min(room, 1), now))


@mutant
def what_a_session_may_run_is_ignored(patch: Patch) -> None:
    def opened(state: State, change: ch.SessionOpened) -> None:
        apply._session_opened(state, change)
        state.sessions[change.session].groups[:] = range(len(state.groups))

    intern = State.intern_group

    def intern_group(state: State, sessions: frozenset[m.SessionId], module: str) -> int:
        number = intern(state, sessions, module)
        for session in state.sessions.values():
            session.groups[:] = range(len(state.groups))
        return number

    writer(patch, ch.SessionOpened, opened)
    patch.setattr(State, "intern_group", intern_group)


def seed_that_finds() -> int | None:
    for seed in range(WITHIN):
        try:
            World(seed, workers=1 + seed % 3, **(ROUGH if seed % 2 else {})).run()
        except WorldBroken:
            return seed
    return None


QUICK = ("fence of a success", "fences do not rise", "resources are not", "unmet", "lease lapses early", "short way")
"""In `make test`; all of them in CI."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if any(map(name.__contains__, QUICK)) else pytest.mark.ci) for name in MUTANTS]
)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[name](monkeypatch)
    assert seed_that_finds() is not None, f"{WITHIN} worlds did not notice that {name}"

"""Seeded worlds of triggers: no restart, failover or leap of the clock loses or doubles anything; and faults planted into the real
book are found by them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from levada._server.triggers import book, firing, goals, handlers, spans
from levada._server.triggers.agents import Agent, Agents, Entry
from levada._server.triggers.book import Book, Kept
from levada._store.opening import open_store
from levada._wire import triggers as w

from .ledger import Broken
from .world import World

WITHIN = 800  # seeds; most are found within twenty


@pytest.mark.parametrize("first", [first if first < 50 else pytest.param(first, marks=pytest.mark.slow) for first in range(0, 150, 10)])
def test_no_world_loses_or_doubles_a_fire(first: int) -> None:
    for seed in range(first, first + 10):
        World(seed).run()


@pytest.mark.ci
@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(150, 1_350, 300))
def test_a_thousand_more_worlds_lose_and_double_nothing(first: int) -> None:
    for seed in range(first, first + 300):
        World(seed).run()


@pytest.mark.parametrize("seed", range(5_000, 5_006))
def test_it_is_so_on_a_disk(seed: int, tmp_path: Path) -> None:
    def opened() -> Any:
        return open_store(str(tmp_path / "levada.db"), synchronous="normal")

    World(seed, opened).run(steps=60)


def _digest() -> str:
    digest = hashlib.sha256()
    for seed in range(4):
        world = World(seed)
        world.run()
        digest.update("\n".join(world.trace).encode())
    return digest.hexdigest()


def test_a_seed_plays_the_same_world_under_any_hash_seed() -> None:
    code = "from tests.triggers.test_worlds import _digest; print(_digest())"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    elsewhere = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True).stdout.strip()
    assert _digest() == elsewhere


# -- tests of the tests --------------------------------------------------------------------------

Patch = pytest.MonkeyPatch
MUTANTS: dict[str, Callable[[Patch], None]] = {}


def mutant(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
    MUTANTS[plant.__name__.replace("_", " ")] = plant
    return plant


@mutant
def a_cause_is_not_looked_for(patch: Patch) -> None:
    patch.setattr(Book, "had", lambda self, key: False)


@mutant
def a_cause_is_looked_for_in_the_store_alone(patch: Patch) -> None:
    patch.setattr(Book, "had", lambda self, key: key in self.live or bool(self._find([bytes.fromhex(key)])))


@mutant
def a_clock_that_is_set_back_is_not_seen(patch: Patch) -> None:
    patch.setattr(Book, "_set_back", lambda self, wall: None)


@mutant
def what_was_lived_through_is_forgotten(patch: Patch) -> None:
    patch.setattr(spans, "add", lambda lived, after, upto: None)


@mutant
def what_was_lived_through_is_taken_for_more_than_it_was(patch: Patch) -> None:
    patch.setattr(spans, "holds", lambda lived, at: bool(lived) and lived[0][0] < at <= lived[-1][1])


@mutant
def a_goal_waits_for_a_moment_of_a_clock_that_was_wrong(patch: Patch) -> None:
    patch.setattr(goals.Goal, "set_back", lambda self, wall, leap: False)


@mutant
def a_rate_counts_on_from_a_clock_that_was_wrong(patch: Patch) -> None:
    def set_back(self: Kept, wall: float) -> bool:
        self.last = min(self.last, wall)
        return True

    patch.setattr(Kept, "set_back", set_back)


@mutant
def a_restart_forgets_how_far_a_trigger_was(patch: Patch) -> None:
    original = book.kept_of

    def kept_of(row: Any) -> Kept:
        kept = original(row)
        kept.last -= 86_400.0
        kept.lived = []
        return kept

    patch.setattr(book, "kept_of", kept_of)


@mutant
def a_pause_is_made_up_for(patch: Patch) -> None:
    original = Book.pause

    def pause(self: Book, name: str, paused: bool, wall: float) -> bool:
        last = self.kept(name).last
        before = original(self, name, paused, wall)
        self.kept(name).last = last
        self._plan(self.kept(name))
        return before

    patch.setattr(Book, "pause", pause)


@mutant
def the_first_that_was_missed_is_made_up_for_and_not_the_last(patch: Patch) -> None:
    patch.setattr(firing, "_newest", lambda schedule, last, until: schedule.after(last))


@mutant
def jitter_is_not_waited_for(patch: Patch) -> None:
    patch.setattr(firing, "_until_not_due", lambda schedule, after, wall, most: schedule.between(after, wall, most))


@mutant
def a_fire_for_which_there_was_no_room_is_lost(patch: Patch) -> None:
    original = firing.make

    def make(book_: Book, kept: Kept, *rest: Any, **more: Any) -> Any:
        return original(book_, kept, *rest, **more) if firing.has_room(book_, kept) else None

    patch.setattr(firing, "make", make)


@mutant
def goals_of_a_trigger_overtake_each_other(patch: Patch) -> None:
    patch.setattr(Book, "_is_its_turn", lambda self, goal: True)


@mutant
def whose_turn_it_is_is_not_told(patch: Patch) -> None:
    original = Book.end

    def end(self: Book, goal: Any, *rest: Any) -> None:
        queue, self._queue = self._queue, lambda after: None  # type: ignore[method-assign]
        try:
            original(self, goal, *rest)
        finally:
            self._queue = queue  # type: ignore[method-assign]

    patch.setattr(Book, "end", end)


@mutant
def a_plan_that_is_void_fires(patch: Patch) -> None:
    original = Book._plan

    def plan(self: Book, kept: Kept, not_before: float = 0.0) -> None:
        original(self, kept, not_before)
        kept.version = 0
        self._due[:] = sorted((moment, name, 0, fire) for moment, name, _, fire in self._due)

    patch.setattr(Book, "_plan", plan)


@mutant
def a_lease_ends_early(patch: Patch) -> None:
    original = Book.grant

    def grant(self: Book, goal: Any, agent: Any, wall: float, now: float) -> None:
        original(self, goal, agent, wall, now - 40.0)

    patch.setattr(Book, "grant", grant)


@mutant
def a_lease_never_ends(patch: Patch) -> None:
    patch.setattr(Agents, "turn", lambda self, now, wall: None)


@mutant
def who_reports_need_not_have_it(patch: Patch) -> None:
    original = handlers.HANDLERS[w.ReportGoal]

    def report(desk: Any, call: Any) -> Any:
        goal = desk.host.book.live.get(call.request.goal)
        if goal is not None and goal.state == goals.RUNNING:
            goal.agent = call.request.agent
        return original(desk, call)

    patch.setitem(handlers.HANDLERS, w.ReportGoal, report)


@mutant
def places_of_an_agent_that_is_gone_are_watched_by_nobody(patch: Patch) -> None:
    patch.setattr(Agents, "_reassign", lambda self, watches: None)


@mutant
def a_list_of_another_life_is_gone_on_with(patch: Patch) -> None:
    def told(self: Agents, agent: Agent, since: int) -> list[Entry]:
        while agent.log and agent.log[0].seq <= since:
            agent.log.popleft()
        return list(agent.log)

    patch.setattr(Agents, "told", told)


@mutant
def an_arrival_wakes_nobody(patch: Patch) -> None:
    def arrived(self: Book, keys: Iterable[str], what: str, wall: float) -> None:
        for key in keys:
            self.live[key].look_at = 0.0

    patch.setattr(Book, "arrived", arrived)


@mutant
def places_are_not_let_go(patch: Patch) -> None:
    patch.setattr(Agents, "unwatch", lambda self, url, *, pattern, who: None)


@mutant
def a_trigger_that_was_removed_comes_back(patch: Patch) -> None:
    original = Book.rows
    patch.setattr(Book, "rows", lambda self: rows._replace(untriggered=[]) if (rows := original(self)) is not None else None)


@mutant
def fires_a_second_apart_are_called_missed(patch: Patch) -> None:
    original = firing.fire_due

    def fire_due(book_: Book, kept: Kept, wall: float) -> firing.More:
        with pytest.MonkeyPatch.context() as within:
            within.setattr(firing, "FRESH", 0.0)
            return original(book_, kept, wall)

    patch.setattr(firing, "fire_due", fire_due)


def seed_that_finds() -> int | None:
    for seed in range(WITHIN):
        try:
            World(seed).run()
        except Broken:
            return seed
    return None


QUICK = ("looked for", "set back", "lease", "overtake", "wakes nobody")
"""In `make test`; all of them in CI."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if any(map(name.__contains__, QUICK)) else pytest.mark.ci) for name in MUTANTS]
)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[name](monkeypatch)
    assert seed_that_finds() is not None, f"{WITHIN} worlds did not notice that {name}"

"""From the moment that a trigger stands for to a goal: parameters, missed fires, overlaps, rates.

Laws: what was decided of a fire time is decided once (``Kept.last`` moves on in the same commit as the goal is made); a flood is
bounded: a thousand goals a turn and trigger, ten thousand that have not ended; the rest come when there is room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..._model.templates import fire_facts, parse
from ..._model.triggers import SCHEDULES, After, Arrival, Trigger, zone_name
from ...targets.patterns import read_pattern
from ..schedule import Schedule
from .goals import DONE, Goal

if TYPE_CHECKING:
    from .book import Book, Kept

FRESH = 60.0  # seconds by which a fire may be late and is not called missed
TURN = 1_000  # fires of a trigger in one turn
BACKWARDS = (3600.0, 86_400.0, 8 * 86_400.0, 64 * 86_400.0, 512 * 86_400.0)
"""Seconds back from now in which the newest fire time is sought: a minute's schedule is not walked through from a year ago."""


def schedule_of(trigger: Trigger) -> Schedule | None:
    """The fire times of a trigger; None for one without. Raises ConfigError for what cannot be watched or fires never."""
    if isinstance(trigger.when, Arrival):
        read_pattern(trigger.when.pattern)
    return Schedule(trigger) if isinstance(trigger.when, SCHEDULES) else None


def fire_due(book: Book, kept: Kept, wall: float) -> None:
    """Make the goals of all fire times that have come."""
    schedule, trigger = kept.schedule, kept.trigger
    first = schedule.after(kept.last) if schedule is not None else None
    if schedule is None or first is None or schedule.due(first) > wall:
        return
    second = schedule.after(first)
    alone = second is None or schedule.due(second) > wall
    late = wall - schedule.due(first) > FRESH
    if alone and (not late or trigger.missed != "skip"):
        _fire_at(book, kept, first, wall)
    elif alone:
        kept.skipped += 1
        kept.last = first
    elif trigger.missed == "each":
        _each(book, kept, schedule, wall)
        return
    else:
        newest = _newest(schedule, kept.last, wall) or first
        if trigger.missed == "merge":
            _merged(book, kept, first, newest, wall)
        elif trigger.missed == "last" or wall - schedule.due(newest) <= FRESH:
            _fire_at(book, kept, newest, wall)
        else:
            kept.skipped += 1
        kept.last = newest
    book.touched(kept)


def _each(book: Book, kept: Kept, schedule: Schedule, wall: float) -> None:
    for fire in schedule.between(kept.last, wall, TURN):
        if schedule.due(fire) > wall or not has_room(book, kept):
            break
        _fire_at(book, kept, fire, wall)
    book.touched(kept)


def has_room(book: Book, kept: Kept) -> bool:
    """Whether another goal of the trigger may be made now."""
    from .book import MOST_LIVE

    return len(book.live_of(kept.trigger.name)) < MOST_LIVE


def _newest(schedule: Schedule, last: float, wall: float) -> float | None:
    """The newest fire time in (last, wall] that is due."""
    for back in (*BACKWARDS, None):
        begin = last if back is None else max(last, wall - back)
        found = [fire for fire in schedule.between(begin, wall, 100_000) if schedule.due(fire) <= wall]
        if found or begin == last:
            return found[-1] if found else None
    return None


def _fire_at(book: Book, kept: Kept, fire: float, wall: float) -> None:
    kept.last = max(kept.last, fire)
    previous = kept.fired or None
    facts = {"fire": fire_facts(fire, zone_name(kept.trigger.when), previous)}
    if make(book, kept, f"{fire:.3f}", facts, wall, f"fire time {iso(fire)}", moment=fire) is not None:
        kept.fired = fire


def _merged(book: Book, kept: Kept, first: float, newest: float, wall: float) -> None:
    """One goal over all: parameters that differ between the first and the last become a range."""
    zone = zone_name(kept.trigger.when)
    of_first, of_newest = (filled(kept.trigger, {"fire": fire_facts(at, zone, kept.fired or None)}) for at in (first, newest))
    params = {name: text if of_first[name] == text else f"{of_first[name]}..{text}" for name, text in of_newest.items()}
    ranged = any(of_first[name] != text for name, text in of_newest.items())
    said = f"fire times {iso(first)} to {iso(newest)}"
    if make(book, kept, f"{first:.3f}..{newest:.3f}", None, wall, said, params=params, ranged=ranged, moment=newest) is not None:
        kept.fired = newest


def fire_after(book: Book, goal: Goal, wall: float) -> None:
    """A goal has ended: what comes after it, or after its trigger or family, fires."""
    outcome = "done" if goal.state == DONE else "failed"
    names = [f"trigger:{goal.trigger}"] if goal.trigger else []
    for name in names:
        fire_ended(
            book,
            name,
            outcome,
            f"goal {goal.number}",
            {**goal.params, "family": goal.family, "outcome": outcome, "trigger": goal.trigger},
            wall,
        )


def fire_ended(book: Book, name: str, outcome: str, cause: str, facts: Mapping[str, Any], wall: float) -> None:
    """Something by that name has ended so; cause: tells this end from another."""
    for kept in book.after(name):
        when = kept.trigger.when
        if not isinstance(when, After) or when.outcome not in (outcome, "ended"):
            continue
        if not when.any_of and len(when.of) > 1:
            kept.seen = sorted({*kept.seen, name})
            book.touched(kept)
            if set(kept.seen) != set(when.of):
                continue
            kept.seen = []
        make(book, kept, f"after {name} {cause}", {"ended": facts}, wall, f"{name} is {outcome}")


def filled(trigger: Trigger, facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Parameters of a fire. Raises ConfigError for a template that asks for what there is not."""
    return {name: parse(text).fill(facts) for name, text in trigger.params}


def make(
    book: Book,
    kept: Kept,
    cause: str,
    facts: Mapping[str, Mapping[str, Any]] | None,
    wall: float,
    said: str,
    *,
    params: Mapping[str, str] | None = None,
    ranged: bool = False,
    by: str = "",
    moment: float | None = None,
) -> Goal | None:
    """The goal of a fire, under the trigger's policies; None where the policy, or an earlier fire for the same cause, says no."""
    trigger = kept.trigger
    live = book.live_of(trigger.name)
    if live and not _may_overlap(book, kept, live, wall):
        kept.skipped += 1
        book.touched(kept)
        return None
    goal = book.want(
        trigger.family,
        filled(trigger, facts or {}) if params is None else params,
        wall,
        by=by or f"trigger {trigger.name}, {said}",
        trigger=trigger.name,
        cause=cause,
        module=trigger.module,
        deadline=None if trigger.deadline is None else max(0.0, trigger.deadline + ((moment or wall) - wall)),
        on_deadline=trigger.on_deadline,
        not_before=_slot(kept, wall),
        options={"range": "yes"} if ranged else None,
    )
    if goal is not None:
        kept.fires += 1
        kept.last_goal = goal.key
        book.touched(kept)
    return goal


def _may_overlap(book: Book, kept: Kept, live: Mapping[str, Goal], wall: float) -> bool:
    overlap = kept.trigger.overlap
    if overlap == "skip" or (overlap == "queue_one" and len(live) > 1):
        return False
    if overlap == "cancel_old":
        for goal in list(live.values()):
            book.cancel(goal, "the next fire of its trigger took its place", wall)
    return has_room(book, kept)


def _slot(kept: Kept, wall: float) -> float:
    """When the rate limit lets it begin; 0: now."""
    most, per = kept.trigger.most, kept.trigger.per
    if not most:
        return 0.0
    kept.recent = [at for at in kept.recent if at > wall - per]
    begin = wall if len(kept.recent) < most else max(wall, kept.recent[-most] + per)
    kept.recent = [*kept.recent, begin][-most:]
    return begin if begin > wall else 0.0


def iso(at: float) -> str:
    """A moment, for people: UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

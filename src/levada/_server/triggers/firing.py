"""From the moment that a trigger stands for to a goal: parameters, missed fires, overlaps, rates.

Laws: what was decided of a fire time is decided once (``Kept.last`` moves on in the same commit as the goal is made); a flood is
bounded: a thousand goals a turn and trigger, ten thousand that have not ended; the rest come when there is room.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ..._model.templates import fire_facts, parse
from ..._model.triggers import SCHEDULES, After, Arrival, Trigger, zone_name
from ..._wire.problems import Refusal
from ...errors import ConfigError
from ...targets.patterns import read_pattern
from ..schedule import Schedule
from . import spans
from .goals import DONE, WANTED, Goal, key_of

if TYPE_CHECKING:
    from .book import Book, Kept

MOST_PAIRS = 2_000  # sets of parameters for which some of several have ended, and the others are waited for
FRESH = 60.0  # seconds by which a fire may be late and is not called missed
TURN = 1_000  # fires of a trigger in one turn
LOOKED = 10_000  # fire times that one turn looks at, to tell those that were missed
INSTANT = 1e-3  # seconds; no two fire times are so near
MOST_TEXT = 256 << 10  # characters of a goal's parameters
BACKWARDS = (3600.0, 86_400.0, 8 * 86_400.0, 64 * 86_400.0, 512 * 86_400.0)
"""Seconds back from now in which the newest fire time is sought: a minute's schedule is not walked through from a year ago."""


def schedule_of(trigger: Trigger) -> Schedule | None:
    """The fire times of a trigger; None for one without. Raises ConfigError for what cannot be watched or fires never."""
    if isinstance(trigger.when, Arrival):
        read_pattern(trigger.when.pattern)
    return Schedule(trigger) if isinstance(trigger.when, SCHEDULES) else None


class More(Enum):
    """Whether fire times that have come were left: none, for the next turn, or until there is room."""

    NO = 0
    NOW = 1
    LATER = 2


def fire_due(book: Book, kept: Kept, wall: float) -> More:
    """Make the goals of fire times that have come, in their order; those that are late by more than FRESH were missed.

    With jitter one may wait for the one before it, though never for longer than the jitter is.
    """
    schedule, trigger = kept.schedule, kept.trigger
    first = schedule.after(kept.last) if schedule is not None else None
    if schedule is None or first is None or schedule.due(first) > wall:
        return More.NO
    if trigger.missed == "each":
        return _each(book, kept, _until_not_due(schedule, kept.last, wall, TURN), wall)
    begin = max(kept.last, wall - FRESH - trigger.jitter)
    late: list[float] = []
    fresh: list[float] = []
    latest = begin
    for fire in _until_not_due(schedule, begin, wall, LOOKED):
        latest = max(latest, schedule.due(fire))
        (fresh if wall - latest <= FRESH else late).append(fire)
    missed = late[-1] if late else (_newest(schedule, kept.last, begin) or first) if first <= begin else None
    if missed is not None:
        if trigger.missed == "merge":
            return _merged(book, kept, fresh[-1] if fresh else missed, wall)
        if trigger.missed == "last" and not fresh:
            return _each(book, kept, [missed], wall, since=missed - INSTANT)
        kept.skipped += 1
        kept.last = missed
        book.touched(kept)
    return _each(book, kept, fresh[:TURN], wall) if fresh else More.NO


def _until_not_due(schedule: Schedule, after: float, wall: float, most: int) -> list[float]:
    """Fire times later than ``after`` up to the first that is not due."""
    return list(takewhile(lambda fire: schedule.due(fire) <= wall, schedule.between(after, wall, most)))


def _each(book: Book, kept: Kept, fires: Sequence[float], wall: float, since: float | None = None) -> More:
    """Decide fire times one by one. since: there is none between it and the first of them; None: since the last that was decided."""
    for fire in fires:
        try:
            _fire_at(book, kept, fire, wall)
        except Refusal:  # there is no room
            return More.LATER
        spans.add(kept.lived, kept.last if since is None else since, fire)
        kept.last, since = max(kept.last, fire), None
        book.touched(kept)
    return More.NOW if len(fires) == TURN else More.NO


def has_room(book: Book, kept: Kept) -> bool:
    """Whether another goal of the trigger may be made now."""
    from .book import MOST_GOALS, MOST_LIVE

    return len(book.live_of(kept.trigger.name)) < MOST_LIVE and len(book.live) < MOST_GOALS


def _newest(schedule: Schedule, last: float, until: float) -> float | None:
    """The newest fire time in (last, until]."""
    for back in (*BACKWARDS, None):
        begin = last if back is None else max(last, until - back)
        found = schedule.between(begin, until, 100_000)
        while len(found) == 100_000 and (more := schedule.between(found[-1], until, 100_000)):
            found = more
        if found or begin == last:
            return found[-1] if found else None
    return None


def _fire_at(book: Book, kept: Kept, fire: float, wall: float) -> None:
    """Raises Refusal where there is no room."""
    if spans.holds(kept.lived, fire):
        return  # the clock was set back
    try:
        facts = {"fire": fire_facts(fire, zone_name(kept.trigger.when), _previous(kept, fire))}
        if make(book, kept, f"{fire:.3f}", facts, wall, f"fire time {iso(fire)}", moment=fire) is not None:
            kept.fired = fire
    except ConfigError as fault:
        _spoiled(book, kept, f"fire time {iso(fire)}: {fault.message}")


def _previous(kept: Kept, fire: float) -> float | None:
    return kept.fired if 0.0 < kept.fired < fire else None


def _spoiled(book: Book, kept: Kept, why: str) -> None:
    """A fire has no goal, for its parameters cannot be filled in."""
    kept.skipped += 1
    book.touched(kept)
    book.faults.append(f"trigger {kept.trigger.name}: {why}")


def _merged(book: Book, kept: Kept, newest: float, wall: float) -> More:
    """One goal over all: parameters that differ between the first and the last become a range."""
    came = kept.schedule.between(kept.last, newest, LOOKED) if kept.schedule else []
    undecided = [fire for fire in (*came, newest) if not spans.holds(kept.lived, fire)]
    if not undecided:  # the clock was set back
        kept.last = newest
        book.touched(kept)
        return More.NO
    first, newest = undecided[0], undecided[-1]
    zone, trigger = zone_name(kept.trigger.when), kept.trigger
    said = f"fire times {iso(first)} to {iso(newest)}"
    try:
        of_first, of_newest = (filled(trigger, {"fire": fire_facts(at, zone, _previous(kept, first))}) for at in (first, newest))
        params = {name: text if of_first[name] == text else f"{of_first[name]}..{text}" for name, text in of_newest.items()}
        ranged = any(of_first[name] != text for name, text in of_newest.items())
        if make(book, kept, f"{first:.3f}..{newest:.3f}", None, wall, said, params=params, ranged=ranged, moment=newest) is not None:
            kept.fired = newest
    except ConfigError as fault:
        _spoiled(book, kept, f"{said}: {fault.message}")
    except Refusal:
        return More.LATER
    spans.add(kept.lived, kept.last, newest)
    kept.last = newest
    book.touched(kept)
    return More.NO


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
        try:
            params = filled(kept.trigger, {"ended": facts})
            if when.any_of or len(when.of) == 1 or _are_all(book, kept, name, params, when.of):
                make(book, kept, f"after {name} {cause}", None, wall, f"{name} is {outcome}", params=params)
        except (ConfigError, Refusal) as fault:
            _spoiled(book, kept, f"{name} is {outcome}: {fault.message}")


def _are_all(book: Book, kept: Kept, name: str, params: Mapping[str, str], of: Sequence[str]) -> bool:
    """Whether all have ended that make these parameters: of two daily tasks, those of one day belong together."""
    pair = json.dumps(params, sort_keys=True)
    ended = {*kept.seen.pop(pair, ()), name}
    book.touched(kept)
    if ended == set(of):
        return True
    kept.seen[pair] = sorted(ended)
    while len(kept.seen) > MOST_PAIRS:
        lost = next(iter(kept.seen))
        del kept.seen[lost]
        book.faults.append(
            f"trigger {kept.trigger.name}: more than {MOST_PAIRS:,} wait for their others; {lost} is not waited for any more"
        )
    return False


def filled(trigger: Trigger, facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Parameters of a fire. Raises ConfigError for a template that asks for what there is not, and for texts without measure."""
    room = MOST_TEXT
    params: dict[str, str] = {}
    for name, text in trigger.params:
        params[name] = parse(text).fill(facts, room)
        room -= len(name) + len(params[name])
        if room < 0:
            raise ConfigError(f"the parameters have more than {MOST_TEXT:,} characters")
    return params


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
    """The goal of a fire, under the trigger's policies; None where the policy, or an earlier fire for the same cause, says no.

    Raises ConfigError where its parameters cannot be filled in, Refusal where there is no room for it now; then nothing has changed.
    """
    trigger = kept.trigger
    if cause and book.had(key_of(trigger.name, cause)):
        return None
    if params is None:
        params = filled(trigger, facts or {})
    live = book.live_of(trigger.name)
    if (trigger.overlap == "skip" and live) or (trigger.overlap == "queue_one" and len(live) > 1):
        kept.skipped += 1
        book.touched(kept)
        return None
    if not has_room(book, kept):
        raise Refusal("busy", f"trigger {trigger.name}: too many goals have not ended, no more are taken", retry_after=60.0)
    slot = _slot(kept, wall, live.values() if trigger.overlap == "cancel_old" else ())
    if trigger.overlap == "cancel_old":
        for old in list(live.values()):
            book.cancel(old, "the next fire of its trigger took its place", wall)
    goal = book.want(
        trigger.family,
        params,
        wall,
        by=by or f"trigger {trigger.name}, {said}",
        trigger=trigger.name,
        cause=cause,
        module=trigger.module,
        deadline=None if trigger.deadline is None else max(0.0, trigger.deadline + ((moment or wall) - wall)),
        on_deadline=trigger.on_deadline,
        not_before=slot,
        options={"range": "yes"} if ranged else None,
    )
    if goal is not None:
        kept.fires += 1
        kept.last_goal = goal.key
        book.touched(kept)
    return goal


def _slot(kept: Kept, wall: float, replaced: Iterable[Goal]) -> float:
    """When the rate limit lets it begin; 0: now. replaced: goals whose place it takes, also that which one of them had here."""
    most, per = kept.trigger.most, kept.trigger.per
    if not most:
        return 0.0
    waiting = [old.not_before for old in replaced if old.state == WANTED and old.not_before > wall]
    if waiting:
        kept.recent = [at for at in kept.recent if at <= min(waiting)]
        return min(waiting)
    kept.recent = [at for at in kept.recent if at > wall - per]
    begin = wall if len(kept.recent) < most else max(wall, kept.recent[-most] + per)
    kept.recent, kept.slot_at = [*kept.recent, begin][-most:], wall
    return begin if begin > wall else 0.0


def iso(at: float) -> str:
    """A moment, for people: UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

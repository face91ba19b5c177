"""The book of triggers and goals: what the server knows of them, and every step that they take.

Laws: a fire makes one goal, whoever computes it and however often (its key is a hash of trigger and cause, and is looked for in
the store before it is made); what changes here is written in the commit of the command that changed it; nothing waits for ever
without saying for what; no step looks at all goals but those that people ask for. Pure: no clock of its own (``wall`` is seconds
since 1970, ``now`` the clock for leases), no socket, no thread.
"""

from __future__ import annotations

import heapq
import json
import os
from binascii import unhexlify
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from ..._model.triggers import After, Arrival, Event, Trigger, trigger_from_json, trigger_to_json
from ..._store.ports import GoalRow, TriggerRow
from ..._wire.problems import Refusal
from ...errors import ConfigError, StoreError
from . import firing
from .agents import Agent, Agents
from .goals import CANCELLED, DONE, FAILED, LIVE, MOST_MISSING, PARKED, RUNNING, WANTED, Goal, goal_of, key_of
from .spans import Spans

MOST_LIVE = 10_000  # goals of one trigger that have not ended; more are made when some have
MOST_TRIGGERS = 100_000
MOST_GOALS = 200_000  # that have not ended, in all
LOOK_AGAIN = (5.0, 600.0)  # seconds after which a parked goal whose data cannot be watched is unfolded anew: at first, at most
WATCHED_AGAIN = 3600.0  # at least, the same where all that is missing is watched: in case something was overlooked
BETWEEN = 10.0  # seconds, on average, between two such looks, however many goals wait
SETTLE = 0.2  # seconds between an arrival and the unfolding: others may come with it
MOST_TRIES = 5  # unfoldings in a row that ended without a result
AGAIN = 10.0  # seconds until the next of those
SEARCHED = 2_000  # names among which one is sought that is meant
ROOM = 5.0  # seconds after which a fire for which there was no room is tried again
BROKEN = 600.0  # seconds after which a trigger whose fire time could not be worked out is looked at again
LEAP = 1.0  # seconds; a clock that is set back by less does nothing to moments


class Kept:
    """A trigger with how far it has come. version: another one with each plan, so that what was planned before is void."""

    __slots__ = (
        "fired", "fires", "last", "last_goal", "lived", "recent", "schedule", "seen", "skipped", "slot_at", "spec", "trigger", "version",
    )  # fmt: skip

    def __init__(self, trigger: Trigger, last: float) -> None:
        self.say(trigger)
        self.schedule = firing.schedule_of(trigger)
        self.last = last  # fire times up to here are decided
        self.fires = self.skipped = 0
        self.fired = 0.0  # the newest fire time that made a goal
        self.last_goal = ""
        self.lived: Spans = []  # fire times that were decided one by one: they are not decided again where a clock is set back
        self.recent: list[float] = []  # moments of fires, as far back as the rate limit looks
        self.slot_at = 0.0  # when the newest of those was given
        self.seen: dict[str, list[str]] = {}  # of an ``After`` that waits for several: which have ended, by the parameters they make
        self.version = 0

    def say(self, trigger: Trigger) -> None:
        """It says this from now on."""
        self.trigger = trigger
        self.spec = ""  # as JSON, made when it is written

    def set_back(self, wall: float) -> bool:
        """The clock shows an earlier time than it did. Fire times that come again and were lived through fire no more."""
        found = False
        if self.last > wall:
            self.last, found = wall, True
        if self.slot_at > wall:
            lag = self.slot_at - wall
            self.recent, self.slot_at, found = [at - lag for at in self.recent], wall, True
        return found

    def row(self) -> TriggerRow:
        """As the store keeps it."""
        state = {"last": self.last, "fires": self.fires, "skipped": self.skipped, "fired": self.fired, "last_goal": self.last_goal}
        state.update({"recent": self.recent, "slot_at": self.slot_at, "seen": self.seen, "lived": self.lived})
        self.spec = self.spec or json.dumps(trigger_to_json(self.trigger))
        return TriggerRow(self.trigger.name, self.spec, json.dumps(state))


def kept_of(row: TriggerRow) -> Kept:
    """From the store."""
    state: dict[str, Any] = json.loads(row.state)
    kept = Kept(trigger_from_json(json.loads(row.spec), row.name), state["last"])
    kept.fires, kept.skipped, kept.fired, kept.last_goal = state["fires"], state["skipped"], state["fired"], state["last_goal"]
    kept.recent, kept.slot_at, kept.seen, kept.lived = (
        state["recent"],
        state.get("slot_at", 0.0),
        state["seen"] or {},
        state.get("lived", []),
    )
    return kept


class Rows(NamedTuple):
    """What is to be written of a turn."""

    triggers: list[TriggerRow]
    untriggered: list[str]
    goals: list[GoalRow]


class Told(NamedTuple):
    """What the server may have to tell people. kind: "deadline" (it was missed) or "ended"."""

    kind: str
    goal: Goal


class Book:
    """Triggers, live goals and agents of one server. find: rows of goals by key, from the store."""

    def __init__(self, find: Callable[[Sequence[bytes]], Sequence[GoalRow]], lease: float = 60.0) -> None:
        self._find = find
        self.lease = lease
        self.triggers: dict[str, Kept] = {}
        self.live: dict[str, Goal] = {}
        self.running: dict[str, Goal] = {}
        self.owners: dict[str, str] = {}  # of families, as agents told of them
        self.kinds: dict[str, dict[str, tuple[str, bool]]] = {}  # parameters of families, as agents told of them
        self.faults: list[str] = []  # for the log
        self.of_trigger: dict[str, dict[str, Goal]] = {}
        self.agents = Agents(self)
        self.told: list[Told] = []
        self.stirred = False  # an agent that waits may have something to do
        self.turned = 0.0  # wall time of the last turn
        self._last = self._version = 0
        self._queues: dict[str, dict[str, Goal]] = {}  # by family: goals that may be unfolded now
        self._due: list[tuple[float, str, int, float]] = []  # moment, trigger, version, fire time
        self._moments: list[tuple[float, str]] = []  # when a goal must be looked at: deadline, retry, not_before
        self._after: dict[str, set[str]] = {}  # triggers by what they come after
        self._events: dict[str, set[str]] = {}  # triggers by the name of their event
        self.families_after: dict[str, dict[str, None]] = {}  # the same by family of the task, names alone
        self._dirty_triggers: set[str] = set()
        self._gone: list[str] = []
        self._dirty: dict[int, Goal] = {}
        self._keys: set[str] = set()  # of goals that were made since ``rows``

    # -- coming and going

    def load(self, triggers: Iterable[TriggerRow], goals: Iterable[GoalRow], last: int, wall: float, now: float) -> list[str]:
        """Take what the store has. Who unfolds a goal gets a whole lease. Gives what could not be read, for the log."""
        faults: list[str] = []
        self._last, self.turned = last, wall
        for row in triggers:
            try:
                kept = kept_of(row)
            except (ConfigError, ValueError, KeyError) as fault:
                faults.append(f"trigger {row.name}: {fault}")
                continue
            self.triggers[row.name] = kept
            if kept.set_back(wall):
                self._touch(kept)
            self._index(kept)
            self._try(self._plan, kept)
        for each in goals:
            goal = goal_of(each)
            if goal.set_back(wall, LEAP):
                self.touch(goal)
            self._hold(goal)
            goal.leased_until = now + self.lease
            if goal.state == WANTED:
                self._queue(goal)
            elif goal.state == RUNNING:
                self.running[goal.key] = goal
            self._plan_goal(goal)
        return faults

    def rows(self) -> Rows | None:
        """What changed since this was asked last; None: nothing."""
        if not (self._dirty or self._dirty_triggers or self._gone):
            return None
        triggers = [self.triggers[name].row() for name in sorted(self._dirty_triggers) if name in self.triggers]
        rows = Rows(triggers, self._gone, [self._dirty[number].row() for number in sorted(self._dirty)])
        self._dirty, self._dirty_triggers, self._gone = {}, set(), []
        self._keys.clear()
        return rows

    def wake_at(self) -> float:
        """The wall time at which ``turn`` has something to do."""
        return min(self._due[0][0] if self._due else float("inf"), self._moments[0][0] if self._moments else float("inf"))

    def turn(self, wall: float, now: float) -> None:
        """Let time pass: what is due fires, deadlines pass, agents that were not heard lose what they had."""
        self.see(wall)
        self.turned = wall
        for name, version, _ in _come(self._due, wall):  # what comes of these is for the next turn
            kept = self.triggers.get(name)
            if kept is not None and kept.version == version:
                self._try(self._fire, kept)
        for (key,) in _come(self._moments, wall):
            goal = self.live.get(key)
            if goal is not None:
                self._look_at(goal, wall)
        self.agents.turn(now, wall)
        self._tidy()

    def _fire(self, kept: Kept) -> None:
        more = firing.fire_due(self, kept, self.turned)
        self._plan(kept, not_before=self.turned if more is firing.More.NOW else self.turned + ROOM if more is firing.More.LATER else 0.0)

    def _try(self, act: Callable[[Kept], None], kept: Kept) -> None:
        """A trigger that cannot be computed with takes nothing else with it."""
        try:
            act(kept)
        except StoreError:
            raise
        except Exception as fault:
            self.faults.append(f"trigger {kept.trigger.name}: {getattr(fault, 'message', '') or repr(fault):.500}")
            kept.version = self._version = self._version + 1
            heapq.heappush(self._due, (self.turned + BROKEN, kept.trigger.name, kept.version, 0.0))

    def see(self, wall: float) -> None:
        """This is the time, before anything is asked at that time."""
        if wall < self.turned - LEAP:
            self._set_back(wall)
            self.turned = wall

    def _set_back(self, wall: float) -> None:
        """Somebody set the clock back: fire times that were lived through are done, the others must not be lost.

        And who waits for a moment waits no longer than was meant.
        """
        for kept in self.triggers.values():
            if kept.set_back(wall):
                self._touch(kept)
            self._try(self._plan, kept)
        self._moments = []
        for goal in self.live.values():
            if goal.set_back(wall, LEAP):
                self.touch(goal)
            self._plan_goal(goal)

    def _tidy(self) -> None:
        """Moments of what is not there any more are let go of before they come."""
        if len(self._due) > 2 * len(self.triggers) + 1_000:
            self._due = [one for one in self._due if (kept := self.triggers.get(one[1])) is not None and kept.version == one[2]]
            heapq.heapify(self._due)
        if len(self._moments) > 4 * len(self.live) + 1_000:
            self._moments = []
            for goal in self.live.values():
                self._plan_goal(goal)

    # -- triggers

    def put(self, trigger: Trigger, wall: float) -> str:
        """Define a trigger, or define it anew; "added", "changed" or "unchanged". Raises Refusal."""
        before = self.triggers.get(trigger.name)
        if before is not None and before.trigger == trigger:
            return "unchanged"
        if before is None and len(self.triggers) >= MOST_TRIGGERS:
            raise Refusal("busy", f"there are {MOST_TRIGGERS:,} triggers, no more are taken", hint="`levada trigger remove` removes one.")
        try:
            kept = Kept(trigger, wall)
        except ConfigError as fault:
            raise Refusal("invalid-message", fault.message, hint=fault.hint) from fault
        if before is not None:
            if before.trigger.when == trigger.when:  # what was decided stays decided
                kept.last, kept.recent, kept.seen, kept.slot_at = before.last, before.recent, before.seen, before.slot_at
                if (before.trigger.start, before.trigger.end) == (trigger.start, trigger.end):  # else other fire times lie in them
                    kept.lived = before.lived
                if before.trigger.paused:  # what passed meanwhile was missed on purpose
                    kept.last = max(kept.last, wall)
            kept.fires, kept.skipped, kept.fired, kept.last_goal = before.fires, before.skipped, before.fired, before.last_goal
        try:
            self._plan(kept)
        except ConfigError as fault:
            raise Refusal("invalid-message", fault.message, hint=fault.hint) from fault
        if before is not None:
            self._unindex(before)
        self.triggers[trigger.name] = kept
        self._index(kept)
        self._touch(kept)
        self._requeue(trigger.name)
        return "added" if before is None else "changed"

    def remove(self, name: str) -> None:
        """Forget a trigger; its goals go on. Raises Refusal."""
        kept = self.kept(name)
        self._unindex(kept)
        del self.triggers[name]
        self._dirty_triggers.discard(name)
        self._gone.append(name)
        self._requeue(name)

    def pause(self, name: str, paused: bool, wall: float) -> bool:
        """Whether it was paused before. Fire times that pass meanwhile are missed on purpose: none is made up for."""
        kept = self.kept(name)
        before = kept.trigger.paused
        if before != paused:
            self._unindex(kept)
            kept.say(kept.trigger._replace(paused=paused))
            kept.last = max(kept.last, wall)
            self._touch(kept)
            self._index(kept)
            self._plan(kept)
        return before

    def kept(self, name: str) -> Kept:
        """A trigger by name. Raises Refusal ``not-found``."""
        found = self.triggers.get(name)
        if found is None:
            from ..._model.spelling import did_you_mean

            near = did_you_mean(name, self.triggers) if len(self.triggers) <= SEARCHED else None
            raise Refusal("not-found", f"there is no trigger {name}", hint=near or "`levada trigger list` lists them.")
        return found

    def next_of(self, kept: Kept) -> float | None:
        """Its next fire time; None: never, or nobody knows."""
        return None if kept.schedule is None or kept.trigger.paused else kept.schedule.after(max(kept.last, self.turned))

    def _touch(self, kept: Kept) -> None:
        self._dirty_triggers.add(kept.trigger.name)

    def touched(self, kept: Kept) -> None:
        """It came a step further."""
        self._touch(kept)

    def _plan(self, kept: Kept, not_before: float = 0.0) -> None:
        """Say when it fires next; what was said before is void."""
        kept.version = self._version = self._version + 1
        if kept.schedule is None or kept.trigger.paused:
            return
        fire = kept.schedule.after(kept.last)
        if fire is not None:
            heapq.heappush(self._due, (max(kept.schedule.due(fire), not_before), kept.trigger.name, kept.version, fire))

    def _index(self, kept: Kept) -> None:
        trigger, when = kept.trigger, kept.trigger.when
        if trigger.paused:
            return
        if isinstance(when, Event):
            self._events.setdefault(when.name, set()).add(trigger.name)
        elif isinstance(when, After):
            for one in when.of:
                self._after.setdefault(one, set()).add(trigger.name)
                if not one.startswith("trigger:"):
                    self.families_after.setdefault(one.partition("(")[0], {})[one] = None
        elif isinstance(when, Arrival):
            self.agents.watch(trigger.family, when.pattern, pattern=True, who=f"trigger:{trigger.name}", interval=when.interval)

    def _unindex(self, kept: Kept) -> None:
        name, when = kept.trigger.name, kept.trigger.when
        if isinstance(when, Event):
            _discard(self._events, when.name, name)
        elif isinstance(when, After):
            for one in when.of:
                if _discard(self._after, one, name) and not one.startswith("trigger:"):
                    family = one.partition("(")[0]
                    named = self.families_after.get(family, {})
                    named.pop(one, None)
                    if not named:
                        self.families_after.pop(family, None)
        elif isinstance(when, Arrival):
            self.agents.unwatch(when.pattern, pattern=True, who=f"trigger:{name}")

    def after(self, ended: str) -> list[Kept]:
        """Triggers that come after something."""
        return [self.triggers[name] for name in sorted(self._after.get(ended, ())) if name in self.triggers]

    def names_after(self, family: str) -> list[str]:
        """What triggers come after, of a family: its name, or tasks of it."""
        return list(self.families_after.get(family, ()))

    def on_event(self, name: str) -> list[Kept]:
        """Triggers of an event."""
        return [self.triggers[each] for each in sorted(self._events.get(name, ())) if each in self.triggers]

    # -- goals: made

    def want(
        self,
        family: str,
        params: Mapping[str, str],
        wall: float,
        *,
        by: str,
        trigger: str = "",
        cause: str = "",
        module: str | None = None,
        deadline: float | None = None,
        on_deadline: str = "alert",
        not_before: float = 0.0,
        options: Mapping[str, str] | None = None,
    ) -> Goal | None:
        """A new goal; None where its cause has had one. Without a cause it is a wish of its own. Raises Refusal when there are too many."""
        key = key_of(trigger, cause) if cause else os.urandom(16).hex()
        if cause and self.had(key):
            return None
        if len(self.live) >= MOST_GOALS:
            raise Refusal("busy", f"{MOST_GOALS:,} goals have not ended, no more are taken", retry_after=60.0)
        self._last += 1
        goal = Goal(self._last, key, wall, trigger, family, params, cause=cause, by=by)
        goal.module, goal.not_before = module, not_before
        goal.options = dict(options or {})
        if deadline is not None:
            goal.deadline, goal.on_deadline = wall + deadline, on_deadline
        self._keys.add(key)
        self._hold(goal)
        self._queue(goal)
        self._plan_goal(goal)
        self.touch(goal)
        return goal

    def had(self, key: str) -> bool:
        """Whether there is a goal of that key, or was one that is remembered."""
        return key in self.live or key in self._keys or bool(self._find([unhexlify(key)]))

    def _move(self, goal: Goal, state: str, reason: str, wall: float) -> None:
        goal.move(state, reason, wall)
        if state == RUNNING:
            self.running[goal.key] = goal
        else:
            self.running.pop(goal.key, None)

    def _hold(self, goal: Goal) -> None:
        self.live[goal.key] = goal
        if goal.trigger:
            self.of_trigger.setdefault(goal.trigger, {})[goal.key] = goal
        self._watch(goal)

    def _watch(self, goal: Goal) -> None:
        """Have watched what it misses, as far as there is room; for the rest it is looked at again."""
        for place, (url, pattern) in enumerate(goal.missing):
            if not self.agents.has_room(url):
                goal.missing_more += len(goal.missing) - place
                del goal.missing[place:]
                break
            self.agents.watch(goal.family, url, pattern=pattern, who=goal.key, agent=goal.agent)

    def touch(self, goal: Goal) -> None:
        """It must be written."""
        self._dirty[goal.number] = goal

    def _queue(self, goal: Goal) -> None:
        """Offer it to agents; not before its moment, which offers it then, nor before the one of the same trigger whose turn it is."""
        if goal.not_before <= self.turned and self._is_its_turn(goal):
            self._queues.setdefault(goal.family, {})[goal.key] = goal
            self.stirred = True

    def _requeue(self, trigger: str) -> None:
        """How goals of a trigger go beside each other may have changed."""
        for goal in self.live_of(trigger).values():
            if goal.state == WANTED:
                self._unqueue(goal)
                self._queue(goal)

    def _unqueue(self, goal: Goal) -> None:
        queue = self._queues.get(goal.family, {})
        if queue.pop(goal.key, None) is not None and not queue:
            del self._queues[goal.family]

    def _plan_goal(self, goal: Goal) -> None:
        for moment in (goal.deadline if not goal.alarmed else 0.0, goal.look_at if goal.state == PARKED else 0.0, goal.not_before):
            if moment:
                heapq.heappush(self._moments, (moment, goal.key))

    def live_of(self, trigger: str) -> dict[str, Goal]:
        """Goals of a trigger that have not ended, oldest first."""
        return self.of_trigger.get(trigger, {})

    # -- goals: taken, reported, ended

    def queued(self, families: Collection[str], most: int) -> list[Goal]:
        """Goals of these families that may be unfolded now: the oldest, at most so many."""
        waiting = [queue.values() for family, queue in self._queues.items() if family in families]
        return list(islice(heapq.merge(*waiting, key=lambda goal: goal.number), most))

    def _is_its_turn(self, goal: Goal) -> bool:
        """Goals of one trigger are unfolded one after the other, where its policy says so."""
        kept = self.triggers.get(goal.trigger)
        if kept is None or kept.trigger.overlap == "allow":
            return True
        return next(iter(self.live_of(goal.trigger).values())) is goal

    def grant(self, goal: Goal, agent: Agent, wall: float, now: float) -> None:
        """Somebody unfolds it now."""
        self._unqueue(goal)
        self._unwatch(goal)
        goal.agent, goal.leased_until, goal.again, goal.wish = agent.id, now + self.lease, False, ""
        self._move(goal, RUNNING, f"unfolded by {agent.name}", wall)
        self.touch(goal)

    def back(self, goal: Goal, reason: str, wall: float, *, pause: float = 0.0) -> None:
        """Nobody unfolds it any more, and it has not ended."""
        goal.tries += 1
        if goal.tries >= MOST_TRIES:
            self.end(goal, FAILED, f"{goal.tries} unfoldings in a row ended without a result; the last: {reason}", wall)
            return
        self._wanted_again(goal, reason, wall, pause)

    def later(self, goal: Goal, reason: str, wall: float, pause: float) -> None:
        """It cannot be unfolded now, and that is not its fault."""
        self._wanted_again(goal, reason, wall, pause)

    def _wanted_again(self, goal: Goal, reason: str, wall: float, pause: float = 0.0) -> None:
        self._unwatch(goal)
        goal.not_before = wall + pause if pause else 0.0
        self._move(goal, WANTED, reason, wall)
        self._queue(goal)
        self._plan_goal(goal)
        self.touch(goal)

    def park(self, goal: Goal, missing: Sequence[tuple[str, bool]], more: int, reason: str, wall: float) -> None:
        """It waits for data that others make."""
        goal.missing, goal.missing_more = list(missing[:MOST_MISSING]), more + max(0, len(missing) - MOST_MISSING)
        goal.tries = 0
        self._watch(goal)
        least, most = LOOK_AGAIN
        waited = max(0.0, wall - goal.made)
        again = max(WATCHED_AGAIN, BETWEEN * len(self.live)) * (1.0 + int(goal.key[:4], 16) / 0x10000)
        goal.look_at = wall + (min(most, max(least, waited / 10)) if goal.missing_more or not goal.missing else again)
        self._move(goal, PARKED, reason, wall)
        self._plan_goal(goal)
        self.touch(goal)
        if goal.again:  # something came while it was looked at
            goal.again = False
            self._wanted_again(goal, "data arrived", wall, SETTLE)

    def arrived(self, keys: Iterable[str], what: str, wall: float) -> None:
        """Data that these goals wait for is there."""
        for key in keys:
            goal = self.live.get(key)
            if goal is None:
                continue
            if goal.state == RUNNING:
                goal.again = True
            elif goal.state == PARKED:
                self._wanted_again(goal, f"{what} arrived", wall, SETTLE)

    def _unwatch(self, goal: Goal) -> None:
        for url, pattern in goal.missing:
            self.agents.unwatch(url, pattern=pattern, who=goal.key)
        goal.missing, goal.missing_more = [], 0

    def end(self, goal: Goal, state: str, reason: str, wall: float) -> None:
        """It has ended, for good; what comes after it is wanted now."""
        self._unqueue(goal)
        self._unwatch(goal)
        goal.ended = wall
        self._move(goal, state, reason, wall)
        self.touch(goal)
        self.live.pop(goal.key, None)
        if goal.trigger:
            rest = self.of_trigger.get(goal.trigger, {})
            rest.pop(goal.key, None)
            if not rest:
                self.of_trigger.pop(goal.trigger, None)
            elif (after := next(iter(rest.values()))).state == WANTED:  # its turn now
                self._queue(after)
        self.stirred = True
        if goal.trigger or goal.alarmed:
            self.told.append(Told("ended", goal))
        if state in (DONE, FAILED):
            firing.fire_after(self, goal, wall)

    def cancel(self, goal: Goal, reason: str, wall: float) -> None:
        """End it; whoever unfolds it is told."""
        if goal.state == RUNNING:
            goal.wish = "cancel"
            goal.reason = reason
            self.touch(goal)
            self.agents.tell(goal)
        elif goal.state in LIVE:
            self.end(goal, CANCELLED, reason, wall)

    def _look_at(self, goal: Goal, wall: float) -> None:
        """A moment of a goal has come."""
        if goal.deadline and not goal.alarmed and goal.deadline <= wall:
            goal.alarmed = True
            self.touch(goal)
            self.told.append(Told("deadline", goal))
            if goal.on_deadline == "fail":
                if goal.state == RUNNING:
                    goal.wish = "fail"
                    self.agents.tell(goal)
                else:
                    self.end(goal, FAILED, f"its deadline has passed; it was {goal.state}: {goal.reason}", wall)
                    return
        if goal.state == PARKED and goal.look_at and goal.look_at <= wall:
            self._wanted_again(goal, "looked at again", wall)
        if goal.state == WANTED and goal.not_before <= wall:
            goal.not_before = 0.0  # that moment has come, also where a clock is set back a little
            self._queue(goal)

    def why(self, goal: Goal) -> str:
        """What a live goal waits for."""
        if goal.state == WANTED:
            if not self.agents.offers(goal.family):
                return self.agents.unoffered(goal.family)
            if not self._is_its_turn(goal):
                return "waits for the goal of the same trigger before it"
            return goal.reason or "waits for a worker with room"
        if goal.state != PARKED:
            return goal.reason
        reason = goal.reason or f"waits for data: {len(goal.missing) + goal.missing_more:,} places are empty"
        trouble = self.agents.trouble_of(goal)
        return f"{reason} ({trouble})" if trouble else reason


def _come(heap: list[Any], wall: float) -> list[Any]:
    """Take off what has come by now: each without its moment."""
    found = []
    while heap and heap[0][0] <= wall:
        found.append(heapq.heappop(heap)[1:])
    return found


def _discard(index: dict[str, set[str]], key: str, name: str) -> bool:
    """Whether nobody is left there."""
    names = index.get(key, set())
    names.discard(name)
    if not names:
        index.pop(key, None)
    return not names

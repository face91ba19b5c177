"""What people, agents and others ask of the book of triggers and goals."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from ..._model import templates
from ..._model.triggers import After, Arrival, Event, Trigger, fields_of, trigger_from_json, trigger_to_json, zone_name
from ..._wire import triggers as w
from ..._wire.kinds import Answer
from ..._wire.limits import INTEGER, NAME
from ..._wire.operators import Changed
from ..._wire.problems import Refusal
from ...errors import ConfigError
from ..http.tokens import OWN
from . import firing
from .agents import TRIGGER, Agent
from .goals import CANCELLED, DONE, FAILED, LIVE, PARKED, RUNNING, STATES, Goal, goal_of

if TYPE_CHECKING:
    from ..desk import Desk
    from ..http.port import Call
    from .book import Book, Kept

Done = Answer | bytes | None
SPEC = 64 << 10  # characters of a trigger, as JSON
SHOWN = 100  # URLs of a parked goal that are shown

# -- triggers ----------------------------------------------------------------------------------


def _triggers(desk: Desk, call: Call) -> Done:
    asked, book = cast("w.Triggers", call.request), desk.host.book
    names = sorted(name for name in book.triggers if name > asked.after)
    shown = [_shown(book, book.triggers[name]) for name in names[: asked.limit]]
    return w.TriggersAnswer(shown, names[asked.limit - 1] if len(names) > asked.limit else None)


def _trigger(desk: Desk, call: Call) -> Done:
    book = desk.host.book
    return _shown(book, book.kept(cast("w.Trigger", call.request).name))


def _shown(book: Book, kept: Kept) -> w.TriggerShown:
    trigger = kept.trigger
    return w.TriggerShown(
        trigger.name,
        trigger.family,
        trigger_to_json(trigger),
        book.agents.offers(trigger.family),
        trigger.paused,
        book.next_of(kept),
        kept.fires,
        kept.skipped,
        kept.fired or None,
        len(book.live_of(trigger.name)),
        kept.last_goal,
        _problem(book, kept),
    )


def _problem(book: Book, kept: Kept) -> str:
    """What would keep it from having an effect."""
    trigger = kept.trigger
    if not book.agents.offers(trigger.family):
        return book.agents.unoffered(trigger.family)
    if broken := book.agents.broken(trigger.family):
        return broken
    try:
        _fits(book, trigger.family, trigger.params, trigger)
    except ConfigError as fault:
        return fault.message
    if isinstance(trigger.when, After):
        return next(filter(None, (_never_ends(book, what) for what in trigger.when.of)), "")
    if isinstance(trigger.when, Arrival):
        watch = book.agents.watches.get((trigger.when.pattern, True))
        agent = book.agents.known.get(watch.agent) if watch is not None else None
        if agent is not None:
            return next((text for place, text in agent.troubles.items() if trigger.when.pattern.startswith(place)), "")
    return ""


def _never_ends(book: Book, what: str) -> str:
    """Why nothing by that name can end now, as far as is known; what comes later may."""
    if what.startswith("trigger:"):
        name = what.removeprefix("trigger:")
        return "" if name in book.triggers else f"it comes after trigger {name}, which is not there"
    family = what.partition("(")[0]
    return "" if book.agents.offers(family) else f"it comes after {what}: {book.agents.unoffered(family)}"


def _fits(book: Book, family: str, params: Iterable[tuple[str, str]], trigger: Any = None, where: str = "trigger") -> None:
    """Whether parameters fit the family, as far as an agent told of it. Raises ConfigError."""
    kinds = book.kinds.get(family)
    if kinds is not None:
        templates.check(params, kinds, fields_of(trigger.when) if trigger is not None else {}, where)


def _read(spec: Mapping[str, Any], name: str) -> Trigger:
    """The trigger of what was sent. Raises ConfigError."""
    try:
        size = len(json.dumps(spec))
    except RecursionError:
        raise ConfigError(f"trigger {name} is nested too deep") from None
    if size > SPEC:
        raise ConfigError(f"trigger {name} has {size:,} characters; expected {SPEC:,} at most")
    return trigger_from_json(spec, f"trigger {name}")


def _put(desk: Desk, call: Call) -> Done:
    asked, book = cast("w.PutTrigger", call.request), desk.host.book
    try:
        trigger = _read({**asked.spec, "name": asked.name}, asked.name)
        _fits(book, trigger.family, trigger.params, trigger, where=f"trigger {asked.name}")
    except ConfigError as fault:
        raise Refusal("invalid-message", fault.message, hint=fault.hint) from fault
    before = book.triggers.get(asked.name)
    if before is not None and before.trigger.module is not None:
        raise _of_code(book, before.trigger, "Choose another name (this one can be paused: levada trigger pause)")
    after = book.put(trigger._replace(module=None), desk.wall)
    return Changed(_epoch(desk), "" if before is None else "there", after)


def _remove(desk: Desk, call: Call) -> Done:
    name, book = cast("w.RemoveTrigger", call.request).name, desk.host.book
    trigger = book.kept(name).trigger
    if _is_offered(book, trigger.module):
        raise _of_code(book, trigger, f"Pause it: levada trigger pause {name}")
    book.remove(name)
    return Changed(_epoch(desk), "there", "removed")


def _of_code(book: Book, trigger: Trigger, instead: str) -> Refusal:
    """What code defines is changed there: what is done to it here, a worker with that code would undo."""
    hint = f"{instead}, or change the code."
    if not _is_offered(book, trigger.module):
        hint = f"No worker offers that module now. {instead}, or forget what it defined: levada trigger remove {trigger.name}."
    return Refusal("conflict", f"trigger {trigger.name} is defined by the code of module {trigger.module}", hint=hint)


def _is_offered(book: Book, module: str | None) -> bool:
    """Whether an agent is there that has the module."""
    return any(module in agent.modules for agent in book.agents.known.values())


def _pausing(paused: bool) -> Callable[[Desk, Call], Done]:
    words = {False: "active", True: "paused"}

    def handle(desk: Desk, call: Call) -> Done:
        asked = cast("w.PauseTrigger", call.request)
        before = desk.host.book.pause(asked.name, paused, desk.wall)
        return Changed(_epoch(desk), words[before], words[paused])

    return handle


def _fire(desk: Desk, call: Call) -> Done:
    asked, book = cast("w.FireTrigger", call.request), desk.host.book
    kept = book.kept(asked.name)
    trigger, at = kept.trigger, desk.wall if asked.at is None else asked.at
    try:
        facts = {"fire": templates.fire_facts(at, zone_name(trigger.when), kept.fired or None)}
        own = tuple((name, text) for name, text in trigger.params if name not in asked.params)
        params = firing.filled(trigger._replace(params=own), facts) | asked.params
    except ConfigError as fault:
        hint = "Give the parameters by hand: levada trigger fire NAME --param name=value."
        raise Refusal("invalid-message", f"trigger {asked.name}: {fault.message}", hint=fault.hint or hint) from fault
    by = f"{_who(call)}, trigger {trigger.name} fired by hand"
    cause = f"{at:.3f}" if asked.at is not None and kept.schedule is not None else ""
    if cause and asked.params:
        cause += f" {sorted(asked.params.items())}"
    goal = book.want(
        trigger.family, params, desk.wall, by=by, trigger=trigger.name, cause=cause, module=trigger.module,
        deadline=trigger.deadline, on_deadline=trigger.on_deadline,
    )  # fmt: skip
    if goal is None:
        raise Refusal(
            "conflict", f"trigger {trigger.name} has fired for {firing.iso(at)}", hint="Ask for its goal again: levada goal again."
        )
    kept.fires += 1
    kept.last_goal = goal.key
    book.touched(kept)
    return w.AddGoalAnswer(goal.key, True, book.agents.offers(goal.family), _epoch(desk))


# -- goals -------------------------------------------------------------------------------------


def _goals(desk: Desk, call: Call) -> Done:
    asked, book = cast("w.Goals", call.request), desk.host.book
    if asked.state not in (None, *STATES):
        raise Refusal("invalid-message", f"there is no state {asked.state!r} of goals", hint=f"There are {', '.join(STATES)}.")
    before = _number(asked.after)
    if asked.live or asked.state in LIVE:
        end = before or float("inf")
        of = book.live if asked.trigger is None else book.live_of(asked.trigger)  # by number
        fits = (
            goal
            for goal in reversed(of.values())
            if goal.number < end and asked.trigger in (None, goal.trigger) and asked.family in (None, goal.family)
            and asked.state in (None, goal.state)
        )  # fmt: skip
        page = list(islice(fits, asked.limit + 1))
        more = str(page[asked.limit - 1].number) if len(page) > asked.limit else None
        return w.GoalsAnswer([_goal_shown(desk, goal) for goal in page[: asked.limit]], more)
    found = desk.host.store.goals(trigger=asked.trigger, family=asked.family, state=asked.state, before=before, limit=asked.limit)
    shown = [_goal_shown(desk, book.live.get(row.key.hex()) or goal_of(row)) for row in found.rows]
    return w.GoalsAnswer(shown, None if found.next is None else str(found.next))


def _number(text: str) -> int | None:
    if text and not (text.isascii() and text.isdecimal() and int(text) <= INTEGER):
        raise Refusal("invalid-message", f"after is {text!r}; expected what an answer gave as next")
    return int(text) if text else None


def _goal(desk: Desk, call: Call) -> Done:
    return _goal_shown(desk, _found(desk, cast("w.Goal", call.request).goal))


def _found(desk: Desk, key: str) -> Goal:
    live = desk.host.book.live.get(key)
    if live is not None:
        return live
    rows = desk.host.store.goals_at([bytes.fromhex(key)])
    if not rows:
        raise Refusal("not-found", f"there is no goal {key}", hint="`levada goal list` lists them; ended ones are kept for 30 days.")
    return goal_of(rows[0])


def _goal_shown(desk: Desk, goal: Goal) -> w.GoalShown:
    book = desk.host.book
    return w.GoalShown(
        goal.key,
        goal.number,
        goal.family,
        goal.params,
        goal.state,
        goal.made,
        goal.since,
        goal.by,
        book.why(goal) if goal.state in LIVE else goal.reason,
        goal.trigger,
        book.agents.known[goal.agent].name if goal.agent in book.agents.known else "",
        goal.ended or None,
        goal.deadline or None,
        _late(goal, desk.wall),
        [url for url, _ in goal.missing[:SHOWN]],
        len(goal.missing) + goal.missing_more,
        goal.counts,
        goal.options,
    )


def _late(goal: Goal, wall: float) -> float | None:
    """Seconds by which it has missed its deadline, as far as it has; for good where it has ended."""
    late = (goal.ended or wall) - goal.deadline
    return late if goal.deadline and late >= 0 else None


def _add(desk: Desk, call: Call) -> Done:
    asked, book = cast("w.AddGoal", call.request), desk.host.book
    if asked.on_deadline not in ("alert", "fail"):
        raise Refusal("invalid-message", f"on_deadline is {asked.on_deadline!r}; expected alert or fail")
    try:
        if asked.options and (kinds := book.kinds.get(asked.family)) is not None:
            templates.check_ranges(asked.params, kinds, asked.family)
        elif not asked.options:
            _fits(book, asked.family, [(name, templates.quote(text)) for name, text in asked.params.items()], where=asked.family)
    except ConfigError as fault:
        raise Refusal("invalid-message", fault.message, hint=fault.hint) from fault
    goal = book.want(
        asked.family, asked.params, desk.wall, by=asked.by or _who(call), cause=asked.cause,
        deadline=asked.deadline, on_deadline=asked.on_deadline, options=asked.options,
    )  # fmt: skip
    from .goals import key_of

    key = goal.key if goal is not None else key_of("", asked.cause)
    return w.AddGoalAnswer(key, goal is not None, book.agents.offers(asked.family), _epoch(desk))


def _cancel(desk: Desk, call: Call) -> Done:
    asked, book = cast("w.CancelGoal", call.request), desk.host.book
    goal = _found(desk, asked.goal)
    before = goal.state
    book.cancel(goal, asked.reason or f"cancelled by {_who(call)}", desk.wall)
    return Changed(_epoch(desk), before, "cancelling" if goal.wish and goal.state == RUNNING else goal.state)


def _again(desk: Desk, call: Call) -> Done:
    asked, book = cast("w.AskGoalAgain", call.request), desk.host.book
    old = _found(desk, asked.goal)
    if old.state in LIVE:
        if old.state == PARKED:
            book.arrived([old.key], "a wish to look again", desk.wall)
        return w.AddGoalAnswer(old.key, False, book.agents.offers(old.family), _epoch(desk))
    goal = book.want(
        old.family, old.params, desk.wall, by=f"{_who(call)}, goal {old.number} again", trigger=old.trigger,
        cause=f"again {old.number} {desk.wall:.6f}", module=old.module, options=old.options,
    )  # fmt: skip
    if goal is None:
        raise Refusal("conflict", f"goal {old.number} was asked for again this very moment")
    return w.AddGoalAnswer(goal.key, True, book.agents.offers(goal.family), _epoch(desk))


def _who(call: Call) -> str:
    """Who asks, for people."""
    return "the owner of the server" if call.identity.token == OWN else call.identity.token


# -- events ------------------------------------------------------------------------------------


def _event(desk: Desk, call: Call) -> Done:
    asked = cast("w.PostEvent", call.request)
    number = asked.id or os.urandom(16).hex()
    return w.PostEventAnswer(_happened(desk, asked.event, number, asked.urls, asked.fields), _epoch(desk))


def _notices(desk: Desk, call: Call) -> Done:
    """What others told of. One that a trigger cannot use is left out, with a line in the log: its sender cannot mend it."""
    asked, book = cast("w.Notices", call.request), desk.host.book
    fired: list[str] = []
    for notice in asked.notices:
        try:
            fired += _happened(desk, notice.name, notice.id, notice.urls, notice.fields)
        except Refusal as no:
            if no.code == "busy":  # its sender can tell of it again
                raise
            book.faults.append(f"{notice.name} {notice.id}: {no.message}")
    return w.NoticesAnswer(fired, _epoch(desk), asked.greeting)


def _happened(desk: Desk, event: str, number: str, urls: Sequence[str], fields: Mapping[str, str]) -> list[str]:
    """Look where it says that something is, and let triggers of the event fire; their names.

    Raises Refusal where no trigger could use it, and one that waits for it found it unfit: then nothing was fired.
    """
    book = desk.host.book
    for url in urls:
        book.agents.nudge(url)
    fired, unfit = list[str](), list[tuple[str, ConfigError]]()
    facts = templates.event_facts(event, number, urls[0] if urls else "", fields)
    for kept in book.on_event(event):
        when = kept.trigger.when
        if not isinstance(when, Event) or any(fields.get(name) != text for name, text in when.where):
            continue
        try:
            goal = firing.make(book, kept, f"event {number}", {"event": facts}, desk.wall, f"event {event} {number}")
        except ConfigError as fault:
            kept.skipped += 1
            book.touched(kept)
            unfit.append((kept.trigger.name, fault))
            continue
        if goal is not None:
            fired.append(kept.trigger.name)
    if unfit and not fired:
        name, first = unfit[0]
        raise Refusal("malformed", f"trigger {name}: {first.message}", hint="Post the field, or change the trigger.") from first
    book.faults += [f"trigger {name}: event {event} {number}: {each.message}" for name, each in unfit]
    return fired


# -- agents ------------------------------------------------------------------------------------


def _offer(desk: Desk, call: Call) -> Done:
    asked, host = cast("w.Offer", call.request), desk.host
    book, now = host.book, host.clock()
    agent = book.agents.join(asked.agent, call.identity.token, now)
    agent.host, agent.pid, agent.name = asked.host, asked.pid, f"{asked.host} pid {asked.pid}"
    agent.modules = tuple(asked.modules)
    book.agents.may_offer(agent, sum(_size(family) for family in asked.families) + sum(map(len, asked.modules)))
    for family in asked.families:
        book.owners[family.family] = family.owners
        book.kinds[family.family] = {name: (kind, has_default) for name, kind, has_default in family.params}
    book.agents.offer(agent, {family.family: family.module for family in asked.families})
    problems, changes = _define(book, asked, desk.wall)
    return w.OfferAnswer(book.lease, problems, _epoch(desk), changes)


def _size(family: w.Family) -> int:
    return len(family.family) + len(family.module) + len(family.owners) + sum(len(name) + len(kind) for name, kind, _ in family.params)


def _define(book: Book, asked: w.Offer, wall: float) -> tuple[dict[str, str], dict[str, str]]:
    """Take the triggers of an agent's code; those of the same modules that the code does not have any more go.

    Gives what is wrong, and what changed, by name.
    """
    problems: dict[str, str] = {}
    changes: dict[str, str] = {}
    named: set[str] = set()
    for spec in asked.triggers:
        name = name if isinstance(name := spec.get("name"), str) else ""
        name = name[:NAME]
        named.add(name)  # one that is faulty now stays as it was
        try:
            trigger = _read(spec, name)
            if trigger.module not in asked.modules:
                raise ConfigError(f"module {trigger.module} is none of those that the worker offers", hint="Name it: --app MODULE.")
            _fits(book, trigger.family, trigger.params, trigger)
            before = book.triggers.get(trigger.name)
            if before is not None and before.trigger.module not in (None, trigger.module) and before.trigger.module in asked.modules:
                raise ConfigError(f"modules {before.trigger.module} and {trigger.module} both define trigger {name}")
            if before is not None:
                trigger = trigger._replace(paused=before.trigger.paused)  # who paused it meant it
            changes[name] = book.put(trigger, wall)
        except (ConfigError, Refusal) as fault:
            problems[name] = f"{fault.message} {fault.hint or ''}".rstrip()
    for kept in list(book.triggers.values()):
        if kept.trigger.module in asked.modules and kept.trigger.name not in named:
            book.remove(kept.trigger.name)
            changes[kept.trigger.name] = "removed"
    return problems, {name: what for name, what in changes.items() if what != "unchanged"}


def _take(desk: Desk, call: Call) -> Done:
    asked, host = cast("w.Take", call.request), desk.host
    agent = host.book.agents.heard(asked.agent, call.identity.token, host.clock())
    agent.troubles = dict(asked.troubles)
    answer = answered(desk, agent, asked)
    if answer is None and asked.wait > 0:
        host.hold_take(call, agent, asked.wait)
        return None
    return answer if answer is not None else w.TakeAnswer([], [], [], [], _epoch(desk))


def answered(desk: Desk, agent: Agent, asked: w.Take) -> w.TakeAnswer | None:
    """What there is for an agent; None: nothing yet. Renews what it holds."""
    host = desk.host
    book, now = host.book, host.clock()
    lost: list[str] = []
    for key in asked.held:
        goal = book.live.get(key)
        if goal is None or goal.state != RUNNING or goal.agent != agent.id:
            lost.append(key)
        else:
            goal.leased_until = now + book.lease
    watches = [w.Watched(*entry) for entry in book.agents.told(agent, asked.since)]
    cancel = book.agents.to_end(agent, [key for key in asked.held if key not in lost], now) if agent.wishes else []
    taken: list[w.Taken] = []
    if asked.room and not host.brain.state.paused:
        for goal in book.queued(agent.families, asked.room):
            book.grant(goal, agent, desk.wall, now)
            module = goal.module if goal.module in agent.modules else agent.families[goal.family]
            taken.append(w.Taken(goal.key, goal.family, module or "", goal.params, goal.options, goal.by))
    if not (taken or lost or cancel or watches):
        return None
    return w.TakeAnswer(taken, lost, cancel, watches, _epoch(desk))


def _report(desk: Desk, call: Call) -> Done:
    asked, host = cast("w.ReportGoal", call.request), desk.host
    book = host.book
    agent = book.agents.heard(asked.agent, call.identity.token, host.clock())
    goal = book.live.get(asked.goal)
    if goal is None or goal.state != RUNNING or goal.agent != agent.id:
        return w.ReportGoalAnswer(False, _epoch(desk))
    agent.wishes.pop(goal.key, None)
    goal.counts = dict(asked.counts)
    wall = desk.wall
    if asked.state == DONE:
        book.end(goal, DONE, asked.reason, wall)
    elif goal.wish == "cancel":
        book.end(goal, CANCELLED, goal.reason, wall)
    elif goal.wish == "fail":
        book.end(goal, FAILED, f"its deadline has passed; {asked.reason}".rstrip("; "), wall)
    elif asked.state == FAILED:
        book.end(goal, FAILED, asked.reason, wall)
    elif asked.state == PARKED:
        book.park(goal, [(url, False) for url in asked.missing], asked.missing_more, asked.reason, wall)
    elif asked.state == "later":
        book.later(goal, asked.reason, wall, asked.pause)
    elif asked.state == "again":
        book.back(goal, asked.reason, wall, pause=asked.pause)
    else:
        raise Refusal("invalid-message", f"a goal does not end as {asked.state!r}", hint="done, failed, parked, again or later.")
    return w.ReportGoalAnswer(True, _epoch(desk))


def _arrivals(desk: Desk, call: Call) -> Done:
    asked, host = cast("w.Arrivals", call.request), desk.host
    book = host.book
    book.agents.heard(asked.agent, call.identity.token, host.clock())
    taken = 0
    for seen in asked.seen:
        watch = book.agents.watches.get((seen.watched, seen.pattern))
        if watch is not None:
            book.arrived([who for who in watch.who if not who.startswith(TRIGGER)], seen.url, desk.wall)
            waiting = [who for who in watch.who if who.startswith(TRIGGER)]
            if not all(_fire_arrived(book, who, seen, desk.wall) for who in waiting):  # told again later: what fired now fires no more
                break
        taken += 1
    return w.ArrivalsAnswer(taken, _epoch(desk))


def _fire_arrived(book: Book, who: str, seen: w.Arrived, wall: float) -> bool:
    """False: there is no room for its goal now."""
    kept = book.triggers.get(who.partition(":")[2])
    if kept is None:
        return True
    facts = {**seen.groups, "url": seen.url, "name": seen.url.rpartition("/")[2]}
    try:
        firing.make(book, kept, f"{seen.url}\n{seen.etag}", {"path": facts}, wall, f"{seen.url} arrived")
    except ConfigError as fault:
        kept.skipped += 1
        book.touched(kept)
        book.faults.append(f"trigger {kept.trigger.name}: {seen.url}: {fault.message}")
    except Refusal:
        return False
    return True


def _leave(desk: Desk, call: Call) -> Done:
    asked, book = cast("w.LeaveAgent", call.request), desk.host.book
    agent = book.agents.heard(asked.agent, call.identity.token, desk.host.clock())
    book.agents.leave(agent, desk.wall, "its agent ended")
    return Changed(_epoch(desk), "there", "gone")


def _epoch(desk: Desk) -> int:
    return desk.host.brain.state.epoch


HANDLERS: dict[type, Callable[[Any, Any], Done]] = {
    w.Triggers: _triggers,
    w.Trigger: _trigger,
    w.PutTrigger: _put,
    w.RemoveTrigger: _remove,
    w.PauseTrigger: _pausing(True),
    w.ResumeTrigger: _pausing(False),
    w.FireTrigger: _fire,
    w.Goals: _goals,
    w.Goal: _goal,
    w.AddGoal: _add,
    w.CancelGoal: _cancel,
    w.AskGoalAgain: _again,
    w.PostEvent: _event,
    w.Notices: _notices,
    w.Offer: _offer,
    w.Take: _take,
    w.ReportGoal: _report,
    w.Arrivals: _arrivals,
    w.LeaveAgent: _leave,
}

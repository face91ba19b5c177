"""``levada trigger``: the triggers that modules define: which there are, when they fire, what a fire would make."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from .._model import exit_codes
from ..errors import ConfigError, ParameterError, UsageError
from .app import DEBUG, HELP
from .history import JSON
from .options import Option, Parsed
from .remote import part, understood
from .tasks import CONFIG, NO_MODULE, settings_for
from .text import duration, escape, json_text, one_line, table
from .triggering import CHANGES, list_there, server_of, standing, trigger_of

if TYPE_CHECKING:
    from .._model.triggers import Trigger, When
    from .._server.schedule import Schedule

VERBS: Mapping[str, tuple[str, str, str, str]] = {
    "list": ("trigger", "list_all", "", "all triggers of the modules, and when each fires next"),
    "show": ("trigger", "show", "NAME", "one trigger: its task, its parameters, its policies"),
    "next": ("trigger", "upcoming", "[N] [NAME]", "the next fire times (10), in two zones, and what clocks do to them"),
    "add": ("triggering", "add", "NAME FAMILY", "define one at a server: --cron, --every, --rule, --arrival, --on-event, --after; --param"),
    "pause": ("triggering", "pause", "NAME", "let one of a server fire no more for now"),
    "resume": ("triggering", "resume", "NAME", "let it fire again, from now on"),
    "remove": ("triggering", "remove", "NAME", "let a server forget one; its goals go on"),
    "fire": ("triggering", "fire", "NAME", "let one of a server fire now, or as if it were --at"),
    "test": ("trigger", "simulate", "[NAME]", "what would be wanted: at a moment (--at), by --url (an arrival), --event, --ended"),
}
"""Verb -> (module of this room, its function of options and environment, its words, what it does)."""

APP = Option("--app", "MODULE", "module whose triggers are meant, or path of a .py file; may be repeated", many=True)
AT = Option("--at", "MOMENT", "test, next: ISO 8601; without an offset on the clocks of the trigger's zone (default: now)")
ZONE = Option("--zone", "ZONE", "next, test: the other zone that times are shown in (default: this machine's)")
URL = Option("--url", "URL", "test: what has arrived")
EVENT = Option("--event", "FILE", 'test: a JSON file with an event, {"event": NAME, ...}; - is the standard input')
ENDED = Option("--ended", "TASK", "test: what has ended: Family(day=2024-01-31) or trigger:NAME")
OUTCOME = Option("--outcome", "OUTCOME", "test: how it ended: done (default) or failed")
OPTIONS: tuple[Option, ...] = (APP, AT, ZONE, URL, EVENT, ENDED, OUTCOME, *CHANGES, JSON, CONFIG, DEBUG, HELP)
MOST = 100_000
HINT = "Verbs are {}. See `levada trigger --help`."


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out one verb."""
    parsed = understood(command, arguments, OPTIONS)
    if parsed is None:
        return exit_codes.OK
    files = [word for word in parsed.words if word.endswith(".py")]
    parsed.values["app"] = parsed.texts("app") + files
    parsed.words = [word for word in parsed.words if word not in files]
    verb = parsed.words.pop(0) if parsed.words else "list"
    if verb not in VERBS:
        from .._model.spelling import did_you_mean

        raise UsageError(f"levada trigger has no {verb!r}", hint=did_you_mean(verb, VERBS) or HINT.format(", ".join(VERBS)))
    module, function, *_ = VERBS[verb]
    found = __import__(f"{__package__}.{module}", fromlist=[function])
    return int(getattr(found, function)(parsed, environ))


# -- what is meant -----------------------------------------------------------------------------------


def triggers_here(parsed: Parsed, environ: Mapping[str, str]) -> dict[str, Trigger]:
    """The triggers that the modules define, by name; the modules are imported. Where none is named: those of the server."""
    remote = server_of(parsed, environ)
    if remote is not None:
        try:
            return {row["name"]: trigger_of(row) for row in remote.pages("/v1/triggers", "triggers", MOST)}
        finally:
            remote.close()
    from ..triggers import triggers_of
    from .modules import import_all
    from .worker import module_names

    settings = settings_for(parsed, environ)
    named = parsed.texts("app") or list(cast("Sequence[str]", settings.get("levada", "modules", ())))
    if not named:
        raise UsageError(NO_MODULE.replace("--module", "--app"), hint="Triggers are defined in modules; name them: --app MODULE.")
    import_all(named)
    return {each.name: each for each in triggers_of(module_names(named))}


def named(name: str, triggers: Mapping[str, Trigger]) -> Trigger:
    """The trigger of a name; UsageError with the nearest names."""
    from .._model.spelling import did_you_mean

    if name in triggers:
        return triggers[name]
    hint = did_you_mean(name, triggers) or (f"There are {', '.join(triggers)}." if triggers else "The modules define none.")
    raise UsageError(f"there is no trigger {name!r}", hint=hint)


def _only(parsed: Parsed, most: int, what: str) -> list[str]:
    if len(parsed.words) > most:
        raise UsageError(f"one word too many: {parsed.words[most]!r}", hint=f"Write `levada trigger {what}`.")
    return parsed.words


def _at(text: str | None, trigger: Trigger) -> float:
    from .._model.triggers import instant, zone_name, zone_of

    return time.time() if text is None else instant(text, zone_of(zone_name(trigger.when)), "--at")


def _is_schedule(when: When) -> bool:
    from .._model.triggers import SCHEDULES

    return isinstance(when, SCHEDULES)


def _schedule(trigger: Trigger) -> Schedule:
    from .._server.schedule import Schedule

    return Schedule(trigger)


# -- list and show -----------------------------------------------------------------------------------


def list_all(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Print all triggers, one a line."""
    _only(parsed, 0, "list")
    remote = server_of(parsed, environ)
    if remote is not None:
        try:
            return list_there(remote, parsed)
        finally:
            remote.close()
    triggers = triggers_here(parsed, environ)
    fires = {name: _schedule(each).after(time.time()) if _is_schedule(each.when) else None for name, each in triggers.items()}
    if parsed.flag("json"):
        print(json_text([{**_plain(each), "next": _iso(fires[name])} for name, each in triggers.items()]))
    elif not triggers:
        print("the modules define no triggers")
    else:
        rows = [(name, template_of(each), when_text(each.when), _next(each, fires[name])) for name, each in triggers.items()]
        print("\n".join(table(rows, ("trigger", "task", "when", "next"))))
    return exit_codes.OK


def _plain(trigger: Trigger) -> dict[str, object]:
    from .._model.triggers import trigger_to_json

    return trigger_to_json(trigger)


def _next(trigger: Trigger, fire: float | None) -> str:
    if trigger.paused:
        return "paused"
    if not _is_schedule(trigger.when):
        return "when that happens"
    return "never again" if fire is None else in_zone(fire, zone_of_trigger(trigger))


def show(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Print one trigger: everything that it says, and the next fire times."""
    words = _only(parsed, 1, "show NAME")
    triggers = triggers_here(parsed, environ)
    if not words:
        raise UsageError("which trigger?", hint="Write `levada trigger show NAME`; `levada trigger list` names them.")
    trigger = named(words[0], triggers)
    there = _there(words[0], parsed, environ)
    fires = _fires(trigger, time.time(), 3) if _is_schedule(trigger.when) else []
    if parsed.flag("json"):
        print(json_text({**there, **_plain(trigger), "next": [_iso(fire) for fire in fires]}))
        return exit_codes.OK
    print(escape(f"{trigger.name} ({trigger.module or 'by command'})"))
    rows = [("task", template_of(trigger)), ("when", when_text(trigger.when)), *_policies(trigger)]
    rows += standing(there) if there else []
    rows += [("next" if not at else "", in_zone(fire, zone_of_trigger(trigger))) for at, fire in enumerate(fires)]
    print("\n".join("  " + line for line in table(rows)))
    return exit_codes.OK


def _there(name: str, parsed: Parsed, environ: Mapping[str, str]) -> dict[str, Any]:
    """How a server says that it stands; nothing where modules are meant."""
    remote = server_of(parsed, environ)
    if remote is None:
        return {}
    try:
        return dict(remote.get(f"/v1/triggers/{part(name)}"))
    finally:
        remote.close()


def _policies(trigger: Trigger) -> Iterator[tuple[str, str]]:
    if trigger.paused:
        yield "paused", "yes: it does not fire"
    if trigger.start or trigger.end:
        yield "from, until", f"{trigger.start or 'ever'}, {trigger.end or 'ever'}"
    if trigger.jitter:
        yield "jitter", f"up to {_given(trigger.jitter)}"
    yield "overlap", trigger.overlap
    if _is_schedule(trigger.when):
        yield "missed", trigger.missed
    if trigger.most:
        yield "rate", f"at most {trigger.most} in {_given(trigger.per)}"
    if trigger.deadline is not None:
        yield "deadline", f"{_given(trigger.deadline)} after its fire, then {trigger.on_deadline}"


def when_text(when: When) -> str:
    """When, for people, in one line.

    >>> from levada._model.triggers import After, Cron
    >>> when_text(Cron("0 6 * * *", "Europe/Lisbon")), when_text(After(("A", "B"), "failed", True))
    ('0 6 * * * (Europe/Lisbon)', 'after A or B failed')
    """
    from .._model.triggers import After, Arrival, Cron, Every, Rule

    if isinstance(when, Cron):
        return f"{when.line} ({when.zone})"
    if isinstance(when, Every):
        return f"every {_given(when.seconds)}{f' from {when.at}' if when.at else ''} ({when.zone})"
    if isinstance(when, Rule):
        return f"{' '.join(when.text.split())} ({when.zone})"
    if isinstance(when, Arrival):
        return f"arrival of {when.pattern}"
    if isinstance(when, After):
        ends = {"done": "is done", "failed": "failed", "ended": "has ended"}[when.outcome]
        return f"after {(' or ' if when.any_of else ' and ').join(when.of)} {ends}"
    return " ".join(["event", when.name, *(f"{name}={value}" for name, value in when.where)])


def _given(seconds: float) -> str:
    """A duration that somebody chose.

    >>> [_given(each) for each in (5.0, 2.5, 90.0)]
    ['5 s', '2.5 s', '1 min 30 s']
    """
    return duration(seconds).replace(".0 s", " s")


def template_of(trigger: Trigger) -> str:
    """The task of a trigger, with templates for values: ``Report(day={fire.day - 1})``."""
    return f"{trigger.family}({', '.join(f'{name}={text}' for name, text in trigger.params)})"


# -- next ----------------------------------------------------------------------------------------------


def upcoming(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Print the next fire times of all schedules, or of one."""
    words = _only(parsed, 2, "next [N] [NAME]")
    triggers = triggers_here(parsed, environ)
    most, name = _count_and_name(words, triggers)
    if name and not _is_schedule(named(name, triggers).when):
        hint = f"`levada trigger test {name}` shows what it would make."
        raise UsageError(f"{name} has no fire times: it waits for {when_text(triggers[name].when)}", hint=hint)
    chosen = [triggers[name]] if name else [each for each in triggers.values() if _is_schedule(each.when) and not each.paused]
    fires = sorted((fire, each.name) for each in chosen for fire in _fires(each, _at(parsed.text("at"), each), most))[:most]
    zone = parsed.text("zone")
    _check_zone(zone)
    rows = [_row(triggers[each], fire, zone) for fire, each in fires]
    if parsed.flag("json"):
        print(json_text(rows))
    elif not rows:
        print("no schedule fires any more" if chosen else "the modules define no schedules")
    else:
        cells = [(row["local"], row["zone"], row["there"], row["trigger"], row["task"], row["note"]) for row in rows]
        print("\n".join(table(cells, ("fires", "zone", zone or "here", "trigger", "task", "clocks"))))
    return exit_codes.OK


def _count_and_name(words: list[str], triggers: Mapping[str, Trigger]) -> tuple[int, str]:
    numbers = [word for word in words if word.isascii() and word.isdigit() and word not in triggers]
    names = [word for word in words if word not in numbers]
    if len(numbers) > 1 or len(names) > 1:
        raise UsageError(f"got {' '.join(words)!r}", hint="Write `levada trigger next [N] [NAME]`, as in `levada trigger next 10 daily`.")
    most = int(numbers[0]) if numbers and len(numbers[0]) < 9 else 10
    if not 1 <= most <= 10_000 or (numbers and len(numbers[0]) >= 9):
        raise UsageError(f"got {numbers[0]}, expected a number of fire times from 1 to 10000")
    return most, names[0] if names else ""


def _fires(trigger: Trigger, at: float, most: int) -> list[float]:
    return _schedule(trigger).between(at, 253_370_764_800.0, most)  # the year 9999


def _row(trigger: Trigger, fire: float, zone: str | None) -> dict[str, Any]:
    """One fire, as plain data."""
    from .._model.templates import fire_facts
    from .._model.triggers import zone_name

    schedule = _schedule(trigger)
    there = zone_name(trigger.when)
    due = schedule.due(fire)
    return {
        "trigger": trigger.name,
        "at": _iso(fire),
        "local": in_zone(fire, there),
        "zone": there,
        "there": in_zone(fire, zone),
        "note": schedule.note(fire),
        **({} if due == fire else {"due": _iso(due)}),
        **_made(trigger, {"fire": fire_facts(fire, there, schedule.before(fire))}),
    }


def _made(trigger: Trigger, facts: Mapping[str, Mapping[str, object]]) -> dict[str, Any]:
    """The task that a trigger would want. Raises ParameterError where its class does not take what came."""
    from .._model.templates import parse
    from ..task import parameters_of, registry, repr_of

    params = {name: parse(text).fill(facts) for name, text in trigger.params}
    if trigger.family not in registry.families():  # a server's trigger; its code is elsewhere
        inside = ", ".join(f"{name}={text}" for name, text in params.items())
        return {"family": trigger.family, "params": params, "task": f"{trigger.family}({inside})"}
    cls = registry.find(trigger.family)
    known = dict(parameters_of(cls))
    try:
        task = cls(**{name: known[name].parse(text) for name, text in params.items()})
    except ParameterError as fault:
        raise ParameterError(f"trigger {trigger.name}: {fault.message}", hint=fault.hint) from None
    secret = {name for name, parameter in known.items() if parameter.secret}
    shown = {name: "***" if name in secret else text for name, text in params.items()}
    return {"family": trigger.family, "params": shown, "task": repr_of(task)}


def zone_of_trigger(trigger: Trigger) -> str:
    """The zone on whose clocks a trigger runs."""
    from .._model.triggers import zone_name

    return zone_name(trigger.when)


def in_zone(at: float, zone: str | None) -> str:
    """A moment for people, on the clocks of a zone; None: of this machine.

    >>> in_zone(1711846800.0, "Europe/Berlin")
    'Sun 2024-03-31 03:00 +02:00'
    """
    from .._model.triggers import zone_of

    moment = datetime.fromtimestamp(at, UTC).astimezone(zone_of(zone, "--zone") if zone else None)
    clock = moment.isoformat(" ", "seconds")
    clock, offset = (clock[:-6], clock[-6:]) if clock[-6] in "+-" else (clock, "")
    return f"{moment:%a} {clock.removesuffix(':00')} {offset}".rstrip()


def _check_zone(zone: str | None) -> None:
    if zone is not None:
        in_zone(0.0, zone)


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()


# -- test ----------------------------------------------------------------------------------------------


def simulate(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Print which tasks would be wanted, of one trigger or of all that something would fire. Nothing is fired."""
    words = _only(parsed, 1, "test [NAME] --at MOMENT")
    given = [name for name in ("url", "event", "ended") if parsed.text(name) is not None]
    if len(given) + bool(parsed.text("at")) > 1:
        raise UsageError("one of --at, --url, --event and --ended, please", hint="Each is something else that happens.")
    triggers = triggers_here(parsed, environ)
    chosen = [named(words[0], triggers)] if words else list(triggers.values())
    zone = parsed.text("zone")
    _check_zone(zone)
    cause = given[0] if given else "at"
    if words and _cause_of(chosen[0].when) != cause:
        raise UsageError(f"{words[0]} waits for {when_text(chosen[0].when)}", hint=f"Say what happens: --{_cause_of(chosen[0].when)}.")
    rows = [row for each in chosen if _cause_of(each.when) == cause for row in _tested(each, cause, parsed, zone, alone=bool(words))]
    if parsed.flag("json"):
        print(json_text(rows))
    elif not rows:
        print("nothing would fire")
    for row in rows if not parsed.flag("json") else ():
        print(escape("\n  ".join([f"{row['trigger']} wants {row['task']}", *_details(row)])))
    return exit_codes.OK


def _cause_of(when: When) -> str:
    from .._model.triggers import kind_of

    return {"arrival": "url", "event": "event", "after": "ended"}.get(kind_of(when), "at")


def _details(row: Mapping[str, Any]) -> Iterator[str]:
    if "at" in row:
        yield f"at {row['local']} ({row['zone']}), {row['there']}"
    if row.get("note"):
        yield row["note"]
    if "due" in row:
        yield f"with its jitter at {row['due']}"
    if row.get("paused"):
        yield "but it is paused, and does not fire"


def _tested(trigger: Trigger, cause: str, parsed: Parsed, zone: str | None, *, alone: bool) -> Iterator[dict[str, Any]]:
    paused = {"paused": True} if trigger.paused else {}
    if cause == "at":
        at = _at(parsed.text("at"), trigger)
        fire = _schedule(trigger).after(at - 1e-6)
        if fire is not None and (alone or fire < at - at % 60 + 60):
            yield {**_row(trigger, fire, zone), **paused}
        return
    facts = {"url": _arrival, "event": _event, "ended": _end}[cause](trigger.when, str(parsed.text(cause)), parsed)
    if facts is not None:
        yield {"trigger": trigger.name, **_made(trigger, facts), **paused}


def _arrival(when: Any, url: str, parsed: Parsed) -> Mapping[str, Mapping[str, object]] | None:
    from .._model.triggers import arrived

    groups = arrived(when.pattern, url)
    return None if groups is None else {"path": groups}


def _event(when: Any, file: str, parsed: Parsed) -> Mapping[str, Mapping[str, object]] | None:
    from .._model.templates import Expression, looked_up

    fields = _read_event(file)
    if fields["name"] != when.name:
        return None
    for name, value in when.where:
        try:
            if str(looked_up(Expression("event", name), fields["fields"])) != value:
                return None
        except ConfigError:
            return None
    return {"event": fields}


def _read_event(file: str) -> dict[str, Any]:
    import json

    from .._model.templates import event_facts

    try:
        if file == "-":
            text = sys.stdin.read()
        else:
            with open(file, encoding="utf-8") as opened:
                text = opened.read()
        fields = json.loads(text)
    except OSError as cause:
        raise UsageError(f"--event: {file} cannot be read: {cause.strerror}") from cause
    except ValueError as cause:
        raise UsageError(f"--event: {file} is no JSON: {one_line(str(cause))}") from cause
    if isinstance(fields, dict) and isinstance(fields.get("event"), str):
        own = fields.get("fields")
        if not isinstance(own, dict):
            own = {name: value for name, value in fields.items() if name not in ("event", "id", "urls")}
        urls = fields.get("urls")
        url = str(urls[0]) if isinstance(urls, list) and urls else ""
        return dict(event_facts(fields["event"], str(fields.get("id", "")), url, own))
    return _notice(file, text)


def _notice(file: str, text: str) -> dict[str, Any]:
    """The first of what a store would post (docs/goals.md)."""
    from .._model.templates import event_facts
    from .._wire.notices import read_notice
    from .._wire.problems import Refusal

    try:
        notices = read_notice(text.encode(), {})
    except Refusal as no:
        hint = 'Expected {"event": "changed", "bucket": "in"}, or what a store posts.'
        raise UsageError(f"--event: {file} holds no event: {no.message}", hint=hint) from no
    if not notices:
        raise UsageError(f"--event: {file} tells of nothing")
    one = notices[0]
    return dict(event_facts(one.name, one.id, one.urls[0] if one.urls else "", dict(one.fields)))


def _end(when: Any, text: str, parsed: Parsed) -> Mapping[str, Mapping[str, object]] | None:
    outcome = parsed.text("outcome") or "done"
    if outcome not in ("done", "failed"):
        raise UsageError(f"--outcome is {outcome!r}, expected done or failed")
    family, _, rest = text.partition("(")
    if not {text, family} & set(when.of) or when.outcome not in (outcome, "ended"):
        return None
    values = dict(part.split("=", 1) for part in rest.removesuffix(")").split(", ") if "=" in part)
    return {"ended": {**values, "family": family, "outcome": outcome}}

"""Triggers as plain data: what makes a task wanted by itself, and under which policies.

A trigger says *when* (a schedule, an arrival, an event, the end of something else), which family becomes wanted, and with which
parameters: templates (``templates.py``), which whoever fires it fills in. It names no class, so it crosses processes as
JSON and is kept by a server that has none of the user's code. Two laws: a trigger reads back from its JSON as it was; what is
wrong in that JSON is refused with its name, its value and what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, NoReturn

from ..errors import ConfigError
from .spelling import did_you_mean
from .values import NamedTuple

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

OVERLAP = ("skip", "queue_one", "queue_all", "cancel_old", "allow")
"""What a fire does while a goal of the same trigger has not ended: nothing; wait, as the only one; wait in a row; end the old one;
go on beside it."""
MISSED = ("skip", "last", "each", "merge")
"""What becomes of fire times that passed while no server was there: nothing, one goal for the last, one for each, one for all."""
OUTCOMES = ("done", "failed", "ended")
ON_DEADLINE = ("alert", "fail")
LONGEST_NAME = 200
LONGEST_WORD = 512  # of families and modules
LONGEST_PATTERN = 4_096
MOST_FIRES = 10_000  # that a rate may allow: each of them is remembered
CONTROL = r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"
NAME = r"[A-Za-z0-9._-]{1,200}"
SIGNS = r"(?P<brace>\{\{|\}\})|\{(?P<group>[A-Za-z][A-Za-z0-9_]*)\}|(?P<stray>[{}])|(?P<wild>[*?])|(?P<text>[^{}*?]+)"
ALWAYS = ("url", "name")  # what every arrival tells, besides the groups of its pattern


# -- when --------------------------------------------------------------------------------------


class Cron(NamedTuple):
    """Each time that a cron line names, on the clocks of a zone.

    line: five fields, or one of ``@hourly @daily @midnight @weekly @monthly @yearly @annually``. zone: IANA's name.
    """

    line: str
    zone: str


class Every(NamedTuple):
    """Each so-many seconds that pass, whatever clocks do: ``at`` and each multiple of ``seconds`` before and after.

    seconds: 1 or more. zone: whose calendar ``fire.day`` is. at: a moment, with offset or on the zone's clocks; "" is
    1970-01-01T00:00Z, so that ``Every(3600, ...)`` fires at each full hour UTC.
    """

    seconds: float
    zone: str
    at: str = ""


class Rule(NamedTuple):
    """Each time of a recurrence rule (RFC 5545), on the clocks of a zone.

    text: lines ``DTSTART:20240101T060000`` and ``RRULE:FREQ=...``; RDATE and EXDATE may follow.
    """

    text: str
    zone: str


class Arrival(NamedTuple):
    """Each target that comes to be at a place.

    pattern: URL or path; ``{name}`` is a group, whose text is ``path.name``; ``*`` and ``?`` match within one part of the path.
    interval: seconds between two looks, where the store does not tell by itself.
    """

    pattern: str
    interval: float = 30.0


class Event(NamedTuple):
    """Each event of that name that is posted to the server. where: fields that must be equal, by name."""

    name: str
    where: tuple[tuple[str, str], ...] = ()


class After(NamedTuple):
    """The end of something else.

    of: what, each as ``trigger:NAME``, as a task (``Family(day=2024-01-01)``) or as a family (any task of it that was wanted).
    outcome: one of OUTCOMES; "ended" is either way. any_of: each of several is enough; else all of them, once more each time.
    """

    of: tuple[str, ...]
    outcome: str = "done"
    any_of: bool = False


When = Cron | Every | Rule | Arrival | Event | After
SCHEDULES = (Cron, Every, Rule)
KINDS: Mapping[str, type[When]] = {"cron": Cron, "every": Every, "rule": Rule, "arrival": Arrival, "event": Event, "after": After}
"""The word for each in JSON, and its class."""


class Trigger(NamedTuple):
    """What makes a task wanted by itself. All times are seconds.

    name: letters, digits, "-", "_", "."; unique among the triggers of a server. params: name and template of each parameter.
    module: where it was defined; None: by command. jitter: a fire waits for at most so long, by a draw from name and fire time.
    start, end: moments, with offset or on the clocks of the trigger's zone (UTC where it has none); fires from ``start`` on and
    before ``end``; "" is open. most, per: at most so many fires in so long; 0 is no limit. deadline: so long after its fire
    a goal that has not ended is told of (on_deadline "alert"), or is failed, too ("fail").
    """

    name: str
    family: str
    params: tuple[tuple[str, str], ...]
    when: When
    module: str | None = None
    jitter: float = 0.0
    start: str = ""
    end: str = ""
    overlap: str = "skip"
    missed: str = "last"
    most: int = 0
    per: float = 0.0
    deadline: float | None = None
    on_deadline: str = "alert"
    paused: bool = False


def overlap_of(when: When) -> str:
    """The policy of overlaps where none is said: a schedule skips, what arrives or happens is another thing each time.

    >>> overlap_of(Cron("0 6 * * *", "UTC")), overlap_of(Arrival("in/{day}.csv"))
    ('skip', 'allow')
    """
    return "skip" if isinstance(when, SCHEDULES) else "allow"


def kind_of(when: When) -> str:
    """The word for it.

    >>> kind_of(Cron("0 6 * * *", "UTC"))
    'cron'
    """
    return next(word for word, cls in KINDS.items() if isinstance(when, cls))


def zone_name(when: When) -> str:
    """The zone on whose clocks it runs; UTC for what has none."""
    return when.zone if isinstance(when, (Cron, Every, Rule)) else "UTC"


def groups_of(pattern: str) -> tuple[str, ...]:
    """Names of the groups of an arrival's pattern, in order, each once.

    >>> groups_of("s3://in/{shop}/{day}.csv")
    ('shop', 'day')
    """
    found = (token["group"] for token in re.finditer(SIGNS, pattern))
    return tuple(dict.fromkeys(group for group in found if group))


def arrived(pattern: str, url: str) -> dict[str, str] | None:
    """What templates may say of an arrival, for ``facts["path"]``; None where the URL does not fit the pattern.

    >>> arrived("s3://in/{shop}/{day}.csv", "s3://in/north/2024-01-31.csv")
    {'shop': 'north', 'day': '2024-01-31', 'url': 's3://in/north/2024-01-31.csv', 'name': '2024-01-31.csv'}
    """
    form = ""
    for token in re.finditer(SIGNS, pattern):
        group, wild = token["group"], token["wild"]
        if group:
            form += f"(?P={group})" if f"(?P<{group}>" in form else f"(?P<{group}>[^/]+?)"
        else:
            form += {"*": "[^/]*", "?": "[^/]"}[wild] if wild else re.escape(token[0][0] if token["brace"] else token[0])
    found = re.fullmatch(form, url)
    return None if found is None else {**found.groupdict(), "url": url, "name": url.rstrip("/").rpartition("/")[2]}


def fields_of(when: When) -> Mapping[str, frozenset[str] | None]:
    """What templates may speak of: each root, with the names of its fields; None where any name may come."""
    if isinstance(when, SCHEDULES):
        from .templates import FIRE

        return {"fire": frozenset(FIRE)}
    if isinstance(when, Arrival):
        return {"path": frozenset((*groups_of(when.pattern), *ALWAYS))}
    return {"event": None} if isinstance(when, Event) else {"ended": None}


# -- zones and moments ---------------------------------------------------------------------------


def zone_of(name: str, where: str = "zone") -> ZoneInfo:
    """The zone of a name. Raises ConfigError with the nearest names there are."""
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, TypeError, OSError, zoneinfo.ZoneInfoNotFoundError):
        pass
    known = zoneinfo.available_timezones()
    near = did_you_mean(str(name), known) or did_you_mean(str(name), sorted({each.rpartition("/")[2] for each in known}))
    raise ConfigError(
        f"{where} is {name!r}, which is no time zone; expected a name of IANA, such as Europe/Lisbon or UTC",
        hint=near or ("This Python finds no time zones at all: install tzdata." if not known else None),
    )


def instant(text: str, zone: ZoneInfo | None, where: str) -> float:
    """Seconds since 1970 (UTC) of an ISO moment; without an offset it is read on the zone's clocks (None: UTC's).

    Of two equal local times the first is meant; one that clocks skip is the moment at which they had shown it, had they
    not been set forward. Raises ConfigError.

    >>> instant("2024-01-01T06:00", None, "start")
    1704088800.0
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone or UTC)
        return (moment - EPOCH) / SECOND
    except (ValueError, TypeError, OverflowError):
        raise ConfigError(
            f"{where} is {text!r}; expected a moment in ISO 8601, such as 2024-01-31T06:00 (on the clocks of the zone) or 2024-01-31T06:00Z"
        ) from None


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


# -- JSON ------------------------------------------------------------------------------------------


def trigger_to_json(trigger: Trigger) -> dict[str, object]:
    """Plain JSON, without what is as by default; ``trigger_from_json`` gives the same trigger back."""
    when = trigger.when
    said: dict[str, object] = {
        "name": trigger.name,
        "family": trigger.family,
        "params": dict(trigger.params),
        "when": {"kind": kind_of(when), **_told(when)},
    }
    told = said | {name: value for name, value in _told(trigger).items() if name not in said}
    told.pop("overlap", None)
    return told if trigger.overlap == overlap_of(when) else told | {"overlap": trigger.overlap}


def _told(value: When | Trigger) -> dict[str, object]:
    """Fields that differ from their defaults, as JSON has them."""
    usual = value._field_defaults
    told: dict[str, object] = {name: each for name, each in value._asdict().items() if name not in usual or each != usual[name]}
    if isinstance(value, Event) and value.where:
        told["where"] = dict(value.where)
    if isinstance(value, After):
        told["of"] = list(value.of)
    return told


def trigger_from_json(values: object, where: str) -> Trigger:
    """The trigger of JSON. where: what it is called in errors, such as a file's name. Raises ConfigError.

    Cron lines and recurrence rules are read by who computes with them (``levada.triggers.calendars``), not here.
    """
    read = _Reader(values, where, Trigger._fields)
    name = read.text("name")
    if not re.fullmatch(NAME, name):
        read.wrong("name", "letters, digits, '-', '_' and '.', at most 200 of them")
    when = _when(read.given("when"), f"{where}: when")
    trigger = Trigger(
        name=name,
        family=read.name("family"),
        params=read.pairs("params"),
        when=when,
        module=read.name("module") if read.has("module") else None,
        jitter=read.number("jitter", 0.0),
        start=read.text("start", ""),
        end=read.text("end", ""),
        overlap=read.choice("overlap", OVERLAP, overlap_of(when)),
        missed=read.choice("missed", MISSED, "last"),
        most=read.count("most", MOST_FIRES),
        per=read.number("per", 0.0),
        deadline=read.number("deadline") if read.has("deadline") else None,
        on_deadline=read.choice("on_deadline", ON_DEADLINE, "alert"),
        paused=read.flag("paused"),
    )
    check(trigger, where)
    return trigger


def check(trigger: Trigger, where: str) -> None:
    """What can be seen to be wrong without the code of its task and without a calendar. Raises ConfigError."""
    from .templates import check_roots, parse

    zone = zone_of(zone_name(trigger.when), f"{where}: zone")
    start = instant(trigger.start, zone, f"{where}: start") if trigger.start else None
    end = instant(trigger.end, zone, f"{where}: end") if trigger.end else None
    if start is not None and end is not None and end <= start:
        raise ConfigError(f"{where}: end is {trigger.end}, and start {trigger.start}; expected an end after the start")
    if bool(trigger.most) != bool(trigger.per):
        raise ConfigError(
            f"{where}: most is {trigger.most}, and per {trigger.per:g}; expected both or neither",
            hint="At most 10 fires an hour are most=10, per=3600.",
        )
    roots = fields_of(trigger.when)
    for name, text in trigger.params:
        check_roots(parse(text), roots, f"{where}: parameter {name}")


def _when(values: object, where: str) -> When:
    kind = _Reader(values, where, None).choice("kind", tuple(KINDS), None)
    read = _Reader(values, where, ("kind", *KINDS[kind]._fields))
    if kind == "cron":
        return Cron(read.text("line"), read.text("zone"))
    if kind == "rule":
        return Rule(read.text("text"), read.text("zone"))
    if kind == "every":
        every = Every(read.number("seconds", least=1.0), read.text("zone"), read.text("at", ""))
        if every.at:
            instant(every.at, zone_of(every.zone, f"{where}: zone"), f"{where}: at")
        return every
    if kind == "arrival":
        return Arrival(_pattern(read), read.number("interval", 30.0, least=0.1))
    if kind == "event":
        return Event(read.text("name"), read.pairs("where"))
    return After(read.texts("of"), read.choice("outcome", OUTCOMES, "done"), read.flag("any_of"))


def _pattern(read: _Reader) -> str:
    pattern = read.text("pattern")
    if len(pattern) > LONGEST_PATTERN:
        read.wrong("pattern", f"at most {LONGEST_PATTERN:,} characters")
    if any(token["stray"] for token in re.finditer(SIGNS, pattern)):
        read.wrong("pattern", "a URL or a path, with groups such as {day}: letters, digits and '_' between braces")
    if set(groups_of(pattern)) & set(ALWAYS):
        read.wrong("pattern", f"no group called {' or '.join(ALWAYS)}: those are known of every arrival")
    return pattern


class _Reader:
    """Fields of a JSON object, each checked as it is read. fields: the names there are; None: not looked at."""

    def __init__(self, values: object, where: str, fields: tuple[str, ...] | None) -> None:
        self.where = where
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where} is {_shown(values)}; expected a JSON object")
        self.values: Mapping[str, object] = values
        for name in values if fields is not None else ():
            if name not in (fields or ()):
                hint = did_you_mean(str(name), fields or ()) or f"There are {', '.join(fields or ())}."
                raise ConfigError(f"{where}: there is no field {name!r}", hint=hint)

    def wrong(self, name: str, expected: str) -> NoReturn:
        raise ConfigError(f"{self.where}: {name} is {_shown(self.values.get(name))}; expected {expected}")

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def given(self, name: str) -> object:
        if name not in self.values:
            raise ConfigError(f"{self.where} has no {name}", hint=f'Add "{name}": ...')
        return self.values[name]

    def text(self, name: str, default: str | None = None) -> str:
        value = self.given(name) if default is None else self.values.get(name, default)
        if not isinstance(value, str) or "\0" in value or not (value or default == ""):
            self.wrong(name, "text")
        return value

    def name(self, name: str) -> str:
        value = self.text(name)
        if len(value) > LONGEST_WORD or re.search(CONTROL, value):
            self.wrong(name, f"a name of at most {LONGEST_WORD} characters, none of which is a control character")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.given(name)
        if not isinstance(value, (list, tuple)) or not value or not all(isinstance(each, str) and each for each in value):
            self.wrong(name, "a list of texts, at least one")
        return tuple(value)

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        value = self.values.get(name, {})
        if not isinstance(value, Mapping) or not all(isinstance(part, str) for pair in value.items() for part in pair):
            self.wrong(name, "a JSON object of texts")
        return tuple(value.items())

    def number(self, name: str, default: float | None = None, least: float = 0.0) -> float:
        value = self.given(name) if default is None else self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value) or not least <= value <= 1e10:
            self.wrong(name, f"seconds, {least:g} or more")
        return float(value)

    def count(self, name: str, most: int) -> int:
        value = self.values.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            self.wrong(name, f"a whole number, 0 to {most:,}")
        return value

    def flag(self, name: str) -> bool:
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            self.wrong(name, "true or false")
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str | None) -> str:
        value = self.given(name) if default is None else self.values.get(name, default)
        if value not in choices:
            near = did_you_mean(value, choices) if isinstance(value, str) else None
            raise ConfigError(f"{self.where}: {name} is {_shown(value)}; expected {', '.join(choices)}", hint=near)
        return str(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}...{text[-16:]}"

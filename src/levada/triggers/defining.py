"""How authors say that a task is wanted by itself: ``@schedule``, ``@on``, ``trigger``, and what their parameters are made of.

All is checked where it is written: zones, cron lines and rules, the names of parameters, and whether what a fire tells fits their
kinds. What comes out is plain data (``levada._model.triggers.Trigger``), which ``triggers_of`` collects.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, ParamSpec, TypeVar

from .._model import templates
from .._model.spelling import did_you_mean
from .._model.triggers import (
    SCHEDULES,
    After,
    Arrival,
    Cron,
    Event,
    Every,
    Rule,
    Trigger,
    When,
    fields_of,
    overlap_of,
    trigger_from_json,
    trigger_to_json,
)
from ..errors import ConfigError, DefinitionError, ParameterError

if TYPE_CHECKING:
    from ..params.base import Parameter
    from ..task import Task

    Moment = str | date | datetime
    Seconds = float | timedelta
    Overlap = Literal["skip", "queue_one", "queue_all", "cancel_old", "allow"]
    Missed = Literal["skip", "last", "each", "merge"]
    OnDeadline = Literal["alert", "fail"]
    Outcome = Literal["done", "failed", "ended"]

C = TypeVar("C", bound="type[Task]")
P = ParamSpec("P")
R = TypeVar("R")
OWN = "_triggers_defined"  # in the __dict__ of a task class: what @schedule and @on have said of it


# -- what parameters are made of ---------------------------------------------------------------------


class Fact:
    """Something that is known when a trigger fires: ``lv.fire.day - 1``, ``lv.path.shop``. In a text it stands as a template.

    >>> str(fire.day - 1), f"raw/{fire.month}"
    ('{fire.day - 1}', 'raw/{fire.month}')
    """

    __slots__ = ("_of",)

    def __init__(self, root: str, field: str, shift: int = 0) -> None:
        self._of = templates.Expression(root, field, shift)

    def __getattr__(self, name: str) -> Fact:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Fact:
        if self._of.shift:
            raise AttributeError(f"{self} has no {name!r}")
        return _fact(self._of.root, f"{self._of.field}.{name}")

    def __add__(self, units: int) -> Fact:
        if type(units) is not int:
            raise DefinitionError(
                f"{self} + {units!r} cannot be; expected a whole number of its own units",
                hint="fire.day counts in days, fire.hour in hours, fire.month in months: fire.day - 1 is the day before.",
            )
        return Fact(self._of.root, self._of.field, self._of.shift + units)

    def __sub__(self, units: int) -> Fact:
        return self + (-units if type(units) is int else units)

    def __str__(self) -> str:
        return str(self._of)

    def __repr__(self) -> str:
        return f"<fact {self}>"

    def __format__(self, form: str) -> str:
        if form:
            raise DefinitionError(
                f"{self} has no value yet, so it cannot be written as {form!r}", hint="Other forms: fire.month, fire.year."
            )
        return str(self)


def _fact(root: str, field: str) -> Fact:
    if root == "fire" and field not in templates.FIRE:
        near = did_you_mean(field, templates.FIRE, "fire.{}")
        raise DefinitionError(f"there is no fire.{field}", hint=near or f"A fire has {', '.join(templates.FIELDS)} and previous.")
    return Fact(root, field)


class Root:
    """Where facts come from; its attributes are facts, ``root["a-b"]`` those whose names are none in Python."""

    def __init__(self, name: str, doc: str) -> None:
        self._name = name
        self.__doc__ = doc

    def __getattr__(self, name: str) -> Fact:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Fact:
        return _fact(self._name, name)

    def __repr__(self) -> str:
        return f"<facts {self._name!r}>"


class Fire(Root):
    """Facts of a schedule's fire time, on the clocks of its zone; each counts in its own unit: ``fire.day - 1``."""

    day: Fact
    hour: Fact
    minute: Fact
    second: Fact
    week: Fact
    month: Fact
    year: Fact
    time: Fact
    previous: Fact


class Events(Root):
    """``event.NAME`` is a field of an event; ``event("name", field="value")`` says when: each such event that is posted."""

    def __call__(self, name: str, /, **where: str) -> Event:
        """Each event of that name whose fields have these values."""
        return Event(name, tuple(where.items()))


fire = Fire("fire", Fire.__doc__ or "")
path = Root("path", "Facts of an arrival: the groups of its pattern, as ``path.day``; ``path.url``, and ``path.name``, its last part.")
event = Events("event", Events.__doc__ or "")
ended = Root("ended", "Facts of a task that ended: its parameters, as ``ended.day``; ``ended.family``, ``ended.outcome``.")


# -- when --------------------------------------------------------------------------------------------


def _zoned(make: Callable[P, R]) -> Callable[P, R]:
    """Says what is missing where no zone was given; type checkers see that there must be one."""

    @wraps(make)
    def checked(*args: P.args, **given: P.kwargs) -> R:
        if "zone" not in given:
            where = f"{make.__name__}({', '.join(map(repr, args))})"
            raise DefinitionError(f"{where} needs a zone: on whose clocks?", hint='As in zone="Europe/Lisbon", or zone="UTC".')
        return make(*args, **given)

    return checked


@_zoned
def cron(line: str, *, zone: str) -> Cron:
    """When: the times of a cron line, on the clocks of a zone (IANA's name).

    Five fields as in crontab(5), names, ``L`` for the last day, ``MON#2``, ``5L``; or ``@hourly @daily @weekly @monthly @yearly``.
    """
    return Cron(line, zone)


def every(seconds: Seconds, *, zone: str = "UTC", at: Moment = "") -> Every:
    """When: each so-many seconds that pass, whatever clocks do.

    at: a moment that is one of them; by default 1970-01-01T00:00Z. zone: the calendar of ``fire.day``, and of an ``at`` without offset.
    """
    return Every(_seconds(seconds), zone, _moment(at))


@_zoned
def rrule(text: str, *, zone: str) -> Rule:
    """When: the times of a recurrence rule (RFC 5545), on the clocks of a zone. It needs the extra ``levada[rrule]``.

    Lines ``DTSTART:20240101T060000`` (on those clocks) and ``RRULE:FREQ=MONTHLY;BYDAY=-1FR``; RDATE and EXDATE may follow.
    """
    return Rule(text, zone)


def arrival(pattern: str, *, interval: Seconds = 30.0) -> Arrival:
    """When: each target that comes to be and fits the pattern, ``s3://in/{day}.csv``; its groups are facts, ``path.day``.

    ``*`` and ``?`` match within one part of a path. interval: time between two looks, where the store does not tell by itself.
    """
    return Arrival(pattern, _seconds(interval))


def after(*of: type[Task] | Task | Trigger | str, outcome: Outcome = "done", any_of: bool = False) -> After:
    """When: the end of other tasks or of goals of other triggers.

    of: a task class (any task of it that was wanted), a task, a trigger, or a text: ``Family``, ``Family(day=2024-01-01)``,
    ``trigger:NAME``. outcome: "done", "failed", or "ended" for either. any_of: one of several is enough; else all.
    """
    return After(tuple(map(_ended, of)), outcome, any_of)


def _ended(of: object) -> str:
    from ..task import Task, info_of

    if isinstance(of, str):
        return of
    if isinstance(of, Trigger):
        return f"trigger:{of.name}"
    if isinstance(of, type) and issubclass(of, Task):
        return of.get_task_family()
    if isinstance(of, Task):
        values = [f"{name}={kind.serialize(getattr(of, name))}" for name, kind in info_of(type(of)).params if kind.significant]
        return f"{type(of).get_task_family()}({', '.join(values)})"
    raise DefinitionError(f"after({of!r:.80}): expected a task class, a task, a trigger or the name of a family")


# -- triggers ----------------------------------------------------------------------------------------


def trigger(
    task: type[Task],
    when: When,
    *,
    name: str | None = None,
    params: Mapping[str, object] | None = None,
    jitter: Seconds = 0.0,
    start: Moment = "",
    end: Moment = "",
    overlap: Overlap | None = None,
    missed: Missed = "last",
    most: int = 0,
    per: Seconds = 0.0,
    deadline: Seconds | None = None,
    on_deadline: OnDeadline = "alert",
    paused: bool = False,
    **values: object,
) -> Trigger:
    """A trigger of a task, for a module's list ``triggers = [...]``. Raises DefinitionError: what is wrong, what was expected.

    when: ``cron(...)``, ``every(...)``, ``rrule(...)``, ``arrival(...)``, ``event(...)`` or ``after(...)``. Parameters of the task are
    given by name: a value, a fact (``fire.day - 1``), or text with facts in it (braces are written twice); ``params`` has those
    whose names are options here. name: unique among all triggers; by default the family. jitter: a fire waits for up to so long. start,
    end: it fires from the one on and before the other. overlap: what a fire does while the goal of an earlier one has not ended.
    missed: what becomes of fires while no server was there. most, per: at most so many fires in so long. deadline: after so
    long a goal that has not ended is told of, or failed (``on_deadline="fail"``). Durations are seconds or timedeltas.
    """
    if not _is_task(task):
        raise DefinitionError(f"a trigger is of a task class, got {task!r:.80}", hint="Write lv.trigger(Report, lv.cron(...), ...).")
    family = task.get_task_family()
    where = f"trigger {name or family}"
    if not _is_when(when):
        hint = "Write cron('0 6 * * *', zone='Europe/Lisbon'), every(3600), arrival('s3://in/{day}.csv')..."
        raise DefinitionError(f"{where}: when is {when!r:.80}; expected cron(...), every(...), arrival(...) or the like", hint=hint)
    try:
        made = Trigger(
            name=name or family,
            family=family,
            params=(),
            when=when,
            jitter=_seconds(jitter),
            start=_moment(start),
            end=_moment(end),
            overlap=overlap_of(when) if overlap is None else overlap,
            missed=missed,
            most=most,
            per=_seconds(per),
            deadline=None if deadline is None else _seconds(deadline),
            on_deadline=on_deadline,
            paused=paused,
        )
        made = trigger_from_json(trigger_to_json(made), where)
        if isinstance(when, Arrival):
            from ..targets.patterns import read_pattern

            read_pattern(when.pattern)
        if isinstance(when, SCHEDULES):
            from .calendars import calendar_of

            calendar_of(when, where)
        return made._replace(params=_texts(task, {**(params or {}), **values}, when, where))
    except ConfigError as fault:
        raise DefinitionError(fault.message, hint=fault.hint) from None


def on(
    when: When,
    *,
    name: str | None = None,
    params: Mapping[str, object] | None = None,
    jitter: Seconds = 0.0,
    start: Moment = "",
    end: Moment = "",
    overlap: Overlap | None = None,
    missed: Missed = "last",
    most: int = 0,
    per: Seconds = 0.0,
    deadline: Seconds | None = None,
    on_deadline: OnDeadline = "alert",
    paused: bool = False,
    **values: object,
) -> Callable[[C], C]:
    """Decorates a task class: it becomes wanted by itself. Options and parameters are those of ``trigger``.

    ``@lv.on(lv.arrival("s3://in/{day}.csv"), day=lv.path.day)``
    """

    def decorate(cls: C) -> C:
        made = trigger(
            cls, when, name=name, params=params, jitter=jitter, start=start, end=end, overlap=overlap, missed=missed, most=most, per=per,
            deadline=deadline, on_deadline=on_deadline, paused=paused, **values,
        )._replace(module=cls.__module__)  # fmt: skip
        own: tuple[Trigger, ...] = cls.__dict__.get(OWN, ())
        if any(each.name == made.name for each in own):
            _clash(made.name, f"{cls.__name__} has two of it")
        type.__setattr__(cls, OWN, (made, *own))  # decorators apply from below; the topmost is first
        return cls

    return decorate


@_zoned
def schedule(
    line: str,
    *,
    zone: str,
    name: str | None = None,
    params: Mapping[str, object] | None = None,
    jitter: Seconds = 0.0,
    start: Moment = "",
    end: Moment = "",
    overlap: Overlap | None = None,
    missed: Missed = "last",
    most: int = 0,
    per: Seconds = 0.0,
    deadline: Seconds | None = None,
    on_deadline: OnDeadline = "alert",
    paused: bool = False,
    **values: object,
) -> Callable[[C], C]:
    """Decorates a task class: it becomes wanted at the times of a cron line, on the clocks of a zone. Options are those of ``trigger``.

    ``@lv.schedule("0 6 * * *", zone="Europe/Lisbon", day=lv.fire.day - 1)``
    """
    return on(
        Cron(line, zone), name=name, params=params, jitter=jitter, start=start, end=end, overlap=overlap, missed=missed, most=most,
        per=per, deadline=deadline, on_deadline=on_deadline, paused=paused, **values,
    )  # fmt: skip


def _seconds(value: Seconds) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _moment(value: Moment) -> str:
    return value.isoformat() if isinstance(value, date) else value


# -- parameters --------------------------------------------------------------------------------------

KINDS = {
    "MonthParameter": "month",
    "YearParameter": "year",
    "DateParameter": "date",
    "DateHourParameter": "hour",
    "DateMinuteParameter": "minute",
    "DateSecondParameter": "second",
    "DateTimeParameter": "datetime",
    "DateIntervalParameter": "interval",
    "IntParameter": "int",
    "FloatParameter": "float",
    "BoolParameter": "bool",
    "StrParameter": "text",
    "OptionalStrParameter": "text",
}
"""Our kinds of parameters, and the words of ``templates.check`` for them."""


def kinds_of(task: type[Task]) -> dict[str, tuple[str, bool]]:
    """What ``templates.check`` asks of a family: each parameter's kind ("" where no word says it), and whether it has a default."""
    from ..task import parameters_of

    return {name: (_kind(parameter), parameter.has_default or parameter.secret) for name, parameter in parameters_of(task)}


def _kind(parameter: Parameter[Any]) -> str:
    part = getattr(parameter, "part", None)
    if type(parameter).__name__ == "OptionalOf" and part is not None:
        word = _kind(part)
        return f"{word}?" if word else ""
    own = type(parameter)
    named = next((cls for cls in own.__mro__ if cls.__name__ in KINDS and cls.__module__.startswith("levada.params.")), None)
    if named is None or getattr(own.parse, "__qualname__", "").partition(".")[0] not in _bases(own, named):
        return ""  # a kind of the author's own, which reads as it likes
    optional = parameter._takes_none or own.__name__.startswith("Optional")
    return KINDS[named.__name__] + ("?" if optional else "")


def _bases(own: type, named: type) -> set[str]:
    return {cls.__name__ for cls in own.__mro__ if cls.__module__.startswith("levada.params.")} | {named.__name__}


def _texts(task: type[Task], given: Mapping[str, object], when: When, where: str) -> tuple[tuple[str, str], ...]:
    """The templates of all parameters that were given. Raises ConfigError."""
    from ..task import parameters_of

    known = dict(parameters_of(task))
    roots = fields_of(when)
    texts = {name: _text(known.get(name), value, f"{where}: parameter {name}") for name, value in given.items()}
    templates.check(texts.items(), kinds_of(task), roots, where)
    for name, text in texts.items():
        if known[name].secret:
            hint = "Set it in the configuration or the environment of the workers."
            raise ConfigError(f"{where}: parameter {name} is secret, and triggers are kept as plain text", hint=hint)
        _try(known[name], name, text, where)
    return tuple(texts.items())


def _text(parameter: Parameter[Any] | None, value: object, where: str) -> str:
    if isinstance(value, Fact):
        return str(value)
    if isinstance(value, Root):
        raise ConfigError(f"{where} is all of {value._name}; expected one of its facts", hint=f"Such as {value._name}.day.")
    if isinstance(value, str):
        return value
    if parameter is None:
        return templates.quote(str(value))
    try:
        return templates.quote(str(parameter.serialize(parameter.normalize(value))))
    except ParameterError as fault:
        raise ConfigError(f"{where}: {fault.message}", hint=fault.hint) from None


SAMPLE = 1704164645.0  # 2024-01-02T03:04:05 UTC


def _try(parameter: Parameter[Any], name: str, text: str, where: str) -> None:
    """Read what a parameter would be at some fire, where that needs nothing but a time."""
    template = templates.parse(text)
    if template.roots - {"fire"}:
        return
    sample = template.fill({"fire": templates.fire_facts(SAMPLE, "UTC", None)} if template.roots else {})
    try:
        parameter.parse(sample)
    except (ValueError, TypeError, LookupError) as fault:
        told = fault.message if isinstance(fault, ParameterError) else str(fault)
        at = f", which at some fire is {sample!r:.80}" if template.roots else ""
        raise ConfigError(f"{where}: parameter {name} is {text!r:.80}{at}: {told}") from None


# -- all triggers of some modules ------------------------------------------------------------------------


def triggers_of(modules: Iterable[str]) -> list[Trigger]:
    """The triggers of modules that were imported, and of the modules in them: of their task classes and of their lists ``triggers``.

    In order of their names, which are unique among them; raises DefinitionError where two have one name.
    """
    found: dict[str, Trigger] = {}
    for module in _with_parts(modules):
        for each in _of_module(module):
            other = found.setdefault(each.name, each)
            if other != each:
                _clash(each.name, f"of {other.family} in {other.module} and of {each.family} in {each.module}")
    return [found[name] for name in sorted(found)]


def _with_parts(names: Iterable[str]) -> list[ModuleType]:
    wanted = tuple(names)
    return [module for name, module in sorted(sys.modules.items()) if any(name == each or name.startswith(f"{each}.") for each in wanted)]


def _of_module(module: ModuleType) -> list[Trigger]:
    found: list[Trigger] = []
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__ == module.__name__:
            found += value.__dict__.get(OWN, ())
    listed = vars(module).get("triggers")
    if isinstance(listed, (list, tuple)) and any(isinstance(each, Trigger) or _is_when(each) or _is_task(each) for each in listed):
        for each in listed:
            if not isinstance(each, Trigger):
                hint = "Write triggers = [lv.trigger(Report, lv.cron(...), day=...)]."
                raise DefinitionError(f"{module.__name__}.triggers holds {each!r:.80}; expected lv.trigger(...)", hint=hint)
            found.append(each if each.module else each._replace(module=module.__name__))
    return found


def _is_when(value: object) -> bool:
    return isinstance(value, When)


def _is_task(value: object) -> bool:
    from ..task import Task

    return isinstance(value, type) and issubclass(value, Task)


def _clash(name: str, whose: str) -> NoReturn:
    raise DefinitionError(f"two triggers are called {name!r}: {whose}", hint="Give one of them a name of its own: name='...'.")

"""Parameter templates: texts such as ``{fire.day - 1}``, and what fills them in.

A template is text in which ``{root.field}`` stands for a fact, ``{root.field - 2}`` for one that lies two of its units before; ``{{``
and ``}}`` are braces. Roots are ``fire`` (of schedules), ``path`` (of arrivals: groups of the pattern, ``url``, ``name``), ``event``
(fields of an event) and ``ended`` (parameters of the task that ended, ``family``, ``outcome``). What comes out is the text of
a parameter as Levada writes it. Nothing is ever evaluated: a template is a regular expression's match, an offset and a table.

Facts of a fire are read off the clocks of the trigger's zone. Days, weeks, months and years count on the calendar; hours, minutes
and seconds are those that passed, so that ``{fire.hour - 1}`` of an hourly schedule names each hour that there was, and none that
clocks skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import cast

from ..errors import ConfigError
from .spelling import did_you_mean
from .values import NamedTuple

NAME = r"[A-Za-z_]\w*(?:-[A-Za-z_]\w*)*"
PART = r"\{\{|\}\}|\{([^{}]*)\}|[{}]"
EXPRESSION = rf"(?a:\s*({NAME})((?:\s*\.\s*{NAME})+)\s*(?:([+-])\s*(\d{{1,9}}))?\s*)"
ROOTS: Mapping[str, str] = {
    "fire": "a schedule, as in {fire.day - 1}",
    "path": "an arrival, as in {path.day}",
    "event": "an event, as in {event.bucket}",
    "ended": "the end of a task, as in {ended.day}",
}
"""Each root, and the triggers that have it."""


class Expression(NamedTuple):
    """One ``{root.field + shift}``; the field with its dots, as in ``previous.day``."""

    root: str
    field: str
    shift: int = 0

    def __str__(self) -> str:
        shift = f" {'+' if self.shift > 0 else '-'} {abs(self.shift)}" if self.shift else ""
        return f"{{{self.root}.{self.field}{shift}}}"


class Template(NamedTuple):
    """A text that was read: plain texts and expressions in turn."""

    parts: tuple[str | Expression, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Its expressions, in order."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    @property
    def roots(self) -> frozenset[str]:
        """The roots that it needs facts of."""
        return frozenset(part.root for part in self.expressions)

    @property
    def alone(self) -> Expression | None:
        """The expression, where the text is nothing else."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, Expression) else None

    def fill(self, facts: Mapping[str, Mapping[str, object]], most: int = 16 << 20) -> str:
        """The text for these facts. Raises ConfigError where one is missing, cannot be counted on from, or it has more characters.

        >>> facts = {"fire": fire_facts(1704088800.0, "Asia/Tokyo", None)}
        >>> parse("{fire.day - 1}").fill(facts), parse("raw/{fire.hour}.csv").fill(facts)
        ('2023-12-31', 'raw/2024-01-01T15.csv')
        """
        texts = [part if isinstance(part, str) else _value(part, facts) for part in self.parts]
        if sum(map(len, texts)) > most:
            raise ConfigError(f"{str(self)[:80]!r} is filled in with more than {most:,} characters")
        return "".join(texts)

    def __str__(self) -> str:
        return "".join(quote(part) if isinstance(part, str) else str(part) for part in self.parts)


def quote(text: str) -> str:
    """The template that is filled with just this text.

    >>> quote('{"a": 1}')
    '{{"a": 1}}'
    """
    return text.replace("{", "{{").replace("}", "}}")


def parse(text: str) -> Template:
    """The template of a text. Raises ConfigError with the place that is wrong.

    >>> parse("{fire.day - 1}").parts
    (Expression(root='fire', field='day', shift=-1),)
    """
    parts: list[str | Expression] = []
    at = 0
    for found in re.finditer(PART, text):
        _add(parts, text[at : found.start()])
        at = found.end()
        if found[0] in ("{{", "}}"):
            _add(parts, found[0][0])
        elif found[1] is None:
            hint = "A brace itself is written twice: {{ and }}."
            raise ConfigError(f"{text!r}: a {found[0]!r} has no other end, character {found.start() + 1}", hint=hint)
        else:
            parts.append(_expression(found[1], text))
    _add(parts, text[at:])
    return Template(tuple(parts))


def _add(parts: list[str | Expression], text: str) -> None:
    if text and parts and isinstance(parts[-1], str):
        parts[-1] += text
    elif text:
        parts.append(text)


def _expression(inside: str, text: str) -> Expression:
    found = re.fullmatch(EXPRESSION, inside)
    if found is None:
        raise ConfigError(
            f"{{{inside}}} in {text!r} cannot be read; expected {{root.field}}, {{root.field + N}} or {{root.field - N}}",
            hint=f"Such as {{fire.day - 1}}. Braces themselves are written twice: {{{{{inside}}}}}.",
        )
    root, rest, sign, number = found.groups()
    if root not in ROOTS:
        raise ConfigError(
            f"{{{inside}}} in {text!r} speaks of {root!r}; expected {', '.join(ROOTS)}",
            hint=did_you_mean(root, ROOTS) or f"Braces themselves are written twice: {{{{{inside}}}}}.",
        )
    shift = int(number or 0) * (-1 if sign == "-" else 1)
    return Expression(root, "".join(rest.split())[1:], shift)


# -- facts of a fire -------------------------------------------------------------------------------


def fire_facts(at: float, zone: str, previous: float | None) -> Mapping[str, object]:
    """What templates may say of the fire at ``at`` (seconds since 1970, UTC), for ``facts["fire"]``.

    ``time`` and ``previous`` are moments in the zone; the others their texts. previous: the fire before; None where there
    was none: then it is the fire itself, so that a range from the one to the other is empty.
    """
    from .triggers import zone_of

    clocks = zone_of(zone)
    time = datetime.fromtimestamp(at, UTC).astimezone(clocks)
    before = time if previous is None else datetime.fromtimestamp(previous, UTC).astimezone(clocks)
    texts = {name: text(shifted(time, 0)) for name, (shifted, text) in FIELDS.items() if name != "time"}
    return {**texts, "time": time, "previous": before}


def event_facts(name: str, id: str, url: str, fields: Mapping[str, object]) -> Mapping[str, object]:
    """What templates may say of an event, for ``facts["event"]``.

    That are its fields, all of them also in ``fields``; ``name``, ``id`` and ``url`` are its own, whatever its fields are called.

    >>> facts = {"event": event_facts("sold", "17", "", {"id": "A-4", "shop": "north"})}
    >>> parse("{event.id} {event.fields.id} {event.shop}").fill(facts)
    '17 A-4 north'
    """
    return {**fields, "name": name, "id": id, "url": url, "fields": fields}


def _days(unit: int) -> Callable[[datetime, int], datetime]:
    return lambda time, shift: time.replace(tzinfo=None) + timedelta(unit * shift)


def _passed(**unit: int) -> Callable[[datetime, int], datetime]:
    def shifted(time: datetime, shift: int) -> datetime:
        return (time.astimezone(UTC) + timedelta(**unit) * shift).astimezone(time.tzinfo)

    return shifted


def _months(unit: int) -> Callable[[datetime, int], datetime]:
    def shifted(time: datetime, shift: int) -> datetime:
        months = time.year * 12 + time.month - 1 + unit * shift
        return datetime(months // 12, months % 12 + 1, 1)

    return shifted


def _clock(form: str) -> Callable[[datetime], str]:
    return lambda time: time.replace(tzinfo=None).isoformat(timespec=form).replace(":", "")


def _week(time: datetime) -> str:
    year, week, _ = time.isocalendar()
    return f"{year:04}-W{week:02}"


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


FIELDS: Mapping[str, tuple[Callable[[datetime, int], datetime], Callable[[datetime], str]]] = {
    "day": (_days(1), lambda time: time.date().isoformat()),
    "hour": (_passed(hours=1), _clock("hours")),
    "minute": (_passed(minutes=1), _clock("minutes")),
    "second": (_passed(seconds=1), _clock("seconds")),
    "week": (_days(7), _week),
    "month": (_months(1), lambda time: time.date().isoformat()[:7]),
    "year": (_months(12), lambda time: time.date().isoformat()[:4]),
    "time": (_passed(seconds=1), _moment),
}
"""Each field of a fire: the moment so many of its units away, and its text."""
FIRE = (*FIELDS, *(f"previous.{name}" for name in FIELDS), "previous")
"""All that can be said of a fire; ``previous`` alone is ``previous.time``."""

# What kinds of parameters read the text of a field. Text takes them all; an interval is a day, a week, a month or a year.
MAKES: Mapping[str, tuple[str, ...]] = {
    "day": ("date", "interval", "datetime"),
    "hour": ("hour",),
    "minute": ("minute",),
    "second": ("second",),
    "week": ("interval",),
    "month": ("month", "interval"),
    "year": ("year", "interval"),
    "time": ("datetime",),
}


def _value(wanted: Expression, facts: Mapping[str, Mapping[str, object]]) -> str:
    known = facts.get(wanted.root)
    if known is None:
        raise ConfigError(
            f"{wanted} cannot be filled in: there is nothing of {wanted.root!r} here, only of {', '.join(facts) or 'nothing'}"
        )
    if wanted.root == "fire":
        return _fire(wanted, known)
    value = looked_up(wanted, known)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigError(f"{wanted} is {value!r:.80}; expected text or a number")
    return _counted(wanted, str(value))


def _fire(wanted: Expression, known: Mapping[str, object]) -> str:
    field = wanted.field
    source = "previous" if field.partition(".")[0] == "previous" else "time"
    shifted, text = FIELDS[field.removeprefix("previous").removeprefix(".") or "time"]
    try:
        return text(shifted(cast(datetime, known[source]), wanted.shift))
    except (OverflowError, ValueError):
        raise ConfigError(f"{wanted} lies beyond the calendar (years 1 to 9999)") from None


def looked_up(wanted: Expression, known: Mapping[str, object]) -> object:
    """The value of a field, which may lie within others. Raises ConfigError where there is none."""
    value: object = known
    names = wanted.field.split(".")
    for at, name in enumerate(names):
        rest = ".".join(names[at:])  # names of fields may hold dots
        if isinstance(value, Mapping) and rest in value:
            return value[rest]
        if not isinstance(value, Mapping) or name not in value:
            hint = did_you_mean(wanted.field, known) or f"It has {', '.join(sorted(known)) or 'no fields'}."
            raise ConfigError(f"{wanted} cannot be filled in: there is no {wanted.field!r}", hint=hint)
        value = value[name]
    return value


# Texts that can be counted on from: their form, and the text so many units away.
COUNTED: tuple[tuple[str, Callable[[str, int], str]], ...] = (
    (r"-?\d{1,18}", lambda text, shift: str(int(text) + shift).zfill(len(text) if text.startswith("0") else 0)),
    (r"\d{4}-\d\d-\d\d", lambda text, shift: (date.fromisoformat(text) + timedelta(shift)).isoformat()),
    (r"\d{4}-\d\d", lambda text, shift: _months(1)(datetime.fromisoformat(f"{text}-01"), shift).isoformat()[:7]),
    (r"\d{4}-\d\d-\d\dT\d\d", lambda text, shift: _clock("hours")(datetime.fromisoformat(text) + timedelta(hours=shift))),
    (r"\d{4}-\d\d-\d\dT\d{4}", lambda text, shift: _clock("minutes")(datetime.fromisoformat(text) + timedelta(minutes=shift))),
)


def _counted(wanted: Expression, text: str) -> str:
    if not wanted.shift:
        return text
    for form, counted in COUNTED:
        if re.fullmatch(form, text, re.ASCII):
            try:
                return counted(text, wanted.shift)
            except (ValueError, OverflowError):
                break
    raise ConfigError(
        f"{wanted} cannot be filled in: {text!r:.80} is nothing to count on from",
        hint="That can be a whole number, a day (2013-01-31), a month (2013-01), an hour (2013-01-31T19) or a minute (2013-01-31T1907).",
    )


# -- checks when a trigger is defined -----------------------------------------------------------------


def check_roots(template: Template, roots: Mapping[str, frozenset[str] | None] | Iterable[str], where: str) -> None:
    """Whether a trigger has what a template speaks of. roots: as ``triggers.fields_of`` tells, or their names alone."""
    known = roots if isinstance(roots, Mapping) else dict.fromkeys(roots)
    for each in template.expressions:
        if each.root not in known:
            raise ConfigError(
                f"{where}: {each} is of {ROOTS[each.root]}, and this trigger has {' and '.join(map(repr, known)) or 'no facts'}",
                hint=f"Write {', '.join(f'{{{root}.NAME}}' for root in known)} or a value." if known else None,
            )
        fields = frozenset(FIRE) if each.root == "fire" else known[each.root]
        if fields is not None and each.field not in fields:
            hint = did_you_mean(each.field, fields, f"{{{{{each.root}.{{}}}}}}") or f"There are {', '.join(sorted(fields))}."
            raise ConfigError(f"{where}: {each} cannot be: {each.root!r} has no {each.field!r}", hint=hint)


def check(
    params: Iterable[tuple[str, str]],
    kinds: Mapping[str, tuple[str, bool]],
    roots: Mapping[str, frozenset[str] | None] | Iterable[str],
    where: str = "trigger",
) -> None:
    """Whether templates make the parameters of a family. Raises ConfigError with the name, what was expected and what to write.

    kinds: each parameter's kind, and whether it has a default. Kinds are ``date hour minute second month year interval datetime int
    float bool text``, with a "?" behind it where None is a value, too; of any other one nothing is known, so anything may fit it.
    """
    known = roots if isinstance(roots, Mapping) else dict.fromkeys(roots)
    given = dict(params)
    for name, text in given.items():
        if name not in kinds:
            has = ", ".join(kinds) or "none"
            raise ConfigError(
                f"{where}: there is no parameter {name!r}; the parameters are {has}",
                hint=did_you_mean(name, kinds) or f"Leave {name} out.",
            )
        template = parse(text)
        check_roots(template, known, f"{where}: parameter {name}")
        _check_kind(name, template, kinds[name][0], known, where)
    missing = [name for name, (_, has_default) in kinds.items() if name not in given and not has_default]
    if missing:
        example = _example(missing[0], kinds[missing[0]][0].rstrip("?"), known)
        raise ConfigError(
            f"{where}: {' and '.join(missing)} {'has' if len(missing) == 1 else 'have'} no default and no value here",
            hint=f"Say what it is to be{' at each fire' if known else ''}, as in {example}.",
        )


def _check_kind(name: str, template: Template, kind: str, roots: Mapping[str, object], where: str) -> None:
    optional, kind = kind.endswith("?"), kind.rstrip("?")
    if kind not in READERS or kind == "text" or (optional and template.parts in ((), ("None",))):
        return
    alone = template.alone
    if alone is not None and alone.root != "fire":
        return  # texts that are known when they come
    if alone is not None:
        field = alone.field.rpartition(".")[2].replace("previous", "time")
        if kind not in MAKES[field]:
            makes = f"{alone} is {ARTICLES[MAKES[field][0]]}"
            raise ConfigError(f"{where}: parameter {name} is {ARTICLES[kind]}, and {makes}", hint=_fitting(name, kind, roots))
    elif any(each.root == "fire" for each in template.expressions):
        raise ConfigError(
            f"{where}: parameter {name} is {ARTICLES[kind]}, and {str(template)!r} is text with a fire time in it",
            hint=_fitting(name, kind, roots),
        )
    elif not template.expressions:
        _check_constant(name, template.fill({}), kind, roots, where)


def _check_constant(name: str, text: str, kind: str, roots: Mapping[str, object], where: str) -> None:
    try:
        READERS[kind](text)
    except ValueError:
        hint = _fitting(name, kind, roots)
        raise ConfigError(f"{where}: parameter {name} is {ARTICLES[kind]}, and {text!r:.80} is none", hint=hint) from None


def check_ranges(params: Mapping[str, str], kinds: Mapping[str, tuple[str, bool]], where: str) -> None:
    """Whether values of a family, which may be ranges ``A..B``, ``A..B/STEP`` or lists ``A,B``, fit it. Raises ConfigError.

    Both ends of a range must be of the parameter's kind, and the earlier one stand first. kinds: as ``check`` takes them.
    """
    firsts: dict[str, str] = {}
    for name, text in params.items():
        kind = kinds.get(name, ("", False))[0].rstrip("?")
        if kind in (*ORDERED, *LISTED):
            pieces = text.split(",")
            for piece in pieces if kind in ORDERED else ():
                _check_range(name, piece, kind, where)
            for piece in pieces if kind in LISTED else ():
                _check_constant(name, piece, kind, {}, where)
            text = pieces[0].partition("..")[0]
        firsts[name] = quote(text)
    check(firsts.items(), kinds, {}, where)


def _check_range(name: str, text: str, kind: str, where: str) -> None:
    first, dots, rest = text.partition("..")
    last, slash, step = rest.partition("/")
    if not dots:
        return
    for end in (first, last):
        _check_constant(name, end, kind, {}, f"{where}: {text!r:.80}")
    if slash and (re.fullmatch(r"\d{1,12}[smhdw]?", step, re.ASCII) is None or not int(step.rstrip("smhdw"))):
        raise ConfigError(
            f"{where}: parameter {name} is {text!r:.80}, and {step!r} is no step", hint="Such as FIRST..LAST/7 for each seventh."
        )
    try:
        turned = READERS[kind](first) > READERS[kind](last)  # type: ignore[operator]  # values of one kind in ORDERED
    except TypeError:
        raise ConfigError(
            f"{where}: parameter {name} is {text!r:.80}: one moment with a zone and one without", hint="Give both a zone, or none."
        ) from None
    if turned:
        hint = f"Write {name}={last}..{first}{slash}{step}; --newest-first begins at its end."
        raise ConfigError(f"{where}: parameter {name} is {text!r:.80}, whose end lies before its beginning", hint=hint)


def _fitting(name: str, kind: str, roots: Mapping[str, object]) -> str:
    return f"Write {_example(name, kind, roots)}."


def _example(name: str, kind: str, roots: Mapping[str, object]) -> str:
    if "fire" in roots:
        for field, makes in MAKES.items():
            if kind in makes and kind != "text":
                return f"{name}={{fire.{field}}}"
    for root in roots:
        if root != "fire":
            return f"{name}={{{root}.{name}}}"
    return f"{name}={EXAMPLES.get(kind, 'VALUE')}"


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return True


def _form(pattern: str) -> Callable[[str], object]:
    def read(text: str) -> object:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(text)
        return text

    return read


def _dated(pattern: str) -> Callable[[str], object]:
    """Reads numbers from the year down, which must be on the calendar and the clock."""

    def read(text: str) -> object:
        found = re.fullmatch(pattern, text, re.ASCII)
        if found is None:
            raise ValueError(text)
        year, *rest = map(int, found.groups())
        return datetime(year, *(rest + [1] * (2 - len(rest))))  # type: ignore[arg-type]  # no tzinfo

    return read


DAY_FORM = r"(\d{4})-(\d\d?)-(\d\d?)"
READERS: Mapping[str, Callable[[str], object]] = {
    "date": _dated(DAY_FORM),
    "hour": _dated(DAY_FORM + r"T(\d\d)"),
    "minute": _dated(DAY_FORM + r"T(\d\d)[:H]?(\d\d)"),
    "second": _dated(DAY_FORM + r"T(\d\d):?(\d\d):?(\d\d)"),
    "month": _dated(r"(\d{4})-(\d\d?)"),
    "year": _dated(r"(\d{4})"),
    "interval": _form(r"\d{4}.*"),
    "datetime": datetime.fromisoformat,
    "int": int,
    "float": float,
    "bool": _flag,
    "text": str,
}
"""The kinds that are known, and what reads their texts; the parameters themselves look more closely."""
ORDERED = ("date", "hour", "minute", "second", "month", "year", "datetime", "int")
LISTED = ("float", "bool")
"""Kinds of which there are ranges, and those of which there are lists alone."""
ARTICLES: Mapping[str, str] = {
    "date": "a day",
    "hour": "an hour",
    "minute": "a minute",
    "second": "a second",
    "month": "a month",
    "year": "a year",
    "interval": "an interval",
    "datetime": "a moment",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "text": "text",
}
EXAMPLES: Mapping[str, str] = {
    "date": "2013-01-31",
    "hour": "2013-01-31T19",
    "minute": "2013-01-31T1907",
    "second": "2013-01-31T190738",
    "month": "2013-01",
    "year": "2013",
    "interval": "2013-W05",
    "datetime": "2013-01-31T19:07:00+00:00",
    "int": "7",
    "float": "0.5",
    "bool": "true",
    "text": "TEXT",
}

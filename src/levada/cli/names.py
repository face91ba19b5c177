"""Finding a task of the past by what people write or paste: no module is imported for it.

Understood, the strictest first: the name as a screen shows it, with its parameters in any order
(``Sum(upto=3)``); a task id of Luigi's form; the start of a key (6 digits or more); a part of a name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .text import count, escape, one_line, shown_value

if TYPE_CHECKING:
    from .._model.ports import Attempt

LOOKED_AT = 10_000
"""Attempts among which a task is sought: the newest, and as many that failed."""

CANDIDATES = 10


def name_of(attempt: Attempt) -> str:
    """The attempt's task as people write it: positional order where its class is loaded, else as stored."""
    values = values_of(attempt)
    if values is None:
        return attempt.task
    names = _in_order(attempt.family, values)
    return f"{attempt.family}({', '.join(f'{name}={shown_value(values[name])}' for name in names)})"


def values_of(attempt: Attempt) -> dict[str, str] | None:
    """Parameter name -> text of its value; None where the text is none of ours."""
    import json

    try:
        return {name: str(value) for name, value in json.loads(attempt.task).items()}
    except (ValueError, AttributeError):
        return None


def _in_order(family: str, values: Mapping[str, str]) -> list[str]:
    from ..task import parameters_of

    module: Any = sys.modules.get("levada.task")
    cls = module.registry.families().get(family) if module is not None else None
    order = [name for name, _ in parameters_of(cls)] if cls is not None else []
    return sorted(values, key=lambda name: order.index(name) if name in order else len(order))


def parts_of(word: str, names: Iterable[str]) -> tuple[str, dict[str, str] | None]:
    """Family and values of ``Family(a=1, b=x, y)``; None for the values where the text is not of that form.

    names: the parameters there may be, since values may hold commas, too.

    >>> parts_of("Sum(b=x, y, a=1)", ["a", "b"])
    ('Sum', {'b': 'x, y', 'a': '1'})
    >>> parts_of("Sum(c=1)", ["a", "b"]), parts_of("Sum", [])
    (('Sum', None), ('Sum', None))
    """
    family, bracket, inside = word.partition("(")
    if not bracket or not inside.endswith(")"):
        return family, None
    inside = inside[:-1].strip()
    if not inside:
        return family, {}
    known = "|".join(sorted(map(re.escape, names), key=len, reverse=True)) or "(?!)"
    pieces = re.split(rf"(?:^|,\s*)({known})=", inside)
    if pieces[0] or len(pieces) < 3:
        return family, None
    return family, dict(zip(pieces[1::2], pieces[2::2], strict=True))


def meant(word: str, attempts: Iterable[Attempt]) -> list[Attempt]:
    """The newest attempt of each task that the word means. attempts: newest first."""
    newest: dict[bytes, Attempt] = {}
    for attempt in attempts:
        newest.setdefault(attempt.key, attempt)
    for reading in (_is_name, _is_task_id, _is_key, _is_part):
        found = [each for each in newest.values() if reading(word, each)]
        if found:
            return found
    return []


def choose(word: str, attempts: Sequence[Attempt]) -> Attempt:
    """The newest attempt of the one task that is meant. UsageError with what is near where it is none, or several."""
    found = meant(word, attempts)
    if len(found) == 1:
        return found[0]
    if not found:
        raise unknown(word, attempts)
    lines = [one_line(name_of(each)) for each in found[:CANDIDATES]]
    more = [f"and {len(found) - CANDIDATES:,} more"] if len(found) > CANDIDATES else []
    raise UsageError(f"{word!r} may mean {count(len(found), 'task')}", hint="\n  ".join(["Say which:", *lines, *more]))


def unknown(word: str, attempts: Iterable[Attempt]) -> UsageError:
    """The error for a word that names no task of the past, with the nearest families and names."""
    from .._model.spelling import did_you_mean

    known: dict[str, None] = {}
    for each in attempts:
        known.setdefault(each.family)
        if "(" in word and len(known) < 1000:
            known.setdefault(one_line(name_of(each)))
    hint = did_you_mean(word, known) or (did_you_mean(word.partition("(")[0], known) if "(" in word else None)
    families = ", ".join(sorted(name for name in known if "(" not in name)[:CANDIDATES])
    return UsageError(f"no attempt of {escape(word)!r} was recorded", hint=hint or f"There are attempts of {escape(families)}.")


def _is_name(word: str, attempt: Attempt) -> bool:
    if word == attempt.task:
        return True
    values = values_of(attempt) if word.startswith(attempt.family + "(") else None
    if values is None:
        return False
    given = parts_of(word, values)[1]
    return given is not None and given.keys() == values.keys() and all(_same(given[name], values[name]) for name in given)


def _same(given: str, value: str) -> bool:
    """Whether people may write a value so: ``60`` for ``60.0``.

    >>> _same("60", "60.0"), _same("6", "60.0"), _same("01", "1"), _same("x", "1.5")
    (True, False, False, False)
    """
    if given in (value, shown_value(value)):
        return True
    try:
        return "." in value and float(given) == float(value)
    except ValueError:
        return False


def _is_task_id(word: str, attempt: Attempt) -> bool:
    if not word.startswith(attempt.family + "_"):
        return False
    from hashlib import md5

    return word.endswith("_" + md5(attempt.task.encode(), usedforsecurity=False).hexdigest()[:10])


def _is_key(word: str, attempt: Attempt) -> bool:
    return len(word) >= 6 and attempt.key.hex().startswith(word)


def _is_part(word: str, attempt: Attempt) -> bool:
    """Some of the parameters, or any piece of the name."""
    if word in name_of(attempt):
        return True
    values = values_of(attempt) if word.startswith(attempt.family + "(") else None
    given = parts_of(word, values)[1] if values else None
    return bool(given) and all(_same(text, (values or {}).get(name, "")) for name, text in (given or {}).items())

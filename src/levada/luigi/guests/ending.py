"""How an attempt of Luigi ended, from the text that its worker sends: a traceback, or a sentence of the worker's own."""

from __future__ import annotations

import json
import os
import re
from hashlib import blake2b
from typing import Any, NamedTuple

from ..._model.status import ExitClass
from ..._wire.limits import TEXT

_LAST = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)")
_FRAME = re.compile(r'^  File "([^"]*)", line \d+, in (.+)$', re.MULTILINE)
_BEGIN = "Traceback (most recent call last):"


class Ended(NamedTuple):
    """errors: the exception's name, where one can be read. fingerprint: equal for one exception raised in one way of calls."""

    exit: ExitClass
    error: str = ""
    errors: tuple[str, ...] = ()
    fingerprint: str = ""


def ending(said: Any) -> Ended:
    """Exit class, text and exception of a failure.

    >>> told = ending(json.dumps("Runtime error:\\nTraceback (most recent call last):\\n  File ...\\nValueError: no rows\\n"))
    >>> told.exit, told.errors, told.error.splitlines()[0]
    (<ExitClass.USER: 'user'>, ('ValueError',), 'Traceback (most recent call last):')
    >>> ending("Task X died unexpectedly with exit code -9").exit
    <ExitClass.LOST_PROCESS: 'lost-process'>
    """
    text = _text(said)
    lines = text.rstrip().splitlines()
    if len(lines) == 1 and "died unexpectedly with exit code" in text:
        return Ended(ExitClass.LOST_PROCESS, text)
    if len(lines) == 1 and "timed out after" in text and "was terminated" in text:
        return Ended(ExitClass.TIMEOUT, text)
    if _BEGIN not in text:
        return Ended(ExitClass.USER, text)
    found = _LAST.match(lines[-1])
    errors = (found[1],) if found else ()
    return Ended(ExitClass.USER, text[text.index(_BEGIN) :] if text.index(_BEGIN) < 100 else text, errors, _fingerprint(text, errors))


def _fingerprint(text: str, errors: tuple[str, ...]) -> str:
    """16 hex digits of the exception and where it came from; values and line numbers do not count."""
    places = [f"{os.path.basename(file)}:{name}" for file, name in _FRAME.findall(text)[-8:]]
    return blake2b("\n".join((*errors, *places)).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def _text(said: Any) -> str:
    """The words, without the JSON that Luigi wraps them in; the end of long ones, where the exception stands."""
    if isinstance(said, str):
        try:
            inner = json.loads(said)
        except ValueError:
            inner = said
        said = inner if isinstance(inner, str) else said
    text = "" if said is None else str(said)
    text = text.encode("utf-8", "replace").decode().replace("\0", "")  # what JSON inside of JSON may have escaped
    return text if len(text) <= TEXT // 4 else "..." + text[-TEXT // 4 + 3 :]

"""How an attempt of Luigi ended, from the text that its worker sends: a traceback, or a sentence of the worker's own."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from ..._model.status import ExitClass
from ..._wire.limits import TEXT

_LAST = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)")


class Ended(NamedTuple):
    """errors: the exception's name, where one can be read."""

    exit: ExitClass
    error: str
    errors: tuple[str, ...]


def ending(said: Any) -> Ended:
    """Exit class, text and exception of a failure.

    >>> ending(json.dumps("Runtime error:\\nTraceback (most recent call last):\\n  File ...\\nValueError: no rows\\n"))[::2]
    (<ExitClass.USER: 'user'>, ('ValueError',))
    >>> ending("Task X died unexpectedly with exit code -9").exit
    <ExitClass.LOST_PROCESS: 'lost-process'>
    """
    text = _text(said)
    if "died unexpectedly with exit code" in text and "\n" not in text.strip():
        return Ended(ExitClass.LOST_PROCESS, text, ())
    if "timed out after" in text and "was terminated" in text and "\n" not in text.strip():
        return Ended(ExitClass.TIMEOUT, text, ())
    lines = text.rstrip().splitlines()
    found = _LAST.match(lines[-1]) if lines and "Traceback" in text else None
    return Ended(ExitClass.USER, text, (found[1],) if found else ())


def _text(said: Any) -> str:
    """The words, without the JSON that Luigi wraps them in; the end of long ones, where the exception stands."""
    if isinstance(said, str):
        try:
            inner = json.loads(said)
        except ValueError:
            inner = said
        said = inner if isinstance(inner, str) else said
    text = "" if said is None else str(said)
    text = text.replace("\0", "")
    return text if len(text) <= TEXT // 4 else "..." + text[-TEXT // 4 + 3 :]

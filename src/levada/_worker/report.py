"""Words for what went wrong in an attempt. Imported when the first attempt fails, never before.

Only text leaves the process that ran a task: whatever an exception is made of, it can be told. No
locals, no secrets, no frames of the engine, and never an exception from here.
"""

from __future__ import annotations

import errno
import os
import traceback
from types import TracebackType
from typing import Any

from .._model.status import ExitClass
from .._model.values import NamedTuple
from ..errors import EngineUnreachable, JobFailed, TargetUnreachable, TargetWriteError
from .executor import LONGEST_ERROR

LONGEST_MESSAGE = 500
_SHORTEST_SECRET = 3  # characters; masking "1" or "no" would make every report unreadable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_AWAY = frozenset({errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT, errno.ENETDOWN, errno.EHOSTUNREACH})
_STORE_TROUBLE = _FULL | _AWAY | {errno.EIO, errno.EROFS}
_HERE = os.path.dirname(os.path.abspath(__file__))
_ENGINE = (_HERE + os.sep, os.sep + os.path.join("asyncio", ""))
_WAITS = tuple(os.path.join(os.path.dirname(_HERE), room, "") for room in ("handover", "_model"))  # between a task and its job


class Failure(NamedTuple):
    """An exception as text."""

    error: str
    errors: tuple[str, ...]
    fingerprint: str
    message: str


def exit_of(error: BaseException) -> ExitClass:
    """INFRA when the store, the disk or the engine of a job is to blame, USER for everything else that run() raises."""
    if isinstance(error, (TargetUnreachable, EngineUnreachable)) or (isinstance(error, JobFailed) and error.state == "forgotten"):
        return ExitClass.INFRA
    if isinstance(error, OSError):
        number = error.errno or getattr(error.__cause__, "errno", None)
        if number in _FULL:
            return ExitClass.INFRA
        if isinstance(error, TargetWriteError) and (number is None or number in _STORE_TROUBLE):
            return ExitClass.INFRA
    return ExitClass.USER


def describe(error: BaseException, task: Any = None, said: object = None) -> Failure:
    """The exception as a Failure. said: what the task's ``on_failure`` answered, added to the text."""
    trace = _trace_of(error)
    text = _traceback(error, trace)
    if isinstance(said, str) and said.strip() and said.strip() not in text:
        text = f"{text.rstrip()}\n\n{said}"
    secrets = _secrets(task)
    message = clean(mask(_headline(error), secrets))[:LONGEST_MESSAGE]
    return Failure(cut(clean(mask(text, secrets))), names(type(error)), fingerprint(error, trace), message)


def stopped(error: BaseException, message: str, task: Any = None) -> Failure:
    """An attempt that was stopped from outside, as a Failure: why, then where it stood."""
    trace = _trace_of(error)
    places = traceback.extract_tb(trace)
    while places and _is_engine(places[-1].filename):
        places.pop()  # the handler that stopped it
    text = f"{message}\n\nTraceback (most recent call last):\n{''.join(places.format())}" if places else f"{message}\n"
    return Failure(cut(clean(mask(text, _secrets(task)))), names(type(error)), fingerprint(error, trace), message)


def told(text: str, task: Any) -> str:
    """The text as it may leave the process: without the task's secrets, not too long."""
    return cut(clean(mask(text, _secrets(task))))


def own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is not the engine's."""
    while trace is not None and _is_engine(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def _trace_of(error: BaseException) -> TracebackType | None:
    try:
        return own_frames(error.__traceback__)
    except Exception:  # its class answers questions with errors
        return None


def _is_engine(file: str) -> bool:
    return file.startswith((_HERE, *_WAITS)) or _ENGINE[1] in file


def names(cls: type[BaseException]) -> tuple[str, ...]:
    """``("Timeout", "requests.exceptions.Timeout", "OSError", ...)``: what a retry policy may name.

    >>> names(KeyError)
    ('KeyError', 'LookupError', 'Exception', 'BaseException')
    """
    found = []
    for base in cls.__mro__[:-1]:
        found.append(base.__name__)
        if base.__module__ != "builtins":
            found.append(f"{base.__module__}.{base.__qualname__}")
    return tuple(dict.fromkeys(found))


def fingerprint(error: BaseException, trace: TracebackType | None) -> str:
    """16 hex digits: equal for the same class raised by the same way of calls; values and line numbers do not count."""
    from hashlib import blake2b

    places = [f"{type(error).__module__}.{type(error).__qualname__}"]
    for frame in _last(trace, 8):
        code = frame.tb_frame.f_code
        places.append(f"{os.path.basename(code.co_filename)}:{code.co_qualname}")
    return blake2b("\n".join(places).encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def _last(trace: TracebackType | None, count: int) -> list[TracebackType]:
    from collections import deque

    kept: deque[TracebackType] = deque(maxlen=count)
    while trace is not None:
        kept.append(trace)
        trace = trace.tb_next
    return list(kept)


def _traceback(error: BaseException, trace: TracebackType | None) -> str:
    try:
        return _explained(error) + "".join(traceback.TracebackException(type(error), error, trace, compact=True).format())
    except Exception as second:  # an exception class may break whatever it is asked
        places = "".join(traceback.format_tb(trace, limit=-20))
        return f"Traceback (most recent call last):\n{places}{_class(error)}: (could not be formatted: {_class(second)})\n"


def _explained(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"{_headline(error)}; an attempt ends by returning or by raising an error.\n"
    if type(error).__name__ == "BdbQuit" and not _asks_somebody():
        return "run() met a breakpoint where nobody can be asked; use --workers 1 --executor inline, or --pdb, on a terminal.\n"
    return ""


def _asks_somebody() -> bool:
    import sys

    try:
        return sys.stdin.isatty()
    except (AttributeError, ValueError):
        return False


def _headline(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"run() called sys.exit({_safe(error.code)})"
    if isinstance(error, KeyboardInterrupt):
        return "run() raised KeyboardInterrupt"
    lines = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines() if _printable(error) else []
    return lines[0] if lines else _class(error)


def _printable(error: BaseException) -> bool:
    try:
        str(error)
    except Exception:
        return False
    return True


def _safe(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _class(error: BaseException) -> str:
    return type(error).__name__


def _secrets(task: Any) -> list[str]:
    try:
        from ..task import Task, secret_values

        return secret_values(task) if isinstance(task, Task) else []
    except Exception:
        return []


def mask(text: str, secrets: list[str]) -> str:
    """The text with ``***`` for each secret, also where it stands escaped in a repr."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            for form in {secret, repr(secret)[1:-1]}:
                text = text.replace(form, "***")
    return text


def clean(text: str) -> str:
    """The text as valid UTF-8 without NUL: file names and messages may hold bytes that no store takes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def cut(text: str, most: int = LONGEST_ERROR) -> str:
    r"""Head and tail of a text that is too long: the cause stands at the end, the way there at the start.

    >>> cut("abcdefghij" * 20, most=60)
    'abc\n... 188 characters left out ...\nbcdefghij'
    """
    if len(text) <= most:
        return text
    room = most - 48  # the note needs less than 48
    head = room // 4
    tail = len(text) - (room - head)
    return f"{text[:head]}\n... {tail - head} characters left out ...\n{text[tail:]}"

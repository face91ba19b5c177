"""Clients of MongoDB: one a URL and process; their errors in our words. Nothing else of the house imports pymongo when it is loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from levada._model import forks
from levada.errors import TargetError, TargetUnreachable, TargetWriteError

CONNECTING = 10_000  # milliseconds until a server is given up

_clients: dict[str, Any] = {}
_inherited: list[dict[str, Any]] = []  # of the process that this one was forked from
_making = Lock()


def _forked() -> None:
    global _clients, _making
    _inherited.append(_clients)
    _clients, _making = {}, Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def database(url: str) -> Any:
    """The database that a URL names. Raises TargetError: pymongo is not installed, or the URL names none."""
    found = _clients.get(url)
    if found is None:
        with _making:
            found = _clients.get(url)
            if found is None:  # pymongo's databases have no truth
                found = _clients[url] = _make(url)
    return found


def _make(url: str) -> Any:
    try:
        import pymongo
        from pymongo.errors import PyMongoError
    except ImportError as cause:
        raise TargetError(f"{shown(url)}: needs pymongo, which is not installed", hint='pip install "levada[mongodb]"') from cause
    forks.forbid("pymongo")  # its threads live from here on, and not in a forked child
    options: dict[str, Any] = {} if "serverSelectionTimeoutMS" in url else {"serverSelectionTimeoutMS": CONNECTING}
    made: Any = None
    try:
        made = pymongo.MongoClient(url, **options)
        return made.get_default_database()
    except (PyMongoError, ValueError, TypeError) as cause:
        if made is not None:
            made.close()
        hint = "It looks like mongodb://HOST:27017/DATABASE."
        raise TargetError(f"{shown(url)}: is no URL of a database of MongoDB: {type(cause).__name__}", hint=hint) from None


def shown(url: str) -> str:
    """The URL without user, password and options."""
    return re.sub(r"//[^/]*@", "//", url).partition("?")[0]


@contextmanager
def asking(target: object) -> Iterator[None]:
    """A question: what the client raises becomes TargetUnreachable."""
    try:
        yield
    except TargetError:
        raise
    except Exception as cause:
        raise TargetUnreachable(target, _words(cause), hint=_hint(cause)) from cause


@contextmanager
def writing(target: object) -> Iterator[None]:
    """A write: what the client raises becomes TargetWriteError."""
    from pymongo.errors import PyMongoError

    try:
        yield
    except PyMongoError as cause:
        raise TargetWriteError(f"{target}: {_words(cause)}", hint=_hint(cause)) from cause


def _words(cause: BaseException) -> str:
    return str(cause).partition(", Timeout:")[0].partition(", full error:")[0][:500]


def _hint(cause: BaseException) -> str:
    if re.search("auth|not allowed|unauthorized", str(cause), re.IGNORECASE):
        return "Look at user and password in the URL, and at what that user may do."
    return "Is the server up, and are host and port of the URL right?"

"""Which verbs a scheduler answers over a wire, and the methods that send them."""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

Verb = TypeVar("Verb", bound=Callable[..., Any])

RPC_METHODS: dict[str, Callable[..., Any]] = {}
"""By name: a method for any object with ``_request(path, arguments, **options)``."""


class Guard:
    """One caller at a time; a forked child begins with a free one, and so does a copy that was pickled."""

    def __init__(self) -> None:
        self._lock, self._pid = threading.RLock(), os.getpid()

    def __enter__(self) -> None:
        if os.getpid() != self._pid:
            self._lock, self._pid = threading.RLock(), os.getpid()
        self._lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Guard], tuple[()]]:
        return Guard, ()


def rpc_method(**options: Any) -> Callable[[Verb], Verb]:
    """Enter a method of a scheduler into RPC_METHODS; options: handed to ``_request`` at each call of the entry.

    Where the scheduler has a ``_guard``, its methods take turns: a worker pings from a thread of its own.
    """

    def enter(verb: Verb) -> Verb:
        signature = inspect.signature(verb)
        name = verb.__name__

        @functools.wraps(verb)
        def ask(self: Any, *args: Any, **named: Any) -> Any:
            bound = signature.bind(self, *args, **named)
            bound.apply_defaults()
            arguments: dict[str, Any] = {}
            for place, (argument, value) in enumerate(bound.arguments.items()):
                if signature.parameters[argument].kind is inspect.Parameter.VAR_KEYWORD:
                    arguments.update(value)
                elif place:
                    arguments[argument] = value
            return self._request(f"/api/{name}", arguments, **options)

        @functools.wraps(verb)
        def in_turn(self: Any, *args: Any, **named: Any) -> Any:
            guard: Guard | None = getattr(self, "_guard", None)
            if guard is None:
                return verb(self, *args, **named)
            with guard:
                return verb(self, *args, **named)

        RPC_METHODS[name] = ask
        return cast(Verb, in_turn)

    return enter

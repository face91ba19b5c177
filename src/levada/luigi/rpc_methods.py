"""Which verbs a scheduler answers over a wire, and the methods that send them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Verb = TypeVar("Verb", bound=Callable[..., Any])

RPC_METHODS: dict[str, Callable[..., Any]] = {}
"""By name: a method for any object with ``_request(path, arguments, **options)``."""


def rpc_method(**options: Any) -> Callable[[Verb], Verb]:
    """Enter a method of a scheduler into RPC_METHODS, as it is; options: handed to ``_request`` at each call of the entry."""

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

        RPC_METHODS[name] = ask
        return verb

    return enter

"""A small host for the HTTP layer: a thread, a mailbox with lanes, canned answers. It keeps the promises of the port."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

import msgspec
from msgspec import inspect

from levada._server.http.port import Call, Health, Sample
from levada._server.http.tokens import TokenTable, digest_of
from levada._store.ports import TokenRow
from levada._wire import messages as m
from levada._wire.kinds import Answer
from levada._wire.operators import Event
from levada._wire.problems import Refusal
from levada._wire.routes import Lane
from levada.errors import LevadaError

TOKENS = {role: f"lvd_{role:_<40}" for role in ("viewer", "operator", "worker", "admin")}


def row(role: str, text: str, **more: Any) -> TokenRow:
    fields: dict[str, Any] = {"namespace": "", "label": "", "created": 0.0, "expires": None, "used": None, "revoked": None, **more}
    return TokenRow(f"id-{role}", digest_of(text), role, **fields)


def example(kind: inspect.Type | Any) -> Any:
    """Some value of a type, in plain data."""
    if isinstance(kind, inspect.Metadata):
        return example(kind.type)
    if isinstance(kind, inspect.StructType):
        if kind.array_like:
            return [example(field.type) for field in kind.fields]
        return {field.encode_name: example(field.type) for field in kind.fields if field.required}
    if isinstance(kind, inspect.UnionType):
        return None
    if isinstance(kind, inspect.ListType):
        return []
    if isinstance(kind, inspect.DictType):
        return {}
    return {inspect.BoolType: False, inspect.IntType: 0, inspect.FloatType: 0.0, inspect.StrType: ""}[type(kind)]


class FakeHost:
    """Answers in a thread of its own. ``answers``: what to say to a type of request, else an example of its answer's type."""

    def __init__(self) -> None:
        self.tokens = TokenTable(row(role, text) for role, text in TOKENS.items())
        self.calls: list[Call] = []
        self.changed: list[Call] = []
        self.answers: dict[type, Callable[[Any], Answer | bytes | LevadaError]] = {}
        self.held: list[Call] = []
        self.full = False
        self.holds = True  # whether a wait is kept
        self.state = Health(True, True)
        self.delay = 0.0
        self._listeners: list[Callable[[Sequence[Event]], None]] = []
        self._order = count()
        self._mailbox: queue.PriorityQueue[tuple[int, int, Call | None]] = queue.PriorityQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def submit(self, call: Call) -> None:
        if self.full and call.route.lane is not Lane.URGENT:
            raise Refusal("busy", "the mailbox is full", retry_after=1)
        self._mailbox.put((int(call.route.lane), next(self._order), call))

    def health(self) -> Health:
        return self.state

    def watch(self, listener: Callable[[Sequence[Event]], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def samples(self) -> Iterable[Sample]:
        return [Sample("tasks", "gauge", "Tasks by status.", 3, (("status", "ready"),)), Sample("commits", "counter", "Commits.", 7)]

    def tell(self, *events: Event) -> None:
        for listener in list(self._listeners):
            listener(events)

    def close(self) -> None:
        self._mailbox.put((9, next(self._order), None))
        self._thread.join(5)

    def _run(self) -> None:
        while (call := self._mailbox.get()[2]) is not None:
            if self.delay and call.route.lane is not Lane.URGENT:
                time.sleep(self.delay)
            self.calls.append(call)
            if call.route.changes:
                self.changed.append(call)
            if self.holds and isinstance(call.request, m.Sync) and call.request.wait:
                self.held.append(call)
            else:
                call.answer(self._answer(call))

    def _answer(self, call: Call) -> Answer | bytes | LevadaError:
        made = self.answers.get(type(call.request))
        if made is not None:
            return made(call.request)
        return msgspec.convert(example(inspect.type_info(call.route.answer)), call.route.answer)

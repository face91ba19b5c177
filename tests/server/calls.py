"""Talk to a host without HTTP."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import msgspec

from levada._server.host import Host
from levada._server.http.port import Call
from levada._server.http.tokens import Identity
from levada._wire import messages as w
from levada._wire.kinds import Held
from levada._wire.routes import ROUTES
from levada.errors import LevadaError

_numbers = itertools.count(1)


def ask(host: Host, request: Any, *, role: str = "admin", token: str = "t", timeout: float = 20.0) -> Any:
    """The answer as plain values. Raises what the host refuses with."""
    route = next(route for route in ROUTES if route.request is type(request))
    got: list[Any] = []
    there = threading.Event()

    def deliver(call: Call, result: Any) -> None:
        got.append(result)
        there.set()

    host.submit(Call(route, request, Identity(role, token, "", "test"), size=100, deliver=deliver))
    assert there.wait(timeout), f"no answer to {request}"
    if isinstance(got[0], LevadaError):
        raise got[0]
    return msgspec.json.decode(got[0] if isinstance(got[0], bytes) else msgspec.json.encode(got[0]))


def key_of(number: int) -> str:
    return f"{number:032x}"


class Worker:
    """A session that makes independent tasks."""

    def __init__(self, host: Host) -> None:
        self.host, self.seq = host, 0
        self.session = f"{next(_numbers):032x}"
        ask(host, w.Hello(session=self.session, wire=[1], levada="test"))

    def numbered(self, kind: Any, **fields: Any) -> Any:
        self.seq += 1
        return ask(self.host, kind(session=self.session, seq=self.seq, **fields))

    def add(self, *numbers: int) -> Any:
        return self.numbered(
            w.AddTasks,
            policies=[w.PolicySpec(family="Test")],
            tasks=[w.TaskItem(key=key_of(number), policy=0, params="{}") for number in numbers],
            growth=[w.GrowthItem(key=key_of(number)) for number in numbers],
        )

    def make(self, *numbers: int) -> None:
        """Register, claim, report."""
        self.add(*numbers)
        granted = self.numbered(w.Sync, room=len(numbers)).get("granted", [])
        assert sorted(row[0] for row in granted) == sorted(map(key_of, numbers))
        self.numbered(w.Sync, done=[Held(*row[:3]) for row in granted])

"""The real host over a real store, asked without HTTP: a call, and its answer."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from levada._server.host import Host, Rules
from levada._server.http.port import Call, Repeat
from levada._server.http.tokens import Identity
from levada._store.memory import Disk, MemoryStore
from levada._store.opening import open_store
from levada._store.ports import Store
from levada._wire import kinds
from levada._wire import messages as w
from levada._wire import operators as o
from levada._wire.check import check
from levada._wire.kinds import Request
from levada._wire.problems import Refusal
from levada._wire.routes import BY_REQUEST
from levada.errors import LevadaError

KINDS = ("memory", "sqlite")
S1, S2 = "1" * 32, "2" * 32


def key(number: int) -> str:
    return f"{number:032x}"


class Place:
    """Where a store is, from one start to the next."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.disk = Disk()

    def store(self) -> Store:
        return MemoryStore(self.disk) if self.kind == "memory" else open_store(str(self.folder / "levada.db"), synchronous="normal")


class Served:
    """A host that runs. Refusals are raised. ``again``: its process died, another starts."""

    def __init__(self, place: Place, **rules: float) -> None:
        self.place, self.rules = place, rules
        self.numbers: dict[str, Iterator[int]] = {}
        self._start()

    def _start(self) -> None:
        self.host = Host(self.place.store(), Rules(**self.rules), version="9.9")
        self.host.start("test")

    def again(self) -> None:
        self.host.stop()
        self._start()

    def begin(self, request: Request, *, role: str = "admin", token: str = "t1", repeat: str = "") -> queue.SimpleQueue[Any]:
        """Send a call; where its answer arrives."""
        check(request, may_hold_nul=True)
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        again = Repeat(f"{token}:{repeat}", sha256(repr(request).encode()).digest()) if repeat else None
        identity = Identity(role, token, "", "127.0.0.1")
        call = Call(BY_REQUEST[type(request)], request, identity, size=0, deliver=lambda _, result: answers.put(result), repeat=again)
        self.host.submit(call)
        return answers

    def ask(self, request: Request, **who: str) -> Any:
        """The answer as its JSON tells it, with names of fields as attributes."""
        return heard(self.begin(request, **who))

    # -- what workers do

    def hello(self, session: str = S1, **more: Any) -> Any:
        answer = self.ask(w.Hello(session=session, wire=[1], levada="9.9", host="w.example", pid=7, **more), role="worker", token="w")
        self.numbers[session] = count(answer.seq + 1)
        return answer

    def add(
        self,
        tasks: dict[int, list[int]],
        family: str = "A",
        session: str = S1,
        *,
        params: Callable[[int], str] = "{{}}".format,
        **policy: Any,
    ) -> None:
        if session not in self.numbers:
            self.hello(session)
        spec = msgspec.convert({"family": family, **policy}, w.PolicySpec)
        items = [msgspec.convert([key(one), 0, params(one)], w.TaskItem) for one in tasks]
        growth = [msgspec.convert([key(one), "".join(map(key, needs)), True], w.GrowthItem) for one, needs in tasks.items()]
        self.work(w.AddTasks, session, policies=[spec], tasks=items, growth=growth)

    def claim(self, room: int = 1, session: str = S1, **reports: Any) -> list[int]:
        return [int(row[0], 16) for row in self.work(w.Sync, session, room=room, **reports).get("granted", ())]

    def done(self, *tasks: int, session: str = S1) -> Any:
        return self.work(w.Sync, session, done=[kinds.Held(key(one), *self.fence(one)) for one in tasks])

    def fail(self, task: int, error: str = "ValueError: no flights", session: str = S1, final: bool = True) -> Any:
        epoch, number = self.fence(task)
        attempt = msgspec.convert([key(task), "A", "{}", number, 1.0, 2.0, "user", error], w.AttemptItem)
        failed = msgspec.convert({"key": key(task), "epoch": epoch, "number": number, "exit": "user", "final": final}, w.FailedItem)
        return self.work(w.Sync, session, failed=[failed], attempts=[attempt])

    def work(self, kind: Any, session: str = S1, **fields: Any) -> Any:
        return self.ask(kind(session=session, seq=next(self.numbers[session]), **fields), role="worker", token="w")

    def fence(self, task: int) -> tuple[int, int]:
        found = self.ask(o.Task(key(task)))
        return found.epoch, found.number

    def status(self, task: int) -> str:
        return str(self.ask(o.Task(key(task))).task.status)

    def trail(self) -> list[Any]:
        """Lines of operators in the audit trail, oldest first."""
        return [line for line in reversed(self.ask(o.Audit()).lines) if line.action not in ("hello", "bye")]


def heard(answers: queue.SimpleQueue[Any], seconds: float = 10.0) -> Any:
    result = answers.get(timeout=seconds)
    if isinstance(result, LevadaError):
        raise result
    data = result if isinstance(result, bytes) else msgspec.json.encode(result)
    return json.loads(data, object_hook=Fields)


class Fields(dict):  # type: ignore[type-arg]
    """JSON with names as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@contextmanager
def served(kind: str, folder: Path, **rules: float) -> Iterator[Served]:
    made = Served(Place(kind, folder), **rules)
    try:
        yield made
    finally:
        made.host.stop()


def refusal(answers: Callable[[], Any]) -> str:
    """The code with which something is refused."""
    try:
        answers()
    except Refusal as refused:
        return refused.code
    return "not refused"

"""The way back from the host's thread to the loop's: many answers, one wake-up."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator

from ..._wire.kinds import Answer
from ..._wire.problems import Refusal
from ...errors import LevadaError
from .port import Call

Result = Answer | bytes | LevadaError


class Waiting(Call):
    """A call whose answer a coroutine waits for. deadline: of the loop's clock."""

    __slots__ = ("deadline", "future")

    deadline: float
    future: asyncio.Future[Result]


class Outbox:
    """Answers that were given and not yet handed to who waits for them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._left: deque[tuple[Call, Result]] = deque()
        self._woken = False
        self._waiting: set[Waiting] = set()

    def __len__(self) -> int:
        """Calls that wait for the host."""
        return len(self._waiting)

    def expect(self, call: Waiting, seconds: float) -> asyncio.Future[Result]:
        """The future of a call's answer. In the loop's thread."""
        call.future = self._loop.create_future()
        call.deadline = self._loop.time() + seconds
        self._waiting.add(call)
        return call.future

    def forget(self, call: Waiting) -> None:
        """Nobody waits any more."""
        self._waiting.discard(call)

    def deliver(self, call: Call, result: Result) -> None:
        """Hand an answer over. From any thread; in the loop's own it is there at once."""
        if threading.get_ident() == self._thread:
            future: asyncio.Future[Result] = call.future  # type: ignore[attr-defined]  # only Waiting comes here
            if not future.done():
                future.set_result(result)
            return
        self._left.append((call, result))
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._flush)
            except RuntimeError:  # the loop is closed: nobody waits
                self._left.clear()

    def _flush(self) -> None:
        self._woken = False  # before the queue is read: what comes later wakes again
        for call, result in self._taken():
            future: asyncio.Future[Result] = call.future  # type: ignore[attr-defined]  # only Waiting comes here
            if not future.done():
                future.set_result(result)

    def _taken(self) -> Iterator[tuple[Call, Result]]:
        while self._left:
            yield self._left.popleft()

    def sweep(self) -> None:
        """Answer calls whose time is over. Asked about each second."""
        now = self._loop.time()
        for call in [call for call in self._waiting if call.deadline < now]:
            if not call.future.done():
                call.future.set_result(
                    Refusal("late", "the server did not answer in time", hint="Repeat the request: it has no second effect.")
                )

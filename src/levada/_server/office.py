"""What waits beside the drains: questions to the store in a thread of their own, backups in another, and clients that wait for a log.

Laws: nobody who reads makes a claim wait; an answer that needs the brain is put together in the host's thread; every line
of waiting has a bound.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from .._store.memory import MemoryReader
from .._store.ports import Reading
from .._wire.kinds import Answer, Request
from .._wire.problems import Refusal
from ..errors import LevadaError, StoreError
from .http.port import Call
from .logbook import Book
from .polls import Polls
from .scroll import Scroll

if TYPE_CHECKING:
    from .desk import Desk
    from .host import Host

QUESTIONS = 1_000  # that wait for the store
log = logging.getLogger("levada.server")
Found = TypeVar("Found")
Result = Answer | bytes | LevadaError
_encode = msgspec.json.Encoder().encode


class Continued:
    """Stands in a call where its request was, when what it asked for elsewhere is there. then: goes on in the host's thread."""

    __slots__ = ("asked", "then")

    def __init__(self, asked: Request, then: Callable[[Desk], Answer | bytes | None]) -> None:
        self.asked, self.then = asked, then


def asked_by(call: Call) -> Any:
    """The client's request of a call, continued or not."""
    request: Any = call.request
    return request.asked if isinstance(request, Continued) else request


def go_on(desk: Desk, call: Call) -> Answer | bytes | None:
    """Handle a continued call."""
    return cast("Continued", call.request).then(desk)


class Office:
    """One host's. folder: where backups go; "": beside a store that is a file."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.folder = ""
        self.polls = Polls()
        self.scroll = Scroll()
        self.book = Book()
        self._reader: Reading | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._lock = Lock()
        self._asked = 0
        self._backup = False

    def open(self) -> None:
        """Begin, after the store was taken over."""
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="levada-read")
        self.scroll.continue_from(self._host.store)

    def close(self) -> None:
        """End. Harmless to repeat."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.submit(self._drop_reader)
            threads.shutdown(wait=True)

    def refuse(self, refusal: LevadaError) -> None:
        """Answer everybody who waits for a log."""
        for poll in self.polls.take_all():
            poll.call.answer(refusal)

    # -- questions

    def ask(
        self,
        call: Call,
        question: Callable[[Reading], Found],
        then: Callable[[Desk, Found], Answer | bytes | None] | None = None,
    ) -> None:
        """Ask the store in the reader's thread. Its answer is the client's, or goes to ``then`` in the host's thread.

        Raises Refusal ``busy`` when too many wait.
        """
        with self._lock:
            if self._asked >= QUESTIONS or self._threads is None:
                raise Refusal("busy", f"{self._asked:,} questions wait for the store", hint="Ask again in a moment.", retry_after=1.0)
            self._asked += 1
        if isinstance(self._host.store, MemoryReader):  # no connection of its own to read by
            self._answer(call, question, then)
        else:
            self._threads.submit(self._answer, call, question, then)

    def _answer(
        self, call: Call, question: Callable[[Reading], Found], then: Callable[[Desk, Found], Answer | bytes | None] | None
    ) -> None:
        try:
            found = question(self._reading())
            if then is None:
                call.answer(found if isinstance(found, (bytes, LevadaError)) else _encode(found))
            else:
                self.put_back(call, lambda desk: then(desk, found))
        except LevadaError as refused:
            if isinstance(refused, StoreError):
                self._drop_reader()
            call.answer(refused)
        except Exception:
            log.exception("a question to the store failed", extra={"route": str(call.route)})
            call.answer(Refusal("internal", "the server made a mistake; it is in its log"))
        finally:
            with self._lock:
                self._asked -= 1

    def _reading(self) -> Reading:
        if self._reader is None:
            self._reader = self._host.store.reader()
        return self._reader

    def _drop_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(StoreError):
                reader.close()

    def put_back(self, call: Call, then: Callable[[Desk], Answer | bytes | None]) -> None:
        """Let a call go on in the host's thread, in the lane of its route; from any thread."""
        request = cast("Request", Continued(asked_by(call), then))
        try:
            self._host.submit(
                Call(call.route, request, call.identity, size=0, deliver=lambda _, result: call.answer(result), repeat=call.repeat)
            )
        except LevadaError as refused:
            call.answer(refused)

    # -- backups

    def back_up(self, call: Call, write: Callable[[], Found], then: Callable[[Desk, Found], Answer]) -> None:
        """Run ``write`` in a thread of its own, one at a time. Raises Refusal ``conflict`` while another runs."""
        from threading import Thread

        if self._backup:
            raise Refusal("conflict", "a backup is being written", hint="Ask again when it is done.", retry_after=5.0)
        self._backup = True

        def run() -> None:
            try:
                written = write()
                self.put_back(call, lambda desk: then(desk, written))
            except LevadaError as refused:
                call.answer(refused)
            except Exception:
                log.exception("a backup failed")
                call.answer(Refusal("internal", "the server made a mistake; it is in its log"))
            finally:
                self._backup = False

        Thread(target=run, name="levada-backup", daemon=True).start()

"""A session: numbered requests, one at a time, each repeated unchanged until it is answered.

The caller never waits longer than it says. While the server is away every ``poll`` comes back at once,
and tries again when the time of the backoff has come.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from .._wire import limits
from .._wire import messages as w
from ..errors import Refused, SchedulerError, ServerUnreachable
from .address import Address
from .clock import backoff, boottime
from .outbox import Parcel
from .transport import ANSWER_TIMEOUT, CONNECT_TIMEOUT, ELSEWHERE, STRANGER, Transport, trusting

TASKS, REPORTS, BYE = range(3)
"""Kinds of numbered requests."""

log = logging.getLogger("levada.client")

_PATHS = ("/v1/tasks", "/v1/sync", "/v1/bye")
_ANSWERS: tuple[type[Any], ...] = (w.AddTasksAnswer, w.SyncAnswer, w.ByeAnswer)
_SLICE = 0.1  # seconds that a wait may keep a signal from being noticed
_OUT_OF_STEP, _CONFLICT = "out-of-step", "conflict"
A = TypeVar("A", bound=msgspec.Struct)


class Link(NamedTuple):
    """How to reach a server. ca: file of certificates to trust instead of the system's."""

    addresses: tuple[Address, ...]
    token: Callable[[], str] = str
    ca: str | None = None
    connect_timeout: float = CONNECT_TIMEOUT  # seconds
    answer_timeout: float = ANSWER_TIMEOUT  # seconds

    def open(self, agent: str = "levada") -> Transport:
        """A transport of one's own. Raises ConfigError where ``ca`` cannot be used."""
        tls = None
        if self.ca is not None:
            tls = trusting(self.ca)
        return Transport(
            self.addresses, token=self.token, tls=tls, agent=agent, connect_timeout=self.connect_timeout, answer_timeout=self.answer_timeout
        )


class Flight:
    """The outstanding request. first_sent: boottime clock; a lease that its answer grants began no earlier.

    asked: seconds that its body lets the server hold the answer; wait: those that it may be held still.
    """

    __slots__ = ("asked", "body", "first_sent", "parcel", "rejoined", "sent", "sent_at", "seq", "wait")

    def __init__(self, parcel: Parcel, seq: int, body: bytes, wait: float) -> None:
        self.parcel, self.seq, self.body, self.asked, self.wait = parcel, seq, body, wait, wait
        self.first_sent = 0.0
        self.sent = self.rejoined = False
        self.sent_at = 0.0  # monotonic clock

    def came_to_nothing(self) -> None:
        """To be sent again. Whoever gets it may see it for the first time, and hold it though it was recalled from another."""
        self.sent, self.wait = False, self.asked


class Session:
    """Numbers, sends and repeats. rejoined: called with the answer of each Hello after the first."""

    def __init__(
        self,
        link: Link,
        session: str,
        *,
        hello: dict[str, Any] | None = None,
        rejoined: Callable[[w.HelloAnswer], None] | None = None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.id = session
        self.flight: Flight | None = None
        self.epoch = 0
        self.seq = 0
        self.last_error: SchedulerError | None = None
        self.away_since: float | None = None  # monotonic clock: when the first of the failures in a row happened
        self.failed_at = 0.0  # boottime clock, of the last one
        self._hello = hello or {}
        self._rejoined = rejoined
        self._dice = dice
        self._failures = 0
        self._passed = 0  # addresses in a row whose server stands by
        self._retry_at = 0.0
        self._main, self._aside = link.open(), link.open()

    # -- opening

    def open(self, patience: float) -> w.HelloAnswer:
        """Say hello; tries for so many seconds. Raises ServerUnreachable, or Refused at once when the server says no."""
        until = time.monotonic() + patience
        while True:
            try:
                return self._say_hello()
            except SchedulerError as fault:
                if isinstance(fault, Refused) and fault.retry_after is None:
                    raise
                self._note_failure(fault)
                if self._retry_at >= until:
                    raise
                time.sleep(max(0.0, self._retry_at - time.monotonic()))

    def _say_hello(self) -> w.HelloAnswer:
        about = {"host": socket.gethostname()[: limits.NAME], "pid": os.getpid(), **self._hello}
        command = w.Hello(self.id, list(limits.VERSIONS), _version(), **about)
        answer = self.ask("/v1/hello", command, w.HelloAnswer)
        self.seq = answer.seq
        return answer

    # -- numbered requests

    def start(self, parcel: Parcel, wait: float = 0.0) -> None:
        """Make a request the outstanding one; it is sent by ``poll``. wait: seconds that the server may hold its answer."""
        if self.flight is not None:
            raise RuntimeError("a request is outstanding already")
        self.seq += 1
        self.flight = Flight(parcel, self.seq, self._body(self.seq, parcel), wait)

    def _body(self, seq: int, parcel: Parcel) -> bytes:
        text = b"," + parcel.text if parcel.text else b""
        return b'{"session":"%s","seq":%d%s}' % (self.id.encode(), seq, text)

    def poll(self, seconds: float) -> tuple[Flight, Any] | None:
        """The outstanding request and its answer; None when there is none within so many seconds.

        Raises Refused when the server will not have the request, whatever is done; then it is forgotten.
        """
        flight = self.flight
        if flight is None:
            return None
        until = time.monotonic() + seconds
        while True:
            try:
                if not self._has_answer(flight, until):
                    return None
                answer = self._answer(flight)
            except ServerUnreachable as away:
                flight.came_to_nothing()
                self._note_failure(away)
            except Refused as refusal:
                flight.came_to_nothing()
                self._judge(flight, refusal)
            else:
                self.flight = None
                self._note_success(answer.epoch)
                return flight, answer

    def _has_answer(self, flight: Flight, until: float) -> bool:
        if not flight.sent:
            if time.monotonic() < self._retry_at:
                return False
            self._send(flight)
        while not self._main.ready(min(_SLICE, max(0.0, until - time.monotonic()))):
            now = time.monotonic()
            if now > flight.sent_at + flight.wait + self._main.answer_timeout:
                address = self._main.address
                self._main.drop()
                self._main.turn()
                raise ServerUnreachable(f"{address}: no answer for {now - flight.sent_at:.0f} s")
            if now >= until:
                return False
        return True

    def _send(self, flight: Flight) -> None:
        flight.first_sent = flight.first_sent or boottime()
        self._main.begin(_PATHS[flight.parcel.kind], flight.body)
        flight.sent, flight.sent_at = True, time.monotonic()

    def _answer(self, flight: Flight) -> Any:
        body = self._main.read(self._main.finish())
        if self._aside.waiting and self._aside.ready(0):  # what was recalled is answered twice
            try:
                self._aside.finish()
            except SchedulerError:
                self._aside.drop()
        return self._decoded(body, _ANSWERS[flight.parcel.kind], self._main)

    def _decoded(self, body: bytes, kind: type[A], transport: Transport) -> A:
        """An answer; one that makes no sense is as good as none."""
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as cause:
            transport.drop()
            raise ServerUnreachable(f"{transport.address}: the answer makes no sense: {cause}", hint=STRANGER) from cause

    def _judge(self, flight: Flight, refusal: Refused) -> None:
        """What to do about a no: step in line, try later, or give the request up."""
        if refusal.code == _OUT_OF_STEP and not flight.rejoined:
            try:
                self._rejoin(flight)
            except SchedulerError as fault:
                self._note_failure(fault)
        elif refusal.code == _OUT_OF_STEP:
            flight.rejoined = False
            self._note_failure(refusal)
        elif refusal.code == _CONFLICT:
            self._retry_at = time.monotonic() + _SLICE  # an older copy of it, late on its way, was taken for the newer one
        elif refusal.status in ELSEWHERE and self._passed < self._main.others:
            self._passed += 1  # a standby, perhaps: the next address is asked at once
        elif refusal.retry_after is not None or refusal.status == 401:
            self._passed = 0
            self._note_failure(refusal)
        else:
            self.flight = None
            self.seq -= 1  # what is refused whole takes no number
            raise refusal

    def _rejoin(self, flight: Flight) -> None:
        """Learn which number was the last; a request that the server has never seen gets a new number."""
        answer = self._say_hello()
        flight.rejoined = True
        if answer.seq == flight.seq:
            return  # it has the answer; what that granted is among what we are said to hold
        flight.seq = self.seq = answer.seq + 1
        flight.body = self._body(flight.seq, flight.parcel)
        if self._rejoined is not None:
            self._rejoined(answer)

    def recall(self) -> None:
        """Have an answer that is held given now: the request is repeated, unchanged, over the other connection."""
        flight = self.flight
        if flight is None or not flight.sent or not flight.wait:
            return
        self._main, self._aside = self._aside, self._main
        flight.sent, flight.wait = False, 0.0

    # -- other requests

    def ask(self, path: str, command: msgspec.Struct, kind: type[A], seconds: float | None = None) -> A:
        """A request that may be repeated at will, over the other connection. Raises ServerUnreachable or Refused.

        Not believed is a server of an older epoch than the newest that was heard of: it may not know yet that it was
        deposed. (A numbered request is answered after a commit, which such a server cannot make; and its first
        answer, given again by the next server, bears the epoch of the first.)
        """
        transport = self._aside
        answer = self._decoded(self._asked(transport, path, seconds, body=msgspec.json.encode(command)), kind, transport)
        epoch = getattr(answer, "epoch", self.epoch)
        if epoch < self.epoch:
            address = transport.address
            transport.turn()
            raise ServerUnreachable(f"{address}: a server of epoch {epoch} answered, {self.epoch} was there before")
        self._note_success(epoch)
        return answer

    def look(self, path: str, kind: type[A], seconds: float | None = None) -> A:
        """A page of the server, over the other connection. Raises ServerUnreachable or Refused."""
        return self._decoded(self._asked(self._aside, path, seconds, method="GET"), kind, self._aside)

    def _asked(self, transport: Transport, path: str, seconds: float | None, **what: Any) -> bytes:
        """A standby sends us to the next address; each is asked once."""
        for _ in range(transport.others):
            try:
                return transport.call(path, seconds=seconds, **what)
            except Refused as refusal:
                if refusal.status not in ELSEWHERE:
                    raise
        return transport.call(path, seconds=seconds, **what)

    def ask_patiently(self, path: str, command: msgspec.Struct, kind: type[A], patience: float) -> A:
        """As ``ask``, again and again for so many seconds while the server is away."""
        until = time.monotonic() + patience
        while True:
            try:
                return self.ask(path, command, kind)
            except SchedulerError as fault:
                if isinstance(fault, Refused) and fault.retry_after is None:
                    raise
                self._note_failure(fault)
                if self._retry_at >= until:
                    raise
                time.sleep(max(0.0, self._retry_at - time.monotonic()))

    # -- how the server is

    @property
    def is_answered(self) -> bool:
        """Whether the answer to the outstanding request is there, to be read by the next ``poll``."""
        return self.flight is not None and self.flight.sent and self._main.ready(0.0)

    @property
    def away(self) -> float:
        """Seconds since the server was found away; 0 when the last request was answered."""
        return 0.0 if self.away_since is None else time.monotonic() - self.away_since

    def come_back(self) -> None:
        """Somebody else has just heard from the server: do not wait for the backoff."""
        self._retry_at = 0.0

    def _note_failure(self, fault: SchedulerError) -> None:
        now = time.monotonic()
        if isinstance(fault, ServerUnreachable) and fault.at_once and not self._failures:
            self._retry_at = now
        else:
            later = fault.retry_after if isinstance(fault, Refused) else None
            self._retry_at = now + max(backoff(self._failures + 1, self._dice()), later or 0.0)
        if not self._failures and not self.epoch:
            log.warning("no answer yet, trying again: %s", fault.message, extra={"code": fault.code})
        elif self._failures == 1 and self.epoch:  # the first may be chance
            log.warning("the server is away; going on with what is held: %s", fault.message, extra={"code": fault.code})
        self._failures += 1
        self.failed_at = boottime()
        self.away_since = self.away_since or now
        self.last_error = fault

    def _note_success(self, epoch: int) -> None:
        if self._failures > (1 if self.epoch else 0):
            log.warning("the server answers, after %.0f s", self.away)
        self.epoch = max(self.epoch, epoch)
        self._failures, self._passed, self.away_since, self._retry_at = 0, 0, None, 0.0

    def close(self) -> None:
        """Give the connections back."""
        self._main.close()
        self._aside.close()


def _version() -> str:
    """Of the package, whose door is not for the rooms below it to open."""
    return str(getattr(sys.modules.get(__name__.partition(".")[0]), "__version__", "unknown"))

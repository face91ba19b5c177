"""Alerts in a thread of their own: alarms in, messages out. The server never waits for them, and no fault here reaches it.

What is not sent is tried again with growing pauses, for a day; each destination has a line of its own, so that one that is away holds
nobody else up for longer than the library's time limits. Failures are logged and counted.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..http.port import Sample
from .bounds import MOST, Bound
from .destinations import Destination, Destinations
from .grouping import Alarm, Grouping, Rules
from .words import Message, message, summary

QUEUE = 100_000  # alarms that wait for the thread
WAITING = 100  # messages that wait for one destination
KEPT = 20  # of them that are remembered over a restart
BACKOFF = (10.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)  # seconds
GIVE_UP = 86_400.0  # seconds
LONGEST_NAP = 60.0  # seconds; wall clocks are set
SAVED_EACH = 1.0  # seconds
GRACE = 2.0  # seconds that the end waits for a message that is on its way
log = logging.getLogger("levada.alerts")


class Line:
    """What one destination is still to be sent, in order."""

    def __init__(self, destination: Destination, most: int) -> None:
        self.destination = destination
        self.bound = Bound(most)
        self.waiting: deque[Message] = deque()
        self.tries = 0  # of the first one
        self.since = 0.0  # when it was tried first
        self.at = 0.0  # not before that


class Alerts:
    """Whom to tell what. ``start`` begins; until then, and after ``close``, alarms are taken and nothing is sent.

    saved: what ``saved`` gave in another life. url: the page that messages name. most: messages an hour for each destination. wall,
    clock: seconds since 1970, and seconds that only go forward.
    """

    def __init__(
        self,
        destinations: Destinations,
        rules: Rules | None = None,
        *,
        url: str = "",
        most: int = MOST,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.destinations = destinations
        self.counts: Counter[str] = Counter()
        self._rules, self._url = rules or Rules(), url
        self._wall, self._clock = wall, clock
        self._grouping = Grouping("", self._rules)
        self._lines = {one.url: Line(one, most) for one in destinations.all()}
        self._queue: queue.SimpleQueue[list[Alarm]] = queue.SimpleQueue()
        self._waiting = 0  # alarms in the queue
        self._lock = threading.Lock()  # of that number
        self._ended = False
        self._stirred = False  # letters were added, or went
        self._version = 0
        self.followed: list[str] = []  # keys of what was told before this life, and had not ended
        self._text, self._kept = "", ""
        self._save_at = 0.0
        self._thread: threading.Thread | None = None

    def start(self, saved: str = "") -> list[str]:
        """Begin with what was told in another life; keys of what is followed since then."""
        self._load(saved)
        self._text = self._kept = saved
        self._thread = threading.Thread(target=self._run, name="levada-alerts", daemon=True)
        self.followed = self._grouping.followed()
        self._thread.start()
        return self.followed

    def raise_(self, alarm: Alarm) -> None:
        """Take an alarm; never waits, never raises."""
        self.raise_all([alarm])

    def raise_all(self, alarms: list[Alarm]) -> None:
        """Take several. Where too many wait already they are only counted."""
        with self._lock:
            if self._waiting + len(alarms) > QUEUE:
                self.counts["dropped"] += len(alarms)
                return
            self._waiting += len(alarms)
        self._queue.put(alarms)

    def unsaved(self) -> str | None:
        """What must be remembered, where that changed since it was said to be ``kept``; a reference to a text, at once."""
        text = self._text
        return None if text is self._kept else text

    def kept(self, text: str) -> None:
        """It is."""
        self._kept = text

    def samples(self) -> Iterator[Sample]:
        """Figures for the metrics page."""
        for name in ("sent", "failed", "held_back", "given_up", "dropped"):
            yield Sample("alerts_total", "counter", "Alert messages; dropped: alarms", self.counts[name], (("how", name),))

    def close(self, grace: float = GRACE) -> None:
        """End the thread; what was not sent is in ``unsaved``. Harmless to repeat."""
        self._ended = True
        self._queue.put([])
        if self._thread is not None:
            self._thread.join(grace)
            self._thread = None

    # -- the thread

    def _run(self) -> None:
        while not self._ended:
            try:
                self.step(self._wait())
            except Exception:
                log.exception("a fault of alerts")
                time.sleep(1.0)
        while not self._queue.empty():
            self._take(self._queue.get())
        self._save()

    def _wait(self) -> list[Alarm]:
        nap = min(
            self._grouping.next_due() - self._wall(),
            min((self._next(line) for line in self._lines.values()), default=LONGEST_NAP) - self._clock(),
            self._save_at - self._clock() if self._is_stale() else LONGEST_NAP,
            LONGEST_NAP,
        )
        try:
            return self._queue.get(timeout=nap) if nap > 0 else self._queue.get_nowait()
        except queue.Empty:
            return []

    def step(self, alarms: Sequence[Alarm]) -> None:
        """Take alarms, tell what is due, send what can be sent now."""
        now = self._take(alarms)
        for told in self._grouping.due(now):
            one = message(told, self._url)
            for destination in self.destinations.of(told.owner):
                self._put(self._lines[destination.url], one)
        for line in self._lines.values():
            self._send(line)
        if self._is_stale() and self._clock() >= self._save_at:
            self._save_at = self._clock() + SAVED_EACH
            self._save()

    def _take(self, alarms: Sequence[Alarm]) -> float:
        with self._lock:
            self._waiting -= len(alarms)
        now = self._wall()
        for alarm in alarms:
            self._grouping.take(alarm, now)
        return now

    def _put(self, line: Line, one: Message) -> None:
        if not line.bound.may(self._clock()):
            self.counts["held_back"] += 1
            line.bound.hold(one.title)
            return
        line.bound.note(self._clock())
        self._append(line, one)

    def _append(self, line: Line, one: Message) -> None:
        self._stirred = True
        if len(line.waiting) >= WAITING:
            self._give_up(line, "too many messages wait for it")
            return
        line.waiting.append(one)

    def _next(self, line: Line) -> float:
        """When there is something to do for a destination."""
        return line.at if line.waiting else line.bound.next_room()

    def _send(self, line: Line) -> None:
        held = line.bound.summary(self._clock())
        if held is not None:
            line.bound.note(self._clock())
            self._append(line, summary(held[1], held[0], self._url))
        while line.waiting and self._clock() >= line.at and not self._ended:
            why = line.destination.send(line.waiting[0])
            if why:
                self._failed(line, why)
                return
            self.counts["sent"] += 1
            self._drop(line)

    def _failed(self, line: Line, why: str) -> None:
        now = self._clock()
        self.counts["failed"] += 1
        if not line.tries:
            line.since = now
        pause = BACKOFF[min(line.tries, len(BACKOFF) - 1)]
        line.tries += 1
        line.at = now + pause
        log.warning("an alert was not sent", extra={"to": line.destination.name, "why": why, "again_in": pause})
        if now - line.since >= GIVE_UP:
            self._drop(line)
            self._give_up(line, why)

    def _drop(self, line: Line) -> None:
        line.waiting.popleft()
        line.tries = 0
        self._stirred = True

    def _give_up(self, line: Line, why: str) -> None:
        self.counts["given_up"] += 1
        log.error("an alert is given up", extra={"to": line.destination.name, "why": why})

    # -- over a restart

    def _is_stale(self) -> bool:
        return self._stirred or self._grouping.version != self._version

    def _save(self) -> None:
        self._version, self._stirred = self._grouping.version, False
        letters = [
            (line.destination.name, *one) for line in self._lines.values() for one in list(line.waiting)[:KEPT]
        ]  # its name, not its address: that is a secret
        self._text = json.dumps({"grouping": self._grouping.save(), "letters": letters})

    def _load(self, saved: str) -> None:
        try:
            told: Any = json.loads(saved) if saved else {}
            self._grouping = Grouping(told.get("grouping", ""), self._rules)
            letters = [(str(name), Message(str(title), str(body), str(mood))) for name, title, body, mood in told.get("letters", ())]
        except (ValueError, TypeError, AttributeError):
            log.error("what alerts had told before cannot be read; they begin anew")
            return
        self._version = self._grouping.version
        lines = {line.destination.name: line for line in self._lines.values()}
        for name, one in letters:
            if name in lines:
                lines[name].waiting.append(one)

"""The loop of the agent: hear what is wanted, unfold it, watch what is missing, tell how it went.

Laws: what was told once and not answered is told again; while the server is away what runs goes on; nothing of the user's code is
imported here, so that the code which runs is always the one that is there. The questions that wait for the server are asked in a
thread of their own, and so are the places that are watched; processes are started in this one, with which they end.
"""

from __future__ import annotations

import logging
import os
import queue
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from ..._client.session import Link
from ..._client.transport import Transport
from ..._wire import triggers as w
from ...errors import LevadaError, Refused, SchedulerError
from ...targets.watching import Seen, Wanted, Watching
from .unfolding import COMMAND, Outcome, Unfolding, sweep
from .writers import is_being_written

WAIT = 25.0  # seconds for which a question is held open
FULL = 0.5  # the same while no further goal could be taken
LOOK = 0.05  # seconds between two looks at processes, while there are any
CODE = 5.0  # seconds between two looks whether the code has changed
OFFERING = 120.0  # seconds that the import of the modules may take
BACKOFF = (0.5, 15.0)  # seconds between two questions to a server that is away: at first, at most
ARRIVALS = 500  # that are told in one message
SWEEP = 3600.0
WRITTEN = 0.5  # seconds between two looks at files that are being written
log = logging.getLogger("levada.agent")
A = TypeVar("A", bound=msgspec.Struct)


class Setup(msgspec.Struct, frozen=True):
    """How an agent is to work. room: goals at once. order: what each unfolding is told besides its goal.

    poll: seconds at most between two looks at a place; None: as each wish says.
    """

    modules: list[str]
    folder: str  # for what goals print
    order: dict[str, Any]
    room: int = 4
    poll: float | None = None


class Line:
    """One connection to the server, for one thread."""

    def __init__(self, link: Link) -> None:
        self._transport: Transport = link.open("levada-agent")

    def ask(self, path: str, request: msgspec.Struct, answer: type[A], wait: float = 0.0) -> A:
        """Raises SchedulerError."""
        data = self._transport.call(path, msgspec.json.encode(request), seconds=self._transport.answer_timeout + wait)
        return msgspec.json.decode(data, type=answer)

    def close(self) -> None:
        """Close it."""
        self._transport.close()


class Agent:
    """One agent; ``run`` until ``stop``."""

    def __init__(self, link: Link, setup: Setup) -> None:
        self.id = os.urandom(16).hex()
        self._link, self._setup = link, setup
        self._line, self._asking = Line(link), Line(link)
        self._news: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._running: dict[str, Unfolding] = {}
        self._unsaid: dict[str, Outcome] = {}  # ends that the server has not heard of
        self._arrived: list[Seen] = []
        self._stop = threading.Event()
        self._joined = threading.Event()
        self._watcher = Watcher(lambda seen: self._news.put(("seen", seen)), setup.poll)
        self._files: dict[str, float] = {}  # of the code, with their times
        self._broken = ""  # why the modules cannot be imported now
        self.on_new_code: Callable[[], None] = lambda: None
        self._offered = False
        self._failures = 0
        self._not_before = self._code_at = self._sweep_at = 0.0

    def stop(self) -> None:
        """Let ``run`` end; from any thread."""
        self._stop.set()
        self._news.put(("stop", None))

    def run(self) -> None:
        """Until ``stop``. Raises Refused where the server does not let us in."""
        threads = [
            threading.Thread(target=self._listen, name="levada-listen", daemon=True),
            threading.Thread(target=self._watcher.run, args=(self._stop,), name="levada-watch", daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            while not self._stop.is_set():
                self._turn()
        finally:
            self.stop()  # also where the server does not let us in
            self._watcher.wake()
            threads[1].join(1.0)
            self._end()

    def _turn(self) -> None:
        now = time.monotonic()
        if now >= self._code_at and now >= self._not_before:
            self._code_at = now + CODE
            self._guarded(self._offer_if_changed)
        self._look_at_processes()
        if (self._unsaid or self._arrived) and now >= self._not_before:
            self._guarded(self._tell)
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP
            sweep(self._setup.folder, list(self._running))
        pause = LOOK if self._running else min(CODE, 1.0)
        try:
            kind, what = self._news.get(timeout=pause)
        except queue.Empty:
            return
        if kind == "taken":
            self._heed(what)
        elif kind == "seen":
            self._arrived += what

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do something that needs the server; where it is away, later again."""
        try:
            act()
            self._failures = 0
        except Refused as no:
            if no.code == "unknown-session":
                self._offered = False
                self._code_at = 0.0
            elif no.status in (401, 403):
                raise
            else:
                log.warning("the server refused: %s", no.message)
            self._later()
        except SchedulerError as fault:
            if self._failures == 0:
                log.warning("the server is away: %s", fault.message)
            self._later()

    def _later(self) -> None:
        least, most = BACKOFF
        self._failures += 1
        self._not_before = time.monotonic() + min(most, least * 2 ** min(self._failures, 8)) * random.uniform(0.5, 1.0)  # noqa: S311

    # -- what is offered

    def _offer_if_changed(self) -> None:
        if self._offered and not any(_time_of(path) != at for path, at in self._files.items()):
            return
        before = self._files
        self._files = {path: _time_of(path) for path in before}  # as they are looked at: what changes meanwhile is looked at again
        paper = self._described()
        if paper is None:
            return
        self._files = {str(path): _time_of(str(path)) for path in paper.get("files", ())}
        families = [
            w.Family(name, module, [(each, kind, bool(has)) for each, kind, has in params], owners)
            for name, module, params, owners in paper["families"]
        ]
        offer = w.Offer(
            self.id, families, paper["triggers"], paper["modules"], socket.gethostname()[:200], os.getpid(),
        )  # fmt: skip
        answer = self._line.ask("/v1/agents/offer", offer, w.OfferAnswer)
        for name, problem in answer.problems.items():
            log.error("trigger %s is not taken: %s", name, problem)
        for name, what in answer.changes.items():
            log.info("trigger %s: %s", name, what)
        if before and self._offered:
            self.on_new_code()
        self._offered = True
        self._joined.set()

    def _described(self) -> dict[str, Any] | None:
        """What the modules define, told by a process that imports them."""
        order = {"describe": True, "modules": self._setup.modules, "parent": os.getpid()}
        try:
            done = subprocess.run(
                [sys.executable, *COMMAND], input=msgspec.json.encode(order), stdout=subprocess.PIPE, timeout=OFFERING, check=False
            )
            paper: dict[str, Any] = msgspec.json.decode(done.stdout.rpartition(b"\n")[2] or b"{}")
        except (subprocess.TimeoutExpired, msgspec.DecodeError, OSError) as cause:
            paper = {"error": str(cause)}
        broken = "" if "families" in paper else str(paper.get("error") or "see above")
        if broken and broken != self._broken:
            log.error("the modules %s cannot be imported now: %s", ", ".join(self._setup.modules), broken)
        elif self._broken and not broken:
            log.warning("the modules %s can be imported again", ", ".join(self._setup.modules))
        self._broken = broken
        return None if broken else paper

    # -- what is asked, in a thread of its own

    def _listen(self) -> None:
        since, pause = 0, BACKOFF[0]
        while not self._stop.is_set():
            if not self._joined.wait(1.0):
                continue
            held = list(self._running) + list(self._unsaid)
            room = max(0, self._setup.room - len(self._running))
            wait = WAIT if room else FULL
            try:
                troubles = self._watcher.troubles()
                if self._broken:
                    troubles[w.CODE] = f"the code cannot be imported now: {self._broken}"[:500].replace("\n", " ")
                ask = w.Take(self.id, room, held[:1000], since, wait, troubles)
                answer = self._asking.ask("/v1/agents/take", ask, w.TakeAnswer, wait)
            except Refused as no:
                if no.code == "unknown-session":
                    self._joined.clear()
                    self._offered, self._code_at, since = False, 0.0, 0
                    self._watcher.forget()
                    self._news.put(("wake", None))
                else:
                    self._stop.wait(pause)
                continue
            except SchedulerError:
                self._stop.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311
                pause = min(BACKOFF[1], pause * 2)
                continue
            pause = BACKOFF[0]
            if answer.watches:
                since = answer.watches[-1].seq
                self._watcher.heed(answer.watches)
            if answer.goals or answer.lost or answer.cancel:
                heeded = threading.Event()
                self._news.put(("taken", (answer, heeded)))
                heeded.wait(30.0)  # what is held, and what room there is, is told the next time

    def _heed(self, what: tuple[w.TakeAnswer, threading.Event]) -> None:
        answer, heeded = what
        try:
            for key in answer.lost:  # how one ended that is to be cancelled is told all the same
                self._unsaid.pop(key, None)
            for key in (*answer.lost, *answer.cancel):
                if key in self._running:
                    self._running[key].end()
            for goal in answer.goals:
                self._begin(goal)
        finally:
            heeded.set()

    def _begin(self, goal: w.Taken) -> None:
        if goal.goal in self._running:
            return
        order = {**self._setup.order, "modules": self._setup.modules, "family": goal.family, "params": goal.params, "options": goal.options}
        try:
            self._running[goal.goal] = Unfolding(goal.goal, order, self._setup.folder)
        except OSError as cause:
            self._unsaid[goal.goal] = Outcome("again", f"no process could be started: {cause}", pause=5.0)
            return
        log.info("unfolding %s (levada goal show %s)", self._running[goal.goal].name, goal.goal)

    def _look_at_processes(self) -> None:
        for key, one in list(self._running.items()):
            outcome = one.look()
            if outcome is not None:
                del self._running[key]
                self._unsaid[key] = outcome
                level = logging.WARNING if outcome.state in ("failed", "again") else logging.INFO
                log.log(level, "%s: %s: %s (levada goal show %s)", one.name, outcome.state, outcome.reason, key)

    # -- what is told

    def _tell(self) -> None:
        for key, end in list(self._unsaid.items()):
            report = w.ReportGoal(self.id, key, end.state, end.reason, list(end.missing), end.missing_more, end.pause, dict(end.counts))
            self._line.ask("/v1/agents/report", report, w.ReportGoalAnswer)
            self._unsaid.pop(key, None)
        while self._arrived:
            some = self._arrived[:ARRIVALS]
            seen = [w.Arrived(one.wanted.url, one.wanted.pattern, one.url, one.etag, dict(one.groups)) for one in some]
            answer = self._line.ask("/v1/agents/arrivals", w.Arrivals(self.id, seen), w.ArrivalsAnswer)
            del self._arrived[: answer.taken]
            if answer.taken < len(some):  # there is no room for more goals now
                self._later()
                return

    def _end(self) -> None:
        for one in self._running.values():
            one.end()
        until = time.monotonic() + 15.0
        while self._running and time.monotonic() < until:
            self._look_at_processes()
            time.sleep(LOOK)
        with suppress(LevadaError):
            self._tell()
            self._line.ask("/v1/agents/leave", w.LeaveAgent(self.id), w.Changed)
        self._line.close()
        self._watcher.close()


def _time_of(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


class Watcher:
    """What is to be watched, and the thread that does. tell: called with what was seen. poll: see `Setup`."""

    def __init__(self, tell: Callable[[list[Seen]], None], poll: float | None = None) -> None:
        self._tell, self._poll = tell, poll
        self._watching = Watching()
        self._lock = threading.Lock()
        self._wanted: dict[tuple[str, bool], Wanted] = {}
        self._nudged: list[str] = []
        self._changed = False
        self._dropped: set[Wanted] = set()  # to be forgotten first, also where it is wanted again by now: what is there is told anew
        self._troubles: Mapping[str, str] = {}
        self._written: list[Seen] = []  # there, and open for writing still

    def heed(self, entries: Sequence[w.Watched]) -> None:
        """Take changes of what is to be watched."""
        with self._lock:
            for entry in entries:
                if entry.act == "+":
                    interval = entry.interval if self._poll is None else min(self._poll, entry.interval)
                    self._wanted[entry.url, entry.pattern] = Wanted(entry.url, entry.pattern, max(1.0, interval))
                    self._changed = True
                elif entry.act == "-":
                    gone = self._wanted.pop((entry.url, entry.pattern), None)
                    if gone is not None:
                        self._dropped.add(gone)
                        self._changed = True
                else:
                    self._nudged.append(entry.url)
        self._watching.wake()

    def wake(self) -> None:
        """Let ``run`` look at once whether it is to stop."""
        self._watching.wake()

    def forget(self) -> None:
        """The server begins anew to tell what is to be watched."""
        with self._lock:
            self._dropped.update(self._wanted.values())
            self._wanted, self._changed = {}, True

    def troubles(self) -> dict[str, str]:
        """Places that could not be asked, and why; some of them."""
        return {place[:500]: why[:500] for place, why in list(self._troubles.items())[:50]}

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``."""
        while not stop.is_set():
            with self._lock:
                wanted = list(self._wanted.values()) if self._changed else None
                nudged, self._nudged, self._changed = self._nudged, [], False
                dropped, self._dropped = self._dropped, set()
            try:
                if wanted is not None:
                    if not dropped.isdisjoint(wanted):
                        self._watching.want(one for one in wanted if one not in dropped)
                    self._watching.want(wanted)
                if nudged:
                    self._watching.nudge(nudged)
                seen = self._watching.look(time.monotonic())
                before, self._troubles = self._troubles, self._watching.troubles()
                for place in self._troubles.keys() - before.keys():
                    log.warning("%s: %s", place, self._troubles[place])
            except Exception:
                log.exception("looking for arrivals failed")
                stop.wait(1.0)
                continue
            seen = self._whole(seen)
            if seen:
                self._tell(seen)
            if stop.is_set():  # and woken, perhaps before this look
                return
            longest = WRITTEN if self._written else 30.0
            self._watching.wait(min(longest, max(0.0, self._watching.next_look() - time.monotonic())))

    def _whole(self, seen: list[Seen]) -> list[Seen]:
        """Those that nobody writes any more; the others are told when their writers have closed them."""
        if not seen and not self._written:
            return seen
        known = {(one.wanted, one.url): one for one in self._written}
        known.update(((one.wanted, one.url), one) for one in seen)
        self._written = [one for one in known.values() if is_being_written(one.url)]
        late = set(self._written)
        return [one for one in known.values() if one not in late]

    def close(self) -> None:
        """Let the file system's notifications go."""
        with suppress(Exception):
            self._watching.close()

"""Watches for data that others bring: files and objects, named or by pattern, however many.

The laws: one question a place (a folder, a prefix) answers all who wait there, and a place is asked no more often than
its interval; what is there is told once, and again when it changed or went and came back; a place that cannot be asked
is a trouble, never an absence, and delays no other. Nothing here knows a clock for its schedule: `look` is told the time.

The interval: after a fresh wish, an arrival or a notification 1 s, then twice as long each time that nothing is new, up
to what was wished (30 s). Steps before that are drawn, so that places wished together part. A notification asks at once, but
a place rests ten times as long as its last listing took.
"""

from __future__ import annotations

import heapq
import math
import os
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from time import monotonic
from zlib import crc32

from levada.errors import ConfigError, TargetError

from .arrivals import Branch, Found, Key, Place, Seen, Wanted, ends
from .lanes import Lanes, Question
from .notifying import Anchor, Mounts, Notifier, identity_of, is_text
from .patterns import as_line, read_pattern
from .stores import split_url

__all__ = ["Seen", "Wanted", "Watching"]

FIRST = 1.0  # seconds, the shortest step
RESTS = 10  # times as long as a listing took, until a notification asks again
LONGEST_PENANCE = 300.0  # seconds that a place which fails waits at most, or its interval where that is longer
PATIENCE = 0.5  # seconds that one look waits for far places; later answers are told by a later look
NO_ANSWER = 60.0  # seconds after which a question is given up
TROUBLED = 60.0  # seconds until a watcher that could not have all it wanted is started anew
ROUNDS = 8  # of starting watchers while folders are being made
FOLDERS = 10_000  # that one pattern walks into
NOTIFICATIONS = "local notifications"
"""The name in `troubles` for what hinders notifications."""
_NOTHING: Mapping[Key, str] = {}


class Watching:
    """What is watched, and what was told of it. To be used by one thread, but for `nudge` and `wait`.

    notify: False never asks the file system to tell by itself.
    """

    def __init__(self, *, notify: bool = True) -> None:
        self._wanted: dict[Wanted, None] = {}
        self._places: dict[Key, Place] = {}
        self._troubles: dict[Key, str] = {}
        self._branches: dict[Wanted, tuple[Key, Branch]] = {}
        self._wrong: dict[str, str] = {}  # wishes that cannot be watched at all
        self._full: set[str] = set()  # patterns with too many folders
        self._folders: Counter[Wanted] = Counter()  # that patterns walked into
        self._due: list[tuple[float, Key]] = []
        self._asked: list[tuple[Place, Question]] = []
        self._heard: dict[Key, bool] = {}  # places to be asked at once; True: what is to be watched may be another folder now
        self._hearing = threading.Lock()
        self._wake = threading.Event()
        self._lanes = Lanes(self._wake.set)
        self._now = -math.inf
        self._mounts = Mounts()
        self._notifier = Notifier(self._notified) if notify else None
        self._lacks_library = self._notifier is not None and not self._notifier.is_there
        if self._lacks_library:
            self._notifier = None
        self._is_missed = False  # a local folder is watched that the library would tell of
        self._anchors: dict[str, dict[Key, str]] = {}  # watched folder -> places, with the name that leads there ("": it is the place)
        self._anchor_of: dict[Key, Anchor] = {}
        self._moved = False  # what is to be watched may have changed
        self._watch_again = -math.inf

    # -- what is wanted ----------------------------------------------------------------------------

    def want(self, wanted: Iterable[Wanted]) -> None:
        """Watch these, and nothing else, from now on. Costs what changed. What cannot be watched is among `troubles`."""
        new = dict.fromkeys(wanted)
        gone = [one for one in self._wanted if one not in new]
        come = [one for one in new if one not in self._wanted]
        self._wanted = new
        for one in gone:
            self._drop(one)
        for one in come:
            try:
                self._add(one)
            except (ConfigError, TargetError) as error:
                self._wrong[one.url] = error.message
        if come:
            self._wake.set()

    def _add(self, wanted: Wanted) -> None:
        if wanted.pattern:
            key, branch = _branch(wanted)
            self._add_branch(key, branch)
            self._branches[wanted] = key, branch
        else:
            key, prefix, name = _name(wanted.url)
            place = self._place(key, prefix)
            place.add_name(name, wanted)
            self._hasten(place)

    def _add_branch(self, key: Key, branch: Branch) -> None:
        place = self._place(key, branch.prefix)
        place.add_branch(branch)
        self._hasten(place)

    def _drop(self, wanted: Wanted) -> None:
        self._wrong.pop(wanted.url, None)
        self._full.discard(wanted.url)
        if wanted.pattern:
            if wanted in self._branches:
                self._drop_branches([self._branches.pop(wanted)])
            self._folders.pop(wanted, None)
            return
        key, _, name = _name(wanted.url)
        place = self._places.get(key)
        if place is not None:
            place.drop_name(name, wanted)
            self._drop_empty(place)

    def _drop_branches(self, left: list[tuple[Key, Branch]]) -> None:
        while left:
            key, branch = left.pop()
            place = self._places.get(key)
            if place is not None:
                below = place.drop_branch(branch)
                self._folders[branch.wanted] -= len(below)
                left += below
                self._drop_empty(place)

    def _place(self, key: Key, prefix: str) -> Place:
        place = self._places.get(key)
        if place is None:
            place = Place(key, prefix)
            self._find(place)
            self._places[key] = place
            self._moved = self._moved or place.on_disk is not None
        return place

    def _find(self, place: Place) -> None:
        """Say in which thread a place is asked, and whether the kernel tells of it. Raises TargetError where there is no store for it."""
        store, path = place.open()
        local = getattr(store, "local_path", None)
        if local is None:
            place.lane = f"{place.key[0]}://{place.key[1]}" if store.promise.remote else None
            return
        folder = os.path.abspath(local(path) if path else ".")
        place.lane = self._mounts.silent(folder)
        self._is_missed = self._is_missed or (place.lane is None and self._lacks_library)
        if place.lane is None and self._notifier is not None and is_text(folder):
            place.on_disk = folder

    def _drop_empty(self, place: Place) -> None:
        if not place.is_wanted():
            del self._places[place.key]
            self._troubles.pop(place.key, None)
            self._moved = self._moved or place.on_disk is not None

    # -- looking -----------------------------------------------------------------------------------

    def look(self, now: float) -> list[Seen]:
        """What is there and was not told before, of the places whose time has come or that were notified.

        now: seconds of a clock that does not leap (`time.monotonic`); where it goes back, all places are asked at once.
        Local places are asked here, others in threads: one that is slow tells at a later call.
        """
        self._wake.clear()
        if now < self._now:
            self._hasten_all(now)
        self._now = now
        self._heed()
        seen: list[Seen] = []
        self._collect(seen)
        while True:
            self._watch_folders()
            due = self._take_due()
            if not due:
                break
            asked = len(self._asked)
            for place in due:
                self._ask(place, seen)
            if len(self._asked) > asked:
                self._lanes.wait([question for _, question in self._asked[asked:]], PATIENCE)
                self._collect(seen)
        return seen

    def nudge(self, urls: Iterable[str]) -> None:
        """Look at the places of these targets at the next call, which is wished at once. Safe in any thread.

        Those that nobody waits for are passed over.
        """
        for url in urls:
            scheme, authority, path = split_url(url)
            scheme = "" if scheme == "file" else scheme
            for folder in ends(path):
                key = scheme, authority if scheme else "", folder
                if key in self._places:  # the nearest that is known: a pattern may be about to walk there
                    self._hear(key, moved=False)
                    break

    def next_look(self) -> float:
        """When `look` is worth calling again, by its clock; infinite while there is nothing to watch.

        `wait` ends by itself where it is sooner.
        """
        if self._heard or any(question.done for _, question in self._asked):
            return self._now
        while self._due and self._is_stale(self._due[0]):
            heapq.heappop(self._due)
        soonest = self._due[0][0] if self._due else math.inf
        for _, question in self._asked:
            if question.began is not None:
                soonest = min(soonest, self._now + max(0.0, question.began + NO_ANSWER - monotonic()))
            else:
                soonest = min(soonest, self._now + NO_ANSWER)
        if self._notifier is not None and (self._moved or self._notifier.is_broken):
            soonest = min(soonest, max(self._now, self._watch_again))
        return soonest

    def wait(self, seconds: float) -> None:
        """Sleep so long, or until a change is told or a far place answered, or `nudge` or `want` was called."""
        self._wake.wait(min(max(seconds, 0.0), threading.TIMEOUT_MAX))

    def wake(self) -> None:
        """Let ``wait`` return. Safe in any thread."""
        self._wake.set()

    def troubles(self) -> Mapping[str, str]:
        """Places that could not be asked when they were asked last, and wishes that cannot be watched, with the reason.

        Each is a line of text, whatever a store said.
        """
        found = dict(self._wrong)
        found.update((url, f"more than {FOLDERS:,} folders fit; the others are not looked at") for url in self._full)
        found.update((self._places[key].url, text) for key, text in self._troubles.items())
        if self._notifier is not None and self._notifier.trouble:
            found[NOTIFICATIONS] = self._notifier.trouble
        if self._is_missed:
            found[NOTIFICATIONS] = "local folders are asked by the clock alone; with `pip install 'levada[watch]'` the kernel tells of them"
        return {as_line(place): as_line(text) for place, text in found.items()}

    def close(self) -> None:
        """Forget all. Threads end as soon as what they asked is answered."""
        self.want(())
        if self._notifier is not None:
            self._notifier.close()
        for _, question in self._asked:
            self._lanes.give_up(question)
        self._asked = []

    # -- the schedule --------------------------------------------------------------------------------

    def _hasten(self, place: Place) -> None:
        """Ask a place as soon as it has rested, and quickly again after that."""
        at = max(self._now, place.asked_at + place.rest)
        place.step = FIRST / 2
        if at < place.due:
            self._schedule(place, at)

    def _hasten_all(self, now: float) -> None:
        for place in self._places.values():
            place.asked_at, place.step = -math.inf, FIRST / 2
            place.resting = {}
            self._schedule(place, now)
        self._watch_again = -math.inf

    def _schedule(self, place: Place, at: float) -> None:
        place.due = at
        heapq.heappush(self._due, (at, place.key))
        if len(self._due) > 64 + 4 * len(self._places):
            self._due = [(place.due, key) for key, place in self._places.items() if place.due < math.inf]
            heapq.heapify(self._due)

    def _is_stale(self, entry: tuple[float, Key]) -> bool:
        place = self._places.get(entry[1])
        return place is None or place.due != entry[0] or place.question is not None

    def _take_due(self) -> list[Place]:
        due: list[Place] = []
        while self._due and self._due[0][0] <= self._now:
            entry = heapq.heappop(self._due)
            if not self._is_stale(entry):
                due.append(self._places[entry[1]])
                due[-1].due = math.inf  # until it is scheduled anew
        return due

    def _ask(self, place: Place, seen: list[Seen]) -> None:
        place.looks += 1
        try:
            if place.lane is None:
                self._answered(place, place.ask(), seen)
            else:
                place.question = self._lanes.ask(place.lane, place.ask)
                self._asked.append((place, place.question))
        except TargetError as error:
            self._failed(place, error)

    def _collect(self, seen: list[Seen]) -> None:
        """Take the answers that are there, and give up what had none for too long."""
        left: list[tuple[Place, Question]] = []
        for place, question in self._asked:
            if not question.done and (question.began is None or monotonic() - question.began < NO_ANSWER):
                left.append((place, question))
                continue
            given_up = self._lanes.give_up(question)
            place.question = None
            if self._places.get(place.key) is not place:
                continue  # nobody waits there any more
            if given_up:
                self._failed(place, TargetError(f"{place.url}: no answer for {NO_ANSWER:g} s"))
            elif question.error is not None:
                self._failed(place, question.error)
            else:
                self._answered(place, question.answer, seen)
        self._asked = left

    def _answered(self, place: Place, found: Found, seen: list[Seen]) -> None:
        soon = place.due  # finite where somebody asked for another look meanwhile
        taken = place.take(found, self._now)
        seen += taken.seen
        self._folders.subtract(branch.wanted for _, branch in taken.gone)
        self._drop_branches(taken.gone)
        for key, branch in taken.born:
            self._walk(key, branch)
        if found.unknown:
            self._troubles[place.key] = next(f"{name}: {why}" for name, why in found.unknown.items())
        else:
            self._troubles.pop(place.key, None)
        if found.identity != place.identity and place.on_disk is not None:
            place.identity, self._moved = found.identity, True
        place.failures, place.asked_at, place.rest = 0, self._now, RESTS * found.seconds
        interval = place.shortest()
        before, draw = place.step, self._draw(place)
        place.step = FIRST if taken.seen or taken.born or not taken.complete else min(2 * before, interval)
        if place.step < interval:
            step = min(place.step * (1 + draw / 2), interval)
        else:
            step = interval if before >= interval else max(FIRST, draw * interval)
        at = self._now + step
        if taken.recheck is not None:
            at = min(at, max(taken.recheck, self._now + min(place.rest, step)))
        if soon < math.inf:
            at = min(at, max(soon, self._now + place.rest))
        self._schedule(place, at)

    def _walk(self, key: Key, branch: Branch) -> None:
        """Let a pattern go on in a folder below."""
        if self._folders[branch.wanted] >= FOLDERS:
            self._full.add(branch.wanted.url)
            return
        self._folders[branch.wanted] += 1
        self._add_branch(key, branch)

    def _failed(self, place: Place, error: TargetError) -> None:
        self._troubles[place.key] = error.message
        place.failures += 1
        longest = max(LONGEST_PENANCE, place.shortest())
        penance = min(2.0 ** min(place.failures, 30), longest)
        place.asked_at, place.rest, place.step = self._now, 0.0, FIRST / 2
        self._schedule(place, self._now + penance * (0.5 + self._draw(place) / 2))

    def _draw(self, place: Place) -> float:
        """In [0, 1), from the place and how often it was asked."""
        return crc32(f"{place.key}{place.looks}".encode(errors="surrogateescape")) / 2**32

    # -- what the file system tells ------------------------------------------------------------------

    def _notified(self, paths: Collection[str]) -> None:
        """Keep the places that may matter. In the notifier's thread."""
        anchors, places = self._anchors, self._places
        for path in paths:
            for key in anchors.get(path, ()):  # the folder itself went, or was given another name
                self._hear(key, moved=True)
            folder, name = os.path.split(path)
            for key, leads in anchors.get(folder, _NOTHING).items():
                place = places.get(key)
                if leads == name if leads else place is not None and place.cares(name):
                    self._hear(key, moved=bool(leads))
        if not paths:  # the watcher ended by itself
            self._wake.set()

    def _hear(self, key: Key, *, moved: bool) -> None:
        """Remember that a place is to be asked at once. In any thread."""
        with self._hearing:
            self._heard[key] = moved or self._heard.get(key, False)
        self._wake.set()

    def _heed(self) -> None:
        """Schedule the places that were nudged, or told of by the file system."""
        with self._hearing:
            heard, self._heard = self._heard, {}
        for key, moved in heard.items():
            place = self._places.get(key)
            if place is not None:
                self._moved = self._moved or moved
                self._hasten(place)

    def _watch_folders(self) -> None:
        """Let the notifier watch what is to be watched, before the places are asked: so nothing falls in between."""
        notifier = self._notifier
        if notifier is None:
            return
        broken = notifier.is_broken
        if (not self._moved and not broken) or self._now < self._watch_again:
            return
        if broken:  # what it did not tell is not known
            self._anchor_of = {}
        for _ in range(ROUNDS):
            anchors = self._find_anchors()
            if not broken and notifier.watches(anchors):
                break
            notifier.watch(anchors)
            broken = False
        else:
            anchors = self._find_anchors()
        self._moved = bool(notifier.trouble)  # then it is tried again later
        self._anchors = {path: places for (path, _), places in anchors.items() if path in notifier.folders}
        before, self._anchor_of = self._anchor_of, {key: anchor for anchor, places in anchors.items() for key in places}
        for key, anchor in self._anchor_of.items():
            if before.get(key) != anchor:
                self._hasten(self._places[key])
        least = TROUBLED if notifier.trouble else FIRST if not before else 0.0
        self._watch_again = self._now + max(RESTS * notifier.seconds, least)

    def _find_anchors(self) -> dict[Anchor, dict[Key, str]]:
        """For each local place the folder to watch: itself, or the nearest above it that is there."""
        anchors: dict[Anchor, dict[Key, str]] = {}
        for key, place in self._places.items():
            if place.on_disk is None:
                continue
            folder, leads = place.on_disk, ""
            found = place.identity = identity_of(folder)
            while found is None and folder != os.path.dirname(folder):
                folder, leads = os.path.split(folder)
                found = identity_of(folder)
            anchors.setdefault((folder, found), {})[key] = leads
        return anchors


def _name(url: str) -> tuple[Key, str, str]:
    """The place of an exact target, how its URLs begin, and the name in it."""
    scheme, authority, path = split_url(url)
    prefix = url[: len(url) - len(path)]
    folder, slash, name = path.rstrip("/").rpartition("/")
    local = scheme in ("", "file")
    return ("" if local else scheme, "" if local else authority, folder or slash), prefix, name


def _branch(wanted: Wanted) -> tuple[Key, Branch]:
    """The place that a pattern begins in. Raises ConfigError."""
    pattern = read_pattern(wanted.url)
    scheme, authority, _ = split_url(wanted.url)
    local = scheme in ("", "file")
    key = "" if local else scheme, "" if local else authority, pattern.folder
    return key, Branch(wanted, pattern.prefix, pattern.parts, pattern.folders)

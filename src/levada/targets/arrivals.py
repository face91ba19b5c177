"""One folder that is watched: who waits there for what, one question for all of them, and what its answer tells.

`Place.ask` may run in any thread and changes nothing; `Place.take` is called by the one who owns the place.
What was told is remembered as long as it is there, so a file that went and came again is told again.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from levada._model.values import NamedTuple
from levada.errors import FROM_USERS, TargetError, TargetUnreachable, told

from .patterns import Groups, Part, joined
from .stores import open_store

if TYPE_CHECKING:
    from levada._model.ports import Entry, Store

ONE_BY_ONE = 16  # names in a local folder up to which each is asked by itself,
ONE_BY_ONE_FAR = 1  # and in a store
LISTED_AT_LEAST = 10_000  # entries of a listing for named files only; beyond them,
LISTED_PER_NAME = 50  # and beyond so many for each name, names are asked one by one
MOST_ENTRIES = 1_000_000  # of a folder that a pattern looks at
AT_A_TIME = 20.0  # seconds of asking one by one; the rest follows at the next look
REST = 2.0  # seconds that a file without an etag stands still before a change of it is told
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_NOT_NAMES = frozenset(("", ".", ".."))  # ends of paths that no listing shows

Key = tuple[str, str, str]
"""Scheme, authority and folder of a place."""


class Wanted(NamedTuple):
    """What is waited for: an exact target, or a pattern (see `levada.targets.patterns`).

    interval: seconds at most between two looks, 1 or more. settle: seconds that a pattern's file must have stood still.
    """

    url: str
    pattern: bool = False
    interval: float = 30.0
    settle: float = 0.0


class Seen(NamedTuple):
    """Something that is there. etag: the store's mark of its content; without one, time and size as text; "" where neither is told.

    groups: of the pattern, in its order. wanted: who waited for it.
    """

    url: str
    etag: str
    groups: Groups
    wanted: Wanted


class Branch(NamedTuple):
    """A pattern as far as one folder is concerned: the first of ``parts`` is for the names in it. groups: from the folders above."""

    wanted: Wanted
    prefix: str  # scheme and authority as the pattern spells them
    parts: tuple[Part, ...]
    folders: bool
    groups: Groups = ()


class Sight(NamedTuple):
    """One name that is there. whole: it changes at once, or not visibly; else a writer may be at it."""

    is_folder: bool
    mark: str = ""
    whole: bool = True


class Found(NamedTuple):
    """An answer: the names that matter. asked: those that it holds for, None for all.

    unknown: names of which it could not be told, and why. identity: of a local folder.
    """

    seen: dict[str, Sight]
    asked: Collection[str] | None = None
    unknown: Mapping[str, str] = {}
    identity: tuple[int, int] | None = None
    seconds: float = 0.0


class Taken(NamedTuple):
    """What an answer brought. born, gone: patterns that go on in a folder below. recheck: a moment to look again for files at rest."""

    seen: list[Seen]
    born: list[tuple[Key, Branch]]
    gone: list[tuple[Key, Branch]]
    recheck: float | None
    complete: bool


class Place:
    """A folder, or a prefix of an object store.

    prefix: scheme and authority as they are written in URLs. The fields below ``names`` and ``branches`` are the schedule's.
    """

    __slots__ = (
        "asked_at", "branches", "due", "failures", "folder", "folders_exist", "identity", "interval", "key", "kids", "lane", "looks",
        "marks", "names", "on_disk", "prefix", "question", "rest", "resting", "step", "told",
    )  # fmt: skip

    def __init__(self, key: Key, prefix: str) -> None:
        self.key, self.prefix, self.folder = key, prefix, key[2]
        self.names: dict[str, tuple[Wanted, ...]] = {}
        self.branches: tuple[Branch, ...] = ()
        self.told: dict[str, tuple[Wanted, ...]] = {}  # of names
        self.marks: dict[Branch, dict[str, str]] = {}  # of patterns: what was told, with its mark
        self.kids: dict[Branch, dict[str, tuple[Key, Branch]]] = {}
        self.resting: dict[tuple[Branch, str], tuple[str, float]] = {}  # mark, and since when it is so
        self.identity: tuple[int, int] | None = None
        self.on_disk: str | None = None  # the folder's path on this machine, where notifications reach it
        self.lane: str | None = None  # in which it is asked; None: at once
        self.folders_exist = True
        self.interval: float | None = None  # None: to be computed
        self.step, self.due, self.looks, self.failures = 1.0, float("inf"), 0, 0
        self.asked_at, self.rest = float("-inf"), 0.0
        self.question: Any = None

    @property
    def url(self) -> str:
        """The place as people know it."""
        return f"{self.prefix}{self.folder}" or "."

    def is_wanted(self) -> bool:
        """Whether anybody waits here."""
        return bool(self.names or self.branches)

    def add_name(self, name: str, wanted: Wanted) -> None:
        self.names[name] = (*self.names.get(name, ()), wanted)
        self.interval = None

    def drop_name(self, name: str, wanted: Wanted) -> None:
        left = tuple(one for one in self.names.get(name, ()) if one != wanted)
        if left:
            self.names[name] = left
        else:
            self.names.pop(name, None)
            self.told.pop(name, None)
        self.interval = None

    def add_branch(self, branch: Branch) -> None:
        if branch not in self.branches:
            self.branches = (*self.branches, branch)
        self.interval = None

    def drop_branch(self, branch: Branch) -> list[tuple[Key, Branch]]:
        """Forget a pattern; the folders below that it goes on in."""
        self.branches = tuple(one for one in self.branches if one is not branch and one != branch)
        self.marks.pop(branch, None)
        for waiting in [waiting for waiting in self.resting if waiting[0] == branch]:
            del self.resting[waiting]
        self.interval = None
        return list(self.kids.pop(branch, {}).values())

    def shortest(self) -> float:
        """Seconds between two looks while nothing happens: the shortest that anybody here wishes."""
        if self.interval is None:
            wished = [wanted.interval for group in self.names.values() for wanted in group]
            wished += [branch.wanted.interval for branch in self.branches]
            self.interval = max(1.0, min(wished, default=30.0))
        return self.interval

    def cares(self, name: str) -> bool:
        """Whether a change of this name may matter. Safe in any thread."""
        return name in self.names or any(branch.parts[0].fits(name) is not None for branch in self.branches)

    def open(self) -> tuple[Store, str]:
        """The store, and the folder's path there; "" is the current folder. Raises TargetError where there is none for the scheme."""
        try:
            return open_store(f"{self.prefix}{self.folder}")
        except TargetError:
            raise
        except FROM_USERS as cause:  # a store of a package
            raise TargetUnreachable(self.url, told(cause)) from cause

    # -- asking ----------------------------------------------------------------------------------

    def ask(self) -> Found:
        """What is there now. One listing, or few questions. Raises TargetError where it cannot be told."""
        began = time.perf_counter()
        store, path = self.open()
        on_disk = getattr(store, "local_path", None)
        self.folders_exist = store.promise.folders
        try:
            found = self._ask_disk(on_disk(path) if path else "") if on_disk is not None else self._ask_store(store, path)
        except TargetError:
            raise
        except FROM_USERS as cause:  # whatever a product's client raises
            raise TargetUnreachable(self.url, told(cause)) from cause
        return found._replace(seconds=time.perf_counter() - began)

    def _ask_disk(self, folder: str) -> Found:
        try:
            about = os.stat(folder or ".")
            identity = about.st_dev, about.st_ino
            if not self.branches and (len(self.names) <= ONE_BY_ONE or sys.platform != "linux"):
                return self._each_on_disk(folder)._replace(identity=identity)  # elsewhere names may be folded
            found = self._list_disk(folder)
            return (self._each_on_disk(folder) if found is None else found)._replace(identity=identity)
        except OSError as cause:
            if cause.errno in _ABSENT:
                return Found({})
            raise TargetUnreachable(self.url, cause) from cause

    def _list_disk(self, folder: str) -> Found | None:
        """One listing; None where asking one by one is better: few names in a large folder, or one that may be passed through only."""
        try:
            return self._listed(folder)
        except PermissionError:
            if self.branches:
                raise
            return None

    def _listed(self, folder: str) -> Found | None:
        names, told, seen, unknown, count = self.names, self.told, dict[str, Sight](), dict[str, str](), 0
        bound = MOST_ENTRIES if self.branches else self._bound()
        probe = ""
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                name, count = entry.name, count + 1
                if count > bound:
                    self._too_many()
                    return None
                probe = probe or (name if name.swapcase() != name else "")
                fits = self._fits(name)
                if name in names and not fits and name in told and not entry.is_symlink():
                    seen[name] = Sight(False)
                elif fits or name in names:
                    _look_into(_join(folder, name), name, seen, unknown)
        if probe and not self.branches and len(seen) < len(names) and _same(folder, probe, probe.swapcase()):
            return None  # a file system that takes other spellings for the same name
        return Found(seen, unknown=unknown)

    def _each_on_disk(self, folder: str) -> Found:
        seen: dict[str, Sight] = {}
        unknown: dict[str, str] = {}
        for name in list(self.names):
            _look_into(_join(folder, name), name, seen, unknown)
        return Found(seen, unknown=unknown)

    def _ask_store(self, store: Store, path: str) -> Found:
        if not store.promise.listing and self.branches:
            raise TargetError(f"{self.url}: {store!r} does not list what is in it", hint="Name the targets one by one.")
        if not self.branches and (len(self.names) <= ONE_BY_ONE_FAR or not store.promise.listing):
            return self._each_in_store(store, path)
        try:
            return self._list_store(store, path)
        except FROM_USERS:
            if self.branches:
                raise
            return self._each_in_store(store, path)  # listing may be forbidden where questions are not

    def _list_store(self, store: Store, path: str) -> Found:
        seen: dict[str, Sight] = {}
        bound = MOST_ENTRIES if self.branches else self._bound()
        for count, entry in enumerate(store.list(path), 1):
            if count > bound:
                self._too_many()
                return self._each_in_store(store, path)
            if entry.name in self.names or self._fits(entry.name):
                seen[entry.name] = _sight(entry)
        unlisted = _NOT_NAMES.intersection(self.names)
        if unlisted:
            seen.update(self._each_in_store(store, path, unlisted).seen)
        return Found(seen)

    def _each_in_store(self, store: Store, path: str, names: Collection[str] | None = None) -> Found:
        """Ask for each name, those first that were not told yet; only as many as there is time for."""
        until, seen, asked, unknown = time.monotonic() + AT_A_TIME, dict[str, Sight](), set[str](), dict[str, str]()
        about = getattr(store, "info", None)
        for name in list(self.names) if names is None else names:
            if time.monotonic() > until and asked:
                return Found(seen, asked, unknown)
            asked.add(name)
            where = _join(path, name)
            try:
                if store.exists(where):
                    entry = about(where) if about is not None and name not in self.told else None
                    seen[name] = Sight(False) if entry is None else _sight(entry)
            except TargetUnreachable:
                raise
            except (TargetError, ValueError) as cause:  # a name that the store does not take
                unknown[name] = told(cause)
        return Found(seen, unknown=unknown)

    def _bound(self) -> int:
        return max(LISTED_AT_LEAST, LISTED_PER_NAME * len(self.names))

    def _too_many(self) -> None:
        """Raise TargetError where a pattern needs the listing; else names are asked one by one."""
        if self.branches:
            raise TargetError(f"{self.url}: more than {MOST_ENTRIES:,} names", hint="Let the pattern name a folder that holds fewer.")

    def _fits(self, name: str) -> bool:
        return any(branch.parts[0].fits(name) is not None for branch in self.branches)

    # -- what an answer tells ----------------------------------------------------------------------

    def take(self, found: Found, now: float) -> Taken:
        """Compare an answer with what was told."""
        taken = Taken([], [], [], None, found.asked is None or len(found.asked) >= len(self.names))
        self._take_names(found, taken.seen)
        recheck: list[float] = []
        for branch in self.branches:
            if len(branch.parts) > 1:
                self._take_folders(branch, found, taken)
            else:
                self._take_files(branch, found, taken.seen, now, recheck)
        if not taken.complete:  # those that were asked go to the end
            for name in found.asked or ():
                if name in self.names:
                    self.names[name] = self.names.pop(name)
        return taken._replace(recheck=min(recheck, default=None))

    def _take_names(self, found: Found, seen: list[Seen]) -> None:
        gone = [name for name in self.told if name not in found.seen and name not in found.unknown]
        for name in gone:
            if found.asked is None or name in found.asked:
                del self.told[name]
        if not self.names:
            return
        for name, sight in found.seen.items():
            wanted = self.names.get(name)
            before = self.told.get(name, ())
            if wanted is None or wanted is before or (sight.is_folder and not self.folders_exist):
                continue
            seen += [Seen(one.url, sight.mark, (), one) for one in wanted if one not in before]
            self.told[name] = wanted

    def _take_folders(self, branch: Branch, found: Found, taken: Taken) -> None:
        kids = self.kids.setdefault(branch, {})
        for name in [name for name in kids if name not in found.seen and name not in found.unknown]:
            taken.gone.append(kids.pop(name))
        for name, sight in found.seen.items():
            if not sight.is_folder or name in kids:
                continue
            groups = branch.parts[0].fits(name)
            together = None if groups is None else joined(branch.groups, groups)
            if together is None:
                continue
            folder, rest = _join(self.folder, name), branch.parts[1:]
            while len(rest) > 1 and rest[0].literal is not None:
                folder, rest = _join(folder, rest[0].literal), rest[1:]
            kids[name] = (self.key[0], self.key[1], folder), branch._replace(parts=rest, groups=together)
            taken.born.append(kids[name])

    def _take_files(self, branch: Branch, found: Found, seen: list[Seen], now: float, recheck: list[float]) -> None:
        marks = self.marks.setdefault(branch, {})
        for name in [name for name in marks if name not in found.seen and name not in found.unknown]:
            del marks[name]
        for waiting in [waiting for waiting in self.resting if waiting[0] is branch and waiting[1] not in found.seen]:
            del self.resting[waiting]
        for name, sight in found.seen.items():
            before = marks.get(name)
            if before == sight.mark or sight.is_folder is not branch.folders or (sight.is_folder and not self.folders_exist):
                continue
            groups = branch.parts[0].fits(name)
            together = None if groups is None else joined(branch.groups, groups)
            if together is None:
                continue
            still = max(branch.wanted.settle, 0.0 if before is None or sight.whole else REST)
            if still:
                mark, since = self.resting.get((branch, name), (None, now))
                since = since if mark == sight.mark else now
                if now < since + still:
                    self.resting[branch, name] = sight.mark, since
                    recheck.append(min(since + still, now + max(1.0, still / 4)))
                    continue
                self.resting.pop((branch, name), None)
            marks[name] = sight.mark
            seen.append(
                Seen(f"{branch.prefix}{_join(self.folder, name)}{'/' if branch.folders else ''}", sight.mark, together, branch.wanted)
            )


def _join(folder: str, name: str) -> str:
    return f"{folder}{'' if not folder or folder.endswith('/') else '/'}{name}"


def _look_into(path: str, name: str, seen: dict[str, Sight], unknown: dict[str, str]) -> None:
    """Look at a local path, symbolic links followed; nothing is noted where nothing is."""
    try:
        about = os.stat(path)
    except (OSError, ValueError) as cause:
        if not isinstance(cause, OSError) or cause.errno not in _ABSENT:
            unknown[name] = told(cause)
        return
    seen[name] = Sight(stat.S_ISDIR(about.st_mode), f"{about.st_mtime_ns}-{about.st_size}", False)


def _same(folder: str, name: str, other: str) -> bool:
    try:
        return os.path.samestat(os.lstat(_join(folder, name)), os.lstat(_join(folder, other)))
    except OSError:
        return False


def _sight(entry: Entry) -> Sight:
    if entry.etag:
        return Sight(entry.is_folder, entry.etag)
    if entry.is_folder or (entry.modified is None and entry.size is None):
        return Sight(entry.is_folder)
    time_text = "" if entry.modified is None else f"{entry.modified:.3f}-"
    return Sight(False, f"{time_text}{'' if entry.size is None else entry.size}", False)


def ends(path: str) -> Iterator[str]:
    """The folders above a path, the nearest first.

    >>> list(ends("/a/b/c.csv")), list(ends("b/c.csv"))
    (['/a/b', '/a', '/'], ['b', ''])
    """
    path, slash, _ = path.rpartition("/")
    while path:
        yield path
        path, slash, _ = path.rpartition("/")
    yield slash

"""Asks many targets at once whether they exist: the one place of the house that does.

The laws: an answer is True, False or an error, never a guess; a listing answers what single questions
would have answered (symbolic links, and file systems that fold names, are asked one by one); what is
listed and remembered is bounded. A local folder is asked by ``os.stat`` until it was asked so often
that one listing is cheaper; a store is listed at the first question.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from levada.errors import FROM_USERS, TargetError, TargetUnreachable, shown, told
from levada.targets.local import LocalTarget, present

if TYPE_CHECKING:
    from levada._model.ports import Store

    Answer = bool | TargetError
    Asked = list[tuple[str, int]]
    """Names in one folder, each with the position of its answer."""
    Place = tuple[Store, str]
    Step = Callable[[], None]

LISTS_FROM = 16  # questions in one local folder from which on a listing is cheaper
LISTED_AT_LEAST = 10_000  # entries that a listing may have in any case,
LISTED_PER_QUESTION = 50  # and so many for each question asked in that folder
REMEMBERED = 2_000_000  # names in all
THREADS = 8  # questions to far-away stores at the same time
NEVER = sys.maxsize

_LOCAL, _STORE, _MANY, _FAR, _OWN = range(5)
_NOT_NAMES = frozenset(("", ".", ".."))  # ends of paths that no listing shows
_LISTABLE = os.name == "posix"  # elsewhere a path has two separators and folds its names


class Existence:
    """Answers for one plan: what was listed is remembered as long as this object lives.

    listing: False asks each target by itself.
    """

    def __init__(self, listing: bool = True) -> None:
        memory = _Memory()
        self._local = _LocalFolders(memory, listing and _LISTABLE)
        self._stores = _Stores(memory, listing)
        self._kinds: dict[type, int] = {}

    def ask(self, targets: Sequence[Any]) -> list[Answer]:
        """Whether each target exists, in their order. Foreign exceptions come back as TargetUnreachable."""
        answers: list[Answer] = [False] * len(targets)
        local: dict[str, Asked] = {}
        others: list[tuple[int, int]] = []
        kinds = self._kinds
        for position, target in enumerate(targets):
            kind = kinds.get(type(target))
            if kind is None:
                kind = kinds[type(target)] = _kind_of(type(target))
            if kind != _LOCAL:
                others.append((kind, position))
                continue
            folder, slash, name = target.path.rpartition("/")
            try:
                local[folder or slash].append((name, position))
            except KeyError:
                local[folder or slash] = [(name, position)]
        if others:
            self._ask_others(others, targets, answers, local)
        for folder, asked in local.items():
            self._local.ask(folder, asked, targets, answers)
        return answers

    def ask_one(self, target: object) -> Answer:
        """Whether it exists now, whatever was listed before."""
        return _single(target)

    def _ask_others(self, others: list[tuple[int, int]], targets: Sequence[Any], answers: list[Answer], local: dict[str, Asked]) -> None:
        """Answer all but the local ones; targets of a store that keeps local files are put with those."""
        far: list[Step] = []
        batches: dict[type, list[int]] = {}
        stored: dict[Place, Asked] = {}
        for kind, position in others:
            target = targets[position]
            if kind == _OWN:
                answers[position] = _single(target)
            elif kind == _FAR:
                far.append(partial(_ask_into, answers, position, target))
            elif kind == _MANY:
                batches.setdefault(type(target), []).append(position)
            else:
                try:
                    _group_stored(target, position, stored, local)
                except FROM_USERS as cause:  # a store that cannot be had is an answer
                    answers[position] = _unknown(target, cause)
        _run(far, far_away=True)
        self._stores.ask(stored, targets, answers)
        for cls, positions in batches.items():
            many: Any = cls
            _ask_many(many.exists_many, [targets[at] for at in positions], positions, targets, answers)


class _Folder:
    """What is known of a folder."""

    __slots__ = ("again", "asked", "links", "names")

    def __init__(self, again: int) -> None:
        self.asked = 0
        self.again = again  # a listing is tried when so many questions were asked
        self.names: set[str] | None = None  # of its entries; None: not listed
        self.links: Collection[str] = ()  # names that only their own question can answer


class _Memory:
    """Folders by place, with a bound on the names of all listings together; the oldest are dropped."""

    def __init__(self) -> None:
        self._folders: dict[object, _Folder] = {}
        self._names = 0

    def folder(self, place: object, again: int) -> _Folder:
        """What is known of a folder; again: how many questions a new one needs before it is listed."""
        known = self._folders.get(place)
        if known is None:
            known = self._folders[place] = _Folder(again)
        return known

    def listed(self, known: _Folder, names: set[str], links: Collection[str] = ()) -> None:
        """Remember a listing."""
        known.names, known.links = names, links
        self._names += len(names) + len(links)
        if self._names > REMEMBERED:
            self._drop_oldest(known)

    def _drop_oldest(self, newest: _Folder) -> None:
        for place, known in list(self._folders.items()):
            if self._names <= REMEMBERED:
                return
            if known is not newest and known.names is not None:
                self._names -= len(known.names) + len(known.links)
                del self._folders[place]


# -- local files -------------------------------------------------------------------------------


class _LocalFolders:
    """Asks local files: one by one at first, by one listing where many are asked in a folder."""

    def __init__(self, memory: _Memory, listing: bool) -> None:
        self._memory, self._again = memory, LISTS_FROM if listing else NEVER

    def ask(self, folder: str, asked: Asked, targets: Sequence[Any], answers: list[Answer]) -> None:
        known = self._memory.folder(folder, self._again)
        known.asked += len(asked)
        if known.names is None and known.asked >= known.again:
            known.again = NEVER  # a stat is cheap: a listing is tried once
            listed = _list_local(folder, _bound(known.asked))
            if listed is not None:
                self._memory.listed(known, *listed)
        names, links = known.names, known.links
        if names is None:
            for _, position in asked:
                answers[position] = _single(targets[position])
            return
        for name, position in asked:
            if name in names:
                answers[position] = True
            elif name in links or name in _NOT_NAMES:
                answers[position] = _single(targets[position])


def _bound(asked: int) -> int:
    return max(LISTED_AT_LEAST, LISTED_PER_QUESTION * asked)


def _list_local(folder: str, bound: int) -> tuple[set[str], Collection[str]] | None:
    """Names in a folder, and those that are symbolic links; None when a listing cannot answer for it."""
    names: set[str] = set()
    links: set[str] = set()
    try:
        with os.scandir(folder or ".") as entries:
            for entry in islice(entries, bound):
                (links if entry.is_symlink() else names).add(entry.name)
            if next(entries, None) is not None or _folds_names(folder, names):
                return None
    except (FileNotFoundError, NotADirectoryError):
        return set(), ()  # no folder, no files
    except (OSError, ValueError):
        return None  # may be passed through, not read: its files can be asked one by one
    return names, links


def _folds_names(folder: str, names: set[str]) -> bool:
    """Whether the file system takes other spellings of a name for the same file."""
    if sys.platform == "darwin":
        return True  # case on most volumes, Unicode forms on all
    for name in islice(names, 100):
        other = name.swapcase()
        if other != name and other not in names:
            return present(f"{folder}/{other}" if folder else other)
    return False


# -- stores ------------------------------------------------------------------------------------


def _group_stored(target: Any, position: int, stored: dict[Place, Asked], local: dict[str, Asked]) -> None:
    """Put a target of a store with the others of its folder; a store of local files says where they are."""
    store, path = target._resolve()
    on_disk = getattr(store, "local_path", None)
    folder, slash, name = (path if on_disk is None else on_disk(path)).rpartition("/")
    if on_disk is None:
        stored.setdefault((store, folder or slash), []).append((name, position))
    else:
        local.setdefault(folder or slash, []).append((name, position))


class _Stores:
    """Asks stores: by a bounded listing of each folder, then singly for what that left open."""

    def __init__(self, memory: _Memory, listing: bool) -> None:
        self._memory, self._listing = memory, listing

    def ask(self, stored: dict[Place, Asked], targets: Sequence[Any], answers: list[Answer]) -> None:
        for far_away in (False, True):
            groups = {place: asked for place, asked in stored.items() if place[0].promise.remote is far_away}
            self._ask(groups, targets, answers, far_away)

    def _ask(self, groups: dict[Place, Asked], targets: Sequence[Any], answers: list[Answer], far_away: bool) -> None:
        listings: list[_Listing] = []
        for place, asked in groups.items():
            known = self._memory.folder(place, 1 if self._listing and place[0].promise.listing else NEVER)
            known.asked += len(asked)
            if known.names is None and known.asked >= known.again:
                listings.append(_Listing(place, known, targets[asked[0][1]]))
        _run([listing.make for listing in listings], far_away)
        for listing in listings:
            if listing.known.names is not None:
                self._memory.listed(listing.known, listing.known.names)
        broken = {listing.place: listing.failure for listing in listings if listing.failure is not None}
        questions: list[Step] = []
        for place, asked in groups.items():
            known = self._memory.folder(place, 1)
            questions += _open_questions(place[0], asked, known.names, broken.get(place), targets, answers)
        _run(questions, far_away)


class _Listing:
    """One listing of a folder of a store, which may be given up or fail."""

    def __init__(self, place: Place, known: _Folder, example: object) -> None:
        self.place, self.known, self.example = place, known, example
        self.failure: TargetError | None = None

    def make(self) -> None:
        """List, within the bound; where there are more entries, wait until many more are asked for."""
        store, folder = self.place
        bound = _bound(self.known.asked)
        try:
            folders = store.promise.folders
            entries = list(islice(store.list(folder), bound + 1))
        except FROM_USERS:  # listing may be forbidden where questions are not: one question tells
            answer = _single(self.example)
            self.failure = answer if isinstance(answer, TargetError) else None
            self.known.again = self.known.again if self.failure else NEVER
            return
        if len(entries) > bound:
            self.known.again = 8 * self.known.asked
        else:
            self.known.names = {entry.name for entry in entries if folders or not entry.is_folder}


def _open_questions(
    store: Store, asked: Asked, names: set[str] | None, failure: TargetError | None, targets: Sequence[Any], answers: list[Answer]
) -> Iterator[Step]:
    """Answer what is known of a folder; yield the questions that are left."""
    if failure is not None or names is not None:
        for name, position in asked:
            answers[position] = failure if names is None else name in names  # type: ignore[assignment]  # one of the two is there
        asked = [] if names is None else [one for one in asked if one[0] in _NOT_NAMES]
    positions = [position for _, position in asked]
    many = getattr(store, "exists_many", None)
    if many is not None and positions:
        yield partial(_ask_many, many, [targets[at]._resolve()[1] for at in positions], positions, targets, answers)
        return
    for position in positions:
        yield partial(_ask_into, answers, position, targets[position])


# -- single questions --------------------------------------------------------------------------


def _kind_of(cls: type) -> int:
    """How the targets of a class are asked: by the most special of what it and its bases define."""
    from sys import modules

    for base in cls.__mro__:
        if "exists_many" in vars(base):
            return _MANY
        if "exists" in vars(base):
            if base is LocalTarget:
                return _LOCAL
            stores = modules.get("levada.targets.stores")
            if stores is not None and base is stores.FileTarget:
                return _STORE
            break
    return _FAR if getattr(cls, "remote", False) else _OWN


def _single(target: Any) -> Answer:
    try:
        return bool(target.exists())
    except TargetError as error:
        return error
    except FROM_USERS as cause:  # users' code raises what it likes
        return _unknown(target, cause)


def _unknown(target: object, cause: BaseException) -> TargetError:
    if isinstance(cause, TargetError):
        return cause
    error = TargetUnreachable(target, told(cause) if isinstance(cause, SystemExit) else shown(cause) or type(cause).__name__)
    error.__cause__ = cause
    return error


def _ask_into(answers: list[Answer], position: int, target: object) -> None:
    answers[position] = _single(target)


def _ask_many(many: Callable[[Any], Any], batch: list[Any], positions: list[int], targets: Sequence[Any], answers: list[Answer]) -> None:
    """One question for many; where it fails, the answer to each is that it is not known. An error may be the answer for some."""
    try:
        found = [one if isinstance(one, TargetError) else bool(one) for one in many(batch)]
        if len(found) != len(batch):
            raise ValueError(f"exists_many gave {len(found)} answers to {len(batch)} questions")
    except FROM_USERS as cause:  # users' code raises what it likes
        for position in positions:
            answers[position] = _unknown(targets[position], cause)
        return
    for position, one in zip(positions, found, strict=True):
        answers[position] = one


def _run(steps: list[Step], far_away: bool) -> None:
    """Take all steps; far-away ones on a few threads, which end before this returns (a later fork must see none)."""
    if not far_away or len(steps) < 2:
        for step in steps:
            step()
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(THREADS, len(steps)), "levada-exists") as pool:
        for done in [pool.submit(step) for step in steps]:
            done.result()

"""Asks many targets at once whether they exist: the one place of the house that does.

The laws: an answer is True, False or an error, never a guess; a listing answers what single questions
would have answered (symbolic links, and file systems that fold names, are asked one by one); what is
listed and remembered is bounded. Local targets are asked by ``os.stat`` until a folder was asked often
enough for one listing to be cheaper; a store that is far away is listed at the first question.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from levada.errors import TargetError, TargetUnreachable
from levada.targets.local import LocalTarget, present

if TYPE_CHECKING:
    from levada._model.ports import Store
    from levada.targets.stores import FileTarget

Answer = bool | TargetError

LISTS_FROM = 16  # questions in one local folder from which on a listing is cheaper
LISTED_AT_LEAST = 10_000  # entries that a listing may have in any case,
LISTED_PER_QUESTION = 50  # and so many for each question asked in that folder
REMEMBERED = 2_000_000  # names in all
THREADS = 8  # questions to far-away stores at the same time

_LOCAL, _STORE, _MANY, _FAR, _OWN = range(5)
_LISTABLE = os.name == "posix"  # elsewhere a path has two separators and folded names


class _Folder:
    """What is known of one folder. names: of its entries, or None when it is not listed."""

    __slots__ = ("again", "asked", "links", "names")

    def __init__(self) -> None:
        self.asked = 0
        self.again = 0.0  # list (again) when so many questions were asked
        self.names: set[str] | None = None
        self.links: Collection[str] = ()  # names that only their own question can answer


class Existence:
    """Answers for one plan: what was listed is remembered as long as this object lives.

    listing: False asks each target by itself.
    """

    def __init__(self, listing: bool = True) -> None:
        self._listing = listing
        self._folders: dict[tuple[object, str] | str, _Folder] = {}  # local ones by their path, others by store and path
        self._remembered = 0
        self._kinds: dict[type, int] = {}

    def ask(self, targets: Sequence[object]) -> list[Answer]:
        """Whether each target exists, in their order. Foreign exceptions come back as TargetUnreachable."""
        answers: list[Answer] = [False] * len(targets)
        local: dict[str, list[tuple[str, int]]] = {}  # folder -> (name, position)
        others: dict[int, list[int]] = {}
        kinds = self._kinds
        for position, target in enumerate(targets):
            kind = kinds.get(type(target))
            if kind is None:
                kind = kinds[type(target)] = _kind_of(type(target))
            if kind == _LOCAL:
                folder, slash, name = target.path.rpartition("/")  # type: ignore[attr-defined]  # the kind says so
                try:
                    local[folder or slash].append((name, position))
                except KeyError:
                    local[folder or slash] = [(name, position)]
            else:
                others.setdefault(kind, []).append(position)
        if others:
            self._ask_others(others, targets, answers, local)
        for folder, asked in local.items():
            self._ask_folder(folder, asked, targets, answers)
        return answers

    def ask_one(self, target: object) -> Answer:
        """Whether it exists now, whatever was listed before."""
        return _single(target)

    # -- local files ---------------------------------------------------------------------------

    def _ask_folder(self, folder: str, asked: list[tuple[str, int]], targets: Sequence[object], answers: list[Answer]) -> None:
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = _Folder()
            known.again = LISTS_FROM if self._listing and _LISTABLE else float("inf")
        known.asked += len(asked)
        if known.names is None and known.asked >= known.again:
            known.again = float("inf")  # a stat is so cheap that a listing is tried once
            self._remember(known, *_list_local(folder, _bound(known.asked)))
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

    def _remember(self, known: _Folder, names: set[str] | None, links: Collection[str]) -> None:
        known.names, known.links = names, links
        self._remembered += len(names or ()) + len(links)
        for folder in list(self._folders.values()) if self._remembered > REMEMBERED else ():  # oldest first
            if folder is not known and folder.names is not None:
                self._remembered -= len(folder.names) + len(folder.links)
                folder.names, folder.links, folder.asked, folder.again = None, (), 0, LISTS_FROM
            if self._remembered <= REMEMBERED:
                return

    # -- everything else -----------------------------------------------------------------------

    def _ask_others(
        self,
        others: dict[int, list[int]],
        targets: Sequence[object],
        answers: list[Answer],
        local: dict[str, list[tuple[str, int]]],
    ) -> None:
        for position in others.get(_OWN, ()):
            answers[position] = _single(targets[position])
        far = [_question(targets, answers, position) for position in others.get(_FAR, ())]
        far += self._in_stores(others.get(_STORE, ()), targets, answers, local)
        _side_by_side(far)
        self._ask_batches(others.get(_MANY, ()), targets, answers)

    def _in_stores(
        self, positions: Iterable[int], targets: Sequence[object], answers: list[Answer], local: dict[str, list[tuple[str, int]]]
    ) -> list[Callable[[], None]]:
        """Questions for far-away stores; those for local files are put with the ``local`` ones, near ones are answered."""
        groups: dict[tuple[Store, str], list[tuple[str, int]]] = {}
        for position in positions:
            target: FileTarget = targets[position]  # type: ignore[assignment]  # the kind says so
            try:
                store, path = target._resolve()
                here = getattr(store, "local_path", None)
                if here is not None:
                    folder, slash, name = here(path).rpartition("/")
                    local.setdefault(folder or slash, []).append((name, position))
                    continue
                folder, slash, name = path.rpartition("/")
                groups.setdefault((store, folder or slash), []).append((name, position))
            except Exception as cause:  # noqa: BLE001 - a store that cannot be had is an answer
                answers[position] = _unknown(target, cause)
        far: list[Callable[[], None]] = []
        listings: list[Callable[[], None]] = []
        for (store, folder), asked in groups.items():
            questions = self._in_folder(store, folder, asked, targets, answers, listings)
            far += questions
        _side_by_side(listings)
        ...
        return far

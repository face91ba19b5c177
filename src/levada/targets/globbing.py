"""Targets by pattern: `glob`, in any store that lists, one listing a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import translate
from typing import TYPE_CHECKING

from levada.errors import TargetError

from .stores import FileTarget, open_store

if TYPE_CHECKING:
    from levada._model.ports import Entry, Store

    from .formats import Format

_MAGIC = re.compile(r"[*?[]")


def glob(pattern: str, format: Format | None = None) -> list[FileTarget]:
    """The files whose URL fits to a pattern, sorted: ``s3://bucket/day=*/part-?.csv``, ``data/**/*.txt``.

    ``*`` and ``?`` stand for characters of one part, ``[ab]`` for one of them, ``**`` for folders of any depth, also none. What
    begins with a dot (temporaries do) fits only to a part that begins so. A folder is listed once, and only where a pattern
    needs it; one that is absent holds nothing. Raises TargetUnreachable rather than leave some out, and TargetError for a
    store that does not list.
    """
    store, path = open_store(pattern)
    prefix = pattern[: len(pattern) - len(path)]
    parts = path.split("/")
    fixed = next((at for at, part in enumerate(parts) if _MAGIC.search(part)), len(parts) - 1)
    if not store.promise.listing:
        raise TargetError(f"{pattern}: {store!r} does not list what is in it", hint="Name the targets one by one.")
    folder = "/".join(parts[:fixed])
    found = set(_inside(store, folder if fixed != 1 or parts[0] else "/", tuple(parts[fixed:])))
    return [FileTarget(f"{prefix}{path}", format) for path in sorted(found)]


def _inside(store: Store, folder: str, parts: tuple[str, ...]) -> Iterator[str]:
    """Paths of files below a folder that fit to the parts."""
    head, rest = parts[0], parts[1:]
    if head == "**":
        if rest:
            yield from _inside(store, folder, rest)
        for entry in store.list(folder):
            if entry.name.startswith("."):
                continue
            if entry.is_folder:
                yield from _inside(store, _join(folder, entry.name), parts)
            elif not rest:
                yield _join(folder, entry.name)
    elif rest and not _MAGIC.search(head):
        yield from _inside(store, _join(folder, head), rest)
    else:
        for entry in _fitting(store, folder, head):
            path = _join(folder, entry.name)
            if rest and entry.is_folder:
                yield from _inside(store, path, rest)
            elif not rest and not entry.is_folder:
                yield path


def _fitting(store: Store, folder: str, part: str) -> Iterator[Entry]:
    fits = re.compile(translate(part)).match
    for entry in store.list(folder):
        if fits(entry.name) and (part.startswith(".") or not entry.name.startswith(".")):
            yield entry


def _join(folder: str, name: str) -> str:
    return f"{folder}{'' if not folder or folder.endswith('/') else '/'}{name}"

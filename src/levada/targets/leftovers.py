"""Temporaries that killed attempts left in stores: for those without locks that tell whether a writer lives."""

from __future__ import annotations

import re
from contextlib import suppress

from .atomic import TEMPORARY
from .stores import open_store


def sweep(folder: str, key8: str, *, epoch: int | None = None) -> list[str]:
    """Names of the temporaries of a task that were removed from a folder (a URL). Say this of attempts that are over.

    key8: the first eight hex digits of the task's key; epoch: only those with fences of that epoch. Far stores have no lock
    that tells whether their writer lives; one that does cannot commit afterwards.
    """
    store, path = open_store(folder)
    removed = []
    for entry in list(store.list(path)):
        match = re.fullmatch(TEMPORARY, entry.name, re.DOTALL)
        tag = match["tag"].split(".") if match else [""]
        if tag[0] == key8 and (epoch is None or tag[1:-1] == [str(epoch)]):
            with suppress(FileNotFoundError):
                store.remove(f"{path.rstrip('/')}/{entry.name}", recursive=True)
                removed.append(entry.name)
    return sorted(removed)

"""What dead attempts of a task have left in a store, removed on somebody's word: stores have no lock that tells whether a writer lives."""

from __future__ import annotations

import re
from contextlib import suppress

from .atomic import TEMPORARY
from .stores import open_store


def sweep_store(folder: str, key8: str, *, epoch: int | None = None) -> list[str]:
    """Names of the temporaries of a task that were removed from a folder (``ftp://...``). Say this of attempts that are over.

    key8: the first eight hex digits of the task's key; epoch: only those with fences of that epoch. A writer that
    lives all the same cannot commit afterwards.
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

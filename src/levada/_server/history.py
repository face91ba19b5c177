"""The door to the attempt history for rooms above that must not know the store."""

from __future__ import annotations

from .._store.history import History


def open_history(folder: str) -> History:
    """The history of a state folder; a file that is not there has no rows. Opened on first use."""
    return History(folder)

"""The memory of runs without a server, for rooms above that must not know the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .._model.ports import Attempt, AttemptRow
from .._store.history import History
from ..errors import StateFolderError


class Remembered:
    """The history as a run writes it: it never stops the run. What cannot be written is said once, then left out."""

    def __init__(self, folder: str) -> None:
        self._history = History(folder)
        self._given_up = False

    def begin(self, wanted: str) -> None:
        """Note that a run has started."""
        self._try(self._history.begin, wanted)

    def add(self, attempts: Iterable[Attempt | AttemptRow]) -> None:
        """Write attempts."""
        self._try(self._history.add, attempts)

    def end(self, status: str, done: int, failed: int, seconds: float) -> None:
        """Note how the run ended."""
        self._try(self._history.end, status, done, failed, seconds)

    def close(self) -> None:
        """Close the file if it was opened."""
        self._try(self._history.close)

    def _try(self, write: Callable[..., None], *values: Any) -> None:
        if self._given_up:
            return
        try:
            write(*values)
        except StateFolderError as fault:
            self._given_up = True
            import logging

            logging.getLogger("levada").warning("this run is not remembered: %s", fault)


def open_history(folder: str) -> History:
    """The history of a state folder; a file that is not there has no rows. Opened on first use."""
    return History(folder)

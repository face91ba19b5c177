"""A folder of files read as one: what jobs of Hadoop leave is read as Hadoop itself would read it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from levada._model.ports import Store

_HIDDEN = ("_", ".")  # names that Hadoop passes over: flags, logs, drafts


def joined(store: Store, folder: str) -> IO[bytes]:
    """The bytes of its files, one file after the other by name; each is opened when the one before it has ended."""
    names = sorted(entry.name for entry in store.list(folder) if not entry.is_folder and not entry.name.startswith(_HIDDEN))
    return cast("IO[bytes]", io.BufferedReader(_Joined(store, [f"{folder.rstrip('/')}/{name}" for name in names])))


class _Joined(io.RawIOBase):
    def __init__(self, store: Store, paths: list[str]) -> None:
        super().__init__()
        self._streams: Iterator[IO[bytes]] = (store.open(path) for path in paths)
        self._now: IO[bytes] | None = next(self._streams, None)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        into = memoryview(buffer).cast("B")
        while self._now is not None:
            if piece := self._now.read(len(into)):
                into[: len(piece)] = piece
                return len(piece)
            self._now.close()
            self._now = next(self._streams, None)
        return 0

    def close(self) -> None:
        if self._now is not None:
            self._now.close()
        super().close()

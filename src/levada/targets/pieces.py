"""Streams over what a store gives in pieces, one after the other: a seek lets it begin anew, elsewhere."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class PieceReader(io.RawIOBase):
    """Bytes of a known size. A store's own reader says what comes next (``_next``), and begins where it is told (``_begin``).

    url: what is read, for errors. ``_at``: the place of the next byte that is asked for.
    """

    def __init__(self, url: str, size: int) -> None:
        super().__init__()
        self._url, self._size, self._at = url, size, 0
        self._rest = memoryview(b"")

    def _next(self) -> memoryview:
        """The bytes at ``_at``, at least one. Raises a TargetError where there are none."""
        raise NotImplementedError

    def _begin(self) -> None:
        """What comes next is to come from ``_at``, which has moved."""
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """The new place. Raises OSError for one before the beginning, as files do."""
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if at < 0:
            raise OSError(errno.EINVAL, "a position before the beginning", self._url)
        if at != self._at:
            self._at, self._rest = at, memoryview(b"")
            self._begin()
        return at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if not self._rest and self._at < self._size:
            self._rest = self._next()
        into = memoryview(buffer).cast("B")
        count = min(len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._at += count
        return count

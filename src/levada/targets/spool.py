"""Writes that are kept here until they are whole, for stores that take a file in one go.

Bytes wait in memory, then in a nameless file: a task that fails has sent nothing, and a write that was cut off can be sent again.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from tempfile import TemporaryFile, gettempdir
from typing import IO, TYPE_CHECKING

from levada.errors import TargetError, TargetWriteError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

IN_MEMORY = 8 << 20  # bytes that are kept in memory; more go to a nameless file in the folder for temporaries


class Spool(io.RawIOBase):
    """What was written so far. Remembers a failed write, so that no object with a hole is ever sent."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.process = url, os.getpid()
        self.size = 0
        self.failed: TargetError | None = None
        self.dead = False
        self._file: IO[bytes] = io.BytesIO()

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        count = memoryview(data).nbytes
        if self.dead or self.process != os.getpid():  # given up; or a forked child, whose copy of a buffer is flushed at its end
            return count
        try:
            if self.size <= IN_MEMORY < self.size + count:
                self._to_disk()
            self._file.write(data)
        except OSError as cause:
            hint = "Make room there, or name another folder with TMPDIR. Nothing was sent."
            self.failed = TargetWriteError(
                f"{self.url}: could not be kept in {gettempdir()} until it is whole: {cause.strerror}", hint=hint
            )
            raise self.failed from cause
        self.size += count
        return count

    def _to_disk(self) -> None:
        kept, file = self._file, TemporaryFile(buffering=0)  # noqa: SIM115 - closed with the spool
        file.write(kept.getbuffer())  # type: ignore[attr-defined]  # it is a BytesIO
        self._file = file

    def whole(self) -> memoryview:
        """All of it in one piece: memory, or the file mapped into it."""
        if isinstance(self._file, io.BytesIO):
            return self._file.getbuffer()
        import mmap

        return memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))

    def parts(self, size: int) -> Iterator[memoryview]:
        """All of it in pieces, from the beginning."""
        whole = self.whole()
        for start in range(0, len(whole), size):
            yield whole[start : start + size]

    def close(self) -> None:
        with suppress(BufferError):  # an error that is on its way holds a piece: it goes with it
            self._file.close()
        super().close()


class SpooledPending:
    """A file that is not visible yet. A subclass says how it is sent: `_send`, which takes it from `_spool`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._spool = Spool(url)
        self.stream: IO[bytes] = io.BufferedWriter(self._spool, 1 << 16)

    def __repr__(self) -> str:
        return self.url

    def _send(self) -> None:
        """Make it exist, whole. Raises TargetExists, TargetWriteError or what the lease check raises."""
        raise NotImplementedError

    def commit(self) -> None:
        """Make it exist, whole. Raises TargetExists, TargetWriteError or what the lease check raises."""
        if self._spool.dead or self._spool.process != os.getpid():
            return  # a forked child has a copy of the writer; the file is its parent's
        try:
            self.stream.flush()
            if self._spool.failed is not None:
                raise self._spool.failed
            self._send()
        finally:
            self.abort()

    def abort(self) -> None:
        """Forget it; nothing was sent. Harmless to repeat."""
        self._spool.dead = True
        with suppress(OSError, ValueError):
            self.stream.close()

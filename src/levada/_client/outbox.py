"""What must reach the server, in order, when it is away: in memory, beyond a megabyte in a file.

The file has no name (nobody finds it, nothing has to be cleaned up), and its length has a bound.
"""

from __future__ import annotations

import struct
from array import array
from collections import deque
from typing import IO, NamedTuple

from ..errors import SchedulerError

IN_MEMORY = 1 << 20  # bytes of messages; more goes to a file
ON_DISK = 1 << 30  # bytes; more is an error
_HEAD = struct.Struct("=BIQ")  # kind, number of tasks that end, length of the text


class Parcel(NamedTuple):
    """A message without its number. kind: 0 for tasks, 1 for reports. text: its fields as JSON, without the braces.

    ended: numbers of leases that end when the server has it.
    """

    kind: int
    text: bytes
    ended: tuple[int, ...] = ()


class Outbox:
    """First in, first out. folder: where the file is made; None for the system's temporary one."""

    def __init__(self, folder: str | None = None, *, in_memory: int = IN_MEMORY, on_disk: int = ON_DISK) -> None:
        self._folder, self._in_memory, self._on_disk = folder, in_memory, on_disk
        self._parcels: deque[Parcel] = deque()  # older than all in the file
        self._bytes = 0  # of these
        self._file: IO[bytes] | None = None
        self._read = self._written = 0  # places in the file

    def __bool__(self) -> bool:
        return bool(self._parcels) or self._read < self._written

    @property
    def size(self) -> int:
        """Bytes that wait, in memory and in the file."""
        return self._bytes + self._written - self._read

    @property
    def spilled(self) -> int:
        """Bytes that wait in the file."""
        return self._written - self._read

    def put(self, parcel: Parcel) -> None:
        """Add one. Raises SchedulerError when the file is at its bound, or cannot be written."""
        if self._read == self._written and self._bytes + len(parcel.text) <= self._in_memory:
            self._parcels.append(parcel)
            self._bytes += len(parcel.text)
            return
        record = _HEAD.pack(parcel.kind, len(parcel.ended), len(parcel.text)) + array("q", parcel.ended).tobytes() + parcel.text
        if self._written + len(record) > self._on_disk:
            raise SchedulerError(
                f"the server is away, and reports of {self._on_disk:,} bytes wait for it: no more is kept",
                hint="Bring the server back; tasks whose outputs exist are found complete by the next run.",
            )
        try:
            self._append(record)
        except OSError as cause:
            raise SchedulerError(f"reports for the server, which is away, cannot be kept on the disk: {cause}") from cause

    def _append(self, record: bytes) -> None:
        if self._file is None:
            import tempfile  # few runs outlive so much

            self._file = tempfile.TemporaryFile(prefix="levada-", dir=self._folder, buffering=0)  # noqa: SIM115 - closed in close()
        self._file.seek(self._written)
        view = memoryview(record)
        while view:
            view = view[self._file.write(view) :]
        self._written += len(record)

    def take(self) -> Parcel | None:
        """The oldest, or None when nothing waits."""
        if self._parcels:
            parcel = self._parcels.popleft()
            self._bytes -= len(parcel.text)
            return parcel
        if self._file is None or self._read == self._written:
            return None
        return self._from_file(self._file)

    def _from_file(self, file: IO[bytes]) -> Parcel:
        file.seek(self._read)
        kind, ended, length = _HEAD.unpack(_exactly(file, _HEAD.size))
        numbers = array("q", _exactly(file, 8 * ended))
        parcel = Parcel(kind, _exactly(file, length), tuple(numbers))
        self._read = file.tell()
        if self._read == self._written:
            file.truncate(0)
            self._read = self._written = 0
        return parcel

    def close(self) -> None:
        """Forget all; the file goes with it."""
        self._parcels.clear()
        self._bytes = self._read = self._written = 0
        if self._file is not None:
            self._file.close()
            self._file = None


def _exactly(file: IO[bytes], length: int) -> bytes:
    found = bytearray()
    while len(found) < length:
        piece = file.read(length - len(found))
        if not piece:
            raise SchedulerError("the file of reports that wait for the server has been cut")
        found += piece
    return bytes(found)

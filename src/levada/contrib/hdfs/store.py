"""HDFS as a store of `levada.FileTarget`: a temporary beside the target, closed, and renamed.

The rename is what HDFS does in one step, and it refuses a name that is taken: of two writers of a write-once target one
commits, and the other is told. A name node that is away, in safe mode or standby is an error, never "absent".
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import IO, TYPE_CHECKING

from levada._model.ports import Entry, Promise
from levada.errors import TargetError, TargetExists, TargetUnreachable, TargetWriteError
from levada.targets.atomic import before_commit, current_tag, is_leftover, temporary_name
from levada.targets.pieces import PieceReader

from .client import ask, ask_data, ask_name_node, client_for, is_connection, is_gone, is_nowhere, may_be_done, no_answer, not_done

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from hdfs_native import Client, FileReader, FileStatus, FileWriter

PAGE = 1000  # entries of a listing that are asked for together, as many as a name node gives at once
PIECE = 1 << 20  # bytes that are read or written together
_TRIES = 1000  # names for a temporary
_EARLIER = 4  # attempts before this one whose temporaries are looked for


def open_store(authority: str) -> HdfsStore:
    """The store of ``host:port``, of a name service, or ("") of fs.defaultFS. Nothing is asked yet."""
    return HdfsStore(authority)


class HdfsStore:
    """One HDFS. Paths begin with a slash. Safe for threads; a forked child makes connections of its own."""

    scheme = "hdfs"
    promise = Promise(create_if_absent=True, atomic_replace=True, listing=True, remote=True)

    def __init__(self, authority: str = "") -> None:
        self.authority = authority

    def __repr__(self) -> str:
        return f"<HDFS {self.authority or 'of the Hadoop configuration'}>"

    @property
    def client(self) -> Client:
        """The client of this process. Raises TargetError when hdfs-native or the address is missing."""
        return client_for(self.authority)

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"hdfs://{self.authority}{path}"

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there. One round trip; raises TargetUnreachable rather than guess."""
        return self.status(path) is not None

    def info(self, path: str) -> Entry | None:
        """Size and time of a file; None when nothing is there. Raises TargetUnreachable."""
        found = self.status(path)
        return None if found is None else _entry(path, found)

    def status(self, path: str) -> FileStatus | None:
        """What the name node says of a path; None when it is absent. Raises TargetUnreachable."""
        client = self.client
        try:
            return ask_name_node(self.authority, client.get_file_info, path or "/")
        except FileNotFoundError:
            return None
        except Exception as cause:
            if is_nowhere(cause):
                return None
            raise no_answer(self.url(path), cause) from cause

    def list(self, folder: str) -> Iterator[Entry]:
        """Entries of a folder, temporaries included; none when it is absent. One round trip for a thousand."""
        client, place = self.client, folder.rstrip("/") or "/"
        try:
            entries = client.list_status(place)
            while page := ask_name_node(self.authority, _page, entries):
                for entry in page:
                    if entry.path.rstrip("/") != place:  # a file lists itself
                        yield _entry(entry.path, entry)
        except FileNotFoundError:
            return
        except (TargetError, GeneratorExit):
            raise
        except Exception as cause:
            if is_nowhere(cause):
                return
            raise no_answer(self.url(folder), cause) from cause

    def open(self, path: str) -> IO[bytes]:
        """The bytes of a file, fetched as they are read. Raises FileNotFoundError, IsADirectoryError, TargetUnreachable."""
        client, url = self.client, self.url(path)
        try:
            return io.BufferedReader(_Reader(url, ask_name_node(self.authority, client.read, path)), PIECE)
        except FileNotFoundError as cause:
            if "not a file" in str(cause):
                raise IsADirectoryError(errno.EISDIR, "A folder of HDFS", url) from None
            raise FileNotFoundError(errno.ENOENT, "No such file in HDFS", url) from None
        except Exception as cause:
            if is_nowhere(cause):
                raise FileNotFoundError(errno.ENOENT, "No such file in HDFS", url) from None
            raise no_answer(url, cause, reading=True) from cause

    def put(self, path: str, *, replace: bool, durable: bool = True, tag: str = "") -> HdfsPending:
        """Begin a write; nothing is visible until its commit. Raises TargetExists when write-once and there."""
        return HdfsPending(self, path, replace=replace, durable=durable, tag=tag or current_tag())

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file, or with ``recursive`` a folder and all in it (past the trash). Raises FileNotFoundError."""
        client = self.client
        try:
            gone = ask(client.delete, path, recursive)
        except Exception as cause:
            if not is_nowhere(cause):
                raise not_done(self.url(path), cause, "removed") from cause
            gone = False
        if not gone:
            raise FileNotFoundError(errno.ENOENT, "No such file in HDFS", self.url(path))

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it; nothing happens when it is there."""
        client = self.client
        try:
            ask(client.mkdirs, path or "/", create_parent=True)
        except Exception as cause:
            raise not_done(self.url(path), cause, "made") from cause

    def move(self, path: str, new: str, *, replace: bool) -> None:
        """Give a file or folder another name, in one step; folders above are made.

        Raises FileNotFoundError, or TargetExists when the name is taken; with ``replace`` a file takes its place. A folder never does.
        """
        client, before = self.client, self.status(path)
        if before is None:
            raise FileNotFoundError(errno.ENOENT, "No such file in HDFS", self.url(path))
        self.make_folder(new.rpartition("/")[0])
        try:
            ask(client.rename, path, new, replace and not before.isdir)
        except FileExistsError:
            raise target_exists(self.url(new)) from None
        except Exception as cause:
            if not (may_be_done(cause) and self.holds(new, before)):
                raise not_done(self.url(path), cause, f"moved to {self.url(new)}") from cause

    def holds(self, path: str, known: FileStatus) -> bool:
        """Whether what stands at a path is the very thing that had this status under another name. False also when that cannot be told."""
        try:
            found = ask(self.client.get_file_info, path)
        except Exception:
            return False
        return (found.isdir, found.length, found.modification_time) == (known.isdir, known.length, known.modification_time)


def _entry(path: str, status: FileStatus) -> Entry:
    return Entry(path.rpartition("/")[2], status.isdir, None if status.isdir else status.length, status.modification_time / 1000)


def _page(entries: Iterator[FileStatus]) -> list[FileStatus]:
    return list(islice(entries, PAGE))


def target_exists(url: str) -> TargetExists:
    """What to raise when a write-once target's name is taken."""
    return TargetExists(
        f"{url}: exists already; what was there first stays",
        hint='Remove it to make it again, or give the target mode="replace" if later runs should overwrite it.',
    )


# -- reading -----------------------------------------------------------------------------------


class _Reader(PieceReader):
    """The bytes of a file, from its data nodes, from a position on."""

    def __init__(self, url: str, reader: FileReader) -> None:
        super().__init__(url, len(reader))
        self._reader = reader
        self._chunks: Iterator[bytes] | None = None

    def _begin(self) -> None:
        self._chunks = None

    def _next(self) -> memoryview:
        try:
            if self._chunks is None:
                self._chunks = self._reader.read_range_stream(self._at, self._size - self._at)
            piece = ask_data(_piece, self._chunks)
        except Exception as cause:
            raise no_answer(self._url, cause, reading=True) from cause
        if not piece:
            raise TargetUnreachable(self._url, f"it ends at byte {self._at:,} of {self._size:,}")
        return memoryview(piece)


def _piece(chunks: Iterator[bytes]) -> bytes:
    """About `PIECE` bytes in one."""
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            break
    return b"".join(parts)


# -- writing -----------------------------------------------------------------------------------


class _Raw(io.RawIOBase):
    """The temporary's bytes. Remembers a failed write, so that no file with a hole is ever committed."""

    def __init__(self, writer: FileWriter, refused: Callable[[Exception], TargetError]) -> None:
        self.writer, self.refused, self.pid = writer, refused, os.getpid()
        self.size = 0
        self.failed: TargetError | None = None
        self.dead = False

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data)
        if self.dead or self.pid != os.getpid():  # given up; or a forked child, whose copy of a buffer is flushed at its end
            return view.nbytes
        if self.failed is not None:
            raise self.failed
        try:
            ask_data(self.writer.write, view.tobytes())
        except Exception as cause:
            self.failed = self.refused(cause)
            raise self.failed from cause
        self.size += view.nbytes
        return view.nbytes


class HdfsPending:
    """A file of HDFS that is not visible yet: a temporary, and where it belongs."""

    def __init__(self, store: HdfsStore, path: str, *, replace: bool, durable: bool, tag: str) -> None:
        """Begin. Raises TargetExists at once when a write-once target is there, else TargetWriteError."""
        self.path, self._store, self._replace, self._durable = path, store, replace, durable
        self._url = store.url(path)
        self._client = store.client
        self._pid = os.getpid()
        self._temporary = ""
        if not replace and self._store.exists(path) and not is_leftover(self._url):
            raise target_exists(self._url)
        self._tag = tag
        self._raw = _Raw(self._create(tag), self._refused)
        self.stream: IO[bytes] = io.BufferedWriter(self._raw, PIECE)

    def __repr__(self) -> str:
        return self._url

    def _create(self, tag: str) -> FileWriter:
        for count in range(_TRIES):
            self._temporary = temporary_name(self.path, tag, count)
            try:
                return ask(self._client.create, self._temporary)
            except FileExistsError:
                continue
            except Exception as cause:
                self._remove_temporary()
                raise not_done(self._url, cause) from cause
        raise TargetWriteError(f"{self._url}: all names for a temporary are taken", hint="Remove those that dead attempts have left.")

    def commit(self) -> None:
        """Make it exist, whole, at once. Raises TargetExists, TargetWriteError or what the lease check raises."""
        if self._pid != os.getpid():
            return  # a forked child has a copy of the writer; the file is its parent's
        try:
            written = self._finish()
            before_commit()
            self._publish(written)
        except BaseException:
            self.abort()
            raise
        self._temporary = ""
        self._raw.dead = True
        self.stream.close()
        self._forget_earlier_attempts()

    def _finish(self) -> FileStatus:
        """Bring all bytes to the data nodes; what the name node then says of the temporary."""
        self.stream.flush()
        raw = self._raw
        if raw.failed is not None:
            raise raw.failed
        try:
            if self._durable and raw.size:
                with suppress(NotImplementedError):  # erasure-coded folders
                    ask_data(raw.writer.hsync)
            ask_data(raw.writer.close)
            written = ask(self._client.get_file_info, self._temporary)
        except Exception as cause:
            raise self._refused(cause) from cause
        if written.length != raw.size:
            raise TargetWriteError(f"{self._url}: {raw.size:,} bytes were written, HDFS has {written.length:,}", hint="Run again.")
        return written

    def _publish(self, written: FileStatus) -> None:
        try:
            self._rename(written, replace=self._replace)
        except FileExistsError:
            if not is_leftover(self._url):
                raise target_exists(self._url) from None
            self._rename(written, replace=True)

    def _rename(self, written: FileStatus, *, replace: bool) -> None:
        """Give the temporary its name, in one step. An answer that was lost on the way is looked for in the folder."""
        try:
            ask(self._client.rename, self._temporary, self.path, replace)
        except FileExistsError:
            raise
        except Exception as cause:
            if not (may_be_done(cause) and self._store.holds(self.path, written)):
                error = self._refused(cause)
                if is_connection(cause):
                    error.hint = f"{error.hint} The answer to the last step was lost: the next attempt sees whether it was taken."
                raise error from cause

    def _refused(self, cause: Exception) -> TargetError:
        if is_gone(cause):
            if not self._replace and self._store.exists(self.path):
                return target_exists(self._url)
            return TargetWriteError(
                f"{self._url}: its temporary {self._temporary} was removed before the end",
                hint="A newer attempt of the task, or a sweep, took this one for dead.",
            )
        return not_done(self._url, cause)

    def _forget_earlier_attempts(self) -> None:
        """Remove what attempts before this one left here: their fences are older, so they are void."""
        key8, _, fence = self._tag.partition(".")
        epoch, _, number = fence.partition(".")
        if not number.isdecimal():
            return  # no attempt of a task
        for earlier in range(max(1, int(number) - _EARLIER), int(number)):
            with suppress(Exception):  # tidiness: what stays is never taken for the target
                ask(self._client.delete, temporary_name(self.path, f"{key8}.{epoch}.{earlier}"), False)

    def abort(self) -> None:
        """Forget it; the temporary is removed. Harmless to repeat."""
        self._raw.dead = True
        if self._pid == os.getpid():
            self._remove_temporary()
        with suppress(OSError, ValueError):
            self.stream.close()

    def _remove_temporary(self) -> None:
        temporary, self._temporary = self._temporary, ""
        if temporary:
            with suppress(Exception):  # the name node is away, perhaps: it stays, and is never taken for the target
                ask(self._client.delete, temporary, False)

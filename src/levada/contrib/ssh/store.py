"""Files of another host as a store of `levada.FileTarget`, over SFTP: a temporary beside the target, which then takes its name.

A write-once target takes it by a hard link (``hardlink@openssh.com``), which refuses a name that is taken; where a server
has none, by SFTP's rename, which must refuse it too, and is probed for that. A later write replaces by
``posix-rename@openssh.com``. A host that is away, or lets nobody in, is an error, never "absent".
"""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import os
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING, TypeVar

from levada._model.ports import Entry, Promise
from levada.errors import TargetError, TargetExists, TargetWriteError
from levada.targets.atomic import before_commit, current_tag, is_leftover, temporary_name
from levada.targets.pieces import PieceReader

from .client import MOVING, Host, Link, Place, host_at, in_loop, read_place
from .troubles import is_absent, is_lost, no_answer, not_done

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from asyncssh import SFTPAttrs, SFTPClient, SFTPClientFile, SFTPName

T = TypeVar("T")

PAGE = 1000  # entries of a listing that are asked for together
PIECE = 2 << 20  # bytes that are read or written together
PROBE = ".levada-probe"
_TRIES = 1000  # names for a temporary
_AHEAD = 8  # questions of a listing that are on their way
_EARLIER = 4  # attempts before this one whose temporaries are looked for
_FOLDER, _LINK, _FILE = 2, 3, 1  # kinds of files, as SFTP numbers them

log = logging.getLogger(__name__)


def open_store(authority: str) -> SftpStore:
    """The store of ``user@host:port``. Nothing is asked yet. Raises ConfigError for an authority that names no host."""
    return SftpStore(read_place(authority, f"sftp://{authority}"))


class SftpStore:
    """The files of one user of one host. Safe for threads; a forked child makes a connection of its own.

    Paths begin with a slash; ``/~/`` at the beginning, or no slash, means the folder that a login begins in.
    promise: as servers of OpenSSH keep it, until something is written to one that does not.
    """

    scheme = "sftp"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.promise = Promise(create_if_absent=True, atomic_replace=True, listing=True, remote=True)
        self.links = True  # as far as is known

    def __repr__(self) -> str:
        return f"<SFTP to {self.place}>"

    @property
    def host(self) -> Host:
        """The host, as this process speaks to it. Raises TargetError when asyncssh is missing."""
        return host_at(self.place, f"sftp://{self.place}")

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"sftp://{self.place}{'' if path.startswith('/') else '/~/'}{path}"

    def ask(self, act: Callable[[SFTPClient], Awaitable[T]], *, again: bool = False) -> T:
        """What a question about files gives. Raises what asyncssh raises."""

        async def asked(link: Link) -> T:
            return await act(await link.asking())

        return self.host.ask(asked, again=again)

    def tell(self, act: Callable[[SFTPClient], Awaitable[object]]) -> None:
        """The same, where nobody waits for it; it may fail."""

        async def asked(link: Link) -> None:
            await act(await link.asking())

        self.host.tell(asked)

    # -- verbs -----------------------------------------------------------------------------

    def exists(self, path: str) -> bool:
        """Whether a path leads to something. One round trip; raises TargetUnreachable rather than guess."""
        return self.status(path) is not None

    def info(self, path: str) -> Entry | None:
        """Size and time of a file; None when nothing is there. Raises TargetUnreachable."""
        found = self.status(path)
        if found is None:
            return None
        is_folder = found.type == _FOLDER
        return Entry(path.rstrip("/").rpartition("/")[2], is_folder, None if is_folder else found.size, found.mtime)

    def status(self, path: str) -> SFTPAttrs | None:
        """What the server says of a path; None when it is absent. Raises TargetUnreachable."""
        try:
            return self.ask(lambda sftp: sftp.stat(remote(path)), again=True)
        except Exception as cause:
            if is_absent(cause):
                return None
            raise no_answer(self.url(path), cause) from cause

    def list(self, folder: str) -> Iterator[Entry]:
        """Entries of a folder, temporaries included; none when it is absent. Links are followed; one that leads nowhere is no entry."""
        seen: set[str] = set()
        for again in (True, False):
            try:
                for entry in self._entries(remote(folder.rstrip("/") or folder)):
                    if entry.name not in seen:
                        seen.add(entry.name)
                        yield entry
                return
            except Exception as cause:
                if is_absent(cause):
                    return
                if not (again and is_lost(cause)):
                    raise no_answer(self.url(folder), cause) from cause

    def _entries(self, folder: bytes) -> Iterator[Entry]:
        names: list[AsyncIterator[SFTPName]] = []

        async def page(sftp: SFTPClient) -> list[Entry]:
            if not names:
                names.append(_names(sftp, folder))
            return await _page(sftp, folder, names[0])

        while entries := self.ask(page):
            yield from (entry for entry in entries if entry.name)

    def open(self, path: str) -> IO[bytes]:
        """The bytes of a file, fetched as they are read. Raises FileNotFoundError, IsADirectoryError, TargetUnreachable."""
        url = self.url(path)
        try:
            return io.BufferedReader(_Reader(self.host, remote(path), url), PIECE)
        except (FileNotFoundError, IsADirectoryError, TargetError):
            raise
        except Exception as cause:
            if is_absent(cause):
                raise FileNotFoundError(errno.ENOENT, "No such file on the host", url) from None
            raise no_answer(url, cause, reading=True) from cause

    def put(self, path: str, *, replace: bool, durable: bool = True, tag: str = "") -> SftpPending:
        """Begin a write; nothing is visible until its commit. Raises TargetExists when write-once and there."""
        return SftpPending(self, path, replace=replace, durable=durable, tag=tag or current_tag())

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file, or with ``recursive`` a folder and all in it. Raises FileNotFoundError."""
        place = remote(path)

        async def removed(sftp: SFTPClient) -> None:
            if recursive and (await sftp.lstat(place)).type == _FOLDER:
                await sftp.rmtree(place)
            else:
                await sftp.remove(place)

        try:
            self.ask(removed, again=True)
        except Exception as cause:
            if is_absent(cause):
                raise FileNotFoundError(errno.ENOENT, "No such file on the host", self.url(path)) from None
            raise not_done(self.url(path), cause, "removed") from cause

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it; nothing happens when it is there."""
        try:
            self.ask(lambda sftp: _make_folder(sftp, remote(path)), again=True)
        except Exception as cause:
            raise not_done(self.url(path), cause, "made") from cause

    # -- what the server keeps -------------------------------------------------------------

    def cannot_link(self, path: str) -> None:
        """Remember that the server has no hard links: its rename is probed, beside a path, for whether it refuses a name that is taken."""
        self.links = False
        if not self.ask(lambda sftp: _rename_refuses(sftp, remote(path))):
            self.only_looks("it renames onto names that are taken")

    def only_looks(self, reason: str) -> None:
        """Remember that existence is looked at just before a write, and no more."""
        if self.promise.create_if_absent:
            self.promise = self.promise._replace(create_if_absent=False)
            log.warning("existence is looked at just before a write: %s", reason, extra={"store": repr(self)})


def remote(path: str) -> bytes:
    """A path as the server is told it. Raises TargetError for a zero byte, at which servers hang up.

    >>> remote("/var/log"), remote("/~/log"), remote("log"), remote("")
    (b'/var/log', b'log', b'log', b'/')
    """
    if "\0" in path:
        raise TargetError(f"{path!r}: a null byte is no part of a name")
    if path == "/~":
        path = "."
    return (path.removeprefix("/~/") or "/").encode("utf-8", "surrogateescape")


async def _names(sftp: SFTPClient, folder: bytes) -> AsyncIterator[SFTPName]:
    """The names in a folder. Servers give a hundred at a time, so several questions are on their way: `SFTPClient.scandir` has one."""
    from asyncssh import SFTPEOFError

    handler = sftp._handler
    handle = await handler.opendir(folder)
    asked = deque(asyncio.ensure_future(handler.readdir(handle)) for _ in range(_AHEAD))
    try:
        at_end = False
        while asked:
            try:
                names, last = await asked.popleft()
            except SFTPEOFError:
                names, last = [], True
            at_end = at_end or last
            if not at_end:
                asked.append(asyncio.ensure_future(handler.readdir(handle)))
            for name in names:
                yield name
    finally:
        await asyncio.gather(*asked, return_exceptions=True)
        with suppress(Exception):
            await handler.close(handle)


async def _page(sftp: SFTPClient, folder: bytes, names: AsyncIterator[SFTPName]) -> list[Entry]:
    """The next entries of a listing, at most `PAGE`; none at its end. What is no entry has no name: a page of such is no end."""
    found: list[SFTPName] = []
    async for name in names:
        found.append(name)
        if len(found) == PAGE:
            break
    return list(await asyncio.gather(*(_entry(sftp, folder, name) for name in found)))


async def _entry(sftp: SFTPClient, folder: bytes, name: SFTPName) -> Entry:
    raw, attrs = name.filename, name.attrs
    raw = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
    if raw in (b".", b".."):
        return Entry("", False)
    if attrs.type == _LINK:
        try:
            attrs = await sftp.stat(folder + b"/" + raw)
        except Exception as cause:
            if not is_absent(cause):
                raise
            return Entry("", False)
    is_folder = attrs.type == _FOLDER
    return Entry(raw.decode("utf-8", "surrogateescape"), is_folder, None if is_folder else attrs.size)


async def _make_folder(sftp: SFTPClient, folder: bytes) -> None:
    try:
        await sftp.mkdir(folder)
    except Exception as cause:
        if is_absent(cause) and b"/" in folder.strip(b"/"):
            await _make_folder(sftp, folder.rstrip(b"/").rpartition(b"/")[0])
            await _make_folder(sftp, folder)
        elif is_lost(cause) or not await sftp.isdir(folder):
            raise


async def _rename_refuses(sftp: SFTPClient, path: bytes) -> bool:
    """Whether a rename onto a name that is taken is refused; two empty files beside ``path``, removed at once."""
    folder, slash, _ = path.rpartition(b"/")
    one, other = probes = [folder + slash + f"{PROBE}-{os.urandom(8).hex()}".encode() for _ in range(2)]
    try:
        for probe in probes:
            await (await sftp.open(probe, "xb")).close()
        try:
            await sftp.rename(one, other)
        except Exception as cause:
            if is_lost(cause):
                raise
            return True
    finally:
        for probe in probes:
            with suppress(Exception):
                await sftp.remove(probe)
    return False


def target_exists(url: str) -> TargetExists:
    """What to raise when a write-once target's name is taken."""
    return TargetExists(
        f"{url}: exists already; what was there first stays",
        hint='Remove it to make it again, or give the target mode="replace" if later runs should overwrite it.',
    )


# -- reading -----------------------------------------------------------------------------------


class _Reader(PieceReader):
    """The bytes of a file as it was when it was opened. Over a new connection it is opened anew, if it is still the same one."""

    def __init__(self, host: Host, path: bytes, url: str) -> None:
        self._host, self._path = host, path
        self._link: Link | None = None
        self._file: SFTPClientFile | None = None
        self._known: tuple[int, int | None] = (-1, None)  # size and time, when it was opened
        host.ask(self._opened, again=True)
        super().__init__(url, self._known[0])

    async def _opened(self, link: Link) -> SFTPClientFile:
        if self._file is None or link is not self._link:
            sftp = await link.moving()
            file = await sftp.open(self._path, "rb")
            attrs = await file.stat()
            if attrs.type == _FOLDER:
                await file.close()
                raise IsADirectoryError(errno.EISDIR, "A folder of the host", self._path.decode("utf-8", "replace"))
            known = (attrs.size or 0, attrs.mtime)
            if self._known not in ((-1, None), known):
                raise TargetError(f"{self._url}: was replaced while it was read", hint="Run again.")
            self._link, self._file, self._known = link, file, known
        return self._file

    def _begin(self) -> None:
        """Nothing is under way: each piece is asked for by its place."""

    def _next(self) -> memoryview:
        async def piece(link: Link) -> bytes:
            return await (await self._opened(link)).read(PIECE, self._at)

        try:
            found = self._host.ask(piece, again=True, seconds=MOVING)
        except Exception as cause:
            raise no_answer(self._url, cause, reading=True) from cause
        if not found:
            raise TargetError(f"{self._url}: ended after {self._at:,} bytes of {self._size:,}", hint="It was changed: run again.")
        return memoryview(found)

    def close(self) -> None:
        file, self._file = getattr(self, "_file", None), None
        if file is not None:
            self._host.send(file.close)
        super().close()


# -- writing -----------------------------------------------------------------------------------


class _Raw(io.RawIOBase):
    """The temporary's bytes. Remembers a failed write, so that no file with a hole is ever committed."""

    def __init__(self, pending: SftpPending) -> None:
        self.pending, self.pid = pending, os.getpid()
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
        content, at = view.tobytes(), self.size
        try:
            self.pending.tell(lambda file: file.write(content, at))
        except Exception as cause:
            self.failed = self.pending.refused(cause)
            raise self.failed from cause
        self.size += view.nbytes
        return view.nbytes


class SftpPending:
    """A file of another host that is not visible yet: a temporary, and where it belongs."""

    def __init__(self, store: SftpStore, path: str, *, replace: bool, durable: bool, tag: str) -> None:
        """Begin. Raises TargetExists at once when a write-once target is there, else TargetWriteError."""
        self.path, self._store, self._replace, self._durable, self._tag = path, store, replace, durable, tag
        self._url, self._host = store.url(path), store.host
        self._pid = os.getpid()
        self._temporary = ""
        if not replace and store.exists(path) and not is_leftover(self._url):
            raise target_exists(self._url)
        self._link, self._file = self._create(tag)
        self._written: SFTPAttrs | None = None
        self._raw = _Raw(self)
        self.stream: IO[bytes] = io.BufferedWriter(self._raw, PIECE)

    def __repr__(self) -> str:
        return self._url

    def _create(self, tag: str) -> tuple[Link, SFTPClientFile]:
        async def created(link: Link) -> tuple[Link, SFTPClientFile]:
            return link, await (await link.moving()).open(remote(self._temporary), "xb")

        for count in range(_TRIES):
            self._temporary = temporary_name(self.path, tag, count)
            try:
                try:
                    return self._host.ask(created, seconds=MOVING)
                except Exception as cause:
                    if not is_absent(cause):
                        raise
                self._store.make_folder(self._temporary.rpartition("/")[0])
                return self._host.ask(created, seconds=MOVING)
            except Exception as cause:
                if not self._is_taken(cause):
                    self._remove_temporary()
                    raise self._refusal(cause) from cause
        raise TargetWriteError(f"{self._url}: all names for a temporary are taken", hint="Remove those that dead attempts have left.")

    def _is_taken(self, cause: Exception) -> bool:
        """Whether a temporary could not be made since there is one of this name."""
        with suppress(Exception):
            return not is_lost(cause) and not isinstance(cause, TargetError) and self._is_there(self._temporary)
        return False

    def tell(self, act: Callable[[SFTPClientFile], Awaitable[T]]) -> T:
        """What the open temporary answers. Raises what asyncssh raises; a connection that was lost meanwhile has lost it, too."""

        async def told(link: Link) -> T:
            if link is not self._link:
                raise ConnectionResetError("the connection was lost while the file was written")
            return await act(self._file)

        return self._host.ask(told, seconds=MOVING)

    # -- the end ---------------------------------------------------------------------------

    def commit(self) -> None:
        """Make it exist, whole, at once. Raises TargetExists, TargetWriteError or what the lease check raises."""
        if self._pid != os.getpid():
            return  # a forked child has a copy of the writer; the file is its parent's
        try:
            self._written = self._finish()
            before_commit()
            self._publish()
        except BaseException:
            self.abort()
            raise
        self._remove_temporary()
        self._raw.dead = True
        self.stream.close()
        self._forget_earlier_attempts()

    def _finish(self) -> SFTPAttrs:
        """Bring all bytes to the disk; what the server then says of the temporary."""
        self.stream.flush()
        if self._raw.failed is not None:
            raise self._raw.failed
        try:
            if self._durable:
                self.tell(_sync)
            self.tell(lambda file: file.close())
            written = self._store.ask(lambda sftp: sftp.lstat(remote(self._temporary)), again=True)
        except Exception as cause:
            raise self.refused(cause) from cause
        if written.size != self._raw.size:
            raise TargetWriteError(f"{self._url}: {self._raw.size:,} bytes were written, the host has {written.size:,}", hint="Run again.")
        return written

    def _publish(self) -> None:
        if self._replace:
            self._replace_target()
        elif not self._take_name():
            if not is_leftover(self._url):
                raise target_exists(self._url)
            self._replace_target()

    def _take_name(self) -> bool:
        """Give it the target's name; False when that is taken."""
        given = self._step(linking=True) if self._store.links else None
        if given is not None:
            return given
        if not self._store.promise.create_if_absent and self._store.exists(self.path):
            return False
        given = self._step(linking=False)
        if self._store.links and given:
            self._store.only_looks("the file system has no hard links")
        return bool(given)

    def _step(self, *, linking: bool) -> bool | None:
        """Whether a link, or a rename, gave the name to us: both refuse one that is taken. None where it cannot be linked.

        Where the answer was lost, what stands there is looked at, and if there is nothing, the step is taken once more.
        """
        old, new, lost = remote(self._temporary), remote(self.path), False
        while True:
            try:
                self._store.ask(lambda sftp: sftp.link(old, new) if linking else sftp.rename(old, new))
                return True
            except Exception as cause:
                again, lost = is_lost(cause) and not lost, lost or is_lost(cause)
                try:
                    if self._is_there(self.path):
                        return lost and (self._is_linked() if linking else self._is_moved())
                    if linking and not is_lost(cause) and not is_absent(cause):
                        self._cannot_link(cause)
                        return None
                except Exception:
                    raise self.refused(cause) from cause
                if not again:
                    raise self.refused(cause) from cause

    def _cannot_link(self, cause: Exception) -> None:
        if _is_unsupported(cause):
            self._store.cannot_link(self.path)

    def _replace_target(self) -> None:
        """Take the place of what is there, in one step where the server has it. An answer that was lost is looked for."""
        for again in (True, False):
            try:
                self._store.ask(self._rename_over)
                return
            except Exception as cause:
                if not is_lost(cause):
                    raise self.refused(cause) from cause
                try:
                    if self._is_moved():
                        return
                except Exception:
                    again = False
                if not again:
                    raise self.refused(cause) from cause

    async def _rename_over(self, sftp: SFTPClient) -> None:
        old, new = remote(self._temporary), remote(self.path)
        try:
            await sftp.posix_rename(old, new)
        except Exception as cause:
            if not _is_unsupported(cause):
                raise
            self._store.promise = self._store.promise._replace(atomic_replace=False)
            with suppress(Exception):
                await sftp.remove(new)
            await sftp.rename(old, new)

    # -- what is there ---------------------------------------------------------------------

    def _is_there(self, path: str) -> bool:
        """Whether something has this name, be it a link that leads nowhere. Raises what asyncssh raises."""
        try:
            self._store.ask(lambda sftp: sftp.lstat(remote(path)), again=True)
        except Exception as cause:
            if is_absent(cause):
                return False
            raise
        return True

    def _is_linked(self) -> bool:
        """Whether the target is our temporary under its other name: a time of access that is set on one is seen on the other."""
        mark = random.randrange(1 << 30)  # noqa: S311 - no secret
        modified = self._written.mtime if self._written else None
        if modified is None:
            return False

        async def seen(sftp: SFTPClient) -> bool:
            for moment in (mark, modified):
                await sftp.utime(remote(self._temporary), (moment, modified))
                if (await sftp.lstat(remote(self.path))).atime != moment:
                    return False
            return True

        return self._store.ask(seen, again=True)

    def _is_moved(self) -> bool:
        """Whether the target is what our temporary was: that is gone, and size and time are the same."""
        if self._is_there(self._temporary) or not self._is_there(self.path):
            return False
        found, written = self._store.ask(lambda sftp: sftp.lstat(remote(self.path)), again=True), self._written
        return written is not None and (found.size, found.mtime) == (written.size, written.mtime)

    def refused(self, cause: Exception) -> TargetError:
        """The error of a step that failed."""
        if is_absent(cause):
            with suppress(Exception):
                if not self._replace and self._store.exists(self.path):
                    return target_exists(self._url)
            return TargetWriteError(
                f"{self._url}: its temporary {self._temporary} was removed before the end",
                hint="A newer attempt of the task, or a sweep, took this one for dead.",
            )
        return self._refusal(cause)

    def _refusal(self, cause: Exception) -> TargetError:
        error = not_done(self._url, cause)
        if not isinstance(cause, TargetError) and not is_lost(cause) and self._is_full():
            error.errno, error.message = errno.ENOSPC, f"{self._url}: could not be written: there is no room"  # type: ignore[attr-defined]  # it is one of writing
            error.hint = "Make room on the disk of the host, then run again. Nothing half-done is seen."
        return error

    def _is_full(self) -> bool:
        """Whether the disk has no room, as far as the server tells."""
        folder = self.path.rpartition("/")[0] or "/"
        try:
            return self._store.ask(lambda sftp: sftp.statvfs(remote(folder)), again=True).bavail == 0
        except Exception:
            return False

    # -- tidiness --------------------------------------------------------------------------

    def _forget_earlier_attempts(self) -> None:
        """Remove what attempts before this one left here: their fences are older, so they are void."""
        key8, _, fence = self._tag.partition(".")
        epoch, _, number = fence.partition(".")
        if not number.isdecimal():
            return  # no attempt of a task
        earlier = range(max(1, int(number) - _EARLIER), int(number))
        names = [remote(temporary_name(self.path, f"{key8}.{epoch}.{each}")) for each in earlier]
        if names:
            with suppress(Exception):  # what stays is never taken for the target
                self._store.ask(lambda sftp: asyncio.gather(*map(sftp.remove, names), return_exceptions=True))

    def abort(self) -> None:
        """Forget it; the temporary is removed. Harmless to repeat."""
        self._raw.dead = True
        if self._pid == os.getpid():
            self._remove_temporary()
        with suppress(OSError, ValueError):
            self.stream.close()

    def _remove_temporary(self) -> None:
        temporary, self._temporary = self._temporary, ""
        if not temporary:
            return
        if file := getattr(self, "_file", None):
            self._host.send(file.close)
        if in_loop():  # a writer that nobody closed was collected there
            self._store.tell(lambda sftp: sftp.remove(remote(temporary)))
            return
        with suppress(Exception):  # the host is away, perhaps: it stays, and is never taken for the target
            self._store.ask(lambda sftp: sftp.remove(remote(temporary)), again=True)


async def _sync(file: SFTPClientFile) -> None:
    try:
        await file.fsync()
    except Exception as cause:
        if not _is_unsupported(cause):
            raise


def _is_unsupported(cause: BaseException) -> bool:
    import asyncssh

    return isinstance(cause, asyncssh.SFTPOpUnsupported)

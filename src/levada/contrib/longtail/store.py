"""A file system of fsspec as a store: a verb each, as `levada._model.ports.Store` wants them.

fsspec's own ``exists`` takes any error for "no", and some file systems of it raise FileNotFoundError for whatever went wrong: here that
counts as absent only where nothing else was behind it. Its caches of listings are off.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from datetime import datetime
from threading import Lock
from typing import IO, Any

from levada._model import forks
from levada._model.ports import Entry, Promise
from levada.errors import TargetError, TargetUnreachable, TargetWriteError, told
from levada.targets.pieces import PieceReader

from .writing import FsspecPending

PIECE = 1 << 20  # bytes that are read together
_SETTINGS = "Options of fsspec stand in ~/.config/fsspec/*.json, or in FSSPEC_{} as JSON."


class FsspecStore:
    """What lies behind one scheme and authority. Each process has a file system of its own."""

    promise = Promise(create_if_absent=False, atomic_replace=False, listing=True, remote=True)

    def __init__(self, scheme: str, authority: str) -> None:
        self.scheme, self.authority = scheme, authority
        self._made: tuple[int, Any] | None = None  # the process, and its own
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<{self.scheme} store of {self.authority}, by fsspec>"

    @property
    def fs(self) -> Any:
        """The file system of this process. Raises TargetError where it cannot be made."""
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = os.getpid(), self._make()
            return self._made[1]

    def _make(self) -> Any:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]  # it has no types

        url = f"{self.scheme}://{self.authority}/"
        try:
            fs, _ = url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)
        except ImportError as cause:
            raise TargetError(f"{url}: fsspec wants more for it: {cause}", hint="Install what it names.") from cause
        except (TypeError, ValueError) as cause:
            raise TargetError(f"{url}: cannot be used: {cause}", hint=_SETTINGS.format(self.scheme.upper())) from cause
        except Exception as cause:  # some connect at once, and raise what they like
            raise self.unreachable("/", cause) from cause
        if fs.async_impl:
            forks.forbid("fsspec")  # its loop runs in a thread
        return fs

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"{self.scheme}://{self.authority}{path}"

    def place(self, path: str) -> str:
        """The path as the file system has it. Raises TargetError for a name that fsspec would change."""
        place = str(self.fs._strip_protocol(self.url(path)))
        if not place.rstrip("/").endswith(path.strip("/")):
            raise TargetError(f"{self.url(path)!r}: fsspec would take that for {place!r}", hint="Leave out what has a meaning in URLs.")
        return place

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there. Raises TargetUnreachable rather than guess."""
        return self.info(path) is not None

    def info(self, path: str) -> Entry | None:
        """What fsspec tells of a file; None when nothing is there. Raises TargetUnreachable rather than guess."""
        place = self.place(path)
        try:
            self.fs.invalidate_cache()
            return _entry(self.fs.info(place))
        except Exception as cause:  # whatever a file system raises
            if says_absent(cause):
                return None
            raise self.unreachable(path, cause) from cause

    def list(self, folder: str) -> Iterator[Entry]:
        """Entries of a folder, temporaries included; none when it is absent."""
        place = self.place(folder)
        try:
            self.fs.invalidate_cache()
            found = self.fs.ls(place, detail=True)
        except Exception as cause:
            if says_absent(cause):
                return
            raise self.unreachable(folder, cause) from cause
        for one in found:
            if str(one["name"]).strip("/") != place.strip("/"):  # a file lists itself
                yield _entry(one)

    def open(self, path: str) -> IO[bytes]:
        """The bytes of a file, fetched as they are read. Raises FileNotFoundError, IsADirectoryError, TargetUnreachable."""
        found = self.info(path)
        if found is None:
            raise FileNotFoundError(2, "No such file", self.url(path))
        if found.is_folder:
            raise IsADirectoryError(21, "A folder", self.url(path))
        try:
            if found.size is None:
                return io.BytesIO(self.fs.cat_file(self.place(path)))
            stream = self.fs.open(self.place(path), "rb")
        except Exception as cause:
            raise self.unreachable(path, cause) from cause
        return io.BufferedReader(_Reader(self.url(path), found.size, stream), PIECE)

    def put(self, path: str, *, replace: bool, durable: bool = True, tag: str = "") -> FsspecPending:
        """Begin a write; see `writing`. Raises TargetExists at once when a write-once file is there. durable: as the system has it."""
        return FsspecPending(self, path, replace=replace, tag=tag)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file, or with ``recursive`` a folder and all in it. Raises FileNotFoundError."""
        found = self.info(path)
        if found is None:
            raise FileNotFoundError(2, "No such file", self.url(path))
        if not found.is_folder:
            self.do("removed", path, self.fs.rm_file, self.place(path))
            return
        for entry in list(self.list(path)) if recursive else ():  # fsspec's own would take names for patterns
            self.remove(f"{path.rstrip('/')}/{entry.name}", recursive=True)
        if self.exists(path):  # where folders are only prefixes, it went with its last file
            self.do("removed", path, self.fs.rmdir, self.place(path))

    def do(self, deed: str, path: str, act: Any, *arguments: Any) -> None:
        """Do something that changes it. Raises TargetWriteError with what was said."""
        try:
            act(*arguments)
        except TargetError:
            raise
        except Exception as cause:
            why = f"fsspec only reads {self.scheme}://" if isinstance(cause, NotImplementedError) else told(cause)
            hint = "May this user do that there? " + _SETTINGS.format(self.scheme.upper())
            raise TargetWriteError(f"{self.url(path)}: could not be {deed}: {why}", hint=hint) from cause

    def unreachable(self, path: str, cause: BaseException) -> TargetError:
        """The error of a question that was not answered."""
        if isinstance(cause, TargetError):
            return cause
        hint = f"What depends on it was not started. {_SETTINGS.format(self.scheme.upper())}"
        return TargetUnreachable(self.url(path), told(behind(cause) or cause), hint=hint)


# -- what fsspec says --------------------------------------------------------------------------

_HARMLESS = (FileNotFoundError, NotADirectoryError, LookupError, StopIteration)


def says_absent(cause: BaseException) -> bool:
    """Whether an error says that nothing is there, and nothing else is behind it."""
    return isinstance(cause, (FileNotFoundError, NotADirectoryError)) and behind(cause) is None


def behind(cause: BaseException) -> BaseException | None:
    """The error that was taken for absence; None where there is none. Answers of 404 are absence, too."""
    seen: set[int] = set()
    at: BaseException | None = cause
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        if not isinstance(at, _HARMLESS) and _status(at) != 404:
            return at
        at = at.__cause__ or at.__context__
    return None


def _status(cause: BaseException) -> object:
    answer = getattr(cause, "response", cause)
    return getattr(answer, "status_code", getattr(answer, "status", None))


def _entry(info: dict[str, Any]) -> Entry:
    name = str(info["name"]).rstrip("/").rpartition("/")[2]
    if info.get("type") == "directory":
        return Entry(name, True)
    return Entry(name, False, info.get("size"), _seconds(info), info.get("ETag") or info.get("etag"))


def _seconds(info: dict[str, Any]) -> float | None:
    for key in ("mtime", "modified", "LastModified", "last_modified"):
        value = info.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
    millis = info.get("modificationTime")  # as WebHDFS has it
    return millis / 1000 if isinstance(millis, int) else None


class _Reader(PieceReader):
    """The bytes of a file, from a position on."""

    def __init__(self, url: str, size: int, stream: Any) -> None:
        super().__init__(url, size)
        self._stream = stream

    def _begin(self) -> None:
        pass

    def _next(self) -> memoryview:
        try:
            self._stream.seek(self._at)
            piece = self._stream.read(PIECE)
        except Exception as cause:
            raise TargetUnreachable(self._url, f"reading broke off after {self._at:,} bytes: {told(cause)}") from cause
        if not piece:
            raise TargetUnreachable(self._url, f"it ended after {self._at:,} bytes of {self._size:,}")
        return memoryview(piece)

    def close(self) -> None:
        self._stream.close()
        super().close()

"""Targets in memory, for tests: they keep the laws of real ones, count calls, and can fail on request."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from threading import Lock
from typing import IO, cast

from levada._model.ports import Entry, Promise
from levada.errors import TargetExists, TargetUnreachable, TargetWriteError

from .formats import Format
from .stores import FileTarget

PAGE = 1000  # entries that one call of a listing brings


class MemoryStore:
    """A store that lives with its object, safe for threads.

    calls: how often each verb was called, a listing once a page of 1,000. Play: ``remote=True`` declares
    round trips; ``unreachable`` (any text) makes every verb raise TargetUnreachable with it;
    ``failing`` is an exception that commits raise.
    """

    scheme = "memory"

    def __init__(self, *, remote: bool = False, listing: bool = True) -> None:
        self.promise = Promise(create_if_absent=True, atomic_replace=True, listing=listing, remote=remote)
        self.calls: Counter[str] = Counter()
        self.unreachable: str | None = None
        self.failing: Exception | None = None
        self._files: dict[str, bytes] = {}
        self._folders: dict[str, dict[str, bool]] = {}  # folder -> name -> is it a folder?
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<MemoryStore, {len(self._files)} files>"

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        self._count("exists", path)
        return path in self._files or path.rstrip("/") in self._folders

    def info(self, path: str) -> Entry | None:
        """The size of a file; None when nothing is there."""
        self._count("info", path)
        content = self._files.get(path)
        if content is None:
            return Entry(path, True) if path.rstrip("/") in self._folders else None
        return Entry(path.rpartition("/")[2], False, len(content))

    def list(self, folder: str) -> Iterator[Entry]:
        """Entries of a folder; none when it is absent."""
        folder = folder.rstrip("/")
        entries = list(self._folders.get(folder, {}).items())
        for start in range(0, max(len(entries), 1), PAGE):
            self._count("list", folder)
            for name, is_folder in entries[start : start + PAGE]:
                yield Entry(name, is_folder, None if is_folder else len(self._files.get(f"{folder}/{name}" if folder else name, b"")))

    def open(self, path: str) -> IO[bytes]:
        """The bytes of a file. Raises FileNotFoundError."""
        self._count("open", path)
        try:
            return io.BytesIO(self._files[path])
        except KeyError:
            raise FileNotFoundError(2, "No such file in memory", path) from None

    def put(self, path: str, *, replace: bool, durable: bool = True, tag: str = "") -> _MemoryPending:
        """Begin a write; nothing is visible until its commit. Raises TargetExists when write-once and there."""
        self._count("put", path)
        if not replace and path in self._files:
            raise _exists(path)
        return _MemoryPending(self, path, replace)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file, or with ``recursive`` a folder. Raises FileNotFoundError."""
        self._count("remove", path)
        with self._lock:
            inside = [name for name in self._files if name.startswith(path.rstrip("/") + "/")] if recursive else []
            if path not in self._files and not inside:
                raise FileNotFoundError(2, "No such file in memory", path)
            for name in [*inside, *([path] if path in self._files else [])]:
                del self._files[name]
                self._forget(name)

    def _count(self, verb: str, path: str) -> None:
        with self._lock:
            self.calls[verb] += 1
        if self.unreachable is not None:
            raise TargetUnreachable(f"memory:{path}", self.unreachable)

    def _store(self, path: str, content: bytes, *, replace: bool) -> None:
        self._count("commit", path)
        if self.failing is not None:
            raise TargetWriteError(f"{path}: could not be written: {self.failing}") from self.failing
        with self._lock:
            if not replace and path in self._files:
                raise _exists(path)
            self._files[path] = content
            self._remember(path)

    def _remember(self, path: str) -> None:
        is_folder = False
        while path:
            path, _, name = path.rpartition("/")
            names = self._folders.setdefault(path, {})
            if name in names:
                return
            names[name] = is_folder
            is_folder = True

    def _forget(self, path: str) -> None:
        while path:
            path, _, name = path.rpartition("/")
            names = self._folders[path]
            del names[name]
            if names or not path:
                return
            del self._folders[path]


class _MemoryPending:
    """A write to memory that is not visible yet."""

    def __init__(self, store: MemoryStore, path: str, replace: bool) -> None:
        self._target: MemoryStore | None = store
        self.path, self._replace = path, replace
        self._buffer = io.BytesIO()
        self.stream: IO[bytes] = self._buffer

    def __repr__(self) -> str:
        return f"memory:{self.path}"

    def commit(self) -> None:
        """Make it exist, whole, at once. Raises TargetExists when write-once and another was first."""
        from .atomic import before_commit

        store, self._target = self._target, None
        if store is None:
            return
        before_commit()
        store._store(self.path, self._buffer.getvalue(), replace=self._replace)
        self.stream.close()

    def abort(self) -> None:
        """Forget it. Harmless to repeat."""
        self._target = None


def _exists(path: str) -> TargetExists:
    return TargetExists(f"memory:{path}: exists already; what was there first stays", hint='Remove it, or give the target mode="replace".')


class MemoryTarget(FileTarget):
    """A file in memory, for tests. Targets of one path and store are the same file.

    store: a `MemoryStore`; without one, the one that this process shares under ``memory://``.
    """

    __slots__ = ("_own",)

    def __init__(
        self,
        path: str,
        contents: str | bytes | None = None,
        *,
        store: MemoryStore | None = None,
        format: Format | None = None,
        mode: str | None = None,
    ) -> None:
        super().__init__(path if "://" in path else f"memory:///{path.lstrip('/')}", format, mode=mode)
        self._own = store
        if contents is not None:
            self.contents = contents

    def _resolve(self) -> tuple[MemoryStore, str]:
        store, path = super()._resolve()
        return self._own or cast("MemoryStore", store), path

    @property
    def contents(self) -> str | bytes:
        """What is in it: text, or bytes if the format is one of bytes. Setting it replaces."""
        text = self.format is None or self.format.encoding is not None
        return self.read_text() if text else self.read_bytes()

    @contents.setter
    def contents(self, value: str | bytes) -> None:
        mode, self.mode = self.mode, "replace"
        try:
            self.write_text(value) if isinstance(value, str) else self.write_bytes(value)
        finally:
            self.mode = mode

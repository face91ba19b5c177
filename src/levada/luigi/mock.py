"""Luigi's ``luigi.mock``: files in memory for tests, seen by all processes of a run.

They are files of a folder in shared memory (the temporary folder where a machine has none), which goes with the process
that made it; where that was killed, with the next one that makes such a folder. New tests use ``levada.MemoryTarget``.
"""

from __future__ import annotations

import atexit
import glob
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from typing import IO, Any
from urllib.parse import quote, unquote

from ..errors import TargetExists
from ..targets.atomic import before_commit, lock
from ..targets.base import FileLike, format_of
from ..targets.formats import Format
from .format import get_default_format
from .target import FileSystem, FileSystemTarget

_WHERE = "LEVADA_MOCK_FILES"  # for children that are no forks


class _Shelf(MutableMapping[str, bytes]):
    """Contents by name, the same in this process and in its children."""

    def _path(self, name: str) -> str:
        return os.path.join(_folder(), quote(name, safe="").replace(".", "%2E") or "%")

    def __getitem__(self, name: str) -> bytes:
        try:
            with open(self._path(name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, content: bytes | str) -> None:
        draft = os.path.join(_folder(), f".{os.urandom(8).hex()}")
        with open(draft, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.replace(draft, self._path(name))

    def __delitem__(self, name: str) -> None:
        try:
            os.remove(self._path(name))
        except FileNotFoundError:
            raise KeyError(name) from None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and os.path.exists(self._path(name))

    def __iter__(self) -> Iterator[str]:
        return iter(["" if name == "%" else unquote(name) for name in sorted(os.listdir(_folder())) if not name.startswith(".")])

    def __len__(self) -> int:
        return len(list(iter(self)))


def _folder() -> str:
    folder = os.environ.get(_WHERE, "")
    if not folder or not os.path.isdir(folder):
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()  # noqa: S108
        for old in glob.glob(f"{place}/levada-mock-*"):
            with suppress(OSError):
                _remove_if_abandoned(old)
        while not os.path.isdir(folder):
            folder = tempfile.mkdtemp(prefix="levada-mock-", dir=place)
            lock(os.open(folder, os.O_RDONLY))  # held, by forks too, until the last of them ends
        os.environ[_WHERE] = folder
        atexit.register(_remove, folder, os.getpid())
    return folder


def _remove_if_abandoned(folder: str) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        if lock(number):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(number)


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


_shelf = _Shelf()


class MockFileSystem(FileSystem):
    """All files in memory. A folder is the beginning of names."""

    def get_all_data(self) -> MutableMapping[str, bytes]:
        """Contents by name."""
        return _shelf

    def get_data(self, fn: str) -> bytes:
        """The content of a file. Raises KeyError."""
        return _shelf[fn]

    def exists(self, path: str) -> bool:
        """Whether there is a file of this name."""
        return MockTarget(path).exists()

    def isdir(self, path: str) -> bool:
        """Whether any file's name begins so."""
        return any(self.listdir(path))

    def listdir(self, path: str) -> list[str]:
        """Names that begin so."""
        return [name for name in _shelf if name.startswith(path)]

    def mkdir(self, path: str, parents: bool = True, raise_if_exists: bool = False) -> None:
        """Nothing: folders are beginnings of names."""

    def remove(self, path: str, recursive: bool = True, skip_trash: bool = True) -> None:
        """Remove a file; recursive: with all below it ("": everything)."""
        below = f"{path.rstrip('/')}/" if path else ""
        for name in [name for name in _shelf if f"{name}/".startswith(below)] if recursive else [path]:
            del _shelf[name]

    def move(self, path: str, dest: str, raise_if_exists: bool = False) -> None:
        """Give a file another name."""
        self.copy(path, dest, raise_if_exists)
        if dest != path:
            del _shelf[path]

    def rename_dont_move(self, path: str, dest: str) -> None:
        """Give a file another name that is not taken. Raises FileAlreadyExists."""
        self.move(path, dest, raise_if_exists=True)

    def copy(self, path: str, dest: str, raise_if_exists: bool = False) -> None:
        """Copy a file."""
        if raise_if_exists and dest in _shelf:
            raise TargetExists(f"{dest}: exists already")
        _shelf[dest] = _shelf[path]

    def clear(self) -> None:
        """Remove all."""
        _shelf.clear()


class MockTarget(FileLike, FileSystemTarget):
    """A file in memory. mirror_on_stderr: what is written is shown as well."""

    fs = MockFileSystem()
    format: Format | None

    def __init__(self, fn: Any, is_tmp: Any = None, mirror_on_stderr: bool = False, format: Any = None) -> None:
        self.path = str(fn)
        self.format = get_default_format() if format is None else format_of(format)
        self._mirror_on_stderr = mirror_on_stderr

    def __repr__(self) -> str:
        return f"MockTarget({self.path!r})"

    def exists(self) -> bool:
        """Whether it was written."""
        return self.path in self.fs.get_all_data()

    def move(self, path: str, raise_if_exists: bool = False) -> None:
        """Give it another name."""
        self.fs.move(self.path, path, raise_if_exists)

    rename = move

    def open(self, mode: str = "r") -> IO[Any]:  # the format says what flows
        """A stream; what is written exists when it is closed."""
        if not isinstance(mode, str):
            raise TypeError(f"mode is {mode!r}; expected 'r' or 'w'")
        return super().open(mode.replace("b", "").replace("t", ""))

    def _source(self) -> IO[bytes]:
        try:
            return io.BytesIO(self.fs.get_data(self.path))
        except KeyError:
            raise FileNotFoundError(2, "No such file in memory", self.path) from None

    def _begin(self) -> Any:
        return _Draft(self)


class _Draft:
    """What is written to a MockTarget, until it is closed."""

    def __init__(self, target: MockTarget) -> None:
        self._target: MockTarget | None = target
        self.stream: IO[bytes] = _Mirrored(target.path) if target._mirror_on_stderr else io.BytesIO()

    def __repr__(self) -> str:
        return repr(self._target)

    def commit(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            before_commit()
            target.fs.get_all_data()[target.path] = self.stream.getvalue()  # type: ignore[attr-defined]  # of BytesIO
            self.stream.close()

    def abort(self) -> None:
        self._target = None


class _Mirrored(io.BytesIO):
    """Bytes whose lines are shown as they come, each behind the file's name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name, self._line_begins = name, True

    def write(self, content: Any, /) -> int:
        for line in bytes(content).decode("utf-8", "replace").splitlines(keepends=True):
            sys.stderr.write(f"{self._name}: {line}" if self._line_begins else line)
            self._line_begins = line.endswith("\n")
        return super().write(content)

"""Luigi's ``luigi.target``: bases of targets that programs define for themselves.

The errors are the house's own, so ``except FileAlreadyExists`` catches what our targets raise.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from .._model.ports import Target as Target
from ..errors import TargetError, TargetExists
from ..targets.base import FileLike
from ..targets.writing import BytesWriter

FileSystemException = TargetError
FileAlreadyExists = TargetExists


class MissingParentDirectory(TargetError):
    """A folder is to be made in one that is not there."""

    code = "missing-parent-directory"


class NotADirectory(TargetError):
    """A file stands where a folder was expected."""

    code = "not-a-directory"


class FileSystem(ABC):
    """Files and folders somewhere. A subclass defines ``exists`` and ``remove``, and as much of the rest as it has."""

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""

    @abstractmethod
    def remove(self, path: str, recursive: bool = True, skip_trash: bool = True) -> Any:
        """Remove a file, or a folder with all in it."""

    def mkdir(self, path: str, parents: bool = True, raise_if_exists: bool = False) -> Any:
        """Make a folder. Raises MissingParentDirectory, FileAlreadyExists."""
        raise self._lacks("mkdir")

    def isdir(self, path: str) -> bool:
        """Whether a folder is there."""
        raise self._lacks("isdir")

    def listdir(self, path: str) -> Iterable[str]:
        """Paths of all files below a folder."""
        raise self._lacks("listdir")

    def move(self, path: str, dest: str) -> Any:
        """Give a file another name."""
        raise self._lacks("move")

    def rename_dont_move(self, path: str, dest: str) -> Any:
        """Give a file another name that is not taken. Raises FileAlreadyExists; in two steps, where a subclass knows no better."""
        if self.exists(dest):
            raise FileAlreadyExists(f"{dest}: exists already")
        self.move(path, dest)

    def rename(self, *args: Any, **kwargs: Any) -> Any:
        """``move``."""
        self.move(*args, **kwargs)

    def copy(self, path: str, dest: str) -> Any:
        """Copy a file."""
        raise self._lacks("copy")

    def _lacks(self, verb: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} has no {verb}()")


class FileSystemTarget(Target):
    """A file of a FileSystem. A subclass defines ``fs`` and ``open``."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = str(path)

    def __str__(self) -> str:
        return self.path

    if TYPE_CHECKING:
        fs: Any
    else:

        @property
        @abstractmethod
        def fs(self):
            """The FileSystem."""

    @abstractmethod
    def open(self, mode: str) -> Any:
        """A stream to read ("r") or write ("w")."""

    def exists(self) -> bool:
        """Whether the file is there."""
        if any(sign in self.path for sign in "*?[{"):
            logging.getLogger("luigi-interface").warning(
                "%s has wildcards: it exists as soon as one of its files does; give it an exists() that knows when all are there", self.path
            )
        return bool(self.fs.exists(self.path))

    def remove(self) -> None:
        """Remove the file."""
        self.fs.remove(self.path)

    @contextmanager
    def temporary_path(self) -> Iterator[str]:
        """A path for other programs to write at; it gets the target's name if the block ends well."""
        bare = self.path.rstrip("/\\")
        temporary = f"{bare}-luigi-tmp-{secrets.randbelow(10**10):010}{self._trailing_slash()}"
        if folder := os.path.dirname(bare):
            self.fs.mkdir(folder, parents=True, raise_if_exists=False)
        yield temporary
        self.fs.rename_dont_move(temporary, self.path)

    def _trailing_slash(self) -> str:
        """The slash at the end of a folder's path; "" of a file's."""
        return self.path[-1:] if self.path[-1:] in ("/", "\\") else ""

    def _touchz(self) -> None:
        with self.open("w"):
            pass


cast("Any", FileSystemTarget).register(FileLike)


class AtomicLocalFile(BytesWriter):
    """A file that is written here and brought to its place when it is closed: ``move_to_final_destination`` of a subclass.

    Leaving a ``with`` block by an exception, or being forgotten unclosed, leaves nothing.
    """

    def __init__(self, path: str) -> None:
        self._over = True
        self.path = path
        self._draft = _Draft(self.generate_tmp_path(path), weakref.ref(self))
        super().__init__([self._draft.stream], self._draft)

    @property
    def tmp_path(self) -> str:
        """Where the bytes are until then."""
        return self._draft.path

    def generate_tmp_path(self, path: str) -> str:
        """A name for ``tmp_path``."""
        return os.path.join(tempfile.gettempdir(), f"luigi-tmp-{secrets.randbelow(10**10):010}")

    def move_to_final_destination(self) -> None:
        """Bring ``tmp_path`` to ``path``."""
        raise NotImplementedError


class _Draft:
    """The bytes of an AtomicLocalFile; knows it weakly, so that one that is forgotten goes at once."""

    def __init__(self, path: str, owner: weakref.ref[AtomicLocalFile]) -> None:
        self.path, self._owner = path, owner
        self.stream: Any = open(path, "wb", buffering=0)  # noqa: SIM115 - until commit or abort

    def __repr__(self) -> str:
        return self.path

    def commit(self) -> None:
        owner = self._owner()
        try:
            if owner is not None:
                owner.move_to_final_destination()
        finally:
            self.abort()

    def abort(self) -> None:
        self.stream.close()
        with suppress(FileNotFoundError):
            os.remove(self.path)

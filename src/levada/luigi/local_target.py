"""Luigi's ``luigi.local_target``: the house's local files, written in Luigi's manner.

A second write replaces the first, as old programs expect; ``levada.LocalTarget`` refuses it. The rest is the same.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from typing import IO, Any

from .. import targets
from .target import AtomicLocalFile, FileAlreadyExists, FileSystem, FileSystemTarget, MissingParentDirectory, NotADirectory


class atomic_file(AtomicLocalFile):
    """A local file that takes its name when it is closed."""

    def move_to_final_destination(self) -> None:
        """Give it its name."""
        os.replace(self.tmp_path, self.path)

    def generate_tmp_path(self, path: str) -> str:
        """A name beside it."""
        return f"{path}-luigi-tmp-{secrets.randbelow(10**10):010}"


class LocalFileSystem(FileSystem):
    """Files and folders of this machine."""

    def exists(self, path: str) -> bool:
        """Whether something is there."""
        return targets.LocalTarget(path).exists()

    def isdir(self, path: str) -> bool:
        """Whether a folder is there."""
        return os.path.isdir(path)

    def mkdir(self, path: str, parents: bool = True, raise_if_exists: bool = False) -> None:
        """Make a folder. Raises MissingParentDirectory, FileAlreadyExists, NotADirectory."""
        if os.path.isdir(path) and not raise_if_exists:
            return
        if os.path.exists(path):
            raise FileAlreadyExists(f"{path}: exists already") if raise_if_exists else NotADirectory(f"{path}: is no folder")
        if not parents and not os.path.isdir(os.path.dirname(path) or "."):
            raise MissingParentDirectory(f"{path}: the folder above it is not there")
        os.makedirs(path, exist_ok=not raise_if_exists)

    def listdir(self, path: str) -> Iterator[str]:
        """Paths of all files below a folder."""
        return (os.path.join(where, name) for where, _, names in os.walk(path) for name in names)

    def remove(self, path: str, recursive: bool = True, skip_trash: bool = True) -> None:
        """Remove a file, or a folder with all in it."""
        if recursive and os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.remove(path)

    def move(self, path: str, dest: str, raise_if_exists: bool = False) -> None:
        """Give a file another name; folders are made. Raises FileAlreadyExists, FileNotFoundError."""
        if raise_if_exists and os.path.lexists(dest):
            raise FileAlreadyExists(f"{dest}: exists already")
        targets.LocalTarget(path).move(dest, raise_if_exists=raise_if_exists)

    def rename_dont_move(self, path: str, dest: str) -> None:
        """Give a file another name that is not taken, in one step. Raises FileAlreadyExists."""
        self.move(path, dest, raise_if_exists=True)

    def copy(self, path: str, dest: str, raise_if_exists: bool = False) -> None:
        """Copy a file to another path, where it appears whole."""
        targets.LocalTarget(path).copy(dest, raise_if_exists=raise_if_exists)


class LocalTarget(targets.LocalTarget, FileSystemTarget):  # type: ignore[misc]  # two spellings of one context manager
    """A file of this machine. The format alone says whether it is text: ``b`` and ``t`` in the mode of ``open`` are let pass."""

    _default_mode = "replace"
    fs = LocalFileSystem()

    def __init__(self, path: Any = None, format: Any = None, is_tmp: bool = False, **options: Any) -> None:
        super().__init__(path if path is None or isinstance(path, (str, os.PathLike)) else str(path), format, is_tmp, **options)

    def __del__(self) -> None:
        """Nothing to do: a temporary file goes with the object that holds it."""

    def remove(self) -> None:
        """Remove the file, or the folder with all in it."""
        self.fs.remove(self.path)

    def open(self, mode: str = "r") -> IO[Any]:  # the format says what flows
        """A stream; what is written takes its place when it is closed, and is at ``tmp_path`` until then."""
        stream: Any = super().open(mode.replace("b", "").replace("t", ""))
        pending = getattr(stream, "_pending", None)
        if pending is not None:
            stream.tmp_path = getattr(pending, "temporary", "")
        return stream  # type: ignore[no-any-return]  # text or bytes

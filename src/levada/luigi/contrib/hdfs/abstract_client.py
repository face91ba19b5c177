"""The base of HDFS clients, for programs that bring their own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from levada.luigi.target import FileSystem


class HdfsFileSystem(FileSystem):
    """What a client of HDFS has beside what all file systems have."""

    def rename(self, path: str, dest: str) -> Any:
        """``move``."""
        return self.move(path, dest)

    @abstractmethod
    def remove(self, path: str, recursive: bool = True, skip_trash: bool = False) -> Any:
        """Remove a file, or a folder and all in it."""

    @abstractmethod
    def chmod(self, path: str, permissions: str, recursive: bool = False) -> Any:
        """Set permissions, as "750"."""

    @abstractmethod
    def chown(self, path: str, owner: str | None, group: str | None, recursive: bool = False) -> Any:
        """Set owner and group; None leaves one as it is."""

    @abstractmethod
    def count(self, path: str) -> Any:
        """Folders, files and bytes below a path."""

    @abstractmethod
    def copy(self, path: str, destination: str) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # Luigi's names
        """Copy a file."""

    @abstractmethod
    def put(self, local_path: str, destination: str) -> Any:
        """Copy a file of this machine there."""

    @abstractmethod
    def get(self, path: str, local_destination: str) -> Any:
        """Copy a file to this machine."""

    @abstractmethod
    def mkdir(self, path: str, parents: bool = True, raise_if_exists: bool = False) -> Any:
        """Make a folder."""

    @abstractmethod
    def listdir(
        self,
        path: str,
        ignore_directories: bool = False,
        ignore_files: bool = False,
        include_size: bool = False,
        include_type: bool = False,
        include_time: bool = False,
        recursive: bool = False,
    ) -> Iterable[Any]:
        """What is in a folder."""

    @abstractmethod
    def touchz(self, path: str) -> Any:
        """Make an empty file."""

"""HDFS, in Luigi's spelling. For now over a local folder: ``[hdfs] local_root`` says which.

A path without a scheme is one of HDFS. Reading and writing go through `levada.FileTarget`;
a store that speaks to name nodes takes the place of the folder without a change here.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from levada.errors import ConfigError
from levada.targets.local import LocalTarget
from levada.targets.stores import FileTarget, LocalStore, open_store

if TYPE_CHECKING:
    from levada._model.ports import Store
    from levada.targets.formats import Format

__all__ = ["HdfsTarget"]


class HdfsTarget(FileTarget):
    """A file of HDFS: ``/var/log/a.txt`` or ``hdfs://namenode/var/log/a.txt``.

    A later write replaces it (mode "replace"), as old programs expect. is_tmp: a path may be left out.
    """

    __slots__ = ("is_tmp",)

    _default_mode = "replace"

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        format: Format | None = None,
        is_tmp: bool = False,
        *,
        mode: str | None = None,
        durable: bool = True,
    ) -> None:
        if path is None:
            if not is_tmp:
                raise ValueError("HdfsTarget needs a path, or is_tmp=True")
            path = f"/tmp/levada-tmp-{os.urandom(8).hex()}"  # noqa: S108 - a folder of HDFS
        super().__init__(path, format, mode=mode, durable=durable)
        self.is_tmp = is_tmp

    @property
    def path(self) -> str:
        """The path as it was given."""
        return self.url

    @property
    def fn(self) -> str:
        """The path, as old programs call it."""
        return self.url

    def remove(self, recursive: bool = True, skip_trash: bool = False) -> None:
        """Remove the file, or the folder and all in it; nothing happens when it is absent."""
        store, path = self._resolve()
        try:
            store.remove(path, recursive=recursive)
        except FileNotFoundError:
            return

    def move(self, path: str | os.PathLike[str], raise_if_exists: bool = False) -> None:
        """Give it another path of HDFS; what is there is replaced or raises TargetExists."""
        self._local().move(HdfsTarget(path)._local().path, raise_if_exists)

    rename = move

    def move_dir(self, path: str | os.PathLike[str]) -> None:
        """Give a folder another path of HDFS; raises TargetExists when that is taken."""
        self._local().move_dir(HdfsTarget(path)._local().path)

    def copy(self, path: str | os.PathLike[str]) -> None:
        """Copy it to another path of HDFS, where it appears whole."""
        self._local().copy(HdfsTarget(path)._local().path)

    def makedirs(self) -> None:
        """Make the folders above it; writing does that by itself."""
        self._local().makedirs()

    def temporary_path(self) -> AbstractContextManager[str]:
        """A local path to write at; it takes the target's place if the block ends well."""
        return self._local().temporary_path()

    def _resolve(self) -> tuple[Store, str]:
        return open_store(_full(self.url))

    def _local(self) -> LocalTarget:
        store, path = self._resolve()
        if isinstance(store, LocalStore):
            return LocalTarget(store.local_path(path), self.format, mode=self.mode, durable=self.durable)
        hint = "Set `[hdfs] local_root` in levada.toml."
        raise ConfigError(f"{self.url}: this can be done only where HDFS is kept in a local folder", hint=hint)


def _full(path: str) -> str:
    if "://" in path:
        return path
    if path.startswith("/"):
        return f"hdfs://{path}"
    raise ConfigError(f"{path}: a path of HDFS starts with a slash or with hdfs://", hint=f"Did you mean /{path}?")

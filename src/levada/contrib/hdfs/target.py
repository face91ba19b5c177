"""HDFS in Luigi's spelling: `HdfsTarget`, and `HdfsFlagTarget` for folders that other programs fill.

A path without a scheme is one of HDFS, and of the user's folder there if no slash begins it: of the name node that `[hdfs] namenode`
or the Hadoop configuration names, or, where ``[hdfs] local_root`` is set, of a local folder that stands for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from levada.errors import TargetError, TargetWriteError
from levada.targets.local import LocalTarget
from levada.targets.stores import FileTarget, LocalStore, open_store

if TYPE_CHECKING:
    from levada._model.ports import Store
    from levada.targets.formats import Format

    from .files import HdfsFiles
    from .store import HdfsStore

__all__ = ["HdfsFlagTarget", "HdfsTarget"]


class HdfsTarget(FileTarget):
    """A file of HDFS: ``/var/log/a.txt`` or ``hdfs://namenode:8020/var/log/a.txt``.

    A later write replaces it (mode "replace"), as old programs expect. A folder, as jobs of Hadoop leave it, is read as its files, one
    after the other by name. is_tmp: a path may be left out.
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
    def full_url(self) -> str:
        """Its URL, with scheme and the whole path."""
        return _full(self.url)

    @property
    def fs(self) -> HdfsFiles:
        """The file system that it lives in, by verbs."""
        from .files import HdfsFiles

        return HdfsFiles()

    def is_writable(self) -> bool:
        """Whether this user may write there: an empty file is made in the nearest folder above that is there, and removed."""
        folder = self.path.rstrip("/").rpartition("/")[0]
        while folder and not self.fs.exists(folder):
            folder = folder.rpartition("/")[0]
        probe = HdfsTarget(f"{folder}/.levada-probe-{os.urandom(8).hex()}")
        try:
            probe.write_bytes(b"")
        except TargetError:
            return False
        probe.remove()
        return True

    def glob_exists(self, expected_files: int) -> bool:
        """Whether there are so many files in the folder."""
        return sum(1 for _ in self.fs.listdir(self.path)) == expected_files

    @property
    def fn(self) -> str:
        """The path, as old programs call it."""
        return self.url

    def remove(self, recursive: bool = True, skip_trash: bool = False) -> None:
        """Remove the file, or the folder and all in it, past the trash; nothing happens when it is absent."""
        store, path = self._place()
        try:
            store.remove(path, recursive=recursive)
        except FileNotFoundError:
            return

    def move(self, path: str | os.PathLike[str], raise_if_exists: bool = False) -> None:
        """Give it another path of HDFS, in one step; what is there is replaced or raises TargetExists.

        To another cluster it is copied, and then removed here. A folder replaces nothing.
        """
        other = HdfsTarget(path, mode="once" if raise_if_exists else "replace")
        if (local := self._local()) is not None:
            local.move(other._on_disk().path, raise_if_exists)
            return
        store, old = self._remote()
        there, new = other._remote()
        if store.authority == there.authority:
            store.move(old, new, replace=not raise_if_exists)
        else:
            _copy(store, old, there, new, replace=not raise_if_exists)
            store.remove(old)

    rename = move

    def move_dir(self, path: str | os.PathLike[str]) -> None:
        """Give a folder another path of HDFS; raises TargetExists when that is taken."""
        if (local := self._local()) is not None:
            local.move_dir(HdfsTarget(path)._on_disk().path)
            return
        store, old = self._remote()
        there, new = HdfsTarget(path)._remote()
        if store.authority != there.authority:
            hint = "`hadoop distcp` copies folders between clusters."
            raise TargetError(f"{self.url}: a folder cannot be moved to another cluster ({there.url(new)})", hint=hint)
        store.move(old, new, replace=False)

    def copy(self, path: str | os.PathLike[str], raise_if_exists: bool = False) -> None:
        """Copy the file to another path of HDFS, where it appears whole; what is there is replaced or raises TargetExists."""
        if (local := self._local()) is not None:
            local.copy(HdfsTarget(path)._on_disk().path, raise_if_exists)
            return
        store, old = self._remote()
        _copy(store, old, *HdfsTarget(path)._remote(), replace=not raise_if_exists)

    def makedirs(self) -> None:
        """Make the folders above it; writing does that by itself."""
        if (local := self._local()) is not None:
            local.makedirs()
            return
        store, path = self._remote()
        store.make_folder(path.rstrip("/").rpartition("/")[0])

    def temporary_path(self) -> AbstractContextManager[str]:
        """A path for other programs to write at; it takes the target's place if the block ends well.

        A path of HDFS, spelled as the target's is; a local one where HDFS is kept in a local folder.
        """
        if (local := self._local()) is not None:
            return local.temporary_path()
        return self._draft()

    @contextmanager
    def _draft(self) -> Iterator[str]:
        from levada.targets.atomic import before_commit, current_tag, is_leftover, temporary_name

        store, path = self._remote()
        path = path.rstrip("/")
        url, replace = store.url(path), self.mode == "replace"
        if not replace and store.exists(path) and not is_leftover(url):
            raise _taken(url)
        folder = temporary_name(path, current_tag())
        draft = f"{folder}/{path.rpartition('/')[2]}"
        with suppress(FileNotFoundError):
            store.remove(folder, recursive=True)  # of the same attempt, earlier
        store.make_folder(folder)
        try:
            yield store.url(draft) if "://" in self.url else draft
            written = store.status(draft)
            if written is None:
                hint = "Write to the path that temporary_path() gives."
                raise TargetWriteError(f"{url}: nothing was written to its temporary path", hint=hint)
            before_commit()
            if written.isdir and replace:
                with suppress(FileNotFoundError):
                    store.remove(path, recursive=True)  # no file system of this kind exchanges folders
            store.move(draft, path, replace=replace or is_leftover(url))
        finally:
            with suppress(Exception):  # it stays, and is never taken for the target
                store.remove(folder, recursive=True)

    def _resolve(self) -> tuple[Store, str]:
        return self._place()

    def _source(self) -> IO[bytes]:
        store, path = self._resolve()
        try:
            return store.open(path)
        except IsADirectoryError:
            from .folders import joined

            return joined(store, path)

    def _place(self) -> tuple[Store, str]:
        """The store, and the path that was given; a flag in it is not part of that."""
        return place_of(self.url)

    def _local(self) -> LocalTarget | None:
        """The local file that stands for it; None where HDFS is a real one."""
        store, path = self._place()
        if isinstance(store, LocalStore):
            return LocalTarget(store.local_path(path), self.format, mode=self.mode, durable=self.durable)
        return None

    def _on_disk(self) -> LocalTarget:
        local = self._local()
        if local is None:
            raise TargetError(f"{self.url}: lives in another kind of store", hint="Copy what was read with `open`.")
        return local

    def _remote(self) -> tuple[HdfsStore, str]:
        from .store import HdfsStore

        store, path = self._place()
        if isinstance(store, HdfsStore):
            return store, path
        raise TargetError(f"{self.url}: lives in another kind of store ({store!r})", hint="Copy what was read with `open`.")


class HdfsFlagTarget(HdfsTarget):
    """A folder of HDFS that is complete when its flag is there: what Hadoop's and Spark's jobs leave.

    path: of the folder, with a slash at its end. flag: the name of the file in it. Moving and removing are about the folder.
    """

    __slots__ = ("flag",)

    def __init__(
        self, path: str | os.PathLike[str], format: Format | None = None, flag: str = "_SUCCESS", *, mode: str | None = None
    ) -> None:
        super().__init__(path, format, mode=mode)
        if not self.url.endswith("/"):
            raise ValueError(f"HdfsFlagTarget is about a folder: its path ends with a slash, got {self.url!r}")
        self.flag = flag

    def __repr__(self) -> str:
        return f"HdfsFlagTarget({self.url!r}, flag={self.flag!r})"

    def _opened(self, mode: str = "r") -> IO[Any]:
        """Raises TargetError: a folder is no stream."""
        raise TargetError(f"{self.url}: is a folder, and has no bytes of its own", hint="Open HdfsTargets of the files in it.")

    def _resolve(self) -> tuple[Store, str]:
        store, path = self._place()
        return store, f"{path}{self.flag}"

    def _whole(self) -> tuple[Store, str]:
        return self._place()


def _copy(store: HdfsStore, old: str, there: HdfsStore, new: str, *, replace: bool) -> None:
    import shutil

    with store.open(old) as source:
        pending = there.put(new, replace=replace)
        try:
            shutil.copyfileobj(source, pending.stream, 1 << 20)
        except BaseException:
            pending.abort()
            raise
        pending.commit()


def _taken(url: str) -> TargetError:
    from .store import target_exists

    return target_exists(url)


def place_of(path: str) -> tuple[Store, str]:
    """The store that a path of HDFS lives in, and the path there."""
    return open_store(_full(path))


def _full(path: str) -> str:
    """With scheme; a path without a slash at its beginning is one of the user's folder, as everywhere in Hadoop."""
    if "://" in path:
        return path
    return f"hdfs://{path}" if path.startswith("/") else f"hdfs:///user/{_user()}/{path}"


def _user() -> str:
    import getpass

    return os.environ.get("HADOOP_USER_NAME") or getpass.getuser()

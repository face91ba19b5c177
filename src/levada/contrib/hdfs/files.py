"""Files of HDFS by verbs, as ``hadoop fs`` has them, over the same client as targets: for programs that look after folders.

What exists already, and what is not known, has its own error; any other trouble is `HdfsRefused`, with what was asked.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from levada.errors import TargetError, TargetExists, TargetUnreachable
from levada.targets.formats import Nop
from levada.targets.stores import LocalStore

from .target import HdfsTarget, place_of

if TYPE_CHECKING:
    from levada._model.ports import Entry, Store


class HdfsRefused(TargetError):
    """What was asked of HDFS was not done. returncode, stdout, stderr: as Hadoop's command would have told it."""

    code = "hdfs"

    def __init__(self, command: Sequence[str] | str, returncode: int, stdout: str, stderr: str) -> None:
        asked = command if isinstance(command, str) else " ".join(command)
        super().__init__(f"{asked}: {stderr.strip() or stdout.strip() or f'exit code {returncode}, and it said nothing'}")
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr


class HdfsFiles:
    """Files of HDFS: of the name node that a path names, else of the configured one."""

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there. Raises TargetUnreachable rather than guess."""
        return self._target(path).exists()

    def isdir(self, path: str) -> bool:
        """Whether a folder is there."""
        entry = self._entry(path)
        return entry is not None and entry.is_folder

    def move(self, path: str | Sequence[str], dest: str) -> None:
        """Give a file or folder another name, into a folder that is there. Raises TargetExists for a name that is taken."""
        for one in [path] if isinstance(path, str) else path:
            with _asked("mv", one, dest):
                self._target(one).move(self._url(self._within(one, dest)), raise_if_exists=True)

    def rename_dont_move(self, path: str, dest: str) -> None:
        """Give it a name that is not taken, in one step. Raises TargetExists."""
        with _asked("mv", path, dest):
            self._target(path).move_dir(self._url(dest))

    def remove(self, path: str, recursive: bool = True, skip_trash: bool = False) -> None:
        """Remove a file, or a folder and all in it, past the trash. Raises HdfsRefused where nothing is."""
        with _asked("rm", path):
            store, inside = self._place(path)
            store.remove(inside, recursive=recursive)

    def chmod(self, path: str, permissions: str, recursive: bool = False) -> None:
        """Set permissions, as "750"."""
        mode = int(str(permissions), 8)
        with _asked("chmod", path):
            for store, each in self._below(path, recursive=recursive):
                if isinstance(store, LocalStore):
                    os.chmod(store.local_path(each), mode)
                else:
                    _native(store).set_permission(each, mode)

    def chown(self, path: str, owner: str | None, group: str | None, recursive: bool = False) -> None:
        """Set owner and group; None leaves one as it is."""
        with _asked("chown", path):
            for store, each in self._below(path, recursive=recursive):
                if isinstance(store, LocalStore):
                    shutil.chown(store.local_path(each), owner or None, group or None)  # type: ignore[arg-type]  # None is one of them
                else:
                    _native(store).set_owner(each, owner or None, group or None)

    def count(self, path: str) -> dict[str, int]:
        """Bytes, folders and files below a path, itself included."""
        with _asked("count", path):
            return self._counted(path)

    def copy(self, path: str, destination: str) -> None:
        """Copy a file, into a folder that is there. Raises TargetExists."""
        with _asked("cp", path, destination):
            self._target(path).copy(self._url(self._within(path, destination)), raise_if_exists=True)

    def put(self, local_path: str, destination: str) -> None:
        """Copy a file of this machine there; it appears whole. Raises TargetExists."""
        with _asked("put", local_path, destination):
            target = self._target(self._within(local_path, destination), mode="once")
            with open(local_path, "rb") as source, target.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)

    def get(self, path: str, local_destination: str) -> None:
        """Copy a file, or a folder with all in it, to this machine."""
        if os.path.isdir(local_destination):
            local_destination = os.path.join(local_destination, os.path.basename(path.rstrip("/")))
        with _asked("get", path, local_destination):
            self._fetch(path, local_destination)

    def getmerge(self, path: str, local_destination: str, new_line: bool = False) -> None:
        """Copy the files of a folder into one of this machine. new_line: with a line end behind each."""
        with _asked("getmerge", path, local_destination), open(local_destination, "wb") as out:
            for name in sorted(self.listdir(path, ignore_directories=True)):
                with self._target(name).open("rb") as source:
                    shutil.copyfileobj(source, out, 1 << 20)
                if new_line:
                    out.write(b"\n")

    def mkdir(self, path: str, parents: bool = True, raise_if_exists: bool = False) -> None:
        """Make a folder, and those above it. Raises TargetExists where that is wished for."""
        if raise_if_exists and self.exists(path):
            raise TargetExists(f"{path}: exists already")
        with _asked("mkdir", path):
            self._target(f"{path.rstrip('/')}/any").makedirs()

    def listdir(
        self,
        path: str,
        ignore_directories: bool = False,
        ignore_files: bool = False,
        include_size: bool = False,
        include_type: bool = False,
        include_time: bool = False,
        recursive: bool = False,
    ) -> Iterator[Any]:
        """Paths in a folder, spelled as the path is; tuples with size, "d" or "-", and time of writing where those are asked for."""
        base = path.rstrip("/")
        for entry in self._entries(path):
            name = f"{base}/{entry.name}"
            if not (ignore_directories if entry.is_folder else ignore_files):
                more: list[Any] = [entry.size or 0] if include_size else []
                more += ["d" if entry.is_folder else "-"] if include_type else []
                more += [datetime.fromtimestamp(entry.modified or 0)] if include_time else []
                yield (name, *more) if more else name
            if recursive and entry.is_folder:
                yield from self.listdir(name, ignore_directories, ignore_files, include_size, include_type, include_time, True)

    def touchz(self, path: str) -> None:
        """Make an empty file."""
        with _asked("touchz", path), self._target(path).open("wb"):
            pass

    # -- what the verbs are made of

    def _url(self, path: str) -> str:
        return path

    def _target(self, path: str, mode: str = "replace") -> HdfsTarget:
        return HdfsTarget(self._url(path), format=Nop, mode=mode)

    def _place(self, path: str) -> tuple[Store, str]:
        return place_of(self._url(path))

    def _entry(self, path: str) -> Entry | None:
        store, inside = self._place(path)
        return store.info(inside)  # type: ignore[attr-defined, no-any-return]  # stores of ours have it

    def _entries(self, path: str) -> list[Entry]:
        with _asked("ls", path):
            entry = self._entry(path)
            if entry is None:
                raise FileNotFoundError(2, "No such file or directory", path)
            store, inside = self._place(path)
            found = sorted(store.list(inside)) if entry.is_folder else []
            if isinstance(store, LocalStore):  # its listings have neither size nor time
                found = [store.info(f"{inside.rstrip('/')}/{each.name}") or each for each in found]
            return found

    def _within(self, path: str, dest: str) -> str:
        """Where it goes: into a folder that is there."""
        return f"{dest.rstrip('/')}/{path.rstrip('/').rpartition('/')[2]}" if self.isdir(dest) else dest

    def _below(self, path: str, *, recursive: bool) -> list[tuple[Store, str]]:
        names = [path, *(self.listdir(path, recursive=True) if recursive and self.isdir(path) else ())]
        return [self._place(name) for name in names]

    def _counted(self, path: str) -> dict[str, int]:
        entry = self._entry(path)
        if entry is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        if not entry.is_folder:
            return {"content_size": entry.size or 0, "dir_count": 0, "file_count": 1}
        found = list(self.listdir(path, include_size=True, include_type=True, recursive=True))
        folders = sum(kind == "d" for _, _, kind in found)
        size = sum(size for _, size, kind in found if kind != "d")
        return {"content_size": size, "dir_count": folders + 1, "file_count": len(found) - folders}

    def _fetch(self, path: str, local: str) -> None:
        if self.isdir(path):
            os.makedirs(local, exist_ok=True)
            for name in self.listdir(path):
                self._fetch(name, os.path.join(local, name.rpartition("/")[2]))
            return
        with self._target(path).open("rb") as source, open(local, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)


@contextmanager
def _asked(verb: str, *paths: str) -> Iterator[None]:
    try:
        yield
    except (TargetExists, TargetUnreachable, HdfsRefused):
        raise
    except (TargetError, OSError, RuntimeError) as cause:
        raise HdfsRefused(["hadoop", "fs", f"-{verb}", *paths], 1, "", str(cause)) from cause


def _native(store: Any) -> Any:
    """The client of a store of name nodes."""
    return store.client

"""Many files committed at once: a folder that appears under its name when all of it is on the disk."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from levada.errors import TargetUnreachable, TargetWriteError

from . import atomic


class FolderTarget:
    """A folder; it exists when the folder is there, and then all its files are.

    mode: "once" or "replace". Replacing moves the old folder aside first: for an instant neither is there.
    """

    __slots__ = ("durable", "mode", "path")

    def __init__(self, path: str | os.PathLike[str], *, mode: str = "once", durable: bool = True) -> None:
        if mode not in ("once", "replace"):
            raise ValueError(f'mode must be "once" or "replace", got {mode!r}')
        self.path = os.fspath(path).rstrip("/") or "/"
        self.mode, self.durable = mode, durable

    def __repr__(self) -> str:
        return f"FolderTarget({self.path!r})"

    def __str__(self) -> str:
        return self.path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FolderTarget) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def exists(self) -> bool:
        """Whether the folder is there. Raises TargetUnreachable rather than guess."""
        try:
            return stat.S_ISDIR(os.stat(self.path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError) as cause:
            raise TargetUnreachable(self, cause) from cause

    @contextmanager
    def writing(self) -> Iterator[str]:
        """The path of a folder to fill; it takes the target's place if the block ends well."""
        with _draft(self.path, replace=self.mode == "replace", durable=self.durable) as folder:
            yield folder
            _refuse_empty(folder, self.path)
            _commit_folder(folder, self.path, replace=self.mode == "replace", durable=self.durable)

    def files(self) -> list[str]:
        """Paths of all its files, sorted; none when it does not exist."""
        return sorted(os.path.join(where, name) for where, _, names in os.walk(self.path) for name in names)

    def remove(self) -> None:
        """Remove the folder and all in it; nothing happens when it is absent."""
        import shutil

        with suppress(FileNotFoundError):
            shutil.rmtree(self.path)


@contextmanager
def drafted(path: str, *, replace: bool, durable: bool) -> Iterator[str]:
    """A path for a program to write a file or folder at; what it wrote takes the place of ``path`` afterwards.

    The name, and so the suffix that some programs go by, is that of the target; the folder is a temporary.
    """
    with _draft(path, replace=replace, durable=durable) as folder:
        draft = os.path.join(folder, os.path.basename(path))
        yield draft
        if os.path.isdir(draft):
            _commit_folder(draft, path, replace=replace, durable=durable)
            return
        _commit_file(draft, path, replace=replace, durable=durable)


@contextmanager
def _draft(path: str, *, replace: bool, durable: bool) -> Iterator[str]:
    """A locked temporary folder beside ``path``, removed in the end if it is still there."""
    try:
        folder, fd = _make_draft(path, replace=replace, durable=durable)
    except (OSError, ValueError) as cause:
        raise atomic.write_error(path, cause) from cause
    try:
        yield folder
    finally:
        atomic.remove_temporary(folder, is_folder=True)
        os.close(fd)


def _make_draft(path: str, *, replace: bool, durable: bool) -> tuple[str, int]:
    if not replace and os.path.lexists(path) and not atomic.is_leftover(path):
        raise atomic.target_exists(path)
    atomic.make_folders(os.path.dirname(path), durable=durable)
    tag = atomic.current_tag()
    atomic.note_folder(path, tag)
    for count in range(1000):
        folder = atomic.temporary_name(path, tag, count)
        try:
            os.mkdir(folder)
            fd = os.open(folder, os.O_RDONLY)
        except (FileExistsError, FileNotFoundError):  # taken; or swept in the instant before it was locked
            continue
        if atomic.lock(fd) and os.path.isdir(folder):
            return folder, fd
        os.close(fd)
    raise FileExistsError(errno.EEXIST, "all names for a temporary are taken", path)


def _refuse_empty(folder: str, path: str) -> None:
    if not os.listdir(folder):  # an empty folder could be replaced by the next attempt, unnoticed
        hint = "Write at least one file (a marker, if there is no data)."
        raise TargetWriteError(f"{path}: nothing was written into the folder", hint=hint)


def _commit_file(draft: str, path: str, *, replace: bool, durable: bool) -> None:
    try:
        if durable:
            _sync_file(draft)
        atomic.before_commit()
        atomic.publish(draft, path, replace=replace)
        if durable:
            atomic.sync_folder(os.path.dirname(path))
    except OSError as cause:
        if not os.path.lexists(draft) and isinstance(cause, FileNotFoundError):
            hint = "Write to the path that temporary_path() gives."
            raise TargetWriteError(f"{path}: nothing was written to its temporary path", hint=hint) from cause
        raise atomic.write_error(path, cause) from cause


def _commit_folder(folder: str, path: str, *, replace: bool, durable: bool) -> None:
    try:
        if durable:
            _sync_tree(folder)
        atomic.before_commit()
        _move_in(folder, path, replace=replace)
        if durable:
            atomic.sync_folder(os.path.dirname(path))
    except OSError as cause:
        raise atomic.write_error(path, cause) from cause


def _move_in(folder: str, path: str, *, replace: bool) -> None:
    try:
        os.rename(folder, path)
    except OSError as cause:
        if cause.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR) or not os.path.lexists(path):
            raise
        if not replace and not atomic.is_leftover(path):
            raise atomic.target_exists(path) from None
        aside = atomic.temporary_name(path, atomic.current_tag(), 1001)
        os.rename(path, aside)
        os.rename(folder, path)
        atomic.remove_temporary(aside, is_folder=os.path.isdir(aside))


def _sync_tree(folder: str) -> None:
    for where, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = os.path.join(where, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                _sync_file(path)
        atomic.sync_folder(where)


def _sync_file(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

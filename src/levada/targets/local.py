"""Files of this machine. The path that pipelines take a million times: `exists` is one ``os.stat``.

How a write becomes visible is told in `atomic`, which is imported when something is written.
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any

from levada.errors import TargetUnreachable

from .base import FileLike, format_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import ModuleType

    from levada._model.ports import Pending

    from .atomic import clear_tag, set_tag, sweep
    from .formats import Format

__all__ = ["LocalTarget", "clear_tag", "present", "set_tag", "sweep"]


def present(path: str) -> bool:
    """Whether a path leads to something. Raises OSError when that cannot be told.

    A symbolic link counts by what it leads to; one that leads nowhere, or in a circle, is absent.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as cause:
        import errno

        if cause.errno in (errno.ELOOP, errno.ENAMETOOLONG):  # no file can be there
            return False
        raise
    return True


class LocalTarget(FileLike):
    """A file of this machine, or of a mounted file system.

    path: text or os.PathLike; relative to the current folder. format: see `levada.targets.formats`; None is
    UTF-8 text. is_tmp: a file that is removed together with this object; path may then be left out.
    mode: "once" (the first to commit stays, a second write raises TargetExists) or "replace".
    durable: False leaves out the fsyncs, for scratch data that may be lost with the power.
    """

    __slots__ = ("_remover", "durable", "format", "mode", "path")

    path: str
    format: Format | None
    _default_mode = "once"

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        format: Format | None = None,
        is_tmp: bool = False,
        *,
        mode: str | None = None,
        durable: bool = True,
    ) -> None:
        self.path = path if type(path) is str else _as_text(path, is_tmp)
        if "://" in self.path:
            _refuse_elsewhere(self.path)
        self.format = format if format is None else format_of(format)
        self.mode = self._default_mode if mode is None else _checked(mode)
        self.durable = durable
        self._remover = _Remover(self.path) if is_tmp else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"

    def __str__(self) -> str:
        return self.path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalTarget) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    @property
    def fn(self) -> str:
        """The path, as old programs call it."""
        return self.path

    @property
    def is_tmp(self) -> bool:
        """Whether the file is removed together with this object; may be set, and deleted, later."""
        return self._remover is not None

    @is_tmp.setter
    def is_tmp(self, value: bool) -> None:
        if value != self.is_tmp:
            if self._remover is not None:
                self._remover.process = 0  # of nobody: it stays
            self._remover = _Remover(self.path) if value else None

    @is_tmp.deleter
    def is_tmp(self) -> None:
        self.is_tmp = False

    def exists(self) -> bool:
        """Whether it is there. One system call; raises TargetUnreachable rather than guess."""
        try:
            return present(self.path)
        except (OSError, ValueError) as cause:
            raise TargetUnreachable(self, cause) from cause

    def size(self) -> int:
        """Bytes. Raises FileNotFoundError."""
        return os.stat(self.path).st_size

    def mtime(self) -> float:
        """When it was last written, seconds since 1970. Raises FileNotFoundError."""
        return os.stat(self.path).st_mtime

    def makedirs(self) -> None:
        """Make the folders above it; writing does that by itself."""
        from .atomic import make_folders, write_error

        try:
            make_folders(os.path.dirname(self.path), durable=self.durable)
        except OSError as cause:
            raise write_error(self.path, cause) from cause

    def remove(self) -> None:
        """Remove the file; nothing happens when it is absent."""
        try:
            os.remove(self.path)
        except FileNotFoundError:
            pass

    def move(self, new_path: str | os.PathLike[str], raise_if_exists: bool = False) -> None:
        """Give the file another name; folders are made, what is there is replaced or raises TargetExists."""
        from .atomic import make_folders, publish, write_error

        new = os.fspath(new_path)
        try:
            make_folders(os.path.dirname(new), durable=self.durable)
            if os.path.isdir(self.path):
                _must_not_be_there(new)
                os.rename(self.path, new)
            else:
                publish(self.path, new, replace=not raise_if_exists)
        except OSError as cause:
            if cause.errno == 18:  # EXDEV: another file system
                self.copy(new, raise_if_exists)
                self.remove()
                return
            raise write_error(new, cause) from cause

    rename = move

    def move_dir(self, new_path: str | os.PathLike[str]) -> None:
        """Give a folder another name; raises TargetExists when that is taken."""
        self.move(new_path, raise_if_exists=True)

    def copy(self, new_path: str | os.PathLike[str], raise_if_exists: bool = False) -> None:
        """Copy the bytes to another path, where they appear whole; what is there is replaced or raises TargetExists."""
        import shutil

        from .atomic import LocalPending

        pending = LocalPending(os.fspath(new_path), replace=not raise_if_exists, durable=self.durable)
        try:
            with open(self.path, "rb") as source:
                shutil.copyfileobj(source, pending.stream)
        except BaseException:
            pending.abort()
            raise
        pending.commit()

    def temporary_path(self) -> AbstractContextManager[str]:
        """A path for other programs to write a file (or folder) at; it takes the target's place if the block ends well."""
        from .folder import drafted

        return drafted(self.path.rstrip("/"), replace=self.mode == "replace", durable=self.durable)

    def _source(self) -> IO[bytes]:
        return open(self.path, "rb")

    def _begin(self) -> Pending:
        pending: Pending = _writes().LocalPending(self.path, replace=self.mode == "replace", durable=self.durable)
        return pending


_atomic: ModuleType | None = None


def _writes() -> Any:
    """The module ``atomic``, loaded when something is first written; see ``base``."""
    global _atomic
    if _atomic is None:
        from . import atomic

        _atomic = atomic
    return _atomic


class _Remover:
    """Removes a temporary file when the target that holds this goes."""

    __slots__ = ("path", "process")

    def __init__(self, path: str) -> None:
        self.path, self.process = path, os.getpid()

    def __del__(self) -> None:
        try:
            if self.process == os.getpid():
                os.remove(self.path)
        except Exception:  # noqa: S110 - absent already, or the interpreter is going down
            pass


def _as_text(path: str | os.PathLike[str] | None, is_tmp: bool) -> str:
    if path is None:
        if not is_tmp:
            raise ValueError("LocalTarget needs a path, or is_tmp=True")
        import tempfile

        return os.path.join(tempfile.gettempdir(), f"levada-tmp-{os.urandom(8).hex()}")
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"path must be text or os.PathLike of text, got {path!r}")
    return text


def _refuse_elsewhere(path: str) -> None:
    """Raise TargetError for the URL of a store: it would become a file of an odd name here. Other paths are what they are."""
    from .stores import is_elsewhere

    if is_elsewhere(path):
        from levada.errors import TargetError

        raise TargetError(f"LocalTarget({path!r}): that is no path of this machine", hint=f"Write FileTarget({path!r}).")


def _checked(mode: str) -> str:
    if mode in ("once", "replace"):
        return mode
    raise ValueError(f'mode must be "once" or "replace", got {mode!r}')


def _must_not_be_there(path: str) -> None:
    from .atomic import target_exists

    if os.path.lexists(path):
        raise target_exists(path)


def __getattr__(name: str) -> Any:
    """Names of `atomic` that callers look for here, without its import before something is written."""
    if name in ("set_tag", "clear_tag", "sweep"):
        from . import atomic

        return getattr(atomic, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Writes through fsspec: kept here until they are whole, then sent; whether a write-once name is free is looked at just before (*checked*).

Where the file system of fsspec has a rename of its own, a temporary beside the target is sent and renamed. Else fsspec would copy and
remove, which is no better: the file is sent under its own name, and what a connection that breaks leaves of it is removed, as far as
the store can be reached then. A kill in that moment may leave a part of it.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from levada.errors import TargetError, TargetExists, TargetWriteError
from levada.targets.atomic import before_commit, current_tag, is_leftover, temporary_name
from levada.targets.spool import SpooledPending

if TYPE_CHECKING:
    from .store import FsspecStore

_PIECE = 1 << 20  # bytes that are sent together
_numbers = count()  # of temporaries: two writes of one attempt to one name have their own


def renames(store: FsspecStore) -> bool:
    """Whether the file system has a rename that is more than a copy and a removal."""
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]  # it has no types

    kind = type(store.fs)
    return bool(kind.mv is not AbstractFileSystem.mv)


class FsspecPending(SpooledPending):
    """A file that was not sent yet."""

    def __init__(self, store: FsspecStore, path: str, *, replace: bool, tag: str = "") -> None:
        """Begin. Raises TargetExists at once when a write-once file is there, or what says that this cannot be told."""
        self._store, self._path, self._replace = store, path, replace
        self._temporary = temporary_name(path, tag or current_tag(), next(_numbers))
        super().__init__(store.url(path))
        store.place(path)  # a name that it does not take is told now
        if not replace:
            self._must_be_free()

    def _send(self) -> None:
        folder = self._path.rpartition("/")[0]
        if folder:
            self._store.do("written", self._path, self._make_folder, folder)
        if renames(self._store):
            self._send_beside()
        else:
            self._send_there()

    def _make_folder(self, folder: str) -> None:
        with suppress(NotImplementedError, FileExistsError):
            self._store.fs.makedirs(self._store.place(folder), exist_ok=True)

    def _send_beside(self) -> None:
        try:
            self._upload(self._temporary)
            self._checks()
            self._rename()
        except BaseException:
            self._forget(self._temporary)
            raise

    def _send_there(self) -> None:
        self._checks()
        before = self._store.info(self._path)
        try:
            self._upload(self._path)
        except BaseException:
            with suppress(TargetError):
                if self._store.info(self._path) != before:
                    self._forget(self._path)
            raise

    def _upload(self, path: str) -> None:
        self._store.do("written", self._path, self._write, self._store.place(path))
        found = self._store.info(path)
        size = None if found is None else found.size
        if size not in (None, self._spool.size) or found is None:
            raise TargetWriteError(f"{self.url}: {self._spool.size:,} bytes were written, there are {size or 0:,}", hint="Run again.")

    def _write(self, place: str) -> None:
        with self._store.fs.open(place, "wb") as stream:
            for piece in self._spool.parts(_PIECE) if self._spool.size else ():
                stream.write(bytes(piece))

    def _rename(self) -> None:
        """Some file systems rename onto a name that is taken, some raise, some do nothing and do not say so."""
        store = self._store
        old, new = store.place(self._temporary), store.place(self._path)
        with suppress(TargetWriteError):
            store.do("written", self._path, store.fs.mv, old, new)
        if not store.exists(self._temporary):
            found = store.info(self._path)
            if found is None or found.size not in (None, self._spool.size):
                raise TargetWriteError(f"{self.url}: its temporary was removed before the end", hint="A sweep took this attempt for dead.")
            return
        if store.exists(self._path):
            if not self._replace and not is_leftover(self.url):
                raise _taken(self.url)
            store.remove(self._path)
        store.do("written", self._path, store.fs.mv, old, new)
        if store.exists(self._temporary):
            raise TargetWriteError(f"{self.url}: could not be written: the rename at the end was not made", hint="Run again.")

    def _checks(self) -> None:
        if not self._replace:
            self._must_be_free()
        before_commit()

    def _must_be_free(self) -> None:
        if self._store.exists(self._path) and not is_leftover(self.url):
            raise _taken(self.url)

    def _forget(self, path: str) -> None:
        with suppress(TargetError, FileNotFoundError):
            self._store.remove(path)


def _taken(url: str) -> TargetExists:
    return TargetExists(
        f"{url}: exists already; what was there first stays",
        hint='Remove it to make it again, or give the target mode="replace" if later runs should overwrite it.',
    )

"""Writes to FTP servers: kept here until they are whole, sent to a temporary beside the target, and renamed.

Whether a write-once name is free is looked at just before (*checked*): of two writers in the same instant, the later one may win.
A kill leaves at most the temporary; the next attempt of the same run or server removes it.
"""

from __future__ import annotations

import ftplib
import re
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from levada.errors import TargetError, TargetExists, TargetUnreachable, TargetWriteError
from levada.targets.atomic import TEMPORARY, before_commit, current_tag, is_leftover, temporary_name
from levada.targets.spool import SpooledPending

from .client import Connection, is_lost, not_done

if TYPE_CHECKING:
    from .store import FtpStore

_PIECE = 1 << 18  # bytes that are sent together
_numbers = count()  # of temporaries: two writes of one attempt to one name have their own


class FtpPending(SpooledPending):
    """A file that no server has heard of."""

    def __init__(self, store: FtpStore, path: str, *, replace: bool, tag: str = "") -> None:
        """Begin. Raises TargetExists at once when a write-once file is there, or what says that this cannot be told."""
        self._store, self._path, self._replace = store, path, replace
        self._tag = tag or current_tag()
        self._temporary = temporary_name(path, self._tag, next(_numbers))
        super().__init__(store.url(path))
        if not replace:
            self._must_be_free()

    def _send(self) -> None:
        try:
            self._deliver()
        except BaseException as cause:
            with suppress(Exception), self._store.connections.one(fresh=True) as ftp:  # it stays, and is never taken for the target
                ftp.delete(self._temporary)
            if isinstance(cause, ftplib.all_errors) and not isinstance(cause, TargetError):
                self._raise_if_taken()
                raise not_done(self.url, cause) from cause
            raise
        self._forget_earlier_attempts()

    def _deliver(self) -> None:
        """Send the bytes, twice if need be, and rename."""
        try:
            with self._store.connections.one() as ftp:
                self._store_bytes(ftp)
                self._publish(ftp)
            return
        except (OSError, EOFError, ftplib.error_temp) as cause:
            if not is_lost(cause):
                raise
        with self._store.connections.one(fresh=True) as ftp:
            self._store_bytes(ftp)
            self._publish(ftp)

    def _store_bytes(self, ftp: Connection) -> None:
        try:
            self._transfer(ftp)
        except ftplib.error_perm:
            _make_folders(ftp, self._temporary.rpartition("/")[0])
            self._transfer(ftp)
        there = ftp.size(self._temporary)
        if there != self._spool.size:
            raise TargetWriteError(f"{self.url}: {self._spool.size:,} bytes were written, the server has {there or 0:,}", hint="Run again.")

    def _transfer(self, ftp: Connection) -> None:
        with ftp.transfercmd(f"STOR {self._temporary}") as data:
            for piece in self._spool.parts(_PIECE) if self._spool.size else ():
                data.sendall(piece)
        ftp.voidresp()

    def _publish(self, ftp: Connection) -> None:
        if not self._replace:
            self._must_be_free()
        before_commit()
        try:
            self._rename(ftp)
        except (OSError, EOFError, ftplib.error_temp) as cause:
            if isinstance(cause, TargetError):
                raise
            if not self._was_renamed():
                error = not_done(self.url, cause)
                error.hint = f"{error.hint} The answer to the last step was lost: the next attempt sees whether it was taken."
                raise error from cause

    def _rename(self, ftp: Connection) -> None:
        try:
            ftp.rename(self._temporary, self._path)
        except ftplib.error_perm:
            if not self._store.exists(self._temporary) or not self._store.exists(self._path):
                raise  # also where a newer attempt has removed our temporary: what stands there is its own
            if not self._replace:
                self._must_be_free()
            ftp.delete(self._path)  # this server renames onto nothing that is there
            ftp.rename(self._temporary, self._path)

    def _was_renamed(self) -> bool:
        """After a lost answer: whether our bytes have their name, as far as sizes tell. False also when that cannot be told."""
        try:
            found, temporary = self._store.info(self._path), self._store.info(self._temporary)
        except TargetError:
            return False
        return temporary is None and found is not None and found.size == self._spool.size

    def _must_be_free(self) -> None:
        """Raise TargetExists now rather than after hours of work."""
        if self._store.exists(self._path) and not is_leftover(self.url):
            raise taken(self.url)

    def _raise_if_taken(self) -> None:
        """Raise TargetExists where another was first: it may have removed our temporary with the void ones."""
        if not self._replace:
            with suppress(TargetUnreachable):
                self._must_be_free()

    def _forget_earlier_attempts(self) -> None:
        """Remove what attempts before this one left here: their fences are older, so they are void."""
        key8, *fence = self._tag.split(".")
        if len(fence) < 2 or fence[1] == "1":
            return  # no attempt of a task, or its first
        folder = self._path.rpartition("/")[0]
        with suppress(Exception):  # tidiness: what stays is never taken for the target
            for entry in list(self._store.list(folder)):
                match = re.fullmatch(TEMPORARY, entry.name, re.DOTALL)
                other, *older = match["tag"].split(".") if match else ("",)
                if other == key8 and [int(part) for part in older] < [int(part) for part in fence]:
                    self._store.remove(f"{folder}/{entry.name}")


def _make_folders(ftp: Connection, folder: str) -> None:
    """Make a folder and those above it."""
    parts = folder.strip("/").split("/")
    for end in range(1, len(parts) + 1):
        with suppress(ftplib.error_perm):  # it is there, or the next step says what is wrong
            ftp.mkd("/" + "/".join(parts[:end]))


def taken(url: str) -> TargetExists:
    """What to raise when a write-once target's name is taken."""
    return TargetExists(
        f"{url}: exists already; what was there first stays",
        hint='Remove it to make it again, or give the target mode="replace" if later runs should overwrite it.',
    )

"""One process holds a file: who it is stands in the lock file, for the next one to read.

Laws: the kernel frees the lock when the process dies, however it dies; a child that it forked does not hold
it on. The lock file itself is never removed: two processes could lock two files of one name.
"""

from __future__ import annotations

import errno
import os
import weakref

if os.name == "nt":
    import msvcrt
else:
    import fcntl

OWNER = 1000
"""Characters of an owner's name that are kept."""


class FileLock:
    """An exclusive lock beside a file of that path. For one process; a second taker in it is refused too."""

    def __init__(self, path: str) -> None:
        self.path = path + ".lock"
        self._file: int | None = None

    def take(self, owner: str) -> bool:
        """Whether it is ours now; never waits. Raises OSError where there can be no lock file."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            if not _locked(file):
                os.close(file)
                return False
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, owner[:OWNER].encode(errors="replace"))
        except BaseException:
            os.close(file)
            raise
        self._file = file
        _held.add(self)
        return True

    def holder(self) -> str:
        """What the holder said of itself; "" where it said nothing yet."""
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                return file.read(OWNER)
        except OSError:
            return ""

    def intact(self) -> bool:
        """Whether the locked file is still the one that others would lock."""
        try:
            return self._file is not None and os.path.samestat(os.fstat(self._file), os.stat(self.path))
        except OSError:
            return False

    def give(self) -> None:
        """Let go. Harmless to repeat."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            _held.discard(self)


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _locked(file: int) -> bool:
    try:
        if os.name == "nt":
            os.lseek(file, 1 << 20, os.SEEK_SET)  # a byte far behind the owner's name, which others must be able to read
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]  # Windows only
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        if cause.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


def _let_go_in_child() -> None:
    """A forked child closes its copies: closing, unlike unlocking, leaves the parent's lock alone."""
    for lock in list(_held):
        lock.give()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)

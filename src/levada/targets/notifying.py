"""What the file system tells by itself: one watcher for all local folders, by the library `watchfiles` (extra ``watch``).

The library's watchers take no further folders. So for a changed set a new one is made before the old one ends, and
the old one is emptied: nothing that happens in between is lost. What the kernel or the library drops all the same
(a full queue) is found by the listing that is made at every interval.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from levada.errors import told

STEP = 50  # milliseconds between two looks of the library at what the kernel told it
GROUPED = 200  # milliseconds that changes are gathered in a burst
ROUND = 500  # milliseconds after which a watcher that is to end notices it
SPARE = 16  # folders that may be watched for nothing
LAST_ROUNDS = 1  # that one which is to end still makes, behind the one that it is in
MOUNTS_KEPT = 60.0  # seconds that the list of file systems is taken for good
SILENT = (
    "nfs",
    "cifs",
    "smb",
    "fuse.",
    "9p",
    "afs",
    "ceph",
    "gluster",
    "lustre",
    "gpfs",
    "beegfs",
    "ncpfs",
    "virtiofs",
    "vboxsf",
    "prl_fs",
)
"""File systems (their beginnings) that others write to without the kernel here knowing."""
LIMIT = ("watch limit", "too many open files", "no space left", "emfile", "enospc")


Anchor = tuple[str, tuple[int, int] | None]
"""A folder that is to be watched, and which one it is: another may stand there later."""


def identity_of(path: str) -> tuple[int, int] | None:
    """Device and number of a folder; None where there is none."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return (about.st_dev, about.st_ino) if stat.S_ISDIR(about.st_mode) else None


class Notifier:
    """Watches folders, not what is below them. changed: called in a thread of its own with the paths that changed."""

    def __init__(self, changed: Callable[[Collection[str]], None]) -> None:
        self._changed = changed
        self._make = _maker()
        self.folders: frozenset[str] = frozenset()  # that are watched now
        self._identities: dict[str, tuple[int, int] | None] = {}
        self._refused = ""
        self._current: _Watcher | None = None
        self.seconds = 0.0  # that the last start took

    @property
    def is_there(self) -> bool:
        """Whether the library is installed."""
        return self._make is not None

    @property
    def is_broken(self) -> bool:
        """Whether the watcher ended by itself: what happened since was not told."""
        return self._current is not None and self._current.failure is not None

    @property
    def trouble(self) -> str:
        """What is wrong now, "" for nothing."""
        if self._current is not None and self._current.failure is not None:
            return f"the watcher of local files ended ({self._current.failure}); folders are asked by the clock until it runs again"
        return self._refused

    def watches(self, anchors: Collection[Anchor]) -> bool:
        """Whether all of these are watched, and not much besides."""
        few = len(self.folders) <= 2 * len(anchors) + SPARE
        return few and all(folder in self.folders and self._identities[folder] == identity for folder, identity in anchors)

    def watch(self, anchors: Collection[Anchor]) -> None:
        """Watch these from now on. Those that went meanwhile, or are beyond the system's limits, are not among ``self.folders``."""
        began = time.monotonic()
        before, self._refused = self._current, ""
        self._identities = {folder: identity for folder, identity in anchors}  # noqa: C416 - a mapping would be copied as it is
        self._current, self.folders = self._started(list(self._identities))
        if before is not None:
            before.end()
        self.seconds = time.monotonic() - began

    def _started(self, folders: list[str]) -> tuple[_Watcher | None, frozenset[str]]:
        """A watcher of as many as the system lets us watch."""
        wished = len(folders)
        for _ in range(40):
            folders = [folder for folder in folders if os.path.isdir(folder)]
            if not folders or self._make is None:
                break
            try:
                return _Watcher(self._make(folders), self._changed), frozenset(folders)
            except FileNotFoundError:
                continue  # one went just now
            except Exception as cause:  # the library's own error, and the system's
                self._refused = _explained(cause, wished)
                if not _is_limit(cause):
                    break
                folders = folders[: len(folders) // 2]
        return None, frozenset()

    def close(self) -> None:
        if self._current is not None:
            self._current.end()
            self._current = None
        self.folders = frozenset()


class _Watcher:
    """One watcher of the library, read by a thread."""

    def __init__(self, source: Any, changed: Callable[[Collection[str]], None]) -> None:
        self._source, self._changed = source, changed
        self.failure: str | None = None
        self._ending = False
        threading.Thread(target=self._read, name="levada-notified", daemon=True).start()

    def end(self) -> None:
        """Let it deliver what it has, then end; returns at once."""
        self._ending = True

    def _read(self) -> None:
        rounds = LAST_ROUNDS
        try:
            while rounds:
                rounds -= self._ending
                changes = self._source.watch(GROUPED, STEP, ROUND, None)
                if not isinstance(changes, str):
                    self._changed({path for _, path in changes})
        except Exception as cause:  # e.g. a name that is no UTF-8: the library's watcher is of no use from then on
            if not self._ending:
                self.failure = told(cause)
                self._changed(())
        finally:
            self._source.close()


def _maker() -> Callable[[list[str]], Any] | None:
    try:
        from watchfiles._rust_notify import RustNotify
    except ImportError:
        return None
    return lambda folders: RustNotify(folders, False, False, 0, False, True)


def _explained(cause: BaseException, folders: int) -> str:
    if _is_limit(cause):
        return (
            f"the system does not let {folders:,} folders be watched ({cause}); some are asked by the clock instead. "
            "Raise fs.inotify.max_user_watches (and max_user_instances)."
        )
    return f"local folders cannot be watched ({told(cause)}); they are asked by the clock instead"


def _is_limit(cause: BaseException) -> bool:
    return any(word in str(cause).lower() for word in LIMIT)


def is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


class Mounts:
    """Which file system a path is in, as the kernel lists them: nothing is asked of the file systems themselves."""

    def __init__(self) -> None:
        self._at = float("-inf")
        self._silent: list[str] = []
        self._all: list[str] = []

    def silent(self, path: str) -> str | None:
        """The mount point of a network file system that an absolute path is in; None for a local one."""
        if sys.platform != "linux":
            return None
        if time.monotonic() - self._at > MOUNTS_KEPT:
            self._read()
        if not self._silent:
            return None
        found = next((mount for mount in self._all if path == mount or path.startswith(mount if mount == "/" else f"{mount}/")), "")
        return found if found in self._silent else None

    def _read(self) -> None:
        import psutil  # type: ignore[import-untyped, unused-ignore]  # its stubs come with the development group

        self._at = time.monotonic()
        try:
            mounts = psutil.disk_partitions(all=True)
        except OSError:
            return
        self._all = sorted({mount.mountpoint for mount in mounts}, key=len, reverse=True)
        self._silent = [mount.mountpoint for mount in mounts if mount.fstype == "fuse" or mount.fstype.startswith(SILENT)]

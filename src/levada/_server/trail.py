"""What a run leaves in the state folder while it lives: its epoch, and a trail of the folders it writes in.

kill -9 leaves a temporary beside a target, and nobody could afford to look for it in every folder that a
later run writes in. So each run holds a locked file ``runs/EPOCH``, and its processes note the folders of
their temporaries in ``runs/EPOCH.PID``; the kernel takes the lock away with the last of them. Who starts
next sweeps the folders of the dead, and only temporaries of theirs: those with a fence of their epochs, and,
where a server gave the fences, those whose tags they noted beside the folders.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress

from ..errors import StateFolderError
from ..targets.atomic import lock, noted_folders, noted_tags, set_trail, sweep

_BEGAN = 1_704_067_200  # the clock's first second in epochs: 2024-01-01 UTC
_LAST = 2**31 - 1
_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Trail:
    """The mark of one run: made when it begins, removed when it ends. ``epoch`` rises from run to run.

    Raises StateFolderError where nothing can be opened in the folder; a full disk costs the trail only.
    """

    def __init__(self, folder: str) -> None:
        try:
            self.epoch = next_epoch(folder)
        except OSError as cause:
            raise StateFolderError(
                f"the state folder {folder} cannot be used: {cause}", hint="Set LEVADA_STATE to a folder that you may write to."
            ) from cause
        self._runs = os.path.join(folder, "runs")
        self._path = os.path.join(self._runs, str(self.epoch))
        self._fd, self._outer = -1, ""
        with suppress(OSError):
            os.makedirs(self._runs, 0o700, exist_ok=True)
            sweep_after_the_dead(self._runs)
            self._fd = _locked(self._path)
            self._outer = set_trail(self._path)

    def close(self, *, untidy: bool = False) -> None:
        """The run ends. untidy: processes of it were killed, and may have left temporaries."""
        if self._fd < 0:
            return
        set_trail(self._outer)
        with suppress(OSError):
            _remove(self._runs, str(self.epoch), swept=untidy)
        os.close(self._fd)
        self._fd = -1


def next_epoch(folder: str) -> int:
    """A number above those of all earlier runs with this state folder; about 20 microseconds.

    At least the seconds since 2024, so that it rises too where the folder was lost, or cannot be written.
    """
    fd = os.open(os.path.join(folder, "epoch"), _OPEN, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        text = os.pread(fd, 32, 0).strip()
        before = int(text) if text.isdigit() else 0
        epoch = min(_LAST, max(before + 1, int(time.time()) - _BEGAN))
        with suppress(OSError):  # a full disk: the clock must do
            os.pwrite(fd, b"%019d\n" % epoch, 0)
        return epoch
    finally:
        os.close(fd)


def sweep_after_the_dead(runs: str) -> None:
    """Remove the temporaries and marks of runs that were killed."""
    for name in sorted(name for name in os.listdir(runs) if name.isdigit()):
        try:
            fd = os.open(os.path.join(runs, name), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # another was faster
        try:
            if lock(fd):
                _remove(runs, name, swept=True)
        finally:
            os.close(fd)


def _locked(path: str) -> int:
    """A descriptor of the run's mark, locked; made again if somebody took it for a dead one's in the instant before."""
    while True:
        fd = os.open(path, _OPEN, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)


def _remove(runs: str, epoch: str, *, swept: bool) -> None:
    """Take a run's files away, the mark last: who is killed here leaves the rest to the next."""
    trails = [os.path.join(runs, name) for name in os.listdir(runs) if name.startswith(epoch + ".")]
    if swept:
        tags = frozenset(tag for trail in trails for tag in noted_tags(trail))
        for folder in sorted({folder for trail in trails for folder in noted_folders(trail)}):
            with suppress(OSError):
                sweep(folder, epoch=int(epoch), tags=tags)
    for path in (*trails, os.path.join(runs, epoch)):
        with suppress(FileNotFoundError):
            os.unlink(path)

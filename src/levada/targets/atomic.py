"""Whole or absent on a local disk: temporaries beside the target, one step that makes them visible.

The laws: nothing is seen under the target's name before it is whole and (unless ``durable=False``) on the
disk; ``kill -9`` leaves at most a temporary, ``.NAME.KEY8.FENCE.part``; a write-once target is made by
``os.link``, which refuses an existing name, so the first one stays. A temporary is locked (``flock``)
while its owner lives and names the attempt that made it, so `sweep` never has to guess by age.
"""

from __future__ import annotations

import errno
import io
import os
import re
from _contextvars import ContextVar  # all that there is in contextvars
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from levada._model.values import NamedTuple
from levada.errors import TargetError, TargetExists, TargetWriteError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

TEMPORARY = r"\..*\.(?P<tag>[0-9a-f]{8}\.\d+\.\d+|p\d+\.[0-9a-f]{8})(?:~\d+)?\.part"  # compiled when somebody sweeps
_LONGEST_NAME = 255  # bytes, on every file system in common use
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_AS_IT_IS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_LONGEST_TRAIL = 1024  # folders in one file of a trail
_TRIES = 1000  # names for a temporary, and rounds of making a folder that others remove

Step = Callable[[], None]
_process = os.getpid()  # asked once, and again in each forked child


def _forked() -> None:
    global _process
    _process = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Writing(NamedTuple):
    """Who writes: the attempt's name for temporaries, and what to ask just before a commit."""

    key8: str | Callable[[], str]
    fence: object
    before_commit: Step | None
    leftover: Callable[[str], bool] | None = None


Unsaid = tuple[Callable[[Any], Writing], Any]
"""What makes the words when they are needed, and what it makes them of."""

_NOBODY = Writing("", "", None)
_everywhere: Writing | Unsaid = _NOBODY
_here: ContextVar[Writing | Unsaid | None] = ContextVar("levada_writing", default=None)


def set_tag(
    key8: str | Callable[[], str],
    fence: object,
    before_commit: Step | None = None,
    *,
    leftover: Callable[[str], bool] | None = None,
    process_wide: bool = True,
) -> None:
    """Say which attempt writes from now on. Costs nothing until a file is written.

    key8: the first eight hex digits of the task's key, or what computes them when they are needed.
    fence: prints as EPOCH.NUMBER.
    before_commit: called when a file is whole and on the disk, just before it becomes visible; raises
    (LeaseLost) to prevent that. leftover: whether a write-once target that is there is what an earlier
    attempt left of outputs that were never complete; then it is replaced.
    process_wide: also for threads that the attempt starts; where several attempts share a process, say
    False, and it holds for this thread (context) alone.
    """
    write_as(Writing(key8, fence, before_commit, leftover), process_wide=process_wide)


def write_as(writing: Writing | Unsaid, *, process_wide: bool) -> None:
    """``set_tag`` for those who make the words when they are needed: most attempts of a large run write nothing here."""
    global _everywhere
    if not process_wide:
        _here.set(writing)
        return
    _everywhere = writing
    if _here.get() is not None:
        _here.set(None)


def _writing() -> Writing:
    writing = _here.get() or _everywhere
    if isinstance(writing, Writing):
        return writing
    make, subject = writing
    return make(subject)


def clear_tag() -> None:
    """No attempt writes any more: temporaries are named after the process again."""
    set_tag("", "")


def before_commit() -> None:
    """Ask whoever leads the attempt whether it may still commit; nothing outside an attempt."""
    ask = _writing().before_commit
    if ask is not None:
        ask()


def is_leftover(path: str) -> bool:
    """Whether the attempt that writes may replace what stands at ``path``, though it is write-once."""
    ask = _writing().leftover
    return ask is not None and ask(path)


def current_tag() -> str:
    """``KEY8.FENCE`` of the attempt; outside of one ``p<process>.<random>``."""
    key8, fence, _, _ = _writing()
    if not key8:
        return f"p{os.getpid()}.{os.urandom(4).hex()}"
    return f"{key8 if isinstance(key8, str) else key8()}.{fence}"


# -- where we write ----------------------------------------------------------------------------

_trail = ""
_epoch = ""  # the run's, as in its tags
_noted: set[str] = set()


def set_trail(path: str) -> str:
    """From now on note, before a temporary is made, its folder in the file ``PATH.PID``; "" ends that. Returns the path before.

    The last part of the path is the epoch of the run. Tags with another epoch, which a server gave, are noted, too.
    """
    global _trail, _epoch
    before, _trail = _trail, path
    _epoch = os.path.basename(path)
    _noted.clear()
    return before


def trail() -> str:
    """Where folders are noted now, "" for nowhere."""
    return _trail


def note_folder(path: str, tag: str = "") -> None:
    """Note the folder of ``path``, and a tag that is not of this run's epoch, unless that was done lately.

    A file of its own per process, of bounded length. It is opened each time: a descriptor that is kept could be another file
    by now, thanks to the task.
    """
    if not _trail:
        return
    folder = os.path.dirname(path)
    if not os.path.isabs(folder):
        folder = os.path.join(os.getcwd(), folder)
    if folder not in _noted:
        _note(folder)
    parts = tag.split(".")  # key, epoch, number; of no attempt: process, random
    if len(parts) > 2 and parts[1] != _epoch and tag not in _noted:
        _note(tag)
        _note(folder)  # both stand in the newer file


def _note(entry: str) -> None:
    name = f"{_trail}.{os.getpid()}"
    with suppress(OSError):  # a full disk there is no reason not to write here
        if len(_noted) >= _LONGEST_TRAIL:
            _noted.clear()
            os.rename(name, name + "~")
        if entry in _noted:
            return
        _noted.add(entry)
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            os.write(fd, os.fsencode(entry) + b"\0")
        finally:
            os.close(fd)


def noted_folders(trail: str) -> list[str]:
    """The folders that a file of a trail names."""
    return [entry for entry in _entries(trail) if os.path.isabs(entry)]


def noted_tags(trail: str) -> list[str]:
    """The tags that it names."""
    return [entry for entry in _entries(trail) if not os.path.isabs(entry)]


def _entries(trail: str) -> list[str]:
    try:
        with open(trail, "rb") as file:
            return [os.fsdecode(entry) for entry in file.read().split(b"\0") if entry]
    except FileNotFoundError:
        return []


# -- errors ------------------------------------------------------------------------------------


def write_error(path: str, cause: BaseException) -> TargetError:
    """The error of a write that the system refused, with the next step for its kind."""
    if isinstance(cause, TargetError):
        return cause
    number = cause.errno if isinstance(cause, OSError) else None
    reason = os.strerror(number) if number else str(cause)
    error = TargetWriteError(f"{path}: could not be written: {reason}", hint=f"{_next_step(path, number)} Nothing half-written was left.")
    error.errno, error.strerror, error.filename = number, reason, path
    error.__cause__ = cause
    return error


def _next_step(path: str, number: int | None) -> str:
    folder = os.path.dirname(path) or "."
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"Make room on the disk of {folder} (or raise the quota), then run again."
    if number in (errno.EACCES, errno.EPERM):
        return f"May this user create files in {folder}?"
    if number == errno.EROFS:
        return f"{folder} is mounted read-only: mount it writable, or write elsewhere."
    if number in (errno.ENOTDIR, errno.EEXIST):
        return "A part of this path is a file where a folder is needed."
    if number == errno.EISDIR:
        return "There is a folder of this name: remove it, or write elsewhere."
    if number == errno.ENAMETOOLONG:
        return "Choose a shorter name (most file systems take 255 bytes)."
    return f"Look at the disk of {folder}, then run again."


def target_exists(path: str) -> TargetError:
    """What to raise when a write-once target's name is taken."""
    if os.path.islink(path) and not os.path.exists(path):
        reason = "a symbolic link that leads nowhere is in its place"
        return TargetWriteError(f"{path}: could not be written: {reason}", hint="Remove the link, then run again.")
    return TargetExists(
        f"{path}: exists already; what was there first stays",
        hint='Remove it to make it again, or give the target mode="replace" if later runs should overwrite it.',
    )


# -- temporaries -------------------------------------------------------------------------------


def temporary_name(path: str, tag: str, count: int = 0) -> str:
    """The path of a temporary beside ``path``; count: how many such names were taken already."""
    folder, slash, name = path.rpartition("/") if os.name != "nt" else _split_windows(path)
    end = f".{tag}~{count}.part" if count else f".{tag}.part"
    if len(name) + len(end) > _LONGEST_NAME // 4:  # else it fits, whatever its characters
        room = _LONGEST_NAME - 1 - len(end)
        name = os.fsencode(name)[:room].decode("utf-8", "ignore")
    return f"{folder}{slash}.{name}{end}"


def _split_windows(path: str) -> tuple[str, str, str]:
    folder, name = os.path.split(path)
    return folder, os.sep if folder else "", name


def _create(path: str, tag: str, *, durable: bool) -> tuple[int, str]:
    """A new, locked, empty temporary beside ``path``; missing folders are made."""
    note_folder(path, tag)
    for count in range(_TRIES):
        name = temporary_name(path, tag, count)
        try:
            fd = os.open(name, _NEW_FILE, 0o666)
        except FileExistsError:
            continue
        except FileNotFoundError:
            make_folders(os.path.dirname(path), durable=durable)
            continue
        if lock(fd) and os.fstat(fd).st_nlink:
            return fd, name
        os.close(fd)  # a sweep took it in the instant before it was locked: it is gone, or about to go
    raise FileExistsError(errno.EEXIST, "all names for a temporary are taken", path)


def lock(fd: int) -> bool:
    """Mark a temporary as its owner's until the owner is dead; False when another holds the mark."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: sweeps there go by the tag alone
        return True
    return True


def make_folders(folder: str, *, durable: bool) -> None:
    """Make a folder and those above it; durable: each is on the disk before anything is put in it."""
    missing: list[str] = []
    while folder and not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder.rstrip("/")) if folder.strip("/") else ""
    for name in reversed(missing):
        try:
            os.mkdir(name)
        except FileExistsError:
            if not os.path.isdir(name):
                raise
        if durable:
            sync_folder(os.path.dirname(name.rstrip("/")))


def sync_folder(folder: str) -> None:
    """Bring the names in a folder to the disk."""
    if os.name == "nt":
        return  # folders cannot be opened there
    fd = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# -- one file ----------------------------------------------------------------------------------


class _Raw(io.FileIO):
    """The temporary's bytes. Remembers a failed write, so that no file with a hole is ever committed."""

    def __init__(self, fd: int, path: str) -> None:
        super().__init__(fd, "wb")
        self.path, self.pid = path, _process
        self.failed: TargetError | None = None
        self.dead = False

    def write(self, data: ReadableBuffer, /) -> int:
        if self.dead or self.pid != _process:  # given up; or a forked child, whose copy of a buffer is flushed at its end
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as cause:
            self.failed = write_error(self.path, cause)
            raise self.failed from cause


class LocalPending:
    """A local file that is not visible yet: a locked temporary, and where it belongs."""

    __slots__ = ("_durable", "_pid", "_raw", "_replace", "_temporary", "path", "stream")

    def __init__(self, path: str, *, replace: bool, durable: bool = True, tag: str = "") -> None:
        """Begin. Raises TargetExists at once when a write-once target is there, else TargetWriteError."""
        self.path, self._replace, self._durable = path, replace, durable
        self._temporary = ""
        try:
            if not replace:
                _must_be_free(path)
            fd, self._temporary = _create(path, tag or current_tag(), durable=durable)
        except (OSError, ValueError) as cause:
            raise write_error(path, cause) from cause
        self._pid = _process
        self._raw = _Raw(fd, path)
        self._raw.name = self._temporary  # who is handed an open file may ask for it, and take a number for none
        self.stream: IO[bytes] = io.BufferedWriter(self._raw)

    def __repr__(self) -> str:
        return self.path

    @property
    def temporary(self) -> str:
        """Where the bytes are until then."""
        return self._temporary

    def commit(self) -> None:
        """Make it exist, whole, at once. Raises TargetExists, TargetWriteError or what the lease check raises."""
        if self._pid != _process:
            return  # a forked child has a copy of the writer; the file is its parent's
        try:
            self._commit()
        except OSError as cause:
            self.abort()
            raise write_error(self.path, cause) from cause
        except BaseException:
            self.abort()
            raise

    def _commit(self) -> None:
        self.stream.flush()
        if self._raw.failed is not None:
            raise self._raw.failed
        if self._durable:
            os.fsync(self._raw.fileno())
        else:  # network file systems tell of a full disk when a file is closed: hear it before others see the file
            os.close(os.dup(self._raw.fileno()))
        before_commit()
        publish(self._temporary, self.path, replace=self._replace)
        self._temporary = ""
        self.stream.close()
        if self._durable:
            sync_folder(os.path.dirname(self.path))

    def abort(self) -> None:
        """Forget it; the temporary is removed. Harmless to repeat."""
        self._raw.dead = True
        if self._temporary and self._pid == _process:
            with suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = ""
        with suppress(OSError, ValueError):
            self.stream.close()


def _must_be_free(path: str) -> None:
    """Raise TargetExists now rather than after hours of work; the commit decides in the end."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    if not is_leftover(path):
        raise target_exists(path)


def publish(temporary: str, path: str, *, replace: bool) -> None:
    """Give a temporary file its name, in one step. Raises TargetExists when write-once and it is taken."""
    if replace:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        # A network file system may have made the link and lost the answer.
        if not os.path.samestat(os.lstat(path), os.lstat(temporary)):
            if not is_leftover(path):
                raise target_exists(path) from None
            os.replace(temporary, path)
            return
    except (NotImplementedError, OSError) as cause:
        if isinstance(cause, OSError) and cause.errno not in _NO_LINKS:
            raise
        _must_be_free(path)
        os.rename(temporary, path)
        return
    os.unlink(temporary)


def promise_of(folder: str) -> str:
    """How far a folder's file system carries the fence: "exact" (hard links), else "checked". Makes and removes a file."""
    path, tag = os.path.join(folder, "probe"), f"p{os.getpid()}.{os.urandom(4).hex()}"
    fd, name = _create(path, tag, durable=False)
    second = temporary_name(path, tag, _TRIES)
    try:
        os.link(name, second)
        os.unlink(second)
    except (NotImplementedError, OSError):
        return "checked"
    finally:
        os.unlink(name)
        os.close(fd)
    return "exact"


# -- leftovers ---------------------------------------------------------------------------------


def sweep(
    folder: str, keep: Collection[str] = (), *, superseded: str = "", epoch: int | None = None, tags: Collection[str] = ()
) -> list[str]:
    """Names of the temporaries that were removed from a folder: those whose owner is dead.

    keep: tags (``KEY8.FENCE``) that stay in any case. superseded: a key (eight hex digits); its temporaries
    go even if their owner lives, since a newer grant of that task makes them void (name that in ``keep``).
    epoch: only temporaries of attempts with a fence of that epoch, and those with one of ``tags``.
    """
    removed = []
    try:
        with os.scandir(folder or ".") as entries:
            names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if entry.name.endswith(".part")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    for name, is_folder in sorted(names):
        match = re.fullmatch(TEMPORARY, name, re.DOTALL)
        if match is None or match["tag"] in keep:
            continue
        tag = match["tag"]
        if epoch is not None and tag.split(".")[1:-1] != [str(epoch)] and tag not in tags:
            continue
        force = bool(superseded) and tag.startswith(superseded + ".")
        if _remove_if_abandoned(os.path.join(folder, name), is_folder, force=force):
            removed.append(name)
    return removed


def _remove_if_abandoned(path: str, is_folder: bool, *, force: bool) -> bool:
    try:
        fd = os.open(path, (os.O_RDONLY if is_folder else os.O_RDWR) | _AS_IT_IS)
    except OSError:
        return False  # gone, a link, or another user's
    try:
        if not (lock(fd) or force):
            return False
        return remove_temporary(path, is_folder)
    finally:
        os.close(fd)


def remove_temporary(path: str, is_folder: bool) -> bool:
    """Whether a temporary file or folder was removed."""
    try:
        if is_folder:
            import shutil

            shutil.rmtree(path)
        else:
            os.unlink(path)
    except OSError:
        return False
    return True

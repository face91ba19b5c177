"""The protocols that rooms meet each other by."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import IO, Protocol, runtime_checkable

from .messages import AddTasks, Confirm, Progress, Renew, RenewReply, Sync, SyncReply, TaskView
from .spec import Index
from .status import Status
from .values import NamedTuple


@runtime_checkable
class Target(Protocol):
    """A thing in the world that exists or not. Anything with ``exists()`` is one."""

    @abstractmethod  # who subclasses it and forgets this is told at once
    def exists(self) -> bool:
        """Whether it is there, whole. Raises TargetUnreachable rather than guess."""
        ...


class Promise(NamedTuple):
    """What a store can do; declared, and probed where servers are known to lie."""

    create_if_absent: bool  # commit refuses an existing path
    atomic_replace: bool  # commit can replace in one step
    listing: bool  # list() answers many questions at once
    remote: bool  # a question costs a round trip
    folders: bool = True  # exists() is true of a folder, too


class Entry(NamedTuple):
    """One name of a listing."""

    name: str
    is_folder: bool
    size: int | None = None  # bytes
    modified: float | None = None  # seconds since 1970
    etag: str | None = None  # another one for other content; what it looks like is the store's own affair


class Store(Protocol):
    """Where targets live: a small verb each. Paths are the store's own, without the scheme.

    Absent and unreachable are two answers: verbs raise FileNotFoundError for the first and
    TargetUnreachable for the second.
    """

    scheme: str
    promise: Promise

    def exists(self, path: str) -> bool: ...

    def list(self, folder: str) -> Iterator[Entry]:
        """Entries of a folder in no promised order; a folder that is absent has none."""
        ...

    def open(self, path: str) -> IO[bytes]: ...

    def put(self, path: str, *, replace: bool, durable: bool, tag: str) -> Pending:
        """Begin a write; nothing is visible until ``commit``. tag: part of the temporary's name."""
        ...

    def remove(self, path: str, *, recursive: bool = False) -> None: ...


class Pending(Protocol):
    """A write that is not visible yet."""

    stream: IO[bytes]

    def commit(self) -> None:
        """Make it exist, whole, at once. Raises TargetExists when write-once and another was first."""
        ...

    def abort(self) -> None:
        """Forget it; nothing stays behind. Harmless to repeat."""
        ...


class Scheduler(Protocol):
    """What a worker and a planner see of a scheduler, embedded or served."""

    lease: float

    def add(self, command: AddTasks) -> None: ...

    def sync(self, command: Sync) -> SyncReply: ...

    def renew(self, command: Renew) -> RenewReply: ...

    def confirm(self, command: Confirm) -> bool: ...

    def progress(self) -> Progress: ...

    def view(self, index: Index) -> TaskView: ...

    def having(self, *statuses: Status) -> Iterable[Index]: ...


class Attempt(NamedTuple):
    """What is remembered of one attempt. Times are seconds since 1970 (wall clock, for people)."""

    key: bytes
    family: str
    task: str  # canonical text of its parameters, secrets masked
    number: int  # 1 for the first of this run
    started: float
    seconds: float
    exit: str  # an ExitClass value
    error: str = ""  # traceback text, at most 64 KiB, no locals
    fingerprint: str = ""  # equal for equal causes
    cpu: float = 0.0  # seconds
    rss: int = 0  # peak, bytes; 0 when not measured
    worker: str = ""


AttemptRow = tuple[bytes, str, str, int, float, float, str, str, str, float, int, str]
"""The fields of an Attempt as a plain tuple, where many are made."""

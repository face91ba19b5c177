"""A child of the pool as its parent sees it: birth, words in and out, death. No policy; that is ``pool``'s."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from .._model import forks
from .._model.status import ExitClass
from .._model.values import NamedTuple
from ..targets.atomic import trail
from . import child as child_side
from .attempt import timed_out
from .executor import Hooks, Job
from .frames import DROP, INTS, JOBS, QUIT, RESUME, SETUP, Frames, frame, ints, pack_ints, to_json
from .shared import CLAIMED, SIZE, STOP, Shared

_READ = 1 << 18


class Stop(NamedTuple):
    """A job that is being stopped: as what it will end, and when patience ends (monotonic clock)."""

    seq: int
    exit: ExitClass
    kill_at: float
    message: str
    allowed: float = 0.0  # seconds, of a timeout

    def words(self, seconds: float) -> str:
        """Why the attempt ended, for people, after so many seconds of work."""
        return timed_out(seconds, self.allowed) if self.exit is ExitClass.TIMEOUT else self.message


class Spawning(NamedTuple):
    """What a spawned child has to find by name. hooks: ``module:attribute`` of a Hooks."""

    hooks: str
    modules: tuple[str, ...] = ()


class Child:
    """One process, the jobs it was given and the attempts it keeps suspended."""

    def __init__(self, pid: int, channel: socket.socket, shared: Shared, held: int) -> None:
        self.pid = pid
        self.name = str(pid)
        self.shared = shared
        self.held = held  # it holds the tasks below this index
        self.jobs: dict[int, Job] = {}  # by number; begun or not
        self.resumed: set[int] = set()  # numbers among them that go on with a suspended attempt
        self.suspended: dict[int, Job] = {}  # by index
        self.used: dict[int, float] = {}  # index -> seconds worked before it was suspended
        self.sent = 0
        self.texts = 0  # of these, tasks that it did not hold
        self.timed = 0  # jobs with a timeout among ``jobs``
        self.stop: Stop | None = None
        self.retires = False
        self.leaving = False
        self.lost_at = 0.0  # monotonic clock: when its channel ended
        self._killed = False
        self.broken = False  # its channel makes no sense any more
        self.channel = channel
        self.pidfd = _pidfd(pid)
        self._frames = Frames()
        self._seq = 0
        self.outbox = bytearray()
        channel.setblocking(False)

    # -- words out

    def give(self, jobs: Sequence[Job], entries: Sequence[dict[str, Any]] | None) -> None:
        """Send jobs: as integers, or by the entries that rebuild them."""
        first, self._seq = self._seq + 1, self._seq + len(jobs)
        self.jobs.update(zip(range(first, self._seq + 1), jobs, strict=True))
        self.timed += sum([job.timeout is not None for job in jobs])
        self.sent += len(jobs)
        self.send(frame(INTS, pack_ints(jobs)) if entries is None else frame(JOBS, to_json(entries)))

    def resume(self, index: int) -> None:
        """Let a suspended attempt go on."""
        self.resumed.add(self._number(self.suspended.pop(index)))
        self.send(frame(RESUME, ints([index])))

    def drop(self, index: int) -> None:
        """Have a suspended attempt closed."""
        del self.suspended[index]
        self.used.pop(index, None)
        self.send(frame(DROP, ints([index])))

    def quit(self) -> None:
        """Ask it to end when it has run what it was given."""
        self.leaving = True
        self.send(frame(QUIT))

    def _number(self, job: Job) -> int:
        self._seq += 1
        self.jobs[self._seq] = job
        self.timed += job.timeout is not None
        return self._seq

    def take(self, seq: int) -> tuple[Job, bool] | None:
        """Strike a job off the list: the job and whether it was a resumed one. None when it is not there."""
        job = self.jobs.pop(seq, None)
        if job is None:
            return None
        self.timed -= job.timeout is not None
        resumed = seq in self.resumed
        self.resumed.discard(seq)
        if self.stop is not None and self.stop.seq == seq:
            self.stop = None
            self.shared.words[STOP] = 0
        return job, resumed

    def struck(self, seq: int) -> Job | None:
        """As ``take``, for a job that has ended."""
        taken = self.take(seq)
        if taken is None:
            return None
        self.used.pop(taken[0].index, None)
        return taken[0]

    def send(self, data: bytes) -> None:
        """Send without ever waiting; what does not go out now goes out when there is room."""
        self.outbox += data
        self.flush()

    def flush(self) -> None:
        """Send what can be sent."""
        while self.outbox:
            try:
                done = self.channel.send(self.outbox)
            except BlockingIOError:
                return
            except OSError:  # gone; its death is noticed elsewhere
                self.outbox.clear()
                return
            del self.outbox[:done]

    # -- words in

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Whole frames that arrived. Marks the child broken at the end of the channel or at nonsense."""
        found: list[tuple[bytes, bytes]] = []
        while not self.broken:
            try:
                data = self.channel.recv(_READ)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            try:
                found += self._frames.feed(data)
            except ValueError:
                self.broken = True
            if not data:
                self.broken = True
        return found

    def running(self) -> int | None:
        """Number of the job that it has begun and not ended."""
        claimed = self.shared.words[CLAIMED]
        return claimed if claimed in self.jobs else None

    def recall(self) -> list[tuple[int, Job, bool]]:
        """Take back what it has not begun: (number, job, was resumed) in order."""
        if not self.jobs:
            return []
        begun = self.shared.take_back(self._seq)
        back = [seq for seq in self.jobs if seq > begun]
        return [(seq, *taken) for seq in back if (taken := self.take(seq)) is not None]

    # -- life and death

    def signal(self, number: int) -> None:
        """Signal the child and all processes of its group."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            try:
                os.kill(self.pid, number)  # it has not made its group yet
            except ProcessLookupError:
                pass

    def kill(self) -> None:
        """SIGKILL to the child, its group, and those of its descendants that left the group."""
        strays = [] if self._killed else _descendants(self.pid)
        self._killed = True
        self.signal(signal.SIGKILL)
        for pid in strays:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass

    def reap(self, wait: bool) -> int | None:
        """Its wait status once it is dead, -1 when somebody else took the status, None while it lives."""
        try:
            pid, status = os.waitpid(self.pid, 0 if wait else os.WNOHANG)
        except ChildProcessError:
            return -1
        return status if pid else None

    def close(self) -> None:
        """Give its descriptors and memory back."""
        self.channel.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
        self.shared.close()


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _descendants(pid: int) -> list[int]:
    try:
        import psutil  # type: ignore[import-untyped, unused-ignore]  # its stubs come with the development group

        return [p.pid for p in psutil.Process(pid).children(recursive=True)]
    except Exception:  # no psutil, or the process is gone: its group is all we know
        return []


# -- birth ---------------------------------------------------------------------------------------


def may_fork() -> bool:
    """Whether a fork is safe: no other thread of Python exists that could hold a lock now.

    Threads of libraries (BLAS) are not counted: theirs register what has to be done at a fork. Those which cannot
    live with a fork are told of by who starts them (`forks.forbid`).
    """
    import _thread

    return hasattr(os, "fork") and _thread._count() == 0 and not forks.forbidden_by()


def forked(task_of: Callable[[int], Any], hooks: Hooks, held: int, others: Iterable[Child], also_close: Iterable[int]) -> Child:
    """A child that holds what this process holds now. Never returns in the child."""
    ours, theirs = socket.socketpair()
    shared = Shared()
    child_side.prepare()
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    strangers = [c.channel.fileno() for c in others] + [c.pidfd for c in others if c.pidfd is not None] + [*also_close]
    thaw = gc.get_freeze_count() == 0
    gc.freeze()  # the child's collector must not touch, and thereby copy, what it shares with us
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be_child(theirs, shared, hooks, task_of, parent, [*strangers, ours.fileno()])
    if thaw:
        gc.unfreeze()
    theirs.close()
    return Child(pid, ours, shared, held)


def _be_child(
    channel: socket.socket, shared: Shared, hooks: Hooks, task_of: Callable[[int], Any], parent: int, strangers: list[int]
) -> NoReturn:
    status = 70
    try:
        for fd in strangers:
            os.close(fd)
        status = child_side.serve(channel, shared, hooks, task_of, parent)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        child_side.leave(status)


def _flush(stream: Any) -> None:
    try:
        stream.flush()
    except (AttributeError, OSError, ValueError):
        pass


def spawned(spawning: Spawning) -> Child:
    """A child that starts from nothing and imports what it needs: where a fork is not safe."""
    import subprocess

    ours, theirs = socket.socketpair()
    memory = _memory_file()
    command = [sys.executable, "-m", "levada._worker.child", str(theirs.fileno()), str(memory), str(os.getpid())]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(), memory), start_new_session=True, env=_environment()
    )
    process.returncode = 0  # we reap it ourselves
    theirs.close()
    shared = Shared(memory)
    os.close(memory)
    child = Child(process.pid, ours, shared, 0)
    setup = {"hooks": spawning.hooks, "modules": _modules(spawning), "main": _main_file(), "path": sys.path, "trail": trail()}
    child.send(frame(SETUP, to_json(setup)))
    return child


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("levada")
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, SIZE)
    return fd


def _environment() -> dict[str, str]:
    """Ours, with this very package found first."""
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": here + os.pathsep + path if path else here}


def _modules(spawning: Spawning) -> list[str]:
    return [name for name in spawning.modules if name != "__main__"]


def _main_file() -> str | None:
    """The program's own file, which defines tasks perhaps; None for ``-m``, ``-c`` and notebooks."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    return os.path.abspath(file) if file and getattr(main, "__spec__", None) is None else None

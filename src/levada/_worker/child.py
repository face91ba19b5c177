"""The loop of a pool's child: take jobs, run them, say how they went. Ends with its parent, in any case.

What user code does to this process hurts its own attempt only: descriptors that it closes, signals that
it takes, processes that it forks, ``os._exit``. Whatever breaks our channel ends the process, and the
parent draws its conclusions.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from _signal import getsignal  # type: ignore[import-not-found]  # the public one tries to make an enum of it: 4 us, twice a task
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, NoReturn

from .._model.messages import Fence
from .._model.status import ExitClass
from ..targets.atomic import set_trail
from .attempt import Attempts, Stopped, failure_of
from .executor import Ended, Hooks, Job, Yielded
from .frames import (
    BELL,
    DROP,
    ENDED,
    FAULT,
    INTS,
    JOBS,
    LONGEST,
    QUIT,
    RESUME,
    RETIRE,
    RETURNED,
    SETUP,
    YIELDED,
    Frames,
    frame,
    from_ints,
    from_json,
    ints,
    pack_ended,
    to_json,
    unpack_ints,
)
from .shared import CLAIMED, SINCE, STOP, VOID, Shared

CHANNEL_LOST = 113
"""Exit status: the channel to the parent is not ours any more."""

ORPHAN = 114
"""Exit status: the parent was gone before we began."""

_RING_AFTER = 0.005  # seconds between two looks at the channel while there is work
_WEIGH_AFTER = 0.5  # seconds between two looks at our own memory
_GROWTH = 500 * 1024 * 1024  # bytes beside twice the first size: then we ask to be replaced

_new = tuple.__new__  # builds a NamedTuple in half the time; used where each task passes
_libc: Any = None

setting_up = False
"""Whether a spawned child is running the program's file: a program that starts a pool there would never end."""


class _ChannelLost(BaseException):
    pass


class Channel:
    """Our end of the channel, out of the way of user code that closes descriptors."""

    def __init__(self, channel: socket.socket) -> None:
        self._fd = _high(channel.fileno())
        channel.close()
        self._inode = os.fstat(self._fd).st_ino
        self._socket = socket.socket(fileno=self._fd)
        self._frames = Frames()

    def send(self, data: bytes) -> None:
        """Send all of it. The descriptor may be another file by now: then the process ends, not the file."""
        try:
            if os.fstat(self._fd).st_ino != self._inode:
                raise _ChannelLost
            self._socket.sendall(data)
        except OSError:
            raise _ChannelLost from None

    def receive(self, wait: bool) -> list[tuple[bytes, bytes]]:
        """Whole frames that are there; at least the bytes of one recv when told to wait."""
        try:
            if os.fstat(self._fd).st_ino != self._inode:
                raise _ChannelLost
            data = self._socket.recv(1 << 18, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except OSError:
            raise _ChannelLost from None
        if not data:
            raise _ChannelLost
        return list(self._frames.feed(data))


def _high(fd: int) -> int:
    """A copy of a descriptor with a number that user code is not likely to hit."""
    import fcntl
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    start = 4000 if soft == resource.RLIM_INFINITY or soft > 4096 else max(200, soft - 56)
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, start)
    except OSError:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


class Loop:
    """Jobs in, results out, one at a time. Jobs are numbered as they arrive, as the parent numbers them."""

    def __init__(self, channel: Channel, shared: Shared, hooks: Hooks, task_of: Callable[[int], Any]) -> None:
        self._channel = channel
        self._shared = shared
        self._task_of = task_of
        self.attempts = Attempts(hooks, fresh_peak=True)
        self._queue: deque[Any] = deque()  # a tuple of unpack_ints, an entry, or the index of a suspended attempt
        self._returned: list[int] = []
        self._number = 0
        self._unrung = False
        self._rang_at = self._weighed_at = 0.0
        self._first_size = _size()
        self._quit = False

    def run(self) -> None:
        """Until the parent says QUIT, or is gone."""
        words, clocks, queue = self._shared.words, self._shared.clocks, self._queue
        while True:
            while not queue:
                if self._quit:
                    self._look(wait=False)
                    return
                self._look(wait=True)
            if monotonic() - self._rang_at > _RING_AFTER:
                self._look(wait=False)
            number = self._number = self._number + 1
            item = queue.popleft()
            if number > words[VOID]:
                clocks[SINCE] = monotonic()
                words[CLAIMED] = number
                if number > words[VOID]:
                    self._tell(self._ran(item))
                    continue
            self._returned.append(number)

    def _ran(self, item: Any) -> Ended | Yielded:
        attempts = self.attempts
        index = item if type(item) is int else item[0] if type(item) is tuple else item["index"]
        try:
            if type(item) is int:
                return attempts.go_on(item)
            return attempts.begin(self._job(item))
        except _ChannelLost:
            raise
        except BaseException as error:  # it could not be built; or it raised KeyboardInterrupt itself
            return failure_of(index, None, error)
        finally:
            _take_signals_back()

    def _job(self, item: Any) -> Job:
        if type(item) is tuple:
            index, attempt, epoch, number, key = item
            job: Job = _new(Job, (index, self._task_of(index), attempt, None, _new(Fence, (epoch, number)), key, ()))
            return job
        from .texts import task_from

        batch = tuple(task_from(entry) for entry in item["batch"])
        return Job(item["index"], task_from(item), item["attempt"], None, Fence(*item["fence"]), bytes.fromhex(item["key"]), batch)

    # -- saying how it went

    def _tell(self, result: Ended | Yielded) -> None:
        if isinstance(result, Yielded):
            self._tell_yielded(result)
        elif result.exit is ExitClass.OK and not result.message:
            if not self._shared.put(self._number, result.started, result.seconds, result.cpu, result.rss):
                self._channel.send(frame(ENDED, pack_ended(self._number, result)))
            self._unrung = True
        else:
            self._channel.send(frame(ENDED, pack_ended(self._number, result)))

    def _tell_yielded(self, result: Yielded) -> None:
        from .texts import entry_of

        try:
            run = self.attempts.suspended[result.index]
            payload = to_json([self._number, run.seconds, [entry_of(task) for task in result.requires]])
            if len(payload) > LONGEST:
                raise OverflowError(f"run() yielded {len(result.requires)} tasks at once, more than fit into one message")
        except Exception as error:
            self.attempts.drop(result.index)
            self._channel.send(frame(ENDED, pack_ended(self._number, failure_of(result.index, None, error))))
        else:
            self._channel.send(frame(YIELDED, payload))

    def _look(self, wait: bool) -> None:
        """Wake the parent if there is news for it, then see what it has to say."""
        flush()
        if self._returned:
            self._channel.send(frame(RETURNED, ints(self._returned)))
            self._returned.clear()
        if self._unrung:
            self._unrung = False
            self._channel.send(frame(BELL))
        self._weigh()
        for kind, payload in self._channel.receive(wait):
            self._hear(kind, payload)
        self._rang_at = monotonic()

    def _hear(self, kind: bytes, payload: bytes) -> None:
        if kind == INTS:
            self._queue.extend(unpack_ints(payload))
        elif kind == JOBS:
            self._queue.extend(from_json(payload))
        elif kind == RESUME:
            self._queue.extend(from_ints(payload))
        elif kind == DROP:
            for index in from_ints(payload):
                self.attempts.drop(index)
        elif kind == QUIT:
            self._quit = True

    def _weigh(self) -> None:
        """Ask to be replaced when we have grown far beyond our first size."""
        now = monotonic()
        if now - self._weighed_at > _WEIGH_AFTER:
            self._weighed_at = now
            if _size() > 2 * self._first_size + _GROWTH:
                self._channel.send(frame(RETIRE))

    def stop(self, number: int, at: object) -> None:
        """Handler of SIGTERM: end the attempt that the parent means, or, when it means none, end as others do."""
        words = self._shared.words
        if os.getpid() != self.attempts.pid or words[STOP] == 0:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self.attempts.running is not None and words[STOP] == words[CLAIMED]:
            raise Stopped("stopped by SIGTERM")


def _size() -> int:
    """Bytes of memory in use now; 0 where it cannot be told cheaply."""
    try:
        with open("/proc/self/statm", "rb") as sizes:
            return int(sizes.read().split()[1]) * 4096
    except (OSError, ValueError, IndexError):
        return 0


def flush() -> None:
    """Let out what the tasks printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


# -- settling in ---------------------------------------------------------------------------------

_handlers: dict[int, Any] = {}


def _take_signals_back() -> None:
    """Tasks may replace handlers for themselves, not for the next task."""
    for number, handler in _handlers.items():
        if getsignal(number) is not handler:
            try:
                signal.signal(number, handler)
            except (ValueError, OSError):
                pass


def prepare() -> None:
    """Load in the parent what each child would otherwise load for itself."""
    global _libc
    if _libc is None and sys.platform == "linux":
        import ctypes

        _libc = ctypes.CDLL(None)
    from . import report, texts, yields  # noqa: F401


def _die_with(parent: int) -> None:
    """SIGKILL when the parent ends (Linux); elsewhere the end of the channel tells, between two tasks."""
    if _libc is not None:
        _libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(ORPHAN)


def _reset_signals() -> None:
    """Forget the parent's handlers: they would speak to its objects in our copy of them."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)) and number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _nothing(number: int, at: object) -> None:
    """Handler of SIGINT: the parent decides. (SIG_IGN would be inherited by the programs that tasks start.)"""


def _own_dice() -> None:
    """numpy's old global generator would give each child the same numbers; the standard library's does not."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(int.from_bytes(os.urandom(4), "little"))


def _no_stdin() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def serve(channel: socket.socket, shared: Shared, hooks: Hooks, task_of: Callable[[int], Any], parent: int) -> int:
    """Run the loop of a new child until it is told to end; its exit status."""
    _settle(parent)
    try:
        _loop(Channel(channel), shared, hooks, task_of).run()
    except _ChannelLost:
        return CHANNEL_LOST
    return 0


def _settle(parent: int) -> None:
    _reset_signals()
    try:
        os.setsid()
    except PermissionError:
        pass  # spawned: it leads its session already
    _die_with(parent)
    _no_stdin()
    _own_dice()
    _trace_crashes()


def _trace_crashes() -> None:
    """A segmentation fault prints the Python stack to stderr; it still kills by its signal."""
    import faulthandler

    try:
        if not faulthandler.is_enabled():
            faulthandler.enable(all_threads=False)
    except (OSError, ValueError, RuntimeError, AttributeError):
        pass


def _loop(channel: Channel, shared: Shared, hooks: Hooks, task_of: Callable[[int], Any]) -> Loop:
    loop = Loop(channel, shared, hooks, task_of)
    _handlers.update({signal.SIGTERM: loop.stop, signal.SIGINT: _nothing})
    _take_signals_back()
    return loop


def leave(status: int) -> NoReturn:
    """End now: no exit handlers (they are the parent's), no waiting for threads."""
    flush()
    os._exit(status)


# -- a spawned child ------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """``python -m levada._worker.child CHANNEL MEMORY PARENT``: descriptors and a process id."""
    prepare()
    fd, memory, parent = (int(word) for word in arguments)
    shared = Shared(memory)
    os.close(memory)
    _settle(parent)
    channel = Channel(socket.socket(fileno=fd))
    try:
        return _serve_spawned(channel, shared)
    except _ChannelLost:
        return CHANNEL_LOST


def _serve_spawned(channel: Channel, shared: Shared) -> int:
    frames: list[tuple[bytes, bytes]] = []
    while not frames:
        frames = channel.receive(wait=True)
    (kind, payload), *rest = frames
    if kind != SETUP:
        return CHANNEL_LOST
    try:
        hooks = _set_up(from_json(payload))
    except Exception as error:
        channel.send(frame(FAULT, failure_of(-1, None, error).error.encode()))
        return 1
    loop = _loop(channel, shared, hooks, _holds_none)
    for kind, payload in rest:
        loop._hear(kind, payload)
    loop.run()
    return 0


def _holds_none(index: int) -> Any:
    raise LookupError(f"task {index} is not held here")


def _set_up(setup: dict[str, Any]) -> Hooks:
    """Import what the tasks need, as the parent had it."""
    import importlib

    sys.path[:] = setup["path"]
    set_trail(setup["trail"])
    for name in setup["modules"]:
        importlib.import_module(name)
    if setup["main"]:
        _run_main(setup["main"])
    module, _, name = setup["hooks"].partition(":")
    hooks: Hooks = getattr(importlib.import_module(module), name)
    return hooks


def _run_main(file: str) -> None:
    """The program's file, not as the program: its ``if __name__ == "__main__"`` does not run again."""
    global setting_up
    import runpy
    import types

    module = types.ModuleType("__mp_main__")
    setting_up = True
    try:
        module.__dict__.update(runpy.run_path(file, run_name="__mp_main__"))
    finally:
        setting_up = False
    sys.modules["__mp_main__"] = sys.modules["__main__"] = module


if __name__ == "__main__":
    # Run the module that others import, not this copy of it under another name.
    from levada._worker import child

    child.leave(child.main(sys.argv[1:]))

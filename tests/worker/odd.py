"""Tasks that end in odd ways, and the small tools of these tests."""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from levada._model.messages import Fence
from levada._model.status import ExitClass
from levada._worker.executor import Ended, Executor, Hooks, Job, Yielded
from levada.errors import TargetUnreachable, TargetWriteError
from levada.task import Task, flatten, key_of


class Flag:
    """A target that is a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def exists(self) -> bool:
        return os.path.exists(self.path)

    def touch(self, text: str = "") -> None:
        with open(self.path, "w") as file:
            file.write(text)

    def __str__(self) -> str:
        return self.path


class Noop(Task):
    """Nothing to do, and complete."""

    number: int = 0

    def run(self) -> None:
        pass

    def complete(self) -> bool:
        return True


class Nap(Noop):
    """Sleeps; says who ran it."""

    seconds: float = 0.0
    note: str = ""

    def run(self) -> None:
        time.sleep(self.seconds)
        if self.note:
            Flag(self.note).touch(str(os.getpid()))


class Waits(Noop):
    """Until a file is there."""

    path: str

    def run(self) -> None:
        assert wait_until(lambda: os.path.exists(self.path), 30.0)


class Odd(Noop):
    """Does what KINDS says."""

    kind: str = ""

    def run(self) -> Any:
        return KINDS[self.kind]()


class Writes(Task):
    """Makes its file."""

    path: str

    def output(self) -> Flag:
        return Flag(self.path)

    def run(self) -> Any:
        Flag(self.path).touch(self.path)


class Leaves(Writes):
    """Starts something in a session of its own and does not wait for it; its process id is the output."""

    kind: str

    def run(self) -> None:
        if self.kind == "leaves a program":
            pid = subprocess.Popen(["sleep", "60"], start_new_session=True).pid
        else:
            pid = os.fork()
            if pid == 0:
                os.setsid()
                time.sleep(60)
                os._exit(0)
        Flag(self.path).touch(str(pid))


class Tells(Writes):
    """Writes its fence, and the key that the hooks were told."""

    def run(self) -> None:
        Flag(self.path).touch(repr(TOLD[-1]))


class Forgets(Writes):
    """Says that it makes a file, and does not."""

    def run(self) -> None:
        pass


class Grows(Writes):
    """Yields requirements, twice, and writes what it was answered."""

    def run(self) -> Iterator[Any]:
        first = yield [Writes(path=self.path + ".a"), Writes(path=self.path + ".b")]
        second = yield {"c": Writes(path=self.path + ".c")}
        Flag(self.path).touch(f"{[t.path[-1] for t in first]} {second['c'].path[-1]} {os.getpid()}")


class GrowsAsync(Writes):
    """The same as an async generator."""

    async def run(self) -> Any:  # type: ignore[override]
        await asyncio.sleep(0)
        answer = yield Writes(path=self.path + ".a")
        await asyncio.sleep(0)
        Flag(self.path).touch(answer.path[-1])


class Async(Writes):
    """A coroutine."""

    async def run(self) -> None:
        await asyncio.sleep(0.001)
        Flag(self.path).touch()


class YieldsNonsense(Noop):
    """Yields what is no task."""

    def run(self) -> Iterator[Any]:
        yield 3


class Unfaithful(Noop):
    """Its text does not read back as what it was."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


# -- the kinds -----------------------------------------------------------------------------------


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot say")

    __repr__ = __str__


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__("has a lambda")
        self.why = lambda: threading.Lock()


def _recurse(depth: int = 0) -> int:
    return _recurse(depth + 1) + 1


def _chain() -> None:
    try:
        raise KeyError("first cause")
    except KeyError as error:
        raise ValueError("second") from error


def _fork_and_come_back() -> None:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)


def _fork_and_die() -> None:
    if os.fork() == 0:
        time.sleep(60)  # holds a copy of all descriptors
    os._exit(0)


def _close_all() -> None:
    os.closerange(3, 20000)


def _close_all_and_raise() -> None:
    _close_all()
    raise ValueError("nobody can be told")


def _close_some() -> None:
    os.closerange(0, 64)


def _take_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def _daemon_thread() -> None:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def _locking_thread() -> None:
    threading.Thread(target=time.sleep, args=(60,)).start()


def _setsid() -> None:
    os.setsid()  # refused: each child of the pool leads a session already


def _much_stderr() -> None:
    for _ in range(160):
        os.write(2, b"x" * 65536)


def _stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def _swallow() -> None:
    for _ in range(3):
        try:
            time.sleep(60)
        except BaseException:
            pass


def _child_of_child() -> None:
    subprocess.run(["sleep", "60"], check=True)


def _child_of_child_told() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        os.write(1, f"{child.pid}\n".encode())  # in one piece, whatever buffers there are


def _raise(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error.with_traceback(None)

    return run


def _full_disk() -> None:
    raise OSError(28, "No space left on device")


def _unprintable_message() -> None:
    raise ValueError("a lone \udc80 and a \0")


def _segfault() -> None:
    _quiet()
    ctypes.string_at(0)


def _corrupt_stdout() -> None:
    sys.stdout.close()
    sys.stderr.close()


KINDS: dict[str, Callable[[], Any]] = {
    "returns a value": lambda: 42,
    "raises": _raise(ValueError("no such shop")),
    "a chain of causes": _chain,
    "sys.exit(0)": lambda: sys.exit(0),
    "sys.exit(3)": lambda: sys.exit(3),
    "sys.exit(text)": lambda: sys.exit("wrong day"),
    "os._exit(0)": lambda: os._exit(0),
    "os._exit(1)": lambda: os._exit(1),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "abort": lambda: (_quiet(), os.abort()),
    "segfault": _segfault,
    "deep recursion": _recurse,
    "unpicklable exception": _raise(Unpicklable()),
    "unspeakable exception": _raise(Unspeakable()),
    "unprintable message": _unprintable_message,
    "a message of 10 MB": lambda: _raise(ValueError("m" * 10_000_000))(),
    "KeyboardInterrupt": _raise(KeyboardInterrupt()),
    "GeneratorExit": _raise(GeneratorExit()),
    "closes all descriptors": _close_all,
    "closes all descriptors and raises": _close_all_and_raise,
    "closes low descriptors": _close_some,
    "closes stdout": _corrupt_stdout,
    "forks and comes back": _fork_and_come_back,
    "forks and dies": _fork_and_die,
    "replaces signal handlers": _take_signals,
    "a daemon thread": _daemon_thread,
    "a thread that stays": _locking_thread,
    "os.setsid": _setsid,
    "10 MB of stderr": _much_stderr,
    "store away": _raise(TargetUnreachable("s3://x", "timed out")),
    "disk full": _full_disk,
    "target write error": _raise(TargetWriteError("disk full")),
    "memory error": _raise(MemoryError()),
    "sleeps": lambda: time.sleep(60),
    "ignores SIGTERM": _stubborn,
    "swallows everything": _swallow,
    "waits for a program": _child_of_child,
    "waits for a program and tells": _child_of_child_told,
    "rolls dice": lambda: random.random(),
}


def _quiet() -> None:
    faulthandler.disable()  # of the test runner, which we were forked from
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


# -- tools ---------------------------------------------------------------------------------------


def missing(task: Any) -> list[str]:
    return [str(target) for target in flatten(task.output()) if not target.exists()]


TOLD: list[Any] = []
HOOKS = Hooks(lambda task: bool(task.complete()), missing, lambda job: TOLD.append((job.fence, job.key)))


def jobs(tasks: list[Any], first: int = 0, timeout: float | None = None) -> list[Job]:
    return [Job(first + at, task, 1, timeout, Fence(1, at + 1), key_of(task)) for at, task in enumerate(tasks)]


def collect(executor: Executor, count: int, seconds: float = 20.0) -> list[Ended | Yielded]:
    """``count`` results, or an error when they do not come in time."""
    found: list[Ended | Yielded] = []
    deadline = time.monotonic() + seconds
    while len(found) < count:
        if time.monotonic() > deadline:
            raise AssertionError(f"{len(found)} of {count} results after {seconds} s: {found}")
        found += executor.collect(0.2)
    return found


def run_all(executor: Executor, tasks: list[Any], timeout: float | None = None) -> dict[int, Ended]:
    """Results by index, all jobs started at once."""
    executor.start(jobs(tasks, timeout=timeout))
    return {item.index: item for item in collect(executor, len(tasks)) if isinstance(item, Ended)}


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(what: Callable[[], Any], seconds: float = 5.0) -> Any:
    """The first true answer, or the last one when time is over."""
    deadline = time.monotonic() + seconds
    while not (answer := what()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return answer


OK = ExitClass.OK

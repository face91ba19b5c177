"""Programs that end with the attempt that started them: children of the worker, for work that need not outlive it.

Laws: who leaves the block leaves no program behind; who waits can be interrupted; what a program says is read while it runs, so that
no full pipe stops it.
"""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from threading import Thread
from typing import IO, Any, Protocol

from levada._model.control import here

log = logging.getLogger("levada.jobs")

GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_GLANCE = 0.1  # seconds between two looks, where an attempt has to listen meanwhile
_REST = 5.0  # seconds that the last lines of a program that has ended are waited for: a child of its own may hold the pipe


class Process(Protocol):
    """What is needed of a program that runs, as `subprocess.Popen` has it."""

    returncode: int | None

    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


@contextmanager
def program(
    argv: Sequence[str],
    *,
    look: Callable[[str], None] | None = None,
    at: str = "stdout",
    env: Mapping[str, str] | None = None,
    stdout: Any = None,
    stderr: Any = None,
) -> Iterator[subprocess.Popen[Any]]:
    """A program that ends with the block.

    look: called, in a thread, with each line that it says at ("stdout" or "stderr"), which goes to that stream's file all the same. An
    error of it is logged, and it is called no more.
    env: all of its environment, None for that of the worker. stdout, stderr: as `subprocess.Popen` takes them.
    """
    streams = {"stdout": stdout, "stderr": stderr}
    copy = streams[at]
    if look is not None:
        streams[at] = subprocess.PIPE
    process = subprocess.Popen(list(argv), env=env, **streams)
    reading = nullcontext() if look is None else _read_by(getattr(process, at), look, copy)
    with reading, ending_with(process):
        yield process


@contextmanager
def ending_with(process: Process) -> Iterator[None]:
    """The program does not outlive the block: if that is left by an error, it is told to end, and killed some seconds later."""
    try:
        yield
    except BaseException:
        end(process)
        raise


def end(process: Process) -> None:
    """End a program and what it started: SIGTERM, and SIGKILL after `GRACE` seconds."""
    family = _descendants(process)
    for each in (process, *family):
        _quietly(each.terminate)
    until = time.monotonic() + GRACE
    while process.poll() is None and time.monotonic() < until:
        time.sleep(_GLANCE / 5)
    for each in (process, *family):
        _quietly(each.kill)


def _descendants(process: Process) -> list[Any]:
    pid = getattr(process, "pid", None)
    if not isinstance(pid, int):
        return []
    import psutil  # type: ignore[import-untyped, unused-ignore]  # its stubs come with the development group

    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def _quietly(act: Callable[[], None]) -> None:
    """What has ended meanwhile is left alone; psutil knows it by more than its number."""
    import psutil  # type: ignore[import-untyped, unused-ignore]  # as above

    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        act()


def wait_for(process: subprocess.Popen[Any]) -> int:
    """Its exit status, when it has ended. Where the attempt runs in a thread, what ends it is raised here."""
    control = here.get()
    if control is None:
        process.wait()
        return process.returncode
    control.listens = True
    while process.poll() is None:
        control.wait(_GLANCE)
    return process.returncode


def lines_of(process: Process, stream: IO[str]) -> Iterator[str]:
    """Each line that it says, as it comes; the end is that of the program."""
    while True:
        line = stream.readline()
        if line:
            yield line
        elif process.poll() is not None:
            return
        else:
            time.sleep(_GLANCE)


@contextmanager
def _read_by(stream: Iterable[bytes], look: Callable[[str], None], copy: Any) -> Iterator[None]:
    """A thread reads the stream to its end, whatever becomes of ``look``: a full pipe would stop the program."""
    write = getattr(copy, "write", None)

    def read() -> None:
        looks = True
        for line in stream:
            if write is not None:
                write(line)
            try:
                if looks:
                    look(line.decode("utf-8", "replace"))
            except Exception:
                log.exception("what a program says is looked through no more")
                looks = False

    reader = Thread(target=read, name="levada-program-lines", daemon=True)
    reader.start()
    try:
        yield
    finally:
        reader.join(_REST)
        close = getattr(stream, "close", None)
        if close is not None and not reader.is_alive():
            close()

"""What an attempt prints and logs: taken down where it runs, beside going where it always goes.

``sys.stdout`` and ``sys.stderr`` are teed, and the root logger has one handler more, as long as attempts run under leases; what
programs that a task starts print is not seen here. Secrets of the task are masked. A pool's child writes records into a pipe that all
children share (each is whole: it is shorter than what a pipe takes at once); when the pipe is full, the text is left out.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import sys
from _thread import get_ident
from collections.abc import Callable
from typing import IO, Any

from .._model.messages import Fence
from ..task import secret_values
from .executor import Hooks, Job
from .guard import Guard
from .leases import Leases

Sink = Callable[[bytes, Fence, str], None]
"""(key, fence, text)"""

_HEAD = struct.Struct("=16sqqH")  # key, epoch, number, bytes of the text
RECORD = 4096  # bytes that a pipe takes whole
TEXT = (RECORD - _HEAD.size) // 4  # characters: four bytes each at most
HELD = 2000  # characters of an unfinished line that are kept together, so that a secret in it is found
PIPE = 1 << 20  # bytes
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Said:
    """What one attempt said and was not passed on yet."""

    __slots__ = ("fence", "heard", "key", "rest", "secrets")

    def __init__(self, job: Job) -> None:
        self.key, self.fence, self.rest = job.key, job.fence, ""
        self.heard = False  # whether something was printed since the handlers were called for a log record
        self.secrets = sorted(filter(None, secret_values(job.task)), key=len, reverse=True)


class Recorder:
    """Takes down what is said between ``begin`` and ``end`` in a thread; gives it to a sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._now: dict[int, _Said] = {}
        self._first: _Handler | None = None
        self._handler: _Handler | None = None
        self._teed: list[tuple[str, Tee]] = []

    def hooks(self, hooks: Hooks) -> Hooks:
        """The same hooks, with our ears."""
        begin, end = hooks.begin, hooks.end

        def begin_recorded(job: Job) -> None:
            if begin is not None:
                begin(job)
            self.begin(job)

        def end_recorded(job: Job) -> None:
            self.end()
            if end is not None:
                end(job)

        return hooks._replace(begin=begin_recorded, end=end_recorded)

    def begin(self, job: Job) -> None:
        """From now on this thread speaks for an attempt."""
        if self._handler is None or not isinstance(sys.stdout, Tee) or not isinstance(sys.stderr, Tee):
            self._listen()
        self._now[get_ident()] = _Said(job)

    def end(self) -> None:
        """It does so no more."""
        said = self._now.pop(get_ident(), None)
        if said is not None and said.rest:
            self._pass_on(said, said.rest)

    def _who(self) -> _Said | None:
        said = self._now.get(get_ident())
        if said is None and len(self._now) == 1:
            return next(iter(self._now.values()), None)  # a thread of the only attempt
        return said

    def note(self, line: str | None) -> None:
        """Something is logged (None: other handlers come now); what another handler printed is not said again."""
        said = self._who()
        if said is None:
            return
        if line is None:
            said.heard = False
        elif not said.heard:
            self.hear(line)

    def hear(self, text: str) -> None:
        """Something was printed."""
        said = self._who()
        if said is None:
            return
        said.heard = True
        text = said.rest + text
        whole = text.rfind("\n") + 1
        if len(text) - whole > HELD:
            whole = len(text) - max((len(secret) for secret in said.secrets), default=1) + 1
        said.rest = text[whole:]
        if whole:
            self._pass_on(said, text[:whole])

    def _pass_on(self, said: _Said, text: str) -> None:
        for secret in said.secrets:
            text = text.replace(secret, "***")
        self._sink(said.key, said.fence, text)

    def _listen(self) -> None:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and not isinstance(stream, Tee):
                tee = Tee(stream, self.hear)
                self._teed.append((name, tee))
                setattr(sys, name, tee)
        if self._handler is None:
            root = logging.getLogger()
            self._first, self._handler = _Handler(self.note, first=True), _Handler(self.note)
            root.addHandler(self._handler)
            root.handlers.insert(0, self._first)

    def close(self) -> None:
        """Listen no more."""
        for name, tee in self._teed:
            if getattr(sys, name) is tee:
                setattr(sys, name, tee.inner)
        self._teed.clear()
        for handler in (self._first, self._handler):
            if handler is not None:
                logging.getLogger().removeHandler(handler)
        self._first = self._handler = None


class Tee:
    """A stream that writes to another, and says what was written."""

    def __init__(self, inner: IO[str], hear: Callable[[str], None]) -> None:
        self.inner, self._hear = inner, hear

    def write(self, text: str) -> int:
        """As the inner stream does."""
        written = self.inner.write(text)
        if text:
            self._hear(text)
        return written

    def writelines(self, lines: Any) -> None:
        """As the inner stream does."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __iter__(self) -> Any:
        return iter(self.inner)


class _Handler(logging.Handler):
    """Passes log records on as lines. first: it stands before all others, and only says that they come."""

    def __init__(self, note: Callable[[str | None], None], *, first: bool = False) -> None:
        super().__init__()
        self._note, self._is_first = note, first
        self.setFormatter(logging.Formatter(FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        """Take it down."""
        try:
            self._note(None if self._is_first else self.format(record) + "\n")
        except Exception:
            self.handleError(record)


class Pipe:
    """From the children of a pool to the worker."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        for fd in (self.read_end, self.write_end):
            os.set_blocking(fd, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            try:
                fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, PIPE)
            except OSError:
                pass  # the user has too many pages in pipes
        self._rest = b""

    @property
    def path(self) -> str:
        """Where a process that was not forked opens it (Linux)."""
        return f"/proc/{os.getpid()}/fd/{self.write_end}"

    def drain(self, sink: Sink) -> None:
        """Pass on what has come, for at most a megabyte."""
        for _ in range(16):
            try:
                data = os.read(self.read_end, 1 << 16)
            except BlockingIOError:
                return
            data = self._rest + data
            at = 0
            while len(data) - at >= _HEAD.size:
                key, epoch, number, length = _HEAD.unpack_from(data, at)
                if len(data) - at - _HEAD.size < length:
                    break
                at += _HEAD.size
                sink(key, Fence(epoch, number), data[at : at + length].decode("utf-8", "replace"))
                at += length
            self._rest = data[at:]

    def close(self) -> None:
        """Give it back."""
        os.close(self.read_end)
        os.close(self.write_end)


def into(fd: int) -> Sink:
    """A sink that writes records into the pipe."""

    def sink(key: bytes, fence: Fence, text: str) -> None:
        for start in range(0, len(text), TEXT):
            data = text[start : start + TEXT].encode("utf-8", "replace")
            try:
                os.write(fd, _HEAD.pack(key, fence[0], fence[1], len(data)) + data)
            except OSError:  # full, or the worker is gone: nothing of ours may hold up the attempt
                return

    return sink


def spawning(leases: Leases, pipe: Pipe) -> str:
    """The name by which a spawned child finds hooks that guard and record."""
    return f"{__name__}:{leases.path} {pipe.path}"


def __getattr__(name: str) -> Hooks:
    """Hooks over the table and the pipe at two paths: what a spawned child asks for (see ``spawning``)."""
    leases, space, pipe = name.partition(" ")
    if space and leases.startswith("/"):
        fd = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return Recorder(into(fd)).hooks(Guard(Leases(path=leases)).hooks())
    raise AttributeError(f"module {__name__} has no {name}")

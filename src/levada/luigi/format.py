"""Luigi's ``luigi.format``: names of the house's formats, and the streams that old formats are made of.

``Text`` is UTF-8 wherever a program runs, and Gzip and Bzip2 are the standard library's, not programs of the machine.
"""

from __future__ import annotations

import locale
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from ..errors import TargetError
from ..targets.formats import UTF8 as UTF8
from ..targets.formats import Bzip2 as Bzip2
from ..targets.formats import Bzip2Format as Bzip2Format
from ..targets.formats import ChainFormat as ChainFormat
from ..targets.formats import Format as Format
from ..targets.formats import Gzip as Gzip
from ..targets.formats import GzipFormat as GzipFormat
from ..targets.formats import Nop as Nop
from ..targets.formats import Text as Text
from ..targets.formats import TextFormat as TextFormat
from ..targets.writing import TextWriter as TextWrapper  # noqa: F401 - Luigi's name

NopFormat = Format


def get_default_format() -> Format:
    """What a target has that was given no format: text."""
    return Text


# -- streams around streams --------------------------------------------------------------------


class FileWrapper:
    """A stream that attributes can be set on; the rest is that of the stream inside."""

    def __init__(self, file_object: Any) -> None:
        self._subpipe = file_object

    def __getattr__(self, name: str) -> Any:
        if name == "_subpipe":
            raise AttributeError(name)
        return getattr(self._subpipe, name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._subpipe.__exit__(*error)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._subpipe)


class BaseWrapper:
    """A base for wrappers: all that a subclass does not define is that of the stream inside."""

    def __init__(self, stream: Any, *args: Any, **kwargs: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        if name == "_stream":
            raise AttributeError(name)
        return getattr(self._stream, name)

    def __enter__(self) -> Any:
        self._stream.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._stream.__exit__(*error)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._stream
        finally:
            self.close()


class NewlineWrapper(BaseWrapper):
    """Bytes whose line ends are translated: read as ``\\n``, written as ``newline`` (None: as the system has it; "": not at all)."""

    def __init__(self, stream: Any, newline: str | None = None) -> None:
        if newline not in (None, "", "\n", "\r", "\r\n"):
            raise ValueError(f"newline is {newline!r}; expected None, '', '\\n', '\\r' or '\\r\\n'")
        self.newline = None if newline is None else newline.encode("ascii")
        super().__init__(stream)

    def read(self, n: int = -1) -> bytes:
        """So many bytes of the stream, translated."""
        return self._translated(self._stream.read(n), b"\n")

    def write(self, b: bytes) -> None:
        """Write bytes, translated."""
        self._stream.write(self._translated(b, os.linesep.encode("ascii")))

    def writelines(self, lines: Iterable[bytes]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def _translated(self, content: bytes, otherwise: bytes) -> bytes:
        if self.newline == b"":
            return content
        return re.sub(b"\r\n|\r|\n", (lambda _: otherwise) if self.newline is None else (lambda _: self.newline or b""), content)


class MixedUnicodeBytesWrapper(BaseWrapper):
    """Takes text and bytes; what is text is encoded."""

    def __init__(self, stream: Any, encoding: str | None = None) -> None:
        self.encoding = encoding or locale.getpreferredencoding()
        super().__init__(stream)

    def write(self, b: str | bytes) -> None:
        """Write text or bytes."""
        self._stream.write(b.encode(self.encoding) if isinstance(b, str) else b)

    def writelines(self, lines: Iterable[str | bytes]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)


class WrappedFormat(Format):
    """A format whose streams are one class, ``wrapper_cls``, around the stream of bytes."""

    wrapper_cls: ClassVar[Any] = BaseWrapper

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def pipe_reader(self, input_pipe: Any) -> Any:
        """The class around what is read."""
        return self.wrapper_cls(input_pipe, *self.args, **self.kwargs)

    def pipe_writer(self, output_pipe: Any) -> Any:
        """The class around what is written."""
        return self.wrapper_cls(output_pipe, *self.args, **self.kwargs)


class MixedUnicodeBytesFormat(WrappedFormat):
    """Text and bytes in one file."""

    wrapper_cls = MixedUnicodeBytesWrapper


class NewlineFormat(WrappedFormat):
    """Bytes with line ends of one kind."""

    wrapper_cls = NewlineWrapper


SysNewLine = NewlineFormat()
MixedUnicodeBytes = MixedUnicodeBytesFormat()


# -- streams through programs ------------------------------------------------------------------

_ENDS_WELL = (0, 128 + signal.SIGPIPE, -signal.SIGPIPE)
"""A program that still writes when nobody reads any more ends by SIGPIPE; that is no failure."""


class InputPipeProcessWrapper:
    """What a program writes, as a stream. command: its arguments, or a Popen with a pipe as stdout. input_pipe: what it reads.

    Closing it waits for the program. Raises TargetError (a RuntimeError) when that failed.
    """

    def __init__(self, command: Any, input_pipe: Any = None) -> None:
        self._command = command
        self._input_pipe = None if input_pipe is None else _with_number(input_pipe)
        self._process: Any = command if isinstance(command, subprocess.Popen) else self.create_subprocess(command)

    def create_subprocess(self, command: Any) -> Any:
        """The program, started."""
        return subprocess.Popen(command, stdin=self._input_pipe, stdout=subprocess.PIPE, restore_signals=True)

    def close(self) -> None:
        """Wait for the program. Raises PipeFailed when it failed."""
        if self._process.stdout.closed and self._process.returncode is not None:
            return
        self._process.stdout.close()
        if self._input_pipe is not None:
            self._input_pipe.close()
        if self._process.wait() not in _ENDS_WELL:
            raise PipeFailed(self._command, self._process.returncode)

    def _abort(self) -> None:
        try:
            self.close()
        except Exception:  # noqa: S110 - what the block raised is told
            pass

    def __del__(self) -> None:
        if "_process" in self.__dict__:
            self._abort()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        self.close() if kind is None else self._abort()

    def __getattr__(self, name: str) -> Any:
        if name in ("_process", "_input_pipe"):
            raise AttributeError(name)
        return getattr(self._process.stdout, name)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._process.stdout
        self.close()

    def read(self, *size: int) -> bytes:
        """So many bytes, or all; the reference to this object keeps the program's stream open meanwhile."""
        content: bytes = self._process.stdout.read(*size)
        return content

    def readable(self) -> bool:
        """True."""
        return True

    def writable(self) -> bool:
        """False."""
        return False

    def seekable(self) -> bool:
        """False."""
        return False


class OutputPipeProcessWrapper:
    """A stream that a program reads. command: its arguments. output_pipe: what it writes to; closed when the program ended well."""

    def __init__(self, command: Any, output_pipe: Any = None) -> None:
        self.closed = False
        self._command, self._output_pipe = command, output_pipe
        self._spooled = None if output_pipe is None or _has_number(output_pipe) else tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self._spooled or output_pipe)

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    def write(self, *content: Any) -> None:
        """Hand bytes to the program."""
        self._stdin.write(*content)

    def writeLine(self, line: str) -> None:
        """Hand it a line."""
        if "\n" in line:
            raise ValueError(f"a line may hold no line end; got {line!r:.100}")
        self.write((line + "\n").encode())

    def close(self) -> None:
        """Wait for the program, then close what it writes to. Raises PipeFailed when it failed, and gives the output up."""
        if self.closed:
            return
        self._finish()
        if self._process.returncode:
            self._give_up()
            raise PipeFailed(self._command, self._process.returncode)
        if self._spooled is not None:
            with self._spooled:
                self._spooled.seek(0)
                shutil.copyfileobj(self._spooled, self._output_pipe)
        if self._output_pipe is not None:
            self._output_pipe.close()

    def abort(self) -> None:
        """End the program and give its output up."""
        if not self.closed:
            self._finish()
            self._give_up()

    def _give_up(self) -> None:
        if self._spooled is not None:
            self._spooled.close()
        if hasattr(self._output_pipe, "abort"):
            self._output_pipe.abort()

    def _finish(self) -> None:
        self.closed = True
        try:
            self._stdin.close()
        except BrokenPipeError:  # the program has ended; its code tells how
            pass
        self._process.wait()

    def __del__(self) -> None:
        if not self.__dict__.get("closed", True) and "_process" in self.__dict__:
            self.abort()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        self.close() if kind is None else self.abort()

    def __getattr__(self, name: str) -> Any:
        if name in ("_process", "_output_pipe"):
            raise AttributeError(name)
        return getattr(self._process.stdin, name)

    def readable(self) -> bool:
        """False."""
        return False

    def writable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """False."""
        return False


class PipeFailed(TargetError, RuntimeError):
    """A program that a stream goes through failed."""

    code = "pipe-failed"

    def __init__(self, command: Any, status: Any) -> None:
        super().__init__(f"{command}: ended with exit status {status}", hint="What it wrote to stderr is in the log.")


def _has_number(stream: Any) -> bool:
    """Whether the stream is a file that the system knows by number, as programs need it."""
    try:
        stream.fileno()
    except (AttributeError, OSError):
        return False
    return True


def _with_number(stream: Any) -> Any:
    """The stream, or a file with what it holds."""
    if _has_number(stream):
        return stream
    spooled = tempfile.TemporaryFile()  # noqa: SIM115 - who reads it closes it
    shutil.copyfileobj(stream, spooled)
    stream.close()
    spooled.seek(0)
    return spooled

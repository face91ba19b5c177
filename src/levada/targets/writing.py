"""Streams of targets: writers that take their place only when they end well, readers through codecs.

Writers are the interpreter's own text and buffer classes, so `csv`, `json`, `pickle` and others write
at their full speed. `close()` commits; leaving a ``with`` block by an exception, `abort()` or
being forgotten unclosed leaves nothing.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, cast

from .formats import Format, Text

if TYPE_CHECKING:
    from levada._model.ports import Pending


class TextWriter(io.TextIOWrapper):
    """Text on its way to a target. ``newline`` as in `TextFormat`."""

    def __init__(self, layers: list[IO[bytes]], pending: Pending, form: Format) -> None:
        self._over = True  # nothing to abort while the constructor may still fail
        super().__init__(layers[0], encoding=form.encoding or "utf-8", newline=form.newline or "")
        self._layers, self._pending, self._over = layers, pending, False

    def close(self) -> None:
        """Flush, commit and close. Raises TargetExists or TargetWriteError; harmless to repeat."""
        if not self._over:
            self._over = True
            _finish(self.flush, self._layers[:-1], self._pending)
        super().close()

    def abort(self) -> None:
        """Forget what was written; nothing stays behind. Harmless to repeat."""
        if not self._over:
            self._over = True
            _forget(super().close, self._layers[:-1], self._pending)

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        self.close() if kind is None else self.abort()

    def __del__(self) -> None:
        if not getattr(self, "_over", True):
            _warn_unclosed(self)
            self.abort()


class BytesWriter(io.BufferedWriter):
    """Bytes on their way to a target."""

    def __init__(self, layers: list[IO[bytes]], pending: Pending) -> None:
        self._over = True
        super().__init__(cast("io.RawIOBase", layers[0]))
        self._layers, self._pending, self._over = layers, pending, False

    def fileno(self) -> int:
        """The file's own; through codecs there is none, for what is written to it would pass them by."""
        if len(self._layers) > 1:
            raise io.UnsupportedOperation("fileno")
        return super().fileno()

    def close(self) -> None:
        """Flush, commit and close. Raises TargetExists or TargetWriteError; harmless to repeat."""
        if not self._over:
            self._over = True
            _finish(self.flush, self._layers[:-1], self._pending)
        super().close()

    def abort(self) -> None:
        """Forget what was written; nothing stays behind. Harmless to repeat."""
        if not self._over:
            self._over = True
            _forget(super().close, self._layers[:-1], self._pending)

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        self.close() if kind is None else self.abort()

    def __del__(self) -> None:
        if not getattr(self, "_over", True):
            _warn_unclosed(self)
            self.abort()


class _Chain(io.BufferedReader):
    """A reader through codecs that closes the stored stream with it."""

    def __init__(self, layers: list[IO[bytes]]) -> None:
        super().__init__(cast("io.RawIOBase", layers[-1]))
        self._layers = layers

    def fileno(self) -> int:
        """None: the file's own would give the bytes as they are stored."""
        raise io.UnsupportedOperation("fileno")

    def close(self) -> None:
        super().close()
        for layer in reversed(self._layers):
            layer.close()


def writer(pending: Pending, form: Format | None, *, text: bool) -> TextWriter | BytesWriter:
    """A stream whose end commits ``pending``; aborts it when a codec cannot be had."""
    form = form or Text
    layers = [pending.stream]
    try:
        for codec in reversed(form.codecs):
            layers.insert(0, codec.writer(layers[0]))
        return TextWriter(layers, pending, form) if text else BytesWriter(layers, pending)
    except BaseException:
        pending.abort()
        raise


def reader(stream: IO[bytes], form: Format | None, *, text: bool) -> IO[Any]:
    """The content of a stored stream: decompressed, and decoded if ``text``."""
    form = form or Text
    if form.codecs:
        layers = [stream]
        try:
            for codec in reversed(form.codecs):
                layers.append(codec.reader(layers[-1]))
        except BaseException:
            stream.close()
            raise
        stream = cast("IO[bytes]", _Chain(layers))
    return io.TextIOWrapper(stream, encoding=form.encoding or "utf-8", newline=form.newline) if text else stream


class Onward:
    """A stream of others as the end of a write: it is closed with it, and told when the write is given up."""

    def __init__(self, stream: Any) -> None:
        self.stream: IO[bytes] = stream

    def __repr__(self) -> str:
        return repr(self.stream)

    def commit(self) -> None:
        """Close it."""
        self.stream.close()

    def abort(self) -> None:
        """Tell it: by ``abort()`` if it has one, else as a ``with`` block that an exception leaves."""
        give_up = getattr(self.stream, "abort", None)
        if give_up is not None:
            give_up()
        else:
            self.stream.__exit__(RuntimeError, RuntimeError("the write was given up"), None)


def _finish(flush: Callable[[], None], codecs: list[IO[bytes]], pending: Pending) -> None:
    try:
        flush()
        for layer in codecs:
            layer.close()
    except BaseException:
        pending.abort()
        raise
    pending.commit()


def _forget(close: Callable[[], None], codecs: list[IO[bytes]], pending: Pending) -> None:
    pending.abort()  # first: what the closing layers still flush must go nowhere
    for end in [close, *(layer.close for layer in codecs)]:
        with suppress(OSError, ValueError):
            end()


def _warn_unclosed(stream: Any) -> None:
    import warnings

    with suppress(Exception):  # the interpreter may be going down
        warnings.warn(f"{stream._pending}: the writer was never closed, so nothing was written", ResourceWarning, stacklevel=2)

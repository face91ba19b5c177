"""Formats: how the bytes of a target are laid out. ``Text >> Gzip`` is text, encoded, then compressed.

The standard library's codecs are imported when a file is opened, not before. The same content
gives the same bytes: gzip files carry neither time nor name. A format of one's own is a subclass of
`Format` with a ``pipe_reader`` and a ``pipe_writer``, which wrap a stream of bytes in another stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any, cast

from levada._model.values import NamedTuple
from levada.errors import TargetError


class Codec(NamedTuple):
    """One layer of compression: two functions that wrap a stream of bytes."""

    name: str
    reader: Callable[[IO[bytes]], IO[bytes]]
    writer: Callable[[IO[bytes]], IO[bytes]]


class Format:
    """A layout: an encoding (None: bytes) and the codecs from the inside out. Never changes."""

    table: str | None = None
    """The compression of a layout of tables; None: it is one of text or bytes."""

    piped: bool = False
    """Whether the class has a ``pipe_reader`` or ``pipe_writer`` of its own; then the stream is what they make of it."""

    encoding: str | None = None
    newline: str | None = None
    codecs: tuple[Codec, ...] = ()

    def __init_subclass__(cls) -> None:
        cls.piped = cls.pipe_reader is not Format.pipe_reader or cls.pipe_writer is not Format.pipe_writer

    def __init__(self, encoding: str | None = None, newline: str | None = None, codecs: tuple[Codec, ...] = ()) -> None:
        self.encoding, self.newline, self.codecs = encoding, newline, codecs

    def __rshift__(self, outer: Format) -> Format:
        """What ``self`` writes is handed on to ``outer``: ``Text >> Gzip``."""
        if self.table or outer.table:
            raise TargetError(
                f"{self!r} >> {outer!r}: a Parquet file is compressed inside", hint='Write `ParquetFormat(compression="zstd")`.'
            )
        if outer.encoding is not None:
            raise TargetError(f"{self!r} >> {outer!r}: text must come first", hint="Write it the other way round, e.g. `Text >> Gzip`.")
        if self.piped or outer.piped:
            return ChainFormat(self, outer)
        return Format(self.encoding, self.newline, self.codecs + outer.codecs)

    def pipe_reader(self, input_pipe: Any) -> Any:
        """The content of a stream of stored bytes: decompressed, and decoded if it is text."""
        from .writing import reader

        return reader(input_pipe, self, text=self.encoding is not None)

    def pipe_writer(self, output_pipe: Any) -> Any:
        """A stream that lays out what is written to it, and writes that to a stream of bytes, which it closes at its end."""
        from .writing import Onward, writer

        return writer(Onward(output_pipe), self, text=self.encoding is not None)

    def __repr__(self) -> str:
        if self.piped:
            return type(self).__name__
        names = ([f"Text({self.encoding})"] if self.encoding else []) + [codec.name for codec in self.codecs]
        return " >> ".join(names) or "Nop"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Format) and repr(self) == repr(other) and self.newline == other.newline

    def __hash__(self) -> int:
        return hash(repr(self))


class ChainFormat(Format):
    """Formats one after the other, the innermost first, of which one has streams of its own."""

    def __init__(self, *args: Format) -> None:
        self.args = args

    def __repr__(self) -> str:
        return " >> ".join(map(repr, self.args))

    def pipe_reader(self, input_pipe: Any) -> Any:
        """The outermost reads the stored bytes, each next one what that gives."""
        for form in reversed(self.args):
            input_pipe = form.pipe_reader(input_pipe)
        return input_pipe

    def pipe_writer(self, output_pipe: Any) -> Any:
        """The outermost writes the bytes, each next one to it."""
        for form in reversed(self.args):
            output_pipe = form.pipe_writer(output_pipe)
        return output_pipe


class TextFormat(Format):
    """Text in an encoding.

    newline: as `open()` has it for reading (None: any line end is read as ``\\n``), and translated in
    writing only when it is ``\\r`` or ``\\r\\n``, so that a file is the same on every platform.
    """

    def __init__(self, encoding: str = "utf-8", newline: str | None = None) -> None:
        super().__init__(encoding, newline)


class GzipFormat(Format):
    """gzip; level 1 (fast) to 9 (small)."""

    def __init__(self, compression_level: int = 6) -> None:
        def write(stream: IO[bytes]) -> IO[bytes]:
            import gzip

            return cast("IO[bytes]", gzip.GzipFile(filename="", mode="wb", compresslevel=compression_level, fileobj=stream, mtime=0))

        super().__init__(codecs=(Codec("Gzip", _read_gzip, write),))


class Bzip2Format(Format):
    """bzip2; level 1 to 9."""

    def __init__(self, compression_level: int = 9) -> None:
        def write(stream: IO[bytes]) -> IO[bytes]:
            import bz2

            return cast("IO[bytes]", bz2.BZ2File(stream, "wb", compresslevel=compression_level))

        super().__init__(codecs=(Codec("Bzip2", _read_bzip2, write),))


class XzFormat(Format):
    """xz (LZMA); preset 0 to 9."""

    def __init__(self, preset: int = 6) -> None:
        def write(stream: IO[bytes]) -> IO[bytes]:
            import lzma

            return cast("IO[bytes]", lzma.LZMAFile(stream, "wb", preset=preset))

        super().__init__(codecs=(Codec("Xz", _read_xz, write),))


class ZstdFormat(Format):
    """Zstandard; level 1 to 22. Needs Python 3.14 or the extra ``levada[zstd]``."""

    def __init__(self, compression_level: int = 3) -> None:
        def write(stream: IO[bytes]) -> IO[bytes]:
            return cast("IO[bytes]", _zstd().ZstdFile(stream, "wb", level=compression_level))

        super().__init__(codecs=(Codec("Zstd", _read_zstd, write),))


class ParquetFormat(Format):
    """A table as a Parquet file: ``open`` reads and writes what pyarrow calls a Table. Needs the extra ``levada[parquet]``.

    compression: "snappy", "zstd", "gzip", "brotli", "lz4" or "none".
    """

    def __init__(self, compression: str = "snappy") -> None:
        super().__init__()
        if compression not in (known := ("snappy", "zstd", "gzip", "brotli", "lz4", "none")):
            raise ValueError(f"compression must be one of {', '.join(known)}; got {compression!r}")
        self.table = compression

    def __repr__(self) -> str:
        return f"Parquet({self.table})"


def _read_gzip(stream: IO[bytes]) -> IO[bytes]:
    import gzip

    return cast("IO[bytes]", gzip.GzipFile(fileobj=stream, mode="rb"))


def _read_bzip2(stream: IO[bytes]) -> IO[bytes]:
    import bz2

    return cast("IO[bytes]", bz2.BZ2File(stream, "rb"))


def _read_xz(stream: IO[bytes]) -> IO[bytes]:
    import lzma

    return cast("IO[bytes]", lzma.LZMAFile(stream, "rb"))


def _read_zstd(stream: IO[bytes]) -> IO[bytes]:
    return cast("IO[bytes]", _zstd().ZstdFile(stream, "rb"))


def _zstd() -> Any:
    """The zstd module: the standard library's from Python 3.14 on, else the backport of it."""
    from importlib import import_module

    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    raise TargetError("zstd is not available in this Python", hint="Install it with `pip install 'levada[zstd]'`, or use Python 3.14.")


Text = TextFormat()
UTF8 = TextFormat("utf-8")
Nop = Format()
Bytes = Nop
Gzip = GzipFormat()
Bzip2 = Bzip2Format()
Xz = XzFormat()
Zstd = ZstdFormat()
Parquet = ParquetFormat()

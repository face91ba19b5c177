"""What all targets that hold one file have in common: `open` and its short forms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, Literal, cast, overload

from levada.errors import TargetError

if TYPE_CHECKING:
    from types import ModuleType

    import pyarrow as pa  # type: ignore[import-untyped]  # it has no types

    from levada._model.ports import Pending

    from .formats import Format

_MODES: dict[str, tuple[bool, bool | None]] = {  # mode -> (writing?, text? None: as the format says)
    "r": (False, None),
    "rt": (False, True),
    "rb": (False, False),
    "w": (True, None),
    "wt": (True, True),
    "wb": (True, False),
}


_writing: ModuleType | None = None


def _streams() -> Any:
    """The module ``writing``, loaded when a target is first opened: to say ``from`` each time costs as much as a call of the system."""
    global _writing
    if _writing is None:
        from . import writing

        _writing = writing
    return _writing


def format_of(given: Any) -> Format:
    """What was given as format, if it is one. Raises TargetError, which names those that there are."""
    from . import formats

    if isinstance(given, formats.Format):
        return given
    known = {name: one for name, one in vars(formats).items() if isinstance(one, formats.Format)}
    near = next((name for name in known if isinstance(given, str) and name.lower() == given.lower()), "Gzip")
    raise TargetError(
        f"format is {given!r:.100}; expected one of levada.targets.formats: {', '.join(known)}",
        hint=f"Write `from levada.targets.formats import {near}` and format={near}.",
    )


class FileLike:
    """A target that is one file somewhere. A subclass says where: `exists`, `_source`, `_begin`."""

    __slots__ = ()

    format: Format | None

    def _source(self) -> IO[bytes]:
        """The stored bytes. Raises FileNotFoundError."""
        raise NotImplementedError

    def _begin(self) -> Pending:
        """A write that is not visible yet."""
        raise NotImplementedError

    @overload
    def open(self, mode: Literal["rb", "wb"]) -> IO[bytes]: ...

    @overload
    def open(self, mode: Literal["rt", "wt"]) -> IO[str]: ...

    @overload
    def open(self, mode: str = "r") -> IO[Any]: ...

    def open(self, mode: str = "r") -> IO[Any]:
        """A stream: "r" or "w" as the format says (text unless told otherwise; tables for `Parquet`), "b" bytes, "t" text.

        What is written takes its place, whole, when the stream is closed; if the ``with`` block raises,
        nothing is left. Raises TargetExists (write-once), TargetWriteError, FileNotFoundError.
        """
        return self._opened(mode)

    def _opened(self, mode: str) -> IO[Any]:
        """``open`` as the short forms need it, whatever a subclass understands by a mode."""
        try:
            writing, text = _MODES[mode]
        except KeyError:
            known = ", ".join(_MODES)
            raise ValueError(f"mode must be one of {known}; got {mode!r} (a target is written whole, never appended to)") from None
        streams = _streams()
        form = self.format
        if form is not None and form.table and text is not False:
            if text:
                raise self._no_text()
            return self._open_table(form.table, writing)
        if form is not None and form.piped:  # text or bytes, as its streams have it
            return cast(
                "IO[Any]",
                form.pipe_writer(streams.writer(self._begin(), None, text=False)) if writing else form.pipe_reader(self._source()),
            )
        if text is None:
            text = form is None or form.encoding is not None
        stream: IO[Any]
        stream = streams.writer(self._begin(), form, text=text) if writing else streams.reader(self._source(), form, text=text)
        return stream

    def _open_table(self, compression: str, writing: bool) -> IO[Any]:
        from .parquet import TableReader, TableWriter, must_be_there

        must_be_there()
        if writing:
            return cast("IO[Any]", TableWriter(self._begin(), compression))
        return cast("IO[Any]", TableReader(self._source(), str(self)))

    def read_bytes(self) -> bytes:
        """All of it, decompressed."""
        with self._opened("rb") as stream:
            content: bytes = stream.read()
            return content

    def write_bytes(self, content: bytes) -> None:
        """Make it exist with this content."""
        with self._opened("wb") as stream:
            stream.write(content)

    def read_text(self) -> str:
        """All of it as text; line ends as they are stored: what `write_text` wrote comes back."""
        encoding = self._encoding()
        return self.read_bytes().decode(encoding)

    def write_text(self, content: str) -> None:
        """Make it exist with this text."""
        self.write_bytes(content.encode(self._encoding()))

    def read_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All of a table; columns: only these. The format must be `Parquet`, else TargetError."""
        with self._tables("r") as rows:
            return rows.read(columns)

    def write_table(self, rows: pa.Table | Iterable[pa.RecordBatch]) -> None:
        """Make it exist with this table, or with all batches of an iterable. The format must be `Parquet`, else TargetError."""
        with self._tables("w") as out:
            out.write(rows)

    def _tables(self, mode: str) -> Any:
        if self.format is None or not self.format.table:
            raise TargetError(f"{self}: its format is one of text or bytes, not of tables", hint="Give it format=formats.Parquet.")
        return self._opened(mode)

    def lines(self) -> Iterator[str]:
        """Its lines, one after the other, without their ends."""
        with self._opened("rt") as stream:
            for line in stream:
                yield line.removesuffix("\n")

    def _encoding(self) -> str:
        form = self.format
        if form is not None and form.table:
            raise self._no_text()
        return (form.encoding if form else None) or "utf-8"

    def _no_text(self) -> TargetError:
        return TargetError(
            f"{self}: its format is Parquet, which holds a table and no text",
            hint="Use write_table(pyarrow.table({...})) and read_table(); for text give it another format, as formats.Text.",
        )

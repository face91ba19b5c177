"""What all targets that hold one file have in common: `open` and its short forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
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
        """A stream: "r" or "w" as the format says (text unless told otherwise), "b" bytes, "t" text.

        What is written takes its place, whole, when the stream is closed; if the ``with`` block raises,
        nothing is left. Raises TargetExists (write-once), TargetWriteError, FileNotFoundError.
        """
        try:
            writing, text = _MODES[mode]
        except KeyError:
            known = ", ".join(_MODES)
            raise ValueError(f"mode must be one of {known}; got {mode!r} (a target is written whole, never appended to)") from None
        from .writing import reader, writer

        form = self.format
        if text is None:
            text = form is None or form.encoding is not None
        return writer(self._begin(), form, text=text) if writing else reader(self._source(), form, text=text)

    def read_bytes(self) -> bytes:
        """All of it, decompressed."""
        with self.open("rb") as stream:
            return stream.read()

    def write_bytes(self, content: bytes) -> None:
        """Make it exist with this content."""
        with self.open("wb") as stream:
            stream.write(content)

    def read_text(self) -> str:
        """All of it as text; line ends as they are stored: what `write_text` wrote comes back."""
        return self.read_bytes().decode(self._encoding())

    def write_text(self, content: str) -> None:
        """Make it exist with this text."""
        self.write_bytes(content.encode(self._encoding()))

    def lines(self) -> Iterator[str]:
        """Its lines, one after the other, without their ends."""
        with self.open("rt") as stream:
            for line in stream:
                yield line.removesuffix("\n")

    def _encoding(self) -> str:
        form = self.format
        return (form.encoding if form else None) or "utf-8"

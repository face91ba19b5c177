"""Tables in Parquet files, through pyarrow: what ``open`` gives for a target of the format `Parquet`.

A table is written batch by batch and appears whole, like any target; it is read as one, or batch by batch.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from levada.errors import TargetError, TargetWriteError

from .writing import _finish, _forget, _warn_unclosed

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]  # it has no types

    from levada._model.ports import Pending


def must_be_there() -> None:
    """Raise TargetError where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: F401 - it has no types; that it can be had is what is asked
    except ImportError as cause:
        raise TargetError(f"Parquet needs pyarrow, which is not there ({cause})", hint="pip install 'levada[parquet]'") from cause


class TableWriter:
    """Tables on their way to a target. All have the schema of the first."""

    def __init__(self, pending: Pending, compression: str) -> None:
        self._over = False
        self._pending, self._compression = pending, compression
        self._writer: Any = None

    def write(self, rows: pa.Table | pa.RecordBatch | Iterable[pa.RecordBatch]) -> None:
        """Add a table, a batch, or all batches of an iterable. Raises TypeError for other things, ValueError for another schema."""
        import pyarrow as pa

        if self._over:
            raise ValueError("this table was closed")
        given: Any = rows
        if isinstance(given, pa.Table):
            self._writer_for(given.schema).write_table(given)
        elif isinstance(given, pa.RecordBatch):
            self._writer_for(given.schema).write_batch(given)
        elif isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
            raise TypeError(f"rows must be a pyarrow.Table, a RecordBatch or an iterable of those, got {type(given).__name__}")
        else:
            for batch in given:
                self.write(batch)

    def _writer_for(self, schema: pa.Schema) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            sink = pa.PythonFile(self._pending.stream, mode="w")
            self._writer = pq.ParquetWriter(sink, schema, compression=self._compression)
        return self._writer

    def close(self) -> None:
        """Write the end, commit and close. Raises TargetExists or TargetWriteError; harmless to repeat."""
        if not self._over:
            self._over = True
            _finish(self._end, [], self._pending)

    def _end(self) -> None:
        if self._writer is None:
            raise TargetWriteError(
                f"{self._pending}: nothing was written, so the table has no columns", hint="Write an empty Table: that has a schema."
            )
        self._writer.close()

    def abort(self) -> None:
        """Forget what was written; nothing stays behind. Harmless to repeat."""
        if not self._over:
            self._over = True
            _forget(self._give_up, [], self._pending)

    def _give_up(self) -> None:
        if self._writer is not None:
            self._writer.close()  # to a stream that takes nothing any more

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close() if kind is None else self.abort()

    def __del__(self) -> None:
        if not self._over:
            _warn_unclosed(self)
            self.abort()


class TableReader:
    """A stored table: all of it by `read`, or batch by batch as an iterator."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        """Raises TargetError for what is no Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with_seek = stream if stream.seekable() else io.BytesIO(stream.read())
        self._stream = stream
        try:
            self._file = pq.ParquetFile(pa.PythonFile(with_seek, mode="r"), pre_buffer=True)
        except (pa.ArrowInvalid, OSError) as cause:
            stream.close()
            raise TargetError(f"{name}: is no Parquet file: {cause}", hint="Which task wrote it, and in which format?") from cause
        except BaseException:
            stream.close()
            raise

    @property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        return self._file.schema_arrow

    @property
    def rows(self) -> int:
        """How many it has."""
        return int(self._file.metadata.num_rows)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows; columns: only these."""
        return self._file.read(columns=None if columns is None else list(columns))

    def batches(self, columns: Sequence[str] | None = None, rows: int = 65_536) -> Iterator[pa.RecordBatch]:
        """The rows in pieces of at most so many, fetched as they are asked for."""
        return iter(self._file.iter_batches(batch_size=rows, columns=None if columns is None else list(columns)))

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.batches()

    def close(self) -> None:
        """Harmless to repeat."""
        self._file.close()
        self._stream.close()

    def __enter__(self) -> TableReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

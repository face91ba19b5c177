"""Luigi's `BigQueryLoadAvro`: files of Avro into BigQuery, with the description that is in their schema."""

from __future__ import annotations

import logging
from contextlib import suppress
from importlib import import_module
from typing import IO, Any, ClassVar

from levada.task import flatten

from ._clients import client as needed
from .bigquery import BigQueryLoadTask, SourceFormat
from .gcs import GCSClient

with suppress(ImportError):  # told when a schema is read
    import_module("avro.datafile")  # programs take what it brings for granted

log = logging.getLogger("luigi-interface")

_HEADS = 64 << 10  # bytes in a request, of which the first should hold the schema


class BigQueryLoadAvro(BigQueryLoadTask):
    """Files of Avro, or folders of them, in Google Cloud Storage into a table, its output."""

    source_format: ClassVar[Any] = SourceFormat.AVRO

    def source_uris(self) -> list[str]:
        """The files; those of a folder by ``*.avro``."""
        return [self._avro_uri(target) for target in flatten(self.input())]

    def _avro_uri(self, target: Any) -> str:
        uri: str = target.uri if hasattr(target, "uri") else target.path
        return uri if uri.endswith(".avro") else f"{uri.rstrip('/')}/*.avro"

    def _get_input_schema(self) -> Any:
        """The schema of the first file. Raises RuntimeError where there is none."""
        datafile = needed("avro.datafile", wanted="BigQueryLoadAvro", install="avro")
        reader = import_module("avro.io").DatumReader
        first, uri = flatten(self.input())[0], self.source_uris()[0]
        client = getattr(first, "fs", None) or GCSClient()
        if "*" in uri:
            matches = list(client.list_wildcard(uri))
            if not matches:
                raise RuntimeError(f"{uri}: no file has such a name")
            uri = matches[0]
        found: list[Any] = []
        trouble: list[Exception] = []

        def look(file: IO[bytes]) -> bool:
            """Read the head of the file that has come so far; it may be too short."""
            at = file.tell()
            try:
                file.seek(0)
                found.append(self._get_writer_schema(datafile.DataFileReader(file, reader()).datum_reader))
            except Exception as error:
                trouble.append(error)
                return False
            finally:
                file.seek(at)
            return True

        client.download(uri, _HEADS, look).close()
        if not found:
            raise RuntimeError(f"{uri}: its schema cannot be read") from next(reversed(trouble), None)
        return found[0]

    @staticmethod
    def _get_writer_schema(datum_reader: Any) -> Any:
        """The schema that a file was written with; avro changed the attribute's name once."""
        if hasattr(datum_reader, "writers_schema"):
            return datum_reader.writers_schema
        return datum_reader.writer_schema

    def _set_output_doc(self, avro_schema: Any) -> None:
        target = self.output()
        body = {"description": avro_schema.doc}
        target.client.client.tables().patch(**target.table._ids(), body=body).execute()

    def run(self) -> None:
        """Load the files; then describe the table, which is no reason to fail."""
        super().run()
        try:
            self._set_output_doc(self._get_input_schema())
        except Exception as error:
            log.warning("the table is there, without the description of its schema: %r", error)

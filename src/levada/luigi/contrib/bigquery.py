"""Luigi's tasks and targets of BigQuery, over google-api-python-client."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from levada.errors import TargetError, TargetUnreachable
from levada.luigi.target import FileAlreadyExists, Target
from levada.task import ExternalTask, Task, flatten

from . import gcp
from ._clients import Wanted

log = logging.getLogger("luigi-interface")

_POLLS = 5  # seconds between two looks at a job

bq_retry = gcp.again(3, renew=lambda client: client._initialise_client())
"""Decorator of a client's methods: another try with another connection, where the service or the way there was in trouble."""


class CreateDisposition:
    """Whether a table that is not there is made."""

    CREATE_IF_NEEDED = "CREATE_IF_NEEDED"
    CREATE_NEVER = "CREATE_NEVER"


class WriteDisposition:
    """What becomes of the rows that are there."""

    WRITE_TRUNCATE = "WRITE_TRUNCATE"
    WRITE_APPEND = "WRITE_APPEND"
    WRITE_EMPTY = "WRITE_EMPTY"


class QueryMode:
    """How urgent a query is."""

    INTERACTIVE = "INTERACTIVE"
    BATCH = "BATCH"


class SourceFormat:
    """Formats that are loaded."""

    AVRO = "AVRO"
    CSV = "CSV"
    DATASTORE_BACKUP = "DATASTORE_BACKUP"
    NEWLINE_DELIMITED_JSON = "NEWLINE_DELIMITED_JSON"
    PARQUET = "PARQUET"


class FieldDelimiter:
    """Between the fields of a line."""

    COMMA = ","
    TAB = "\t"
    PIPE = "|"


class PrintHeader:
    """Whether the first line has the names."""

    TRUE = True
    FALSE = False


class DestinationFormat:
    """Formats that are written."""

    AVRO = "AVRO"
    CSV = "CSV"
    NEWLINE_DELIMITED_JSON = "NEWLINE_DELIMITED_JSON"


class Compression:
    """Of what is written."""

    GZIP = "GZIP"
    NONE = "NONE"


class Encoding:
    """Of what is loaded."""

    UTF_8 = "UTF-8"
    ISO_8859_1 = "ISO-8859-1"


class BQDataset(NamedTuple):
    """A dataset; location: None for wherever it is."""

    project_id: str
    dataset_id: str
    location: str | None


class BQTable(NamedTuple):
    """A table."""

    project_id: str
    dataset_id: str
    table_id: str
    location: str | None

    @property
    def dataset(self) -> BQDataset:
        """The dataset that it is in."""
        return BQDataset(self.project_id, self.dataset_id, self.location)

    @property
    def uri(self) -> str:
        """``bq://PROJECT/DATASET/TABLE``."""
        return f"bq://{self.project_id}/{self.dataset_id}/{self.table_id}"

    def _ids(self) -> dict[str, str]:
        return {"projectId": self.project_id, "datasetId": self.dataset_id, "tableId": self.table_id}


class BigQueryExecutionError(Exception):
    """A job of BigQuery failed."""

    def __init__(self, job_id: str, error_message: Any) -> None:
        super().__init__(f"BigQuery job {job_id} failed: {error_message}")
        self.job_id, self.error_message = job_id, error_message


class BigQueryClient:
    """What tasks ask of BigQuery. Without credentials it takes the default ones. descriptor: see `gcp.service`."""

    def __init__(self, oauth_credentials: Any = None, descriptor: Any = "", http_: Any = None) -> None:
        self.oauth_credentials, self.descriptor, self.http_ = oauth_credentials, descriptor, http_
        self._initialise_client()

    def _initialise_client(self) -> None:
        self.client = gcp.service("bigquery", "v2", self.descriptor, **gcp.get_authenticate_kwargs(self.oauth_credentials, self.http_))

    @bq_retry
    def _ask(self, make: Callable[[], Any]) -> Any:
        """The answer to a request, None where it is 404."""
        try:
            return make().execute()
        except Exception as error:
            if gcp.is_status(error, 404):
                return None
            raise

    def dataset_exists(self, dataset: BQDataset) -> bool:
        """Whether a dataset is there. Raises TargetError where it is in another place than the one that is wanted."""
        found = self._ask(lambda: self.client.datasets().get(projectId=dataset.project_id, datasetId=dataset.dataset_id))
        if found is not None and dataset.location is not None and found.get("location") != dataset.location:
            raise TargetError(
                f"dataset {dataset.dataset_id} is in {found.get('location') or 'no place that is told'}, not in {dataset.location}"
            )
        return found is not None

    def table_exists(self, table: BQTable) -> bool:
        """Whether a table is there."""
        return self.dataset_exists(table.dataset) and self._ask(lambda: self.client.tables().get(**table._ids())) is not None

    def make_dataset(self, dataset: BQDataset, raise_if_exists: bool = False, body: dict[str, Any] | None = None) -> None:
        """Make a dataset. Raises FileAlreadyExists if wanted, where it is there."""
        made = {**(body or {}), "datasetReference": {"projectId": dataset.project_id, "datasetId": dataset.dataset_id}}
        if dataset.location is not None:
            made["location"] = dataset.location
        try:
            self.client.datasets().insert(projectId=dataset.project_id, body=made).execute()
        except Exception as error:
            if not gcp.is_status(error, 409):
                raise
            if raise_if_exists:
                raise FileAlreadyExists(f"dataset {dataset.dataset_id}: is there already") from error

    def delete_dataset(self, dataset: BQDataset, delete_nonempty: bool = True) -> None:
        """Remove a dataset, if it is there. delete_nonempty: with its tables."""
        if self.dataset_exists(dataset):
            request = self.client.datasets().delete(
                projectId=dataset.project_id, datasetId=dataset.dataset_id, deleteContents=delete_nonempty
            )
            request.execute()

    def delete_table(self, table: BQTable) -> None:
        """Remove a table, if it is there."""
        if self.table_exists(table):
            self.client.tables().delete(**table._ids()).execute()

    def list_datasets(self, project_id: str) -> Iterator[str]:
        """The ids of a project's datasets."""
        pages = self._pages(self.client.datasets(), projectId=project_id)
        return (each["datasetReference"]["datasetId"] for page in pages for each in page.get("datasets", []))

    def list_tables(self, dataset: BQDataset) -> Iterator[str]:
        """The ids of a dataset's tables."""
        pages = self._pages(self.client.tables(), projectId=dataset.project_id, datasetId=dataset.dataset_id)
        return (each["tableReference"]["tableId"] for page in pages for each in page.get("tables", []))

    @staticmethod
    def _pages(resource: Any, **wanted: str) -> Iterator[dict[str, Any]]:
        request = resource.list(**wanted, maxResults=1000)
        while request is not None:
            page = request.execute()
            yield page
            request = resource.list_next(request, page)

    def get_view(self, table: BQTable) -> str | None:
        """The query of a view; None where there is no view."""
        found = self._ask(lambda: self.client.tables().get(**table._ids()))
        query: str | None = ((found or {}).get("view") or {}).get("query")
        return query

    def update_view(self, table: BQTable, view: str) -> None:
        """Make a view of this query, or give it to the view that is there."""
        body = {"tableReference": table._ids(), "view": {"query": view}}
        if self.table_exists(table):
            self.client.tables().update(**table._ids(), body=body).execute()
        else:
            self.client.tables().insert(projectId=table.project_id, datasetId=table.dataset_id, body=body).execute()

    def run_job(self, project_id: str, body: Mapping[str, Any], dataset: BQDataset | None = None) -> str:
        """Run a job to its end; its id. dataset: made unless it is there. Raises BigQueryExecutionError."""
        if dataset and not self.dataset_exists(dataset):
            self.make_dataset(dataset)
        started = self.client.jobs().insert(projectId=project_id, body=body).execute()
        job_id: str = started["jobReference"]["jobId"]
        place = {name: where for name, where in started["jobReference"].items() if name == "location"}  # without it only the US and EU look
        log.info("BigQuery job %s:%s has started", project_id, job_id)
        while True:
            status = self.client.jobs().get(projectId=project_id, jobId=job_id, **place).execute(num_retries=10)["status"]
            if status["state"] == "DONE":
                if status.get("errorResult"):
                    raise BigQueryExecutionError(job_id, status["errorResult"])
                return job_id
            time.sleep(_POLLS)

    def copy(
        self,
        source_table: BQTable,
        dest_table: BQTable,
        create_disposition: str = CreateDisposition.CREATE_IF_NEEDED,
        write_disposition: str = WriteDisposition.WRITE_TRUNCATE,
    ) -> None:
        """Copy a table."""
        told = {
            "sourceTable": source_table._ids(),
            "destinationTable": dest_table._ids(),
            "createDisposition": create_disposition,
            "writeDisposition": write_disposition,
        }
        self.run_job(dest_table.project_id, {"configuration": {"copy": told}}, dataset=dest_table.dataset)


class BigQueryTarget(Target):
    """A table; it exists when BigQuery has one of the name."""

    remote = True

    def __init__(
        self, project_id: str, dataset_id: str, table_id: str, client: BigQueryClient | None = None, location: str | None = None
    ) -> None:
        self.table = BQTable(project_id, dataset_id, table_id, location)
        self.client = client or BigQueryClient()

    @classmethod
    def from_bqtable(cls, table: BQTable, client: BigQueryClient | None = None) -> BigQueryTarget:
        """The target of a table."""
        return cls(table.project_id, table.dataset_id, table.table_id, client=client, location=table.location)

    def exists(self) -> bool:
        """Whether it is there. Raises TargetUnreachable where BigQuery gives no answer."""
        try:
            return self.client.table_exists(self.table)
        except TargetError:
            raise
        except Exception as cause:  # googleapiclient's, and those of its connections
            raise TargetUnreachable(self.table.uri, cause, hint="May these credentials read the dataset?") from cause

    def __str__(self) -> str:
        return str(self.table)


class MixinBigQueryBulkComplete:
    """``bulk_complete`` by one listing of each dataset, for tasks whose output is a `BigQueryTarget`."""

    @classmethod
    def bulk_complete(cls, parameter_tuples: Iterable[Any]) -> Iterator[Any]:
        """Those of the values whose table is there."""
        made: Any = cls
        targets = [(values, made(values).output()) for values in parameter_tuples]
        tables: dict[BQDataset, set[str]] = {}
        for values, target in targets:
            dataset = target.table.dataset
            if dataset not in tables:
                tables[dataset] = set(target.client.list_tables(dataset)) if target.client.dataset_exists(dataset) else set()
            if target.table.table_id in tables[dataset]:
                yield values


def _table_of(target: Any, what: str) -> BigQueryTarget:
    if not isinstance(target, BigQueryTarget):
        raise TypeError(f"{what} is a BigQueryTarget, got {target!r}")
    return target


def _must_be_objects(uris: Iterable[str]) -> list[str]:
    found = list(uris)
    if strangers := [uri for uri in found if not uri.startswith("gs://")]:
        raise ValueError(f"BigQuery reads and writes gs://, got {strangers[0]!r}")
    return found


class _Configured(Task):
    """A task that runs a job, whose configuration a subclass may change."""

    def configure_job(self, configuration: dict[str, Any]) -> dict[str, Any]:
        """The configuration of the job; own ones add to it."""
        return configuration

    def _run(self, target: BigQueryTarget, kind: str, told: dict[str, Any]) -> None:
        job = {"configuration": self.configure_job({kind: told})}
        target.client.run_job(target.table.project_id, job, dataset=target.table.dataset)


class BigQueryLoadTask(MixinBigQueryBulkComplete, _Configured):
    """Objects of Google Cloud Storage, its inputs, into a table, its output."""

    source_format: ClassVar[Any] = SourceFormat.NEWLINE_DELIMITED_JSON
    encoding: ClassVar[Any] = Encoding.UTF_8
    write_disposition: ClassVar[Any] = WriteDisposition.WRITE_EMPTY
    schema: ClassVar[Any] = []
    max_bad_records: ClassVar[Any] = 0
    field_delimiter: ClassVar[Any] = FieldDelimiter.COMMA
    skip_leading_rows: ClassVar[Any] = 0
    allow_jagged_rows: ClassVar[Any] = False
    ignore_unknown_values: ClassVar[Any] = False
    allow_quoted_new_lines: ClassVar[Any] = False

    def source_uris(self) -> list[str]:
        """The objects; a name may have one ``*``."""
        return [target.path for target in flatten(self.input())]

    def run(self) -> None:
        """Load them."""
        target = _table_of(self.output(), "the output of a load")
        told: dict[str, Any] = {
            "destinationTable": target.table._ids(),
            "encoding": self.encoding,
            "sourceFormat": self.source_format,
            "writeDisposition": self.write_disposition,
            "sourceUris": _must_be_objects(self.source_uris()),
            "maxBadRecords": self.max_bad_records,
            "ignoreUnknownValues": self.ignore_unknown_values,
        }
        if self.source_format == SourceFormat.CSV:
            told["fieldDelimiter"] = self.field_delimiter
            told["skipLeadingRows"] = self.skip_leading_rows
            told["allowJaggedRows"] = self.allow_jagged_rows
            told["allowQuotedNewlines"] = self.allow_quoted_new_lines
        told |= {"schema": {"fields": self.schema}} if self.schema else {"autodetect": True}
        self._run(target, "load", told)


class BigQueryRunQueryTask(MixinBigQueryBulkComplete, _Configured):
    """The rows of a query into a table, its output."""

    write_disposition: ClassVar[Any] = WriteDisposition.WRITE_TRUNCATE
    create_disposition: ClassVar[Any] = CreateDisposition.CREATE_IF_NEEDED
    flatten_results: ClassVar[Any] = True
    query: ClassVar[Any] = Wanted()
    query_mode: ClassVar[Any] = QueryMode.INTERACTIVE
    udf_resource_uris: ClassVar[Any] = []
    use_legacy_sql: ClassVar[Any] = True

    def run(self) -> None:
        """Run the query."""
        target, query = _table_of(self.output(), "the output of a query"), self.query
        if not query:
            raise ValueError(f"{type(self).__name__}: query is empty")
        log.info("a query fills %s (%s): %s", target, self.write_disposition, query)
        told = {
            "query": query,
            "priority": self.query_mode,
            "destinationTable": target.table._ids(),
            "allowLargeResults": True,
            "createDisposition": self.create_disposition,
            "writeDisposition": self.write_disposition,
            "flattenResults": self.flatten_results,
            "userDefinedFunctionResources": [{"resourceUri": uri} for uri in self.udf_resource_uris],
            "useLegacySql": self.use_legacy_sql,
        }
        self._run(target, "query", told)


class BigQueryCreateViewTask(Task):
    """A view, its output, of the query ``view``; complete when the view is there with this query."""

    view: ClassVar[Any] = Wanted()

    def complete(self) -> bool:
        """Whether the view has this query."""
        target = _table_of(self.output(), "the output of a view")
        return target.exists() and target.client.get_view(target.table) == self.view

    def run(self) -> None:
        """Make the view, or change it."""
        target, view = _table_of(self.output(), "the output of a view"), self.view
        if not view:
            raise ValueError(f"{type(self).__name__}: view is empty")
        target.client.update_view(target.table, view)


class ExternalBigQueryTask(MixinBigQueryBulkComplete, ExternalTask):
    """A table that others make."""


class BigQueryExtractTask(_Configured):
    """A table, its input, into objects of Google Cloud Storage, its outputs."""

    print_header: ClassVar[Any] = PrintHeader.TRUE
    field_delimiter: ClassVar[Any] = FieldDelimiter.COMMA
    destination_format: ClassVar[Any] = DestinationFormat.CSV
    compression: ClassVar[Any] = Compression.NONE

    @property
    def destination_uris(self) -> list[str]:
        """The objects; a name may have one ``*``."""
        return [target.path for target in flatten(self.output())]

    def run(self) -> None:
        """Write them."""
        inputs = flatten(self.input())
        target = _table_of(inputs[0] if len(inputs) == 1 else inputs, "the input of an extract")
        told = {
            "sourceTable": target.table._ids(),
            "destinationUris": _must_be_objects(self.destination_uris),
            "destinationFormat": self.destination_format,
            "compression": self.compression,
        }
        if self.destination_format == DestinationFormat.CSV:
            told |= {"printHeader": self.print_header, "fieldDelimiter": self.field_delimiter}
        self._run(target, "extract", told)


BigqueryClient = BigQueryClient
BigqueryTarget = BigQueryTarget
MixinBigqueryBulkComplete = MixinBigQueryBulkComplete
BigqueryLoadTask = BigQueryLoadTask
BigqueryRunQueryTask = BigQueryRunQueryTask
BigqueryCreateViewTask = BigQueryCreateViewTask
ExternalBigqueryTask = ExternalBigQueryTask

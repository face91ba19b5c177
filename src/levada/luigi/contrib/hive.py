"""``luigi.contrib.hive``: queries by the program ``hive``, and targets that ask whether a table or partition is there.

There is no wing for Hive: its command line is all that is used, or the folders of its warehouse. The program is a child of the attempt.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from levada.errors import EngineError, TargetExists
from levada.luigi.target import FileSystemTarget, Target
from levada.params import DictParameter, FrozenDict, StrParameter
from levada.task import ExternalTask, flatten

from . import hadoop
from ._settings import configured, whole
from .hdfs import get_autoconfig_client

logger = logging.getLogger("luigi-interface")


class HiveCommandError(EngineError, RuntimeError):
    """The program ``hive`` failed; out, err: what it said."""

    code = "hive"

    def __init__(self, message: str, out: Any = None, err: Any = None) -> None:
        super().__init__(message, hint=f"It said:\n{_text(err)[-2000:]}" if err else None)
        self.out, self.err = out, err


# -- the program -----------------------------------------------------------------------------------


def load_hive_cmd() -> list[str]:
    """``[hive] command`` as words."""
    return str(configured("hive", "command", "hive")).split(" ")


def get_hive_syntax() -> str:
    """``[hive] release``: cdh4, apache, metastore or warehouse."""
    return str(configured("hive", "release", "cdh4"))


def get_hive_warehouse_location() -> str:
    """``[hive] warehouse_location``: the folder of managed tables."""
    return str(configured("hive", "warehouse_location", "/user/hive/warehouse"))


def get_ignored_file_masks() -> Any:
    """``[hive] ignored_file_masks``: a pattern of files that make no table; None when it is not set."""
    return configured("hive", "ignored_file_masks", None)


def run_hive(args: Sequence[str], check_return_code: bool = True) -> str:
    """What ``hive`` says on stdout. Raises HiveCommandError for a status that is not 0, where that is to be looked at."""
    command = [*load_hive_cmd(), *args]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as cause:
        raise HiveCommandError(f"{command[0]}: could not be started ({cause.strerror}); [hive] command of luigi.cfg names it") from cause
    out, err = process.communicate()
    if check_return_code and process.returncode != 0:
        raise HiveCommandError(f"{' '.join(command)}: failed with exit code {process.returncode}", out, err)
    return _text(out)


def run_hive_cmd(hivecmd: str, check_return_code: bool = True) -> str:
    """What a statement says."""
    return run_hive(["-e", hivecmd], check_return_code)


def run_hive_script(script: str) -> str:
    """What the statements of a file say. Raises RuntimeError when there is no such file."""
    if not os.path.isfile(script):
        raise RuntimeError(f"{script}: there is no such file of Hive statements")
    return run_hive(["-f", script])


def _text(said: Any) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said or "")


# -- what is known of tables -------------------------------------------------------------------------


class HiveClient(ABC):
    """Answers about tables. partition: column -> value, None for the table itself."""

    @abstractmethod
    def table_location(self, table: str, database: str = "default", partition: Any = None) -> Any:
        """Where it lies."""

    @abstractmethod
    def table_schema(self, table: str, database: str = "default") -> Any:
        """(name, type) of each column; None when there is no such table."""

    @abstractmethod
    def table_exists(self, table: str, database: str = "default", partition: Any = None) -> Any:
        """Whether it is there."""

    @abstractmethod
    def partition_spec(self, partition: Mapping[str, Any]) -> str:
        """A partition as text."""


class HiveCommandClient(HiveClient):
    """Asks the program ``hive``."""

    _checked: ClassVar[bool] = True  # whether DESCRIBE ends with 0 where there is a table
    _no_table: ClassVar[str] = "does not exist"

    def table_location(self, table: str, database: str = "default", partition: Any = None) -> str | None:
        """The line "Location:" of its description."""
        of = f" PARTITION ({self.partition_spec(partition)})" if partition is not None else ""
        said = run_hive_cmd(f"use {database}; describe formatted {table}{of}")
        return next((line.split("\t")[1] for line in said.split("\n") if "Location:" in line), None)

    def table_exists(self, table: str, database: str = "default", partition: Any = None) -> bool:
        """Whether the table, or the partition, is listed; capitals make no difference."""
        if partition is None:
            return table.lower() in run_hive_cmd(f'use {database}; show tables like "{table}";')
        return bool(run_hive_cmd(f"use {database}; show partitions {table} partition ({self.partition_spec(partition)})"))

    def table_schema(self, table: str, database: str = "default") -> list[tuple[str, ...]] | None:
        """The cells of its description's lines."""
        statement = f"use {database}; describe {table}"
        said = run_hive_cmd(statement) if self._checked else run_hive_cmd(statement, False)
        if not said or self._no_table in said:
            return None
        return [tuple(cell.strip() for cell in line.strip().split("\t")) for line in said.strip().split("\n")]

    def partition_spec(self, partition: Mapping[str, Any]) -> str:
        """As HiveQL has it, columns in the order of their names."""
        return ",".join(f"`{name}`='{value}'" for name, value in sorted(partition.items()))


class ApacheHiveCommandClient(HiveCommandClient):
    """The same for releases whose DESCRIBE fails where there is no table."""

    _checked = False
    _no_table = "Table not found"


class MetastoreClient(HiveClient):
    """Asks Hive's metastore, by its thrift interface (the package hive_metastore)."""

    def table_location(self, table: str, database: str = "default", partition: Any = None) -> str:
        """Where it lies; "" for a partition that is not there."""
        with HiveThriftContext() as client:
            if partition is None:
                return str(client.get_table(database, table).sd.location)
            from hive_metastore.ttypes import NoSuchObjectException  # type: ignore[import-not-found, unused-ignore]

            try:
                return str(client.get_partition_by_name(database, table, self.partition_spec(partition)).sd.location)
            except NoSuchObjectException:
                return ""

    def table_exists(self, table: str, database: str = "default", partition: Any = None) -> bool:
        """Whether it is listed."""
        with HiveThriftContext() as client:
            if partition is None:
                return table in client.get_all_tables(database)
            wanted = {str(name): str(value) for name, value in partition.items()}
            names = client.get_partition_names(database, table, -1)
            return any(dict(part.split("=", 1) for part in name.split("/")) == wanted for name in names)

    def table_schema(self, table: str, database: str = "default") -> list[tuple[str, str]]:
        """Names and types."""
        with HiveThriftContext() as client:
            return [(field.name, field.type) for field in client.get_schema(database, table)]

    def partition_spec(self, partition: Mapping[str, Any]) -> str:
        """As the metastore names it, columns in the order of their names."""
        return "/".join(f"{name}={value}" for name, value in sorted(partition.items()))


class HiveThriftContext:
    """A client of the metastore at ``[hive] metastore_host`` and ``metastore_port``, for a ``with`` block."""

    def __enter__(self) -> Any:
        try:
            from hive_metastore import ThriftHiveMetastore  # type: ignore[import-not-found, unused-ignore]
            from thrift.protocol import TBinaryProtocol  # type: ignore[import-not-found, unused-ignore]
            from thrift.transport import TSocket, TTransport  # type: ignore[import-not-found, unused-ignore]
        except ImportError as cause:
            raise EngineError(
                f"Hive's metastore is spoken to by hive_metastore and thrift: {cause}", hint="Or set [hive] release."
            ) from cause
        socket = TSocket.TSocket(configured("hive", "metastore_host"), whole("hive", "metastore_port", 9083))
        self.transport = TTransport.TBufferedTransport(socket)
        self.transport.open()
        return ThriftHiveMetastore.Client(TBinaryProtocol.TBinaryProtocol(self.transport))

    def __exit__(self, *error: object) -> None:
        self.transport.close()


class WarehouseHiveClient(HiveClient):
    """Looks into the folders of managed tables."""

    def __init__(self, hdfs_client: Any = None, warehouse_location: str | None = None) -> None:
        self.hdfs_client = hdfs_client or get_autoconfig_client()
        self.warehouse_location = warehouse_location or get_hive_warehouse_location()

    def table_schema(self, table: str, database: str = "default") -> Any:
        """NotImplemented: folders do not tell."""
        return NotImplemented

    def table_location(self, table: str, database: str = "default", partition: Any = None) -> str:
        """Its folder."""
        return os.path.join(self.warehouse_location, f"{database}.db", table, self.partition_spec(partition or {}))

    def table_exists(self, table: str, database: str = "default", partition: Any = None) -> bool:
        """Whether its folder is there, with a file in it that is not to be ignored."""
        path = self.table_location(table, database, partition)
        if not self.hdfs_client.exists(path):
            return False
        ignored = get_ignored_file_masks()
        return ignored is None or any(not re.match(ignored, name) for name in self.hdfs_client.listdir(path))

    def partition_spec(self, partition: Mapping[str, Any]) -> str:
        """Its folder's name below that of the table, columns in the order in which they are given."""
        return "/".join(f"{name}={value}" for name, value in (partition or {}).items())


_CLIENTS: dict[str, Callable[[], HiveClient]] = {
    "apache": ApacheHiveCommandClient,
    "metastore": MetastoreClient,
    "warehouse": WarehouseHiveClient,
}


def get_default_client() -> HiveClient:
    """The client that ``[hive] release`` names."""
    return _CLIENTS.get(get_hive_syntax(), HiveCommandClient)()


def __getattr__(name: str) -> Any:
    """``client``: the default one, made when it is first asked for."""
    if name != "client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = made = get_default_client()
    return made


# -- tasks and targets ---------------------------------------------------------------------------------


class HiveQueryTask(hadoop.BaseHadoopJobTask):
    """Runs the statements that `query` gives."""

    n_reduce_tasks: ClassVar[Any] = None
    bytes_per_reducer: ClassVar[Any] = None
    reducers_max: ClassVar[Any] = None

    def query(self) -> str:
        """The statements."""
        raise NotImplementedError(f"{type(self).__name__} has to define query()")

    def hiverc(self) -> Any:
        """A file of statements that run before, or a list of such files."""
        return configured("hive", "hiverc-location", None)

    def hivevars(self) -> Mapping[str, Any]:
        """Variables of the statements."""
        return {}

    def hiveconfs(self) -> dict[str, Any]:
        """Properties of the jobs that Hive starts: name, reduces and pool, as far as the class says them."""
        found = {
            "mapred.job.name": f"'{self.task_id}'",
            "mapred.reduce.tasks": self.n_reduce_tasks,
            **self._pool_property(),
            "hive.exec.reducers.bytes.per.reducer": self.bytes_per_reducer,
            "hive.exec.reducers.max": self.reducers_max,
        }
        return {name: value for name, value in found.items() if value is not None}

    def job_runner(self) -> Any:
        """By the program ``hive``."""
        return HiveQueryRunner()


class HiveQueryRunner(hadoop.JobRunner):
    """Runs a HiveQueryTask by the program ``hive``."""

    def prepare_outputs(self, job: Any) -> None:
        """Make the folders above the outputs."""
        for target in flatten(job.output()):
            folder = os.path.dirname(target.path) if isinstance(target, FileSystemTarget) else ""
            if folder and not target.fs.exists(folder):
                try:
                    target.fs.mkdir(folder)
                except TargetExists:  # another made it meanwhile
                    continue

    def get_arglist(self, f_name: str, job: Any) -> list[str]:
        """The command line for a file of statements."""
        words = [*load_hive_cmd(), "-f", f_name]
        before = job.hiverc() or ()
        for path in [before] if isinstance(before, str) else before:
            words += ["-i", path]
        for option, given in (("--hiveconf", job.hiveconfs()), ("--hivevar", job.hivevars())):
            for name, value in (given or {}).items():
                words += [option, f"{name}={value}"]
        return words

    def run_job(self, job: Any, tracking_url_callback: Callable[[str], Any] | None = None) -> Any:
        """Run it to its end. Raises HadoopJobError."""
        self.prepare_outputs(job)
        query = job.query()
        with tempfile.NamedTemporaryFile() as file:
            file.write(query.encode() if isinstance(query, str) else query)
            file.flush()
            return hadoop.run_and_track_hadoop_job(self.get_arglist(file.name, job), tracking_url_callback or job.set_tracking_url)


class HivePartitionTarget(Target):
    """A partition of a table, or the table itself where none is named.

    fail_missing_table: whether an error of Hive is raised where there is no such table; else the partition is not there then.
    """

    def __init__(
        self, table: str, partition: Any, database: str = "default", fail_missing_table: bool = True, client: HiveClient | None = None
    ) -> None:
        self.database, self.table, self.partition = database, table, partition
        self.client = client or get_default_client()
        self.fail_missing_table = fail_missing_table

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.database}.{self.table}, {self.partition!r})"

    def exists(self) -> bool:
        """Whether Hive knows it. Raises HiveCommandError."""
        try:
            return bool(self.client.table_exists(self.table, self.database, self.partition))
        except HiveCommandError:
            if self.fail_missing_table or self.client.table_exists(self.table, self.database):
                raise
            return False

    @property
    def path(self) -> str:
        """Where it lies. Raises EngineError when Hive does not say."""
        location = self.client.table_location(self.table, self.database, self.partition)
        if not location:
            raise EngineError(f"{self!r}: Hive does not say where it lies")
        return str(location)


class HiveTableTarget(HivePartitionTarget):
    """A table without partitions."""

    def __init__(self, table: str, database: str = "default", client: HiveClient | None = None) -> None:
        super().__init__(table, None, database, False, client)


class ExternalHiveTask(ExternalTask):
    """A partition, or a table, that others make."""

    database = StrParameter(default="default")
    table = StrParameter()
    partition = DictParameter(default=FrozenDict(), description='the partition, as {"date": "2013-01-25"}.')

    def output(self) -> HivePartitionTarget:
        """The partition."""
        return HivePartitionTarget(self.table, self.partition, self.database)

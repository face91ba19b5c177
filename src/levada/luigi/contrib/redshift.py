"""Luigi's tasks for Amazon Redshift: loads from S3 by COPY, queries, unloads, manifests; over psycopg2."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable
from typing import Any, ClassVar

from levada.params import IntParameter, Parameter
from levada.task import Task

from . import postgres, rdbms
from ._clients import FromConfig, Wanted
from ._settings import configured
from .s3 import S3PathTask, S3Target

log = logging.getLogger("luigi-interface")


class _CredentialsMixin:
    """With what Redshift reads and writes S3: from the class, the configuration, or the environment, in this order."""

    configuration_section: ClassVar[Any] = "redshift"

    @property
    def aws_access_key_id(self) -> Any:
        """The key's id."""
        return self._get_configuration_attribute("aws_access_key_id")

    @property
    def aws_secret_access_key(self) -> Any:
        """The key."""
        return self._get_configuration_attribute("aws_secret_access_key")

    @property
    def aws_account_id(self) -> Any:
        """The account of the role."""
        return self._get_configuration_attribute("aws_account_id")

    @property
    def aws_arn_role_name(self) -> Any:
        """The name of the role."""
        return self._get_configuration_attribute("aws_arn_role_name")

    @property
    def aws_session_token(self) -> Any:
        """The token of a session, where the key is of one."""
        return self._get_configuration_attribute("aws_session_token")

    def _get_configuration_attribute(self, attribute: str) -> Any:
        return configured(self.configuration_section, attribute) or os.environ.get(attribute.upper())

    def _credentials(self) -> str:
        """The text for COPY and UNLOAD: a role where there is one, else a key. Raises NotImplementedError where there is neither."""
        if self.aws_account_id and self.aws_arn_role_name:
            return f"aws_iam_role=arn:aws:iam::{self.aws_account_id}:role/{self.aws_arn_role_name}"
        if self.aws_access_key_id and self.aws_secret_access_key:
            token = f";token={self.aws_session_token}" if self.aws_session_token else ""
            return f"aws_access_key_id={self.aws_access_key_id};aws_secret_access_key={self.aws_secret_access_key}{token}"
        raise NotImplementedError(
            f"{type(self).__name__}: Redshift has no credentials for S3. Say aws_account_id and aws_arn_role_name, or aws_access_key_id "
            f"and aws_secret_access_key: on the class, in [{self.configuration_section}] of the configuration, or in the environment"
        )


class RedshiftTarget(postgres.PostgresTarget):
    """An update of a table in Redshift."""

    marker_table: Any = FromConfig("redshift", "marker-table", "table_updates")
    DEFAULT_DB_PORT = 5439
    use_db_timestamps = False


def _update(task: Any) -> Any:
    return RedshiftTarget(
        host=task.host, database=task.database, user=task.user, password=task.password, table=task.table, update_id=task.update_id
    )


class S3CopyToTable(rdbms.CopyToTable, _CredentialsMixin):
    """Files of S3 into a table of Redshift, in one transaction with their marker; schema and table are made where they are not there.

    A subclass says ``s3_load_path()`` and ``copy_options``. prune_table, prune_column and prune_date, all three or none: rows of that
    table from that date on are deleted before the load. queries: what is run after it.
    """

    copy_options: ClassVar[Any] = Wanted()
    prune_table: ClassVar[Any] = None
    prune_column: ClassVar[Any] = None
    prune_date: ClassVar[Any] = None
    table_attributes: ClassVar[Any] = ""
    table_constraints: ClassVar[Any] = ""
    do_truncate_table: ClassVar[Any] = False
    table_type: ClassVar[Any] = ""
    queries: ClassVar[Any] = []

    def s3_load_path(self) -> str:
        """The file, prefix or manifest in S3."""
        raise NotImplementedError(f"{type(self).__name__}: s3_load_path() is not said")

    def do_prune(self) -> bool:
        """Whether rows are deleted before the load. Raises ValueError where a part of the three attributes is missing."""
        said = [self.prune_table, self.prune_column, self.prune_date]
        if any(said) and not all(said):
            raise ValueError(f"{type(self).__name__}: prune_table, prune_column and prune_date belong together, got {said!r}")
        return all(said)

    def truncate_table(self, connection: Any) -> None:
        """Remove all rows."""
        _execute(connection, f"truncate {self.table}")

    def prune(self, connection: Any) -> None:
        """Remove the rows of ``prune_table`` from ``prune_date`` on."""
        _execute(connection, f"delete from {self.prune_table} where {self.prune_column} >= {self.prune_date}")  # noqa: S608 - names of the authors

    def create_schema(self, connection: Any) -> None:
        """Make the table's schema, if its name has one."""
        schema, dot, _ = str(self.table).partition(".")
        if dot:
            connection.cursor().execute(f"CREATE SCHEMA IF NOT EXISTS {schema};")

    def create_table(self, connection: Any) -> None:
        """Make the table of ``columns``, ``(name, type)`` or ``(name, type, encoding)`` each, in the transaction of ``connection``."""
        columns: list[Any] = list(self.columns or ())
        if columns and (isinstance(columns[0], str) or len(columns[0]) == 1):
            raise NotImplementedError(
                f"table {self.table} is not there, and its columns have no types: give (name, type), or define create_table()"
            )
        if not columns or len(columns[0]) > 3:
            raise ValueError(f"table {self.table}: a column is (name, type) or (name, type, encoding), got {self.columns!r}")
        definitions = ",".join(" ".join([*column[:2], *(["ENCODE", column[2]] if len(column) == 3 else [])]) for column in columns)
        constraints = f", {self.table_constraints}" if self.table_constraints != "" else ""
        connection.cursor().execute(f"CREATE {self.table_type} TABLE {self.table} ({definitions} {constraints}) {self.table_attributes}")

    def run(self) -> None:
        """Load the files; all of it is there afterwards, or none."""
        if not self.table:
            raise ValueError(f"{type(self).__name__}: table names where the rows go, and is empty")
        path, output = self.s3_load_path(), self.output()
        connection = output.connect()
        try:
            cursor = connection.cursor()
            self.init_copy(connection)
            self.copy(cursor, path)
            self.post_copy(cursor)
            if self.enable_metadata_columns:
                self.post_copy_metacolumns(cursor)
            output.touch(connection)
            connection.commit()
        finally:
            connection.close()

    def copy(self, cursor: Any, file: str) -> None:
        """Have Redshift load a file, prefix or manifest of S3."""
        log.info("%s is loaded into %s", file, self.table)
        names = f"({','.join(column[0] for column in self.columns)})" if self.columns else ""
        cursor.execute(
            f"""
         COPY {self.table} {names} from '{file}'
         CREDENTIALS '{self._credentials()}'
         {self.copy_options}
         ;"""
        )

    def output(self) -> Any:
        """The update."""
        return _update(self)

    def does_schema_exist(self, connection: Any) -> bool:
        """Whether the table's schema is there; True where its name has none."""
        schema, dot, _ = str(self.table).partition(".")
        if not dot:
            return True
        return _finds(connection, "select 1 as schema_exists from pg_namespace where nspname = lower(%s) limit 1", [schema])

    def does_table_exist(self, connection: Any) -> bool:
        """Whether the table is there."""
        parts = tuple(str(self.table).split("."))
        if len(parts) > 1:
            asked = (
                "select 1 as table_exists from information_schema.tables where table_schema = lower(%s) and table_name = lower(%s) limit 1"
            )
        else:
            asked = "select 1 as table_exists from pg_table_def where tablename = lower(%s) limit 1"
        return _finds(connection, asked, parts)

    def init_copy(self, connection: Any) -> None:
        """Called in the transaction, before the load: makes what is missing, and removes what is to go."""
        if not self.does_schema_exist(connection):
            self.create_schema(connection)
        if not self.does_table_exist(connection):
            log.info("table %s is made", self.table)
            self.create_table(connection)
        if self.enable_metadata_columns:
            self._add_metadata_columns(connection)
        if self.do_truncate_table:
            self.truncate_table(connection)
        if self.do_prune():
            self.prune(connection)

    def post_copy(self, cursor: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # Luigi's names
        """Called in the transaction, after the load: runs ``queries``."""
        for query in self.queries:
            cursor.execute(query)

    def post_copy_metacolums(self, cursor: Any) -> None:
        """`post_copy_metacolumns`, as a slip of the pen once called it."""
        self.post_copy_metacolumns(cursor)


class S3CopyJSONToTable(S3CopyToTable):
    """Files of JSON in S3 into a table of Redshift. A subclass says ``jsonpath`` and ``copy_json_options``, too."""

    jsonpath: ClassVar[Any] = Wanted()
    copy_json_options: ClassVar[Any] = Wanted()

    def copy(self, cursor: Any, file: str) -> None:
        """Have Redshift load a file, prefix or manifest of S3."""
        log.info("%s is loaded into %s", file, self.table)
        cursor.execute(
            f"""
         COPY {self.table} from '{file}'
         CREDENTIALS '{self._credentials()}'
         JSON AS '{self.jsonpath}' {self.copy_json_options}
         {self.copy_options}
         ;"""
        )


class RedshiftManifestTask(S3PathTask):
    """A manifest for COPY: the files below ``folder_paths``, written to ``path``. text_target: False writes bytes."""

    folder_paths = Parameter()
    text_target = True

    def run(self) -> None:  # type: ignore[override]  # others made it, and now this does
        """List the folders, and write what is there."""
        entries = [
            {"url": f"{folder}/{name}", "mandatory": True} for folder in self.folder_paths for name in S3Target(folder).fs.list(folder)
        ]
        manifest = json.dumps({"entries": entries})
        out = self.output().open("w")
        out.write(manifest if self.text_target else manifest.encode())
        out.close()


class KillOpenRedshiftSessions(Task):
    """Ends all sessions of a database but its own, so that nobody holds a lock on what is to be dropped.

    connection_reset_wait_seconds: how long Redshift is left alone after it ended ours, too.
    """

    connection_reset_wait_seconds = IntParameter(default=60)
    host: ClassVar[Any] = Wanted()
    database: ClassVar[Any] = Wanted()
    user: ClassVar[Any] = Wanted()
    password: ClassVar[Any] = Wanted()

    @property
    def table(self) -> str:
        """What the marker is of: the class."""
        return type(self).__name__

    @property
    def update_id(self) -> str:
        """The name of the update, unique in the database."""
        return self.task_id

    def output(self) -> Any:
        """The marker."""
        return _update(self)

    def run(self) -> None:
        """End the sessions, and mark it."""
        connection = self.output().connect()
        try:
            try:
                connection.cursor().execute(
                    "select pg_terminate_backend(process) from STV_SESSIONS where db_name=%s and user_name != 'rdsdb' "
                    "and process != pg_backend_pid()",
                    (self.database,),
                )
                connection.commit()
            except postgres.driver().DatabaseError as error:
                if "EOF" not in str(error):
                    raise
                connection.close()
                log.info("Redshift ended this session, too: %s s until the next", self.connection_reset_wait_seconds)
                time.sleep(self.connection_reset_wait_seconds)
                connection = self.output().connect()
            self.output().touch(connection)
            connection.commit()
        finally:
            connection.close()


class RedshiftQuery(postgres.PostgresQuery):
    """A statement for Redshift, in one transaction with its marker (unless ``autocommit``)."""

    def output(self) -> Any:
        """The update."""
        return _update(self)


class RedshiftUnloadTask(postgres.PostgresQuery, _CredentialsMixin):
    """The rows of ``query()`` into files of S3, by UNLOAD."""

    s3_unload_path: ClassVar[Any] = ""
    unload_options: ClassVar[Any] = "DELIMITER '|' ADDQUOTES GZIP ALLOWOVERWRITE PARALLEL ON"
    unload_query: ClassVar[Any] = "UNLOAD ( '{query}' ) TO '{s3_unload_path}' credentials '{credentials}' {unload_options};"

    def run(self) -> None:
        """Have Redshift write the files, and mark it."""
        query: Any = self.query() if callable(self.query) else self.query
        statement = self.unload_query.format(
            query=query.replace("'", r"\'"),
            s3_unload_path=self.s3_unload_path,
            unload_options=self.unload_options,
            credentials=self._credentials(),
        )
        connection = self.output().connect()
        try:
            cursor = connection.cursor()
            log.info("rows are unloaded for %s", self.task_id)
            cursor.execute(statement)
            log.info("Redshift says: %s", cursor.statusmessage)
            self.output().touch(connection)
            connection.commit()
        finally:
            connection.close()

    def output(self) -> Any:
        """The update."""
        return _update(self)


def _execute(connection: Any, statement: str) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()


def _finds(connection: Any, statement: str, values: Iterable[str]) -> bool:
    cursor = connection.cursor()
    try:
        cursor.execute(statement, values)
        return bool(cursor.fetchone())
    finally:
        cursor.close()

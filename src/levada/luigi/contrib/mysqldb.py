"""Luigi's `MySqlTarget` and `CopyToTable`, over mysql-connector-python, or PyMySQL where that is what is installed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from typing import Any

from . import rdbms
from ._clients import FromConfig, client

log = logging.getLogger("luigi-interface")

_NO_SUCH_TABLE, _TABLE_EXISTS = 1146, 1050


@cache
def driver() -> Any:
    """The driver's module. Raises TargetError when none is installed."""
    return client("mysql.connector", "pymysql", wanted="MySQL", install="mysql-connector-python")


def _number(error: BaseException) -> int:
    """The server's number of an error, however the driver calls it."""
    said: Any = getattr(error, "errno", None) or next(iter(error.args), 0)
    return said if isinstance(said, int) else 0


class MySqlTarget(rdbms.MarkedTarget):
    """An update of a table in MySQL or MariaDB. More keywords are the driver's own, for its connections."""

    marker_table: Any = FromConfig("mysql", "marker-table", "table_updates")
    DEFAULT_DB_PORT = 3306

    def __init__(self, host: str, database: str, user: str, password: str, table: str, update_id: str, **cnx_kwargs: Any) -> None:
        super().__init__(host, database, user, password, table, update_id)
        self.host, port = rdbms.split_host(host, None, self.DEFAULT_DB_PORT)
        self.port, self.cnx_kwargs = int(port), cnx_kwargs

    def connect(self, autocommit: bool = False) -> Any:
        """A connection of the driver."""
        return driver().connect(
            user=self.user,
            password=self.password,
            host=self.host,
            port=self.port,
            database=self.database,
            autocommit=autocommit,
            **self.cnx_kwargs,
        )

    def _own_connection(self) -> Any:
        return self.connect(autocommit=True)

    def _errors(self) -> type[Exception]:
        found: type[Exception] = driver().Error
        return found

    def _says_absent(self, error: Exception) -> bool:
        return _number(error) == _NO_SUCH_TABLE

    def _says_there(self, error: Exception) -> bool:
        return _number(error) == _TABLE_EXISTS

    def _mark(self, connection: Any) -> None:
        connection.cursor().execute(
            f"INSERT INTO {self.marker_table} (update_id, target_table) VALUES (%s, %s) "  # noqa: S608 - the authors' table
            "ON DUPLICATE KEY UPDATE update_id = VALUES(update_id)",
            (self.update_id, self.table),
        )

    def _make_table(self, connection: Any) -> None:
        connection.cursor().execute(
            f"CREATE TABLE {self.marker_table} (id BIGINT(20) NOT NULL AUTO_INCREMENT, update_id VARCHAR(128) NOT NULL, "
            "target_table VARCHAR(128), inserted TIMESTAMP DEFAULT NOW(), PRIMARY KEY (update_id), KEY id (id))"
        )


class CopyToTable(rdbms.CopyToTable):
    """Rows into a table of MySQL, in one transaction with their marker; the table is made where it is not there."""

    def rows(self) -> Iterable[Sequence[Any]]:
        """The rows, a value a column; here the lines of the input, split at tabs."""
        with self.input().open("r") as lines:
            for line in lines:
                yield line.strip("\n").split("\t")

    @property
    def bulk_size(self) -> int:
        """Rows that are in memory, and sent, together."""
        return 10_000

    def output(self) -> Any:
        """The update."""
        return MySqlTarget(
            host=self.host, database=self.database, user=self.user, password=self.password, table=self.table, update_id=self.update_id
        )

    def copy(self, cursor: Any, file: Any = None) -> None:
        """Add the rows."""
        names = ",".join(column if isinstance(column, str) else column[0] for column in self.columns)
        statement = f"INSERT INTO {self.table} ({names}) VALUES ({','.join(['%s'] * len(self.columns))})"  # noqa: S608 - names of the authors
        rows = iter(self.rows())
        while some := list(islice(rows, self.bulk_size)):
            cursor.executemany(statement, some)

    def run(self) -> None:
        """Load the rows; all of them are there afterwards, or none."""
        if not (self.table and self.columns):
            raise ValueError(f"{type(self).__name__}: table and columns name where the rows go, and one is empty")
        connection = self.output().connect()
        try:
            try:
                self._load(connection)
            except driver().Error as error:
                if _number(error) != _NO_SUCH_TABLE:
                    raise
                log.info("table %s is made", self.table)
                connection.rollback()
                self._make_own_table(connection)
                self._load(connection)
            self.output().touch(connection)
            connection.commit()
        finally:
            connection.close()

    def _make_own_table(self, connection: Any) -> None:
        try:
            self.create_table(connection)
        except driver().Error as error:
            if _number(error) != _TABLE_EXISTS:  # another load made it meanwhile
                raise

    def _load(self, connection: Any) -> None:
        cursor = connection.cursor()
        self.init_copy(connection)
        self.copy(cursor)
        self.post_copy(connection)
        if self.enable_metadata_columns:
            self.post_copy_metacolumns(cursor)

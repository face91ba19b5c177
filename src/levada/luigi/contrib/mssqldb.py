"""Luigi's `MSSqlTarget`, over pymssql's own connections."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from . import rdbms
from ._clients import FromConfig, client

log = logging.getLogger("luigi-interface")

_NO_SUCH_TABLE, _TABLE_EXISTS = 208, 2714


@cache
def driver() -> Any:
    """The driver's module. Raises TargetError when it is not installed."""
    return client("pymssql._mssql", wanted="SQL Server", install="pymssql")


class MSSqlTarget(rdbms.MarkedTarget):
    """An update of a table in Microsoft SQL Server."""

    marker_table: Any = FromConfig("mssql", "marker-table", "table_updates")
    DEFAULT_DB_PORT = 1433

    def __init__(self, host: str, database: str, user: str, password: str, table: str, update_id: str) -> None:
        super().__init__(host, database, user, password, table, update_id)
        self.host, port = rdbms.split_host(host, None, self.DEFAULT_DB_PORT)
        self.port = int(port)

    def connect(self) -> Any:
        """A connection of the driver, which commits each statement."""
        return driver().connect(user=self.user, password=self.password, server=self.host, port=self.port, database=self.database)

    def _errors(self) -> type[Exception]:
        found: type[Exception] = driver().MSSQLException
        return found

    def _says_absent(self, error: Exception) -> bool:
        return getattr(error, "number", None) == _NO_SUCH_TABLE

    def _says_there(self, error: Exception) -> bool:
        return getattr(error, "number", None) == _TABLE_EXISTS

    def _own_connection(self) -> Any:
        return self.connect()

    def _is_marked(self, connection: Any) -> bool:
        try:
            found = connection.execute_row(f"SELECT 1 FROM {self.marker_table} WHERE update_id = %s", (self.update_id,))  # noqa: S608
        except self._errors() as error:
            if self._says_absent(error):
                return False
            raise
        return found is not None

    def _mark(self, connection: Any) -> None:
        connection.execute_non_query(
            f"MERGE INTO {self.marker_table} WITH (HOLDLOCK) AS old USING (SELECT %(update_id)s AS update_id) AS new "  # noqa: S608
            "ON old.update_id = new.update_id "
            "WHEN MATCHED THEN UPDATE SET target_table = %(table)s, inserted = GETDATE() "
            "WHEN NOT MATCHED THEN INSERT (update_id, target_table) VALUES (%(update_id)s, %(table)s);",
            {"update_id": self.update_id, "table": self.table},
        )

    def _make_table(self, connection: Any) -> None:
        connection.execute_non_query(
            f"CREATE TABLE {self.marker_table} (id BIGINT NOT NULL IDENTITY(1,1), update_id VARCHAR(128) NOT NULL, "
            "target_table VARCHAR(128), inserted DATETIME DEFAULT(GETDATE()), PRIMARY KEY (update_id))"
        )

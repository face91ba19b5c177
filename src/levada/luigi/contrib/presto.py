"""Luigi's targets and tasks of Presto, over PyHive."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from time import sleep
from typing import Any, ClassVar, cast

from levada.errors import TargetError, TargetUnreachable
from levada.luigi.target import Target
from levada.params import FloatParameter, IntParameter, Parameter
from levada.task import Config, Register

from . import rdbms
from ._clients import client as needed

log = logging.getLogger("luigi-interface")


class presto(Config):
    """Where Presto is: ``[presto]`` of the configuration. poll_interval: seconds between questions after a query's progress."""

    host = Parameter(default="localhost")
    port = IntParameter(default=8090)
    user = Parameter(default="anonymous")
    catalog = Parameter(default="hive")
    password = Parameter(default=None)
    protocol = Parameter(default="https")
    poll_interval = FloatParameter(default=1.0)


class PrestoClient:
    """Runs queries and follows them. connection: PyHive's. sleep_time: seconds between two looks."""

    def __init__(self, connection: Any, sleep_time: float = 1) -> None:
        self.sleep_time, self._connection = sleep_time, connection
        self._status: Mapping[str, Any] = {}

    @property
    def percentage_progress(self) -> float:
        """How much of the query is done; 0.1 as long as it is not known."""
        found: float = self._status.get("stats", {}).get("progressPercentage", 0.1)
        return found

    @property
    def info_uri(self) -> str | None:
        """The page of the query."""
        return self._status.get("infoUri")

    def execute(self, query: str, parameters: Sequence[Any] | None = None, mode: str | None = None) -> Iterator[Any]:
        """Run a query to its end. mode "watch" (or None) gives what Presto says of its progress, "fetch" the rows."""
        if mode not in (None, "watch", "fetch"):
            raise ValueError(f'mode is "watch" or "fetch", got {mode!r}')
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(query, parameters)
            while True:
                sleep(self.sleep_time)
                status = cursor.poll()
                if not status:
                    break
                self._status = status
                if mode != "fetch":
                    yield status
            if mode == "fetch":
                yield from cursor.fetchall()


class WithPrestoClient(Register):
    """Metaclass of tasks whose ``_client`` is a `PrestoClient`: its connection gets what the task's attributes of the same names say."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> Any:
        """A class with ``_client``."""
        namespace.setdefault("_client", property(_client_of))
        return super().__new__(mcs, name, bases, namespace, **kwargs)


def _client_of(task: Any) -> PrestoClient:
    module = needed("pyhive.presto", wanted="Presto", install="'pyhive[presto]'")
    names = inspect.getfullargspec(module.Cursor.__init__)[0][1:]
    values = {name: getattr(task, name) for name in names}
    return PrestoClient(module.Connection(**{name: value for name, value in values.items() if value}))


class PrestoTarget(Target):
    """A table, or a partition of one: ``{"day": "2024-02-29"}``. It exists when there are rows in it."""

    remote = True

    def __init__(self, client: PrestoClient, catalog: str, database: str, table: str, partition: Mapping[str, Any] | None = None) -> None:
        self.catalog, self.database, self.table, self.partition = catalog, database, table, partition
        self._client = client
        self._count: int | None = None

    def __str__(self) -> str:
        return self.table

    @property
    def _count_query(self) -> tuple[str, list[Any]]:
        wanted: Mapping[Any, Any] = self.partition or cast("Mapping[Any, Any]", {1: 1})
        clauses = " AND ".join(f"{column} = %s" for column in wanted)
        place = f"{self.catalog}.{self.database}.{self.table}"
        return f"SELECT COUNT(*) AS cnt FROM {place} WHERE {clauses} LIMIT 1", list(wanted.values())  # noqa: S608 - names of the authors

    def count(self) -> int:
        """How many rows there are; asked again as long as there are none."""
        if not self._count:
            query, values = self._count_query
            self._count = int(next(iter(self._client.execute(query, values, mode="fetch")))[0])
        return self._count

    def exists(self) -> bool:
        """Whether there are rows; False where there is no such table. Raises TargetUnreachable where Presto gives no answer."""
        try:
            return self.count() > 0
        except TargetError:
            raise
        except Exception as cause:  # PyHive's, and requests'
            if self._says_absent(cause):
                return False
            where = f"{self.catalog}.{self.database}.{self.table}"
            raise TargetUnreachable(where, cause, hint="Is Presto up, and may this user read the table?") from cause

    def _says_absent(self, error: Exception) -> bool:
        said: Any = getattr(error, "message", None) or next(iter(error.args), "")
        text = str(said.get("message", "")) if isinstance(said, Mapping) else str(said)
        place = re.escape(f"{self.catalog}.{self.database}.{self.table}")
        return re.match(rf"line \d+:\d+: Table '?{place}'? does not exist", text) is not None


class PrestoTask(rdbms.Query, metaclass=WithPrestoClient):
    """A query of Presto that fills its table. A subclass says database, table and query; the rest is ``[presto]`` of the configuration."""

    query = cast("Any", None)
    source: ClassVar[Any] = "pyhive"
    partition: ClassVar[Any] = None
    session_props: ClassVar[Any] = None
    requests_session: ClassVar[Any] = None
    requests_kwargs: ClassVar[Any] = {"verify": False}
    _tracking_url_set = False

    @property
    def host(self) -> Any:
        """Where Presto is."""
        return presto().host

    @property
    def port(self) -> Any:
        """Its port."""
        return presto().port

    @property
    def user(self) -> Any:
        """Who asks."""
        return presto().user

    @property
    def username(self) -> Any:
        """Who asks, as PyHive calls it."""
        return self.user

    @property
    def password(self) -> Any:
        """The password, which wants TLS."""
        return presto().password

    @property
    def catalog(self) -> Any:
        """The catalog of the table."""
        return presto().catalog

    @property
    def schema(self) -> Any:
        """The schema, as PyHive calls the database."""
        return self.database

    @property
    def poll_interval(self) -> Any:
        """Seconds between two looks."""
        return presto().poll_interval

    @property
    def protocol(self) -> Any:
        """https where there is a password."""
        return "https" if self.password else presto().protocol

    def run(self) -> None:
        """Run the query, and show how it comes along."""
        client: PrestoClient = self._client  # type: ignore[attr-defined]  # the metaclass brings it
        for _ in client.execute(self.query):
            if not self._tracking_url_set:
                self.set_tracking_url(client.info_uri or "")
                self._tracking_url_set = True
            self.set_progress_percentage(client.percentage_progress)

    def output(self) -> PrestoTarget:
        """The table, or its partition."""
        client: PrestoClient = self._client  # type: ignore[attr-defined]  # the metaclass brings it
        return PrestoTarget(client, self.catalog, self.database, self.table, self.partition)

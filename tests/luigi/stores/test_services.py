"""What Luigi's modules say to services that cannot run here: Redshift, Presto, BigQuery, SQL Server, Datadog, Prometheus."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import levada as lv
from levada.errors import TargetError, TargetUnreachable
from levada.luigi.contrib import _clients, bigquery, datadog_metric, esindex, gcs, mssqldb, presto, prometheus_metric, redshift


class Recorder:
    """A connection and its cursor, which remember what they were told."""

    def __init__(self, *answers: Any) -> None:
        self.said: list[Any] = []
        self.answers = list(answers)
        self.autocommit = False

    def cursor(self) -> Recorder:
        return self

    def execute(self, statement: str, values: Any = None) -> None:
        self.said.append(" ".join(statement.split()))

    def fetchone(self) -> Any:
        return self.answers.pop(0) if self.answers else None

    def commit(self) -> None:
        self.said.append("commit")

    def close(self) -> None:
        pass


class Load(redshift.S3CopyToTable):
    host = "cluster"
    database = user = password = "x"
    table = "shop.orders"
    columns = [("day", "DATE"), ("cents", "INT")]
    copy_options = "CSV"
    prune_table, prune_column, prune_date = "shop.orders", "day", "current_date - 3"
    queries = ["analyze shop.orders"]

    def s3_load_path(self) -> str:
        return "s3://shelf/orders/"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCOUNT_ID", "AWS_ARN_ROLE_NAME", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    made = Recorder()
    monkeypatch.setattr(redshift.RedshiftTarget, "connect", lambda self: made)
    monkeypatch.setattr(redshift.RedshiftTarget, "create_marker_table", lambda self: None)
    return made


def test_redshift_loads_and_marks_in_one_transaction(cluster: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schema and table are made where they are not there; the commit is last, and the only one."""
    monkeypatch.setenv("AWS_ACCOUNT_ID", "1234")
    monkeypatch.setenv("AWS_ARN_ROLE_NAME", "loader")
    Load().run()
    assert [statement.split("'")[0].strip() for statement in cluster.said] == [
        "select 1 as schema_exists from pg_namespace where nspname = lower(%s) limit 1",
        "CREATE SCHEMA IF NOT EXISTS shop;",
        "select 1 as table_exists from information_schema.tables where table_schema = lower(%s) and table_name = lower(%s) limit 1",
        "CREATE TABLE shop.orders (day DATE,cents INT )",
        "delete from shop.orders where day >= current_date - 3",
        "COPY shop.orders (day,cents) from",
        "analyze shop.orders",
        "INSERT INTO table_updates (update_id, target_table, inserted) VALUES (%s, %s, %s)",
        "commit",
    ]
    assert "CREDENTIALS 'aws_iam_role=arn:aws:iam::1234:role/loader' CSV ;" in cluster.said[5]


def test_redshift_without_credentials_says_where_they_may_stand(cluster: Recorder) -> None:
    with pytest.raises(NotImplementedError, match=r"aws_arn_role_name.*\[redshift\] of the configuration"):
        Load().run()
    assert "commit" not in cluster.said


class FakePresto:
    """PyHive's connection: a query of three looks."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self.looks: list[Any] = [{"infoUri": "http://page", "stats": {"progressPercentage": 50}}, {"infoUri": "http://page"}, None]

    def cursor(self) -> FakePresto:
        return self

    def execute(self, query: str, values: Any) -> None:
        if isinstance(self.rows, Exception):
            raise self.rows

    def poll(self) -> Any:
        return self.looks.pop(0)

    def fetchall(self) -> Any:
        return self.rows

    def close(self) -> None:
        pass


def presto_target(rows: Any, **options: Any) -> presto.PrestoTarget:
    return presto.PrestoTarget(presto.PrestoClient(FakePresto(rows), sleep_time=0), "hive", "shop", "orders", **options)


def test_a_table_of_presto_exists_when_it_has_rows() -> None:
    assert presto_target([(3,)]).exists()
    assert not presto_target([(0,)], partition={"day": "2024-02-29"}).exists()
    assert not presto_target(Exception({"message": "line 1:15: Table hive.shop.orders does not exist"})).exists()
    assert not presto_target(Exception({"message": "line 1:15: Table 'hive.shop.orders' does not exist"})).exists()
    with pytest.raises(TargetUnreachable, match=r"hive\.shop\.orders.*connection refused"):
        presto_target(Exception("connection refused")).exists()


def test_a_query_of_presto_shows_how_it_comes_along() -> None:
    client = presto.PrestoClient(FakePresto([]), sleep_time=0)
    assert client.percentage_progress == 0.1
    assert [client.percentage_progress for _ in client.execute("select 1")] == [50, 0.1]
    assert client.info_uri == "http://page"
    with pytest.raises(ValueError, match="watch"):
        next(client.execute("select 1", mode="look"))


class Jobs:
    """A client that remembers jobs, and says which tables are there."""

    def __init__(self, *tables: str) -> None:
        self.jobs: list[Any] = []
        self.tables = tables
        self.listings = 0

    def run_job(self, project: str, body: Any, dataset: Any = None) -> None:
        self.jobs.append(body)

    def dataset_exists(self, dataset: Any) -> bool:
        return True

    def list_tables(self, dataset: Any) -> Iterator[str]:
        self.listings += 1
        return iter(self.tables)


jobs = Jobs("orders_1", "orders_3")


class Orders(bigquery.BigQueryLoadTask):
    day = lv.IntParameter()
    source_format = bigquery.SourceFormat.CSV
    uri = "gs://shelf/orders.csv"

    def source_uris(self) -> list[str]:
        return [self.uri]

    def output(self) -> Any:
        client: Any = jobs
        return bigquery.BigQueryTarget("p", "shop", f"orders_{self.day}", client=client)


def test_bigquery_gets_the_job_that_a_task_describes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "jobs", [])
    Orders(day=2).run()
    assert jobs.jobs[0]["configuration"]["load"] == {
        "destinationTable": {"projectId": "p", "datasetId": "shop", "tableId": "orders_2"},
        "encoding": "UTF-8",
        "sourceFormat": "CSV",
        "writeDisposition": "WRITE_EMPTY",
        "sourceUris": ["gs://shelf/orders.csv"],
        "maxBadRecords": 0,
        "ignoreUnknownValues": False,
        "fieldDelimiter": ",",
        "skipLeadingRows": 0,
        "allowJaggedRows": False,
        "allowQuotedNewlines": False,
        "autodetect": True,
    }
    monkeypatch.setattr(Orders, "uri", "s3://shelf/orders.csv")
    with pytest.raises(ValueError, match="gs://, got 's3://shelf"):
        Orders(day=2).run()


def test_tables_of_bigquery_are_found_by_one_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "listings", 0)
    assert list(Orders.bulk_complete([1, 2, 3])) == [1, 3]
    assert jobs.listings == 1


def test_google_is_asked_again_only_where_that_may_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("levada.luigi.contrib.gcp.time.sleep", lambda seconds: None)
    answers: list[Any] = [OSError("lost"), "here"]

    @gcs.gcs_retry
    def ask() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert ask() == "here"
    answers[:] = [KeyError("the user's own"), "never"]
    with pytest.raises(KeyError):
        ask()


class FakeSqlServer(ModuleType):
    """pymssql's inner module: one table of markers."""

    class MSSQLException(Exception):
        number = 208

    def __init__(self) -> None:
        super().__init__("pymssql._mssql")
        self.markers: set[str] | None = None

    def connect(self, **options: Any) -> FakeSqlServer:
        assert options["port"] == 1444
        return self

    def execute_row(self, statement: str, values: tuple[str]) -> Any:
        if self.markers is None:
            raise self.MSSQLException
        return (1,) if values[0] in self.markers else None

    def execute_non_query(self, statement: str, values: Any = None) -> None:
        if statement.startswith("CREATE"):
            self.markers = self.markers or set()
        else:
            assert self.markers is not None
            self.markers.add(values["update_id"])

    def close(self) -> None:
        pass


def test_a_marker_of_sql_server_may_be_set_again(monkeypatch: pytest.MonkeyPatch) -> None:
    module = FakeSqlServer()
    monkeypatch.setattr(mssqldb, "driver", lambda: module)
    target = mssqldb.MSSqlTarget("host:1444", "db", "user", "pass", "orders", "first")
    assert not target.exists()
    target.touch()
    target.touch()
    assert target.exists()


def test_a_job_of_bigquery_is_looked_for_where_it_runs() -> None:
    asked: list[Any] = []
    answers = {"jobReference": {"jobId": "j1", "location": "europe-west6"}, "status": {"state": "DONE"}}

    def request(**words: Any) -> Any:
        asked.append(words)
        return SimpleNamespace(execute=lambda **_: answers)

    client = bigquery.BigQueryClient.__new__(bigquery.BigQueryClient)
    client.client = SimpleNamespace(jobs=lambda: SimpleNamespace(insert=request, get=request))
    assert client.run_job("p", {}) == "j1"
    assert asked[1] == {"projectId": "p", "jobId": "j1", "location": "europe-west6"}


TASK = SimpleNamespace(family="Daily", params={"day": "1"}, time_running=10, updated=15)


def test_prometheus_counts_by_family_and_parameters() -> None:
    pytest.importorskip("prometheus_client", reason="prometheus_client is not installed (levada[server])")
    collector = prometheus_metric.PrometheusMetricsCollector(task_parameters_to_use_in_labels=["day"])
    collector.handle_task_started(TASK)
    collector.handle_task_done(TASK)
    text = collector.generate_latest().decode()
    assert 'luigi_task_started_total{day="1",family="Daily"} 1.0' in text
    assert 'luigi_task_execution_time_seconds{day="1",family="Daily"} 5.0' in text
    with pytest.raises(ValueError, match="tells tasks apart by nothing"):
        prometheus_metric.PrometheusMetricsCollector(use_task_family_in_labels=False)


def test_datadog_hears_of_a_task_that_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    module: Any = ModuleType("datadog")
    module.initialize = lambda **options: heard.append(options["statsd_host"])
    module.api = SimpleNamespace(Event=SimpleNamespace(create=lambda **event: heard.append(event["tags"])))
    module.statsd = SimpleNamespace(
        gauge=lambda name, value, tags: heard.append((name, value)), increment=lambda name, value, tags: heard.append((name, value))
    )
    monkeypatch.setitem(sys.modules, "datadog", module)
    collector = datadog_metric.DatadogMetricsCollector()
    collector.handle_task_done(TASK)
    collector.handle_task_done(SimpleNamespace(time_running=None))
    tags = ["task_name:Daily", "day:1", "task_state:DONE", "environment:development", "application:luigi"]
    assert heard == ["localhost", ("luigi.task.execution_time", 5), ("luigi.task.done", 1), tags]


def test_a_client_that_is_not_installed_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(TargetError, match="Oracle needs no_such_oracle") as told:
        _clients.client("no_such_oracle", wanted="Oracle", install="oracledb")
    assert told.value.hint == "pip install oracledb"


def test_elasticsearch_takes_a_login_in_each_of_its_forms() -> None:
    def url(http_auth: Any) -> str:
        return esindex.ElasticsearchTarget("host", 9200, "index", "doc", "update", http_auth=http_auth).url

    assert [url(("ada", "a:b@c")), url("ada:a:b@c"), url("ada"), url(None)] == [
        "http://ada:a%3Ab%40c@host:9200",
        "http://ada:a%3Ab%40c@host:9200",
        "http://ada:@host:9200",
        "http://host:9200",
    ]

"""Luigi's markers in Redis, MongoDB and search servers, by the spelling of old programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import levada as lv
from levada.contrib import mongodb as house_mongodb
from levada.contrib import redis as house_redis
from levada.contrib.elasticsearch import ElasticsearchTarget as HouseTarget
from levada.contrib.redis import target as redis_clients
from levada.luigi.contrib import esindex, mongodb, redis_store
from tests.contrib.elasticsearch.test_elasticsearch import server as opensearch  # noqa: F401 - a fixture
from tests.contrib.mongodb.test_mongodb import server as ferretdb  # noqa: F401 - a fixture
from tests.contrib.redis.test_redis import server as redis_server  # noqa: F401 - a fixture

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("luigi-markers"), pytest.mark.timeout(240)]


def test_a_marker_of_redis_is_the_houses(redis_server: int, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(redis_clients, "_clients", {})
    made = redis_store.RedisTarget("127.0.0.1", redis_server, 0, "load:1", socket_timeout=5, expire=500)
    assert isinstance(made, house_redis.RedisTarget)
    made.redis_client.flushdb()
    assert (str(made), made.exists()) == ("luigi:load:1", False)
    made.touch()
    made.touch()  # as with Luigi, once more
    assert made.exists()
    assert house_redis.RedisTarget(f"redis://127.0.0.1:{redis_server}/0", "load:1").exists()
    assert 0 < made.redis_client.ttl("luigi:load:1") <= 500
    for client in redis_clients._clients.values():
        client.close()


def test_a_login_of_redis_is_quoted_and_not_shown() -> None:
    made = redis_store.RedisTarget("host", 6379, 2, "first", password="p@ss/word")
    assert made.url == "redis://:p%40ss%2Fword@host:6379/2"
    assert "p%40ss" not in repr(made)


@pytest.fixture
def client(ferretdb: int) -> Iterator[Any]:  # noqa: F811
    pymongo = pytest.importorskip("pymongo", reason="pymongo is not installed (levada[mongodb])")
    made = pymongo.MongoClient(f"mongodb://127.0.0.1:{ferretdb}/")
    made.drop_database("luigi")
    yield made
    made.close()


def test_documents_are_looked_at_over_the_programs_own_client(client: Any) -> None:
    cell = mongodb.MongoCellTarget(client, "luigi", "people", "ada", "address.city")
    assert isinstance(cell, house_mongodb.MongoCellTarget)
    assert isinstance(cell, mongodb.MongoTarget)
    assert (cell.exists(), cell.read(), str(cell)) == (False, None, "luigi/people ada address.city")
    cell.write("London")
    assert (cell.exists(), cell.read()) == (True, "London")
    several = mongodb.MongoRangeTarget(client, "luigi", "people", ["ada", "bob"], "age")
    several.write({"ada": 36, "eve": 1})
    assert (several.exists(), several.read(), several.get_empty_ids()) == (False, {"ada": 36}, {"bob"})
    several.write({"bob": 30})
    assert several.exists()
    assert mongodb.MongoCollectionTarget(client, "luigi", "people").exists()
    assert not mongodb.MongoCollectionTarget(client, "luigi", "nobody").read()
    assert mongodb.MongoCountTarget(client, "luigi", "people", 2).exists()


class Songs(esindex.CopyToIndex):
    """Documents as Luigi's documentation has them: dicts and texts, with an index and a type in them."""

    port = lv.IntParameter()
    number = lv.IntParameter(default=1)
    host = "127.0.0.1"
    index = "luigi-songs"
    doc_type = "song"
    mapping = {"song": {"properties": {"title": {"type": "keyword"}}}}
    marker_index_hist_size = 1

    def docs(self) -> list[Any]:
        return [{"_id": 7, "_index": "luigi-songs", "_type": "song", "title": "one"}, '{"title": "two"}']


def test_a_search_server_takes_documents_and_their_marker(opensearch: str) -> None:  # noqa: F811
    from levada.contrib.elasticsearch.interface import ask

    port = int(opensearch.rpartition(":")[2])
    for index in ("luigi-songs", "update_log"):
        ask(opensearch, "DELETE", f"/{index}")
    task = Songs(port=port)
    assert lv.run(task).exit_code == 0
    assert ask(opensearch, "GET", "/luigi-songs/_count").content["count"] == 2
    assert ask(opensearch, "GET", "/luigi-songs/_doc/7").content["_source"] == {"title": "one"}
    target = task.output()
    assert isinstance(target, HouseTarget)
    assert HouseTarget(opensearch, "luigi-songs", task.task_id, doc_type="song").exists()
    assert lv.run(Songs(port=port, number=2)).exit_code == 0
    assert not target.exists()  # one marker is kept
    assert Songs(port=port, number=2).complete()

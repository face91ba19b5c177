"""Markers in a real Redis: in one step with what they tell of, and set once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from threading import Barrier, Thread
from typing import Any

import pytest

import levada as lv
from levada._plan.existence import Existence
from levada.contrib.redis import RedisTarget, target
from levada.errors import LeaseLost, TargetError, TargetExists, TargetUnreachable, TargetWriteError
from levada.targets import atomic
from levada.testing.conformance import MarkerConformance
from tests.contrib.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("redis")]
redis = pytest.importorskip("redis", reason="redis is not installed (levada[redis])")


@pytest.fixture(scope="session")
def server() -> Iterator[int]:
    """The port of a real Redis; skipped where there is none, which fails a run of CI."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("there is no Redis (Debian: apt-get install redis-server)")
    folder, port = tempfile.mkdtemp(prefix="levada-redis-", dir="/tmp"), free_port()
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        client = redis.Redis(port=port)
        for _ in range(1200):
            try:
                client.ping()
                break
            except redis.exceptions.ConnectionError:
                time.sleep(0.05)
        client.close()
        yield port
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(server: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(target, "_clients", {})
    client = redis.Redis(port=server)
    client.flushall()
    client.close()
    yield f"redis://127.0.0.1:{server}/0"
    for made in target._clients.values():
        made.close()


def test_what_is_queued_and_the_marker_appear_together(url: str) -> None:
    made = RedisTarget(url, "first")
    assert not made.exists()
    with made.writing() as pipeline:
        pipeline.set("number", 1)
        assert not made.exists()
        assert made.client.get("number") is None
    assert made.exists()
    assert made.client.get("number") == b"1"
    assert made.client.hget("luigi:first", "update_id") == b"first"


def test_a_block_that_raises_does_nothing(url: str) -> None:
    made = RedisTarget(url, "first")
    with pytest.raises(KeyError, match="the user's own"), made.writing() as pipeline:
        pipeline.set("number", 1)
        raise KeyError("the user's own")
    assert (made.exists(), made.client.get("number")) == (False, None)


def test_a_lease_that_was_lost_does_nothing(url: str) -> None:
    def lost() -> None:
        raise LeaseLost("numbers", held="1.1", newest="1.2")

    made = RedisTarget(url, "first")
    atomic.set_tag("0badcafe", "1.1", lost)
    try:
        with pytest.raises(LeaseLost), made.writing() as pipeline:
            pipeline.set("number", 1)
    finally:
        atomic.clear_tag()
    assert (made.exists(), made.client.get("number")) == (False, None)


def test_of_writers_at_once_one_wins(url: str) -> None:
    made, start = RedisTarget(url, "first"), Barrier(8)
    told: list[str] = []

    def write(number: int) -> None:
        try:
            with made.writing() as pipeline:
                pipeline.incr("count")
                start.wait()
            told.append("won")
        except TargetExists:
            told.append("lost")

    threads = [Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["lost"] * 7 + ["won"]
    assert made.client.get("count") == b"1"
    with pytest.raises(TargetExists):
        made.touch()


def test_a_command_that_is_refused_takes_the_marker_back(url: str) -> None:
    made = RedisTarget(url, "first")
    with pytest.raises(TargetWriteError, match="WRONGTYPE") as caught, made.writing() as pipeline:
        pipeline.set("number", 1)
        pipeline.lpush("number", 2)
    assert "Redis undoes nothing" in str(caught.value)
    assert not made.exists()
    with pytest.raises(TargetWriteError, match="unknown command"), made.writing() as pipeline:
        pipeline.execute_command("NONSENSE")
    assert not made.exists()


def test_where_the_answer_is_lost_the_marker_tells(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = RedisTarget(url, "first")
    execute = redis.client.Pipeline.execute

    def lost(self: object, *arguments: object, **more: object) -> object:
        execute(self, *arguments, **more)
        raise redis.exceptions.ConnectionError("cut")

    with monkeypatch.context() as patched:
        patched.setattr(redis.client.Pipeline, "execute", lost)
        made.touch()
    assert made.exists()

    def never(self: object, *_: object, **__: object) -> object:
        raise redis.exceptions.ConnectionError("cut")

    with monkeypatch.context() as patched:
        patched.setattr(redis.client.Pipeline, "execute", never)
        with pytest.raises(TargetWriteError, match="cut"):
            RedisTarget(url, "second").touch()


def test_ten_thousand_cost_ten_round_trips(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(0, 10_000, 1000):
        RedisTarget(url, f"u{number}").touch()
    trips: list[int] = []
    execute = redis.client.Pipeline.execute

    def counted(self: object, *arguments: object, **more: object) -> object:
        trips.append(1)
        return execute(self, *arguments, **more)

    monkeypatch.setattr(redis.client.Pipeline, "execute", counted)
    answers = Existence().ask([RedisTarget(url, f"u{number}") for number in range(10_000)])
    assert [at for at, answer in enumerate(answers) if answer] == list(range(0, 10_000, 1000))
    assert len(trips) == 10


def test_markers_of_luigi_count_and_names_are_taken_as_they_are(url: str) -> None:
    client = RedisTarget(url, "first").client
    client.hset("luigi:Load_2013_01_05", mapping={"update_id": "Load_2013_01_05", "date": "2013-01-06T03:00:00"})
    assert RedisTarget(url, "Load_2013_01_05").exists()
    for name in ("with space", "日本語 🌊", "new\nline", "a*b?[c]", "A", "a"):
        made = RedisTarget(url, name, prefix="own")
        assert not made.exists()
        made.touch()
        assert made.exists()


def test_a_marker_may_go_by_itself_or_be_removed(url: str) -> None:
    made = RedisTarget(url, "first", expire=600)
    made.touch()
    assert 590 <= made.client.ttl("luigi:first") <= 600
    made.remove()
    made.remove()
    assert not made.exists()


def test_a_server_that_is_away_or_lets_nobody_in_is_unreachable(url: str) -> None:
    there = RedisTarget(url, "first")
    there.touch()
    away = RedisTarget(f"redis://levada:hush@127.0.0.1:{free_port()}/0", "first")
    answers = Existence().ask([away, there])
    assert isinstance(answers[0], TargetUnreachable)
    assert answers[1] is True
    assert "Is the server up" in str(answers[0])
    assert "hush" not in str(answers[0])
    for act in (away.exists, away.touch):
        with pytest.raises(TargetUnreachable):
            act()
    with pytest.raises(TargetUnreachable) as caught:
        RedisTarget(url.replace("//", "//nobody:hush@"), "first").exists()
    assert "Look at user and password" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_what_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TargetError, match="is no URL of Redis"):
        RedisTarget("http://host", "first").exists()
    with pytest.raises(ValueError, match="update_id"):
        RedisTarget("redis://host", "")
    with pytest.raises(ValueError, match="seconds"):
        RedisTarget("redis://host", "first", expire=0)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(TargetError) as caught:
        RedisTarget(f"redis://{uuid.uuid4().hex}", "first").exists()
    assert 'pip install "levada[redis]"' in str(caught.value)


class Count(lv.Task):
    url: str

    def output(self) -> RedisTarget:
        return RedisTarget(self.url, self.task_id)

    def run(self) -> None:
        with self.output().writing() as pipeline:
            pipeline.incr("runs")


def test_a_task_is_done_once(url: str) -> None:
    assert lv.run(Count(url=url)).exit_code == 0
    assert lv.run(Count(url=url)).exit_code == 0
    assert RedisTarget(url, "any").client.get("runs") == b"1"


def test_a_forked_child_has_connections_of_its_own(url: str) -> None:
    made = RedisTarget(url, "first")
    assert not made.exists()
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if not made.exists() else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    made.touch()
    assert made.exists()


class TestRedisTarget(MarkerConformance):
    @pytest.fixture(autouse=True)
    def _url(self, url: str) -> None:
        self.url = url

    def make_target(self, name: str) -> Any:
        return RedisTarget(self.url, name)

    def mark(self, target: Any) -> None:
        target.touch()

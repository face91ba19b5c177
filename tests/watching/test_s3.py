"""Buckets of a real server: objects that are dropped, and its own webhook."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import levada as lv
from levada._wire.notices import Notice, read_notice
from levada.targets import stores
from levada.targets.watching import Seen, Wanted, Watching
from tests.contrib.objects import servers
from tests.contrib.objects.servers import Server

from .conftest import urls

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("watched-objects")]
SOON = 30.0


class Sink:
    """What a server posts, read as notices."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.told = threading.Event()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.notices += read_notice(body, dict(self.headers))
                sink.told.set()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture(scope="module")
def weed(sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """SeaweedFS that posts what happens in its buckets."""
    pytest.importorskip("obstore", reason="obstore is not installed")
    home = tmp_path_factory.mktemp("home")
    (home / ".seaweedfs").mkdir()
    words = f'enabled = true\nendpoint = "http://127.0.0.1:{sink.port}/events"\npath_prefixes = ["/buckets"]\n'
    (home / ".seaweedfs" / "notification.toml").write_text(f"[notification.webhook]\n{words}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        with servers.seaweed() as server:
            yield server


@pytest.fixture
def bucket(weed: Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"watched-{abs(hash(request.node.name)) % 10**8}"
    weed.make_bucket(name)
    for key, value in weed.environment.items():
        monkeypatch.setenv(key, value)
    stores._drop("s3")
    yield f"s3://{name}"
    stores._drop("s3")


def look_for(watching: Watching, count: int, seconds: float = SOON) -> list[Seen]:
    end, seen = time.monotonic() + seconds, list[Seen]()
    while time.monotonic() < end and len(seen) < count:
        seen += watching.look(time.monotonic())
        watching.wait(min(1.0, watching.next_look() - time.monotonic()))
    return seen


def test_objects_are_told_as_they_come(bucket: str) -> None:
    watching = Watching()
    try:
        watching.want(
            [
                Wanted(f"{bucket}/in/{{day}}/part-*.csv", True, 2),
                Wanted(f"{bucket}/in/größe ✓/a+b.csv", False, 2),
                Wanted(f"{bucket}/in/1/part-0.csv", False, 2),
                Wanted(f"{bucket}/in/1", False, 2),
            ]
        )
        assert look_for(watching, 1, 1) == []
        for key in ("in/1/part-0.csv", "in/1/other.csv", "in/2/part-ä 7.csv", "in/größe ✓/a+b.csv"):
            lv.FileTarget(f"{bucket}/{key}").write_text("x")
        seen = look_for(watching, 4)
        assert urls(seen) == sorted([f"{bucket}/in/1/part-0.csv"] * 2 + [f"{bucket}/in/2/part-ä 7.csv", f"{bucket}/in/größe ✓/a+b.csv"])
        groups = {one.url: dict(one.groups).get("day") for one in seen if one.groups}
        assert groups == {f"{bucket}/in/1/part-0.csv": "1", f"{bucket}/in/2/part-ä 7.csv": "2"}
        assert all(one.etag for one in seen if one.groups)
        lv.FileTarget(f"{bucket}/in/1/part-0.csv", mode="replace").write_text("other")
        assert [one.url for one in look_for(watching, 1)] == [f"{bucket}/in/1/part-0.csv"]
        assert watching.troubles() == {}
    finally:
        watching.close()


def test_a_bucket_that_is_not_there_is_a_trouble_beside_one_that_is(bucket: str) -> None:
    watching = Watching()
    try:
        watching.want([Wanted("s3://nobody-has-this/in/{x}.csv", True), Wanted(f"{bucket}/in/{{x}}.csv", True, 1)])
        lv.FileTarget(f"{bucket}/in/1.csv").write_text("x")
        assert len(look_for(watching, 1)) == 1
        look_for(watching, 1, 1)
        assert list(watching.troubles()) == ["s3://nobody-has-this/in"]
    finally:
        watching.close()


def test_what_the_server_posts_names_the_object_and_a_nudge_finds_it(bucket: str, sink: Sink) -> None:
    """The clock alone would ask once an hour."""
    watching, pattern = Watching(), f"{bucket}/in/{{day}}/{{name2}}.csv"
    try:
        watching.want([Wanted(pattern, True, 3600)])
        now = 0.0
        while now < 5000:  # the first quick looks pass, by a clock that runs ahead
            assert watching.look(now) == []
            watching.wait(0.05)
            now = max(now + 1, watching.next_look())
        for number, key in enumerate(("in/1/a b+c.csv", "in/2/größe.csv")):
            sink.told.clear()
            lv.FileTarget(f"{bucket}/{key}").write_text("x")
            seen, end = list[Seen](), time.monotonic() + SOON
            while not seen and time.monotonic() < end:
                sink.told.wait(0.5)
                sink.told.clear()
                watching.nudge([url for notice in sink.notices for url in notice.urls])
                now += 0.5
                seen = watching.look(now)
            assert urls(seen) == [f"{bucket}/{key}"], number
        posted = {url for notice in sink.notices for url in notice.urls if url.startswith(bucket) and url.endswith(".csv")}
        assert posted == {f"{bucket}/in/1/a b+c.csv", f"{bucket}/in/2/größe.csv"}
    finally:
        watching.close()


def test_many_targets_in_few_prefixes(bucket: str, tmp_path: Path) -> None:
    watching = Watching()
    try:
        watching.want(Wanted(f"{bucket}/p{number % 20}/{number}.csv", False, 5) for number in range(2000))
        assert look_for(watching, 1, 2) == []
        for number in range(0, 2000, 100):
            lv.FileTarget(f"{bucket}/p{number % 20}/{number}.csv").write_text("x")
        assert len(look_for(watching, 20)) == 20
    finally:
        watching.close()

"""Markers and documents in a real OpenSearch."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import levada as lv
from levada._plan.existence import Existence
from levada.contrib.elasticsearch import CopyToIndex, ElasticsearchTarget, interface, target
from levada.errors import LeaseLost, TargetError, TargetExists, TargetUnreachable, TargetWriteError
from levada.targets import atomic
from levada.testing.conformance import MarkerConformance
from tests.conftest import extra
from tools.opensearch import Missing, cached

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("opensearch"), pytest.mark.timeout(240)]


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/_cluster/health?wait_for_status=yellow&timeout=1s", timeout=5).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a real OpenSearch; skipped where it was not fetched, which fails a run of CI."""
    try:
        classes = cached()
    except Missing as reason:
        pytest.skip(extra(f"no OpenSearch: {reason}"))
    if shutil.which("java") is None:
        pytest.skip("there is no Java (Debian: apt-get install openjdk-17-jdk-headless)")
    folder, (port, transport) = tempfile.mkdtemp(prefix="levada-opensearch-", dir="/tmp"), free_ports()
    with open(f"{folder}/log", "wb") as log:
        process = subprocess.Popen(
            ["java", "-Xmx400m", "-XX:+UseSerialGC", "-cp", classes, "OpenSearchNode", folder, str(port), str(transport)],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 180
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"OpenSearch did not start:\n{Path(folder, 'log').read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def markers(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an index of markers that is absent."""
    return f"markers-{uuid.uuid4().hex}"


@pytest.fixture
def index() -> str:
    """The name of an index that is absent."""
    return f"flights-{uuid.uuid4().hex}"


class TestElasticsearchTarget(MarkerConformance):
    @pytest.fixture(autouse=True)
    def _place(self, server: str, markers: str) -> None:
        self.url, self.markers = server, markers

    def make_target(self, name: str) -> Any:
        return ElasticsearchTarget(self.url, "numbers", name, marker_index=self.markers)

    def mark(self, target: Any) -> None:
        target.touch()


class Load(CopyToIndex):
    url: str
    index: str
    marker_index: str
    count: int = 4321

    chunk_size = 1000
    mapping = {"properties": {"number": {"type": "integer"}, "name": {"type": "keyword"}}}

    def docs(self) -> Iterator[Mapping[str, Any]]:
        return ({"number": number, "name": f"ü{number}"} for number in range(self.count))


def count(url: str, index: str) -> int:
    return int(interface.ask(url, "GET", f"/{index}/_count").content["count"])


def test_documents_are_loaded_once_and_another_attempt_replaces_them(server: str, index: str, markers: str) -> None:
    task = Load(url=server, index=index, marker_index=markers)
    assert lv.run(task).exit_code == 0
    assert count(server, index) == 4321
    with pytest.raises(TargetExists):
        task.run()
    task.output().remove()  # as if it had been killed before the marker
    assert lv.run(task).exit_code == 0
    assert count(server, index) == 4321


def test_an_index_is_purged_where_that_is_wished(server: str, index: str, markers: str) -> None:
    class Renewed(Load):
        purge_existing_index = True

    Load(url=server, index=index, marker_index=markers).run()
    Renewed(url=server, index=index, marker_index=markers, count=5).run()
    assert count(server, index) == 5


def test_a_document_that_is_refused_is_named_and_there_is_no_marker(server: str, index: str, markers: str) -> None:
    class Wrong(Load):
        def docs(self) -> Iterator[Mapping[str, Any]]:
            yield from super().docs()
            yield {"_id": "own", "number": "many"}

    task = Wrong(url=server, index=index, marker_index=markers)
    with pytest.raises(TargetWriteError, match=r"document 4,322: 400 mapper_parsing_exception.*'own'"):
        task.run()
    assert not task.complete()


def test_a_lease_that_was_lost_sets_no_marker(server: str, markers: str) -> None:
    def lost() -> None:
        raise LeaseLost("numbers", held="1.1", newest="1.2")

    made = ElasticsearchTarget(server, "numbers", "first", marker_index=markers)
    atomic.set_tag("0badcafe", "1.1", lost)
    try:
        with pytest.raises(LeaseLost):
            made.touch()
    finally:
        atomic.clear_tag()
    assert not made.exists()


def test_where_the_answer_is_lost_the_marker_tells(server: str, markers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ElasticsearchTarget(server, "numbers", "first", marker_index=markers)
    real = interface.ask

    def lost(url: str, method: str, *more: Any, **options: Any) -> interface.Answer:
        answer = real(url, method, *more, **options)
        if method == "PUT":
            raise interface.NoAnswer("cut")
        return answer

    monkeypatch.setattr(target, "ask", lost)
    made.touch()
    with pytest.raises(TargetExists):
        made.touch()
    assert made.exists()


def test_a_server_that_is_away_costs_its_own_targets_alone(server: str, markers: str) -> None:
    there = ElasticsearchTarget(server, "numbers", "first", marker_index=markers)
    there.touch()
    away = ElasticsearchTarget(f"http://levada:hush@127.0.0.1:{free_ports()[0]}", "numbers", "first", marker_index=markers)
    found = Existence().ask([away, there])
    assert isinstance(found[0], TargetUnreachable)
    assert "hush" not in str(found[0])
    assert found[1] is True
    for act in (away.touch, away.remove):
        with pytest.raises(TargetWriteError):
            act()


def test_who_is_not_let_in_is_told_so() -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = b'{"error":{"type":"security_exception","reason":"missing authentication credentials"},"status":401}'
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Refusing) as refusing:
        Thread(target=refusing.handle_request).start()
        with pytest.raises(TargetUnreachable, match="401 security_exception") as caught:
            ElasticsearchTarget(f"http://127.0.0.1:{refusing.server_port}", "numbers", "first").exists()
    assert "Look at user and password" in str(caught.value)


@pytest.mark.parametrize("url", ["", "host:9200", "ftp://host"])
def test_a_url_that_is_none_is_told(url: str) -> None:
    with pytest.raises(TargetError, match="is no URL of a search server"):
        ElasticsearchTarget(url, "numbers", "first").exists()


def test_the_id_of_a_marker_is_luigis() -> None:
    made = ElasticsearchTarget("http://host", "example", "ExampleIndex__99914b932b")
    assert made.marker_index_document_id() == "9aa6fe485faa6ea59ec2d29c27b2c64b3189ffc0"  # of "example:default:..."

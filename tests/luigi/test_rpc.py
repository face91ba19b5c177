"""A scheduler object behind HTTP, and the client of it: luigid's protocol from both sides."""

from __future__ import annotations

import socket
import socketserver
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest

from levada.luigi import rpc, server
from levada.luigi.rpc import RemoteScheduler, RPCError
from levada.luigi.scheduler import DONE, Scheduler


@pytest.fixture(params=["port", "Unix socket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    app = server.app(Scheduler(stable_done_cooldown_secs=0))
    path = str(tmp_path / "socket")
    (one,) = server._listen(app, 0, "127.0.0.1", None if request.param == "port" else path)
    thread = threading.Thread(target=one.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{one.server_address[1]}/" if request.param == "port" else f"http+unix://{quote(path, safe='')}"
    one.shutdown()
    one.server_close()
    thread.join()


def test_a_scheduler_elsewhere_answers_as_one_that_is_here(url: str) -> None:
    desk = RemoteScheduler(url)
    desk.add_task(worker="w", task_id="b", deps=["a"], params={"umlaut": "ü&="})
    desk.add_task(worker="w", task_id="a")
    assert desk.get_work(worker="w", host="here")["task_id"] == "a"
    desk.add_task(worker="w", task_id="a", status=DONE)
    work = desk.get_work(worker="w")
    assert (work["task_id"], work["task_params"]) == ("b", {"umlaut": "ü&="})
    assert desk.ping(worker="w") == {"rpc_messages": []}
    assert desk.is_paused() == {"paused": False}
    desk.close()


def test_a_verb_that_is_none_and_a_wrong_argument_are_refused(url: str) -> None:
    desk = RemoteScheduler(url)
    desk._rpc_retry_attempts = 1
    for verb, arguments in (("no_verb", {}), ("_tidy", {}), ("add_task", {"task_id": "a"})):
        with pytest.raises(RPCError, match="could not be reached"):
            desk._request(f"/api/{verb}", arguments)
    with pytest.raises(TypeError, match="missing"):
        desk.add_worker("w")
    desk.close()


def test_a_scheduler_that_is_away_is_asked_again_and_then_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        desk = RemoteScheduler(f"http://127.0.0.1:{taken.getsockname()[1]}")  # bound, and nobody listens
        pauses: list[float] = []
        monkeypatch.setattr("time.sleep", pauses.append)
        with pytest.raises(RPCError, match="3 attempts failed") as told:
            desk.ping(worker="w")
    assert pauses == [30, 30]
    assert isinstance(told.value.sub_exception, desk._fetcher.raises)
    desk.close()


class _Refuses(BaseHTTPRequestHandler):
    asked = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked += 1
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def address_string(self) -> str:
        return ""  # a Unix socket has none


class _UnixServer(socketserver.UnixStreamServer):
    server_name, server_port = "here", 0


@pytest.fixture(params=["requests", "standard library", "Unix socket"])
def refusing(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(rpc, "HAS_REQUESTS", request.param == "requests")
    if request.param == "requests":
        pytest.importorskip("requests")
    path = str(tmp_path / "s")
    by_path = request.param == "Unix socket"
    one: Any = _UnixServer(path, _Refuses) if by_path else HTTPServer(("127.0.0.1", 0), _Refuses)
    thread = threading.Thread(target=one.serve_forever, args=(0.01,))
    thread.start()
    yield f"http+unix://{quote(path, safe='')}" if by_path else f"http://luigi:s3cr3t@127.0.0.1:{one.server_address[1]}"
    one.shutdown()
    one.server_close()
    thread.join()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_told_at_once_without_the_token(
    refusing: str, status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("waits for an answer that is there"))
    desk = RemoteScheduler(f"{refusing}/{status}")
    before = _Refuses.asked
    with pytest.raises(RPCError, match=f"(?s)answers {status}: .*token.*levada token create") as told:
        desk.ping(worker="w")
    assert _Refuses.asked == before + 1
    assert "s3cr3t" not in f"{told.value} {told.value.sub_exception} {caplog.text}"
    desk.close()


def test_a_login_in_the_url_goes_into_a_header() -> None:
    request = rpc.URLLibFetcher()._create_request("http://me:secret@host:1/api/ping", {"a": "b c"})
    assert (request.full_url, request.data) == ("http://host:1/api/ping", b"a=b+c")
    assert request.get_header("Authorization") == "Basic bWU6c2VjcmV0"


def test_pages_that_are_not_there_and_the_one_that_is() -> None:
    app = server.app(Scheduler())
    assert app.answer("GET", "/", {}, b"").headers["Location"] == "static/visualiser/index.html"
    assert b"levada server" in app.answer("GET", "/static/visualiser/index.html", {}, b"").body
    assert [app.answer(*one, {}, b"").status for one in (("HEAD", "/"), ("GET", "/x"), ("POST", "/"), ("GET", "/api/x"))] == [
        204,
        404,
        405,
        404,
    ]
    assert app.answer("OPTIONS", "/api/ping", {"Origin": "http://other"}, b"").headers == {}  # not unless [cors] allows it


def test_a_port_that_is_taken_is_told_of() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Exception, match=r"port \d+ .* cannot be listened to"):
        server._listen(server.app(Scheduler()), taken.getsockname()[1], "127.0.0.1", None)


def test_a_server_answers_until_it_is_stopped_and_writes_its_state(tmp_path: Path) -> None:
    desk = Scheduler(state_path=str(tmp_path / "state"))
    desk.add_task(worker="w", task_id="a")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"api_port": port, "address": "127.0.0.1", "scheduler": desk})
    thread.start()
    try:
        for _ in range(500):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/graph") as answer:
                    assert b'"a"' in answer.read()
                break
            except HTTPError:
                raise
            except OSError:
                threading.Event().wait(0.01)
        else:
            pytest.fail("the server never listened")
    finally:
        server.stop()
        thread.join()
    after = Scheduler(state_path=str(tmp_path / "state"))
    after.load()
    assert set(after.task_list("", "")) == {"a"}

"""Who is slow, who floods, who waits, who listens: each within its bound, the others unharmed."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from levada._server.http.port import Health
from levada._server.http.serve import WebServer
from levada._server.http.settings import Bind, Limits, Settings
from levada._wire import messages as m
from levada._wire.operators import Event

from .fake_host import FakeHost
from .raw import KEY, Got, Raw, read, request

Start = Callable[[Limits], Raw]
SYNC = {"session": KEY, "seq": 1}
RENEW = {"session": KEY, "held": [[KEY, 1, 2]]}


@pytest.fixture
def start(host: FakeHost) -> Iterator[Start]:
    """Starts a server with these limits."""
    with ExitStack() as ends:

        def starting(limits: Limits) -> Raw:
            web = WebServer(host, Settings(binds=(Bind("127.0.0.1", 0),), limits=limits), version="9.9")
            web.start()
            ends.callback(web.stop)
            return Raw(web.port)

        yield starting


def until(true: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- slow ones --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"POST /v1/sync HTTP/1.1\r\nHost: loc",
        request("POST", "/v1/sync", b"", token="worker", headers={"Content-Length": "99"}) + b'{"session"',
        b"\r\n",
    ],
    ids=["silent", "in the head", "in the body", "blank"],
)
@pytest.mark.slow
def test_who_is_too_slow_is_cut_off(begin: bytes, start: Start, host: FakeHost) -> None:
    raw = start(Limits(slow=0.5, idle=0.5))
    with raw.open() as sock:
        sock.sendall(begin)
        data = b"".join(iter(lambda: sock.recv(65_536), b""))
    assert data.startswith(b"HTTP/1.1 408") if len(begin) > 2 else b"200" not in data
    assert host.calls == []
    assert raw.call("GET", "/v1/status").status == 200


def test_a_byte_now_and_then_does_not_count_as_progress(start: Start) -> None:
    raw = start(Limits(slow=0.5))
    with raw.open() as sock:
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011  # whichever: the peer has closed
            for byte in request("POST", "/v1/sync", b"x" * 1000, token="worker"):
                sock.sendall(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - began < 20


def test_who_does_not_read_is_cut_off(start: Start, host: FakeHost) -> None:
    host.answers[m.Specs] = lambda _: b'{"tasks":["%s"]}' % (b"x" * 1_000_000)
    raw = start(Limits(slow=0.5))
    with raw.open() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(request("POST", "/v1/specs", {"session": KEY, "keys": []}, token="worker") * 20)
        until(lambda: b"levada_http_connections 1.0" in raw.call("GET", "/metrics").body)


# -- floods -----------------------------------------------------------------------------------------


def test_connections_are_bounded_in_all_and_by_address(start: Start) -> None:
    raw = start(Limits(connections_per_address=3))
    socks = [raw.open() for _ in range(3)]
    assert raw.call("GET", "/livez").code == "busy"
    socks.pop().close()
    until(lambda: _taken(raw))
    for sock in socks:
        sock.close()


def _taken(raw: Raw) -> bool:
    try:
        return raw.call("GET", "/livez").status == 200
    except OSError:
        return False


def test_wrong_tokens_are_slowed_and_right_ones_of_the_same_address_are_not(start: Start) -> None:
    raw = start(Limits(logins=10))
    codes = [raw.call("GET", "/v1/status", token="lvd_wrong").code for _ in range(15)]
    assert codes == ["unauthenticated"] * 10 + ["too-many-logins"] * 5
    assert int(raw.call("GET", "/v1/status", token="lvd_wrong").headers["retry-after"]) > 0
    assert raw.call("GET", "/v1/status").status == 200


def test_a_token_has_a_rate_and_renewals_have_their_own(start: Start) -> None:
    raw = start(Limits(rate=0.01, burst=3))
    got = [raw.call("POST", "/v1/sync", SYNC, token="worker") for _ in range(5)]
    assert [each.status for each in got] == [200, 200, 200, 429, 429]
    assert int(got[-1].headers["retry-after"]) > 10
    assert raw.call("POST", "/v1/renew", RENEW, token="worker").status == 200
    assert raw.call("GET", "/v1/status", token="viewer").status == 200


def test_a_full_mailbox_refuses_work_and_takes_renewals(start: Start, host: FakeHost) -> None:
    raw = start(Limits())
    host.full = True
    got = raw.call("POST", "/v1/sync", SYNC, token="worker")
    assert (got.status, got.code, got.headers["retry-after"]) == (503, "busy", "1")
    assert raw.call("POST", "/v1/renew", RENEW, token="worker").status == 200


def test_renewals_are_not_queued_behind_work(start: Start, host: FakeHost) -> None:
    raw = start(Limits())
    host.delay = 0.05
    with ExitStack() as opened:
        for _ in range(40):
            sock = opened.enter_context(raw.open())
            sock.sendall(request("POST", "/v1/sync", SYNC, token="worker"))
        until(lambda: host.calls)
        raw.call("POST", "/v1/renew", RENEW, token="worker")
        done = [type(call.request) for call in host.calls]
    assert done.index(m.Renew) < 30


def test_a_host_that_does_not_answer_is_not_waited_for_without_end(start: Start, host: FakeHost) -> None:
    raw = start(Limits(late=0.2))
    host.submit = lambda call: None  # type: ignore[method-assign]
    assert raw.call("GET", "/v1/status").code == "late"


def test_an_answer_that_comes_late_harms_nobody(start: Start, host: FakeHost) -> None:
    raw = start(Limits(late=0.2))
    host.delay = 1.6
    with raw.open() as sock:
        sock.sendall(request("GET", "/v1/status"))
        assert read(sock).code == "late"
        host.delay = 0
        sock.sendall(request("GET", "/v1/whoami"))
        assert read(sock).json["role"] == "admin"
        until(lambda: host.calls)
        sock.sendall(request("GET", "/v1/whoami"))
        assert read(sock).json["role"] == "admin"


# -- long polls ---------------------------------------------------------------------------------------


def test_a_long_poll_ends_when_there_is_something_to_say(start: Start, host: FakeHost) -> None:
    raw = start(Limits())
    with raw.open() as sock:
        sock.sendall(request("POST", "/v1/sync", {**SYNC, "wait": 30}, token="worker"))
        until(lambda: host.held)
        assert b"levada_http_long_polls 1.0" in raw.call("GET", "/metrics").body
        host.held[0].answer(m.SyncAnswer(epoch=7))
        assert read(sock).json == {"epoch": 7}
    assert not host.held[0].gone


def test_a_question_may_wait_too(start: Start, host: FakeHost) -> None:
    """A GET has a body, too, which is empty; its end is not the client's."""
    assert start(Limits()).call("GET", f"/v1/log/{KEY}?wait=5").status == 200


def test_a_client_that_goes_while_it_waits_is_told_to_the_host(start: Start, host: FakeHost) -> None:
    raw = start(Limits())
    with raw.open() as sock:
        sock.sendall(request("POST", "/v1/sync", {**SYNC, "wait": 30}, token="worker"))
        until(lambda: host.held)
    until(lambda: host.held[0].gone)
    host.held[0].answer(m.SyncAnswer(epoch=7))
    assert raw.call("GET", "/v1/status").status == 200


def test_long_polls_are_bounded(start: Start, host: FakeHost) -> None:
    raw = start(Limits(long_polls=2))
    with raw.open() as one, raw.open() as two:
        for sock in (one, two):
            sock.sendall(request("POST", "/v1/sync", {**SYNC, "wait": 30}, token="worker"))
        until(lambda: len(host.held) == 2)
        assert raw.call("POST", "/v1/sync", {**SYNC, "wait": 30}, token="worker").code == "too-many-waiting"
        assert raw.call("POST", "/v1/sync", SYNC, token="worker").status == 200


def test_a_wait_beyond_the_limit_is_refused(raw: Raw) -> None:
    assert raw.call("POST", "/v1/sync", {**SYNC, "wait": 61}, token="worker").code == "invalid-message"


# -- streams ----------------------------------------------------------------------------------------


def listening(raw: Raw, path: str = "/v1/events") -> socket.socket:
    sock = raw.open()
    sock.sendall(request("GET", path, token="viewer"))
    text = b""
    try:
        while b"event: open" not in text:
            piece = sock.recv(65_536)
            text += piece
            assert piece, text
            assert text.startswith(b"HTTP/1.1 200"), text
    except BaseException:
        sock.close()
        raise
    assert b"content-type: text/event-stream" in text
    return sock


def heard(sock: socket.socket, end: bytes) -> bytes:
    """What is sent until these bytes come, the last part of it."""
    text = b""
    while end not in text:
        piece = sock.recv(262_144)
        assert piece, text
        text = text[-1_000:] + piece
    return text


def test_changes_reach_all_who_listen(start: Start, host: FakeHost) -> None:
    raw = start(Limits())
    with listening(raw) as one, listening(raw, "/v1/events?family=B") as two:
        host.tell(Event(kind="task", key=KEY, family="A", status="done"), Event(kind="task", key=KEY, family="B", status="failed"))
        assert b'"family":"A","status":"done"' in heard(one, b"failed")
        assert b'"family":"A"' not in heard(two, b"failed")


def test_a_slow_reader_is_told_of_a_gap_and_holds_nobody_up(start: Start, host: FakeHost) -> None:
    raw = start(Limits(stream_queue=50))
    with listening(raw) as slow, listening(raw) as quick:
        gaps = threading.Event()

        def read_on() -> None:
            heard(quick, b"the end")
            gaps.set()

        reader = threading.Thread(target=read_on, daemon=True)
        reader.start()
        for _ in range(200):  # more than kernels buffer
            host.tell(*[Event(kind="task", key=KEY, text="x" * 20_000)] * 10)
            time.sleep(0.001)
        host.tell(Event(kind="server", text="the end"))
        assert gaps.wait(20)
        assert b"event: gap" in heard(slow, b"event: gap")
        assert raw.call("GET", "/v1/status").status == 200


def test_streams_are_bounded(start: Start) -> None:
    raw = start(Limits(streams=1))
    with listening(raw):
        got = raw.call("GET", "/v1/events")
        assert (got.code, got.status) == ("too-many-waiting", 503)
    until(lambda: _opens(raw))


def _opens(raw: Raw) -> bool:
    try:
        listening(raw).close()
    except AssertionError:
        return False
    return True


def test_streams_end_when_the_server_stops(host: FakeHost) -> None:
    web = WebServer(host, Settings(binds=(Bind("127.0.0.1", 0),)), version="9.9")
    web.start()
    with listening(Raw(web.port)) as sock:
        began = time.monotonic()
        web.stop()
        assert time.monotonic() - began < 4
        assert b"".join(iter(lambda: sock.recv(65_536), b"")).endswith(b"0\r\n\r\n")


# -- health ----------------------------------------------------------------------------------------


def test_probes_tell_alive_from_ready_and_no_more(raw: Raw, host: FakeHost) -> None:
    def probes() -> list[tuple[int, bytes]]:
        return [_both(raw.call("GET", path, token=None)) for path in ("/livez", "/readyz")]

    assert probes() == [(200, b"ok\n"), (200, b"ok\n")]
    host.state = Health(True, False, "stands by for /var/lib/levada")
    assert probes() == [(200, b"ok\n"), (503, b"no\n")]
    host.state = Health(False, False)
    assert probes() == [(503, b"no\n"), (503, b"no\n")]


def _both(got: Got) -> tuple[int, bytes]:
    return got.status, got.body


def test_the_metrics_page_shows_requests_and_the_figures_of_the_host(raw: Raw) -> None:
    raw.call("POST", "/v1/sync", SYNC, token="worker")
    raw.call("GET", "/v1/status", token=None)
    got = raw.call("GET", "/metrics", token="viewer")
    for line in (
        'levada_http_requests_total{route="sync",status="200"} 1.0',
        'levada_http_requests_total{route="overview",status="401"} 1.0',
        'levada_http_refused_total{code="unauthenticated"} 1.0',
        'levada_http_seconds_count{route="sync"} 1.0',
        'levada_tasks{status="ready"} 3.0',
        "levada_commits_total 7.0",
    ):
        assert line in got.body.decode()


def test_the_page_of_the_interface_lists_every_route(raw: Raw) -> None:
    from levada._wire.routes import PAGES, ROUTES

    page = json.loads(raw.call("GET", "/openapi.json", token="viewer").body)
    listed = {(method.upper(), path) for path, methods in page["paths"].items() for method in methods}
    assert listed == {(route.method, route.path) for route in ROUTES} | {("GET", path) for path in PAGES}

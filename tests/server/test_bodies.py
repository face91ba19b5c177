"""Bad input over a real socket: each a clear refusal, the server unmoved, other clients unharmed."""

from __future__ import annotations

import json
import time

import pytest

from levada._server.http.serve import WebServer
from levada._wire.limits import BODY

from .examples import BODIES
from .fake_host import FakeHost
from .raw import KEY, Raw, read, request

SYNC = {"session": KEY, "seq": 1}
BAD_BODIES = {
    "no JSON": (b"{", "malformed"),
    "two values": (json.dumps(SYNC).encode() * 2, "malformed"),
    "no UTF-8": (b'{"session": "\xff"}', "malformed"),
    "a lone surrogate": (b'{"session": "\\ud800"}', "malformed"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "malformed"),
    "a million brackets": (b"[" * 1_000_000, "invalid-message"),
    "NaN": (b'{"session": NaN}', "malformed"),
    "a huge number": (json.dumps({**SYNC, "seq": 10**400}).encode(), "invalid-message"),
    "a number of 65 bits": (json.dumps({**SYNC, "seq": 2**64}).encode(), "invalid-message"),
    "a fraction": (json.dumps({**SYNC, "seq": 1.5}).encode(), "invalid-message"),
    "a truth for a number": (json.dumps({**SYNC, "seq": True}).encode(), "invalid-message"),
    "an unknown field": (json.dumps({**SYNC, "more": 1}).encode(), "invalid-message"),
    "a missing field": (b"{}", "invalid-message"),
    "an empty body": (b"", "invalid-message"),
    "a list": (b"[]", "invalid-message"),
    "null": (b"null", "invalid-message"),
    "a short key": (json.dumps({**SYNC, "found": ["ab"]}).encode(), "invalid-message"),
    "a key in capitals": (json.dumps({**SYNC, "found": [KEY.upper()]}).encode(), "invalid-message"),
    "an item too long": (json.dumps({**SYNC, "done": [[KEY, 1, 2, 3]]}).encode(), "invalid-message"),
    "too many items": (json.dumps({**SYNC, "found": [KEY] * 4_097}).encode(), "invalid-message"),
    "an escaped NUL": (
        json.dumps({**SYNC, "handed_back": [{"key": KEY, "epoch": 1, "number": 1, "reason": "a\0b"}]}).encode(),
        "invalid-message",
    ),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_refused_with_its_reason(name: str, raw: Raw, host: FakeHost) -> None:
    body, code = BAD_BODIES[name]
    got = raw.call("POST", "/v1/sync", body, token="worker")
    assert got.code == code, got
    assert got.json["detail"]
    assert host.calls == []


@pytest.mark.parametrize("size", [BODY + 1, BODY + 20_000_000])
def test_a_huge_body_is_refused_and_the_client_reads_why(size: int, raw: Raw, host: FakeHost) -> None:
    got = raw.call("POST", "/v1/sync", b" " * size, token="worker")
    assert (got.code, got.headers["connection"]) == ("too-large", "close")
    assert host.calls == []


def test_a_huge_body_in_chunks_is_refused_and_the_client_reads_why(raw: Raw, host: FakeHost) -> None:
    head = request("POST", "/v1/sync", b"", token="worker", headers={"Content-Length": "", "Transfer-Encoding": "chunked"})
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    assert raw.send(head + chunk * 20).code == "too-large"
    assert host.calls == []


def test_a_body_in_chunks_is_a_body(raw: Raw, host: FakeHost) -> None:
    body = json.dumps(SYNC).encode()
    head = request("POST", "/v1/sync", b"", token="worker", headers={"Content-Length": "", "Transfer-Encoding": "chunked"})
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    assert raw.send(head + pieces + b"0\r\n\r\n").status == 200
    assert host.calls[0].size == len(body)


def test_a_stranger_with_a_huge_body_is_not_read(raw: Raw, host: FakeHost) -> None:
    """The refusal comes before the first byte of the body."""
    head = request("POST", "/v1/sync", b"", token=None, headers={"Content-Length": "16000000"})
    assert raw.send(head).code == "unauthenticated"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/sync HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/sync HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"POST /v1/sync HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\r\n\r\n\r\nnonsense\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(data: bytes, raw: Raw, host: FakeHost) -> None:
    got = raw.send(data)
    assert 400 <= got.status < 500
    assert got.code
    assert host.calls == []


def test_an_endless_head_is_refused(raw: Raw) -> None:
    got = raw.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 100) for n in range(1_000)))
    assert got.code == "headers-too-large"


def test_an_endless_header_is_refused(raw: Raw) -> None:
    with raw.open() as sock:
        try:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 2_000_000)
        except OSError:
            pass
        assert read(sock).code == "headers-too-large"


def test_long_requests_after_one_another_are_no_long_head(raw: Raw) -> None:
    """What is counted is the head of one request, not what came over the connection."""
    body = json.dumps({**SYNC, "found": [KEY] * 4_000}).encode()
    with raw.open() as sock:
        for _ in range(5):
            sock.sendall(request("POST", "/v1/sync", body, token="worker"))
            assert read(sock).status == 200


def test_requests_may_follow_without_waiting_for_answers(raw: Raw, host: FakeHost) -> None:
    with raw.open() as sock:
        sock.sendall(b"".join(request("POST", "/v1/sync", {**SYNC, "seq": n}, token="worker") for n in range(1, 20)))
        data = b""
        while data.count(b"HTTP/1.1 200") < 19:
            data += sock.recv(65_536)
    assert [call.request.seq for call in host.calls] == list(range(1, 20))


@pytest.mark.parametrize(
    "query", ["limit=x", "limit=0", "limit=1001", "more=1", "limit=1&limit=2", "q=%ff", "q=%00", "limit", "status=odd", "&&&"]
)
def test_a_bad_query_is_refused(query: str, raw: Raw, host: FakeHost) -> None:
    assert raw.call("GET", f"/v1/tasks?{query}").status in (400, 422)
    assert host.calls == []


@pytest.mark.parametrize("path", ["/v1/tasks/" + KEY.upper(), "/v1/tasks/x", "/v1/tasks/..%2f..", "/v1/log/%ff", "/v1/tasks/" + "a" * 31])
def test_a_path_that_names_no_key_is_refused(path: str, raw: Raw, host: FakeHost) -> None:
    assert raw.call("GET", path).status in (400, 422)
    assert host.calls == []


def test_names_in_paths_may_hold_any_letters_but_no_control_characters(raw: Raw, host: FakeHost) -> None:
    assert raw.call("PUT", "/v1/resources/caf%C3%A9%2Fdisk%20%F0%9F%8C%8A", {"total": 1}).status == 200
    assert host.calls[0].request.name == "café/disk 🌊"
    assert raw.call("PUT", "/v1/resources/a%0Ab", {"total": 1}).code == "invalid-message"


def test_a_field_of_the_path_may_not_stand_in_the_body(raw: Raw) -> None:
    assert raw.call("PUT", "/v1/resources/a", {"total": 1, "name": "b"}).code == "invalid-message"


def test_a_client_that_goes_in_the_middle_leaves_nothing_behind(raw: Raw, host: FakeHost, web: WebServer) -> None:
    data = request("POST", "/v1/sync", BODIES and SYNC, token="worker")
    for cut in range(1, len(data), 9):
        with raw.open() as sock:
            sock.sendall(data[:cut])
    assert raw.call("GET", "/v1/status").status == 200
    deadline = time.monotonic() + 5
    while b"levada_http_connections 1.0" not in raw.call("GET", "/metrics").body:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [type(call.request).__name__ for call in host.calls] == ["Overview"]


def test_a_host_that_fails_shows_no_trace(raw: Raw, host: FakeHost, caplog: pytest.LogCaptureFixture) -> None:
    def fail(call: object) -> None:
        raise RuntimeError("SELECT secret FROM /var/lib/levada/store.sqlite")

    host.submit = fail  # type: ignore[method-assign]
    got = raw.call("GET", "/v1/status")
    assert (got.status, got.code) == (500, "internal")
    assert b"SELECT" not in got.body
    assert b"/var" not in got.body
    assert b"Traceback" not in got.body
    assert got.json["id"] in [getattr(record, "id", "") for record in caplog.records]


def test_troubles_of_the_store_show_no_places(raw: Raw, host: FakeHost) -> None:
    from levada._wire import operators as o
    from levada.errors import StoreBroken, StoreFull

    for error, status in ((StoreFull("/var/lib/levada: no space"), 507), (StoreBroken("/dev/sda: EIO"), 503)):
        host.answers[o.Pause] = lambda _, error=error: error
        got = raw.call("POST", "/v1/pause", {})
        assert got.status == status
        assert b"/var" not in got.body
        assert b"/dev" not in got.body
        assert got.json["id"]

"""Log lines: one object a line whatever outsiders send, and no credential in any of them."""

from __future__ import annotations

import json
import logging
import socket
import time

import pytest

from levada._server.http.logs import JsonLines
from levada._wire import triggers as t

from .fake_host import TOKENS, FakeHost
from .raw import Raw, request


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "\x7f", "\x9b", "\u2028", "\ud800", "x" * 100_000, '"}\n{"level":"error"'])
def test_a_line_stays_one_line_of_plain_text(text: str) -> None:
    record = logging.makeLogRecord({"msg": "refused", "name": "levada", "levelname": "INFO", "address": text})
    line = JsonLines().format(record)
    assert len(line.splitlines()) == 1
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in line)
    assert len(line) < 10_000
    assert json.loads(line)["level"] == "info"


def test_a_trace_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("levada.test").exception("failed")
    assert "ValueError: why" in json.loads(JsonLines().format(caplog.records[0]))["trace"]


def test_no_credential_is_logged(raw: Raw, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    raw.call("GET", "/v1/status")
    raw.call("GET", "/v1/status", token="lvd_a_wrong_one_that_may_be_nearly_right")
    path = raw.call("POST", "/v1/login-link", {}).json["path"]
    cookie = raw.call("GET", path, token=None).headers["set-cookie"]
    raw.call("POST", "/v1/pause", {}, token=None, headers={"Cookie": cookie.partition(";")[0]})
    written = "\n".join(JsonLines().format(record) for record in caplog.records)
    assert "refused" in written
    for secret in (TOKENS["admin"], "nearly_right", path.partition("=")[2], cookie.partition(";")[0].partition("=")[2]):
        assert secret not in written


def test_a_client_that_goes_amid_requests_in_a_row_is_no_mistake_of_ours(
    raw: Raw, host: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer under way is that of an earlier request than the last."""
    long = t.TriggersAnswer([], "x" * (1 << 20))
    host.answers[t.Triggers] = lambda asked: long
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    sock.connect(("127.0.0.1", raw.port))
    sock.sendall(request("GET", "/v1/triggers") * 20)
    time.sleep(0.5)  # what was answered fills the way to it
    sock.close()
    time.sleep(0.5)
    assert [line.message for line in caplog.records if line.levelno >= logging.ERROR] == []
    assert raw.call("GET", "/v1/whoami").status == 200


def test_who_speaks_no_http_does_not_fill_the_log(raw: Raw, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(100):
        assert raw.send(b"\x16\x03\x01\r\n\r\n").code == "malformed"
    assert len(caplog.records) < 30


def test_a_flood_of_refusals_does_not_flood_the_log(raw: Raw, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(200):
        raw.call("GET", "/v1/status", token="lvd_wrong")
    assert 10 < len(caplog.records) < 100

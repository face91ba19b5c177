"""Notices over HTTP: in the words of stores, with a token or signed."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from levada._server.http.serve import WebServer
from levada._server.http.settings import Bind, Settings
from levada._wire import triggers as t
from levada._wire.notices import sign

from .fake_host import TOKENS, FakeHost
from .raw import Raw

SECRET = b"between us"
RECORD = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "awsRegion": "eu-west-1",
    "eventName": "ObjectCreated:Put",
    "eventTime": "2024-01-01T00:00:00.000Z",
    "s3": {"bucket": {"name": "in"}, "object": {"key": "a+b/2024-01-01.csv", "size": 3, "eTag": "e", "sequencer": "0A"}},
}
BODY = json.dumps({"Records": [RECORD]}).encode()


@pytest.fixture
def web(host: FakeHost) -> Any:
    web = WebServer(host, Settings(binds=(Bind("127.0.0.1", 0),), notices_secret=SECRET), version="9.9")
    web.start()
    yield web
    web.stop()


def post(raw: Raw, body: bytes = BODY, **headers: str) -> Any:
    return raw.call("POST", "/v1/notices", body, token=None, headers={name.replace("_", "-"): value for name, value in headers.items()})


def told(host: FakeHost) -> list[tuple[str, list[str]]]:
    requests = [call.request for call in host.calls]
    return [(one.name, one.urls) for request in requests if isinstance(request, t.Notices) for one in request.notices]


@pytest.mark.parametrize("kind", ["application/json", "text/plain; charset=UTF-8", "application/cloudevents+json"])
def test_a_notice_of_s3_comes_in_with_a_token(kind: str, host: FakeHost, raw: Raw) -> None:
    got = post(raw, authorization=f"Bearer {TOKENS['operator']}", content_type=kind)
    assert got.status == 200
    assert told(host) == [("s3:ObjectCreated:Put", ["s3://in/a b/2024-01-01.csv"])] or told(host)[0][1] == ["s3://in/a b/2024-01-01.csv"]
    assert host.calls[0].identity.token == "id-operator"


def test_a_sender_that_knows_passwords_alone_gives_the_token_as_one(host: FakeHost, raw: Raw) -> None:
    text = base64.b64encode(f"anybody:{TOKENS['operator']}".encode()).decode()
    assert post(raw, authorization=f"Basic {text}").status == 200
    assert len(told(host)) == 1
    assert raw.call("POST", "/v1/pause", {}, token=None, headers={"Authorization": f"Basic {text}"}).code == "unauthenticated"
    assert post(raw, authorization="Basic ###").code == "unauthenticated"


@pytest.mark.parametrize("role", ["viewer", "worker", None])
def test_others_are_not_heard(role: str | None, host: FakeHost, raw: Raw) -> None:
    got = post(raw, **({"authorization": f"Bearer {TOKENS[role]}"} if role else {}))
    assert got.code == ("forbidden" if role else "unauthenticated")
    assert host.calls == []


def test_a_signed_notice_needs_no_token(host: FakeHost, raw: Raw) -> None:
    assert post(raw, **sign(BODY, SECRET, time.time())).status == 200
    assert (host.calls[0].identity.role, host.calls[0].identity.token) == ("operator", "signed")


@pytest.mark.parametrize(
    "headers",
    [sign(BODY, b"another", 1.0), sign(BODY, SECRET, 1.0), sign(BODY + b" ", SECRET, 4e9), {"Levada-Signature": "v1=00"}],
    ids=["secret", "old", "body", "timeless"],
)
def test_what_is_not_signed_well_is_refused(headers: dict[str, str], host: FakeHost, raw: Raw) -> None:
    assert post(raw, **headers).code == "unauthenticated"
    assert host.calls == []


def test_without_a_secret_no_signature_counts(host: FakeHost) -> None:
    web = WebServer(host, Settings(binds=(Bind("127.0.0.1", 0),)), version="9.9")
    web.start()
    try:
        assert post(Raw(web.port), **sign(BODY, SECRET, time.time())).code == "unauthenticated"
    finally:
        web.stop()


def test_what_is_no_notice_is_refused_with_what_is_wrong(host: FakeHost, raw: Raw) -> None:
    for body in (b"", b"{", b"[]", b'{"hello": 1}', b'{"Records": "x"}'):
        assert post(raw, body, authorization=f"Bearer {TOKENS['operator']}").code in ("malformed", "invalid-message"), body
    assert host.calls == []


def test_event_grid_is_answered_as_it_wishes_before_it_sends(host: FakeHost, raw: Raw) -> None:
    host.answers[t.Notices] = lambda request: t.NoticesAnswer([], 1, request.greeting)
    event = {
        "id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "subject": "", "eventTime": "2024-01-01T00:00:00Z",
        "data": {"validationCode": "512d38b6"}, "dataVersion": "1", "topic": "/x", "metadataVersion": "1",
    }  # fmt: skip
    got = post(raw, json.dumps([event]).encode(), authorization=f"Bearer {TOKENS['operator']}")
    assert got.json["validationResponse"] == "512d38b6"


def test_a_page_in_a_browser_cannot_post_notices_as_a_form(host: FakeHost, raw: Raw) -> None:
    got = post(raw, authorization=f"Bearer {TOKENS['operator']}", content_type="text/plain", sec_fetch_site="same-origin")
    assert got.code == "media-type"
    assert host.calls == []


def test_who_signs_wrongly_again_and_again_is_told_to_stay_away(host: FakeHost, raw: Raw) -> None:
    codes = [post(raw, **sign(BODY, b"another", time.time())).code for _ in range(12)]
    assert codes[0] == "unauthenticated"
    assert codes[-1] == "too-many-logins"
    assert host.calls == []

"""The table of routes with every role: who may, may; who may not, changes nothing."""

from __future__ import annotations

import pytest

from levada._wire.routes import ANYBODY, PAGES, ROLES, ROUTES, Lane, Route

from .examples import body_of, path_of
from .fake_host import FakeHost
from .raw import Raw

IDENTITIES = (None, *ROLES)
CLOSED = [route for route in ROUTES if route.roles is not ANYBODY]
PLAIN = [route for route in CLOSED if route.name != "events"]


@pytest.mark.parametrize("route", PLAIN, ids=repr)
@pytest.mark.parametrize("role", IDENTITIES, ids=str)
def test_each_route_is_open_to_its_roles_and_to_nobody_else(route: Route, role: str | None, host: FakeHost, raw: Raw) -> None:
    got = raw.call(route.method, path_of(route), body_of(route), token=role)
    if role in route.roles:
        assert got.status == 200, got
        assert [type(call.request) for call in host.calls] == ([] if route.lane is Lane.WEB else [route.request])
    else:
        assert got.status == (401 if role is None else 403)
        assert got.code == ("unauthenticated" if role is None else "forbidden")
        assert host.calls == []


@pytest.mark.parametrize("path", [path for path, roles in PAGES.items() if roles])
@pytest.mark.parametrize("role", IDENTITIES, ids=str)
def test_each_page_is_open_to_its_roles_and_to_nobody_else(path: str, role: str | None, raw: Raw) -> None:
    assert raw.call("GET", path, token=role).status == (200 if role in PAGES[path] else 401)


def test_nothing_but_probes_and_the_way_in_is_open_to_strangers() -> None:
    assert {path for path, roles in PAGES.items() if roles is ANYBODY} == {"/", "/livez", "/readyz", "/login"}
    assert [repr(route) for route in ROUTES if route.roles is ANYBODY] == ["POST /v1/login"]


@pytest.mark.parametrize("token", ["lvd_wrong", "lvd_" + "x" * 40, "x" * 40, "", "lvd_" + "x" * 300, "lvd_é" + "x" * 40])
def test_a_wrong_token_opens_nothing(token: str, host: FakeHost, raw: Raw) -> None:
    got = raw.call("GET", "/v1/status", token=token.encode().decode("latin-1") if token.isascii() else "lvd_\xff")
    assert got.code == "unauthenticated"
    assert got.headers["www-authenticate"].startswith("Bearer")
    assert host.calls == []


def test_strangers_are_not_told_which_paths_there_are(raw: Raw) -> None:
    assert {raw.call(method, path, token=None).status for method in ("GET", "POST") for path in ("/v1/nothing", "/v1/status", "/x")} == {
        401
    }


def test_who_is_known_is_told_what_is_missing_and_what_may_be_used(raw: Raw) -> None:
    assert raw.call("GET", "/v1/nothing").code == "not-found"
    got = raw.call("DELETE", "/v1/tasks", {})
    assert (got.code, got.headers["allow"]) == ("wrong-method", "GET, POST")
    assert raw.call("POST", "/metrics", {}).headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("route", [route for route in ROUTES if route.changes], ids=repr)
def test_no_state_changes_by_get(route: Route, host: FakeHost, raw: Raw) -> None:
    for method in ("GET", "HEAD"):
        raw.call(method, path_of(route))
    assert host.changed == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method != "GET" and not route.raw], ids=repr)
@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_that_a_web_form_could_send_is_refused(route: Route, kind: str, host: FakeHost, raw: Raw) -> None:
    headers = {"Content-Type": kind} | ({"Origin": "http://localhost"} if not route.roles else {})
    assert raw.call(route.method, path_of(route), body_of(route), headers=headers).code == "media-type"
    assert host.calls == []


def test_the_host_is_told_who_asks_and_what_the_route_promises(host: FakeHost, raw: Raw) -> None:
    got = raw.call("POST", "/v1/pause", {"reason": "disk"}, token="operator", headers={"Idempotency-Key": "k1"})
    assert got.status == 200
    (call,) = host.calls
    assert (call.identity.role, call.identity.token, call.identity.address) == ("operator", "id-operator", "127.0.0.1")
    assert call.route.audited
    assert call.repeat is not None
    assert call.repeat.key == "id-operator:k1"


def test_one_key_with_another_command_is_told_apart(host: FakeHost, raw: Raw) -> None:
    for body in ({}, {}, {"reason": "x"}):
        raw.call("POST", "/v1/pause", body, headers={"Idempotency-Key": "k"})
    raw.call("POST", "/v1/resume", {}, headers={"Idempotency-Key": "k"})
    digests = [call.repeat.digest for call in host.calls if call.repeat]
    assert digests[0] == digests[1]
    assert len({*digests}) == 3


@pytest.mark.parametrize("key", [" ", "é", "x" * 256, "a\tb"])
def test_an_odd_idempotency_key_is_refused(key: str, host: FakeHost, raw: Raw) -> None:
    got = raw.send(request_with_key(key))
    assert got.status in (200, 422)  # a header of blanks is none
    assert all(call.repeat is None for call in host.calls)


def request_with_key(key: str) -> bytes:
    from .raw import request

    return request("POST", "/v1/pause", {}, headers={"Idempotency-Key": "KEY"}).replace(b"KEY", key.encode())


def test_every_change_by_people_leaves_a_line_in_the_audit_trail() -> None:
    unaudited = {repr(route) for route in ROUTES if route.changes and not route.audited and route.lane is not Lane.WEB}
    of_attempts = {"POST /v1/tasks", "POST /v1/sync", "POST /v1/renew", "POST /v1/confirm", "POST /v1/logs"}
    of_goals = {"POST /v1/agents/take", "POST /v1/agents/report", "POST /v1/agents/arrivals"}
    assert unaudited == of_attempts | of_goals  # attempts and goals tell of these

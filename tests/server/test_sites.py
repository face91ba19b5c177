"""Web pages of others, rebinding of names, proxies that nobody believes (S8 to S11, S21)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product

import pytest

from levada._server.http.serve import WebServer
from levada._server.http.settings import Bind, Settings
from levada._wire.routes import PAGES, ROUTES

from .examples import body_of, path_of
from .fake_host import FakeHost
from .raw import Got, Raw, request

HOSTS = {"localhost": True, "127.0.0.1:{port}": True, "[::1]:9": True, "LOCALHOST:{port}": True} | dict.fromkeys(
    [
        "evil.example",
        "evil.example:{port}",
        "localhost.evil.example",
        "localhost@evil.example",
        "127.0.0.1.nip.io",
        "0.0.0.0",
        "",
        "localhost:x",
        "é",
    ],
    False,
)
SITES = {None: None, "same-origin": True, "none": True, "same-site": False, "cross-site": False, "nonsense": False}
ORIGINS = {None: None, "http://localhost": True} | dict.fromkeys(
    [
        "http://evil.example",
        "null",
        "http://localhost:1",
        "http://localhost.evil.example",
        "file://",
        "ftp://localhost",
        "http://localhost/x",
    ],
    False,
)


@pytest.fixture
def cookie(raw: Raw, web: WebServer) -> str:
    """What a browser holds after its one-time link."""
    path = raw.call("POST", "/v1/login-link", {}, token="operator").json["path"]
    got = raw.call("GET", path, token=None)
    assert got.status == 303
    return got.headers["set-cookie"].partition(";")[0]


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("path", ["/v1/status", "/v1/events", "/login", "/livez", "/metrics", "/nothing"])
def test_only_names_of_this_server_are_answered(name: str, path: str, raw: Raw, host: FakeHost) -> None:
    if HOSTS[name]:
        return
    got = raw.call("GET", path, headers={"Host": name.format(port=raw.port)})
    assert got.code == "wrong-host"
    assert host.calls == []


@pytest.mark.parametrize("name", [name for name, good in HOSTS.items() if good])
def test_names_of_this_server_are_answered_with_any_port(name: str, raw: Raw) -> None:
    assert raw.call("GET", "/v1/status", headers={"Host": name.format(port=raw.port)}).status == 200


def test_two_host_headers_are_refused(raw: Raw) -> None:
    assert raw.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n").status == 400


@pytest.mark.parametrize(("site", "origin"), [*product(SITES, ORIGINS)])
def test_a_cookie_counts_for_pages_of_this_server_alone(
    site: str | None, origin: str | None, raw: Raw, host: FakeHost, cookie: str
) -> None:
    """Changes need a proof that the page is ours; reading must not be possible from a page that is known to be another's."""
    headers = {"Cookie": cookie, "Sec-Fetch-Site": site or "", "Origin": origin or ""}
    same = SITES[site] if site else ORIGINS[origin]
    changed = raw.call("POST", "/v1/pause", {}, token=None, headers=headers)
    assert changed.status == (200 if same else 403)
    assert len(host.changed) == bool(same)
    read = raw.call("GET", "/v1/status", token=None, headers=headers)
    assert read.status == (403 if same is False else 200)


@pytest.mark.parametrize(("site", "origin"), [(s, o) for s, o in product(SITES, ORIGINS) if (SITES[s] if s else ORIGINS[o]) is False])
def test_a_foreign_page_is_refused_with_a_token_too(site: str | None, origin: str | None, raw: Raw, host: FakeHost) -> None:
    headers = {"Sec-Fetch-Site": site or "", "Origin": origin or ""}
    for route in ROUTES:
        got = raw.call(route.method, path_of(route), body_of(route), headers=headers)
        assert got.code == "cross-site", route
        assert not any(name.startswith("access-control") for name in got.headers)
    assert host.calls == []


def test_every_answer_carries_the_guarding_headers(raw: Raw) -> None:
    calls: list[Callable[[], Got]] = [
        lambda: raw.call("GET", "/v1/status"),
        lambda: raw.call("POST", "/v1/pause", {}),
        lambda: raw.call("GET", "/v1/status", token=None),
        lambda: raw.call("GET", "/nothing"),
        lambda: raw.call("GET", "/", headers={"Host": "evil.example"}),
        *(lambda path=path: raw.call("GET", path) for path in PAGES),
    ]
    for call in calls:
        got = call()
        assert got.headers["x-content-type-options"] == "nosniff", got
        assert got.headers["referrer-policy"] == "no-referrer"
        assert "script-src 'self'" in got.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in got.headers["content-security-policy"]
        assert got.headers["cache-control"] == "no-store"
        assert "server" not in got.headers


# -- links and cookies -------------------------------------------------------------------------


def test_a_link_lets_one_browser_in_once(raw: Raw) -> None:
    path = raw.call("POST", "/v1/login-link", {}, token="viewer").json["path"]
    first, second = (raw.call("GET", path, token=None) for _ in range(2))
    assert (first.status, first.headers["location"]) == (303, "/")
    for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert part in first.headers["set-cookie"]
    assert (second.status, second.json["detail"]) == (401, "this link was used already, or is too old")
    assert "token" not in second.json["hint"].lower(), "whoever opened it has none"


def test_a_link_leads_to_a_page_and_what_that_links_to_is_there(raw: Raw, cookie: str) -> None:
    front = raw.call("GET", "/", token=None)
    assert (front.status, front.headers["content-type"]) == (200, "text/html; charset=utf-8")
    links = re.findall(r'href="([^"]+)"', front.body.decode())
    assert {"/readyz", "/metrics", "/openapi.json"} <= set(links)
    for link in links:
        assert raw.call("GET", link, token=None, headers={"Cookie": cookie}).status == 200, link


def test_a_cookie_has_the_role_of_its_link(raw: Raw) -> None:
    path = raw.call("POST", "/v1/login-link", {"role": "viewer"}, token="admin").json["path"]
    cookie = raw.call("GET", path, token=None).headers["set-cookie"].partition(";")[0]
    headers = {"Cookie": f"other=1; {cookie}", "Sec-Fetch-Site": "same-origin"}
    assert raw.call("GET", "/v1/whoami", token=None, headers=headers).json["role"] == "viewer"
    assert raw.call("POST", "/v1/pause", {}, token=None, headers=headers).code == "forbidden"


def test_a_link_gives_no_more_than_its_maker_has(raw: Raw) -> None:
    assert raw.call("POST", "/v1/login-link", {"role": "admin"}, token="operator").code == "forbidden"
    assert raw.call("POST", "/v1/login-link", {"role": "worker"}, token="viewer").code == "forbidden"


def test_a_cookie_ends_with_its_token(raw: Raw, host: FakeHost, cookie: str) -> None:
    headers = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
    assert raw.call("GET", "/v1/status", token=None, headers=headers).status == 200
    host.tokens.replace([])
    assert raw.call("GET", "/v1/status", token=None, headers=headers).status == 401


def test_who_logs_out_is_out(raw: Raw, cookie: str) -> None:
    headers = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
    got = raw.call("POST", "/v1/logout", {}, token=None, headers=headers)
    assert "Max-Age=0" in got.headers["set-cookie"]
    assert raw.call("GET", "/v1/status", token=None, headers=headers).status == 401


def test_a_token_buys_a_cookie_only_on_our_own_page(raw: Raw) -> None:
    from .fake_host import TOKENS

    body = {"token": TOKENS["operator"]}
    assert raw.call("POST", "/v1/login", body, token=None, headers={"Origin": "http://localhost"}).json == {"role": "operator"}
    assert raw.call("POST", "/v1/login", body, token=None).code == "cross-site"
    assert raw.call("POST", "/v1/login", body, token=None, headers={"Origin": "http://evil.example"}).code == "cross-site"
    wrong = raw.call("POST", "/v1/login", {"token": "lvd_x"}, token=None, headers={"Origin": "http://localhost"})
    assert (wrong.code, "set-cookie" in wrong.headers) == ("unauthenticated", False)


# -- other origins and proxies, where they are configured --------------------------------------------


@pytest.fixture
def behind(host: FakeHost) -> Iterator[Raw]:
    """A server that believes a proxy at 127.0.0.1, and one other origin."""
    settings = Settings(
        binds=(Bind("127.0.0.1", 0),),
        hosts=frozenset({"levada.example.org"}),
        origins=frozenset({"https://grafana.example.org"}),
        proxies=frozenset({"127.0.0.0/8"}),
        behind_proxy=True,
        users={"ann": "operator", "*": "viewer"},
    )
    web = WebServer(host, settings, version="9.9")
    web.start()
    yield Raw(web.port)
    web.stop()


def test_one_origin_may_read_with_a_token_and_no_other(behind: Raw) -> None:
    headers = {"Origin": "https://grafana.example.org", "Sec-Fetch-Site": "cross-site"}
    got = behind.call("GET", "/v1/status", headers=headers)
    assert (got.status, got.headers["access-control-allow-origin"]) == (200, "https://grafana.example.org")
    assert "access-control-allow-credentials" not in got.headers
    asked = behind.call("OPTIONS", "/v1/status", token=None, headers={**headers, "Access-Control-Request-Method": "GET"})
    assert (asked.status, asked.headers["access-control-allow-methods"]) == (200, "GET")
    other = behind.call("OPTIONS", "/v1/status", token=None, headers={"Origin": "https://x.org", "Access-Control-Request-Method": "GET"})
    assert other.status == 401
    assert "access-control-allow-origin" not in other.headers


def test_an_allowed_origin_gets_nothing_for_a_cookie(behind: Raw) -> None:
    headers = {"X-Forwarded-User": "ann", "Origin": "https://grafana.example.org", "Sec-Fetch-Site": "cross-site"}
    assert behind.call("GET", "/v1/status", token=None, headers=headers).code == "cross-site"


def test_a_believed_proxy_names_user_address_and_host(behind: Raw, host: FakeHost) -> None:
    headers = {
        "X-Forwarded-User": "ann",
        "X-Forwarded-For": "6.6.6.6, 203.0.113.9, 127.0.0.2",
        "X-Forwarded-Host": "levada.example.org",
        "X-Forwarded-Proto": "https",
        "Origin": "https://levada.example.org",
        "Host": "upstream",
    }
    assert behind.call("POST", "/v1/pause", {}, token=None, headers=headers).status == 200
    who = host.calls[0].identity
    assert (who.role, who.token, who.address) == ("operator", "user:ann", "203.0.113.9")
    assert behind.call("POST", "/v1/pause", {}, token=None, headers={**headers, "Origin": "http://levada.example.org"}).code == "cross-site"
    assert behind.call("POST", "/v1/pause", {}, token=None, headers={**headers, "X-Forwarded-User": "bob"}).code == "forbidden"


def test_what_stands_behind_a_body_is_no_header(behind: Raw, host: FakeHost) -> None:
    """A proxy takes X-Forwarded-User of strangers out of their headers; trailers pass it."""
    head = request("POST", "/v1/pause", b"", token=None, headers={"Content-Length": "", "Transfer-Encoding": "chunked"})
    got = behind.send(head + b"2\r\n{}\r\n0\r\nX-Forwarded-User: ann\r\nSec-Fetch-Site: same-origin\r\n\r\n")
    assert got.code == "unauthenticated"
    assert host.calls == []


@pytest.mark.parametrize("name", ["X-Forwarded-User", "Remote-User", "X-Forwarded-Access-Token"])
def test_forwarded_headers_of_strangers_are_not_believed(name: str, raw: Raw, host: FakeHost) -> None:
    headers = {name: "ann", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "localhost", "Sec-Fetch-Site": "same-origin"}
    assert raw.call("GET", "/v1/status", token=None, headers=headers).status == 401
    assert raw.call("GET", "/v1/status", headers={**headers, "Host": "evil.example"}).code == "wrong-host"
    raw.call("POST", "/v1/pause", {}, headers=headers)
    assert host.calls[0].identity.address == "127.0.0.1"

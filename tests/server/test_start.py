"""Where a server may listen, and how: start matrix (S1), unix socket, TLS, client certificates, the first token (S2, S17, S22)."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from levada._server.http.serve import WebServer
from levada._server.http.settings import Bind, Settings, Tls, refuse_unsafe
from levada._server.http.tokens import TOKEN_FILE, Browsers, TokenTable, digest_of, new_token, own_token
from levada.errors import ConfigError

from .fake_host import TOKENS, FakeHost, row
from .raw import Raw, request

LOOPBACK = ("127.0.0.1:0", "[::1]:0", "localhost:0", "unix:levada.sock", "127.9.9.9:1")
FAR = ("0.0.0.0:0", "[::]:0", "10.0.0.1:1", "example.org:1", "0.0.0.0")


@contextmanager
def serving(host: FakeHost, settings: Settings) -> Iterator[WebServer]:
    web = WebServer(host, settings, version="9.9")
    web.start()
    try:
        yield web
    finally:
        web.stop()


@pytest.mark.parametrize("bind", LOOPBACK + FAR)
@pytest.mark.parametrize("protection", ["nothing", "TLS", "proxy"])
@pytest.mark.parametrize("tokens", [0, 1])
def test_beyond_loopback_needs_a_token_and_tls_or_a_proxy_that_is_vouched_for(bind: str, protection: str, tokens: int) -> None:
    tls = Tls("cert.pem", "key.pem") if protection == "TLS" else None
    settings = Settings(binds=(Bind.parse(bind),), tls=tls, behind_proxy=protection == "proxy")
    if tokens and (bind in LOOPBACK or protection != "nothing"):
        refuse_unsafe(settings, tokens)
    else:
        with pytest.raises(ConfigError):
            refuse_unsafe(settings, tokens)


@pytest.mark.parametrize("text", ["", ":1", "unix:", "host:port", "host:70000", "[::1", "host:-1"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Bind.parse(text)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(origins=frozenset({"*"})),
        Settings(proxies=frozenset({"everywhere"})),
        Settings(users={"ann": "root"}),
        Settings(tls=Tls("a", "b", subjects={"x": "god"})),
    ],
)
def test_settings_that_let_everybody_in_are_refused(settings: Settings) -> None:
    with pytest.raises(ConfigError):
        refuse_unsafe(settings, 1)


def test_a_port_that_is_taken_is_named(host: FakeHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)):
            WebServer(host, Settings(binds=(Bind("127.0.0.1", port),)), version="9.9").start()


def test_who_may_be_another_server_is_asked_for_only_where_something_listens(host: FakeHost, tmp_path: Path) -> None:
    """An address of another machine, and a path that is too long (whose error has no number), are no servers."""
    for bind in (Bind("192.0.2.1", 1), Bind("", path=str(tmp_path / ("x" * 120)))):
        with pytest.raises(ConfigError, match="cannot listen at") as refused:
            WebServer(host, Settings(binds=(bind,), behind_proxy=True), version="9.9").start()
        assert refused.value.hint == "Choose with --bind."
        assert "None" not in refused.value.message


# -- unix socket --------------------------------------------------------------------------------------


def test_a_spare_socket_that_cannot_be_opened_is_gone_without(host: FakeHost, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    long = Bind("", path=str(tmp_path / ("x" * 120)), spare=True)
    with serving(host, Settings(binds=(Bind("127.0.0.1", 0), long))) as web:
        assert web.addresses == [f"http://127.0.0.1:{web.port}"]
    assert "too long; going on without" in caplog.text
    caplog.clear()
    near = Bind("", path=str(tmp_path / "levada.sock"), spare=True)
    with serving(host, Settings(binds=(near,))), serving(host, Settings(binds=(Bind("127.0.0.1", 0), near))) as standby:
        assert standby.addresses == [f"http://127.0.0.1:{standby.port}"]
    assert caplog.text == "", "a standby beside its server is nothing to warn of"


def test_a_unix_socket_is_for_its_owner_alone(host: FakeHost, tmp_path: Path) -> None:
    path = str(tmp_path / "levada.sock")
    before = os.umask(0)
    try:
        with serving(host, Settings(binds=(Bind("", path=path), Bind("127.0.0.1", 0)))) as web:
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            raw = Raw(0, path=path)
            assert raw.call("GET", "/v1/status").status == 200
            assert raw.call("GET", "/v1/status", token=None).status == 401
            assert host.calls[0].identity.address == "unix"
            assert Raw(web.port).call("GET", "/v1/status").status == 200
            assert sorted(web.addresses) == sorted([f"unix:{path}", f"http://127.0.0.1:{web.port}"])
    finally:
        os.umask(before)
    assert not os.path.exists(path)


def test_a_socket_is_told_by_its_whole_path(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of other folders look for it there."""
    monkeypatch.chdir(tmp_path)
    with serving(host, Settings(binds=(Bind("", path="levada.sock"),))) as web:
        assert list(web.addresses) == [f"unix:{tmp_path}/levada.sock"]


def test_the_socket_of_a_dead_server_is_replaced_and_that_of_a_living_one_is_not(host: FakeHost, tmp_path: Path) -> None:
    path = str(tmp_path / "levada.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    settings = Settings(binds=(Bind("", path=path),))
    with serving(host, settings):
        with pytest.raises(ConfigError, match="another server"):
            WebServer(host, settings, version="9.9").start()
        assert Raw(0, path=path).call("GET", "/livez").status == 200


def test_a_file_in_the_place_of_a_socket_is_left_alone(host: FakeHost, tmp_path: Path) -> None:
    path = tmp_path / "levada.sock"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="no socket"):
        WebServer(host, Settings(binds=(Bind("", path=str(path)),)), version="9.9").start()
    assert path.read_text() == "precious"


# -- TLS ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(ca: trustme.CA, tmp_path: Path) -> Tls:
    issued = ca.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for at, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(tmp_path / "cert.pem", append=at > 0)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    files = [str(tmp_path / name) for name in ("cert.pem", "key.pem", "ca.pem")]
    return Tls(*files, subjects={"builder": "worker"})


def client(ca: trustme.CA, **certificate: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if certificate:
        ca.issue_cert("builder.example.org", **certificate).configure_cert(context)
    return context


def test_over_tls_the_cookie_is_secure(host: FakeHost, ca: trustme.CA, tls: Tls) -> None:
    with serving(host, Settings(binds=(Bind("127.0.0.1", 0),), tls=tls)) as web:
        raw = Raw(web.port, tls=client(ca))
        path = raw.call("POST", "/v1/login-link", {}).json["path"]
        cookie = raw.call("GET", path, token=None).headers["set-cookie"]
        assert cookie.startswith("__Host-levada")
        assert "; Secure" in cookie
        assert (
            raw.call("GET", "/v1/status", token=None, headers={"Cookie": cookie.partition(";")[0], "Origin": "https://localhost"}).status
            == 200
        )
        assert (
            raw.call("GET", "/v1/status", token=None, headers={"Cookie": cookie.partition(";")[0], "Origin": "http://localhost"}).status
            == 403
        )


def test_without_tls_nothing_is_answered_where_tls_is_spoken(host: FakeHost, tls: Tls) -> None:
    with serving(host, Settings(binds=(Bind("127.0.0.1", 0),), tls=tls)) as web, socket.create_connection(("127.0.0.1", web.port)) as sock:
        sock.sendall(request("GET", "/v1/status"))
        try:
            assert b"200" not in sock.recv(1000)
        except ConnectionResetError:
            pass
    assert host.calls == []


def test_a_certificate_of_a_client_stands_for_a_role(host: FakeHost, ca: trustme.CA, tls: Tls) -> None:
    with serving(host, Settings(binds=(Bind("127.0.0.1", 0),), tls=tls)) as web:
        headers = {"Sec-Fetch-Site": "none"}
        known = Raw(web.port, tls=client(ca, common_name="builder"))
        assert known.call("GET", "/v1/whoami", token=None).json == {"role": "worker", "token": "certificate:builder", "namespace": ""}
        assert known.call("POST", "/v1/pause", {}, token=None, headers=headers).code == "forbidden"
        unknown = Raw(web.port, tls=client(ca, common_name="admin"))
        assert unknown.call("GET", "/v1/whoami", token=None).status == 401
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Raw(web.port, tls=_stranger(ca)).call("GET", "/livez")


def _stranger(ca: trustme.CA) -> ssl.SSLContext:
    context = client(ca)
    trustme.CA().issue_cert("builder.example.org", common_name="builder").configure_cert(context)
    return context


def test_a_certificate_that_cannot_be_used_is_named(host: FakeHost, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nonsense")
    tls = Tls(str(tmp_path / "cert.pem"), str(tmp_path / "cert.pem"))
    with pytest.raises(ConfigError, match="certificate"):
        WebServer(host, Settings(binds=(Bind("127.0.0.1", 0),), tls=tls), version="9.9").start()


# -- tokens -----------------------------------------------------------------------------------------


def test_the_first_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        text, made = own_token(str(tmp_path))
    finally:
        os.umask(before)
    assert made
    assert own_token(str(tmp_path)) == (text, False)
    assert stat.S_IMODE(os.stat(tmp_path / TOKEN_FILE).st_mode) == 0o600
    assert os.listdir(tmp_path) == [TOKEN_FILE]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_token_that_others_may_read_is_not_used(mode: int, tmp_path: Path) -> None:
    own_token(str(tmp_path))
    os.chmod(tmp_path / TOKEN_FILE, mode)
    with pytest.raises(ConfigError, match="others"):
        own_token(str(tmp_path))


def test_a_link_in_the_place_of_the_token_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("lvd_" + "x" * 43)
    os.symlink(tmp_path / "elsewhere", tmp_path / TOKEN_FILE)
    with pytest.raises(ConfigError):
        own_token(str(tmp_path))


@pytest.mark.parametrize("text", ["", "nonsense", "lvd_", "lvd_" + "x" * 300])
def test_a_file_without_a_token_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / TOKEN_FILE
    path.write_text(text)
    os.chmod(path, 0o600)
    with pytest.raises(ConfigError, match="no token"):
        own_token(str(tmp_path))


def test_a_token_is_long_and_only_its_digest_is_kept() -> None:
    made = new_token()
    assert made.text.startswith("lvd_")
    assert len(made.text) >= 47
    assert made.digest == digest_of(made.text)
    table = TokenTable([row("worker", made.text)])
    assert made.text not in repr(vars(table))
    found = table.find(made.text)
    assert found is not None
    assert found.role == "worker"


def test_expired_and_revoked_tokens_do_not_count_and_uses_are_noted() -> None:
    now = [1000.0]
    rows = [row("viewer", TOKENS["viewer"], expires=2000.0), row("worker", TOKENS["worker"], revoked=5.0)]
    table = TokenTable(rows, clock=lambda: now[0])
    assert table.find(TOKENS["worker"]) is None
    assert table.find(TOKENS["viewer"]) is not None
    now[0] = 2000.0
    assert table.find(TOKENS["viewer"]) is None
    assert table.uses() == [("id-viewer", 1000.0)]
    assert table.uses() == []


def test_links_and_cookies_end_by_themselves_and_are_bounded() -> None:
    from levada._server.http import tokens

    now = [0.0]
    browsers = Browsers(TokenTable([row("viewer", TOKENS["viewer"])]), clock=lambda: now[0])
    late = browsers.link("id-viewer", "viewer")
    now[0] = tokens.LINK_SECONDS
    assert browsers.enter(late) is None
    first = browsers.link("id-viewer", "viewer")
    for _ in range(tokens.LINKS):
        browsers.link("id-viewer", "viewer")
    assert browsers.enter(first) is None
    entered = browsers.enter(browsers.link("id-viewer", "viewer"))
    assert entered is not None
    assert browsers.find(entered[0]) is not None
    now[0] += tokens.COOKIE_SECONDS
    assert browsers.find(entered[0]) is None

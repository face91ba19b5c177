"""Sockets, addresses, credentials, and what waits in memory and on the disk."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from levada._client.address import Address, find_token, parse_address, parse_addresses
from levada._client.clock import LONGEST, backoff
from levada._client.logs import WAITING, LogSender
from levada._client.outbox import Outbox, Parcel
from levada._client.session import Link
from levada._client.transport import Reply, Transport
from levada._model.messages import Fence
from levada._wire.messages import LogItem, Logs
from levada.errors import ConfigError, Refused, SchedulerError, ServerUnreachable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Listener = Callable[..., tuple[str, list[bytes]]]


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Listener]:
    """Listens and gives each connection its answers, one for each request; then the connection ends."""
    sockets: list[socket.socket] = []

    def start(*connections: list[bytes], unix: bool = False) -> tuple[str, list[bytes]]:
        heard: list[bytes] = []
        if unix:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(tmp_path / "s"))
            listener.listen()
            url = f"unix:{tmp_path / 's'}"
        else:
            listener = socket.create_server(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sockets.append(listener)

        def serve() -> None:
            with suppress(OSError):
                for answers in connections:
                    connection, _ = listener.accept()
                    for answer in answers:
                        heard.append(_request(connection))
                        connection.sendall(answer)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return url, heard

    yield start
    for each in sockets:
        each.close()


def _request(connection: socket.socket) -> bytes:
    found = b""
    while b"\r\n\r\n" not in found or (b"Content-Length: 2" in found and not found.endswith(b"{}")):
        piece = connection.recv(65536)
        if not piece:
            break
        found += piece
    return found


_made: list[Transport] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _made:
        _made.pop().close()


def transport(*urls: str, token: str = "lvd_t", answer_timeout: float = 1.0) -> Transport:
    _made.append(Transport(parse_addresses(list(urls)), token=lambda: token, connect_timeout=0.5, answer_timeout=answer_timeout))
    return _made[-1]


@pytest.mark.parametrize("unix", [False, True])
def test_a_connection_is_kept_and_the_token_sent(listen: Listener, unix: bool) -> None:
    url, heard = listen([OK, OK], unix=unix)
    link = transport(url)
    assert link.call("/v1/sync", b"{}") == b"{}"
    assert link.call("/v1/sync", b"{}") == b"{}"
    assert len(heard) == 2
    assert all(b"Authorization: Bearer lvd_t\r\n" in one and b"Content-Type: application/json\r\n" in one for one in heard)


def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(listen: Listener) -> None:
    url, heard = listen([OK], [OK])
    link = transport(url)
    assert link.call("/a", b"{}") == b"{}"
    time.sleep(0.05)
    assert link.call("/b", b"{}") == b"{}"
    assert [one.split()[1] for one in heard] == [b"/a", b"/b"]


def test_addresses_are_tried_in_turn_and_the_one_that_answers_is_kept(listen: Listener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, heard = listen([OK, OK])
    link = transport(f"http://127.0.0.1:{port}", url)
    link.call("/a", b"{}")
    link.call("/b", b"{}")
    assert len(heard) == 2
    assert str(link.address) == url


def test_a_standby_is_passed_over(listen: Listener) -> None:
    busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    first, _ = listen([busy])
    second, heard = listen([OK])
    link = transport(first, second)
    with pytest.raises(Refused) as caught:
        link.call("/a", b"{}")
    assert caught.value.retry_after is not None
    assert link.call("/a", b"{}") == b"{}"
    assert len(heard) == 1


def test_nobody_there_is_said_with_all_addresses() -> None:
    with pytest.raises(ServerUnreachable, match=r"unix:/nowhere/s, http://127.0.0.1:9"):
        transport("unix:/nowhere/s", "http://127.0.0.1:9").call("/a")


def test_a_server_that_accepts_and_says_nothing_is_given_up(listen: Listener) -> None:
    url, _ = listen([b""], [b""])
    began = time.monotonic()
    with pytest.raises(ServerUnreachable):
        transport(url, answer_timeout=0.3).call("/a")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n<htm>", 404, "Something else"),
        (b'HTTP/1.1 413 X\r\nContent-Length: 46\r\n\r\n{"code":"too-large","detail":"17 MiB","x":[1]}', 413, "17 MiB"),
        (b"HTTP/1.1 500 X\r\nContent-Length: 3\r\n\r\n[1]", 500, "Internal|X|unknown"),
    ],
)
def test_a_no_becomes_an_error_of_ours(listen: Listener, answer: bytes, status: int, words: str) -> None:
    url, _ = listen([answer])
    with pytest.raises(Refused, match=words) as caught:
        transport(url).call("/a")
    assert caught.value.status == status
    assert (caught.value.retry_after is None) == (status != 500)


@pytest.mark.parametrize("answer", [b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", b"", b"\0" * 5000])
def test_what_is_no_answer_is_none(listen: Listener, answer: bytes) -> None:
    url, _ = listen([answer], [answer])
    with pytest.raises((ServerUnreachable, Refused)):
        transport(url, answer_timeout=0.5).call("/a")


# -- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Callable[[str], int]]:
    """Listens with a certificate for a name; the port."""
    sockets: list[socket.socket] = []

    def start(name: str) -> int:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name).configure_cert(context)
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with suppress(OSError), context.wrap_socket(connection, server_side=True) as wrapped:
                        _request(wrapped)
                        wrapped.sendall(OK)

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for each in sockets:
        each.close()


def unreachable(url: str, ca: str | None = None) -> str:
    """What is said of a server that cannot be reached, hint included."""
    link = Link(parse_addresses(url), ca=ca)
    _made.append(link.open())
    with pytest.raises(ServerUnreachable) as raised:
        _made[-1].call("/v1/hello", b"{}")
    return str(raised.value)


def test_a_certificate_that_nobody_vouches_for_is_told_with_the_setting(secure: Callable[[str], int]) -> None:
    url = f"https://127.0.0.1:{secure('127.0.0.1')}"
    said = unreachable(url)
    assert said.startswith(f"{url}: its certificate is not trusted here: ")
    assert 'ca = "FILE" of [levada]' in said


def test_a_certificate_for_another_name_is_told(secure: Callable[[str], int], authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    port = secure("etl.example")
    said = unreachable(f"https://127.0.0.1:{port}", str(tmp_path / "ca.pem"))
    assert said.startswith(f"https://127.0.0.1:{port}: its certificate is for another name: ")
    assert "ca` of [levada]" in said


def test_the_setting_ca_lets_a_certificate_of_ones_own_count(secure: Callable[[str], int], authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    link = Link(parse_addresses(f"https://127.0.0.1:{secure('127.0.0.1')}"), ca=str(tmp_path / "ca.pem"))
    _made.append(link.open())
    assert _made[-1].call("/v1/hello", b"{}") == b"{}"


def test_https_where_no_tls_is_spoken_is_told() -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        said = unreachable(url)
    assert said.startswith(f"{url}: no TLS is spoken there")
    assert "Write http:// in place of https://" in said


def test_http_where_tls_is_spoken_is_told(secure: Callable[[str], int]) -> None:
    url = f"http://127.0.0.1:{secure('127.0.0.1')}"
    said = unreachable(url)
    assert said.startswith(f"{url}: no answer: ")
    assert "write https://" in said


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_setting_ca_that_cannot_be_used_is_told(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(ConfigError, match="cannot be used"):
        Link(parse_addresses("https://127.0.0.1:1"), ca=str(tmp_path / "ca.pem")).open()


# -- addresses and tokens ------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "ftp://a", "http://", "http://a:b", "unix:relative", "http://a?x=1", "http://user:secret@a", "::::"])
def test_what_is_no_address_is_refused_and_no_credential_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_addresses(text)
    assert "secret" not in str(caught.value)


def test_an_address_reads_back_from_its_text() -> None:
    for address in (Address("http", "::1", 80), Address("https", "a", 443, "/p"), Address("unix", "/s")):
        assert parse_address(str(address)) == address


def test_the_token_comes_from_the_environment_or_a_file_of_the_users_own(tmp_path: Path) -> None:
    file = tmp_path / "token"
    assert find_token({}, str(tmp_path)) == ""
    file.write_text("lvd_abc\n")
    os.chmod(file, 0o600)
    assert find_token({}, str(tmp_path)) == "lvd_abc"
    assert find_token({"LEVADA_TOKEN": " lvd_env "}, str(tmp_path)) == "lvd_env"
    os.chmod(file, 0o640)
    with pytest.raises(ConfigError, match="open to others"):
        find_token({}, str(tmp_path))
    with pytest.raises(ConfigError, match="holds no token"):
        find_token({"LEVADA_TOKEN": "two words"}, None)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_waits_grow_to_fifteen_seconds_and_never_shrink_to_nothing(failures: int, draw: float) -> None:
    assert 0.5 <= backoff(failures, draw) <= LONGEST


# -- what waits ----------------------------------------------------------------------------------

PARCELS = st.builds(Parcel, st.integers(0, 2), st.binary(max_size=300), st.lists(st.integers(-1, 2**62), max_size=5).map(tuple))


@given(st.lists(st.one_of(PARCELS, st.none()), max_size=60), st.integers(0, 600))
def test_what_waits_comes_out_in_its_order(steps: list[Parcel | None], in_memory: int) -> None:
    outbox = Outbox(in_memory=in_memory)
    expected: list[Parcel] = []
    for step in steps:
        if step is not None:
            outbox.put(step)
            expected.append(step)
        else:
            assert outbox.take() == (expected.pop(0) if expected else None)
        assert bool(outbox) == bool(expected)
    assert [outbox.take() for _ in expected] == expected
    assert outbox.size == 0
    outbox.close()


def test_the_file_has_a_bound_and_leaves_nothing(tmp_path: Path) -> None:
    outbox = Outbox(str(tmp_path), in_memory=10, on_disk=1000)
    with pytest.raises(SchedulerError, match="no more is kept"):
        for _ in range(20):
            outbox.put(Parcel(1, b"x" * 100))
    assert not list(tmp_path.iterdir())
    outbox.close()


# -- logs that wait -----------------------------------------------------------------------------------


class Kept:
    """A connection on which everything is answered at once; ``chunks`` is what was sent."""

    def __init__(self) -> None:
        self.chunks: list[LogItem] = []

    def begin(self, path: str, body: bytes) -> None:
        self.chunks += msgspec.json.decode(body, type=Logs).chunks

    def ready(self, seconds: float) -> bool:
        return True

    def finish(self) -> Reply:
        return Reply(200, {}, b"{}")

    def read(self, reply: Reply) -> bytes:
        return reply.body

    def close(self) -> None:
        pass


def test_what_is_said_too_fast_pushes_out_what_waits_so_that_the_end_of_a_log_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    logs, kept = LogSender(Link(parse_addresses("http://127.0.0.1:9"), lambda: ""), "5" * 32), Kept()
    monkeypatch.setattr(logs, "_transport", kept)
    text = "".join(f"line {number} {'x' * 90}\n" for number in range(20_000))
    for line in text.splitlines(keepends=True):
        logs.note(b"k" * 16, Fence(1, 1), line)
    logs.close(5)
    said = "".join(chunk.text for chunk in kept.chunks)
    assert said == text[kept.chunks[0].offset :]
    assert WAITING - 200 < len(said) <= WAITING

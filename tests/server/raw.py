"""A client that sends what it is told, also what no decent client would."""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any, NamedTuple

from .fake_host import TOKENS

KEY = "0123456789abcdef0123456789abcdef"


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of a problem document, which has all its parts."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = self.json
        assert problem["status"] == self.status
        assert problem["type"] == f"urn:levada:error:{problem['code']}"
        return str(problem["code"])


class Raw:
    """One connection a call, unless ``open`` is used."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, path: str = "") -> None:
        self.port, self._tls, self._path = port, tls, path

    def open(self) -> socket.socket:
        if self._path:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.settimeout(20)
                sock.connect(self._path)
            except BaseException:  # nobody listens: left open, it would be found in some other test
                sock.close()
                raise
            return sock
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return self._tls.wrap_socket(sock, server_hostname="localhost") if self._tls else sock

    def send(self, data: bytes) -> Got:
        """The answer to these bytes, on a connection of their own."""
        with self.open() as sock:
            try:
                sock.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused while sending: the answer is there to be read
            return read(sock, bodiless=data.startswith(b"HEAD "))

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = "admin", headers: dict[str, str] | None = None) -> Got:
        return self.send(request(method, path, body, token=token, headers=headers))


def request(method: str, path: str, body: Any = None, *, token: str | None = "admin", headers: dict[str, str] | None = None) -> bytes:
    """The bytes of a request. token: a role's, or a whole one, or None. A header of "" is left out."""
    given = {k.lower(): v for k, v in (headers or {}).items()}
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    every = {"host": "localhost"}
    if token is not None:
        every["authorization"] = f"Bearer {TOKENS.get(token, token)}"
    if method not in ("GET", "HEAD", "OPTIONS"):
        every |= {"content-type": "application/json", "content-length": str(len(data))}
    every |= given
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in every.items() if value != "")]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def read(sock: socket.socket, *, bodiless: bool = False) -> Got:
    """One response, by its Content-Length, or to the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65_536)
        if not piece:
            raise ConnectionError(f"the server closed after {data!r}")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    size = 0 if bodiless else int(headers.get("content-length", "0"))
    while len(body) < size:
        piece = sock.recv(65_536)
        if not piece:
            raise ConnectionError("the server closed in the middle of an answer")
        body += piece
    return Got(int(lines[0].split()[1]), headers, body)

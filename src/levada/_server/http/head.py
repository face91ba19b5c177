"""The head of a request: the few headers that matter, read in one pass."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from ..._wire.problems import Refusal

_NAMES = {
    b"host": "host",
    b"authorization": "authorization",
    b"cookie": "cookie",
    b"content-type": "content_type",
    b"content-length": "length",
    b"origin": "origin",
    b"sec-fetch-site": "site",
    b"idempotency-key": "repeat",
    b"transfer-encoding": "coding",
    b"expect": "expect",
    b"access-control-request-method": "preflight",
    b"x-forwarded-for": "forwarded_for",
    b"x-forwarded-host": "forwarded_host",
    b"x-forwarded-proto": "forwarded_proto",
    b"x-forwarded-user": "forwarded_user",
    b"remote-user": "remote_user",
}
_LISTS = frozenset({b"cookie", b"x-forwarded-for"})


class Head:
    """Headers by name; None where there is none. Raises Refusal ``malformed`` where one that must stand once stands twice."""

    host: bytes | None = None
    authorization: bytes | None = None
    cookie: bytes | None = None
    content_type: bytes | None = None
    length: bytes | None = None
    origin: bytes | None = None
    site: bytes | None = None
    repeat: bytes | None = None
    coding: bytes | None = None
    expect: bytes | None = None
    preflight: bytes | None = None
    forwarded_for: bytes | None = None
    forwarded_host: bytes | None = None
    forwarded_proto: bytes | None = None
    forwarded_user: bytes | None = None
    remote_user: bytes | None = None

    def __init__(self, scope: dict[str, Any]) -> None:
        self.method: str = scope["method"]
        self.path = scope["raw_path"].decode("ascii")  # latin letters alone: anything else is refused by the parser
        self.query: bytes = scope["query_string"]
        self.secure: bool = scope["scheme"] == "https"
        self.subject: str | None = scope.get("levada.subject")  # of the client's certificate
        client = scope["client"]
        self.address: str = client[0] if client else "unix"
        self._all = scope["headers"]
        self._read(scope["headers"])

    def _read(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        for name, value in headers:
            known = _NAMES.get(name)
            if known is not None:
                before = getattr(self, known)
                if before is None:
                    setattr(self, known, value)
                elif name in _LISTS:
                    setattr(self, known, before + (b"; " if name == b"cookie" else b", ") + value)
                else:
                    raise Refusal("malformed", f"the header {name.decode()} stands twice")

    def cookies(self) -> dict[str, str]:
        """Cookies by name; what cannot be read is left out."""
        found: dict[str, str] = {}
        for piece in (self.cookie or b"").decode("latin-1").split(";")[:64]:
            name, sign, value = piece.strip().partition("=")
            if sign:
                found.setdefault(name, value)
        return found

    def bearer(self) -> str | None:
        """The token of an Authorization header, or None when there is none; of another scheme: an empty text."""
        if self.authorization is None:
            return None
        scheme, _, token = self.authorization.decode("latin-1").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def all(self) -> dict[str, str]:
        """Every header, the last of each name: for bodies that are not in our words."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._all}

    def password(self) -> str | None:
        """The password of ``Authorization: Basic``, for senders that know nothing else; None when there is none."""
        scheme, _, text = (self.authorization or b"").decode("latin-1").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            return b64decode(text.strip(), validate=True).decode().partition(":")[2]
        except ValueError:
            return ""

    def is_json(self) -> bool:
        """Whether the body calls itself JSON, in UTF-8."""
        kind = self.content_type
        if kind == b"application/json":
            return True
        if kind is None:
            return False
        name, _, more = kind.decode("latin-1").lower().partition(";")
        return name.strip() == "application/json" and more.replace(" ", "") in ("", "charset=utf-8", 'charset="utf-8"')

    def size(self) -> int | None:
        """What Content-Length says; None when it is not there."""
        return int(self.length) if self.length is not None else None

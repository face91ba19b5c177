"""Where a server is, as text, and how one gets the credential for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..errors import ConfigError

PORT = 8765
"""Where a server listens when nobody says otherwise."""

TOKEN_FILE = "token"  # noqa: S105 - a file's name
LONGEST_TOKEN = 4096  # bytes


class Address(NamedTuple):
    """One way to a server. scheme: http, https or unix (then ``host`` is the socket's path). prefix: of all paths, or empty."""

    scheme: str
    host: str
    port: int = 0
    prefix: str = ""

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix:{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.prefix}"


def parse_address(text: str) -> Address:
    """An address as people write it. Raises ConfigError when it is none; a credential in it is refused, and not shown.

    >>> str(parse_address("http://10.0.0.7")), str(parse_address("unix:/run/levada.sock"))
    ('http://10.0.0.7:8765', 'unix:/run/levada.sock')
    >>> parse_address("https://etl.example/levada/")
    Address(scheme='https', host='etl.example', port=443, prefix='/levada')
    """
    from urllib.parse import urlsplit

    text = text.strip()
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        path = path.removeprefix("//")
        if not os.path.isabs(path):
            raise ConfigError(f"{text!r}: the path of a unix socket must be absolute", hint="As in unix:/run/levada/levada.sock")
        return Address("unix", path)
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if "@" in parts.netloc:
        raise ConfigError("the server's address holds a credential", hint="Give the token by LEVADA_TOKEN or a file.")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.query or parts.fragment:
        raise ConfigError(f"{text!r} is no address of a server", hint="As in http://host:8765, https://host or unix:/run/levada.sock")
    default = 443 if parts.scheme == "https" else PORT
    return Address(parts.scheme, parts.hostname, default if port is None else port, parts.path.rstrip("/"))


def parse_addresses(texts: str | Iterable[str]) -> tuple[Address, ...]:
    """Several addresses of one server and its standbys, in the order in which they are tried; text is split at commas.

    >>> [str(each) for each in parse_addresses("http://a,http://b:1")]
    ['http://a:8765', 'http://b:1']
    """
    found = texts.split(",") if isinstance(texts, str) else list(texts)
    addresses = tuple(dict.fromkeys(parse_address(text) for text in found if text.strip()))
    if not addresses:
        raise ConfigError("no address of a server is given", hint="As in --scheduler http://host:8765")
    return addresses


def find_token(environ: Mapping[str, str], folder: str | None) -> str:
    """The credential: ``LEVADA_TOKEN``, else the file ``token`` of the state folder, else "" for none.

    Raises ConfigError when the file may be read or written by others, or holds no token.
    """
    given = environ.get("LEVADA_TOKEN", "").strip()
    if given:
        return _checked(given, "LEVADA_TOKEN")
    if not folder:
        return ""
    path = os.path.join(folder, TOKEN_FILE)
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return ""
    except OSError as cause:
        raise ConfigError(f"{path}: the token cannot be read: {cause.strerror}") from cause
    with os.fdopen(fd, "rb") as file:
        if os.name == "posix" and os.fstat(fd).st_mode & 0o077:
            raise ConfigError(f"{path}: the token is open to others", hint=f"chmod 600 {path}, and make a new token.")
        return _checked(file.read(LONGEST_TOKEN + 1).decode("ascii", "replace").strip(), path)


def _checked(token: str, where: str) -> str:
    """A token that may stand in a header."""
    if not 1 <= len(token) <= LONGEST_TOKEN or not all("!" <= char <= "~" for char in token):
        raise ConfigError(f"{where} holds no token", hint="One word of printable ASCII, as `levada server` writes it.")
    return token

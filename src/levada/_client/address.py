"""Where a server is, as text, and how one gets the credential for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..errors import ConfigError

PORT = 8782
"""Where a server listens when nobody says otherwise."""

TOKEN_FILE = "token"  # noqa: S105 - a file's name
OWN_TOKEN_FILE = "admin.token"  # noqa: S105 - written by a server of this user
INFO_FILE = "server.json"
SOCKET_FILE = "server.sock"
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
    ('http://10.0.0.7:8782', 'unix:/run/levada.sock')
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
        raise ConfigError(f"{text!r} is no address of a server", hint="As in http://host:8782, https://host or unix:/run/levada.sock")
    default = 443 if parts.scheme == "https" else PORT
    return Address(parts.scheme, parts.hostname, default if port is None else port, parts.path.rstrip("/"))


def parse_addresses(texts: str | Iterable[str]) -> tuple[Address, ...]:
    """Several addresses of one server and its standbys, in the order in which they are tried; text is split at commas.

    >>> [str(each) for each in parse_addresses("http://a,http://b:1")]
    ['http://a:8782', 'http://b:1']
    """
    found = texts.split(",") if isinstance(texts, str) else list(texts)
    addresses = tuple(dict.fromkeys(parse_address(text) for text in found if text.strip()))
    if not addresses:
        raise ConfigError("no address of a server is given", hint="As in --scheduler http://host:8782")
    return addresses


def own_addresses(folder: str) -> tuple[Address, ...]:
    """Where the server of a state folder listens, as it says itself: nearest first; () when none runs."""
    found = _info(folder).get("addresses")
    try:
        addresses = [parse_address(text) for text in found if isinstance(text, str)] if isinstance(found, list) else []
    except ConfigError:
        return ()
    return tuple(sorted(addresses, key=lambda address: address.scheme != "unix"))


def server_pid(folder: str) -> int | None:
    """The process that serves with a state folder, as it says itself; None when none does."""
    found = _info(folder).get("pid")
    return found if isinstance(found, int) else None


def _info(folder: str) -> dict[str, object]:
    import json

    try:
        with open(os.path.join(folder, INFO_FILE), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_own(address: Address, folder: str) -> bool:
    """Whether a server of this user, with this state folder, listens there and nobody else can.

    Ports of this machine can be taken by any user: the admin's token goes where the server itself says that it listens.
    """
    if address.scheme == "unix":
        return os.path.realpath(address.host) == os.path.realpath(os.path.join(folder, SOCKET_FILE)) or address in own_addresses(folder)
    return address in own_addresses(folder)


LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def token_hint(addresses: Iterable[Address], folder: str | None) -> str:
    """What who has no token may do: where the own server is called by another name, its token is not sent."""
    give = "Give it in LEVADA_TOKEN, or in the file that [levada] token_file names."
    own = own_addresses(folder) if folder else ()
    for address in addresses:
        for one in own:
            if address != one and address.port == one.port and {address.host, one.host} <= LOOPBACK:
                return (
                    f"The server of your state folder says that it is at {one}, and its token is sent there alone: "
                    "write that, or give another token."
                )
    return give


def find_token(environ: Mapping[str, str], folder: str | None, addresses: Iterable[Address] = (), *, file: str | None = None) -> str:
    """The credential, the first that there is; "" for none.

    ``LEVADA_TOKEN``; else ``file``; else the file ``token`` of the state folder; else, where all addresses are those of
    the server with this state folder, the token that it made for its owner. Raises ConfigError when a file may be
    read or written by others, or holds no token.
    """
    given = environ.get("LEVADA_TOKEN", "").strip()
    if given:
        return _checked(given, "LEVADA_TOKEN")
    if file:
        return _read(file, needed=True)
    if not folder:
        return ""
    found = _read(os.path.join(folder, TOKEN_FILE))
    own = tuple(addresses)
    if not found and own and all(is_own(address, folder) for address in own):
        found = _read(os.path.join(folder, OWN_TOKEN_FILE))
    return found


def _read(path: str, *, needed: bool = False) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0))
    except OSError as cause:
        if isinstance(cause, FileNotFoundError) and not needed:
            return ""
        raise ConfigError(f"{path}: the token cannot be read: {cause.strerror}") from cause
    with os.fdopen(fd, "rb") as file:
        if os.name == "posix" and os.fstat(fd).st_mode & 0o077:
            raise ConfigError(f"{path}: the token is open to others", hint=f"chmod 600 {path}, and make a new token.")
        return _checked(file.read(LONGEST_TOKEN + 1).decode("ascii", "replace").strip(), path)


def _checked(token: str, where: str) -> str:
    """A token that may stand in a header."""
    if not 1 <= len(token) <= LONGEST_TOKEN or not all("!" <= char <= "~" for char in token):
        raise ConfigError(f"{where} holds no token", hint="One word of printable ASCII, as `levada token create` prints it.")
    return token

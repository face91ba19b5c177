"""How the HTTP layer is set up, and which set-ups are refused before a socket is opened."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
DEFAULT_PORT = 8782
UNIX = "unix"


@dataclass(frozen=True, slots=True)
class Bind:
    """An address to listen at: host and port, or the path of a unix socket. port 0: any free one.

    spare: where it cannot be opened the server goes without it.
    """

    host: str
    port: int = 0
    path: str = ""
    spare: bool = False

    @classmethod
    def parse(cls, text: str) -> Bind:
        """``HOST:PORT``, ``HOST``, ``[V6]:PORT`` or ``unix:PATH``; ConfigError when it is none of them.

        >>> Bind.parse("[::1]:80"), Bind.parse("unix:levada.sock")
        (Bind(host='::1', port=80, path='', spare=False), Bind(host='', port=0, path='levada.sock', spare=False))
        """
        if text.startswith("unix:"):
            host, port = "", ""
            if len(text) > 5:
                return cls("", path=text[5:])
        elif text.startswith("["):
            host, closed, port = text[1:].partition("]")
            host, port = host if closed else "", port.removeprefix(":")
        elif text.count(":") > 1:
            host, port = text, ""
        else:
            host, _, port = text.partition(":")
        port = port or str(DEFAULT_PORT)
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise ConfigError(f"{text!r} is no address to listen at", hint="Say HOST:PORT, [IPV6]:PORT or unix:PATH.")
        return cls(host, int(port))

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return bool(self.path) or self.host == "localhost" or _is_loopback(self.host)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a certificate and its key. client_ca: who signs the certificates of clients; subjects: role by common name."""

    certificate: str
    key: str
    client_ca: str | None = None
    subjects: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the HTTP layer (docs/promises.md, section 7); those of messages are the wire's."""

    connections: int = 10_000
    connections_per_address: int = 5_000
    long_polls: int = 5_000
    streams: int = 500
    stream_queue: int = 1_000  # events that a slow reader may lie behind
    head: int = 32 << 10  # bytes of request line and headers
    slow: float = 30.0  # seconds for a request to come in, from its first byte
    idle: float = 75.0  # seconds that a connection may stand without a request
    late: float = 60.0  # seconds for an answer of the host, beyond the wait that was asked for
    logins: int = 10  # wrong credentials a minute and address
    rate: float = 20_000.0  # requests a second and token; renewals have as many for themselves
    burst: float = 40_000.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to listen and whom to believe.

    hosts: names, besides loopback's, that the server is called by. origins: exact origins of other sites whose scripts
    may read answers with a bearer token. proxies: networks (and ``unix``) whose forwarded headers count.
    behind_proxy: says that a proxy in front speaks TLS. users: role by name, for the name that a proxy gives in
    ``X-Forwarded-User`` or ``Remote-User``; ``*`` is anybody else it knows. notices_secret: who signs a notice with it needs no token.
    """

    binds: tuple[Bind, ...] = (Bind("127.0.0.1", DEFAULT_PORT),)
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    proxies: frozenset[str] = frozenset()
    behind_proxy: bool = False
    users: Mapping[str, str] = field(default_factory=dict)
    tls: Tls | None = None
    limits: Limits = Limits()
    notices_secret: bytes = b""

    def networks(self) -> tuple[Network, ...]:
        """The proxies' addresses; ConfigError when one is none."""
        try:
            return tuple(ipaddress.ip_network(each, strict=False) for each in sorted(self.proxies) if each != UNIX)
        except ValueError as cause:
            raise ConfigError(f"proxies: {cause}", hint="Say addresses or networks, like 10.0.0.0/8, or unix.") from None


def refuse_unsafe(settings: Settings, tokens: int) -> None:
    """Return when the set-up is safe to open. Raises ConfigError.

    Beyond loopback there is no way without a token, and none without TLS: our own, or a proxy's that is vouched for.
    """
    settings.networks()
    if not tokens:
        raise ConfigError("there is no token, so nobody could come in", hint="Start with the state folder of this server.")
    if "*" in settings.origins:
        raise ConfigError("origins: '*' would let every web page in", hint="Name exact origins, like https://flights.example.org.")
    for role in (*settings.users.values(), *(settings.tls.subjects.values() if settings.tls else ())):
        if role not in ("viewer", "operator", "worker", "admin"):
            raise ConfigError(f"{role!r} is no role", hint="Roles are viewer, operator, worker, admin.")
    far = [str(bind) for bind in settings.binds if not bind.local]
    if far and settings.tls is None and not settings.behind_proxy:
        raise ConfigError(
            f"{far[0]} can be reached from other machines, and tokens would travel in the clear",
            hint="Give a certificate (--tls-certificate, --tls-key), or say that a proxy in front speaks TLS (--behind-proxy), "
            "or listen at 127.0.0.1.",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

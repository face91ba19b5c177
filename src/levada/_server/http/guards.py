"""Who is let in: names of the server, other sites, credentials, roles. Rules S4 and S7 to S10 are kept here and nowhere else."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from urllib.parse import unquote_to_bytes, urlsplit

from ..._wire.problems import Refusal
from ..._wire.routes import Route
from .head import Head
from .rates import Buckets, Failures
from .settings import UNIX, Settings
from .tokens import Browsers, Identity, TokenTable

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
KNOWN_HOSTS = 1_000  # spellings of Host headers that are remembered as good
ADVICE = "Send `Authorization: Bearer lvd_...`. `levada` finds the token of its own machine by itself; others ask an admin for one."


class Guards:
    """Judges the head of a request. clock: monotonic seconds."""

    def __init__(self, settings: Settings, tokens: TokenTable, browsers: Browsers, clock: Callable[[], float], *, port: int = 0) -> None:
        self._settings, self._tokens, self._browsers, self._clock = settings, tokens, browsers, clock
        self._networks = settings.networks()
        self._names = LOOPBACK_NAMES | {name.lower() for name in settings.hosts} | _names_of(settings)
        self._good_hosts: set[bytes] = set()
        self._origins = {origin.encode() for origin in settings.origins}
        limits = settings.limits
        self._rates = Buckets(limits.rate, limits.burst)
        self._renewals = Buckets(limits.rate, limits.burst)
        self._failures = Failures(limits.logins)
        self.cookie_name = f"__Host-levada-{port}" if settings.tls or settings.behind_proxy else f"levada-{port}"

    # -- the name that the server was called by, and proxies in front of it --------------------

    def believe_proxy(self, head: Head) -> None:
        """Take address, name and scheme from forwarded headers, if they come from a proxy that is believed; else forget them."""
        if not self._is_proxy(head.address):
            head.forwarded_user = head.remote_user = None
            return
        if head.forwarded_host is not None:
            head.host = head.forwarded_host
        if head.forwarded_proto is not None:
            head.secure = head.forwarded_proto.lower() == b"https"
        if head.forwarded_for is not None:
            head.address = self._first_stranger(head.forwarded_for.decode("latin-1")) or head.address

    def _first_stranger(self, forwarded: str) -> str | None:
        """The last address of the list that is no proxy of ours: what stands before it, anybody may have written."""
        for each in reversed(forwarded.split(",")[-16:]):
            text = each.strip()
            try:
                ipaddress.ip_address(text)
            except ValueError:
                return None
            if not self._is_proxy(text):
                return text
        return None

    def _is_proxy(self, address: str) -> bool:
        if not self._settings.proxies:
            return False
        if address == UNIX:
            return UNIX in self._settings.proxies
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def check_host(self, head: Head) -> None:
        """Raises Refusal ``wrong-host``: a name that is not ours is DNS rebinding, or a mistake."""
        host = head.host
        if host is not None and host in self._good_hosts:
            return
        name = _name_of(host)
        if host is None or name not in self._names:
            shown = (host or b"").decode("latin-1")[:80]
            raise Refusal("wrong-host", f"{shown!r} is no name of this server", hint="Add it to `hosts` of the server if it is one.")
        if len(self._good_hosts) < KNOWN_HOSTS:
            self._good_hosts.add(host)

    # -- other sites ---------------------------------------------------------------------------

    def check_site(self, head: Head, *, changes: bool, ambient: bool) -> None:
        """Raises Refusal ``cross-site``. ambient: the credential is one that a browser sends by itself (a cookie, say)."""
        if head.origin is not None and not ambient and head.origin in self._origins:
            return
        if head.site is not None:
            if head.site in (b"same-origin", b"none"):
                return
            raise _cross_site(f"Sec-Fetch-Site is {head.site.decode('latin-1')[:20]!r}")
        if head.origin is not None:
            if _same_origin(head):
                return
            raise _cross_site("Origin is not this server")
        if ambient and changes:
            raise _cross_site("neither Origin nor Sec-Fetch-Site came with a cookie")

    def allowed_origin(self, head: Head) -> bytes | None:
        """The origin that CORS headers may name, or None."""
        return head.origin if head.origin is not None and head.origin in self._origins else None

    # -- credentials and roles -------------------------------------------------------------------

    def identify(self, head: Head, *, basic: bool = False) -> tuple[Identity, bool]:
        """(who asks, whether by a credential that browsers send by themselves). Raises Refusal ``unauthenticated``.

        basic: the token may come as the password of ``Authorization: Basic``, too.
        """
        bearer = head.bearer()
        if basic and (password := head.password()) is not None:
            bearer = password
        if bearer is not None:
            row = self._tokens.find(bearer)
            if row is None:
                raise self.wrong_credential(head.address)
            return Identity(row.role, row.id, row.namespace, head.address), False
        found = self._by_cookie(head) or self._by_certificate(head) or self._by_proxy(head)
        if found is None:
            raise Refusal("unauthenticated", "no credential came with the request", hint=ADVICE)
        return found, True

    def _by_cookie(self, head: Head) -> Identity | None:
        value = head.cookies().get(self.cookie_name) if head.cookie is not None else None
        if value is None:
            return None
        found = self._browsers.find(value)
        if found is None:
            return None
        row, role = found
        return Identity(role, row.id, row.namespace, head.address)

    def _by_certificate(self, head: Head) -> Identity | None:
        tls = self._settings.tls
        if head.subject is None or tls is None or head.subject not in tls.subjects:
            return None
        return Identity(tls.subjects[head.subject], f"certificate:{head.subject}", "", head.address)

    def _by_proxy(self, head: Head) -> Identity | None:
        value = head.forwarded_user or head.remote_user
        if not value:
            return None
        user = value.decode("latin-1")[:200]
        role = self._settings.users.get(user) or self._settings.users.get("*")
        return None if role is None else Identity(role, f"user:{user}", "", head.address)

    def wrong_credential(self, address: str, *, link: bool = False) -> Refusal:
        """The refusal for a wrong token or link, and a note of it: after some, the address is told to stay away for a while."""
        wait = self._failures.note(address, self._clock())
        if wait:
            return Refusal("too-many-logins", "too many wrong tokens came from your address", retry_after=wait)
        if link:
            return Refusal(
                "unauthenticated", "this link was used already, or is too old", hint="`levada up` prints a new one when it starts."
            )
        return Refusal("unauthenticated", "the token is not known, has expired, or was revoked", hint=ADVICE)

    def check_role(self, route: Route, who: Identity) -> None:
        """Raises Refusal ``forbidden``."""
        if who.role not in route.roles:
            raise Refusal(
                "forbidden", f"the role {who.role} may not call {route!r}", hint=f"Roles that may: {', '.join(sorted(route.roles))}."
            )

    def check_rate(self, who: Identity, *, urgent: bool) -> None:
        """Raises Refusal ``too-many-requests``. Renewals have a bucket of their own, so that work cannot starve them."""
        wait = (self._renewals if urgent else self._rates).take(who.token, self._clock())
        if wait:
            raise Refusal("too-many-requests", f"the token {who.token} asks too often", retry_after=wait)


def _names_of(settings: Settings) -> set[str]:
    """Hosts that are listened at are names of the server, too; wildcards are not."""
    hosts = {bind.host.lower() for bind in settings.binds if bind.host not in ("", "0.0.0.0", "::")}  # noqa: S104
    return {f"[{host}]" if ":" in host else host for host in hosts}


def _name_of(host: bytes | None) -> str | None:
    """The name in a Host header, without the port; None when it is malformed."""
    if not host or len(host) > 255 or not host.isascii():
        return None
    text = host.decode().lower()
    name, sign, port = text.rpartition(":")
    if not sign or text.endswith("]"):
        return text
    return name if port.isdecimal() and len(port) <= 5 else None


def _same_origin(head: Head) -> bool:
    """Whether Origin names this server: its host and port as the request spelled them, and no lesser scheme."""
    try:
        parts = urlsplit((head.origin or b"").decode("ascii"))
    except ValueError:  # UnicodeDecodeError is one
        return False
    if parts.scheme not in ("http", "https") or (head.secure and parts.scheme != "https"):
        return False
    return parts.netloc.lower().encode() == (head.host or b"").lower() and not (parts.path or parts.query or parts.fragment)


def _cross_site(why: str) -> Refusal:
    return Refusal("cross-site", why, hint="Scripts of other sites may not use this server; programs send a bearer token and no Origin.")


def one_time_code(query: bytes) -> str:
    """The code of ``/login?once=CODE``; empty when there is none."""
    for piece in query.split(b"&")[:8]:
        name, _, value = piece.partition(b"=")
        if name == b"once" and len(value) <= 256:
            return unquote_to_bytes(value).decode("ascii", "replace")
    return ""

"""Requests to a server over kept connections: TCP, TLS or a unix socket; addresses tried in turn.

Nothing is repeated here but what certainly was not received. The standard library alone is used; it is loaded with this
module, which is imported when a run has something to ask.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

from ..errors import ConfigError, Refused, ServerUnreachable
from .address import Address

LARGEST_ANSWER = 64 << 20  # bytes
CONNECT_TIMEOUT = 3.0  # seconds for one address
ANSWER_TIMEOUT = 20.0  # seconds from the request to the first byte, beside what the server was asked to hold it
LONGEST_RETRY_AFTER = 60.0  # seconds; a server that says more is asked earlier
ELSEWHERE = frozenset({421, 502, 503, 504})
"""Answers of a server that another address may be better than: one that stands by, say."""
TLS_PERHAPS = "If that server has a certificate (TLS), write https:// in place of http://."
_TRY_LATER = frozenset({408, 421, 425, 429, 500, 502, 503, 504, 507})
STRANGER = "Something else than a levada server listens there, or one of another version."
"""What to think of an answer that no levada server gives."""
_GONE = (http.client.HTTPException, OSError)


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """One connection to one of several addresses; one request at a time.

    ``begin`` sends, ``ready`` waits for the answer, ``finish`` reads it; ``call`` is the three. token: asked
    before each connection is made, so that a new one is found. Not thread-safe.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        token: Callable[[], str] = str,
        tls: ssl.SSLContext | None = None,
        agent: str = "levada",
        connect_timeout: float = CONNECT_TIMEOUT,
        answer_timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        if not addresses:
            raise ValueError("no address is given")
        self._addresses = tuple(addresses)
        self._at = 0  # the address that answered last
        self._failed = addresses[0]  # the one that the last error is about
        self._token = token
        self._tls = tls
        self._agent = agent
        self._connect_timeout = connect_timeout
        self.answer_timeout = answer_timeout
        self._connection: http.client.HTTPConnection | None = None
        self._headers: dict[str, str] = {}
        self._used = False  # the connection carried an answer before
        self.waiting = False  # a request was sent and not answered

    @property
    def address(self) -> Address:
        """Where the last request went, or the next goes first."""
        return self._addresses[self._at]

    @property
    def others(self) -> int:
        """How many further addresses there are."""
        return len(self._addresses) - 1

    def begin(self, path: str, body: bytes = b"", *, method: str = "POST", headers: Mapping[str, str] | None = None) -> None:
        """Send a request: over the connection that is there, else to the first address that takes it.

        Raises ServerUnreachable; then nothing is known of whether it was received.
        """
        if self.waiting:
            self.drop()
        reused = self._connection is not None
        try:
            self._send(method, path, body, headers)
            return
        except _GONE as cause:
            self.drop()
            if not reused:
                self._fail(cause)
        try:  # the server had closed a connection that was idle: whatever we send may be repeated
            self._send(method, path, body, headers)
        except _GONE as cause:
            self.drop()
            self._fail(cause)

    def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None) -> None:
        connection = self._connection or self._connect()
        sent = {**self._headers, **(headers or {})}
        if method != "GET":
            sent["Content-Type"] = "application/json"
        connection.request(method, self.address.prefix + path, body or None, sent)
        self.waiting = True

    def _connect(self) -> http.client.HTTPConnection:
        """A connection to the first address that answers, beginning with the one that did so last."""
        first: OSError | None = None
        for step in range(len(self._addresses)):
            at = (self._at + step) % len(self._addresses)
            connection = _connection(self._addresses[at], self._tls, self._connect_timeout)
            try:
                connection.connect()
                connection.sock.settimeout(self.answer_timeout)
            except OSError as cause:
                connection.close()
                if first is None:
                    first, self._failed = cause, self._addresses[at]
                continue
            self._at, self._failed = at, self._addresses[at]
            self._connection, self._used = connection, False
            token = self._token()
            self._headers = {"User-Agent": self._agent, **({"Authorization": f"Bearer {token}"} if token else {})}
            return connection
        raise first or OSError("no address")

    def _fail(self, cause: BaseException) -> NoReturn:
        if isinstance(cause, ssl.SSLError):
            words, hint = _tls_words(cause)
            raise ServerUnreachable(f"{self._failed}: {words}", hint=hint) from cause
        if isinstance(cause, (ConnectionResetError, BrokenPipeError)) and self._failed.scheme == "http":
            raise ServerUnreachable(f"{self._failed}: no answer: {_words(cause)}", hint=TLS_PERHAPS) from cause
        where = ", ".join(map(str, self._addresses))
        raise ServerUnreachable(
            f"the server does not answer ({where}): {_words(cause)}", hint="Is `levada server` running there?"
        ) from cause

    def fileno(self) -> int:
        """The descriptor of the connection, -1 when there is none."""
        sock = None if self._connection is None else self._connection.sock
        return -1 if sock is None else sock.fileno()

    def ready(self, seconds: float) -> bool:
        """Whether an answer (or the end of the connection) is there; waits so long for it."""
        sock = None if self._connection is None else self._connection.sock
        if sock is None:
            return True
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def finish(self) -> Reply:
        """Read the answer; waits for it. Raises ServerUnreachable when the connection ends instead."""
        connection, used = self._connection, self._used
        if connection is None or not self.waiting:
            raise ServerUnreachable("the connection to the server was lost", at_once=True)
        try:
            response = connection.getresponse()
            body = _body(response)
        except _GONE as cause:
            self.drop()
            closed = used and isinstance(cause, (ConnectionError, http.client.RemoteDisconnected))
            hint = None if used or self.address.scheme != "http" else TLS_PERHAPS
            raise ServerUnreachable(f"{self.address}: no answer: {_words(cause)}", hint=hint, at_once=closed) from cause
        self.waiting = False
        self._used = True
        if len(body) > LARGEST_ANSWER:
            self.drop()
            raise Refused(f"{self.address}: an answer of more than {LARGEST_ANSWER:,} bytes", status=response.status, code="too-large")
        if response.will_close:
            self.drop()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def call(self, path: str, body: bytes = b"", *, method: str = "POST", seconds: float | None = None, **headers: str) -> bytes:
        """Send, wait (``answer_timeout``, or so many seconds), and give the body of a good answer.

        headers: further ones, with _ for -. Raises ServerUnreachable or Refused.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            return self._call(path, body, method, sent, seconds)
        except ServerUnreachable as away:
            if not away.at_once:
                raise
        return self._call(path, body, method, sent, seconds)

    def _call(self, path: str, body: bytes, method: str, headers: Mapping[str, str], seconds: float | None) -> bytes:
        self.begin(path, body, method=method, headers=headers)
        limit = self.answer_timeout if seconds is None else seconds
        if not self.ready(limit):
            self.drop()
            raise ServerUnreachable(f"{self.address}: no answer within {limit:g} s")
        return self.read(self.finish())

    def read(self, reply: Reply) -> bytes:
        """The body of a good answer; an address whose server only stands by, or cannot answer, is passed over next time.

        Raises Refused with what the server said.
        """
        if 200 <= reply.status < 300:
            return reply.body
        refusal = refused(reply, self.address)
        if reply.status in ELSEWHERE:
            self.turn()
        if reply.status == 401:
            self.drop()  # the next connection asks for the token anew
        raise refusal

    def turn(self) -> None:
        """Begin with the next address from now on."""
        if len(self._addresses) > 1:
            self.drop()
            self._at = (self._at + 1) % len(self._addresses)

    def drop(self) -> None:
        """Close the connection, and forget what was asked over it."""
        connection, self._connection = self._connection, None
        self.waiting = self._used = False
        if connection is not None:
            with suppress(OSError):
                connection.close()

    close = drop


def _body(response: http.client.HTTPResponse) -> bytes:
    """All of it (HTTPException when it is cut short), or its beginning when it is larger than anything we wait for."""
    if response.length is not None and response.length <= LARGEST_ANSWER:
        return response.read()
    return response.read(LARGEST_ANSWER + 1)


def refused(reply: Reply, where: object) -> Refused:
    """What a server that said no meant, from its problem document; the bare status where there is none."""
    try:
        said = json.loads(reply.body)
        said = said if isinstance(said, dict) else {}
    except ValueError:
        said = {}
    words = str(said.get("detail") or said.get("title") or http.client.responses.get(reply.status, "an unknown answer"))
    hint = said.get("hint")
    if not said and reply.status not in _TRY_LATER:
        hint = STRANGER
    later = _retry_after(reply.headers) if reply.status in _TRY_LATER else None
    code = str(said.get("code") or f"http-{reply.status}")
    return Refused(f"{where}: {words}", status=reply.status, code=code, hint=str(hint) if hint else None, retry_after=later)


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return min(LONGEST_RETRY_AFTER, max(0.0, float(headers.get("retry-after", "0"))))
    except ValueError:
        return 0.0  # a date: our own patience must do


def _words(cause: BaseException) -> str:
    """What went wrong, in few words."""
    if isinstance(cause, TimeoutError):
        return "it took too long"
    if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, ConnectionError):
        return "what came back is no HTTP"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause) or type(cause).__name__


_OTHER_NAME = frozenset({62, 63, 64})  # of OpenSSL: the certificate bears another host name, mail address or IP address
_OUT_OF_TIME = frozenset({9, 10})  # it is not valid yet, or not any more


def _tls_words(cause: ssl.SSLError) -> tuple[str, str]:
    """Why TLS could not begin, and what to do."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        said = cause.verify_message.rstrip(".")
        if cause.verify_code in _OTHER_NAME:
            return f"its certificate is for another name: {said}", (
                "Write the address with a name that stands in the certificate, or have one made for this name; "
                "`ca` of [levada] only says whose certificates are trusted."
            )
        if cause.verify_code in _OUT_OF_TIME:
            return f"its certificate does not count today: {said}", "The server needs a new one; is this machine's clock right?"
        return f"its certificate is not trusted here: {said}", (
            'Name the file (PEM) of who signed it, or of the certificate itself where it signed itself: ca = "FILE" of [levada].'
        )
    if cause.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
        return (
            "no TLS is spoken there",
            "Write http:// in place of https://, or the port where the server has its certificate (--tls-certificate).",
        )
    return f"TLS could not begin: {(cause.reason or str(cause)).replace('_', ' ').lower()}", (
        "Is it the right port? `ca` of [levada] says whose certificates are trusted."
    )


def trusting(ca: str) -> ssl.SSLContext:
    """TLS that trusts the certificates of a file in place of the system's. Raises ConfigError."""
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as cause:  # ssl.SSLError is one
        said = "it holds no certificate (PEM)" if isinstance(cause, ssl.SSLError) else cause.strerror
        raise ConfigError(
            f"ca {ca}: cannot be used: {said}", hint="`ca` of [levada] names a file of certificates to trust for https."
        ) from cause


# -- connections -------------------------------------------------------------------------------


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._path)
        except BaseException:
            self.sock.close()
            raise


def _connection(address: Address, tls: ssl.SSLContext | None, timeout: float) -> http.client.HTTPConnection:
    if address.scheme == "unix":
        return _UnixConnection(address.host, timeout)
    if address.scheme == "https":
        return http.client.HTTPSConnection(address.host, address.port, timeout=timeout, context=tls or ssl.create_default_context())
    return http.client.HTTPConnection(address.host, address.port, timeout=timeout)

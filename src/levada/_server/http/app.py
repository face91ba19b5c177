"""The application: from a request's head to the host and back, each step refusing by raising.

Raw ASGI: no request objects, no middleware. The order of the steps is the order of trust: name of the
server, credential, other sites, role, rate, and only then the body. A call that was not let in costs no more
than its head.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..._wire import operators as o
from ..._wire.check import assemble, decode
from ..._wire.forms import read_form
from ..._wire.kinds import Answer, Request
from ..._wire.notices import SIGNATURE, answer, read_notice, verify
from ..._wire.problems import Refusal, problem_of
from ..._wire.routes import ANYBODY, PAGES, ROUTES, Lane, Route, Table
from ..._wire.triggers import NoticeItem, Notices
from ...errors import LevadaError
from .answers import GOOD, Header, Receive, Send, encoded, headers_of, send_json, send_page, send_problem
from .bodies import Bodies, ClientGone, drain, is_long, until_gone
from .events import Hub
from .figures import Figures, metrics_page
from .front import FRONT
from .guards import Guards, one_time_code
from .head import Head
from .outbox import Outbox, Result, Waiting
from .port import Host, Repeat
from .protocol import write_whole
from .rates import Buckets
from .settings import Settings
from .tokens import COOKIE_SECONDS, LINK_SECONDS, Browsers, Identity

log = logging.getLogger("levada.server.http")

Page = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]
GUESTS = "/api/"  # where the paths of guests begin
REPEAT_KEY = 255  # characters of an Idempotency-Key
LINES = 20.0  # log lines a second about refusals
NOBODY = Identity("", "", "", "")


class Exchange:
    """One request and how to answer it."""

    __slots__ = ("cors", "head", "name", "read", "receive", "scope", "send", "status")

    def __init__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.head: Head | None = None
        self.name = "unknown"  # of the route
        self.read = False  # whether the body was read
        self.status = 200
        self.cors: list[Header] = []


class App:
    """An ASGI application in front of a host. To be made in the loop's thread. ui: serves the pages of people. guests: their routes."""

    def __init__(
        self,
        host: Host,
        settings: Settings,
        browsers: Browsers,
        *,
        version: str,
        port: int = 0,
        ui: Page | None = None,
        guests: Sequence[Route] = (),
    ) -> None:
        loop = asyncio.get_running_loop()
        self._host, self._settings, self._browsers, self._version, self._ui = host, settings, browsers, version, ui
        self._clock = loop.time
        self._guards = Guards(settings, host.tokens, browsers, loop.time, port=port)
        self._table = Table((*ROUTES, *guests))
        self._has_guests = bool(guests)
        self._bodies = Bodies()
        self._outbox = Outbox(loop)
        self._polls = 0
        self._lines = Buckets(LINES, LINES)
        limits = settings.limits
        self.hub = Hub(host, loop, streams=limits.streams, queue=limits.stream_queue)
        self.figures = Figures()
        self.figures.gauges.update(
            http_waiting=lambda: len(self._outbox), http_long_polls=lambda: self._polls, http_streams=lambda: len(self.hub)
        )
        self._openapi: bytes | None = None

    def sweep(self) -> None:
        """Answer what the host left unanswered for too long; to be called about each second."""
        self._outbox.sweep()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request; every refusal becomes a problem document here."""
        if scope["type"] != "http":
            return
        started = self._clock()
        exchange = Exchange(scope, receive, send)
        try:
            await self._serve(exchange)
        except LevadaError as error:
            await self._refuse(exchange, error)
        except ClientGone:
            exchange.status = 499
        except Exception as error:
            await self._mistake(exchange, error)
        self.figures.note(exchange.name, exchange.status, self._clock() - started)

    # -- steps -----------------------------------------------------------------------------------

    async def _serve(self, exchange: Exchange) -> None:
        head = exchange.head = Head(exchange.scope)
        guards = self._guards
        guards.believe_proxy(head)
        guards.check_host(head)
        if self._settings.origins:
            self._cors(exchange)
        routes, _ = self._table.find(head.path)
        route = routes.get(head.method)
        if route is None:
            return await self._elsewhere(exchange, routes)
        exchange.name = route.name
        if route.raw:
            who, request = await self._told(exchange, head, route)
            return await self._hand_over(exchange, route, who, *request)
        if route.form:
            who = self._guest(head, route)
            return await self._hand_over(exchange, route, who, *await self._form(exchange, head, route))
        who = self._let_in(head, route)
        request = await self._request(exchange, route)
        if route.lane is Lane.WEB:
            return await self._here(exchange, request, who)
        return await self._hand_over(exchange, route, who, *request)

    def _let_in(self, head: Head, route: Route) -> Identity:
        """Who asks, if the route is for them."""
        guards = self._guards
        if route.roles is ANYBODY:
            guards.check_site(head, changes=route.changes, ambient=True)
            return NOBODY
        who, ambient = self._identify(head)
        guards.check_site(head, changes=route.changes, ambient=ambient)
        guards.check_role(route, who)
        guards.check_rate(who, urgent=route.lane is Lane.URGENT)
        return who

    async def _told(self, exchange: Exchange, head: Head, route: Route) -> tuple[Identity, tuple[Request, bytes]]:
        """Who posts notices, and what: in the words of others, with a token or signed."""
        headers, secret = head.all(), self._settings.notices_secret
        is_signed = bool(secret) and SIGNATURE in headers
        who = Identity("operator", "signed", "", head.address) if is_signed else self._by_token(head, route)
        body = await self._bodies.read(head, exchange.receive)
        exchange.read = True
        if is_signed:
            self._verify(head, body, headers, secret)
        told = read_notice(body, headers)
        items = [NoticeItem(one.id, one.name, list(one.urls), dict(one.fields)) for one in told]
        return who, (Notices(items, answer(told).get("validationResponse", "")), body)

    def _verify(self, head: Head, body: bytes, headers: dict[str, str], secret: bytes) -> None:
        """Raises Refusal for a signature that is not good; it counts as a wrong token does."""
        try:
            verify(body, headers, secret, time.time())
        except Refusal as no:
            wrong = self._guards.wrong_credential(head.address)
            raise wrong if wrong.code == "too-many-logins" else no  # noqa: B904 - both say it all

    def _by_token(self, head: Head, route: Route) -> Identity:
        who, ambient = self._identify(head, basic=True)
        self._guards.check_site(head, changes=True, ambient=ambient)
        self._guards.check_role(route, who)
        self._guards.check_rate(who, urgent=False)
        if not head.is_json() and (ambient or head.site is not None or head.origin is not None):
            raise Refusal("media-type", "a browser must send notices with Content-Type: application/json")
        return who

    def _guest(self, head: Head, route: Route) -> Identity:
        """Who asks in a guest's protocol: by a token alone, never by what a browser sends by itself."""
        who, ambient = self._identify(head, basic=True)
        if ambient:
            raise Refusal("unauthenticated", "here a token is needed", hint="Send it as the password of HTTP basic authentication.")
        self._guards.check_site(head, changes=route.changes, ambient=False)
        self._guards.check_role(route, who)
        self._guards.check_rate(who, urgent=route.lane is Lane.URGENT)
        return who

    async def _form(self, exchange: Exchange, head: Head, route: Route) -> tuple[Request, bytes]:
        """The request of a guest and its text."""
        text = head.query if route.method == "GET" else await self._bodies.read(head, exchange.receive)
        exchange.read = True
        return read_form(route, text), text

    def _identify(self, head: Head, *, basic: bool = False) -> tuple[Identity, bool]:
        """As ``Guards.identify``; but a server that has not read its store yet knows hardly a token, and so refuses none as wrong."""
        try:
            return self._guards.identify(head, basic=basic)
        except Refusal as no:
            if self._host.health().ready:
                raise
            raise Refusal("not-ready", "the server starts, stands by or stops", retry_after=1.0) from no

    async def _request(self, exchange: Exchange, route: Route) -> tuple[Request, bytes]:
        """The decoded request and its body."""
        head = exchange.head
        assert head is not None  # noqa: S101
        if route.method == "GET":
            exchange.read = True
            return assemble(route, head.path, head.query, b""), head.query
        if not head.is_json():
            raise Refusal("media-type", "a body must be sent with Content-Type: application/json, in UTF-8")
        body = await self._bodies.read(head, exchange.receive)
        exchange.read = True
        if route.fields or head.query:
            return assemble(route, head.path, head.query, body), body
        return decode(route, body), body

    async def _hand_over(self, exchange: Exchange, route: Route, who: Identity, request: Request, body: bytes) -> None:
        """Ask the host, wait, answer."""
        head = exchange.head
        assert head is not None  # noqa: S101
        wait: float = getattr(request, "wait", 0.0)
        if wait and self._polls >= self._settings.limits.long_polls:
            raise Refusal("too-many-waiting", f"{self._polls:,} clients wait, no more may", hint="Ask with wait=0.", retry_after=1)
        repeat = _repeat(head, who, body) if route.repeatable and head.repeat is not None else None
        call = Waiting(route, request, who, size=len(body), deliver=self._outbox.deliver, repeat=repeat)
        future = self._outbox.expect(call, self._settings.limits.late + wait)
        try:
            self._host.submit(call)
            result = await (self._held(call, future, exchange.receive) if wait else future)
        finally:
            self._outbox.forget(call)
        if isinstance(result, LevadaError):
            raise result
        cycle = exchange.scope.get("levada.cycle")
        if cycle is not None and not exchange.cors:
            await write_whole(cycle, GOOD, encoded(result))
        else:
            await send_json(exchange.send, encoded(result), exchange.cors)

    async def _held(self, call: Waiting, future: asyncio.Future[Result], receive: Receive) -> Result:
        """The answer of a long poll, or ClientGone. The host may hold it for as long as the client asked."""
        left = asyncio.ensure_future(until_gone(receive))
        self._polls += 1
        try:
            await asyncio.wait((future, left), return_when=asyncio.FIRST_COMPLETED)
            if future.done():
                return future.result()
            call.gone = True
            raise ClientGone
        finally:
            self._polls -= 1
            left.cancel()

    # -- what needs no host ------------------------------------------------------------------------

    async def _here(self, exchange: Exchange, given: tuple[Request, bytes], who: Identity) -> None:
        request = given[0]
        if isinstance(request, o.Events):
            return await self._events(exchange, request, who)
        answer, headers = self._answer_here(exchange, request, who)
        return await send_json(exchange.send, encoded(answer), [*headers, *exchange.cors])

    def _answer_here(self, exchange: Exchange, request: Request, who: Identity) -> tuple[Answer, list[Header]]:
        head = exchange.head
        assert head is not None  # noqa: S101
        if isinstance(request, o.Whoami):
            return o.WhoamiAnswer(role=who.role, token=who.token, namespace=who.namespace), []
        if isinstance(request, o.LoginLink):
            return self._link(request, who), []
        if isinstance(request, o.Login):
            return self._login(request, head)
        assert isinstance(request, o.Logout)  # noqa: S101
        self._browsers.leave(head.cookies().get(self._guards.cookie_name, ""))
        return o.Changed(epoch=0), [self._cookie_header("", head, 0)]

    def _link(self, request: o.LoginLink, who: Identity) -> o.LoginLinkAnswer:
        role = request.role or who.role
        if role != who.role and who.role != "admin" and role != "viewer":
            raise Refusal("forbidden", f"the role {who.role} can give no link for {role}")
        if self._host.tokens.by_id(who.token) is None:
            raise Refusal("forbidden", "a link is made with a token, which ends it when it is revoked")
        log.info("login link made", extra={"token": who.token, "role": role, "address": who.address})
        return o.LoginLinkAnswer(path=f"/login?once={self._browsers.link(who.token, role)}", seconds=LINK_SECONDS)

    def _login(self, request: o.Login, head: Head) -> tuple[Answer, list[Header]]:
        row = self._host.tokens.find(request.token)
        if row is None:
            raise self._guards.wrong_credential(head.address)
        log.info("browser let in", extra={"token": row.id, "role": row.role, "address": head.address})
        cookie = self._browsers.cookie(row.id, row.role)
        return o.LoginAnswer(role=row.role), [self._cookie_header(cookie, head, int(COOKIE_SECONDS))]

    def _cookie_header(self, value: str, head: Head, seconds: int) -> Header:
        secure = "; Secure" if head.secure or self._guards.cookie_name.startswith("__Host-") else ""
        text = f"{self._guards.cookie_name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}"
        return b"set-cookie", text.encode("ascii")

    async def _events(self, exchange: Exchange, request: o.Events, who: Identity) -> None:
        tokens = self._host.tokens

        def counts() -> bool:
            return ":" in who.token or tokens.by_id(who.token) is not None

        await self.hub.serve(request.family, exchange.receive, exchange.send, exchange.cors, counts)

    # -- pages, and what is not there ---------------------------------------------------------------

    async def _elsewhere(self, exchange: Exchange, routes: dict[str, Route]) -> None:
        """A page, a preflight of another origin, or a refusal that tells strangers nothing of what there is."""
        head = exchange.head
        assert head is not None  # noqa: S101
        exchange.read = head.method in ("GET", "HEAD", "OPTIONS")
        if head.method == "OPTIONS" and exchange.cors and head.preflight is not None:
            return await self._preflight(exchange, routes)
        if head.path in PAGES and head.method in ("GET", "HEAD") and not (head.path == "/" and self._ui is not None):
            exchange.name = head.path[1:].partition(".")[0] or "front"
            return await self._page(exchange, PAGES[head.path])
        if self._ui is not None and head.method in ("GET", "HEAD") and not head.path.startswith("/v1/"):
            exchange.name = "ui"
            return await self._ui(exchange.scope, exchange.receive, exchange.send)
        is_guest = head.path.startswith(GUESTS)
        self._guards.identify(head, basic=is_guest)
        if is_guest and not self._has_guests:
            raise Refusal("not-found", "this server takes no workers of Luigi", hint="Start it with `levada server --luigi`.")
        if routes or head.path in PAGES:
            allowed = sorted(routes) or ["GET", "HEAD"]
            raise _NotAllowed(allowed, head)
        raise Refusal("not-found", "there is no such page", hint="/openapi.json lists all that can be called.")

    async def _page(self, exchange: Exchange, roles: frozenset[str]) -> None:
        head = exchange.head
        assert head is not None  # noqa: S101
        if roles:
            who, ambient = self._guards.identify(head)
            self._guards.check_site(head, changes=False, ambient=ambient)
            self._guards.check_rate(who, urgent=False)
        status, kind, body, more = self._pages(head)
        exchange.status = status
        await send_page(exchange.send, status, kind, body, more)

    def _pages(self, head: Head) -> tuple[int, bytes, bytes, list[Header]]:
        """(status, type, body, headers) of a page."""
        text = b"text/plain; charset=utf-8"
        if head.path in ("/livez", "/readyz"):
            health = self._host.health()
            good = health.alive if head.path == "/livez" else health.alive and health.ready
            return (200, text, b"ok\n", []) if good else (503, text, b"no\n", [])  # why not is for the log, not for strangers
        if head.path == "/":
            return 200, b"text/html; charset=utf-8", FRONT, []
        if head.path == "/metrics":
            return 200, *metrics_page(self.figures, self._host.samples()), []
        if head.path == "/openapi.json":
            return 200, b"application/json", self._description(), []
        return self._enter(head, text)

    def _enter(self, head: Head, text: bytes) -> tuple[int, bytes, bytes, list[Header]]:
        """The one-time link: a cookie, and on to the first page. Tells strangers the version, and how to get in."""
        code = one_time_code(head.query)
        if code:
            entered = self._browsers.enter(code)
            if entered is None:
                raise self._guards.wrong_credential(head.address, link=True)
            log.info("browser let in", extra={"role": entered[1], "address": head.address})
            cookie = self._cookie_header(entered[0], head, int(COOKIE_SECONDS))
            return 303, text, b"", [(b"location", b"/"), cookie]
        words = f"Levada {self._version}\n\nTo come in, open a link that `levada up` prints.\n"
        return 200, text, words.encode(), []

    def _description(self) -> bytes:
        if self._openapi is None:
            from ..._wire.openapi import openapi

            self._openapi = openapi(self._version)
        return self._openapi

    # -- scripts of other origins --------------------------------------------------------------------

    def _cors(self, exchange: Exchange) -> None:
        assert exchange.head is not None  # noqa: S101
        origin = self._guards.allowed_origin(exchange.head)
        if origin is not None:
            exchange.cors = [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]

    async def _preflight(self, exchange: Exchange, routes: dict[str, Route]) -> None:
        methods = ", ".join(sorted(routes) or ["GET"]).encode()
        more = [
            *exchange.cors,
            (b"access-control-allow-methods", methods),
            (b"access-control-allow-headers", b"authorization, content-type, idempotency-key"),
            (b"access-control-max-age", b"600"),
        ]
        exchange.name = "preflight"
        await send_page(exchange.send, 200, b"text/plain", b"", more)

    # -- refusals --------------------------------------------------------------------------------------

    async def _refuse(self, exchange: Exchange, error: LevadaError) -> None:
        refusal = error if isinstance(error, Refusal) else None
        problem = problem_of(error)
        private = problem.detail == problem.title and error.message != problem.detail
        if private or problem.status >= 500 or problem.status in (401, 403, 421, 429):
            problem = problem_of(error, id=self._note(exchange, error))
        exchange.status = problem.status
        self.figures.refused[problem.code] += 1
        more = [*(headers_of(refusal) if refusal else ()), *exchange.cors]
        if isinstance(error, _NotAllowed):
            more.append((b"allow", error.allowed))
        unread = not exchange.read and exchange.head is not None and is_long(exchange.head)
        await send_problem(exchange.send, problem, more, (lambda: drain(exchange.receive)) if unread else None)

    def _note(self, exchange: Exchange, error: LevadaError) -> str:
        """Write a refusal down, unless many were just written; the id of the line."""
        line = secrets.token_hex(6)
        if not self._lines.take("", self._clock()):
            head = exchange.head
            more = {
                "id": line,
                "code": error.code,
                "address": head.address if head else "",
                "route": exchange.name,
                "detail": error.message,
            }
            log.info("request refused", extra=more)
        return line

    async def _mistake(self, exchange: Exchange, error: Exception) -> None:
        """A fault of ours: the trace goes to the log, the client gets its id."""
        line = secrets.token_hex(6)
        log.error("request failed", exc_info=error, extra={"id": line, "route": exchange.name})
        problem = problem_of(Refusal("internal", "internal"), id=line)
        exchange.status = problem.status
        self.figures.refused[problem.code] += 1
        try:
            await send_problem(exchange.send, problem, (), None)
        except RuntimeError:  # the answer had begun
            log.debug("an answer broke off", extra={"id": line})


class _NotAllowed(Refusal):
    """405, with the methods that are."""

    def __init__(self, allowed: list[str], head: Head) -> None:
        super().__init__("wrong-method", f"{head.method[:20]} is not for this path; {', '.join(allowed)} may be used")
        self.allowed = ", ".join(allowed).encode()


def _repeat(head: Head, who: Identity, body: bytes) -> Repeat:
    """The Idempotency-Key of a command, and what else must be equal for it to be the same command."""
    key = (head.repeat or b"").decode("latin-1")
    if not 0 < len(key) <= REPEAT_KEY or not key.isascii() or not key.isprintable():
        raise Refusal("invalid-message", f"an Idempotency-Key has 1 to {REPEAT_KEY} printable ASCII characters")
    what = b"\n".join((head.method.encode(), head.path.encode(), body))
    return Repeat(f"{who.token}:{key}", hashlib.sha256(what).digest())

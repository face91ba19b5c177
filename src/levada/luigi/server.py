"""Luigi's ``luigi.server``: the verbs of a scheduler object over HTTP, for one process without users or tokens.

Meant for tests and for old set-ups; ``levada server`` is the one to run: it keeps each answer on disk before it gives it, and
speaks to Luigi's workers too. Standard library only. ``app(scheduler)`` can also be handed to tornado's ``HTTPServer``.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import signal
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from ..errors import LevadaError
from ..params import BoolParameter, IntParameter, ListParameter, Parameter
from ..task import Config
from .rpc_methods import RPC_METHODS
from .scheduler import Scheduler

logger = logging.getLogger("luigi.server")
PRUNE = 60.0  # seconds
LARGEST = 64 << 20  # bytes of a request
INDEX = "static/visualiser/index.html"
PAGE = b"""<!doctype html><html><head><meta charset="utf-8"><title>Scheduler</title></head><body><h1>Scheduler</h1>
<p>This process speaks luigid's protocol at <code>/api/</code>. Pages for people are part of <code>levada server</code>.</p>
<p><a href="../../api/task_list">tasks</a>, <a href="../../api/worker_list">workers</a>, <a href="../../api/resource_list">resources</a>
(JSON)</p></body></html>"""


class cors(Config):
    """The section ``[cors]``: which pages of other sites may read the API."""

    enabled: Any = BoolParameter(default=False, description="answer such pages at all")
    allowed_origins: Any = ListParameter(default=(), description="origins that may, where not any may")
    allow_any_origin: Any = BoolParameter(default=False, description="any may")
    allow_null_origin: Any = BoolParameter(default=False, description="pages without an origin (files) may")
    max_age: Any = IntParameter(default=86400, description="seconds for which a browser remembers that")
    allowed_methods: Any = Parameter(default="GET, OPTIONS", description="what they may ask with")
    allowed_headers: Any = Parameter(default="Accept, Content-Type, Origin", description="headers that they may send")
    exposed_headers: Any = Parameter(default="", description="headers that they may read")
    allow_credentials: Any = BoolParameter(default=False, description="cookies and logins may be sent along")


class Answer(NamedTuple):
    """What goes back."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""


class _Headers:
    """What a metrics collector is given to say of what kind its text is."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    def set_header(self, name: str, value: Any) -> None:
        self.headers[name] = str(value)


class App:
    """Answers requests by a scheduler, one at a time."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler
        self.lock = threading.RLock()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What a request gets; target: path and query."""
        path, query = urlsplit(target)[2:4]
        if path.startswith("/api/"):
            return self._verb(method, path.removeprefix("/api/"), query, headers, body)
        if method == "HEAD" and path == "/":
            return Answer(204)
        if method not in ("GET", "HEAD"):
            return Answer(405)
        if path == "/":
            return Answer(302, {"Location": INDEX})  # no leading slash: a proxy may have put all of this below a path
        if path == f"/{INDEX}":
            return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, PAGE)
        return self._metrics() if path == "/metrics" else Answer(404)

    def _verb(self, method: str, name: str, query: str, headers: Mapping[str, str], body: bytes) -> Answer:
        rules = cors()
        origin = _allowed(rules, headers.get("Origin")) if rules.enabled else None
        if method == "OPTIONS":
            return Answer(204, {} if origin is None else _preflight(rules, origin))
        verb = getattr(self.scheduler, name, None) if name in RPC_METHODS else None
        if verb is None:
            return Answer(404)
        told = parse_qs(body.decode() if body else query, keep_blank_values=True).get("data", ["{}"])[-1]
        try:
            with self.lock:
                response = verb(**json.loads(told))
        except (TypeError, ValueError, AssertionError) as fault:
            logger.warning("%s was asked in a wrong way", name, exc_info=True)
            return Answer(400, {"Content-Type": "text/plain; charset=utf-8"}, f"{name}: {fault}\n".encode())
        shown = {"Content-Type": "application/json; charset=UTF-8"}
        if origin is not None:
            shown["Access-Control-Allow-Origin"] = origin
            if origin not in ("*", "null"):
                shown["Vary"] = "Origin"
        return Answer(200, shown, json.dumps({"response": response}).encode())

    def _metrics(self) -> Answer:
        collector, told = self.scheduler._state._metrics_collector, _Headers()
        with self.lock:
            text = collector.generate_latest()
            if text:
                collector.configure_http_handler(told)
        return Answer(200, told.headers, text.encode() if isinstance(text, str) else text or b"")

    def __call__(self, request: Any) -> None:
        """A request of tornado's HTTP server."""
        from importlib import import_module

        wire = import_module("tornado.httputil")
        status, headers, body = self.answer(request.method, request.uri, request.headers, request.body)
        line = wire.ResponseStartLine("HTTP/1.1", status, HTTPStatus(status).phrase)
        lengths = {} if status == 204 else {"Content-Length": str(len(body))}
        request.connection.write_headers(line, wire.HTTPHeaders({**headers, **lengths}), b"" if request.method == "HEAD" else body)
        request.connection.finish()


def _allowed(rules: cors, origin: str | None) -> str | None:
    """What the header says that lets a page of this origin read the answer; None: it may not."""
    if not origin:
        return None
    if origin == "null":
        return "null" if rules.allow_null_origin else None
    if rules.allow_any_origin:
        return "*"
    return origin if origin in rules.allowed_origins and origin != "*" else None


def _preflight(rules: cors, origin: str) -> dict[str, str]:
    found = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Max-Age": str(rules.max_age),
        "Access-Control-Allow-Methods": rules.allowed_methods,
        "Access-Control-Allow-Headers": rules.allowed_headers,
    }
    if rules.allow_credentials:
        found["Access-Control-Allow-Credentials"] = "true"
    if rules.exposed_headers:
        found["Access-Control-Expose-Headers"] = rules.exposed_headers
    return found


def app(scheduler: Any) -> App:
    """What answers requests about a scheduler."""
    return App(scheduler)


# -- a process of its own ------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer leaves in one piece: in two, the second waits until the first is acknowledged
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]  # what it is made by

    def _handle(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > LARGEST:
            self.send_error(413)
            return
        try:
            answer = self.server.app.answer(
                self.command, self.path, {name.title(): value for name, value in self.headers.items()}, self.rfile.read(int(length))
            )
        except Exception:
            logger.exception("%s %s could not be answered", self.command, self.path)
            answer = Answer(500)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_POST = do_HEAD = do_OPTIONS = _handle

    def address_string(self) -> str:
        return str(self.client_address[:1])  # of a Unix socket it is empty

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, app: App, family: int, address: Any) -> None:
        self.app, self.address_family = app, family
        if family == getattr(socket, "AF_UNIX", None):
            self.allow_reuse_address = False
        super().__init__(address, _Handler)


def _listen(app: App, api_port: int, address: str | None, unix_socket: str | None) -> list[_Server]:
    """A server a socket. Raises LevadaError where none can be opened."""
    if unix_socket is not None:
        if os.path.exists(unix_socket):
            os.unlink(unix_socket)
        return [_Server(app, socket.AF_UNIX, unix_socket)]
    found: list[_Server] = []
    fault: OSError | None = None
    host = address or None
    for family, _, _, _, place in socket.getaddrinfo(host, api_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
        try:
            found.append(_only_own_family(app, family, place))
        except OSError as cause:
            fault = cause
    if not found:
        raise LevadaError(
            f"port {api_port} of {address or 'this machine'} cannot be listened to: {fault}", hint="Choose another by --port."
        )
    return found


def _only_own_family(app: App, family: int, place: Any) -> _Server:
    server_class = _Server
    if family == socket.AF_INET6:

        class _Six(_Server):
            def server_bind(self) -> None:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                super().server_bind()

        server_class = _Six
    return server_class(app, family, place)


_stopping = threading.Event()


def run(api_port: int = 8082, address: str | None = None, unix_socket: str | None = None, scheduler: Any = None) -> None:
    """Serve a scheduler until SIGTERM, SIGINT or ``stop()``; it begins where its state file says, which is written at the end.

    address: None is all addresses of the machine, as luigid has it.
    """
    scheduler = Scheduler() if scheduler is None else scheduler
    scheduler.load()
    answering = app(scheduler)
    servers = _listen(answering, api_port, address, unix_socket)
    _stopping.clear()
    for name in ("SIGINT", "SIGTERM", "SIGQUIT", "SIGBREAK"):
        if hasattr(signal, name) and threading.current_thread() is threading.main_thread():
            signal.signal(getattr(signal, name), lambda number, frame: _stopping.set())
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    logger.info("the scheduler listens at %s", [server.server_address for server in servers])
    try:
        while not _stopping.wait(PRUNE):
            with answering.lock:
                scheduler.prune()
    finally:
        for server in servers:
            server.server_close()
        with answering.lock:
            scheduler.dump()
        if unix_socket is not None and os.path.exists(unix_socket):
            os.unlink(unix_socket)
    logger.info("the scheduler has stopped")


def stop() -> None:
    """Let ``run`` come to its end."""
    _stopping.set()


def from_utc(utcTime: str, fmt: str | None = None) -> int:
    """Seconds since 1970 of a text, read as local time as Luigi's history pages do. Raises ValueError for another form.

    fmt: the one form that is allowed; None: date and time, with or without microseconds.
    """
    for form in ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S") if fmt is None else (fmt,):
        try:
            return int(time.mktime(datetime.datetime.strptime(utcTime, form).timetuple()))
        except ValueError:
            continue
    raise ValueError(f"{utcTime!r} is no time of the form {fmt or '2024-02-29 13:30:00'}")


if __name__ == "__main__":
    run()
    sys.exit(0)

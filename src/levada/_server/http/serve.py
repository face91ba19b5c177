"""Sockets, TLS, and the thread with the event loop: the HTTP layer as one object to start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn

from ..._wire.routes import Route
from ...errors import ConfigError
from .app import App, Page
from .port import Host
from .protocol import Connections, protocol_of
from .settings import Bind, Settings, Tls, refuse_unsafe
from .tokens import Browsers

BACKLOG = 2_048
SWEEP_SECONDS = 1.0
log = logging.getLogger("levada.server")


class WebServer:
    """Serves a host over HTTP in a thread of its own. Raises ConfigError before anything is opened when that is unsafe.

    >>> # web = WebServer(host, Settings(), version="0.1"); web.start(); ...; web.stop()
    """

    def __init__(self, host: Host, settings: Settings, *, version: str, ui: Page | None = None, guests: Sequence[Route] = ()) -> None:
        refuse_unsafe(settings, len(host.tokens))
        self._host, self._settings, self._version, self._ui = host, settings, version, ui
        self._guests = guests
        self.browsers = Browsers(host.tokens)
        self.sockets: list[socket.socket] = []
        self._paths: list[tuple[str, os.stat_result]] = []
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._grace = 5.0
        self._thread = threading.Thread(target=self._run, name="levada-http", daemon=True)

    def start(self) -> None:
        """Open the sockets and serve; returns when requests are taken."""
        tls = tls_context(self._settings.tls)
        try:
            for bind in self._settings.binds:
                self._open(bind)
        except BaseException:
            self._close()
            raise
        self._tls = tls
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            self._close()
            raise self._failed

    def stop(self, grace: float = 5.0) -> None:
        """Take no more connections, let what runs end within ``grace`` seconds, close. Harmless to repeat."""
        self._grace = grace
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(stopping.set)
        if self._thread.is_alive():
            self._thread.join(grace + 10)
        self._close()

    @property
    def addresses(self) -> list[str]:
        """Where the server can be reached: URLs, or ``unix:PATH``."""
        scheme = "https" if self._settings.tls else "http"
        return [_address_of(sock, scheme) for sock in self.sockets]

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that requests are served in, once started."""
        return self._loop

    @property
    def port(self) -> int:
        """Of the first socket that has one, else 0."""
        return next((sock.getsockname()[1] for sock in self.sockets if sock.family != socket.AF_UNIX), 0)

    # -- sockets -----------------------------------------------------------------------------------

    def _open(self, bind: Bind) -> None:
        try:
            self.sockets.append(self._opened(bind))
        except ConfigError as no:
            if not bind.spare:
                raise
            taken = getattr(no.__cause__, "errno", None) == errno.EADDRINUSE  # a standby, say: the store tells who is there
            log.log(logging.INFO if taken else logging.WARNING, "%s; going on without", no.message)

    def _opened(self, bind: Bind) -> socket.socket:
        try:
            if bind.path:
                sock = unix_socket(bind.path)
                self._paths.append((bind.path, os.stat(bind.path)))
                return sock
            family, kind, protocol, _, address = socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
                0
            ]
            return _tcp_socket(socket.socket(family, kind, protocol), address)
        except OSError as cause:
            taken = "Is another server there? " if cause.errno in (errno.EADDRINUSE, errno.EEXIST) else ""
            raise ConfigError(f"cannot listen at {bind}: {cause.strerror or cause}", hint=f"{taken}Choose with --bind.") from cause

    def _close(self) -> None:
        for sock in self.sockets:
            sock.close()
        for path, made in self._paths:
            with contextlib.suppress(OSError):
                if os.path.samestat(os.lstat(path), made):
                    os.unlink(path)
        self._paths.clear()

    # -- the thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_quickest_loop()) as runner:
                runner.run(self._serve())
        except BaseException as error:  # handed to who waits for the start
            self._failed = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        app = App(self._host, self._settings, self.browsers, version=self._version, port=self.port, ui=self._ui, guests=self._guests)
        connections = Connections(self._settings.limits, loop.time)
        app.figures.gauges["http_connections"] = lambda: len(connections.open)
        config = _config(app, connections)
        state = uvicorn.Server(config).server_state
        listening = [await self._listen(loop, config, state, sock) for sock in self.sockets]
        sweeping = asyncio.create_task(_sweep(app, connections))
        self._ready.set()
        await self._stopping.wait()
        sweeping.cancel()
        for server in listening:
            server.close()
        app.hub.close()
        await _drained(connections, state.tasks, self._grace)

    async def _listen(self, loop: asyncio.AbstractEventLoop, config: uvicorn.Config, state: Any, sock: socket.socket) -> asyncio.Server:
        tls = None if sock.family == socket.AF_UNIX else self._tls
        kind: Any = config.http_protocol_class
        return await loop.create_server(lambda: kind(config=config, server_state=state, app_state={}), sock=sock, ssl=tls, backlog=BACKLOG)


def _quickest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed: a request costs a third less."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _config(app: App, connections: Connections) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=protocol_of(connections),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    config.load()
    config.loaded_app = app  # without the wrappers that uvicorn puts around it
    return config


async def _sweep(app: App, connections: Connections) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        app.sweep()
        connections.sweep()


async def _drained(connections: Connections, tasks: set[asyncio.Task[None]], grace: float) -> None:
    """Let requests end, then cut off what is left."""
    for connection in list(connections.open):
        connection.shutdown()
    if tasks:
        await asyncio.wait(list(tasks), timeout=grace)
    for task in list(tasks):
        task.cancel()
    for connection in list(connections.open):
        connection.transport.abort()
    await asyncio.sleep(0)


# -- sockets and certificates --------------------------------------------------------------------


def _tcp_socket(sock: socket.socket, address: Any) -> socket.socket:
    """Bound. Its protocol must be named when it is made: asyncio sets TCP_NODELAY on such sockets alone."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def unix_socket(path: str) -> socket.socket:
    """A socket at a path that only this user can open (mode 0600). One that a dead server left is replaced; a living one's is not."""
    _remove_dead(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(OSError):
            os.fchmod(sock.fileno(), 0o600)  # on Linux the name is made with this mode
        with _narrow_umask():
            sock.bind(path)
        os.chmod(path, 0o600)
    except BaseException:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def _narrow_umask() -> Iterator[None]:
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def _remove_dead(path: str) -> None:
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(seen.st_mode):
        raise OSError(errno.EEXIST, "there is a file that is no socket", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise OSError(errno.EADDRINUSE, "another server listens there", path)


def tls_context(tls: Tls | None) -> ssl.SSLContext | None:
    """The context of a certificate, TLS 1.2 at least. Raises ConfigError when the files cannot be used."""
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ValueError) as cause:
        raise ConfigError(f"TLS: the certificate or its key cannot be used: {cause}", hint="Both are files in PEM format.") from cause
    return context


def _address_of(sock: socket.socket, scheme: str) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.path.abspath(name)}"  # clients have other folders
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{scheme}://{host}:{name[1]}"

"""Connections by SSH (asyncssh): one a process and place, on an event loop in a thread of its own.

Laws: a question has an answer, an error or an end, and can be interrupted meanwhile; host keys are checked; a forked child
makes connections of its own and never touches its parent's. Who may log in, and how, is the affair of OpenSSH's own
conventions: ``~/.ssh/config``, ``known_hosts``, the agent, the keys in ``~/.ssh``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING, Any, TypeVar

from levada._model.values import NamedTuple
from levada.errors import ConfigError, TargetError

from .troubles import is_lost

if TYPE_CHECKING:
    from asyncssh import SFTPClient, SSHClientConnection

T = TypeVar("T")

ANSWER = 60.0  # seconds for the answer to a question, a new connection included
MOVING = 600.0  # seconds for what carries data, or waits for a disk
CONNECTING = 10.0  # seconds until a host takes a connection,
LOGIN = 15.0  # and until it lets us in
ALIVE = 15.0  # seconds of silence after which the host is asked whether it is there; three times, then the connection is given up
BELIEVED_AWAY = 2.0  # seconds for which a failure to connect answers further questions
SESSIONS = 6  # commands at once over one connection: sshd takes ten sessions, and two carry files
_PAUSES = (0.2, 0.6, 1.5)  # seconds before a connection is tried again that sshd, which had too many, dropped

# -- whom to speak to --------------------------------------------------------------------------


class Place(NamedTuple):
    """Whom to speak to. What is empty is left to ``~/.ssh/config`` and its defaults."""

    host: str
    user: str = ""
    port: int | None = None
    key_file: str = ""  # the only key that is offered

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port else "")


_AUTHORITY = re.compile(r"(?:(?P<user>[^@:/]+)@)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^@:/\[\]\s]+)(?::(?P<port>\d{1,5}))?")


def read_place(authority: str, url: str) -> Place:
    """The place that ``user@host:port`` names; user and port may be missing. Raises ConfigError, naming the URL.

    >>> read_place("ana@node7:2222", "sftp://ana@node7:2222/a")
    Place(host='node7', user='ana', port=2222, key_file='')
    """
    match = _AUTHORITY.fullmatch(authority)
    port = int(match["port"]) if match and match["port"] else None
    if match is None or match["host"].startswith("-") or (port is not None and not 0 < port < 65536):
        hint = "It looks like USER@HOST:PORT; a password is never part of it: use a key or the agent."
        raise ConfigError(f"{url}: {authority!r} names no host", hint=hint)
    return Place(match["host"].strip("[]"), match["user"] or "", port)


# -- the loop ----------------------------------------------------------------------------------

_NAME = "levada-ssh"  # how names of its threads begin
_loop: asyncio.AbstractEventLoop | None = None
_hosts: dict[Place, Host] = {}
_making = Lock()
_parents: list[object] = []  # what a forked child got from its parent: kept, since freeing it would touch the parent's sockets


def _forked() -> None:
    global _loop, _hosts, _making
    _parents.append((_loop, _hosts))
    _loop, _hosts, _making = None, {}, Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _running() -> asyncio.AbstractEventLoop:
    global _loop
    if sys.is_finalizing():
        raise ConnectionError("the interpreter is ending")
    if _loop is None:
        with _making:
            if _loop is None:
                started = asyncio.SelectorEventLoop()
                started.set_default_executor(ThreadPoolExecutor(thread_name_prefix=_NAME))  # asyncssh reads its files there
                thread = Thread(target=started.run_forever, name=_NAME, daemon=True)
                thread.start()
                _loop = started
    return _loop


def in_loop() -> bool:
    """Whether this is the thread that answers, or one that it waits for while it connects."""
    return current_thread().name.startswith(_NAME)


def _start(work: Coroutine[Any, Any, T]) -> Future[T]:
    try:
        return asyncio.run_coroutine_threadsafe(work, _running())
    except BaseException:
        work.close()
        raise


# -- a host ------------------------------------------------------------------------------------


class Done(NamedTuple):
    """What a command gave. status: its exit status, -N when signal N ended it."""

    status: int
    out: bytes
    err: bytes


class Link:
    """One connection, used in the loop's thread alone."""

    def __init__(self, connection: SSHClientConnection) -> None:
        self.connection = connection
        self._sftp: dict[str, asyncio.Task[SFTPClient]] = {}
        self._sessions = asyncio.Semaphore(SESSIONS)

    async def asking(self) -> SFTPClient:
        """The channel for questions about files."""
        return await self._channel("asking")

    async def moving(self) -> SFTPClient:
        """The channel for their bytes: sftp-server does one thing after the other, and an fsync may take its time."""
        return await self._channel("moving")

    async def _channel(self, name: str) -> SFTPClient:
        if name not in self._sftp:
            self._sftp[name] = asyncio.ensure_future(self.connection.start_sftp_client())
        try:
            return await asyncio.shield(self._sftp[name])
        except Exception:
            self._sftp.pop(name, None)
            raise

    async def run(self, command: str, given: bytes = b"") -> Done:
        """Run a command in the user's login shell there, to its end; given: its standard input."""
        import asyncssh

        async with self._sessions:
            done = await self.connection.run(command, input=given, encoding=None)
        if done.returncode is None:
            raise asyncssh.ConnectionLost("the session ended without telling how the command did")
        return Done(done.returncode, _bytes(done.stdout), _bytes(done.stderr))


def _bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else b""


class Host:
    """A place that is spoken to from any thread, over one connection, which is made when it is needed."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._pid = os.getpid()
        self._link: Link | None = None
        self._connecting = asyncio.Lock()
        self._away: tuple[float, BaseException] | None = None

    def ask(self, act: Callable[[Link], Awaitable[T]], *, again: bool = False, seconds: float | None = None) -> T:
        """What ``act`` gives; it is called in the loop with a connection that stands. Raises what asyncssh raises.

        again: it may be asked a second time when the connection is lost. seconds: until it is given up, with TimeoutError (`ANSWER`).
        """
        if in_loop():  # a collector of garbage came by there: what waits for itself never ends
            raise ConnectionError("asked in the thread that would have to answer")
        if self._pid != os.getpid():  # somebody kept it over a fork
            return host_at(self.place, f"ssh://{self.place}").ask(act, again=again, seconds=seconds)
        future = _start(self._ask(act, again, ANSWER if seconds is None else seconds))
        try:
            return future.result()
        finally:
            future.cancel()  # where the wait was interrupted

    def send(self, act: Callable[[], Awaitable[object]]) -> None:
        """Have something done that nobody waits for, and that may fail."""

        async def quietly() -> None:
            with suppress(Exception):
                await act()

        if self._pid == os.getpid():
            with suppress(ConnectionError):
                _start(quietly())

    def tell(self, act: Callable[[Link], Awaitable[object]]) -> None:
        """As `ask`, where nobody waits for the answer."""

        async def quietly() -> None:
            with suppress(Exception):
                await self._ask(act, True, ANSWER)

        if self._pid == os.getpid():
            with suppress(ConnectionError):
                _start(quietly())

    def close(self) -> None:
        """Give the connection up; the next question makes another one."""

        async def dropped() -> None:
            self._drop(self._link)

        self.send(dropped)

    async def _ask(self, act: Callable[[Link], Awaitable[T]], again: bool, seconds: float) -> T:
        link, limit = None, asyncio.timeout(seconds)
        try:
            async with limit:
                try:
                    link = await self._linked()
                    return await act(link)
                except Exception as cause:
                    if not again or link is None or not is_lost(cause):
                        raise
                    self._drop(link)
                link = await self._linked()
                return await act(link)
        except TimeoutError as cause:
            self._drop(link)
            raise TimeoutError(f"no answer for {seconds if limit.expired() else CONNECTING:g} s") from cause
        except Exception as cause:
            if is_lost(cause):
                self._drop(link)
            raise

    def _drop(self, link: Link | None) -> None:
        if link is not None:
            link.connection.abort()
            if self._link is link:
                self._link = None

    async def _linked(self) -> Link:
        async with self._connecting:
            if self._link is None or self._link.connection.is_closed():
                until, before = self._away or (0.0, None)
                if before is not None and time.monotonic() < until:
                    raise before.with_traceback(None)  # else its traceback grows with each question
                try:
                    self._link = Link(await self._connect())
                except Exception as cause:
                    self._away = (time.monotonic() + BELIEVED_AWAY, cause)
                    raise
            return self._link

    async def _connect(self) -> SSHClientConnection:
        import asyncssh

        for pause in (*_PAUSES, None):
            try:
                return await asyncssh.connect(self.place.host, **_options(self.place))
            except (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError):
                if pause is None:
                    raise
                await asyncio.sleep(pause * (1 + random.random()))  # noqa: S311 - so that many processes do not come back together
        raise AssertionError("unreachable")


def _options(place: Place) -> dict[str, Any]:
    """What asyncssh is told beyond OpenSSH's configuration."""
    options: dict[str, Any] = {
        "connect_timeout": CONNECTING,
        "login_timeout": LOGIN,
        "keepalive_interval": ALIVE,
        "keepalive_count_max": 3,
    }
    if place.port is not None:
        options["port"] = place.port
    if place.user:
        options["username"] = place.user
    if place.key_file:
        options["client_keys"] = [os.path.expanduser(place.key_file)]
    if config := _configured():
        options["config"] = [config]
    return options


def _configured() -> str:
    from levada.config import setting

    return os.path.expanduser(str(setting("ssh", "config") or ""))


def host_at(place: Place, url: str) -> Host:
    """The host of a place, one for this process; nothing is asked yet. Raises TargetError when asyncssh is missing."""
    found = _hosts.get(place)
    if found is None:
        _need_client(url)
        with _making:
            found = _hosts.setdefault(place, Host(place))
    return found


def _need_client(url: str) -> None:
    try:
        import asyncssh
    except ImportError as cause:
        hint = 'pip install "levada[ssh]"'
        raise TargetError(f"{url}: SSH is spoken by the package asyncssh, which is not there ({cause})", hint=hint) from cause
    logger = logging.getLogger(asyncssh.__name__)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)  # it tells of each connection and channel

"""Connections to one FTP server, a few a process, and what its replies mean.

Laws: a connection is used by one thread at a time, and by no forked child; one that may have lost its place in the dialogue is
not used again. Passwords come from ``~/.netrc`` (or the file that ``NETRC`` names), and are shown nowhere.
"""

from __future__ import annotations

import ftplib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from levada._model.values import NamedTuple
from levada.errors import TargetError, TargetUnreachable, TargetWriteError
from levada.targets.logins import login_to, refuse_password

T = TypeVar("T")

ANSWER = 20.0  # seconds that the server may take for one answer, or for the next bytes
FAILURES: tuple[type[BaseException], ...] = (*ftplib.all_errors, TargetError)
BELIEVED_AWAY = 2.0  # seconds; each question to one that is away would take its own time, and a plan may have thousands
_KEPT = 8  # idle connections


class Server(NamedTuple):
    """Where to, and as whom. user: "" is anonymous."""

    host: str
    port: int
    user: str


def server_of(authority: str) -> Server:
    """What ``user@host:port`` means. Raises TargetError for what it does not.

    >>> server_of("ada@ftp.example.org:2121")
    Server(host='ftp.example.org', port=2121, user='ada')
    """
    refuse_password("ftp", authority)
    user, _, place = authority.rpartition("@")
    match = re.fullmatch(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^\[\]@/:]+))(?::(?P<port>\d+))?", place)
    if match is None or int(match["port"] or 0) > 65535:
        raise TargetError(f"ftp://{authority}: names no server", hint="It looks like ftp://USER@HOST:PORT/path.")
    return Server(match["host"] or match["six"], int(match["port"] or ftplib.FTP_PORT), user)


class Connection(ftplib.FTP):
    """A dialogue with a server that knows who asks."""

    lists_facts = False  # it knows MLST and MLSD
    was_idle = False  # the server may have closed it meanwhile

    @classmethod
    def to(cls, server: Server, login: tuple[str, str] | None = None, timeout: float = ANSWER) -> Connection:
        """A new one. login: user and password; None for those of netrc. Raises what ftplib raises, TargetError for a bad netrc."""
        made = cls(timeout=timeout)
        try:
            made.connect(server.host, server.port)
            user, password = _credentials(server) if login is None else login
            made.login(user, password)
            made.protect()
            made.voidcmd("TYPE I")
            made.lists_facts = _knows_facts(made)
        except BaseException:
            made.close()
            raise
        return made

    def __del__(self) -> None:
        self.close()

    def protect(self) -> None:
        """Called after the login: where the dialogue is encrypted, what it transfers will be, too."""

    def lines(self, command: str) -> tuple[list[str], str]:
        """The lines that a listing brings, and the reply after them. Names that are no UTF-8 come as file names do (surrogates)."""
        with self.transfercmd(command) as data, data.makefile("rb") as stream:
            text = stream.read().decode("utf-8", "surrogateescape")
        end = "\r\n" if "\r\n" in text else "\n"
        return [line for line in text.split(end) if line], self.voidresp()


def _credentials(server: Server) -> tuple[str, str]:
    login, password = login_to(server.host) or ("", "")
    return (login, password) if server.user in ("", login) else (server.user, "")


def _knows_facts(connection: ftplib.FTP) -> bool:
    try:
        return "MLST" in connection.sendcmd("FEAT").upper()
    except ftplib.error_perm:
        return False


class Connections:
    """Those of this process to one server. Safe for threads."""

    def __init__(self, server: Server, make: Callable[[Server], Connection] = Connection.to) -> None:
        self._server, self._make = server, make
        self._idle: list[Connection] = []
        self._process = os.getpid()
        self._lock = Lock()
        self._away: tuple[float, BaseException] | None = None

    @contextmanager
    def one(self, *, fresh: bool = False) -> Iterator[Connection]:
        """A connection for a while. After an error that is no plain refusal it is closed. fresh: not one that was idle."""
        connection = self._new() if fresh else (self._take() or self._new())
        try:
            yield connection
        except ftplib.error_perm:
            self.give_back(connection)
            raise
        except BaseException:
            connection.close()
            raise
        self.give_back(connection)

    def ask(self, question: Callable[[Connection], T]) -> T:
        """The answer to a question that may be asked twice: it is, where an idle connection turns out to be closed."""
        idle = False
        try:
            with self.one() as connection:
                idle = connection.was_idle
                return question(connection)
        except (OSError, EOFError, ftplib.error_temp) as cause:
            if not idle or isinstance(cause, (TargetError, FileNotFoundError)):
                raise
        with self.one(fresh=True) as connection:
            return question(connection)

    def borrow(self) -> Connection:
        """A connection that answers, for as long as somebody reads."""
        while (connection := self._take()) is not None:
            try:
                connection.voidcmd("NOOP")
                return connection
            except ftplib.all_errors:
                connection.close()
        return self._new()

    def give_back(self, connection: Connection) -> None:
        """Keep it for the next one who asks."""
        connection.was_idle = True
        with self._lock:
            if self._process == os.getpid() and len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        connection.close()

    def _take(self) -> Connection | None:
        with self._lock:
            if self._process != os.getpid():
                self._process, self._idle = os.getpid(), []  # they are its parent's
            return self._idle.pop() if self._idle else None

    def _new(self) -> Connection:
        if self._away is not None and time.monotonic() < self._away[0]:
            raise self._away[1].with_traceback(None)  # else its traceback grows with each question
        try:
            return self._make(self._server)
        except FAILURES as cause:
            self._away = (time.monotonic() + BELIEVED_AWAY, cause)
            raise


# -- replies -----------------------------------------------------------------------------------

_ABSENT = re.compile(r"no such (file|directory)|not found|does ?n.t exist|cannot find", re.IGNORECASE)


def says_absent(refusal: BaseException) -> bool:
    """Whether a refusal is for the reason that nothing is there. Many servers give no reason."""
    return bool(_ABSENT.search(str(refusal)))


def is_lost(cause: BaseException) -> bool:
    """Whether there was no answer, or "later": what was asked may be asked again."""
    return isinstance(cause, (EOFError, ftplib.error_temp, ftplib.error_proto)) or (
        isinstance(cause, OSError) and not isinstance(cause, (TargetError, FileNotFoundError, IsADirectoryError))
    )


def unreachable(url: str, cause: BaseException) -> TargetError:
    """The error of a question that was not answered."""
    if isinstance(cause, TargetError):
        return cause
    what, step = _meaning(cause)
    return TargetUnreachable(url, what, hint=f"What depends on it was not started. {step}")


def not_done(url: str, cause: BaseException, deed: str = "written") -> TargetError:
    """The error of a write, or of another deed, that the server refused."""
    if isinstance(cause, TargetError):
        return cause
    what, step = _meaning(cause)
    error = TargetWriteError(f"{url}: could not be {deed}: {what}", hint=step)
    error.__cause__ = cause
    return error


def _meaning(cause: BaseException) -> tuple[str, str]:
    """What was wrong, and what a person may do about it."""
    reply = " ".join(str(cause).split())
    if isinstance(cause, EOFError):
        return "the server closed the connection", "Is it up, and does it take as many connections as there are workers?"
    if isinstance(cause, OSError):
        return f"no connection: {cause.strerror or reply or type(cause).__name__}", "Is the server up, and its address right?"
    if reply.startswith(("530", "331", "332")):
        return f"the server did not let us in: {reply}", "Is there a user in the URL, and his password in ~/.netrc?"
    if reply.startswith("421"):
        return f"the server takes no more connections: {reply}", "Use fewer workers, or raise its limits."
    if reply.startswith(("452", "552")):
        return f"the server has no room: {reply}", "Make room there, or have the quota raised."
    if reply.startswith(("550", "553")):
        return f"the server refused: {reply}", "May this user do that there?"
    return f"the server said: {reply}", "The log of the server says more."

"""A web server as a store that can be read: what exists is what it answers 200 for.

Absent is what it says to be absent (404, 410); any other answer means that it is not known. A server that is busy (502, 503, 504) or
cuts the connection is asked once more.
"""

from __future__ import annotations

import errno
import io
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, NoReturn, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from levada._model.ports import Entry, Pending, Promise
from levada.errors import TargetError, TargetUnreachable
from levada.targets.logins import login_to, refuse_password
from levada.targets.pieces import PieceReader

ANSWER = 20.0  # seconds that the server may take for an answer, or for the next bytes
PAUSE = 0.5  # seconds before it is asked once more
PIECE = 1 << 18  # bytes that are read together
_ABSENT = (404, 410)
_NO_HEAD = (400, 403, 405, 501)  # what servers say that answer GET alone; 403: addresses that were signed for GET
_BUSY = (502, 503, 504)
_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~"  # characters of URLs that mean something there; % begins what was quoted already


class HttpStore:
    """The files of one web server. Safe for threads and forks: each question has a connection of its own."""

    promise = Promise(create_if_absent=False, atomic_replace=False, listing=False, remote=True, folders=False)

    def __init__(self, scheme: str, authority: str) -> None:
        refuse_password(scheme, authority)
        self.scheme, self.authority = scheme, authority
        place = urlsplit(f"{scheme}://{authority}")
        if not place.hostname:
            raise TargetError(f"{scheme}://{authority}: names no server", hint=f"It looks like {scheme}://HOST/path.")
        self._host = place.netloc.rpartition("@")[2]
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "levada"}
        self._login = login_to(place.hostname)

    def __repr__(self) -> str:
        return f"<{self.scheme} store of {self.authority}>"

    def url(self, path: str) -> str:
        """The URL of a path, for people: a query may hold a signature, and is not shown."""
        shown, mark, _ = path.partition("?")
        return f"{self.scheme}://{self.authority}{shown}{'?...' if mark else ''}"

    def exists(self, path: str) -> bool:
        """Whether the server has it. One or two requests; raises TargetUnreachable rather than guess."""
        return self.info(path) is not None

    def info(self, path: str) -> Entry | None:
        """Size, time and etag as far as the server tells; None when it is absent. Raises TargetUnreachable rather than guess."""
        try:
            with self._look(path) as answer:
                return _entry(path.partition("?")[0].rpartition("/")[2], answer.headers, answer.status)
        except FileNotFoundError:
            return None

    def list(self, folder: str) -> Iterator[Entry]:
        """Raises TargetError: web servers list nothing."""
        raise TargetError(f"{self.url(folder)}: a web server does not list what it has", hint="Name the targets one by one.")

    def open(self, path: str) -> IO[bytes]:
        """The bytes, fetched as they are read. Raises FileNotFoundError, or TargetUnreachable when they are not to be had."""
        answer = self.ask("GET", path)
        size = _entry("", answer.headers, answer.status).size
        if size is None:
            return io.BufferedReader(_Unmeasured(answer, self.url(path)), PIECE)
        return io.BufferedReader(_Reader(self, path, size, answer), PIECE)

    def put(self, path: str, *, replace: bool, durable: bool = True, tag: str = "") -> Pending:
        """Raises TargetError: nothing is written there."""
        self._refuse(path, "written")

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Raises TargetError: nothing is removed there."""
        self._refuse(path, "removed")

    def _refuse(self, path: str, deed: str) -> NoReturn:
        hint = "Let it be the output of an ExternalTask, and write to another store."
        raise TargetError(f"{self.url(path)}: cannot be {deed}: {self.scheme}:// is for reading", hint=hint)

    def _look(self, path: str) -> HTTPResponse:
        try:
            return self.ask("HEAD", path)
        except TargetUnreachable as refusal:
            if not isinstance(refusal.__cause__, HTTPError) or refusal.__cause__.code not in _NO_HEAD:
                raise
        return self.ask("GET", path, {"Range": "bytes=0-0"})

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> HTTPResponse:
        """An answer that is none of an error. Raises FileNotFoundError, TargetUnreachable."""
        try:
            try:
                return self._ask(method, path, headers or {})
            except (OSError, HTTPException) as cause:
                if isinstance(cause, HTTPError) and cause.code not in _BUSY:
                    raise
                if isinstance(cause, URLError) and isinstance(cause.reason, ConnectionRefusedError):
                    raise
                _close(cause)
            time.sleep(PAUSE)
            return self._ask(method, path, headers or {})
        except (OSError, HTTPException, ValueError) as cause:
            _close(cause)
            if isinstance(cause, HTTPError) and cause.code in _ABSENT:
                raise FileNotFoundError(errno.ENOENT, "No such file on the server", self.url(path)) from None
            raise _unreachable(self.url(path), cause) from cause

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> HTTPResponse:
        url = f"{self.scheme}://{self._host}{quote(path or '/', safe=_AS_IT_IS)}"
        request = Request(url, headers={**self._headers, **headers}, method=method)  # noqa: S310 - of http or https
        if self._login is not None:
            word = b64encode(":".join(self._login).encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {word}")  # for this host alone
        return cast("HTTPResponse", urlopen(request, timeout=ANSWER))  # noqa: S310 - the same


def _close(cause: BaseException) -> None:
    if isinstance(cause, HTTPError):
        cause.close()


def _unreachable(url: str, cause: BaseException) -> TargetUnreachable:
    if isinstance(cause, HTTPError):
        what = f"the server answered {cause.code} {cause.reason}"
        asks = "Is there a user and a password for this host in ~/.netrc, and may they read it?"
        step = asks if cause.code in (401, 403, 407) else "The log of the server says more."
    else:
        reason = cause.reason if isinstance(cause, URLError) else cause
        what, step = f"no answer: {reason or type(cause).__name__}", "Is the server up, and its address right?"
    return TargetUnreachable(url, what, hint=f"What depends on it was not started. {step}")


def _entry(name: str, headers: HTTPMessage, status: int) -> Entry:
    size = headers.get("Content-Range", "").rpartition("/")[2] if status == 206 else headers.get("Content-Length", "")
    try:
        modified = parsedate_to_datetime(headers["Last-Modified"]).timestamp()
    except (TypeError, ValueError):  # none, or no date
        modified = None
    return Entry(name, False, int(size) if size.isdecimal() else None, modified, headers.get("ETag"))


class _Reader(PieceReader):
    """The file as it was when it was opened: one that was replaced meanwhile is not read on."""

    def __init__(self, store: HttpStore, path: str, size: int, answer: HTTPResponse) -> None:
        super().__init__(store.url(path), size)
        self._store, self._path, self._etag = store, path, answer.headers.get("ETag")
        self._answer: HTTPResponse | None = answer

    def _begin(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self._answer = None

    def _next(self) -> memoryview:
        if self._answer is None:
            self._answer = self._again()
        try:
            piece = self._answer.read1(PIECE)
        except (OSError, HTTPException) as cause:
            raise TargetUnreachable(self._url, f"reading broke off after {self._at:,} bytes: {cause}") from cause
        if not piece:
            raise TargetUnreachable(self._url, f"it ended after {self._at:,} bytes of {self._size:,}")
        return memoryview(piece)

    def _again(self) -> HTTPResponse:
        """An answer whose next byte is the one at ``_at``."""
        answer = self._store.ask("GET", self._path, {"Range": f"bytes={self._at}-"})
        if answer.headers.get("ETag") != self._etag:
            answer.close()
            raise TargetError(f"{self._url}: was replaced while it was read", hint="Run again.")
        left = 0 if answer.status == 206 else self._at  # a server that knows no ranges begins at the beginning
        while left and (piece := answer.read(min(left, PIECE))):
            left -= len(piece)
        return answer

    def close(self) -> None:
        self._begin()
        super().close()


class _Unmeasured(io.RawIOBase):
    """Bytes whose number the server did not tell: they are read once, from the beginning."""

    def __init__(self, answer: HTTPResponse, url: str) -> None:
        super().__init__()
        self._answer, self._url = answer, url

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # BufferedReader hands over a memoryview
        try:
            piece = self._answer.read1(len(buffer))
        except (OSError, HTTPException) as cause:
            raise TargetUnreachable(self._url, f"reading broke off: {cause}") from cause
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._answer.close()
        super().close()

"""Luigi's ``luigi.rpc``: a scheduler elsewhere, spoken to in luigid's protocol.

Fits luigid and Levada's server alike. Unix sockets (``http+unix://%2Fpath%2Fto%2Fsocket``) need no further package.
"""

from __future__ import annotations

import abc
import base64
import http.client
import importlib.util
import json
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import Request, urlopen

from ..errors import SchedulerError, shown
from . import configuration
from .scheduler import RPC_METHODS

logger = logging.getLogger("luigi-interface")

HAS_UNIX_SOCKET = hasattr(socket, "AF_UNIX")
HAS_REQUESTS = importlib.util.find_spec("requests") is not None


REFUSALS = {401: "it does not know the token", 403: "the token's role does not allow this"}
"""Answers that stay the same however often the scheduler is asked."""


class RPCError(SchedulerError):
    """The scheduler could not be reached, gave no answer, or refused; ``sub_exception`` is what the last try ended with."""

    code = "rpc"

    def __init__(self, message: str, sub_exception: BaseException | None = None, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.sub_exception = sub_exception


def _status_of(answer: Any) -> int | None:
    """The HTTP status that a fetcher's error tells; None where nobody answered."""
    status: int | None = getattr(answer, "code", None) or getattr(getattr(answer, "response", None), "status_code", None)
    return status


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


class _FetcherInterface(metaclass=abc.ABCMeta):
    """How a form is posted. raises: what a try that may be repeated ends with."""

    raises: Any = ()

    @abc.abstractmethod
    def fetch(self, full_url: str, body: dict[str, str], timeout: float) -> str:
        """The text of the answer."""

    def close(self) -> None:  # noqa: B027 - most keep nothing open
        """Give back what is kept open."""


class URLLibFetcher(_FetcherInterface):
    """By the standard library, a connection a call."""

    raises = (URLError, TimeoutError)

    def _create_request(self, full_url: str, body: dict[str, str] | None = None) -> Request:
        """A login in the URL goes into a header."""
        url = urlsplit(full_url)
        request = Request(_without_login(full_url))  # noqa: S310 - the URL is the user's
        if url.username:
            login = f"{url.username}:{url.password or ''}".encode()
            request.add_header("Authorization", "Basic " + base64.b64encode(login).decode("ascii"))
        if body:
            request.data = urlencode(body).encode()
        return request

    def fetch(self, full_url: str, body: dict[str, str], timeout: float) -> str:
        """The text of the answer."""
        try:
            with urlopen(self._create_request(full_url, body), timeout=timeout) as answer:  # noqa: S310 - as above
                return str(answer.read().decode())
        except HTTPError as refusal:
            refusal.close()  # else its connection stays open as long as whoever keeps the error
            raise


class RequestsFetcher(_FetcherInterface):
    """By requests, over connections that stay; a forked child makes its own."""

    def __init__(self) -> None:
        import requests

        self.raises = requests.exceptions.RequestException
        self.session = requests.Session()
        self.process_id = os.getpid()

    def check_pid(self) -> None:
        """Two processes must not speak over one connection."""
        if os.getpid() != self.process_id:
            import requests

            self.session, self.process_id = requests.Session(), os.getpid()

    def fetch(self, full_url: str, body: dict[str, str], timeout: float) -> str:
        """The text of the answer."""
        self.check_pid()
        url = urlsplit(full_url)
        login = (unquote(url.username), unquote(url.password or "")) if url.username else None
        answer = self.session.post(_without_login(full_url), data=body, timeout=timeout, auth=login)  # whose errors name the URL
        answer.raise_for_status()
        return answer.text

    def close(self) -> None:
        """Close the connections."""
        self.session.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Answered(http.client.HTTPException):
    """The scheduler answered, and not with what was asked for."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class UnixFetcher(_FetcherInterface):
    """Over a Unix socket, whose path is the quoted host of the URL."""

    raises = (OSError, http.client.HTTPException)

    def fetch(self, full_url: str, body: dict[str, str], timeout: float) -> str:
        """The text of the answer."""
        url = urlsplit(full_url)
        connection = _Connection(unquote(url.netloc), timeout)
        try:
            connection.request("POST", url.path, urlencode(body), {"Content-Type": "application/x-www-form-urlencoded"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 400:
            raise _Answered(f"{url.path}: the scheduler answers {answer.status} {answer.reason}", answer.status)
        return text


class RemoteScheduler:
    """A scheduler at a URL; has each verb of ``luigi.scheduler.Scheduler`` as a method.

    connect_timeout: seconds for a try. Tries and pauses between them are settings of the section ``[core]``.
    """

    def __init__(self, url: str = "http://localhost:8082/", connect_timeout: float | None = None) -> None:
        config = configuration.get_config()
        self._url = url.rstrip("/")
        self._place = _without_login(self._url)  # for people
        self._connect_timeout = config.getfloat("core", "rpc-connect-timeout", 10.0) if connect_timeout is None else connect_timeout
        self._rpc_retry_attempts = config.getint("core", "rpc-retry-attempts", 3)
        self._rpc_retry_wait = config.getint("core", "rpc-retry-wait", 30)
        self._rpc_log_retries = config.getboolean("core", "rpc-log-retries", True)
        self._fetcher: Any = self._fitting_fetcher()

    def _fitting_fetcher(self) -> _FetcherInterface:
        if self._url.startswith("http+unix://"):
            return UnixFetcher()
        return RequestsFetcher() if HAS_REQUESTS else URLLibFetcher()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Any]:
            """A verb."""
            ...

    def close(self) -> None:
        """Give back connections."""
        self._fetcher.close()

    def _fetch(self, url_suffix: str, body: Any) -> str:
        """The text of an answer; a try that fails is repeated, a refusal is not. Raises RPCError after the last one."""
        full_url, last = f"{self._url}/{url_suffix.lstrip('/')}", self._rpc_retry_attempts
        for attempt in range(1, last + 1):
            try:
                return str(self._fetcher.fetch(full_url, body, self._connect_timeout))
            except self._fetcher.raises as cause:
                if (status := _status_of(cause)) in REFUSALS:
                    raise self._refused(status, cause) from cause
                if attempt == last:
                    reason = f"{self._place}: the scheduler could not be reached, {last} attempts failed: {shown(cause)}"
                    raise RPCError(reason, cause, hint="Is it running there? `--local-scheduler` does without.") from cause
                self._tell_retry(attempt + 1)
                time.sleep(self._rpc_retry_wait)
        raise RPCError(f"{self._place}: rpc-retry-attempts is {last}, so the scheduler was never asked; set it to 1 or more")

    def _refused(self, status: int, cause: BaseException) -> RPCError:
        return RPCError(
            f"{self._place}: the scheduler answers {status}: {REFUSALS[status]}",
            cause,
            hint="A Levada server wants the token of a worker (`levada token create --role worker`) as password: http://luigi:TOKEN@host:port",
        )

    def _tell_retry(self, attempt: int) -> None:
        if self._rpc_log_retries:
            logger.warning("Failed connecting to remote scheduler %r", self._place, exc_info=True)  # noqa: LOG014 - within the handler of _fetch
            logger.info(f"Retrying attempt {attempt} of {self._rpc_retry_attempts} (max)")  # noqa: G004 - as it is known to tools that read logs
            logger.info(f"Wait for {self._rpc_retry_wait} seconds")  # noqa: G004

    def _request(self, url: str, data: dict[str, Any], attempts: int = 3, allow_null: bool = True) -> Any:
        """What a verb answers. allow_null: whether nothing is an answer."""
        body = {"data": json.dumps(data)}
        for _ in range(attempts):
            answer = json.loads(self._fetch(url, body))["response"]
            if allow_null or answer is not None:
                return answer
        raise RPCError(f"{self._place}: the scheduler gave no answer to {url}, {attempts} times")


for _name, _verb in RPC_METHODS.items():
    setattr(RemoteScheduler, _name, _verb)

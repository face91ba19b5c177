"""The few requests that are needed of the interface that Elasticsearch and OpenSearch share; their errors in our words.

Their own clients refuse each other's servers, so this speaks HTTP itself. User and password stand in the URL, certificates to trust
where OpenSSL looks for them (``SSL_CERT_FILE``).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from levada._model.values import NamedTuple
from levada.errors import TargetError

ASKING = 15.0  # seconds until a question is given up
WRITING = 120.0  # seconds, for a request that carries documents


class Answer(NamedTuple):
    """What a server said: the status of HTTP, and the JSON."""

    status: int
    content: Any

    @property
    def kind(self) -> str:
        """The server's word for what is wrong; "" where nothing is."""
        error = self.content.get("error") if isinstance(self.content, Mapping) else None
        return str(error.get("type", "")) if isinstance(error, Mapping) else str(error or "")

    @property
    def words(self) -> str:
        """What is wrong, in a line."""
        error = self.content.get("error") if isinstance(self.content, Mapping) else None
        reason = error.get("reason", "") if isinstance(error, Mapping) else error or ""
        return f"{self.status} {self.kind}: {reason}"[:500]


class NoAnswer(Exception):
    """The server did not answer, or not as one of its kind; the text says why."""


def shown(url: str) -> str:
    """The URL without user and password."""
    return f"{url.partition('://')[0]}://{url.partition('://')[2].rpartition('@')[2]}" if "://" in url else "(no URL)"


def ask(url: str, method: str, path: str, body: object = None, *, timeout: float = ASKING) -> Answer:
    """Send one request and read the answer. body: JSON, or lines of it as bytes. Raises NoAnswer; TargetError for a URL that is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TargetError(f"{shown(url)}: is no URL of a search server", hint="It looks like https://HOST:9200.")
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/x-ndjson" if isinstance(body, bytes) else "application/json"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, parts.port or 9200, timeout=timeout)
    try:
        connection.request(method, parts.path.rstrip("/") + path, content, headers)
        answer = connection.getresponse()
        return Answer(answer.status, json.loads(answer.read() or b"{}"))
    except (OSError, HTTPException, ValueError) as cause:
        raise NoAnswer(f"{type(cause).__name__}: {cause}") from cause
    finally:
        connection.close()


def path_of(*names: str) -> str:
    """A path of these names, whatever is in them."""
    return "".join(f"/{quote(name, safe='')}" for name in names)


def lines(values: Iterable[object]) -> bytes:
    """Lines of JSON."""
    return b"".join(json.dumps(value, separators=(",", ":")).encode() + b"\n" for value in values)


def hint(status: int) -> str:
    """What a person can do."""
    if status in (401, 403):
        return "Look at user and password in the URL, and at what that user may do."
    if status == 429:
        return "The server has too much to do: run the task again later."
    return "Is the server up, and are host and port of the URL right?"

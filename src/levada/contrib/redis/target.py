"""`RedisTarget`: an update of what is kept in Redis, which exists when its marker does.

The laws: what is queued in `writing` and the marker become visible in one step (MULTI, EXEC), or not at all; of two
writers one sets the marker (WATCH). Redis undoes nothing: where one command of such a step is refused, the others have happened;
the marker is taken back then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from levada.errors import TargetError, TargetExists, TargetUnreachable, TargetWriteError
from levada.targets.atomic import before_commit

PREFIX = "luigi"  # of markers' keys, unless it is said otherwise: old ones count
AT_ONCE = 1000  # questions in one round trip
CONNECTING = 10.0  # seconds
ANSWER = 60.0  # seconds, for one answer

_clients: dict[str, Any] = {}  # by URL; the client's pool makes new connections in a forked child
_making = Lock()


def _forked() -> None:
    global _making
    _making = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class RedisTarget:
    """An update of what is kept in Redis. It exists when its marker, the hash ``PREFIX:UPDATE_ID``, does.

    url: ``redis://USER:PASSWORD@HOST:6379/0``, ``rediss://`` with TLS, ``unix://PATH``. update_id: the name of the update; a task's
    ``task_id`` serves. prefix: of the marker's key; Luigi's own unless it is given. expire: seconds after which the marker is
    gone, and the update absent again; None: never.
    """

    __slots__ = ("expire", "prefix", "update_id", "url")

    remote = True

    def __init__(self, url: str, update_id: str, *, prefix: str = PREFIX, expire: int | None = None) -> None:
        if not update_id:
            raise ValueError("RedisTarget: update_id must be a text that is not empty")
        if expire is not None and expire < 1:
            raise ValueError(f"RedisTarget: expire is in seconds, 1 or more, got {expire}")
        self.url, self.update_id, self.prefix, self.expire = url, update_id, prefix, expire

    @property
    def client(self) -> Any:
        """The client of this process for the URL. Raises TargetError: redis is not installed, or the URL is none."""
        return _client(self.url)

    def marker_key(self) -> str:
        """The key of the marker."""
        return f"{self.prefix}:{self.update_id}"

    def exists(self) -> bool:
        """Whether the marker is there. Raises TargetUnreachable rather than guess."""
        answer = RedisTarget.exists_many([self])[0]
        if isinstance(answer, TargetError):
            raise answer
        return answer

    @staticmethod
    def exists_many(targets: Sequence[RedisTarget]) -> list[bool | TargetError]:
        """An answer for each, in their order: a round trip for a thousand of one server; an error where it gave none."""
        answers: list[bool | TargetError] = [False] * len(targets)
        by_url: dict[str, list[int]] = {}
        for at, target in enumerate(targets):
            by_url.setdefault(target.url, []).append(at)
        for url, positions in by_url.items():
            for some in (positions[at : at + AT_ONCE] for at in range(0, len(positions), AT_ONCE)):
                for at, answer in zip(some, _answers(url, [targets[at] for at in some]), strict=True):
                    answers[at] = answer
        return answers

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """A pipeline of the client; if the block ends well, all that it holds is done in one step with the marker.

        Raises TargetExists when the update is there, before the block or after it; then nothing of the block is done, nor if
        it raises. Raises TargetWriteError where a command was refused, or no answer came.
        """
        key, writer = self.marker_key(), os.urandom(8).hex()
        with self.client.pipeline(transaction=True) as pipeline:
            try:
                pipeline.watch(key)
                if pipeline.exists(key):
                    raise self._taken()
            except Exception as cause:
                raise _translated(self, cause) from cause
            pipeline.multi()
            yield pipeline
            now = datetime.now(UTC).isoformat()
            pipeline.hset(key, mapping={"update_id": self.update_id, "date": now, "writer": writer})
            if self.expire is not None:
                pipeline.expire(key, self.expire)
            before_commit()
            self._commit(pipeline, writer)

    def touch(self) -> None:
        """Set the marker. Raises TargetExists where it is there."""
        with self.writing():
            pass

    def remove(self) -> None:
        """Forget the marker, if it is there: the update is absent then. What it told of stays."""
        try:
            self.client.delete(self.marker_key())
        except Exception as cause:
            raise _write_error(self, cause) from cause

    def _commit(self, pipeline: Any, writer: str) -> None:
        """Do what was queued; where no answer came, the marker tells whether it was done, and by whom."""
        from redis import exceptions as told

        try:
            pipeline.execute()
        except (told.ConnectionError, told.TimeoutError, told.WatchError) as cause:
            found = self._writer()
            if found == writer:
                return
            if found is not None:
                raise self._taken() from cause
            raise _write_error(self, cause) from cause
        except told.ResponseError as cause:
            if not isinstance(cause, told.ExecAbortError):
                self.remove()
            raise _write_error(self, cause) from cause
        except told.RedisError as cause:
            raise _write_error(self, cause) from cause

    def _writer(self) -> str | None:
        """Who set the marker; "" where it does not say, None where there is none."""
        try:
            writer, there = self.client.hget(self.marker_key(), "writer"), self.client.exists(self.marker_key())
        except Exception as cause:
            raise _write_error(self, cause) from cause
        return (writer or b"").decode() if there else None

    def _taken(self) -> TargetExists:
        return TargetExists(f"{self}: is there already", hint="Nothing was added.")

    def __str__(self) -> str:
        return f"{_shown(self.url)} {self.marker_key()}"

    def __repr__(self) -> str:
        return f"RedisTarget({_shown(self.url)!r}, {self.update_id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RedisTarget) and (self.url, self.marker_key()) == (other.url, other.marker_key())

    def __hash__(self) -> int:
        return hash((self.url, self.marker_key()))


def _answers(url: str, targets: Sequence[RedisTarget]) -> list[bool | TargetError]:
    try:
        with _client(url).pipeline(transaction=False) as pipeline:
            for target in targets:
                pipeline.exists(target.marker_key())
            return [found == 1 for found in pipeline.execute()]
    except Exception as cause:  # whatever the client raises: it is not known
        return [_translated(target, cause) for target in targets]


def _client(url: str) -> Any:
    found = _clients.get(url)
    if found is None:
        with _making:
            found = _clients.get(url) or _make(url)
            _clients[url] = found
    return found


def _make(url: str) -> Any:
    try:
        import redis
    except ImportError as cause:
        raise TargetError(f"{_shown(url)}: needs redis, which is not installed", hint='pip install "levada[redis]"') from cause
    try:
        return redis.Redis.from_url(url, socket_connect_timeout=CONNECTING, socket_timeout=ANSWER)
    except (ValueError, TypeError) as cause:
        raise TargetError(f"{_shown(url)}: is no URL of Redis: {cause}", hint="It looks like redis://HOST:6379/0.") from None


def _shown(url: str) -> str:
    """The URL without its user and password, and without options."""
    try:
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
    except ValueError:
        return f"{url.partition(':')[0]}:..."


def _hint(cause: BaseException) -> str:
    text = str(cause).lower()
    if any(word in text for word in ("noauth", "authenticat", "password", "wrongpass", "noperm")):
        return "Look at user and password in the URL, and at what that user may do."
    if "oom" in text or "maxmemory" in text:
        return "The server has no room: raise its maxmemory, or remove keys."
    return "Is the server up, and are host and port of the URL right?"


def _translated(target: RedisTarget, cause: BaseException) -> TargetError:
    """The error for a question that was not answered."""
    if isinstance(cause, TargetError):
        return cause
    error = TargetUnreachable(target, cause, hint=_hint(cause))
    error.__cause__ = cause
    return error


def _write_error(target: RedisTarget, cause: BaseException) -> TargetError:
    from redis.exceptions import ExecAbortError, ResponseError

    if isinstance(cause, TargetError):
        return cause
    if isinstance(cause, ResponseError) and not isinstance(cause, ExecAbortError) and "OOM" not in str(cause):
        return TargetWriteError(f"{target}: {cause}", hint="The other commands of the step have happened: Redis undoes nothing.")
    return TargetWriteError(f"{target}: {cause}", hint=_hint(cause))

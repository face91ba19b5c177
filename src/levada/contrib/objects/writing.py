"""Whole or absent in a bucket: bytes are kept here until they are all there, and appear by one request that the store judges.

How that request looks depends on size and mode. Write-once, as a rule: one put "only if absent". From a quarter of a GiB on:
parts go to an object beside the target, which is copied to its name "only if absent" and removed; where the store does
not do that exactly (`probing`), one large put. ``replace``: one put, or parts that the store joins. Where conditions are
not kept, and beyond what one request may carry, existence is looked at just before (*checked*). The lease is asked
last, before the request that makes it visible. ``kill -9`` leaves at most parts that nobody sees (a life cycle rule of
the bucket removes them) or, for an instant of a large write, the object beside: the next attempt of the task removes it.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event, Thread
from typing import IO, TYPE_CHECKING

from levada.errors import TargetError, TargetExists, TargetWriteError
from levada.targets.atomic import before_commit, current_tag, is_leftover
from levada.targets.spool import Spool

from .troubles import is_lost, not_written

if TYPE_CHECKING:
    from .clients import Client
    from .store import ObjectStore

SOON = 1 << 20  # bytes that are away as soon as a question is answered, or never
SINGLE = 256 << 20  # bytes of a write-once object that go in one request in any case; the file is mapped, not read into memory
JOINED = 32 << 20  # bytes of others from which on they go in parts
PART = 16 << 20  # bytes of a part; more where an object would have too many
WHOLE = 5 << 30  # bytes that stores take in one request, or copy in one
_PARTS = 9_000  # stores take 10,000
_AT_ONCE = 4  # parts on their way
_TRIES = 4  # of a write that was in conflict with another one which was not made then; two, where the connection was lost
_MARK = "levada"  # metadata of an object: which write made it


class _Sending:
    """Parts on their way: an iterator that ends when it may, and raises when it must not end well."""

    def __init__(self, parts: Iterator[memoryview]) -> None:
        self._parts = parts
        self._handed, self._go = Event(), Event()
        self._refusal: BaseException | None = None
        self._failure: BaseException | None = None

    def __iter__(self) -> Iterator[memoryview]:
        for part in self._parts:
            self._must_go_on()
            yield part
        self._handed.set()
        self._go.wait()
        self._must_go_on()

    def _must_go_on(self) -> None:
        if self._refusal is not None:
            raise RuntimeError("the write was given up")  # whatever is raised here makes the client give up its parts

    def run(self, send: Callable[[], None], check: Callable[[], None]) -> None:
        """Send in a thread, check in this one. Raises what the check or the client raises."""
        thread = Thread(target=self._send, args=(send,), name="levada-parts")
        thread.start()
        try:
            self._handed.wait()
            if self._failure is None:
                check()
        except BaseException as refusal:
            self._refusal = refusal
            raise
        finally:
            self._go.set()
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _send(self, send: Callable[[], None]) -> None:
        try:
            send()
        except BaseException as failure:
            self._failure = failure
        finally:
            self._handed.set()


class ObjectPending:
    """An object that is not visible yet."""

    def __init__(self, store: ObjectStore, key: str, url: str, *, replace: bool, tag: str = "") -> None:
        """Begin. Raises TargetExists at once when a write-once object is there, or what says that this cannot be told."""
        self._store, self._key, self.url, self._replace = store, key, url, replace
        self._tag = tag or current_tag()
        self._mark = f"{self._tag}.{os.urandom(8).hex()}"
        if not replace:
            self._must_be_free()
        self._spool = Spool(url)
        self.stream: IO[bytes] = io.BufferedWriter(self._spool, 1 << 16)

    def __repr__(self) -> str:
        return self.url

    def commit(self) -> None:
        """Make it exist, whole, at once. Raises TargetExists, TargetWriteError or what the lease check raises."""
        if self._spool.dead or self._spool.process != os.getpid():
            return  # a forked child has a copy of the writer; the object is its parent's
        from obstore.exceptions import BaseError

        try:
            self.stream.flush()
            if self._spool.failed is not None:
                raise self._spool.failed
            self._send()
        except (BaseError, OSError, NotImplementedError) as cause:
            if isinstance(cause, TargetError):
                raise
            raise not_written(self.url, cause) from cause
        finally:
            self.abort()

    def abort(self) -> None:
        """Forget it; nothing is left in the store. Harmless to repeat."""
        self._spool.dead = True
        with suppress(OSError, ValueError):
            self.stream.close()

    # -- one way for each kind of write --------------------------------------------------------

    def _send(self) -> None:
        size = self._spool.size
        if self._replace:
            self._overwrite(before_commit)
        elif not self._store.conditional(self._key):
            self._overwrite(self._checks)
        elif size <= SINGLE:
            self._create(self._put)
        elif size <= WHOLE and self._store.copies(self._key):
            self._create(self._copy)
        elif size <= WHOLE:
            self._create(self._put)
        else:
            self._overwrite(self._checks)

    def _checks(self) -> None:
        self._must_be_free()
        before_commit()

    def _create(self, write: Callable[[], None]) -> None:
        """Write "only if absent", until the store's answer is one: made, or taken."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        for attempt in range(_TRIES):
            try:
                write()
                return
            except AlreadyExistsError:
                if self._is_settled():
                    return
            except BaseError as cause:
                if not is_lost(cause):
                    raise
                if self._mark_there() is not None and self._is_settled():  # else the store answers: it is worth another try
                    return
                if attempt:
                    raise
            time.sleep(0.05 * 2**attempt)
        raise TargetWriteError(f"{self.url}: could not be written: other writes were in its way {_TRIES} times", hint="Run again.")

    def _put(self) -> None:
        before_commit()
        self._client.put(self._key, self._spool.whole(), mode="create", attributes={_MARK: self._mark}, use_multipart=False)

    def _copy(self) -> None:
        folder, slash, name = self._key.rpartition("/")
        stages = f"{folder}{slash}.{name}.parts"
        self._sweep(stages)
        stage = f"{stages}/{self._tag}"
        try:
            self._send_parts(stage, lambda: None)
            before_commit()
            self._client.copy(stage, self._key, overwrite=False)
        except FileNotFoundError as cause:
            hint = "A newer attempt of the task removes what older ones had begun; its write counts."
            raise TargetWriteError(f"{self.url}: could not be written: what was sent beside it is gone", hint=hint) from cause
        finally:
            with suppress(Exception):
                self._client.delete(stage)

    def _overwrite(self, check: Callable[[], None]) -> None:
        if self._spool.size > JOINED:
            self._send_parts(self._key, check)
            return
        check()
        self._client.put(self._key, self._spool.whole(), attributes={_MARK: self._mark}, use_multipart=False)

    def _send_parts(self, key: str, check: Callable[[], None]) -> None:
        """Send parts, which the store joins at last; ``check`` is asked when all were handed over, and raises to prevent that.

        A thread sends, since a client that is asking us for parts answers no questions: ``check`` has some.
        """
        size = max(PART, -(-self._spool.size // _PARTS))
        sending = _Sending(self._spool.parts(size))

        def send() -> None:
            self._client.put(key, sending, attributes={_MARK: self._mark}, use_multipart=True, chunk_size=size, max_concurrency=_AT_ONCE)

        sending.run(send, check)

    def _sweep(self, stages: str) -> None:
        """Remove what killed attempts of the same task left beside: those of lower fences."""
        key8, *fence = self._tag.split(".")
        if len(fence) < 2:
            return  # no attempt writes
        with suppress(Exception):  # tidying is not worth an attempt
            for page in self._store.asking.list(stages):
                for meta in page:
                    other, *older = meta["path"].rpartition("/")[2].split(".")
                    if other == key8 and len(older) == 2 and [int(part) for part in older] < [int(part) for part in fence]:
                        self._store.asking.delete(meta["path"])

    # -- what is there -------------------------------------------------------------------------

    @property
    def _client(self) -> Client:
        return self._store.asking if self._spool.size <= SOON else self._store.moving

    def _must_be_free(self) -> None:
        """Raise TargetExists now rather than after hours of work; the commit decides in the end."""
        if self._store.exists(self._key) and not is_leftover(self.url):
            raise _taken(self.url)

    def _is_settled(self) -> bool:
        """After "taken": True when what is there is ours (its answer was lost) or was replaced; raises TargetExists; False: it is gone."""
        mark = self._mark_there()
        if mark is None:
            return False
        if mark != self._mark:
            if not is_leftover(self.url):
                raise _taken(self.url)
            self._overwrite(before_commit)
        return True

    def _mark_there(self) -> str | None:
        """The mark of the object that is there, "" for one without; None where there is no object."""
        try:
            return str(self._store.asking.get(self._key, options={"head": True}).attributes.get(_MARK, ""))
        except FileNotFoundError:
            return None


def _taken(url: str) -> TargetExists:
    return TargetExists(
        f"{url}: exists already; what was there first stays",
        hint='Remove it to make it again, or give the target mode="replace" if later runs should overwrite it.',
    )

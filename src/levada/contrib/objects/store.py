"""A bucket as a store: a verb each, as `levada._model.ports.Store` wants them.

Only objects exist: a prefix under which some lie ("folder") is no target, since nobody can say that it is whole. So
``promise.folders`` is False, and a listing answers no for them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import IO, TYPE_CHECKING

from levada._model.ports import Entry, Promise
from levada.errors import TargetError

from . import probing
from .clients import Clients, clients
from .troubles import is_refusal, unreachable

if TYPE_CHECKING:
    from obstore import ObjectMeta

    from .clients import Client
    from .writing import ObjectPending

PAGE = 1000  # entries that one call of a listing brings; stores give no more

log = logging.getLogger(__name__)


class ObjectStore:
    """The objects of one bucket, safe for threads.

    promise: as declared until something is written once; from then on as it was probed (`probing`).
    """

    def __init__(self, scheme: str, bucket: str) -> None:
        self.scheme, self.bucket = scheme, bucket
        self.promise = Promise(create_if_absent=True, atomic_replace=True, listing=True, remote=True, folders=False)
        self._clients: Clients = clients(scheme, bucket)
        self._process = os.getpid()
        self._there = False  # the bucket answered
        self._conditional: bool | None = None  # not probed yet
        self._copies: bool | None = None
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<{self.scheme} store of {self.bucket}>"

    def exists(self, path: str) -> bool:
        """Whether an object of this name is there. One question; raises TargetUnreachable rather than guess."""
        return self._head(path) is not None

    def info(self, path: str) -> Entry | None:
        """Size, time and etag of an object; None when it is absent. One question; raises TargetUnreachable rather than guess."""
        found = self._head(path)
        return None if found is None else _entry(path.rpartition("/")[2], found)

    def _head(self, path: str) -> ObjectMeta | None:
        key = self.key(path)
        try:
            found = self.asking.head(key)
        except FileNotFoundError:
            self._must_be_there(path)
            return None
        except Exception as cause:  # whatever the client raises
            raise unreachable(self.url(path), cause) from cause
        self._there = True
        return found

    def list(self, folder: str) -> Iterator[Entry]:
        """Objects and prefixes below a prefix, read page by page (1,000) as far as somebody asks; none when nothing is there.

        A page of which most lies deeper, or with empty objects (which may be the marks of prefixes), is not gone
        on from: the store then lists one level, to its end.
        """
        prefix, seen = self.key(folder, folder=True), set[str]()
        try:
            for page in self.asking.list(prefix or None, chunk_size=PAGE):
                self._there = True
                found = list(_direct(page, prefix))
                if len({entry.name for entry in found if not entry.is_folder}) * 2 < len(page) == PAGE or any(e.size == 0 for e in found):
                    yield from self._one_level(prefix, seen)
                    return
                for entry in found:
                    if not (entry.is_folder and entry.name in seen):
                        seen.add(entry.name)
                        yield entry
        except TargetError:
            raise
        except Exception as cause:
            raise unreachable(self.url(folder), cause) from cause

    def _one_level(self, prefix: str, seen: set[str]) -> Iterator[Entry]:
        """What a listing with a delimiter gives, without the names that were given already."""
        listed = self.asking.list_with_delimiter(prefix or None)
        below = len(prefix) + 1 if prefix else 0
        for meta in listed["objects"]:
            name = meta["path"][below:]
            if name and name not in seen:
                yield _entry(name, meta)
        for folder in listed["common_prefixes"]:
            if folder[below:] not in seen:
                yield Entry(folder[below:], True, None)

    def open(self, path: str) -> IO[bytes]:
        """The bytes of an object, read as they are needed. Raises FileNotFoundError, or TargetUnreachable when it is not to be had."""
        from .reading import reading

        key = self.key(path)
        try:
            return reading(self.moving, key, self.url(path))
        except FileNotFoundError:
            self._must_be_there(path)
            raise FileNotFoundError(2, "No such object", self.url(path)) from None
        except TargetError:
            raise
        except Exception as cause:
            raise unreachable(self.url(path), cause) from cause

    def put(self, path: str, *, replace: bool, durable: bool = True, tag: str = "") -> ObjectPending:
        """Begin a write; see `writing`. Raises TargetExists at once when a write-once object is there. durable: always so."""
        from .writing import ObjectPending

        return ObjectPending(self, self.key(path), self.url(path), replace=replace, tag=tag)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove an object, or with ``recursive`` all below a prefix, too. Raises FileNotFoundError."""
        key, removed = self.key(path), False
        try:
            if recursive:
                for page in self.asking.list(key, chunk_size=PAGE):
                    self.moving.delete([meta["path"] for meta in page])  # a batch may take its time
                    removed = removed or len(page) > 0
            self.asking.head(key)  # most stores take the removal of what is absent for a success
            self.asking.delete(key)
        except FileNotFoundError:
            if not removed:
                self._must_be_there(path)
                raise FileNotFoundError(2, "No such object", self.url(path)) from None
        except Exception as cause:
            raise unreachable(self.url(path), cause) from cause

    # -- for the other modules of the wing -----------------------------------------------------

    @property
    def asking(self) -> Client:
        """The client for questions. Raises TargetError in a process that was forked after it was made."""
        return self._own().asking

    @property
    def moving(self) -> Client:
        """The client for bytes."""
        return self._own().moving

    def _own(self) -> Clients:
        if os.getpid() != self._process:
            raise TargetError(
                f"{self.scheme}://{self.bucket}: this process was forked from one that had opened the store; obstore does not survive that",
                hint='Start processes anew ("spawn"), or fork before the first look at an object.',
            )
        return self._clients

    def url(self, path: str) -> str:
        """The URL of a path, as people know it."""
        return f"{self.scheme}://{self.bucket}/{path.lstrip('/')}"

    def key(self, path: str, *, folder: bool = False) -> str:
        """The object's name for a path. Raises TargetError for names that a store or the client would change, or refuse."""
        key = path.removeprefix("/")
        if folder:
            key = key.rstrip("/")
            if not key:
                return key
        parts = key.split("/")
        if "" in parts or "." in parts or ".." in parts:
            raise TargetError(
                f"{self.url(path)}: names no object", hint='An empty part, "." or ".." is not taken for a name: leave it out.'
            )
        if "\\" in key or any(character < " " or character == "\x7f" for character in key):
            raise TargetError(
                f"{self.scheme}://{self.bucket}/{key!r}: names no object",
                hint="Stores read backslashes and control characters each in its own way.",
            )
        return key

    def conditional(self, key: str) -> bool:
        """Whether the store keeps "only if absent"; probed beside ``key`` when first asked. Raises what the client raises."""
        with self._lock:
            if self._conditional is None:
                self._conditional = probing.keeps_conditions(self.asking, key)
                if not self._conditional:
                    self.promise = self.promise._replace(create_if_absent=False)
                    log.warning(
                        "a store takes conditions and does not keep them: existence is looked at just before a write",
                        extra={"store": f"{self.scheme}://{self.bucket}"},
                    )
            return self._conditional

    def copies(self, key: str) -> bool:
        """Whether it keeps "only if absent" where an object is copied; probed beside ``key`` when first asked."""
        with self._lock:
            if self._copies is None:
                self._copies = probing.copies_if_absent(self.moving, key)
            return self._copies

    def _must_be_there(self, path: str) -> None:
        """Raise TargetUnreachable where the bucket itself is absent: what is in it is not known then."""
        if self._there:
            return
        try:
            self.asking.list_with_delimiter(f"{probing.NAME}s")  # nothing is listed there
        except Exception as cause:
            if not is_refusal(cause):  # who may not list was told of the object all the same
                raise unreachable(self.url(path), cause) from cause
        self._there = True


def _direct(page: Sequence[ObjectMeta], prefix: str) -> Iterator[Entry]:
    """Entries of one level, from objects at any depth."""
    below = len(prefix) + 1 if prefix else 0
    for meta in page:
        name, slash, _ = meta["path"][below:].partition("/")
        if name:
            yield Entry(name, True) if slash else _entry(name, meta)


def _entry(name: str, meta: ObjectMeta) -> Entry:
    return Entry(name, False, meta["size"], meta["last_modified"].timestamp(), meta["e_tag"])

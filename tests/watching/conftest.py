"""Things that are watched in these tests: a store that counts, and a clock that is moved by hand."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import IO

import pytest

from levada._model.ports import Entry, Pending, Promise
from levada.errors import TargetUnreachable
from levada.targets import stores
from levada.targets.watching import Seen, Wanted, Watching


class Counting:
    """A store of names in folders that counts its questions, and can be away, slow or without listings."""

    scheme = "count"

    def __init__(self, *, remote: bool = True, listing: bool = True, folders: bool = False) -> None:
        self.promise = Promise(True, True, listing, remote, folders)
        self.folders: dict[str, dict[str, Entry]] = {}
        self.listed: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.away: str | None = None
        self.gate = threading.Event()
        self.gate.set()

    def add(self, path: str, etag: str | None = "e1", **more: object) -> None:
        folder, _, name = path.rpartition("/")
        self.folders.setdefault(folder, {})[name] = Entry(name, False, 1, None, etag)._replace(**more)
        while folder:
            folder, _, name = folder.rpartition("/")
            self.folders.setdefault(folder, {}).setdefault(name, Entry(name, True))

    def drop(self, path: str) -> None:
        folder, _, name = path.rpartition("/")
        del self.folders[folder][name]

    def list(self, folder: str) -> Iterator[Entry]:
        self.listed[folder] += 1
        self._may_answer(folder)
        yield from list(self.folders.get(folder.rstrip("/"), {}).values())

    def exists(self, path: str) -> bool:
        self.asked[path] += 1
        self._may_answer(path)
        folder, _, name = path.rpartition("/")
        return name in self.folders.get(folder, {})

    def _may_answer(self, path: str) -> None:
        assert self.gate.wait(30)
        if self.away is not None:
            raise TargetUnreachable(path, self.away)

    def open(self, path: str) -> IO[bytes]:
        raise NotImplementedError

    def put(self, path: str, *, replace: bool, durable: bool, tag: str) -> Pending:
        raise NotImplementedError

    def remove(self, path: str, *, recursive: bool = False) -> None:
        raise NotImplementedError


class Watch:
    """A `Watching` with a clock that is moved by hand."""

    def __init__(self, *, notify: bool = False) -> None:
        self.watching, self.now = Watching(notify=notify), 1000.0

    def want(self, *urls: str, pattern: bool = False, interval: float = 30.0, settle: float = 0.0) -> None:
        self.watching.want([Wanted(url, pattern, interval, settle) for url in urls])

    def look(self, later: float = 0.0) -> list[Seen]:
        self.now += later
        return self.watching.look(self.now)

    def look_until(self, seconds: float) -> list[Seen]:
        """Look whenever it is worth it, for so long; return all that was seen."""
        end, seen = self.now + seconds, list[Seen]()
        while True:
            seen += self.watching.look(self.now)
            following = max(self.watching.next_look(), self.now + 0.001)
            if following > end:
                self.now = end
                return seen
            self.now = following


def urls(seen: list[Seen]) -> list[str]:
    return sorted(one.url for one in seen)


@pytest.fixture
def counting() -> Iterator[Counting]:
    """The store of ``count://any/...``."""
    store = Counting()
    stores.register_scheme("count", lambda authority: store)
    yield store
    store.gate.set()
    stores._factories.pop("count")
    stores._drop("count")


@pytest.fixture
def watch() -> Iterator[Watch]:
    made = Watch()
    yield made
    made.watching.close()


@pytest.fixture(autouse=True)
def _no_memory() -> Iterator[None]:
    stores._drop("memory")
    yield
    stores._drop("memory")

"""The book of jobs: for each task, the job that was handed over for it last, on disk before anything is started.

An entry is written twice: before a job is submitted, with the name of the submission (the intent), and when its engine has taken
it, with the handle. Whoever is granted the task next reads it and goes on with the job instead of starting another. One small file
a task, whole or absent, in a folder: that of the state, or any URL that several hosts share (``[jobs] book``).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator

from levada._model.values import NamedTuple
from levada.config import setting
from levada.config.state import state_folder
from levada.errors import EngineError
from levada.targets.stores import open_store

from .engines import close_engines

_VERSION = 1
log = logging.getLogger("levada.jobs")
_state: str | None = None


class Entry(NamedTuple):
    """One job. handle: "" as long as the engine has not said that it took it. fence: of the attempt that follows it now."""

    submission: str
    engine: str  # its address
    handle: str
    fence: str
    title: str  # the task, for people
    since: float  # seconds since 1970
    host: str = ""  # that handed it over, and its state folder


def use_state(folder: str | None) -> None:
    """Keep the book in this state folder, unless ``[jobs] book`` says otherwise; None: in the configured one."""
    global _state
    if folder != _state:
        close_engines()  # some keep their jobs there
    _state = folder


def state() -> str:
    """The state folder of this process, made when it is not there."""
    if _state is not None:
        return _state
    configured = os.environ.get("LEVADA_STATE") or setting("levada", "state")  # the environment may have changed since it was read
    return state_folder(os.environ, None if configured is None else str(configured))


def here() -> str:
    """This host and state folder: where jobs of engines that know their own host alone can be followed."""
    import socket

    return f"{socket.gethostname()}:{os.path.realpath(state())}"


class Book:
    """Entries by the key of their task (hex). place: a folder or URL, None for the configured one."""

    def __init__(self, place: str | None = None) -> None:
        configured = setting("jobs", "book")
        self.place = (place or (str(configured) if configured else os.path.join(state(), "jobs"))).rstrip("/")

    def read(self, key: str) -> Entry | None:
        """The entry of a task, None when there is none. Raises TargetUnreachable, or EngineError for a file that is no entry."""
        store, path = open_store(self._url(key))
        try:
            with store.open(path) as file:
                text = file.read()
        except FileNotFoundError:
            return None
        return _parsed(text, self._url(key))

    def write(self, key: str, entry: Entry) -> None:
        """Make it the entry of a task; on the disk when this returns. Raises TargetWriteError, or LeaseLost: then nothing is written."""
        store, path = open_store(self._url(key))
        pending = store.put(path, replace=True, durable=True, tag=f"p{os.getpid()}.{os.urandom(4).hex()}")
        try:
            pending.stream.write(json.dumps({"version": _VERSION, **entry._asdict()}).encode())
            pending.commit()
        except BaseException:
            pending.abort()
            raise

    def strike(self, key: str, submission: str) -> None:
        """Forget the job of a task, if it is still that one. Harmless to repeat."""
        entry = self.read(key)
        if entry is not None and entry.submission == submission:
            store, path = open_store(self._url(key))
            try:
                store.remove(path)
            except FileNotFoundError:
                pass

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """All that is handed over: key of the task, entry. Files that are no entries are told in the log, and left out."""
        store, path = open_store(self.place)
        for found in store.list(path):
            key, dot, end = found.name.partition(".")
            if dot and end == "json" and (entry := self._read_or_tell(key)) is not None:
                yield key, entry

    def _read_or_tell(self, key: str) -> Entry | None:
        try:
            return self.read(key)
        except EngineError as damaged:  # one that cannot be read hides no other
            logging.getLogger("levada.jobs").warning("%s", damaged)
            return None

    def _url(self, key: str) -> str:
        return f"{self.place}/{key}.json"


def _parsed(text: bytes, url: str) -> Entry:
    try:
        fields = json.loads(text)
        if fields.pop("version") == _VERSION:
            return Entry(**fields)
        raise ValueError("of another version")
    except (ValueError, TypeError, KeyError, AttributeError) as cause:
        hint = "Look whether its job still runs, then remove the file: the task will be handed over anew."
        raise EngineError(f"{url}: is no entry of the book of jobs: {cause}", hint=hint) from cause

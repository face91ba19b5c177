"""The process of ``levada server``: store, host and HTTP put together, from the first lock to the last answer.

A standby serves HTTP from the start and answers "not ready" until the store is its own; so probes and workers find it by
its address, and the moment it takes over is the moment it says yes.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

from .._store.opening import open_store
from .._store.ports import TokenRow
from ..config.state import secret_key
from ..errors import Deposed, StateFolderError, StoreBroken
from .alerts.noticing import Noticing
from .alerts.settings import AlertPlan, alerts_of
from .guests import opened
from .host import Host, Rules
from .http.serve import WebServer
from .http.settings import Settings
from .http.tokens import OWN, TokenTable, digest_of, own_token

SWITCH = 0.0005  # seconds for which a thread that reads pages may keep the interpreter from the one that answers claims
INFO_FILE = "server.json"
GUESTS = {"luigi": "levada.luigi.guests"}
"""Protocols of others, by dotted name: nothing in the house stands on the annex."""
ENDED_WELL, ENDED_BROKEN, ENDED_DEPOSED = 0, 74, 75
log = logging.getLogger("levada.server")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a server is to be. store: a name as ``open_store`` takes it, "" for a file in the state folder."""

    folder: str
    version: str
    settings: Settings = field(default_factory=Settings)
    store: str = ""
    synchronous: str = "full"
    standby: bool = False
    lease: float = 60.0  # seconds
    failed_pause: float = 900.0  # seconds
    alerts: AlertPlan | None = None
    guests: str = ""  # a protocol of others whose workers are let in, see GUESTS


class Server:
    """One server. ``serve`` runs it in this thread until a signal, ``stop``, or the end of its store."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._end = threading.Event()
        place = plan.store or os.path.join(plan.folder, "levada.db")
        self.host = Host(
            open_store(place, synchronous=plan.synchronous),
            Rules(lease=plan.lease, failed_pause=plan.failed_pause),
            version=plan.version,
            namespace_key=secret_key(plan.folder).hex(),  # that of runs without a server; another server of the store needs the file, too
            contested="://" in place,
            quick_disk="://" not in place and plan.synchronous == "normal",
            boot="" if plan.synchronous == "full" else "?" if "://" in place else boot_id(),
        )
        self.host.notices = None if plan.alerts is None else Noticing(alerts_of(plan.alerts))
        self.host.office.folder = os.path.join(plan.folder, "backups")
        self.host.on_end(self._end.set)
        token, self.new_token = own_token(plan.folder)
        self._own = TokenRow(OWN, digest_of(token), "admin", "", "of the state folder", time.time(), None, None, None)
        self.host.tokens = TokenTable([self._own])
        if plan.guests:
            self.host.guests = opened(GUESTS[plan.guests], self.host)
        routes = () if self.host.guests is None else self.host.guests.routes
        self.web = WebServer(self.host, plan.settings, version=plan.version, guests=routes)

    def stop(self) -> None:
        """Let ``serve`` end; from any thread."""
        self._end.set()

    def serve(self, ready: Callable[[], None] = lambda: None) -> int:
        """The exit code. Raises ConfigError and StoreError where it cannot begin. ready: called when it takes commands."""
        sys.setswitchinterval(SWITCH)
        with _signals(self._end):
            self.web.start()
            try:
                if not self._begin():
                    return _exit_code(self.host.failed)
                _quiet_collector()
                with self._told():
                    ready()
                    self._end.wait()
            finally:
                self.host.stop()
                self.web.stop()
        return _exit_code(self.host.failed)

    def _begin(self) -> bool:
        """Take over; False when we were told to end while we waited for it."""
        owner = f"{socket.gethostname()} pid {os.getpid()} {' '.join(self.web.addresses)}"
        wait = None if self.plan.standby else 0.0
        if self.plan.standby:
            log.warning("standing by", extra={"addresses": self.web.addresses})
        self.host.start(owner, wait=wait, stopped=self._end.is_set, own_token=self._own, loop=self.web.loop)
        return not self._end.is_set()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The state folder says where we are, as long as we live."""
        path = os.path.join(self.plan.folder, INFO_FILE)
        mine = json.dumps({"addresses": self.web.addresses, "pid": os.getpid()}) + "\n"
        temporary = f"{path}.{os.getpid()}"
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8") as file:
                file.write(mine)
            os.replace(temporary, path)
        except OSError as cause:
            with suppress(OSError):
                os.unlink(temporary)
            raise StateFolderError(f"{path}: cannot be written: {cause.strerror}", hint="Make room, or see what stands there.") from cause
        try:
            yield
        finally:
            with suppress(OSError):
                with open(path, encoding="utf-8") as file:
                    ours = file.read() == mine
                if ours:
                    os.unlink(path)


def _quiet_collector() -> None:
    """What there is at the start is no garbage: a look at the tables of a million tasks takes 40 ms, and they hold no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 10)


def _exit_code(failed: BaseException | None) -> int:
    if failed is None:
        return ENDED_WELL
    return ENDED_DEPOSED if isinstance(failed, Deposed) else ENDED_BROKEN if isinstance(failed, StoreBroken) else 70


@contextmanager
def _signals(end: threading.Event) -> Iterator[None]:
    """SIGTERM and SIGINT end the server: what waits is answered, then the store is closed."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        end.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def boot_id() -> str:
    """Names this life of the machine; "?" where that cannot be told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip() or "?"
    except OSError:
        return "?"

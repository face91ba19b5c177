"""``levada up``: a server and a resident worker as children of this process, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any, cast

from .._model import exit_codes
from ..config.settings import Settings
from ..errors import SchedulerError, UsageError
from .app import DEBUG, HELP
from .options import Option, Parsed
from .remote import Remote, understood
from .tasks import CONFIG, settings_for, state_of
from .text import say
from .worker import APP

OPTIONS: tuple[Option, ...] = (
    APP,
    Option("--workers", "N", "slots of the worker (default 1)", short="-w", setting=("run", "workers")),
    Option("--bind", "ADDRESS", "HOST:PORT or unix:PATH for the server; may be repeated (default 127.0.0.1:8782)", many=True),
    Option("--log-level", "LEVEL", "debug, info, warning (default) or error", setting=("run", "log_level")),
    Option("--log-json", "", "log lines as JSON"),
    Option("--state", "FOLDER", "the state folder (store, token, socket)", setting=("levada", "state")),
    CONFIG,
    DEBUG,
    HELP,
)
STARTING = 30.0  # seconds that the server may take to be ready
ENDING = 40.0  # seconds that each child may take to end
LOOK = 0.1


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Start both, say where, wait; the exit code."""
    parsed = understood(command, arguments, OPTIONS)
    if parsed is None:
        return exit_codes.OK
    if parsed.words:
        raise UsageError(f"levada up takes no {parsed.words[0]!r}", hint="Name modules with --app; see `levada up --help`.")
    from ..config.state import state_folder

    settings = settings_for(parsed, environ)
    folder = state_folder(environ, parsed.text("state") or state_of(settings))
    return Household(parsed, settings, folder, environ).live()


def _libc() -> Any:
    """The C library, which binds a child's life to ours; None where the system has no such thing."""
    if sys.platform != "linux":
        return None
    import ctypes

    return ctypes.CDLL(None)


class Household:
    """The children. When one of them ends by itself the other is ended too."""

    def __init__(self, parsed: Parsed, settings: Settings, folder: str, environ: Mapping[str, str]) -> None:
        self._parsed, self._settings, self._folder = parsed, settings, folder
        self._environ = {**environ, "LEVADA_STATE": folder}
        self._environ.pop("LEVADA_SCHEDULER", None)
        self._children: list[subprocess.Popen[bytes]] = []
        self._signals = 0
        self._pid, self._libc = os.getpid(), _libc()

    def live(self) -> int:
        """Until a signal, or the end of a child."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            server = self._start("server", self._server_options())
            addresses = self._await_ready(server)
            if addresses:
                self._greet(addresses)
                if self._modules():
                    self._start("worker", self._worker_options(addresses))
                self._wait()
        finally:
            code = self._end()
            for number, handler in before.items():
                signal.signal(number, handler)
        return code

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    @property
    def _stopped(self) -> bool:
        """Whether a signal came."""
        return self._signals > 0

    # -- the children

    def _start(self, command: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
        """A child in a session of its own, so that Ctrl-C is ours: the worker ends first, then the server."""
        words = [sys.executable, "-m", "levada", command, *options, *self._common()]
        child = subprocess.Popen(words, env=self._environ, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=self._bind_lives)
        self._children.append(child)
        return child

    def _bind_lives(self) -> None:
        """In a child, before it becomes what it is to be: SIGTERM when this process ends, also by SIGKILL (Linux)."""
        if self._libc is not None:
            self._libc.prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG
            if os.getppid() != self._pid:
                os._exit(exit_codes.TERMINATED)

    def _common(self) -> list[str]:
        words = ["--log-json"] if self._parsed.flag("log_json") else []
        for name in ("log_level", "config"):
            if (text := self._parsed.text(name)) is not None:
                words += [f"--{name.replace('_', '-')}", text]
        return words

    def _server_options(self) -> list[str]:
        return [word for text in self._parsed.texts("bind") for word in ("--bind", text)]

    def _modules(self) -> list[str]:
        return self._parsed.texts("app") or list(cast("tuple[str, ...]", self._settings.get("levada", "modules", ())))

    def _worker_options(self, addresses: Sequence[str]) -> list[str]:
        words = [word for name in self._modules() for word in ("--app", name)]
        if (workers := self._parsed.text("workers")) is not None:
            words += ["--workers", workers]
        return [*words, "--scheduler", ",".join(addresses)]

    # -- what is said

    def _await_ready(self, server: subprocess.Popen[bytes]) -> list[str]:
        """Addresses of the server once it takes commands; none when it ended, or we were told to."""
        from .._client.address import own_addresses, server_pid

        until = time.monotonic() + STARTING
        while time.monotonic() < until and not self._stopped and server.poll() is None:
            if server_pid(self._folder) == server.pid and (found := own_addresses(self._folder)) and self._answers(found):
                return list(map(str, found))
            time.sleep(LOOK)
        if server.poll() is None and not self._stopped:
            say(f"levada: the server is not ready after {STARTING:.0f} s")
        return []

    def _remote(self, addresses: Sequence[object]) -> Remote:
        from .._client.address import find_token, parse_addresses
        from .._client.session import Link

        parsed = parse_addresses(",".join(map(str, addresses)))
        return Remote(Link(parsed, lambda: find_token({}, self._folder, parsed)))

    def _answers(self, addresses: Sequence[object]) -> bool:
        remote = self._remote(addresses)
        try:
            remote.get("/v1/whoami")
        except SchedulerError:
            return False
        finally:
            remote.close()
        return True

    def _greet(self, addresses: Sequence[str]) -> None:
        remote = self._remote(addresses)
        try:
            answer = remote.send("/v1/login-link", {}, once=False)
        finally:
            remote.close()
        web = next((address for address in addresses if address.startswith("http")), None)
        say(f"levada: up; runs find it by LEVADA_SCHEDULER={addresses[0]}, with the state folder {self._folder}")
        if web is not None:
            say(f"levada: in a browser, once, within {answer['seconds'] / 60:.0f} minutes: {web}{answer['path']}")
        if self._modules():
            say("levada: want something by `levada goal add FAMILY --parameter VALUE`; `levada goal list` tells how it stands")
        else:
            say("levada: no worker runs here: name modules by --app MODULE, or start `levada worker --app MODULE`; runs bring their own")

    # -- the end

    def _wait(self) -> None:
        while not self._stopped and all(child.poll() is None for child in self._children):
            time.sleep(LOOK)

    def _end(self) -> int:
        """End the worker, then the server. The exit code of what ended by itself, else 0."""
        gone = [child for child in self._children if child.poll() is not None]
        ended = [child.returncode for child in gone]
        for child in reversed(self._children):
            self._end_one(child)
        if self._stopped:
            return exit_codes.OK
        for child in gone:
            how = f"signal {-child.returncode}" if child.returncode < 0 else f"exit code {child.returncode}"
            name = "server" if child is self._children[0] else "worker"
            say(f"levada: the {name} (pid {child.pid}) was ended by {how}; so this ends, too")
        return ended[0] if ended and ended[0] > 0 else exit_codes.UNAVAILABLE

    def _end_one(self, child: subprocess.Popen[bytes]) -> None:
        """Tell it to end. A worker hears of further signals, too: at the second it cancels what still runs."""
        passed, until = self._signals, time.monotonic() + ENDING
        if child.poll() is None:
            child.terminate()
        while child.poll() is None:
            if time.monotonic() >= until:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            elif self._signals > passed and child is not self._children[0]:
                passed = self._signals
                child.terminate()
            time.sleep(LOOK)

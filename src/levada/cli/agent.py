"""``levada agent``: unfolds the goals of a server and watches data for it; ``levada worker`` starts one beside itself."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from .._model import exit_codes
from ..errors import ConfigError, Refused, UsageError
from .app import DEBUG, HELP
from .options import Option, Parsed, Scanner
from .tasks import CONFIG, SCHEDULER, Request, override, settings_for, state_of

if TYPE_CHECKING:
    from types import FrameType

    from .._worker.agent.process import Agent
    from ..config.settings import Settings

GOALS = 4
AGAIN = 10.0  # seconds until an agent that ended at once is started again
ENDING = 20.0  # seconds that one may take to end
APP = Option(
    "--app", "MODULE", "module whose goals are unfolded here, or path of a .py file; may be repeated (default: [levada] modules)", many=True
)
OPTIONS = (
    APP,
    SCHEDULER,
    Option("--goals", "N", "goals that are unfolded at once, each in a process of its own (default 4)", setting=("run", "goals")),
    Option("--workers", "N", "slots of each of these processes (default 1)", short="-w", setting=("run", "workers")),
    Option("--executor", "NAME", "inline (default with one slot), threads, or processes (default with more)", setting=("run", "executor")),
    Option("--poll", "SECONDS", "at most so long between two looks for data that goals wait for (default 30)", setting=("run", "poll")),
    Option("--until-eof", "", "end when standard input does: with the worker that started it"),
    Option("--log-level", "LEVEL", "debug, info, warning (default) or error", setting=("run", "log_level")),
    Option("--log-json", "", "log lines as JSON"),
    Option("--state", "FOLDER", "the state folder (token, what goals print)", setting=("levada", "state")),
    CONFIG,
    DEBUG,
    HELP,
)
log = logging.getLogger("levada.agent")


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Unfold goals until a signal comes; the exit code."""
    parsed = Parsed()
    Scanner(arguments, OPTIONS).parse(parsed)
    if parsed.flag("help"):
        from .help import command_help

        sys.stdout.write(command_help(command, OPTIONS))
        return exit_codes.OK
    if parsed.words:
        raise UsageError(f"levada agent takes no {parsed.words[0]!r}", hint="Name modules with --app; see `levada agent --help`.")
    settings = settings_for(parsed, environ)
    override(Request(parsed, settings, []), OPTIONS)
    return _serve(parsed, settings, environ)


def _serve(parsed: Parsed, settings: Settings, environ: Mapping[str, str]) -> int:
    from .._run import state_of as folder_of
    from .._served import link_of
    from .._worker.agent.process import Agent, Setup
    from .._worker.agent.writers import prepare
    from .logs import set_up
    from .worker import addresses_of

    modules = parsed.texts("app") or list(cast("tuple[str, ...]", settings.get("levada", "modules", ())))
    if not modules:
        raise UsageError("which modules? An agent unfolds goals of those that it is told", hint="Name them: --app MODULE.")
    set_up(str(settings.get("run", "log_level", "warning")), as_json=parsed.flag("log_json"))
    addresses = addresses_of(settings, environ)
    folder = folder_of(state_of(settings))
    order = {
        "scheduler": addresses,
        "state": folder,
        "config": parsed.text("config"),
        "workers": settings.get("run", "workers", 1),
        "executor": settings.get("run", "executor"),
    }
    setup = Setup(
        modules,
        os.path.join(folder, "goals"),
        order,
        cast(int, settings.get("run", "goals", GOALS)),
        cast("float | None", settings.get("run", "poll")),
    )
    prepare()
    agent = Agent(link_of(addresses, folder), setup)
    _listen(agent)
    if parsed.flag("until_eof"):
        _end_with_stdin(agent)
        agent.on_new_code = _tell_parent
    try:
        agent.run()
    except Refused as no:
        hint = "Agents need one of the role worker: `levada token create --role worker`."
        raise ConfigError(f"the token is not accepted: {no.message}", hint=hint) from no
    return exit_codes.OK


def _listen(agent: Agent) -> None:
    def on_signal(number: int, frame: FrameType | None) -> None:
        agent.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)


def _tell_parent() -> None:
    """The worker beside us has imported the code before this one."""
    with suppress(OSError):
        os.write(1, b"new\n")


def _end_with_stdin(agent: Agent) -> None:
    """Who started us holds the other end of our input for as long as it lives."""
    import threading

    def read() -> None:
        while os.read(0, 4096):
            pass
        agent.stop()

    threading.Thread(target=read, name="levada-parent", daemon=True).start()


HANDED = "LEVADA_AGENT"
"""Variable by which a worker that begins anew finds its agent: process id, and the ends of two pipes."""


class Beside:
    """The agent beside a worker: started again where it ended by itself, ended with the worker. Used by one thread.

    A worker that begins anew, since the code has changed, keeps its agent, and what that unfolds goes on.
    """

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self._pid = 0
        self._life = self._said = -1  # our end of its input, which ends it; of its output, by which it tells of new code
        self._look_at = self._began = 0.0
        handed = os.environ.pop(HANDED, None)
        if handed:
            self._pid, self._life, self._said = map(int, handed.split(","))
            for fd in (self._life, self._said):
                os.set_inheritable(fd, False)
            self._began = time.monotonic()
        else:
            self.look()

    def look(self) -> bool:
        """Start it where it does not run; whether it told of new code. Cheap, called again and again."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + 1.0
        if self._pid:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid == 0:
                return self._has_news()
            self._look_at = now + (1.0 if now - self._began > AGAIN else AGAIN)
            log.error("the agent ended by itself (%d); it is started again", os.waitstatus_to_exitcode(status))
            self._forget()
        self._began = now
        self._start()
        return False

    def _start(self) -> None:
        words = [sys.executable, "-m", "levada", "agent", "--until-eof", *self._arguments]
        inside, self._life = os.pipe()
        self._said, outside = os.pipe()
        os.set_blocking(self._said, False)
        try:
            process = subprocess.Popen(words, stdin=inside, stdout=outside, start_new_session=True)
            process.returncode = 0  # we reap it ourselves
            self._pid = process.pid
        finally:
            os.close(inside)
            os.close(outside)

    def _has_news(self) -> bool:
        try:
            return bool(os.read(self._said, 4096))
        except BlockingIOError:
            return False

    def hand_over(self) -> None:
        """Leave it to the program that takes this one's place in this process."""
        if self._pid:
            for fd in (self._life, self._said):
                os.set_inheritable(fd, True)
            os.environ[HANDED] = f"{self._pid},{self._life},{self._said}"

    def _forget(self) -> None:
        for fd in (self._life, self._said):
            if fd >= 0:
                os.close(fd)
        self._pid, self._life, self._said = 0, -1, -1

    def end(self) -> None:
        """End it: what it unfolds goes back to the server."""
        if not self._pid:
            return
        pid, until = self._pid, time.monotonic() + ENDING
        os.close(self._life)
        self._life = -1
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                break
            time.sleep(0.02)
        self._forget()

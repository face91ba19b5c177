"""``levada worker``: a resident worker, which runs what others want, of the modules that it was started with."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from .._model import exit_codes
from ..config.settings import Settings
from ..errors import ConfigError, UsageError
from .app import DEBUG, HELP
from .options import Option, Parsed, Scanner, plain
from .tasks import CONFIG, CUT_OFF, SCHEDULER, settings_for, state_of

if TYPE_CHECKING:
    from .._model.ports import Attempt

APP = Option(
    "--app", "MODULE", "module whose tasks are run here, or path of a .py file; may be repeated (default: [levada] modules)", many=True
)
OPTIONS = (
    APP,
    SCHEDULER,
    Option("--workers", "N", "slots: so many tasks at once (default 1)", short="-w", setting=("run", "workers")),
    Option("--executor", "NAME", "inline (default with one slot), threads, or processes (default with more)", setting=("run", "executor")),
    Option("--goals", "N", "goals unfolded at once, each in a process of its own (default 4); 0: none here", setting=("run", "goals")),
    Option("--poll", "SECONDS", "at most so long between two looks for data that goals wait for (default 30)", setting=("run", "poll")),
    Option("--grace", "SECONDS", "how long running tasks may go on after SIGINT or SIGTERM (default 30)", setting=("run", "grace")),
    CUT_OFF,
    Option("--patience", "SECONDS", "end when the server was away for so long (default: never)", setting=("run", "patience")),
    Option("--log-level", "LEVEL", "debug, info, warning (default) or error", setting=("run", "log_level")),
    Option("--log-json", "", "log lines as JSON"),
    Option("--state", "FOLDER", "the state folder (token, traces of half-written files)", setting=("levada", "state")),
    CONFIG,
    DEBUG,
    HELP,
)
log = logging.getLogger("levada.worker")


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Run what is wanted until a signal comes; the exit code."""
    parsed = Parsed()
    Scanner(arguments, OPTIONS).parse(parsed)
    if parsed.flag("help"):
        from .help import command_help

        sys.stdout.write(command_help(command, OPTIONS))
        return exit_codes.OK
    if parsed.words:
        raise UsageError(f"levada worker takes no {parsed.words[0]!r}", hint="Name modules with --app; see `levada worker --help`.")
    settings = settings_for(parsed, environ)
    for option in OPTIONS:
        if option.setting is not None and plain(option.name) in parsed.values:
            settings.override(*option.setting, parsed.values[plain(option.name)], f"command line, {option.name}")
    modules = _import(parsed, settings)
    code = _assist(modules, parsed, settings, environ)
    if code is None:
        os.execv(sys.executable, [sys.executable, "-m", "levada", command, *arguments])  # noqa: S606 - ourselves, without a shell
    return code


def _import(parsed: Parsed, settings: Settings) -> list[str]:
    """Import what is offered; the names of the modules."""
    named = parsed.texts("app") or list(cast("tuple[str, ...]", settings.get("levada", "modules", ())))
    if not named:
        raise UsageError("which modules? A worker runs tasks of those that it is told, and of no others", hint="Name them: --app MODULE.")
    from .modules import import_all
    from .tasks import _connect

    import_all(named)
    _connect(settings)
    return module_names(named)


def module_names(named: list[str]) -> list[str]:
    """Names of modules that were imported by name or by path."""
    return [os.path.basename(name).removesuffix(".py") if name.endswith(".py") else name for name in named]


def _assist(modules: list[str], parsed: Parsed, settings: Settings, environ: Mapping[str, str]) -> int | None:
    """The exit code; None when the code has changed, and this process is to begin anew with it."""
    from .._run import Options
    from .._served import assist
    from .agent import GOALS, Beside
    from .logs import set_up
    from .text import count, say

    set_up(str(settings.get("run", "log_level", "warning")), as_json=parsed.flag("log_json"))
    options = Options(
        workers=cast(int, settings.get("run", "workers", 1)),
        executor=cast("str | None", settings.get("run", "executor")),
        grace=cast("float | None", settings.get("run", "grace", 30.0)),
        observer=Watch(),
        state=state_of(settings),
        scheduler=addresses_of(settings, environ),
        cut_off=cast("str | None", settings.get("run", "cut_off")),
        patience=cast("float | None", settings.get("run", "patience")),
    )
    say(f"levada: a worker for tasks of {', '.join(modules)}, with {count(options.workers, 'slot')}, of the server at {options.scheduler}")
    if settings.get("run", "goals", GOALS) == 0:
        return assist(modules, options)
    beside = Beside(_of_agent(parsed, settings, options.scheduler))
    code: int | None = exit_codes.INTERNAL
    try:
        code = assist(modules, options, beside=beside.look)
    finally:
        if code is None:
            beside.hand_over()
        else:
            beside.end()
    return code


def _of_agent(parsed: Parsed, settings: Settings, scheduler: str) -> list[str]:
    """Arguments of the agent beside this worker."""
    named = parsed.texts("app") or list(cast("tuple[str, ...]", settings.get("levada", "modules", ())))
    words = [word for name in named for word in ("--app", name)]
    words += ["--scheduler", scheduler]
    for name in ("goals", "executor", "poll", "log_level"):
        if (value := settings.get("run", name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for option in ("state", "config"):
        if (text := parsed.text(option)) is not None:
            words += [f"--{option}", text]
    return [*words, "--log-json"] if parsed.flag("log_json") else words


def addresses_of(settings: Settings, environ: Mapping[str, str]) -> str:
    """The server that is set, else the one of this user's state folder. Raises ConfigError when there is neither."""
    given = str(settings.get("levada", "scheduler", ""))
    if given and given != "none":
        return given
    from .._client.address import own_addresses
    from ..config.state import state_folder

    folder = state_folder(environ, state_of(settings))
    own = own_addresses(folder)
    if not own:
        raise ConfigError(
            f"no server is named, and none runs with the state folder {folder}",
            hint="Name one: --scheduler http://host:8782, LEVADA_SCHEDULER, or scheduler in [levada]. Or start it: `levada server`.",
        )
    return ",".join(map(str, own))


class Watch:
    """Who watches a resident worker: failures are said, all else is logged."""

    def started(self, runner: Any) -> None:
        """A session was opened."""
        log.info("waiting for tasks")

    def progress(self, runner: Any) -> None:
        """Nobody looks."""

    def task_started(self, task: Any) -> None:
        """An attempt begins."""

    def task_ended(self, task: Any, attempt: Attempt) -> None:
        """An attempt has ended."""
        from .names import name_of
        from .summary import reason
        from .text import ending, one_line

        name = one_line(name_of(attempt))
        if attempt.exit == "ok":
            log.info("%s: done (%.3f s)", name, attempt.seconds)
        else:
            log.warning("attempt %d of %s %s: %s", attempt.number, name, ending(attempt.exit), reason(attempt.error))

    def ended(self, runner: Any) -> None:
        """Of no interest."""

    def draining(self, signum: int, running: int) -> None:
        """It was asked to stop."""
        from .text import count, say

        say(f"levada: stopping: {count(running, 'attempt')} may finish first; once more to cancel" if running else "levada: stopping")

"""Which command is wanted, and the edge where errors become texts and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from .._model import exit_codes
from ..errors import LevadaError, PlanError, Refused, SchedulerError, StateFolderError, StoreBusy, TargetError, UsageError
from .options import Option
from .text import hush, say

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("run", "make a task complete: plan, run what is missing, in this process"),
    "plan": ("plan", "show what a run would do"),
    "why": ("why", "explain where a task stands, in one chain of facts"),
    "backfill": ("backfill", "make a range of partitions complete: only what is missing is run"),
    "list": ("families", "list the task families that the modules define"),
    "show": ("families", "show a family: parameters, defaults, where values come from"),
    "check": ("families", "import the modules and report everything that is defined wrongly"),
    "status": ("history", "the latest attempts by family; how a server and its tasks stand"),
    "history": ("history", "attempts of the past, newest first"),
    "log": ("history", "the error of a task's last failed attempt; with a server its whole log"),
    "tasks": ("watch", "the tasks of a server, by status, family or text"),
    "workers": ("watch", "the workers of a server, what they run and offer"),
    "resources": ("watch", "the resources of a server: how much there is, is used, is waited for"),
    "resource": ("govern", "set how much of a resource there is"),
    "pause": ("govern", "let the server grant nothing more"),
    "resume": ("govern", "let the server grant again"),
    "drain": ("govern", "let a worker, or all of a host, end what they run and get nothing more"),
    "cancel": ("operate", "cancel tasks; what runs is asked to stop"),
    "retry": ("operate", "set failed, disabled or cancelled tasks going again"),
    "forgive": ("operate", "forget the failures of tasks; failed and disabled ones are set going again"),
    "invalidate": ("operate", "let tasks that are done be made again"),
    "done": ("operate", "say that tasks are done without a run"),
    "priority": ("operate", "change the priority of a task, and of what it needs"),
    "audit": ("watch", "who changed what at a server, newest first"),
    "jobs": ("jobs", "jobs that tasks handed to other systems: how they stand, their logs; cancel or forget one"),
    "trigger": ("trigger", "triggers of modules or of a server: when they fire, what a fire makes; add, pause, remove, fire them"),
    "server": ("server", "serve many workers: the central scheduler"),
    "worker": ("worker", "a resident worker: runs what others want, of the modules that it is told"),
    "event": ("event", "tell a server that something has happened: triggers of that event fire"),
    "goal": ("goal", "want something of a server, list, explain, cancel or repeat what was wanted"),
    "agent": ("agent", "unfold the goals of a server, and watch data for it; `worker` starts one beside itself"),
    "up": ("up", "a server and a resident worker on this machine, until Ctrl-C"),
    "alerts": ("alerts", "alerts test: send a message to each address that is told of failures"),
    "token": ("token", "create, list and revoke tokens of the server"),
    "backup": ("backup", "back the server's store up, and restore it"),
    "config": ("settings", "config explain, config path: settings and where they come from"),
    "complete": ("complete", "print the completion script of a shell"),
    "luigi": ("luigi", "run an unmodified Luigi program"),
    "migrate": ("migrate", "migrate check: what of a Luigi project runs as it is, what behaves differently, what is not supported"),
}
"""Command -> (module that has it, what it does)."""

UNFIT = frozenset({400, 404, 409, 413, 422})  # what the user wrote does not fit the server's state: trying again changes nothing
DEBUG = Option("--debug", "", "show the traceback of an error that levada raised")
HELP = Option("--help", "", "show this help", short="-h")


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; its exit code. Errors become texts on stderr, never tracebacks, unless --debug."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    try:
        code = _guarded(arguments)
    except BrokenPipeError:  # while an error was told
        code = exit_codes.INTERNAL
    return _flushed(code)


def _open_streams() -> None:
    """Stand in for what the caller closed (`2>&-`): else the next file that is opened, a lock perhaps, gets what is printed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open as long as the process


def _guarded(arguments: list[str]) -> int:
    try:
        return dispatch(arguments)
    except LevadaError as fault:
        if "--debug" in arguments:
            _trace(fault)
        return report(fault)
    except KeyboardInterrupt:
        say("levada: interrupted")
        return exit_codes.INTERRUPTED
    except BrokenPipeError:  # `levada plan | head` is no error: the reader has seen enough
        return exit_codes.OK
    except SystemExit as fault:  # code of the user; 0 would say that the wanted task is complete
        _trace(fault)
        say("levada: sys.exit() was called while the plan was made, see above; nothing can be said of the wanted task")
        return exit_codes.PLAN_FAULT
    except Exception as fault:
        return _internal(fault)


def _flushed(code: int) -> int:
    """Let out what was printed while errors can still be told: at its own end the interpreter would only complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            hush(stream)
        except (OSError, ValueError) as fault:
            hush(stream)
            say(f"levada: what was printed is not whole: {fault}")
            code = code or exit_codes.UNAVAILABLE
    return code


def dispatch(arguments: list[str]) -> int:
    """Find the command and call it with its arguments."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        from .help import overview

        sys.stdout.write(overview())
        return exit_codes.OK if arguments else exit_codes.USAGE
    name, *rest = arguments
    if name in ("--version", "-V"):
        from .. import __version__

        print(f"levada {__version__}")
        return exit_codes.OK
    found = COMMANDS.get(name)
    if found is None:
        _unknown_command(name)
    module = __import__(f"{__package__}.{found[0]}", fromlist=["main"])
    return int(module.main(name, rest, os.environ))


def _unknown_command(name: str) -> NoReturn:
    from .._model.spelling import did_you_mean

    if name.startswith("-"):
        raise UsageError(f"the command comes first, got {name}", hint=f"Commands are {', '.join(COMMANDS)}.")
    hint = did_you_mean(name, COMMANDS, "`levada {}`") or f"Commands are {', '.join(COMMANDS)}."
    if name[:1].isupper() or name.endswith(".py"):
        hint = f"To run a task write `levada run {name}`."
    raise UsageError(f"there is no command {name!r}", hint=hint)


def report(fault: LevadaError) -> int:
    """Print what was wrong and what to do next; the exit code that belongs to it."""
    from .text import escape

    say(f"levada: {escape(str(fault))}")
    return code_of(fault)


def code_of(fault: LevadaError) -> int:
    """The exit code of an error that ends a command.

    >>> from levada.errors import ConfigError
    >>> code_of(ConfigError("x"))
    2
    """
    if isinstance(fault, (StateFolderError, StoreBusy)):
        return exit_codes.BUSY
    if isinstance(fault, PlanError):
        return exit_codes.PLAN_FAULT
    if isinstance(fault, Refused) and fault.status in UNFIT:
        return exit_codes.USAGE
    if isinstance(fault, (TargetError, SchedulerError)):
        return exit_codes.UNAVAILABLE
    return exit_codes.USAGE


def _trace(fault: BaseException) -> None:
    from traceback import format_exception

    from .text import escape

    say(escape("".join(format_exception(fault))).rstrip("\n"))


def _internal(fault: Exception) -> int:
    _trace(fault)
    say("levada: a fault of levada itself, see above; please report it")
    return exit_codes.INTERNAL

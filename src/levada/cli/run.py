"""``levada run``: make one task complete, in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from .._model import exit_codes
from ..errors import LevadaError
from .options import Option
from .tasks import CUT_OFF, OF_TASK, PATIENCE, SCHEDULER, Request, state_of, understand

if TYPE_CHECKING:
    from .._plan.shaping import Shape
    from .._run import RunResult
    from .console import Console

OPTIONS = (
    Option("--workers", "N", "slots: so many tasks at once (default 1)", short="-w", setting=("run", "workers")),
    Option("--executor", "NAME", "inline (default with one slot), threads, or processes (default with more)", setting=("run", "executor")),
    Option("--attempts", "N", "attempts in all, for tasks that do not say it themselves (default 3)", setting=("run", "attempts")),
    Option(
        "--grace",
        "SECONDS",
        "how long running tasks may go on after SIGINT (default: to their end) or SIGTERM (30)",
        setting=("run", "grace"),
    ),
    Option("--pdb", "", "on a failure stop in the debugger, at the failing line"),
    Option("--json", "", "print the result as JSON on stdout"),
    Option(
        "--quiet",
        "",
        "print nothing unless something goes wrong (for crontabs); data that others have not brought yet is nothing wrong",
        short="-q",
    ),
    Option("--no-console", "", "no progress while running, only the summary"),
    Option("--log-level", "LEVEL", "debug, info, warning (default) or error", setting=("run", "log_level")),
    Option("--log-json", "", "log lines as JSON"),
    Option("--state", "FOLDER", "the state folder (locks, attempt history)", setting=("levada", "state")),
    SCHEDULER,
    CUT_OFF,
    PATIENCE,
    *OF_TASK,
)


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out ``levada run``; the exit code tells how it ended (see ``levada --help``)."""
    request = understand(command, arguments, OPTIONS, environ)
    if request is None:
        return exit_codes.OK
    return carry_out(request.task(), request, environ)


def carry_out(
    task: Any,
    request: Request,
    environ: Mapping[str, str],
    *,
    shape: Shape | None = None,
    finish: Callable[[RunResult], RunResult] = lambda result: result,
) -> int:
    """Run it and tell how that ended; the exit code. shape: what is added to the plan; finish: changes what is told."""
    from .console import Console

    console = Console(request.parsed, request.settings, lambda: _estimates(request, environ))
    try:
        result = finish(_run(task, request, console, shape))
    finally:
        console.close()
    if request.parsed.flag("json"):
        _print_json(result)
    if result.exit_code not in (exit_codes.OK, exit_codes.WAITING) or not request.parsed.flag("quiet"):
        from .summary import summary
        from .text import say

        say("\n".join(summary(result, _log_command(request))))
    return int(result.exit_code)


def _log_command(request: Request) -> str:
    """The command that shows an error of this run: with the state folder, if it was an option."""
    state = request.parsed.text("state")
    if state is None:
        return "levada log"
    from shlex import quote

    return f"levada log --state {quote(state)}"


def _print_json(result: Any) -> None:
    from .text import hush, json_text

    try:
        print(json_text(result.to_json()), flush=True)
    except BrokenPipeError:  # the exit code still tells how the run ended
        hush(sys.stdout)


def _run(task: Any, request: Request, console: Console, shape: Shape | None) -> RunResult:
    from .._run import run

    settings = request.settings
    return run(
        task,
        workers=cast(int, settings.get("run", "workers", 1)),
        executor=cast("str | None", settings.get("run", "executor")),
        attempts=cast("int | None", settings.get("run", "attempts")),
        grace=cast("float | None", settings.get("run", "grace")),
        pdb=request.parsed.flag("pdb"),
        observer=console,
        state=state_of(settings),
        resources=cast("dict[str, int]", settings.section("resources")),
        scheduler=cast(str, settings.get("levada", "scheduler", "")),
        cut_off=cast("str | None", settings.get("run", "cut_off")),
        patience=cast("float | None", settings.get("run", "patience")),
        shape=shape,
    )


def _estimates(request: Request, environ: Mapping[str, str]) -> Mapping[str, Any]:
    from .history import history_of

    history = history_of(state_of(request.settings), environ)
    try:
        return cast("Mapping[str, Any]", history.estimates())
    except LevadaError:  # nothing but the time left depends on it
        return {}
    finally:
        history.close()

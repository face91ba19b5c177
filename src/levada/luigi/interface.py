"""``luigi.run`` and ``luigi.build``: how old programs start themselves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from .._run import build as build

IGNORED = frozenset({"--local-scheduler", "--no-lock", "--lock", "--assistant", "--use-cmdline-section"})
"""Options of Luigi's command line that say what Levada does anyway."""

IGNORED_WITH_VALUE = frozenset(
    {"--scheduler-host", "--scheduler-port", "--scheduler-url", "--lock-pid-dir", "--lock-size", "--logging-conf-file"}
)


def run(
    cmdline_args: Sequence[str] | None = None,
    main_task_cls: Any = None,
    local_scheduler: bool = False,
    **options: Any,
) -> bool:
    """Run a task as the command line says; True when it is complete.

    main_task_cls: the task, where the command line does not name one. cmdline_args: instead of the
    program's own arguments. A run that does not end well ends the program with its exit code, since
    cron must see it; Luigi ended with 0.
    """
    from ..cli import main

    arguments = _without_luigis_own(list(sys.argv[1:] if cmdline_args is None else cmdline_args))
    if any(word.startswith("Range") for word in arguments):
        from .tools import range as _  # noqa: F401 - the families of Luigi's Range tasks
    if main_task_cls is not None:
        arguments = [f"{main_task_cls.__module__}:{main_task_cls.get_task_family()}", *arguments]
    code = main(["run", *arguments])
    if code:
        raise SystemExit(code)
    return True


def _without_luigis_own(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name = argument.split("=", 1)[0]
        if name in IGNORED:
            continue
        if name in IGNORED_WITH_VALUE:
            if "=" not in argument:
                next(rest, None)
            continue
        kept.append(argument)
    return kept

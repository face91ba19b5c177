"""``levada luigi``, and ``luigi.run()`` of programs that say ``import levada as luigi``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from .._model import exit_codes
from .._run import scheduler_of

ONLY_LUIGIS = frozenset({"--local-scheduler", "--no-lock", "--lock", "--assistant", "--use-cmdline-section"})
"""Options of Luigi's command line that say what Levada does anyway."""

ONLY_LUIGIS_WITH_VALUE = frozenset(
    {"--contract", "--scheduler-host", "--scheduler-port", "--scheduler-url", "--lock-pid-dir", "--lock-size", "--logging-conf-file"}
)
WHICH_SCHEDULER = frozenset({"--scheduler-host", "--scheduler-port", "--scheduler-url"})


def command(arguments: Sequence[str]) -> int:
    """Carry out a command line of Luigi's as ``levada luigi`` does; the exit code.

    Codes that ``[retcode]`` does not set are Levada's, so that cron sees a failure. Where neither the command line nor the
    configuration names a scheduler, there is none: the tasks are scheduled in this process.
    """
    words = list(arguments)
    if _wants_levadas(words):
        return _levada_run(words)
    from ..cli.modules import import_all
    from .retcodes import run_with_retcodes

    import_all(_values(words, "--module"))
    if "--local-scheduler" not in words and not _names_scheduler(words):
        words.append("--local-scheduler")
    try:
        run_with_retcodes(words, unset=exit_codes)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
            return exit_codes.USAGE
        return end.code if isinstance(end.code, int) else exit_codes.OK
    return exit_codes.OK


def run_as_levada(cmdline_args: Sequence[str] | None = None, main_task_cls: Any = None, **options: Any) -> bool:
    """Run a task as the command line says, as ``levada run`` does; True when it is complete.

    main_task_cls: the task, where the command line does not name one. cmdline_args: instead of the program's own
    arguments. A run that does not end well ends the program with its exit code, since cron must see it.
    """
    words = list(sys.argv[1:] if cmdline_args is None else cmdline_args)
    if main_task_cls is not None:
        words = [f"{main_task_cls.__module__}:{main_task_cls.get_task_family()}", *words]
    code = _levada_run(words)
    if code:
        raise SystemExit(code)
    return True


def _levada_run(words: Sequence[str]) -> int:
    from ..cli import main

    if any(word.startswith("Range") for word in words):
        from .tools import range as _  # noqa: F401 - the families of Luigi's Range tasks
    return main(["run", *_without_luigis_own(words)])


def _wants_levadas(words: list[str]) -> bool:
    from .interface import core

    return (_values(words, "--contract") or [core().contract])[-1] == "levada"


def _values(words: Sequence[str], option: str) -> list[str]:
    """What the command line gives for an option, as ``--option value`` or ``--option=value``."""
    after = [words[at + 1] for at, word in enumerate(words[:-1]) if word == option]
    return after or [word.removeprefix(f"{option}=") for word in words if word.startswith(f"{option}=")]


def _names_scheduler(words: list[str]) -> bool:
    if any(word.split("=", 1)[0] in WHICH_SCHEDULER for word in words):
        return True
    from .interface import HOST, PORT, core

    env = core()
    return bool(scheduler_of(None) or env.scheduler_url or (env.scheduler_host, env.scheduler_port) != (HOST, PORT))


def _without_luigis_own(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        name = word.split("=", 1)[0]
        if name in ONLY_LUIGIS:
            continue
        if name in ONLY_LUIGIS_WITH_VALUE:
            if "=" not in word:
                next(rest, None)
            continue
        kept.append(word)
    return kept

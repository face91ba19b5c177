"""Help pages. Loaded only when somebody asks for help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._model.exit_codes import MEANINGS
from .app import COMMANDS
from .options import Option
from .text import table

USAGE = {
    "run": "[OPTIONS] [FILE.py] FAMILY [--parameter VALUE ...] [OPTIONS]",
    "plan": "[OPTIONS] [FILE.py] FAMILY [--parameter VALUE ...] [OPTIONS]",
    "backfill": "[OPTIONS] [FILE.py] FAMILY [--parameter FIRST..LAST[/STEP] ...] [OPTIONS]",
    "why": "[OPTIONS] [FILE.py] FAMILY [--parameter VALUE ...] [OPTIONS]",
    "show": "[OPTIONS] [FILE.py] FAMILY",
    "list": "[OPTIONS] [FILE.py]",
    "check": "[OPTIONS] [FILE.py ...]",
    "status": "[OPTIONS]",
    "history": "[OPTIONS] [FAMILY]",
    "log": "[OPTIONS] TASK",
    "workers": "[OPTIONS]",
    "resources": "[OPTIONS]",
    "resource": "[OPTIONS] NAME TOTAL",
    "pause": "[OPTIONS]",
    "resume": "[OPTIONS]",
    "drain": "[OPTIONS] WORKER",
    "cancel": "[OPTIONS] TASK ... | --family FAMILY",
    "retry": "[OPTIONS] TASK ... | --family FAMILY",
    "forgive": "[OPTIONS] TASK ... | --family FAMILY",
    "invalidate": "[OPTIONS] TASK ... | --family FAMILY",
    "done": "[OPTIONS] TASK ...",
    "priority": "[OPTIONS] TASK LEVEL",
    "audit": "[OPTIONS]",
    "tasks": "[OPTIONS]",
    "jobs": "[log|cancel|forget JOB] [OPTIONS]",
    "trigger": "[list] | show NAME | next [N] [NAME] | test [NAME] | add NAME FAMILY | pause|resume|remove|fire NAME [OPTIONS]",
    "event": "NAME [OPTIONS]",
    "goal": "add FAMILY [--parameter VALUE ...] | list | show|log|again GOAL | cancel GOAL ... [OPTIONS]",
    "token": "create|list|revoke ID [OPTIONS]",
    "backup": "create|restore FILE [OPTIONS]",
    "config": "explain|path [OPTIONS] [FAMILY]",
    "complete": "bash|zsh|fish",
    "migrate": "check PATH ... [OPTIONS]",
}


ACTIONS = {
    "goal": (
        ("add FAMILY", "want it, with parameters as `levada run` takes them; one that is a range (FIRST..LAST) makes a goal of a backfill"),
        ("list", "goals, the newest first: how each stands, and why"),
        ("show GOAL", "all about one, named by its number or the start of its key"),
        ("log GOAL", "what its process printed, on the machine of its worker"),
        ("again GOAL", "want the same anew; one that is parked is looked at now"),
        ("cancel GOAL ...", "end it: its process is stopped"),
    ),
    "jobs": (
        ("log JOB", "what it has said so far"),
        ("cancel JOB", "have it ended; the next attempt of its task fails with that, or sees that it had ended well"),
        ("forget JOB", "strike it off the book: the next attempt of its task submits another; --ended: all that have ended"),
    ),
    "token": (
        ("create", "make a token; it is printed once, or written by --to"),
        ("list", "all tokens: role, label, when each was made and last used; never the token itself"),
        ("revoke ID", "end a token, at once"),
    ),
    "backup": (
        ("create", "have the server copy its store into its folder of backups; with --to FILE copy a store on which no server runs"),
        ("restore FILE", "make a new store of a copy; the old one must have been moved away"),
    ),
    "config": (
        ("explain [FAMILY]", "settings, or the parameters of a family: each value and where it comes from"),
        ("path", "the files that were read"),
    ),
}
"""Commands that are several: what each of them does."""


def overview() -> str:
    """``levada --help``: every command, and the exit codes."""
    lines = ["levada: make tasks complete, starting from what exists", "", "Usage: levada COMMAND [OPTIONS]", "", "Commands:"]
    lines += _indented(table((name, what) for name, (_, what) in COMMANDS.items()))
    lines += ["", "`levada COMMAND --help` shows its options, `levada run FAMILY --help` the parameters of a task.", "", "Exit codes:"]
    lines += _indented(table((str(code).rjust(3), meaning) for code, meaning in MEANINGS))
    return "\n".join(lines) + "\n"


def command_help(command: str, options: Sequence[Option], family: Any = None) -> str:
    """The help page of a command, with the parameters of a family where one was named."""
    usage = USAGE.get(command, "[OPTIONS]") if family is None else f"{family.family} [--parameter VALUE ...] [OPTIONS]"
    lines = [f"Usage: levada {command} {usage}", "", f"  {COMMANDS[command][1]}"]
    if family is not None:
        lines += _about(family)
    actions = _verbs() if command == "trigger" else ACTIONS.get(command)
    if actions is not None:
        lines += ["", "Actions:", *_indented(table(actions))]
    lines += ["", "Options:"]
    lines += _indented(table((_spelling(option), option.help) for option in options))
    return "\n".join(lines) + "\n"


def _verbs() -> list[tuple[str, str]]:
    from .trigger import VERBS

    return [(f"{verb} {words}".rstrip(), what) for verb, (_, _, words, what) in VERBS.items()]


def _spelling(option: Option) -> str:
    short = f"{option.short}, " if option.short else ""
    return f"{short}{option.name} {option.metavar}".rstrip()


def _about(family: Any) -> list[str]:
    from inspect import cleandoc

    from ..task import parameters_of

    doc = cleandoc(family.__dict__.get("__doc__") or "").splitlines()
    lines = ["", *_indented(doc)] if doc else []
    rows = [parameter_row(name, parameter) for name, parameter in parameters_of(family) if is_shown(parameter)]
    return [*lines, "", "Parameters:", *_indented(table(rows))] if rows else [*lines, "", "It has no parameters."]


def is_shown(parameter: Any) -> bool:
    """Whether help lists the parameter: hidden and private ones stay out unless they say otherwise."""
    return bool(parameter.always_in_help or parameter.secret) or getattr(parameter.visibility, "name", "PUBLIC") == "PUBLIC"


def parameter_row(name: str, parameter: Any) -> tuple[str, str]:
    """(spelling, help with default) of a parameter."""
    from .tasks import help_of, is_flag, metavar, option_of

    spelling = option_of(name) if is_flag(parameter) else f"{option_of(name)} {metavar(parameter)}"
    notes = [help_of(parameter), f"(default: {default_text(parameter)})" if parameter.has_default else "(required)"]
    return spelling, " ".join(note for note in notes if note)


def default_text(parameter: Any) -> str:
    """The default as text; a secret one is not shown."""
    if parameter.secret:
        return "***"
    if parameter._default_factory is not None:
        return "computed for each task"
    try:
        return str(parameter.serialize(parameter.default)) or '""'
    except Exception:  # a default that does not fit its own parameter must not hide the help
        return repr(parameter.default)


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}".rstrip() for line in lines]

"""``levada config``: what is set, and where each value came from."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from .._model import exit_codes
from ..config import files, schema
from ..config.settings import PARAM_PREFIX, SETTING_PREFIX, Settings
from ..config.state import state_path
from ..errors import UsageError
from .options import Option, Scanner
from .tasks import COMMON, Request, find, prepare
from .text import json_text, table

OPTIONS = (Option("--json", "", "print JSON"), *COMMON)


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out ``config explain`` or ``config path``."""
    if any(word in ("--help", "-h") for word in arguments):
        from .help import command_help

        sys.stdout.write(command_help(command, OPTIONS))
        return exit_codes.OK
    what, *rest = arguments or [""]
    if what == "path":
        return show_paths(environ)
    if what != "explain":
        hint = "Write `levada config explain [FAMILY]` or `levada config path`."
        raise UsageError(f"config {what}: there is no such command" if what else "config: explain or path?", hint=hint)
    request = prepare(rest, OPTIONS, environ)
    Scanner(request.parsed.rest, OPTIONS).parse(request.parsed)
    return explain(request, environ)


def show_paths(environ: Mapping[str, str]) -> int:
    """Print the files that are read, the strongest first, and the user's own file where it would be."""
    here = os.getcwd()
    found = files.find(here, environ)
    for path in found:
        print(path)
    own = files.user_file(environ)
    if own is not None and own not in found:
        print(f"{own} (not there)")
    return exit_codes.OK


def explain(request: Request, environ: Mapping[str, str]) -> int:
    """Print every setting, then the parameters of one family or of all that have values set, with their origin."""
    rows = [*setting_rows(request.settings, environ), *parameter_rows(request)]
    if request.parsed.flag("json"):
        print(json_text([dict(zip(("name", "value", "where"), row, strict=True)) for row in rows]))
        return exit_codes.OK
    print("\n".join(table(rows, ("setting", "value", "from"))))
    for line in notes(request, environ):
        print(f"note: {line}", file=sys.stderr)
    return exit_codes.OK


def setting_rows(settings: Settings, environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(name, value, where) of each setting that there is, set or not."""
    rows = []
    for section, keys in schema.SECTIONS.items():
        for key, known in keys.items():
            found = settings.find(section, key)
            value, where = (found.value, found.where) if found is not None else ("", "not set")
            if found is None and (section, key) == ("levada", "state"):
                value, where = state_path(environ), "default"
            rows.append((f"{section}.{key}", _hidden(value) if known.is_secret else _shown(value), where))
    rows += [(f"resources.{key}", _shown(value.value), value.where) for section, key, value in settings.all() if section == "resources"]
    return rows


def _hidden(value: object) -> str:
    """Of secret addresses their schemes: all else may be a secret.

    >>> _hidden(("slack://A/B/C", "hunter2")), _hidden({"ana": ("mailto://ana:pw@example.org",)})
    ('slack://***, ***', 'ana: mailto://***')
    """
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_hidden(each)}" for name, each in value.items())
    return ", ".join(f"{each.partition('://')[0]}://***" if "://" in each else "***" for each in value) if isinstance(value, tuple) else ""


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def parameter_rows(request: Request) -> list[tuple[str, str, str]]:
    """(Family.parameter, value, where): all of the family that was named, else all that are set somewhere."""
    words = [word for word in request.parsed.words if not word.endswith(".py")]
    if not words and not request.modules:
        return []
    from ..task import parameters_of, registry
    from .families import describe

    named: Any = find(words[0], request.modules) if words else None
    classes = [named] if named is not None else registry.families().values()
    rows = []
    for cls in classes:
        for name, parameter in parameters_of(cls):
            row = describe(request, cls, name, parameter)
            if named is not None or row["where"] not in ("default", ""):
                rows.append((f"{cls.family}.{name}", row["value"] if row["value"] is not None else "", row["where"] or "must be given"))
    return rows


def notes(request: Request, environ: Mapping[str, str]) -> list[str]:
    """What is set and has no effect, as far as can be told."""
    known = {"LEVADA_STATE", "LEVADA_CONFIG"}
    lines = [f"environment {name} is not a setting; it would be {SETTING_PREFIX}<SECTION>__<KEY> or {PARAM_PREFIX}<Family>__<parameter>"
             for name in environ if name.startswith(SETTING_PREFIX) and "__" not in name and name not in known]  # fmt: skip
    if request.modules:
        from ..task import registry

        strangers = request.settings.check_parameters(registry.families())
        lines += [f"values are set for {name}, which no module that was imported defines" for name in strangers]
    return lines

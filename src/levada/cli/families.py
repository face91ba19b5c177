"""``levada list``, ``show`` and ``check``: what the modules define."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from .._model import exit_codes
from ..errors import LevadaError, UsageError
from .options import Option, Parsed, Scanner
from .tasks import COMMON, NO_MODULE, Request, find, prepare, settings_for
from .text import count, escape, json_text, one_line, table

JSON = Option("--json", "", "print JSON")
OPTIONS = (JSON, *COMMON)


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out one of the three."""
    if any(word in ("--help", "-h") for word in arguments):
        from .help import command_help

        sys.stdout.write(command_help(command, OPTIONS))
        return exit_codes.OK
    if command == "check":
        return check(arguments, environ)
    request = prepare(arguments, OPTIONS, environ)
    _read_rest(request)
    return show(request) if command == "show" else list_families(request)


def _read_rest(request: Request) -> None:
    Scanner(request.parsed.rest, OPTIONS).parse(request.parsed)


def list_families(request: Request) -> int:
    """Print the families, one a line, with the first line of what they say of themselves."""
    from ..task import registry

    families = registry.families()
    if request.parsed.flag("json"):
        _print_json([{"family": name, "module": cls.__module__, "doc": _doc(cls)} for name, cls in families.items()])
        return exit_codes.OK
    if not families:
        why = f"in {', '.join(request.modules)}" if request.modules else f"because {NO_MODULE}"
        print(f"no task families {why}")
        return exit_codes.OK
    print("\n".join(table((name, cls.__module__, _doc(cls)) for name, cls in families.items())))
    return exit_codes.OK


def _doc(cls: Any) -> str:
    return one_line(cls.__dict__.get("__doc__") or "")


def show(request: Request) -> int:
    """Print a family: where it is defined, its parameters, and what each would be now."""
    from ..task import parameters_of

    words = [word for word in request.parsed.words if not word.endswith(".py")]
    if not words:
        raise UsageError("which family?", hint="Write `levada show FAMILY`; `levada list` names them.")
    cls = find(words[0], request.modules)
    rows = [describe(request, cls, name, parameter) for name, parameter in parameters_of(cls)]
    if request.parsed.flag("json"):
        _print_json({"family": cls.family, "module": cls.__module__, "doc": cls.__doc__ or "", "parameters": rows})
        return exit_codes.OK
    print(f"{cls.family} ({place_of_class(cls)})")
    for line in (cls.__dict__.get("__doc__") or "").strip().splitlines():
        print(f"  {escape(line.strip())}".rstrip())
    if rows:
        for row in rows:
            row["value"] = "(required)" if row["value"] is None else row["value"]
        cells = [[row[column] for column in ("name", "type", "value", "where", "help")] for row in rows]
        print("\n".join("  " + line for line in table(cells, ("parameter", "type", "value", "from", "help"))))
    return exit_codes.OK


def describe(request: Request, cls: Any, name: str, parameter: Any) -> dict[str, Any]:
    """A parameter as plain data: the value it would get now as text, *** when secret, None when it must be given."""
    from .help import default_text
    from .tasks import help_of

    value: str | None
    found = request.settings.parameter(cls, name, parameter)
    if found is not None:
        value = "***" if parameter.secret else _as_text(parameter, found.value)
        where = found.where
    else:
        value, where = (default_text(parameter), "default") if parameter.has_default else (None, "")
    return {
        "name": name,
        "type": type(parameter).__name__,
        "value": value,
        "where": where,
        "significant": bool(parameter.significant),
        "help": help_of(parameter),
    }


def _as_text(parameter: Any, value: object) -> str:
    try:
        return str(parameter.serialize(parameter.parse(value) if isinstance(value, str) else parameter.normalize(value)))
    except (ValueError, TypeError, LookupError) as fault:
        return f"{value!r} (wrong: {one_line(str(fault))})"


def place_of_class(cls: Any) -> str:
    """``file:line`` of a class, or its module where the source is not there."""
    import inspect

    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return f"{cls.__module__}.{cls.__qualname__}"


def check(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Import every module by itself and report all faults, not just the first."""
    from ..task import parameters_of, registry
    from .modules import import_all

    parsed = Parsed()
    Scanner(arguments, OPTIONS).parse(parsed)
    settings = settings_for(parsed, environ)
    configured: Any = settings.get("levada", "modules", ())
    modules = list(dict.fromkeys([*parsed.words, *parsed.texts("module")])) or list(configured)
    if not modules:
        raise UsageError("there is nothing to check", hint="Name modules or .py files, or set modules = [...] in levada.toml.")
    faults: list[LevadaError] = []
    for module in modules:
        _collect(faults, import_all, [module])
    families = registry.families()
    strangers: list[str] = []
    _collect(faults, lambda: strangers.extend(settings.check_parameters(families)))
    for family, cls in families.items():
        for name, parameter in parameters_of(cls):
            _collect(faults, _check_value, settings, family, cls, name, parameter)
    if "levada.triggers" in sys.modules:  # each was checked where it is written; now whether names are unique
        from ..triggers import triggers_of
        from .worker import module_names

        _collect(faults, triggers_of, module_names(modules))
    return _report(faults, strangers, modules, len(families))


def _collect(faults: list[LevadaError], step: Any, *arguments: Any) -> None:
    try:
        step(*arguments)
    except LevadaError as fault:
        faults.append(fault)


def _check_value(settings: Any, family: str, cls: Any, name: str, parameter: Any) -> None:
    from ..errors import ParameterError

    found = settings.parameter(cls, name, parameter)
    if found is None or not isinstance(found.value, str):
        return
    try:
        parameter.parse(found.value)
    except (ValueError, TypeError, LookupError) as fault:
        raise ParameterError(f"{family}.{name}: {fault} (from {found.where})") from None


def _report(faults: list[LevadaError], strangers: list[str], modules: list[str], families: int) -> int:
    for fault in faults:
        print(escape(str(fault)), file=sys.stderr)
    for name in strangers:
        print(f"note: values are set for {name}, which no module that was imported defines", file=sys.stderr)
    if faults:
        print(f"{count(len(faults), 'fault')} found", file=sys.stderr)
        return exit_codes.USAGE
    print(f"{', '.join(modules)}: {families} task {'family' if families == 1 else 'families'}, nothing wrong")
    return exit_codes.OK


def _print_json(value: object) -> None:
    print(json_text(value))

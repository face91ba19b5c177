"""From arguments to a task: modules, the family, its parameters as options.

``levada run [OPTIONS] [FILE.py] FAMILY [TASK OPTIONS and OPTIONS]``. Options before the family are the
command's; after it, a parameter of the wanted task wins over an option of the command of the same name, and
``--Other-param`` sets the parameter of another family.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from ..config import use
from ..config.settings import Settings, Value, load
from ..errors import ConfigError, MissingParameter, ParameterError, UnknownTask, UsageError
from .app import DEBUG, HELP
from .options import Option, Parsed, Scanner, plain, split

MODULE = Option("--module", "MODULE", "module that defines tasks, or path of a .py file; may be repeated", short="-m", many=True)
CONFIG = Option("--config", "FILE", "configuration file instead of levada.toml and pyproject.toml")
SCHEDULER = Option(
    "--scheduler", "URL[,URL...]", "addresses of the server that says who runs what; none: no server", setting=("levada", "scheduler")
)
CUT_OFF = Option(
    "--cut-off",
    "WHAT",
    "while the server does not answer, an attempt whose lease may have lapsed: freeze (default), continue, or stop",
    setting=("run", "cut_off"),
)
PATIENCE = Option(
    "--patience",
    "SECONDS",
    "how long a run that can do nothing waits for the server (default 600; 30 at its start)",
    setting=("run", "patience"),
)
PARAM_FILE = Option("--param-file", "FILE", "TOML or JSON file with parameter values (the place for secrets)")

NO_MODULE = "no module was named: use --module, or modules = [...] in levada.toml"

Recall = Callable[[str, "Request"], "tuple[str, dict[str, str]] | None"]

COMMON = (MODULE, CONFIG, DEBUG, HELP)
"""Options of every command that imports tasks."""

OF_TASK = (PARAM_FILE, *COMMON)
"""Options of every command that takes one task."""


class Request:
    """What a command line asked for, understood: the options, the settings, and the class that was named."""

    def __init__(self, parsed: Parsed, settings: Settings, modules: list[str]) -> None:
        self.parsed, self.settings, self.modules = parsed, settings, modules
        self.family: Any = None
        self.given: dict[str, Value] = {}

    def task(self) -> Any:
        """The wanted task. ParameterError tells all that is missing or wrong at once."""
        return build(self.family, self.given, self.settings)


def prepare(arguments: Sequence[str], options: Sequence[Option], environ: Mapping[str, str]) -> Request:
    """Settings and modules of a command that takes a family or none; the arguments after the family wait in ``rest``."""
    parsed = Parsed()
    Scanner(arguments, options).parse(parsed, stop_at_word=lambda word: not word.endswith(".py"))
    _take_early(parsed)
    settings = settings_for(parsed, environ)
    modules = wanted_modules(parsed, settings)
    if modules:
        from .modules import import_all

        import_all(modules)
    return Request(parsed, settings, modules)


def settings_for(parsed: Parsed, environ: Mapping[str, str]) -> Settings:
    """The settings as seen from the current folder; from now on they are this process's."""
    if parsed.values.get("config"):
        environ = {**environ, "LEVADA_CONFIG": os.path.abspath(str(parsed.text("config")))}
    settings = load(environ, os.getcwd())
    use(settings)
    _connect(settings)
    return settings


def _connect(settings: Settings) -> None:
    import sys

    if not settings.has_parameters and "levada.task" not in sys.modules:
        return
    from ..task import set_value_source

    set_value_source(settings.parameter if settings.has_parameters else None)


def _take_early(parsed: Parsed) -> None:
    """Options that must be known before the family can be: they count wherever they stand."""
    scanner = Scanner(parsed.rest, (MODULE, CONFIG))
    kept: list[str] = []
    while scanner.at < len(scanner.arguments):
        argument = scanner.arguments[scanner.at]
        scanner.at += 1
        if argument == "--":
            kept += scanner.arguments[scanner.at - 1 :]
            break
        if argument.startswith("-") and split(argument)[0] in scanner.options:
            scanner.take(argument, parsed)
        else:
            kept.append(argument)
    parsed.rest = kept


def wanted_modules(parsed: Parsed, settings: Settings) -> list[str]:
    """Modules that words, options or settings name."""
    named = [word for word in parsed.words if word.endswith(".py")]
    words = [word for word in parsed.words if not word.endswith(".py")]
    named += [head.rpartition(":")[0] for word in words if ":" in (head := word.partition("(")[0])]
    named += parsed.texts("module")
    return list(dict.fromkeys(named)) or list(cast("Sequence[str]", settings.get("levada", "modules", ())))


def understand(
    command: str, arguments: Sequence[str], options: Sequence[Option], environ: Mapping[str, str], recall: Recall | None = None
) -> Request | None:
    """The request of a command that takes a task; None when help was asked for and printed.

    recall: finds a task of the past by a word that is no family; None where a command needs no past.
    """
    request = prepare(arguments, options, environ)
    words = [word for word in request.parsed.words if not word.endswith(".py")]
    if not words:
        if request.parsed.flag("help"):
            _help(command, options, None)
            return None
        raise UsageError("which task?", hint=_usage(command, request.modules))
    _name(request, words[0], recall)
    _read_rest(request, options)
    if request.parsed.flag("help"):
        _help(command, options, request.family)
        return None
    if request.parsed.values.get("param_file"):
        _read_param_file(request, str(request.parsed.text("param_file")))
    override(request, options)
    _connect(request.settings)
    _refuse_strange_parameters(request.settings)
    return request


def _name(request: Request, word: str, recall: Recall | None) -> None:
    """Take family and values from ``Family``, ``Family(day=2013-01-05)``, or what the past knows by that word."""
    head = word.partition("(")[0]
    try:
        request.family = find(head, request.modules)
    except UnknownTask:
        if recall is None or not _recalled(request, word, recall):
            raise
        return
    if head == word:
        return
    from ..task import parameters_of
    from .names import parts_of

    own = dict(parameters_of(request.family))
    values = parts_of(word, own)[1]
    whole = values is not None and all(name in values or own[name].has_default for name in own)
    if not whole and recall is not None and _recalled(request, word, recall):
        return
    if values is None:
        raise UsageError(f"cannot read {word!r} as a task", hint=f"Write {head}(name=value, ...). {_options_of(own)}")
    for name, text in values.items():
        if text != "***":  # a masked secret, from a screen
            request.given[name] = _from_command_line(request.settings, text, option_of(name), own[name])


def _recalled(request: Request, word: str, recall: Recall) -> bool:
    """Whether the past knows the word; its family and values are the request's then."""
    from ..task import parameters_of

    found = recall(word, request)
    if found is None:
        return False
    request.family = find(found[0], request.modules)
    own = dict(parameters_of(request.family))
    request.given.update({name: Value(text, "history") for name, text in found[1].items() if name in own and not own[name].withheld})
    return True


def override(request: Request, options: Sequence[Option]) -> None:
    """Options that stand for a setting are stronger than where else it is set."""
    for option in options:
        if option.setting is not None and plain(option.name) in request.parsed.values:
            request.settings.override(*option.setting, request.parsed.values[plain(option.name)], f"command line, {option.name}")


def state_of(settings: Settings) -> str | None:
    """The state folder that is set, or None: then it stands where it always does."""
    state = settings.get("levada", "state")
    return None if state is None else str(state)


def _refuse_strange_parameters(settings: Settings) -> None:
    if settings.has_parameters:
        from ..task import registry

        settings.check_parameters(registry.families())


def _usage(command: str, modules: list[str]) -> str:
    from ..task import registry

    families = ", ".join(registry.own()[:10])
    known = f"Known: {families}." if families else "Name the module too: --module MODULE."
    return f"Write `levada {command} [--module MODULE] FAMILY [--parameter VALUE ...]`. {known}"


def _help(command: str, options: Sequence[Option], family: Any) -> None:
    import sys

    from .help import command_help

    sys.stdout.write(command_help(command, options, family))


def find(name: str, modules: list[str]) -> Any:
    """The class of a family; UnknownTask names the nearest families and the modules that were imported."""
    from ..task import registry

    try:
        return registry.find(name)
    except UnknownTask as fault:
        if not modules:
            raise UnknownTask(fault.message, hint=f"{NO_MODULE[0].upper()}{NO_MODULE[1:]}.") from None
        looked = f"Imported: {', '.join(modules)}."
        raise UnknownTask(fault.message, hint=f"{fault.hint} {looked}" if fault.hint else looked) from None


# -- options of the task -----------------------------------------------------------------------


def _read_rest(request: Request, options: Sequence[Option]) -> None:
    """Read what follows the family: parameters, options of the command, parameters of other families."""
    from ..task import parameters_of

    parsed = request.parsed
    scanner = Scanner(parsed.rest, options)
    own = dict(parameters_of(request.family))
    by_option = {plain("--" + name): name for name in own}
    while scanner.at < len(scanner.arguments):
        argument = scanner.arguments[scanner.at]
        scanner.at += 1
        name, attached = split(argument) if argument.startswith("-") else ("", None)
        if name in by_option and argument.startswith("--"):
            _give_own(request, scanner, by_option[name], own[by_option[name]], attached)
        elif name.startswith("no_") and name[3:] in by_option and is_flag(own[by_option[name[3:]]]) and attached is None:
            request.given[by_option[name[3:]]] = Value("false", argument)
        elif name in scanner.options:
            scanner.take(argument, parsed)
        elif argument.startswith("--") and len(argument) > 2:
            _give_other(request, scanner, argument, name, attached, own)
        else:
            hint = f"One task a command; parameters are given as --name value. {_options_of(own)}"
            raise UsageError(f"unexpected word {argument!r}", hint=hint)


def _options_of(own: Mapping[str, Any]) -> str:
    return f"Parameters: {', '.join(option_of(name) for name in own)}." if own else "This task has no parameters."


def option_of(name: str) -> str:
    """The option that sets a parameter."""
    return "--" + name.replace("_", "-")


def _give_own(request: Request, scanner: Scanner, name: str, parameter: Any, attached: str | None) -> None:
    text = _text_for(scanner, option_of(name), parameter, attached)
    request.given[name] = _from_command_line(request.settings, text, option_of(name), parameter)


def _give_other(request: Request, scanner: Scanner, argument: str, name: str, attached: str | None, own: Mapping[str, Any]) -> None:
    found = _other_parameter(name)
    if found is None:
        others = [option_of(each) for each in own]
        raise scanner.unknown(argument, others + _other_options(name))
    family, other, parameter = found
    option = argument.partition("=")[0]
    text = _text_for(scanner, option, parameter, attached)
    value = _from_command_line(request.settings, text, option, parameter)
    request.settings.give(family, other, value.value, value.where)


def _from_command_line(settings: Settings, text: str, option: str, parameter: Any) -> Value:
    value = Value(text, f"command line, {option}")
    if not parameter.secret:
        return value
    resolved = settings.resolve_secret(value)
    if resolved is value:
        raise UsageError(
            f"{option} is secret and must not stand on a command line, where every process can read it",
            hint=f"Use --param-file, the environment, or {option} secret://env/NAME.",
        )
    return resolved


def _text_for(scanner: Scanner, option: str, parameter: Any, attached: str | None) -> str:
    if attached is not None:
        return attached
    if not is_flag(parameter):
        return scanner.value_after(option, metavar(parameter))
    following = scanner.arguments[scanner.at] if scanner.at < len(scanner.arguments) else ""
    if following.lower() in ("true", "false"):
        scanner.at += 1
        return following
    return "true"


def is_flag(parameter: Any) -> bool:
    """Whether an option without value makes sense for the parameter: it is a plain yes or no."""
    from ..params import BoolParameter

    return isinstance(parameter, BoolParameter)


def metavar(parameter: Any) -> str:
    """What the value of a parameter is called in help: DATE for a DateParameter."""
    kind = type(parameter).__name__.removesuffix("Parameter")
    return "".join("_" + each if each.isupper() and at else each for at, each in enumerate(kind)).upper() or "TEXT"


def _other_parameter(name: str) -> tuple[str, str, Any] | None:
    """(family, parameter name, parameter) that ``--Family-param`` means; the longest family name wins."""
    from ..task import parameters_of, registry

    found = None
    for family, task_class in registry.families().items():
        start = _as_option(family) + "_"
        if name.startswith(start) and (found is None or len(family) > len(found[0])):
            for each, parameter in parameters_of(task_class):
                if each == name[len(start) :]:
                    found = (family, each, parameter)
    return found


def _as_option(family: str) -> str:
    return family.replace(".", "_").replace("-", "_")


def _other_options(name: str) -> list[str]:
    from ..task import parameters_of, registry

    if not any(letter.isupper() for letter in name):
        return []
    return [f"--{family}-{each.replace('_', '-')}" for family, cls in registry.families().items() for each, _ in parameters_of(cls)]


# -- values from a file ------------------------------------------------------------------------


def _read_param_file(request: Request, path: str) -> None:
    """Take parameter values from a file: names of the wanted task's parameters, and tables named like other families."""
    from ..task import parameters_of, registry

    names = [name for name, _ in parameters_of(request.family)]
    families = registry.families()
    for key, value in _load_param_file(path).items():
        name = key.replace("-", "_")
        if name in names:
            request.given.setdefault(name, Value(value, f"{path}: {key}"))
        elif isinstance(value, dict) and key in families:
            for inner, each in value.items():
                request.settings.give(key, inner, each, f"{path}: [{key}] {inner}")
        else:
            from .._model.spelling import did_you_mean

            hint = did_you_mean(key, [*names, *families]) or f"Parameters are {', '.join(names) or 'none'}; tables are named like families."
            raise ParameterError(f"{path}: {key!r} is neither a parameter of {request.family.family} nor a task family", hint=hint)


def _load_param_file(path: str) -> dict[str, Any]:
    from ..config import files

    try:
        with open(path, "rb") as file:
            files.refuse_if_open_to_others(path, os.fstat(file.fileno()))
            text = file.read().decode()
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigError(f"{path}: cannot be read: {cause}") from cause
    if not path.endswith(".json"):
        return files.parse_toml(path, text)
    import json

    try:
        values = json.loads(text)
    except ValueError as cause:
        raise ConfigError(f"{path}: is not JSON: {cause}") from cause
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected an object of parameter values, got {type(values).__name__}")
    return values


# -- building ----------------------------------------------------------------------------------


def build(family: Any, given: Mapping[str, Value], settings: Settings) -> Any:
    """The task of a family with these values; what is not given comes from settings and defaults.

    Raises ParameterError with everything that is wrong, MissingParameter when values are only missing.
    """
    from ..task import parameters_of

    values: dict[str, Any] = {}
    wrong: list[str] = []
    missing: list[tuple[str, Any]] = []
    for name, parameter in parameters_of(family):
        if name in given:
            _understand_value(name, parameter, given[name], values, wrong)
        elif not parameter.has_default and settings.parameter(family, name, parameter) is None:
            missing.append((name, parameter))
    if wrong or missing:
        raise refusal(family, wrong, missing)
    return family(**values)


def _understand_value(name: str, parameter: Any, given: Value, values: dict[str, Any], wrong: list[str]) -> None:
    try:
        values[name] = parameter.parse(given.value) if isinstance(given.value, str) else parameter.normalize(given.value)
    except ParameterError as fault:
        wrong.append(f"{fault.message} (from {given.where})" + (f" {fault.hint}" if fault.hint else ""))
    except (ValueError, TypeError, LookupError) as fault:
        shown = "***" if parameter.secret else repr(given.value)
        wrong.append(f"{name}: {shown} cannot be read by {type(parameter).__name__}: {fault} (from {given.where})")


def refusal(family: Any, wrong: list[str], missing: list[tuple[str, Any]]) -> ParameterError:
    """What is wrong with the values for a family, and which are missing, in one error with the ways to give them."""
    lines = list(wrong)
    if missing:
        lines.append(f"no value for {', '.join(name for name, _ in missing)}")
    message = f"{family.family}: " + "\n  ".join(lines)
    if not missing:
        return ParameterError(message)
    ways = [f"{option_of(name)} {metavar(parameter)}   {help_of(parameter)}".rstrip() for name, parameter in missing]
    name = missing[0][0]
    elsewhere = f"or LEVADA_PARAM__{family.family}__{name} in the environment, or {name} in [params.{family.family}] of levada.toml"
    return (ParameterError if wrong else MissingParameter)(message, hint="\n  ".join(["Give:", *ways, elsewhere]))


def help_of(parameter: Any) -> str:
    """The parameter's help text, in one line; empty when it has none."""
    return " ".join(str(parameter.help or "").split())

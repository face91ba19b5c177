"""What the house does otherwise while old programs run in the process: switches of the house, set when the annex is used.

* Parameters that code gives no value look at Luigi's command line, then at our settings, then into luigi.cfg; all are
  asked at each look-up, so what a program changes in its configuration counts from then on.
* Values of a wrong type are kept, with a warning, where Luigi keeps them.
* An annotation is a type, not a parameter, in classes of modules that import luigi, and in those that stand on them.
* Tasks and their classes live as long as the process: old programs note things on tasks, and look there on a second one
  with equal values; they make classes in functions, and name them on the command line.
"""

from __future__ import annotations

import re
import sys
import tokenize
import warnings
from collections.abc import Callable
from configparser import InterpolationError, NoOptionError, NoSectionError
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from .. import task as house
from ..errors import ConfigError
from ..params import NO_VALUE

_NOTHING = object()
_PACKAGE = __name__.partition(".")[0]


def from_command_line(cls: Any, name: str, parameter: Any) -> tuple[Any, str] | None:
    """What the command line in use says of a task class: ``--Family-name value``, or ``--name value`` of the section-less."""
    command_line = sys.modules.get(f"{__package__}.cmdline_parser")
    parser = command_line.CmdlineParser.get_instance() if command_line is not None else None
    if parser is None:
        return None
    value = getattr(parser.known_args, f"{cls.get_task_family()}_{name}", None)
    if value:
        return value, "command line"
    ours = parameter._parse_or_no_value.__module__ == f"{__package__}.parameter"
    if value is None or ours or parameter._parse_or_no_value(value) is NO_VALUE:
        return None
    return value, "command line"  # a program that takes empty texts for values


def from_configuration(cls: Any, name: str, parameter: Any) -> tuple[Any, str] | None:
    """What luigi.cfg says: section of the family, else the parameter's own ``config_path``."""
    from .configuration import get_config

    config, family = get_config(), cls.get_task_family()
    try:
        return _from_config(config, family, cls, name, parameter)
    except InterpolationError as fault:
        raise ConfigError(f"luigi.cfg: {' '.join(fault.message.split())}") from fault


def _from_config(config: Any, family: str, cls: Any, name: str, parameter: Any) -> tuple[Any, str] | None:
    _warn_of_strangers(config, family, cls)
    value = _configured(config, family, name)
    if value is not _NOTHING:
        return value, f"luigi.cfg: [{family}] {name}"
    place = parameter.config_path
    if not place:
        return None
    value = _configured(config, place["section"], place["name"])
    if value is _NOTHING:
        return None
    warnings.warn(
        f"[{place['section']}] {place['name']} is deprecated; write [{family}] {name}",
        DeprecationWarning,
        stacklevel=2,
    )
    return value, f"luigi.cfg: [{place['section']}] {place['name']}"


READ_ELSEWHERE = {"core": {"autoload_range", "no_configure_logging"}}
"""Section -> names in it that are no parameters of its class, and mean something all the same."""

_looked_at: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def _warn_of_strangers(config: Any, family: str, cls: Any) -> None:
    """Warn once, for a class and a configuration, of names in its section that are none of its parameters."""
    if not isinstance(cls, type) or _looked_at.get(cls) is config:
        return
    _looked_at[cls] = config
    if not has_section(config, family):
        return
    from .parameter import UnconsumedParameterWarning

    known = {name for name, _ in house.info_of(cls).params} | set(getattr(cls, "ignore_unconsumed", ())) | READ_ELSEWHERE.get(family, set())
    for name, value in config[family].items():
        if name.replace("-", "_") not in known:
            warnings.warn(
                f"The configuration contains the parameter '{name}' with value '{value}' that is not consumed by the task '{family}'.",
                UnconsumedParameterWarning,
                stacklevel=2,
            )


def has_section(config: Any, section: str) -> bool:
    """Whether there is a section of that name, in either kind of configuration."""
    return section in config.data if hasattr(config, "data") else config.has_section(section)


def _configured(config: Any, section: str, name: str) -> Any:
    if not has_section(config, section):
        return _NOTHING
    try:
        return config.get(section, name)
    except (NoSectionError, NoOptionError, KeyError):
        return _NOTHING


def _tell_of_wrong(parameter: Any, value: object) -> None:
    from .parameter import warn_of_wrong_type

    warn_of_wrong_type(parameter, value)


def _own_get_param_values(cls: Any, params: tuple[tuple[str, Any], ...]) -> Callable[..., tuple[Any, ...]] | None:
    """A class that overrides ``get_param_values`` says by it which values a call means."""
    own = next((base for base in cls.__mro__ if "get_param_values" in base.__dict__), None)
    if own is None or own is house.Task:
        return None
    return lambda *args, **kwargs: tuple([value for _, value in cls.get_param_values(list(params), args, kwargs)])


def keep(habits: bool = True) -> None:
    """Follow Luigi's habits from now on; False: those of the house."""
    if habits:
        house.add_value_source(from_command_line, before_settings=True)
        house.add_value_source(from_configuration)
    else:
        house.remove_value_source(from_command_line)
        house.remove_value_source(from_configuration)
    house.keep_wrong_values(_tell_of_wrong if habits else None)
    house.keep_instances(habits)
    house.registry.keep(habits)
    house.read_annotations_of(_is_new if habits else None)
    house.set_binder(_own_get_param_values if habits else None)


# -- which classes are of old programs ---------------------------------------------------------

_NEW = re.compile(r"^[ \t]*(?:import\s+levada(?!\.luigi)\b|from\s+levada(?!\.luigi)[\w.]*\s+import\s+(?!luigi\b))", re.MULTILINE)
_OLD = re.compile(r"^[ \t]*(?:import|from)\s+(?:levada\.)?luigi\b", re.MULTILINE)


def _is_new(cls: Any) -> bool:
    """Whether the class is written for Levada: by what its module imports, else as the class that it stands on."""
    for each in cls.__mro__:
        if not isinstance(each, house.Register) or each.__module__.partition(".")[0] == _PACKAGE:
            continue
        spelling = _spelling_of(each.__module__)
        if spelling is not None:
            return spelling
    return True


@cache
def _spelling_of(name: str) -> bool | None:
    """True: the module names Levada, False: it names Luigi alone, None: neither, or it has no source."""
    module = sys.modules.get(name)
    try:
        with tokenize.open(getattr(module, "__file__", None) or "") as source:
            text = source.read()
    except (OSError, SyntaxError, UnicodeError):
        text = ""
    return True if _NEW.search(text) else False if _OLD.search(text) else None

"""Values of parameters that code did not give: Luigi's command line first, then our settings, then luigi.cfg.

Both are asked at each look-up, so what a program changes in its configuration counts from then on.
"""

from __future__ import annotations

import warnings
from configparser import NoOptionError, NoSectionError
from typing import Any

from ..task import add_value_source, keep_instances

_NOTHING = object()


def from_command_line(cls: Any, name: str, parameter: Any) -> tuple[Any, str] | None:
    """What the command line in use says of a task class: ``--Family-name value``, or ``--name value`` of the section-less."""
    from .cmdline_parser import CmdlineParser

    parser = CmdlineParser.get_instance()
    if parser is None:
        return None
    value = getattr(parser.known_args, f"{cls.get_task_family()}_{name}", None)
    return (value, "command line") if value else None


def from_configuration(cls: Any, name: str, parameter: Any) -> tuple[Any, str] | None:
    """What luigi.cfg says: section of the family, else the parameter's own ``config_path``."""
    from .configuration import get_config

    config, family = get_config(), cls.get_task_family()
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
        f"[{place['section']}] {place['name']} is an old place of this value; write it as [{family}] {name}",
        DeprecationWarning,
        stacklevel=2,
    )
    return value, f"luigi.cfg: [{place['section']}] {place['name']}"


def _configured(config: Any, section: str, name: str) -> Any:
    try:
        return config.get(section, name)
    except (NoSectionError, NoOptionError, KeyError):
        return _NOTHING


add_value_source(from_command_line, before_settings=True)
add_value_source(from_configuration)
keep_instances()

"""Which parser is in use: ``LUIGI_CONFIG_PARSER`` says it (``cfg`` or ``toml``), ``LUIGI_CONFIG_PATH`` names a further file."""

from __future__ import annotations

import os
import warnings
from typing import Any, Final

from .cfg_parser import LuigiConfigParser
from .toml_parser import LuigiTomlParser

PARSERS: Final[dict[str, Any]] = {"cfg": LuigiConfigParser, "conf": LuigiConfigParser, "ini": LuigiConfigParser, "toml": LuigiTomlParser}
DEFAULT_PARSER: Final = "cfg"


def _chosen() -> str:
    name = os.environ.get("LUIGI_CONFIG_PARSER", DEFAULT_PARSER)
    if name in PARSERS:
        return name
    warnings.warn(f"LUIGI_CONFIG_PARSER is {name!r}; expected {', '.join(PARSERS)}, so it is {DEFAULT_PARSER}", stacklevel=3)
    return DEFAULT_PARSER


def _parser(name: str) -> Any:
    parser = PARSERS[name]
    if not parser.enabled:
        raise ImportError(f"the configuration parser {name} is switched off ({parser.__name__}.enabled is False)")
    return parser


def get_config(parser: str | None = None) -> Any:
    """The configuration in use; parser: ``cfg`` or ``toml``, by default what LUIGI_CONFIG_PARSER says."""
    return _parser(parser or _chosen()).instance()


def add_config_path(path: str) -> bool:
    """Read this file too, by the parser that its ending names; False (and a warning) where there is no such file."""
    if not os.path.isfile(path):
        warnings.warn(f"{path}: there is no such configuration file", stacklevel=2)
        return False
    chosen = _chosen()
    ending = os.path.splitext(path)[1][1:]
    name = ending if ending in PARSERS else chosen
    parser = _parser(name)
    if PARSERS[chosen] is not parser:
        warnings.warn(f"{path} is read as {name}, but {chosen} is in use; export LUIGI_CONFIG_PARSER={name}", stacklevel=2)
    parser.add_config_path(path)
    return True


if "LUIGI_CONFIG_PATH" in os.environ:
    add_config_path(os.environ["LUIGI_CONFIG_PATH"])

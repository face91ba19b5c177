"""``luigi.cfg``: sections with ``name: value`` lines, ``%(name)s`` of the section and ``${NAME}`` of the environment.

Names may be written with dashes; underscores are better and count first.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from configparser import BasicInterpolation, ConfigParser, InterpolationError, NoOptionError, NoSectionError
from contextlib import contextmanager
from typing import Any, ClassVar

from ...errors import ParameterError
from .base_parser import BaseParser, understood

REFERENCE = re.compile(r"\$\{([^}]+)\}")


class InterpolationMissingEnvvarError(InterpolationError):
    """A value names an environment variable that is not set."""

    def __init__(self, option: str, section: str, value: str, envvar: str) -> None:
        super().__init__(option, section, f"[{section}] {option} is {value}, but the environment has no {envvar}; export {envvar}=...")


class EnvironmentInterpolation(BasicInterpolation):
    """``%(name)s`` stands for another value of the section, then ``${NAME}`` for a variable of the environment."""

    def before_get(self, parser: MutableMapping[str, Any], section: str, option: str, value: str, defaults: Any) -> str:
        """The value with all references filled in."""
        value = super().before_get(parser, section, option, value, defaults)

        def filled(found: re.Match[str]) -> str:
            try:
                return os.environ[found[1]]
            except KeyError:
                raise InterpolationMissingEnvvarError(option, section, value, found[1]) from None

        return REFERENCE.sub(filled, value) if value else value


@contextmanager
def _of_its_type(section: str, name: str) -> Iterator[None]:
    """A value that is none of a type, inside of the block, is told with its place."""
    try:
        yield
    except ValueError as fault:
        raise ParameterError(f"luigi.cfg: [{section}] {name}: {fault}") from fault


class LuigiConfigParser(BaseParser, ConfigParser):
    """A ``ConfigParser`` whose ``get...`` take a default, and whose names are told apart by case."""

    NO_DEFAULT: ClassVar[Any] = object()
    enabled = True
    _config_paths: ClassVar[list[str]] = ["/etc/luigi/client.cfg", "/etc/luigi/luigi.cfg", "client.cfg", "luigi.cfg"]
    _DEFAULT_INTERPOLATION = EnvironmentInterpolation()

    def optionxform(self, optionstr: str) -> str:
        """The name as it is written."""
        return optionstr

    @classmethod
    def reload(cls) -> list[str]:
        """Read all files again; those that there are. Raises ConfigError for one that cannot be understood."""
        old = [path for path in cls._config_paths if os.path.basename(path) == "client.cfg" and os.path.exists(path)]
        if old:
            warnings.warn(f"{', '.join(old)}: the name client.cfg is deprecated, call it luigi.cfg", DeprecationWarning, stacklevel=2)
        found, read = cls.instance(), []
        for path in cls._config_paths:
            with understood(path):
                read += found.read(path)
        return read

    def has_option(self, section: str, option: str) -> bool:
        """Whether there is a value, with underscores or (with a DeprecationWarning) with dashes in its name."""
        return self._spelling(section, option) is not None

    def _spelling(self, section: str, option: str) -> str | None:
        good = option.replace("-", "_")
        if ConfigParser.has_option(self, section, good):
            return good
        dashed = option.replace("_", "-")
        if ConfigParser.has_option(self, section, dashed):
            warnings.warn(f"[{section}] {dashed} (with dashes) should be avoided; write {good}", DeprecationWarning, stacklevel=4)
            return dashed
        return None

    def _found(self, get: Callable[..., Any], section: str, option: str, default: Any, expected: type | None, **options: Any) -> Any:
        """A value by a method of ConfigParser, else the default; one of another type than expected is no default."""
        spelling = self._spelling(section, option)
        if spelling is not None:
            with _of_its_type(section, spelling):
                return get(self, section, spelling, **options)
        if default is self.NO_DEFAULT or (expected is not None and default is not None and not isinstance(default, expected)):
            if not self.has_section(section):
                raise NoSectionError(section)
            raise NoOptionError(option, section)
        return default

    def get(self, section: str, option: str, default: Any = NO_DEFAULT, **options: Any) -> Any:  # type: ignore[override]  # Luigi's order
        """The text, or the default; without one NoSectionError or NoOptionError."""
        if "fallback" in options:
            default = options.pop("fallback")
        return self._found(ConfigParser.get, section, option, default, None, **options)

    def getboolean(self, section: str, option: str, default: Any = NO_DEFAULT) -> Any:  # type: ignore[override]
        """True for 1, yes, true and on, False for their opposites."""
        return self._found(ConfigParser.getboolean, section, option, default, bool)

    def getint(self, section: str, option: str, default: Any = NO_DEFAULT) -> Any:  # type: ignore[override]
        """A whole number."""
        return self._found(ConfigParser.getint, section, option, default, int)

    def getfloat(self, section: str, option: str, default: Any = NO_DEFAULT) -> Any:  # type: ignore[override]
        """A number."""
        return self._found(ConfigParser.getfloat, section, option, default, float)

    def getintdict(self, section: str) -> dict[str, int]:
        """All of a section as whole numbers, without what stands in [DEFAULT]; empty where there is no such section."""
        if not self.has_section(section):
            return {}
        found = {}
        for name, value in self.items(section):
            if name not in self.defaults():
                with _of_its_type(section, name):
                    found[name] = int(value)
        return found

    def set(self, section: str, option: str, value: Any = None) -> None:
        """Set a value; the section is made where it is not there."""
        if not self.has_section(section):
            self.add_section(section)
        ConfigParser.set(self, section, option, value)

"""``luigi.toml``: tables whose values are numbers, lists and tables, not only texts."""

from __future__ import annotations

import os.path
from collections.abc import Iterable
from configparser import ConfigParser
from typing import Any, ClassVar

from ...errors import ConfigError
from ..freezing import recursively_freeze
from .base_parser import BaseParser, understood


class LuigiTomlParser(BaseParser, ConfigParser):
    """Section -> name -> TOML value. ``data`` is all of it, and may be replaced."""

    NO_DEFAULT: ClassVar[Any] = object()
    enabled = True
    data: dict[str, Any] = {}
    _config_paths: ClassVar[list[str]] = ["/etc/luigi/luigi.toml", "luigi.toml"]

    def read(self, filenames: Iterable[str], encoding: str | None = None) -> Any:  # type: ignore[override]  # Luigi's result
        """The merged sections of the files that there are; later ones count for more."""
        import tomllib

        self.data = {}
        for path in filenames:
            if os.path.isfile(path):
                with understood(path), open(path, "rb") as file:
                    found = tomllib.load(file)
                for section, content in found.items():
                    if not isinstance(content, dict):
                        raise ConfigError(f"{path}: {section} is {content!r}; expected a table, as in [{section}]")
                    self.data.setdefault(section, {}).update(content)
        for content in self.data.values():
            content.update({name: recursively_freeze(value) for name, value in content.items() if isinstance(value, dict)})
        return self.data

    def get(self, section: str, option: str, default: Any = NO_DEFAULT, **options: Any) -> Any:  # type: ignore[override]
        """The value, or the default; without one KeyError."""
        try:
            return self.data[section][option]
        except KeyError:
            if default is self.NO_DEFAULT:
                raise
            return default

    def getboolean(self, section: str, option: str, default: Any = NO_DEFAULT) -> Any:  # type: ignore[override]
        """The same as ``get``: TOML says what is a flag."""
        return self.get(section, option, default)

    def getint(self, section: str, option: str, default: Any = NO_DEFAULT) -> Any:  # type: ignore[override]
        """The same as ``get``: TOML says what is a number."""
        return self.get(section, option, default)

    def getfloat(self, section: str, option: str, default: Any = NO_DEFAULT) -> Any:  # type: ignore[override]
        """The same as ``get``."""
        return self.get(section, option, default)

    def getintdict(self, section: str) -> dict[str, Any]:
        """All of a section; empty where there is none."""
        found: dict[str, Any] = self.data.get(section, {})
        return found

    def set(self, section: str, option: str, value: Any = None) -> None:
        """Set a value."""
        self.data.setdefault(section, {})[option] = value

    def has_option(self, section: str, option: str) -> bool:
        """Whether there is a value."""
        return section in self.data and option in self.data[section]

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

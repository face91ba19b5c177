"""What both kinds of configuration files share: one instance a process, and the list of its paths."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from configparser import Error
from contextlib import contextmanager
from typing import Any, ClassVar

from ...errors import ConfigError


@contextmanager
def understood(path: str) -> Iterator[None]:
    """A file that is read inside of the block, and cannot be understood, is told with its name."""
    try:
        yield
    except (Error, ValueError) as fault:
        hint = "It is to have sections, with NAME = VALUE below them, as Luigi reads them."
        raise ConfigError(f"{path}: {' '.join(str(fault).split())}", hint=hint) from fault


class BaseParser:
    """One instance in the process, made of the files on ``_config_paths`` when it is first asked for."""

    _instance: ClassVar[Any] = None
    _config_paths: ClassVar[list[str]] = []

    @classmethod
    def instance(cls, *args: Any, **kwargs: Any) -> Any:
        """The one in use. Who puts another into ``_instance`` changes that for all who ask later."""
        if cls._instance is None:
            cls._instance = cls(*args, **kwargs)
            try:
                read = cls.reload()
            except BaseException:
                cls._instance = None  # half of the files are no configuration
                raise
            logging.getLogger("luigi-interface").info("Loaded %r", read)
        return cls._instance

    @classmethod
    def add_config_path(cls, path: str) -> None:
        """Read this file too, after the others, so that it counts for more."""
        cls._config_paths.append(path)
        cls.reload()

    @classmethod
    def reload(cls) -> Any:
        """Read all files again; what was read. Raises ConfigError for one that cannot be understood."""
        return cls.instance().read(cls._config_paths)

"""What both kinds of configuration files share: one instance a process, and the list of its paths."""

from __future__ import annotations

import logging
from typing import Any, ClassVar


class BaseParser:
    """One instance in the process, made of the files on ``_config_paths`` when it is first asked for."""

    _instance: ClassVar[Any] = None
    _config_paths: ClassVar[list[str]] = []

    @classmethod
    def instance(cls, *args: Any, **kwargs: Any) -> Any:
        """The one in use. Who puts another into ``_instance`` changes that for all who ask later."""
        if cls._instance is None:
            cls._instance = cls(*args, **kwargs)
            logging.getLogger("luigi-interface").info("Loaded %r", cls.reload())
        return cls._instance

    @classmethod
    def add_config_path(cls, path: str) -> None:
        """Read this file too, after the others, so that it counts for more."""
        cls._config_paths.append(path)
        cls.reload()

    @classmethod
    def reload(cls) -> Any:
        """Read all files again; what was read."""
        return cls.instance().read(cls._config_paths)

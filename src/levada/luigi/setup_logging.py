"""Luigi's ``luigi.setup_logging``: which of the settings that old programs have for logging counts.

In this order: the command line, a file for ``logging.config``, the section ``[logging]`` of a TOML file, a default.
"""

from __future__ import annotations

import logging
import logging.config
import os
from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import ConfigError, told
from .configuration import LuigiConfigParser, get_config
from .freezing import recursively_unfreeze

NOTHING_GIVEN = SimpleNamespace(background=None, logdir=None, logging_conf_file=None, log_level="DEBUG")
DAEMON_LINE = "%(asctime)s %(name)s[%(process)s] %(levelname)s: %(message)s"


class BaseLogging:
    """Sets logging up once a process; a subclass says what its command line and its default are."""

    config: ClassVar[Any] = get_config()
    _configured: ClassVar[bool] = False

    @classmethod
    def setup(cls, opts: Any = NOTHING_GIVEN) -> bool:
        """Set logging up; False where that was done before, or the configuration says that it is the program's own affair."""
        logger = logging.getLogger("luigi")
        if cls._configured:
            logger.info("logging already configured")
            return False
        cls._configured = True
        if cls.config.getboolean("core", "no_configure_logging", False):
            logger.info("logging disabled in settings")
            return False
        for step in (cls._cli, cls._conf, cls._section, cls._default):
            if step(opts):
                logger.info("logging configured by %s", step.__name__.strip("_"))
                return True
        return False

    @classmethod
    def _cli(cls, opts: Any) -> bool:
        return False

    @classmethod
    def _conf(cls, opts: Any) -> bool:
        raise NotImplementedError

    @classmethod
    def _section(cls, opts: Any) -> bool:
        if isinstance(cls.config, LuigiConfigParser):
            return False  # a section of a .cfg file has no room for it
        try:
            section = cls.config["logging"]
        except (TypeError, KeyError):
            return False
        logging.config.dictConfig(recursively_unfreeze(section))
        return True

    @classmethod
    def _default(cls, opts: Any) -> bool:
        raise NotImplementedError


class NoLoggingFile(ConfigError, FileNotFoundError):
    """``logging_conf_file`` names no file; a FileNotFoundError, as programs know it."""


def _from_file(path: str, **options: Any) -> bool:
    if not os.path.exists(path):
        raise NoLoggingFile(f"[core] logging_conf_file is {path}, which is not there; expected a file for logging.config.fileConfig")
    try:
        logging.config.fileConfig(path, **options)
    except Exception as fault:  # of whatever the file names
        raise ConfigError(f"{path}: {' '.join(told(fault).split())}; expected a file for logging.config.fileConfig") from fault
    return True


class DaemonLogging(BaseLogging):
    """Logging of ``luigid``."""

    _configured = False

    @classmethod
    def _cli(cls, opts: Any) -> bool:
        if opts.background:
            logging.getLogger().setLevel(logging.INFO)
            return True
        if opts.logdir:
            logging.basicConfig(level=logging.INFO, format=DAEMON_LINE, filename=os.path.join(opts.logdir, "luigi-server.log"))
            return True
        return False

    @classmethod
    def _conf(cls, opts: Any) -> bool:
        path = cls.config.get("core", "logging_conf_file", None)
        return path is not None and _from_file(path)

    @classmethod
    def _default(cls, opts: Any) -> bool:
        logging.basicConfig(level=logging.INFO, format=DAEMON_LINE)
        return True


class InterfaceLogging(BaseLogging):
    """Logging of programs that run tasks."""

    _configured = False

    @classmethod
    def _conf(cls, opts: Any) -> bool:
        return bool(opts.logging_conf_file) and _from_file(opts.logging_conf_file, disable_existing_loggers=False)

    @classmethod
    def _default(cls, opts: Any) -> bool:
        level = getattr(logging, opts.log_level, logging.DEBUG)
        handler = logging.StreamHandler()
        handler.setLevel(level)
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        logger = logging.getLogger("luigi-interface")
        logger.setLevel(level)
        logger.addHandler(handler)
        return True

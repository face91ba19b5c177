"""``luigi.configuration``: luigi.cfg and its kin, read as Luigi reads them.

``get_config()`` is the parser in use; parameters that code gives no value find theirs in its sections
(``luigi.task_register`` connects the two). Levada's own settings stay in ``levada.toml``.
"""

from __future__ import annotations

from .cfg_parser import LuigiConfigParser
from .core import add_config_path, get_config
from .toml_parser import LuigiTomlParser

__all__ = ["LuigiConfigParser", "LuigiTomlParser", "add_config_path", "get_config"]

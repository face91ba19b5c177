"""What ``luigi.cfg`` says to the modules of this folder: one place, looked up when it is asked for."""

from __future__ import annotations

from typing import Any


def configured(section: str, key: str, default: Any = None) -> Any:
    """The text of a setting in Luigi's spelling, else the default."""
    from levada import luigi

    annex: Any = luigi  # its modules are loaded when they are named
    return annex.configuration.get_config().get(section, key, default)


def whole(section: str, key: str, default: int) -> int:
    """A whole number of ``luigi.cfg``, else the default."""
    return int(configured(section, key, default))

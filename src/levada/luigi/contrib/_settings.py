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


def flag(section: str, key: str) -> bool:
    """Whether a setting of ``luigi.cfg`` is on: any text that does not say that it is off."""
    return str(configured(section, key, False)).lower() not in ("", "0", "false", "no", "none", "off")

"""What ``luigi.cfg`` says to the modules of this folder: one place, looked up when it is asked for."""

from __future__ import annotations

from typing import Any


def configured(section: str, key: str, default: Any = None) -> Any:
    """The text of a setting in Luigi's spelling, else the default."""
    from levada import luigi

    annex: Any = luigi  # its modules are loaded when they are named
    return annex.configuration.get_config().get(section, key, default)


def whole(section: str, key: str, default: int) -> int:
    """A whole number of ``luigi.cfg``, else the default. Raises ValueError for another text."""
    said = configured(section, key, default)
    try:
        return int(said)
    except ValueError:
        raise ValueError(f"[{section}] {key} of luigi.cfg is {said!r}; expected a whole number") from None


def flag(section: str, key: str) -> bool:
    """Whether a setting of ``luigi.cfg`` is on: any text that does not say that it is off."""
    return str(configured(section, key, False)).lower() not in ("", "0", "false", "no", "none", "off")

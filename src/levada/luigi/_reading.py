"""Levada's own settings at Luigi's doors: where data and jobs live is said in levada.toml and the environment for old programs, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config.settings import Settings

_read: Settings | None = None


def read_settings() -> None:
    """Read them from the current folder upward, unless a program has done so by itself. Raises ConfigError."""
    from .. import config
    from .._run import configure

    global _read
    if config.current() in (None, _read):
        configure()
        _read = config.current()

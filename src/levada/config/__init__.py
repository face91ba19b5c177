"""Settings and parameter values from the environment and from TOML files.

Order, the first that has a value wins: command line, environment, ``levada.toml``, ``pyproject.toml``
([tool.levada]), the user's ``levada/levada.toml``, the default. Nothing here reads ``os.environ``: the
roof (``cli``, ``run.py``) hands the environment over, so a test or an embedding program decides what is seen.

``settings`` the merged values and where each came from; ``files`` finding and reading the TOML files;
``schema`` the sections and keys there are; ``state`` the state folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .settings import Settings

_current: Settings | None = None


def use(settings: Settings) -> None:
    """Make these the settings that ``setting`` answers from, in this process."""
    global _current
    _current = settings


def current() -> Settings | None:
    """The settings in use, or None when nobody loaded any (a program that does not start through us)."""
    return _current


def setting(section: str, key: str, default: object = None) -> object:
    """The value of one setting, or ``default`` when it is set nowhere or nothing was loaded.

    >>> setting("hdfs", "local_root", "/")
    '/'
    """
    return default if _current is None else _current.get(section, key, default)

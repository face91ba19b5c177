"""Files that a web server has, to be read: ``https://host/path``, by the standard library alone.

Nothing is written or removed there, and nothing is listed: the protocol has no word for it.
"""

from __future__ import annotations

from .store import HttpStore

__all__ = ["HttpStore", "open_plain", "open_secure"]


def open_secure(authority: str) -> HttpStore:
    """The store of ``https://host:port``. Raises TargetError for what is no such thing."""
    return HttpStore("https", authority)


def open_plain(authority: str) -> HttpStore:
    """The store of ``http://host:port``."""
    return HttpStore("http", authority)

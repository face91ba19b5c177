"""FTP: ``ftp://user@host:port/path``, by the standard library alone.

The protocol has no condition, and no promise that a rename takes one step, so the store promises neither: what is written
goes to a temporary beside the target, which is renamed when the server has all of it.
"""

from __future__ import annotations

from .store import FtpStore

__all__ = ["FtpStore", "open_store"]


def open_store(authority: str) -> FtpStore:
    """The store of ``user@host:port``; no user is anonymous, no port is 21. Raises TargetError for what is no such thing."""
    return FtpStore(authority)

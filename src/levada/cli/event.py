"""``levada event``: tell a server that something has happened."""

from __future__ import annotations

from .triggering import post as main

__all__ = ["main"]

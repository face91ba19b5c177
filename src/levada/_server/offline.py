"""What is done to a store while no server runs on it: copies of it, and a new one of a copy."""

from __future__ import annotations

import os
import socket

from .._store import opening


def back_up(store: str, path: str) -> int:
    """Copy a store into a new file; its size in bytes. Raises StoreBusy while a server runs on it, StoreError where that fails."""
    opened = opening.open_store(store)
    try:
        opened.take_over(f"{socket.gethostname()} pid {os.getpid()}, a backup")
        opened.backup(path)
    finally:
        opened.close()
    return os.path.getsize(path)


def restore(backup: str, store: str) -> None:
    """Make a new store of a backup. Raises StoreError where there is a store already, or the file is no whole backup."""
    opening.restore(backup, store)

"""Whether a store keeps what it is asked to keep. Some servers take a condition, answer "done", and ignored it.

A probe is an object of no bytes named ``.levada-probe-`` and sixteen hex digits, beside the object that is to be written
(where we may write), and removed at once. It is never taken for anything else.
"""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Barrier
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .clients import Client

NAME = ".levada-probe"
_RIVALS, _ROUNDS = 6, 3


def keeps_conditions(client: Client, key: str) -> bool:
    """Whether of two writes "only if absent" the second is refused. Three requests; raises what the client raises."""
    from obstore.exceptions import AlreadyExistsError

    probe = _beside(key)
    client.put(probe, b"", mode="create")
    try:
        client.put(probe, b"", mode="create")
    except AlreadyExistsError:
        return True
    finally:
        _remove(client, probe)
    return False


def copies_if_absent(client: Client, key: str) -> bool:
    """Whether of copies "only if absent" that are made at once one is made. False also where such copies cannot be asked for.

    Servers were seen that refuse a copy to a name that is taken, and yet let two win that come together: so they are
    made to come together, some times. It costs some fifty small requests, before the first object of a size that wants it.
    """
    from obstore.exceptions import BaseError

    source = _beside(key)
    client.put(source, b"levada", mode="overwrite")
    try:
        return all(_one_wins(client, source, _beside(key)) for _ in range(_ROUNDS))
    except (BaseError, FileNotFoundError, NotImplementedError):
        return False
    finally:
        _remove(client, source)


def _one_wins(client: Client, source: str, copy: str) -> bool:
    from concurrent.futures import ThreadPoolExecutor

    from obstore.exceptions import AlreadyExistsError

    start = Barrier(_RIVALS)

    def make() -> bool:
        start.wait()
        try:
            client.copy(source, copy, overwrite=False)
        except AlreadyExistsError:
            return False
        return True

    try:
        with ThreadPoolExecutor(_RIVALS, "levada-probe") as pool:
            return sum(rival.result() for rival in [pool.submit(make) for _ in range(_RIVALS)]) == 1
    finally:
        _remove(client, copy)


def _beside(key: str) -> str:
    folder, slash, _ = key.rpartition("/")
    return f"{folder}{slash}{NAME}-{os.urandom(8).hex()}"


def _remove(client: Client, key: str) -> None:
    with suppress(Exception):  # who may write and not remove leaves it there
        client.delete(key)

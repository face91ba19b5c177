"""The configured client, one a thread, and its verbs as functions."""

from __future__ import annotations

import threading
from typing import Any

from .config import get_configured_hdfs_client
from .error import HDFSCliError as HDFSCliError
from .hadoopcli_clients import HdfsClient, create_hadoopcli_client
from .webhdfs_client import WebHdfsClient

_of_thread = threading.local()


def get_autoconfig_client(client_cache: Any = _of_thread) -> HdfsClient:
    """The client that luigi.cfg names, the same for all of a thread. Raises ValueError for one that is not known."""
    found: HdfsClient | None = getattr(client_cache, "client", None)
    if found is None:
        found = client_cache.client = _make(get_configured_hdfs_client())
    return found


def _make(name: str) -> HdfsClient:
    if name == "webhdfs":
        return WebHdfsClient()
    if name in ("hadoopcli", "snakebite", "snakebite_with_hadoopcli_fallback"):
        return create_hadoopcli_client()
    raise ValueError(f"[hdfs] client is {name!r}; expected hadoopcli or webhdfs, which do the same here")


def exists(*args: Any, **kwargs: Any) -> bool:
    """Whether a file or folder is there."""
    return get_autoconfig_client().exists(*args, **kwargs)


def rename(*args: Any, **kwargs: Any) -> None:
    """Give it another name."""
    get_autoconfig_client().rename(*args, **kwargs)


def remove(*args: Any, **kwargs: Any) -> None:
    """Remove it."""
    get_autoconfig_client().remove(*args, **kwargs)


def mkdir(*args: Any, **kwargs: Any) -> None:
    """Make a folder."""
    get_autoconfig_client().mkdir(*args, **kwargs)


def listdir(*args: Any, **kwargs: Any) -> Any:
    """What is in a folder."""
    return get_autoconfig_client().listdir(*args, **kwargs)

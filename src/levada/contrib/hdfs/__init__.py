"""HDFS: `HdfsTarget` in Luigi's spelling, and the store behind ``hdfs://``.

Name nodes are spoken to by hdfs-native, without a JVM (extra ``levada[hdfs]``). ``[hdfs] local_root`` keeps all of it in a
local folder instead, for tests and desks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .target import HdfsFlagTarget, HdfsTarget

if TYPE_CHECKING:
    from levada.targets.sweeping import sweep_store as sweep

__all__ = ["HdfsFlagTarget", "HdfsTarget", "sweep"]


def __getattr__(name: str) -> object:
    """What needs name nodes comes when it is first used: over a local folder, cron pays for none of it."""
    if name != "sweep":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from levada.targets.sweeping import sweep_store

    return sweep_store

"""HDFS: `HdfsTarget` in Luigi's spelling, and the store behind ``hdfs://``.

Name nodes are spoken to by hdfs-native, without a JVM (extra ``levada[hdfs]``). ``[hdfs] local_root`` keeps all of it in a
local folder instead, for tests and desks.
"""

from __future__ import annotations

from .store import sweep
from .target import HdfsFlagTarget, HdfsTarget

__all__ = ["HdfsFlagTarget", "HdfsTarget", "sweep"]

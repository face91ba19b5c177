"""``HdfsTarget`` and ``HdfsFlagTarget``: the house's."""

from __future__ import annotations

from levada.contrib.hdfs.target import HdfsFlagTarget as HdfsFlagTarget
from levada.contrib.hdfs.target import HdfsTarget as HdfsTarget

"""The error of HDFS clients: the house's."""

from __future__ import annotations

from levada.contrib.hdfs.files import HdfsRefused as HDFSCliError

__all__ = ["HDFSCliError"]

"""``luigi.contrib.webhdfs``: its target is the house's target of HDFS."""

from __future__ import annotations

from levada.contrib.hdfs import HdfsTarget as WebHdfsTarget

from .hdfs.webhdfs_client import WebHdfsClient

__all__ = ["WebHdfsClient", "WebHdfsTarget"]

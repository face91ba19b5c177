"""``luigi.contrib.hdfs``: the house's targets of HDFS, and clients, formats and settings by their old names."""

from __future__ import annotations

from . import clients as hdfs_clients
from . import config as hdfs_config
from . import error as hdfs_error
from . import format as hdfs_format
from . import hadoopcli_clients as hdfs_hadoopcli_clients
from . import target as hdfs_target
from . import webhdfs_client as hdfs_webhdfs_client
from .clients import exists, get_autoconfig_client, listdir, mkdir, remove, rename
from .config import get_configured_hadoop_version, get_configured_hdfs_client, hdfs, load_hadoop_cmd, tmppath
from .error import HDFSCliError
from .format import Plain, PlainDir, PlainDirFormat, PlainFormat
from .hadoopcli_clients import HdfsClient, HdfsClientApache1, HdfsClientCdh3, create_hadoopcli_client
from .target import HdfsFlagTarget, HdfsTarget
from .webhdfs_client import WebHdfsClient

call_check = HdfsClient.call_check

__all__ = [
    "HDFSCliError", "HdfsClient", "HdfsClientApache1", "HdfsClientCdh3", "HdfsFlagTarget", "HdfsTarget", "Plain", "PlainDir",
    "PlainDirFormat", "PlainFormat", "WebHdfsClient", "call_check", "create_hadoopcli_client", "exists", "get_autoconfig_client",
    "get_configured_hadoop_version", "get_configured_hdfs_client", "hdfs", "hdfs_clients", "hdfs_config", "hdfs_error", "hdfs_format",
    "hdfs_hadoopcli_clients", "hdfs_target", "hdfs_webhdfs_client", "listdir", "load_hadoop_cmd", "mkdir", "remove", "rename", "tmppath",
]  # fmt: skip

"""``HdfsClient``: the house's `HdfsFiles` by its old name; no program of Hadoop is started for it.

Its relatives for old releases of Hadoop had other command lines, and do the same here.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from levada.contrib.hdfs.files import HdfsFiles

from .abstract_client import HdfsFileSystem
from .error import HDFSCliError


class HdfsClient(HdfsFiles, HdfsFileSystem):
    """Files of HDFS."""

    @staticmethod
    def call_check(command: Sequence[str]) -> str:
        """What a command says on stdout. Raises HDFSCliError when it fails."""
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="surrogateescape")
        if done.returncode != 0:
            raise HDFSCliError(command, done.returncode, done.stdout, done.stderr)
        return done.stdout


class HdfsClientCdh3(HdfsClient):
    """The same, by the name of an old release."""


class HdfsClientApache1(HdfsClientCdh3):
    """The same, by the name of another."""


def create_hadoopcli_client() -> HdfsClient:
    """The client that luigi.cfg names by Hadoop's release. Raises ValueError for one that is not known."""
    from .config import get_configured_hadoop_version

    kinds = {"cdh4": HdfsClient, "cdh3": HdfsClientCdh3, "apache1": HdfsClientApache1}
    version = get_configured_hadoop_version()
    if version not in kinds:
        raise ValueError(f"[hadoop] version is {version!r}; expected one of {', '.join(kinds)}")
    return kinds[version]()

"""The sections of luigi.cfg about HDFS and Hadoop's command, and names of temporaries."""

from __future__ import annotations

import os
import secrets
from urllib.parse import urlsplit

from levada.params import OptionalIntParameter, OptionalParameter, StrParameter
from levada.task import Config

_TEMPORARY = "/tmp"  # noqa: S108 - a folder of HDFS


class hdfs(Config):
    """The section ``[hdfs]``. Which client is named there makes no difference: all of them are the native one."""

    client_version = OptionalIntParameter(default=None)
    namenode_host = OptionalParameter(default=None)
    namenode_port = OptionalIntParameter(default=None)
    client = StrParameter(default="hadoopcli")
    tmp_dir = OptionalParameter(default=None, config_path={"section": "core", "name": "hdfs-tmp-dir"})


class hadoopcli(Config):
    """Hadoop's command: of the section ``[hadoop]``."""

    command = StrParameter(
        default="hadoop",
        config_path={"section": "hadoop", "name": "command"},
        description="Hadoop's command, with options if it needs any.",
    )
    version = StrParameter(default="cdh4", config_path={"section": "hadoop", "name": "version"}, description="cdh4, cdh3 or apache1.")


def load_hadoop_cmd() -> list[str]:
    """Hadoop's command as words."""
    return hadoopcli().command.split()


def get_configured_hadoop_version() -> str:
    """The release that luigi.cfg names, in small letters."""
    return hadoopcli().version.lower()


def get_configured_hdfs_client() -> str:
    """The client that luigi.cfg names."""
    return hdfs().client


def tmppath(path: str | None = None, include_unix_username: bool = True) -> str:
    """A name in the temporary folder of HDFS, which nobody else has; with a path's own name in it, and on its name node."""
    import getpass

    name = f"luigitemp-{secrets.randbelow(10**10):09d}"
    given = urlsplit(path or "")
    base = hdfs().tmp_dir or (f"{given.scheme}://{given.netloc}{_TEMPORARY}" if given.scheme else _TEMPORARY)
    if path:
        inside = path.removeprefix(_TEMPORARY) if path.startswith(f"{_TEMPORARY}/") else given.path
        name = f"{inside.strip('/')}-{name}"
    return os.path.join(base, *([getpass.getuser()] if include_unix_username else []), name)
